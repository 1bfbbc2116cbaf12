#include "tls/staple.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"

#include <stdatomic.h>
#include <string.h>

enum { SKEW_S = 300, HASH_BYTES = 32 };

static const int64_t day_s = 24 * 3600, retry_s = 120;
static const int64_t endless_s = INT64_C(1) << 40;

struct pp_tls_staple {
    atomic_uint refs;
    pp_tls_staple *next;
    uint8_t hash[HASH_BYTES]; /* of the certificate */
    char *file, *question;
    char **urls;
    size_t url_count;
    X509 *issuer;
    OCSP_CERTID *id;
    pthread_mutex_t lock; /* guards the rest */
    bool must_be_good;
    int64_t due_ns;
    char *answer; /* in DER; NULL: none */
    size_t answer_len;
    pp_tls_standing standing;
    int64_t until_s; /* since the Unix epoch */
};

/* --- life ---------------------------------------------------------------------------------- */

void pp_tls_staples_init(pp_tls_staples *staples)
{
    staples->first = NULL;
    (void)pthread_mutex_init(&staples->lock, NULL);
}

void pp_tls_staples_fini(pp_tls_staples *staples)
{
    while (staples->first) {
        pp_tls_staple *staple = staples->first;

        staples->first = staple->next;
        pp_tls_staple_unref(staple);
    }
    (void)pthread_mutex_destroy(&staples->lock);
}

pp_tls_staple *pp_tls_staple_ref(pp_tls_staple *staple)
{
    (void)atomic_fetch_add_explicit(&staple->refs, 1, memory_order_relaxed);
    return staple;
}

void pp_tls_staple_unref(pp_tls_staple *staple)
{
    if (!staple || atomic_fetch_sub_explicit(&staple->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < staple->url_count; i++)
        pp_free(staple->urls[i]);
    pp_free(staple->urls);
    pp_free(staple->file);
    pp_free(staple->question);
    pp_free(staple->answer);
    OCSP_CERTID_free(staple->id);
    X509_free(staple->issuer);
    (void)pthread_mutex_destroy(&staple->lock);
    pp_free(staple);
}

/* --- making one ---------------------------------------------------------------------------- */

/* The TLS feature extension names extensions of TLS that must be there; this is the one in use.
 * Source: RFC 7633. */
static bool demands_it(X509 *certificate)
{
    return X509_get_ext_by_NID(certificate, NID_tlsfeature, -1) >= 0;
}

static bool is_wanted(pp_tls_stapling mode, X509 *certificate)
{
    switch (mode) {
    case PP_TLS_STAPLING_ALWAYS:
        return true;
    case PP_TLS_STAPLING_AUTO:
    case PP_TLS_STAPLING_MUST:
        return demands_it(certificate);
    case PP_TLS_STAPLING_NEVER:
        break;
    }
    return false;
}

/* Among what stands behind the certificate in its file, or among the authorities. */
static X509 *find_issuer(SSL_CTX *ssl, X509 *certificate)
{
    STACK_OF(X509) *chain = NULL;
    STACK_OF(X509_OBJECT) *trusted = X509_STORE_get0_objects(SSL_CTX_get_cert_store(ssl));

    (void)SSL_CTX_get0_chain_certs(ssl, &chain);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        if (X509_check_issued(sk_X509_value(chain, i), certificate) == X509_V_OK)
            return sk_X509_value(chain, i);
    }
    for (int i = 0; i < sk_X509_OBJECT_num(trusted); i++) {
        X509 *one = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));

        if (one && X509_check_issued(one, certificate) == X509_V_OK)
            return one;
    }
    return NULL;
}

static pipit_err add_url(pp_tls_staple *staple, const char *url, size_t *bytes)
{
    char **urls = pp_realloc(staple->urls, (staple->url_count + 1) * sizeof(*urls));

    if (!urls)
        return PIPIT_ENOMEM;
    staple->urls = urls;
    *bytes += strlen(url);
    if (*bytes > PP_TLS_OCSP_URLS_MAX)
        return PIPIT_OK; /* who is named that far behind is not asked */
    urls[staple->url_count] = pp_memdupz(url, strlen(url));
    if (!urls[staple->url_count])
        return PIPIT_ENOMEM;
    staple->url_count++;
    return PIPIT_OK;
}

static pipit_err add_urls(pp_tls_staple *staple, X509 *certificate, const pp_tls_staple_spec *spec)
{
    STACK_OF(OPENSSL_STRING) *named = spec->url_count ? NULL : X509_get1_ocsp(certificate);
    pipit_err err = PIPIT_OK;
    size_t bytes = 0;

    for (size_t i = 0; i < spec->url_count && !err; i++)
        err = add_url(staple, spec->urls[i], &bytes);
    for (int i = 0; named && i < sk_OPENSSL_STRING_num(named) && !err; i++)
        err = add_url(staple, sk_OPENSSL_STRING_value(named, i), &bytes);
    X509_email_free(named);
    return err;
}

static pipit_err staple_new(SSL_CTX *ssl, X509 *certificate, const char *file,
                            const pp_tls_staple_spec *spec, pp_tls_staple **out, pp_buf *error)
{
    X509 *issuer = find_issuer(ssl, certificate);
    pp_tls_staple *staple;
    pipit_err err;

    if (!issuer) {
        (void)pp_buf_addf(error,
                          "bad OCSP status update for certificate at '%s': its issuer is neither "
                          "in that file nor in ca_file",
                          file);
        return PIPIT_EINVAL;
    }
    staple = pp_calloc(1, sizeof(*staple));
    if (!staple)
        return PIPIT_ENOMEM;
    atomic_init(&staple->refs, 1);
    (void)pthread_mutex_init(&staple->lock, NULL);
    (void)X509_up_ref(issuer);
    staple->issuer = issuer;
    staple->file = pp_memdupz(file, strlen(file));
    err = staple->file ? add_urls(staple, certificate, spec) : PIPIT_ENOMEM;
    if (!err && !staple->url_count) {
        (void)pp_buf_addf(error,
                          "bad OCSP status update for certificate at '%s': no available ocsp "
                          "servers",
                          file);
        err = PIPIT_EINVAL;
    }
    if (!err)
        err = pp_tls_ocsp_ask(certificate, issuer, &staple->id, &staple->question);
    if (err)
        pp_tls_staple_unref(staple);
    else
        *out = staple;
    return err;
}

/* --- those of a server ---------------------------------------------------------------------- */

/* Who may be asked is part of what makes a staple. */
static bool is_same(const pp_tls_staple *staple, const uint8_t hash[HASH_BYTES],
                    const pp_tls_staple_spec *spec)
{
    if (memcmp(staple->hash, hash, HASH_BYTES) != 0)
        return false;
    for (size_t i = 0; i < spec->url_count; i++) {
        if (i >= staple->url_count || strcmp(staple->urls[i], spec->urls[i]) != 0)
            return false;
    }
    return !spec->url_count || spec->url_count == staple->url_count;
}

static pp_tls_staple *find(pp_tls_staples *staples, const uint8_t hash[HASH_BYTES],
                           const pp_tls_staple_spec *spec)
{
    pp_tls_staple *found;

    (void)pthread_mutex_lock(&staples->lock);
    for (found = staples->first; found && !is_same(found, hash, spec); found = found->next)
        ;
    if (found)
        (void)pp_tls_staple_ref(found);
    (void)pthread_mutex_unlock(&staples->lock);
    return found;
}

static void enlist(pp_tls_staples *staples, pp_tls_staple *staple)
{
    (void)pthread_mutex_lock(&staples->lock);
    staple->next = staples->first;
    staples->first = pp_tls_staple_ref(staple);
    (void)pthread_mutex_unlock(&staples->lock);
}

/* OpenSSL asks, for a client that wants to see it. */
static int on_status(SSL *ssl, void *arg)
{
    pp_tls_staple *staple = arg;
    void *copy = NULL;
    size_t len = 0;

    (void)pthread_mutex_lock(&staple->lock);
    if (staple->answer && pp_clock_wall_ns() / PP_NS_PER_S < staple->until_s) {
        len = staple->answer_len;
        copy = OPENSSL_memdup(staple->answer, len);
    }
    (void)pthread_mutex_unlock(&staple->lock);
    if (!copy)
        return SSL_TLSEXT_ERR_NOACK;
    (void)SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)len); /* which frees it */
    return SSL_TLSEXT_ERR_OK;
}

static void show(SSL_CTX *ssl, pp_tls_staple *staple)
{
    (void)SSL_CTX_set_tlsext_status_cb(ssl, on_status);
    (void)SSL_CTX_set_tlsext_status_arg(ssl, staple);
}

pipit_err pp_tls_staples_get(pp_tls_staples *staples, SSL_CTX *ssl, const char *cert_file,
                             const pp_tls_staple_spec *spec, pp_tls_staple **out, pp_buf *error)
{
    X509 *certificate = SSL_CTX_get0_certificate(ssl);
    uint8_t hash[EVP_MAX_MD_SIZE];
    pp_tls_staple *staple;
    unsigned len = 0;
    pipit_err err;

    *out = NULL;
    if (!is_wanted(spec->mode, certificate))
        return PIPIT_OK;
    if (!X509_digest(certificate, EVP_sha256(), hash, &len) || len != HASH_BYTES)
        return PIPIT_ENOMEM;
    staple = find(staples, hash, spec);
    if (!staple) {
        err = staple_new(ssl, certificate, cert_file, spec, &staple, error);
        if (err)
            return err;
        memcpy(staple->hash, hash, HASH_BYTES);
        enlist(staples, staple);
    }
    (void)pthread_mutex_lock(&staple->lock);
    staple->must_be_good = spec->mode != PP_TLS_STAPLING_AUTO;
    (void)pthread_mutex_unlock(&staple->lock);
    show(ssl, staple);
    *out = staple;
    return PIPIT_OK;
}

/* --- when ----------------------------------------------------------------------------------- */

static int64_t due_of(pp_tls_staple *staple)
{
    int64_t due_ns;

    (void)pthread_mutex_lock(&staple->lock);
    due_ns = staple->due_ns;
    (void)pthread_mutex_unlock(&staple->lock);
    return due_ns;
}

pp_tls_staple *pp_tls_staples_due(pp_tls_staples *staples, int64_t now_ns, int64_t *out_due_ns)
{
    pp_tls_staple **at, *found = NULL;

    *out_due_ns = INT64_MAX;
    (void)pthread_mutex_lock(&staples->lock);
    at = &staples->first;
    while (*at && !found) {
        pp_tls_staple *staple = *at;
        int64_t due_ns = due_of(staple);

        if (atomic_load(&staple->refs) == 1) { /* nobody can find it meanwhile */
            *at = staple->next;
            pp_tls_staple_unref(staple);
            continue;
        }
        if (due_ns <= now_ns)
            found = pp_tls_staple_ref(staple);
        else if (due_ns < *out_due_ns)
            *out_due_ns = due_ns;
        at = &staple->next;
    }
    (void)pthread_mutex_unlock(&staples->lock);
    return found;
}

pp_tls_staple *pp_tls_staples_unheard(pp_tls_staples *staples, int64_t now_ns)
{
    pp_tls_staple *staple, *found = NULL;

    (void)pthread_mutex_lock(&staples->lock);
    for (staple = staples->first; staple && !found; staple = staple->next) {
        (void)pthread_mutex_lock(&staple->lock);
        if (staple->standing == PP_TLS_UNHEARD && staple->due_ns <= now_ns)
            found = pp_tls_staple_ref(staple);
        (void)pthread_mutex_unlock(&staple->lock);
    }
    (void)pthread_mutex_unlock(&staples->lock);
    return found;
}

void pp_tls_staples_hurry(pp_tls_staples *staples)
{
    (void)pthread_mutex_lock(&staples->lock);
    for (pp_tls_staple *staple = staples->first; staple; staple = staple->next) {
        (void)pthread_mutex_lock(&staple->lock);
        staple->due_ns = 0;
        (void)pthread_mutex_unlock(&staple->lock);
    }
    (void)pthread_mutex_unlock(&staples->lock);
}

void pp_tls_staple_schedule(pp_tls_staple *staple, int64_t now_ns, bool failed)
{
    int64_t in_s;

    (void)pthread_mutex_lock(&staple->lock);
    in_s = (staple->until_s - pp_clock_wall_ns() / PP_NS_PER_S) / 2;
    in_s = in_s < day_s ? in_s : day_s;
    if (failed)
        in_s = in_s < retry_s ? in_s : retry_s;
    in_s = in_s > 5 ? in_s : 5;
    staple->due_ns = now_ns + in_s * PP_NS_PER_S;
    (void)pthread_mutex_unlock(&staple->lock);
}

/* --- answers -------------------------------------------------------------------------------- */

pipit_err pp_tls_staple_take(pp_tls_staple *staple, pp_str answer, pp_buf *error)
{
    int64_t now_s = pp_clock_wall_ns() / PP_NS_PER_S;
    pp_tls_finding finding;
    char *copy;

    pp_tls_ocsp_read(answer, staple->issuer, staple->id, &finding);
    if (!finding.wrong && !pp_tls_finding_holds(&finding, now_s, SKEW_S, endless_s))
        finding.wrong = "it is not valid now";
    if (finding.wrong) {
        (void)pp_buf_addf(error, "%s", finding.wrong);
        return PIPIT_EPROTO;
    }
    copy = pp_memdupz(answer.ptr, answer.len);
    if (!copy)
        return PIPIT_ENOMEM;
    (void)pthread_mutex_lock(&staple->lock);
    pp_free(staple->answer);
    staple->answer = copy;
    staple->answer_len = answer.len;
    staple->standing = finding.standing;
    /* One without an end holds until the next is there. */
    staple->until_s = finding.until_s ? finding.until_s : now_s + 2 * day_s;
    (void)pthread_mutex_unlock(&staple->lock);
    return PIPIT_OK;
}

/* --- what is known -------------------------------------------------------------------------- */

pp_tls_standing pp_tls_staple_standing(pp_tls_staple *staple)
{
    pp_tls_standing standing;

    (void)pthread_mutex_lock(&staple->lock);
    standing =
        pp_clock_wall_ns() / PP_NS_PER_S < staple->until_s ? staple->standing : PP_TLS_UNHEARD;
    (void)pthread_mutex_unlock(&staple->lock);
    return standing;
}

const char *pp_tls_staple_file(const pp_tls_staple *staple)
{
    return staple->file;
}

const char *pp_tls_staple_question(const pp_tls_staple *staple)
{
    return staple->question;
}

const char *pp_tls_staple_url(const pp_tls_staple *staple, size_t i)
{
    return i < staple->url_count ? staple->urls[i] : NULL;
}

bool pp_tls_staple_must_be_good(const pp_tls_staple *staple)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&staple->lock;
    bool must;

    (void)pthread_mutex_lock(lock);
    must = staple->must_be_good;
    (void)pthread_mutex_unlock(lock);
    return must;
}
