/* What is asked about a chain, when something fails here, not there. */
#include "tls/inquirer.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "loops.h"

#include <openssl/ec.h>
#include <openssl/objects.h>
#include <sched.h>
#include <string.h>

/* --- failing allocations of OpenSSL ----------------------------------------------------------- */

static atomic_long allocations_left = LONG_MAX; /* until one fails, the next ones do not */

static bool must_fail(void)
{
    return atomic_load(&allocations_left) != LONG_MAX &&
           atomic_fetch_sub(&allocations_left, 1) == 1;
}

static void *scarce_malloc(size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    return must_fail() ? NULL : malloc(bytes);
}

static void *scarce_realloc(void *at, size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    return must_fail() ? NULL : realloc(at, bytes);
}

static void scarce_free(void *at, const char *file, int line)
{
    (void)file;
    (void)line;
    free(at);
}

/* --- certificates ----------------------------------------------------------------------------- */

static EVP_PKEY *key;

static ACCESS_DESCRIPTION *access_by(const char *url)
{
    ACCESS_DESCRIPTION *access = ACCESS_DESCRIPTION_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();

    assert_true(access && text && ASN1_STRING_set(text, url, -1));
    ASN1_OBJECT_free(access->method);
    access->method = OBJ_nid2obj(NID_ad_OCSP);
    GENERAL_NAME_set0_value(access->location, GEN_URI, text);
    return access;
}

/* With the extension given so often; urls end with NULL. */
static void name_responders(X509 *cert, const char *const *urls, int times)
{
    AUTHORITY_INFO_ACCESS *named = sk_ACCESS_DESCRIPTION_new_null();

    for (; *urls; urls++)
        assert_true(sk_ACCESS_DESCRIPTION_push(named, access_by(*urls)) > 0);
    for (int i = 0; i < times; i++)
        assert_int_equal(X509_add1_ext_i2d(cert, NID_info_access, named, 0, X509V3_ADD_APPEND), 1);
    AUTHORITY_INFO_ACCESS_free(named);
}

/* The extension is there, but says nothing that can be understood. */
static void name_nonsense(X509 *cert)
{
    ASN1_OCTET_STRING *bytes = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension;

    assert_true(ASN1_OCTET_STRING_set(bytes, (const unsigned char *)"\x30\x03", 2));
    extension = X509_EXTENSION_create_by_NID(NULL, NID_info_access, 0, bytes);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(bytes);
}

/* All are signed by one key. urls NULL: there is nonsense. */
static X509 *certificate_new(const char *const *urls, int times)
{
    X509 *cert = X509_new();
    X509_NAME *name;

    assert_non_null(cert);
    name = X509_get_subject_name(cert);
    (void)X509_set_version(cert, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"ann", -1, -1,
                                     0);
    (void)X509_set_issuer_name(cert, name);
    (void)X509_set_pubkey(cert, key);
    if (urls)
        name_responders(cert, urls, times);
    else
        name_nonsense(cert);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

/* It and who has signed it. */
static STACK_OF(X509) * chain_new(const char *const *urls, int times)
{
    static const char *const nobody[] = {NULL};
    STACK_OF(X509) *chain = sk_X509_new_null();

    assert_true(chain && sk_X509_push(chain, certificate_new(urls, times)) > 0 &&
                sk_X509_push(chain, certificate_new(nobody, 0)) > 0);
    return chain;
}

/* --- a world ---------------------------------------------------------------------------------- */

struct world {
    pp_tls_inquirer *inquirer;
    pp_log log;
    atomic_uint asked;
    pipit_err outcome;   /* of asking */
    atomic_uint allowed; /* so many more are answered; UINT_MAX: all */
};

static bool may_answer(struct world *x)
{
    unsigned left = atomic_load(&x->allowed);

    while (left && left != UINT_MAX)
        if (atomic_compare_exchange_weak(&x->allowed, &left, left - 1))
            return true;
    return left;
}

static pipit_err fetch(void *context, const char *url, const char *question, int64_t timeout_ns,
                       const atomic_bool *hurry, pp_buf *out)
{
    struct world *x = context;

    (void)url;
    (void)question;
    (void)timeout_ns;
    (void)out;
    (void)atomic_fetch_add(&x->asked, 1);
    while (!may_answer(x) && !atomic_load(hurry))
        (void)sched_yield();
    return x->outcome;
}

static void on_refusal(void *context, X509 *peer, X509 *link, const char *reason)
{
    (void)context;
    assert_true(peer && reason);
    (void)link;
}

static void world_init(struct world *x)
{
    const pp_tls_inquirer_hooks hooks = {
        .context = x, .log = &x->log, .fetch = fetch, .on_refusal = on_refusal};

    *x = (struct world){.outcome = PIPIT_EIO, .allowed = UINT_MAX};
    assert_int_equal(pp_tls_inquirer_new(&x->inquirer, &hooks), PIPIT_OK);
}

static void world_fini(struct world *x)
{
    pp_tls_inquirer_free(x->inquirer);
}

/* What of it is not known is asked here, without a thread. NULL: it may come in. */
static const char *inquire(struct world *x, const pp_tls_peer_rules *rules, STACK_OF(X509) * chain)
{
    pp_tls_inquiry *inquiry;
    pipit_err err = pp_tls_inquiry_new(&inquiry, x->inquirer, rules, chain);
    const char *refused;

    if (err == PIPIT_ENOMEM)
        return "no memory";
    if (err == PIPIT_EAGAIN)
        pp_tls_inquiry_finish(inquiry, true);
    refused = inquiry->refused;
    pp_tls_inquiry_unref(inquiry);
    return refused;
}

static const pp_tls_peer_rules strict = {.timeout_ns = PP_NS_PER_S, .skew_s = 30, .ttl_s = 3600};
static const pp_tls_peer_rules lenient = {
    .timeout_ns = PP_NS_PER_S, .skew_s = 30, .ttl_s = 3600, .unreachable_is_good = true};
static const pp_tls_peer_rules warning = {.timeout_ns = PP_NS_PER_S, .warn_only = true};
static const char *const somebody[] = {"http://127.0.0.1/ca", NULL};

/* --- whom it names ---------------------------------------------------------------------------- */

static void test_who_names_nobody_comes_in(void **state)
{
    static const char *const cases[][2] = {{NULL}, {"ldap://127.0.0.1/ca"}, {"http:/127.0.0.1"}};
    struct world x;

    (void)state;
    world_init(&x);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        STACK_OF(X509) *chain = chain_new(cases[i], 1);

        assert_null(inquire(&x, &strict, chain));
        sk_X509_pop_free(chain, X509_free);
    }
    assert_int_equal(x.asked, 0);
    world_fini(&x);
}

/* The extension is there twice, or makes no sense: it may name somebody. */
static void test_who_is_named_cannot_be_told(void **state)
{
    STACK_OF(X509) * cases[] = {chain_new(somebody, 2), chain_new(NULL, 0)};
    struct world x;

    (void)state;
    world_init(&x);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_non_null(inquire(&x, &strict, cases[i]));
        assert_non_null(inquire(&x, &lenient, cases[i]));
        assert_null(inquire(&x, &warning, cases[i]));
        sk_X509_pop_free(cases[i], X509_free);
    }
    world_fini(&x);
}

/* Beyond what we ask: nobody can be reached, but somebody is named. */
static void test_who_is_named_at_length(void **state)
{
    char url[9000] = "http://127.0.0.1/", other[9000] = "ldap://127.0.0.1/";
    const char *const cases[][3] = {{url}, {other, somebody[0]}};
    struct world x;

    (void)state;
    memset(url + strlen(url), 'x', sizeof(url) - strlen(url) - 1);
    memset(other + strlen(other), 'x', sizeof(other) - strlen(other) - 1);
    world_init(&x);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        STACK_OF(X509) *chain = chain_new(cases[i], 1);

        assert_non_null(inquire(&x, &strict, chain));
        assert_null(inquire(&x, &lenient, chain));
        sk_X509_pop_free(chain, X509_free);
    }
    world_fini(&x);
}

/* --- trouble of our own ------------------------------------------------------------------------
 */

/* Who can be brought to have no memory, or no descriptors, lets nobody in for that. */
static void test_what_is_our_own_fault_is_no_silence(void **state)
{
    static const pipit_err ours[] = {PIPIT_ENOMEM, PIPIT_ELIMIT, PIPIT_EINVAL};
    static const pipit_err theirs[] = {PIPIT_EIO, PIPIT_ENOTFOUND, PIPIT_ETIMEOUT, PIPIT_ETOOBIG};
    static const char *const two[] = {"http://127.0.0.1/ca", "http://127.0.0.2/ca", NULL};
    STACK_OF(X509) *chain = chain_new(two, 1);
    struct world x;

    (void)state;
    world_init(&x);
    for (size_t i = 0; i < COUNT_OF(ours); i++) {
        x.outcome = ours[i];
        assert_non_null(inquire(&x, &lenient, chain));
        assert_null(inquire(&x, &warning, chain));
    }
    for (size_t i = 0; i < COUNT_OF(theirs); i++) {
        x.outcome = theirs[i];
        assert_null(inquire(&x, &lenient, chain));
        assert_non_null(inquire(&x, &strict, chain));
    }
    sk_X509_pop_free(chain, X509_free);
    world_fini(&x);
}

static atomic_uint answered;

static void on_answer(pp_task *task)
{
    (void)atomic_fetch_add(&answered, 1);
    pp_tls_inquiry_unref(PP_CONTAINER(task, pp_tls_inquiry, task));
}

/* As a layer does; the reference is the caller's. */
static pp_tls_inquiry *visit(struct world *x, pp_loop *loop, STACK_OF(X509) * chain)
{
    pp_tls_inquiry *inquiry;

    assert_int_equal(pp_tls_inquiry_new(&inquiry, x->inquirer, &lenient, chain), PIPIT_EAGAIN);
    inquiry->task.run = on_answer;
    inquiry->loop = loop;
    pp_tls_inquirer_submit(x->inquirer, pp_tls_inquiry_ref(inquiry));
    return inquiry;
}

static void leave(struct world *x, pp_tls_inquiry *inquiry)
{
    pp_tls_inquirer_abandon(x->inquirer, inquiry);
    pp_tls_inquiry_unref(inquiry);
}

/* Turns of the loop until so many have been answered. */
static void wait_answered(struct loops *l, unsigned count)
{
    int64_t deadline_ns = pp_clock_mono_ns() + DEADLINE_S * PP_NS_PER_S;

    while (atomic_load(&answered) < count) {
        assert_true(pp_clock_mono_ns() < deadline_ns);
        turn(l, 0);
        (void)sched_yield();
    }
}

static void wait_asked(struct world *x, unsigned count)
{
    int64_t deadline_ns = pp_clock_mono_ns() + DEADLINE_S * PP_NS_PER_S;

    while (atomic_load(&x->asked) < count) {
        assert_true(pp_clock_mono_ns() < deadline_ns);
        (void)sched_yield();
    }
}

/* More than wait cannot be asked about, and do not come in; those who leave do not count. */
static void test_who_fills_the_queue_opens_no_door(void **state)
{
    enum { COUNT = PP_TLS_INQUIRER_THREADS + PP_TLS_INQUIRIES_MAX };
    pp_tls_inquiry **visitors = calloc(COUNT, sizeof(*visitors)), *late;
    STACK_OF(X509) *chain = chain_new(somebody, 1);
    struct loops l;
    struct world x;

    (void)state;
    loops_init(&l, 1);
    world_init(&x);
    atomic_store(&answered, 0);
    atomic_store(&x.allowed, 0);
    for (unsigned i = 0; i < COUNT; i++) {
        visitors[i] = visit(&x, &l.at[0], chain);
        if (i < PP_TLS_INQUIRER_THREADS)
            wait_asked(&x, i + 1);
    }
    late = visit(&x, &l.at[0], chain);
    wait_answered(&l, 1);
    assert_non_null(late->refused);
    pp_tls_inquiry_unref(late);
    for (unsigned i = PP_TLS_INQUIRER_THREADS; i < COUNT; i++)
        leave(&x, visitors[i]);
    late = visit(&x, &l.at[0], chain);
    atomic_store(&x.allowed, UINT_MAX);
    wait_answered(&l, 1 + PP_TLS_INQUIRER_THREADS + 1);
    assert_null(late->refused);
    assert_int_equal(x.asked, PP_TLS_INQUIRER_THREADS + 1);
    pp_tls_inquiry_unref(late);
    for (unsigned i = 0; i < PP_TLS_INQUIRER_THREADS; i++)
        pp_tls_inquiry_unref(visitors[i]);
    free(visitors);
    world_fini(&x);
    loops_fini(&l);
    sk_X509_pop_free(chain, X509_free);
    loops_check_memory(&l);
}

/* Who has come last has the most time left. */
static void test_newest_is_asked_about_first(void **state)
{
    STACK_OF(X509) *chain = chain_new(somebody, 1);
    pp_tls_inquiry *visitors[PP_TLS_INQUIRER_THREADS + 2], **waiting;
    struct loops l;
    struct world x;

    (void)state;
    loops_init(&l, 1);
    world_init(&x);
    atomic_store(&answered, 0);
    atomic_store(&x.allowed, 0);
    for (unsigned i = 0; i < COUNT_OF(visitors); i++) {
        visitors[i] = visit(&x, &l.at[0], chain);
        if (i < PP_TLS_INQUIRER_THREADS)
            wait_asked(&x, i + 1);
    }
    waiting = visitors + PP_TLS_INQUIRER_THREADS;
    atomic_store(&x.allowed, 1);
    wait_asked(&x, PP_TLS_INQUIRER_THREADS + 1);
    assert_true(waiting[0]->queued); /* one thread is at the other one, and none is free */
    assert_false(waiting[1]->queued);
    atomic_store(&x.allowed, COUNT_OF(visitors));
    wait_answered(&l, COUNT_OF(visitors));
    for (unsigned i = 0; i < COUNT_OF(visitors); i++)
        pp_tls_inquiry_unref(visitors[i]);
    world_fini(&x);
    loops_fini(&l);
    sk_X509_pop_free(chain, X509_free);
    loops_check_memory(&l);
}

/* Nobody can be asked without one. */
static void test_no_thread_opens_no_door(void **state)
{
    STACK_OF(X509) *chain = chain_new(somebody, 1);
    pp_tls_inquiry *inquiry;
    struct loops l;
    struct world x;

    (void)state;
    loops_init(&l, 1);
    world_init(&x);
    atomic_store(&answered, 0);
    pp_fault_arm("thread", 1);
    inquiry = visit(&x, &l.at[0], chain);
    assert_true(pp_fault_disarm());
    wait_answered(&l, 1);
    assert_non_null(inquiry->refused);
    pp_tls_inquiry_unref(inquiry);
    world_fini(&x);
    loops_fini(&l);
    sk_X509_pop_free(chain, X509_free);
    loops_check_memory(&l);
}

/* --- no memory -------------------------------------------------------------------------------- */

static void know(struct world *x, STACK_OF(X509) * chain, pp_tls_standing standing)
{
    const pp_tls_standings_spec spec = {.on = true, .save_ns = PP_NS_PER_S};
    const int64_t now_s = pp_clock_wall_ns() / PP_NS_PER_S;
    const pp_tls_finding finding = {
        .standing = standing, .from_s = now_s - 60, .until_s = now_s + 3600};
    pp_tls_standings *standings = pp_tls_inquirer_standings(x->inquirer);
    pp_tls_standing_key of;

    assert_int_equal(pp_tls_standings_keep(standings, &spec, NULL), PIPIT_OK);
    assert_true(X509_digest(sk_X509_value(chain, 0), EVP_sha256(), of.bytes, NULL));
    pp_tls_standings_put(standings, &of, &finding, PP_STR("so it is"));
}

/* Whatever fails, who is not to come in does not. */
static void test_nobody_comes_in_for_want_of_memory(void **state)
{
    STACK_OF(X509) *chain = chain_new(somebody, 1);
    struct world x;

    (void)state;
    for (int known = 0; known < 2; known++) {
        long nth = 0;
        bool fired = true;

        world_init(&x);
        if (known)
            know(&x, chain, PP_TLS_REVOKED);
        while (fired) {
            atomic_store(&allocations_left, ++nth);
            assert_non_null(inquire(&x, &strict, chain));
            fired = atomic_exchange(&allocations_left, LONG_MAX) <= 0;
        }
        assert_true(nth > 1);
        nth = 0;
        do {
            pp_fault_arm("*", (uint64_t)++nth);
            assert_non_null(inquire(&x, &strict, chain));
        } while (pp_fault_disarm());
        assert_true(nth > 1);
        world_fini(&x);
    }
    sk_X509_pop_free(chain, X509_free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_names_nobody_comes_in),
        cmocka_unit_test(test_who_is_named_cannot_be_told),
        cmocka_unit_test(test_who_is_named_at_length),
        cmocka_unit_test(test_what_is_our_own_fault_is_no_silence),
        cmocka_unit_test(test_who_fills_the_queue_opens_no_door),
        cmocka_unit_test(test_newest_is_asked_about_first),
        cmocka_unit_test(test_no_thread_opens_no_door),
        cmocka_unit_test(test_nobody_comes_in_for_want_of_memory),
    };
    int failed;

    if (!CRYPTO_set_mem_functions(scarce_malloc, scarce_realloc, scarce_free) ||
        pp_openssl_load(NULL))
        return 1;
    key = EVP_EC_gen("P-256");
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    EVP_PKEY_free(key);
    return failed;
}
