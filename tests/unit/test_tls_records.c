/* Records of TLS 1.3: against the RFC's own trace, and two ends of ours against each other. That
 * OpenSSL understands them is for test_tls_layer. */
#include "tls/records.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "base/openssl.h"
#include "base/random.h"
#include "seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROOM = 16384 + PP_TLS_SEAL_EXTRA, UNEXPECTED = 10, BAD_MAC = 20, OVERFLOW = 22 };

/* Two ends, and one record between them. */
struct ends {
    pp_tls_records *near, *far;
    pp_tls_cipher_context sealing, opening;
    char sealed[2 * ROOM], opened[2 * ROOM];
    size_t sealed_len, opened_len;
};

static void ends_init(struct ends *e, unsigned suite)
{
    size_t len = suite == 0x1302 ? 48 : 32;
    uint8_t a[48], b[48];
    pp_str first = {(const char *)a, len}, second = {(const char *)b, len};

    memset(e, 0, sizeof(*e));
    pp_random_bytes(a, sizeof(a));
    pp_random_bytes(b, sizeof(b));
    assert_int_equal(pp_tls_records_new(&e->near, suite, first, second, 0), PIPIT_OK);
    assert_int_equal(pp_tls_records_new(&e->far, suite, second, first, 0), PIPIT_OK);
}

static void ends_fini(struct ends *e)
{
    pp_tls_records_free(e->near);
    pp_tls_records_free(e->far);
    pp_tls_cipher_context_fini(&e->sealing);
    pp_tls_cipher_context_fini(&e->opening);
}

static void seal(struct ends *e, unsigned kind, const void *bytes, size_t len)
{
    e->sealed_len = pp_tls_records_seal(e->near, &e->sealing, (pp_tls_kind)kind,
                                        (pp_str){bytes, len}, e->sealed);
    assert_true(e->sealed_len > len);
}

/* The record at the front is taken off it. */
static pipit_err take(struct ends *e)
{
    pp_str window = {e->sealed, e->sealed_len};
    size_t whole = pp_tls_records_whole(window);
    pipit_err err;

    assert_int_not_equal(whole, 0);
    err = pp_tls_records_open(e->far, &e->opening, (pp_str){e->sealed, whole}, e->opened,
                              &e->opened_len);
    e->sealed_len -= whole;
    memmove(e->sealed, e->sealed + whole, e->sealed_len);
    return err;
}

static void check_passes(struct ends *e, const void *bytes, size_t len)
{
    seal(e, PP_TLS_DATA, bytes, len);
    assert_int_equal(take(e), PIPIT_OK);
    assert_int_equal(e->opened_len, len);
    assert_memory_equal(e->opened, bytes, len);
}

/* What near says is refused, with that alert. */
static void check_refused(unsigned kind, const void *bytes, size_t len, uint8_t alert)
{
    struct ends e;

    ends_init(&e, 0x1301);
    seal(&e, kind, bytes, len);
    assert_int_equal(take(&e), PIPIT_EPROTO);
    assert_int_equal(e.far->alert, alert);
    assert_non_null(e.far->wrong);
    ends_fini(&e);
}

static const unsigned suites[] = {0x1301, 0x1302, 0x1303};

/* --- known answers ------------------------------------------------------------------------ */

static size_t from_hex(const char *hex, char *out)
{
    size_t n = 0;

    for (; *hex; hex += 2)
        out[n++] = (char)strtol((char[]){hex[0], hex[1], '\0'}, NULL, 16);
    return n;
}

/* Source: RFC 8448, section 3: what both sides say once they have shaken hands; the server has said
 * a ticket before. */
static void test_tls_records_are_those_of_the_rfc(void **state)
{
    static const char client_hex[] =
        "17030300"
        "43a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b"
        "62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4";
    static const char server_hex[] =
        "17030300"
        "432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8"
        "fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d";
    char client[32], server[32], heard[128], said[128], want[128], bytes[50];
    pp_tls_cipher_context sealing = {0}, opening = {0};
    pp_tls_records *records;
    size_t n, len;

    (void)state;
    (void)from_hex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5", client);
    (void)from_hex("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643", server);
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    assert_int_equal(
        pp_tls_records_new(&records, 0x1301, (pp_str){client, 32}, (pp_str){server, 32}, 1),
        PIPIT_OK);
    n = from_hex(server_hex, want);
    assert_int_equal(
        pp_tls_records_seal(records, &sealing, PP_TLS_DATA, (pp_str){bytes, sizeof(bytes)}, said),
        n);
    assert_memory_equal(said, want, n);
    n = from_hex(client_hex, heard);
    assert_int_equal(pp_tls_records_whole((pp_str){heard, n}), n);
    assert_int_equal(
        pp_tls_records_open(records, &opening, (pp_str){heard, n}, heard + PP_TLS_HEAD_BYTES, &len),
        PIPIT_OK);
    assert_int_equal(len, sizeof(bytes));
    assert_memory_equal(heard + PP_TLS_HEAD_BYTES, bytes, sizeof(bytes));
    pp_tls_records_free(records);
    pp_tls_cipher_context_fini(&sealing);
    pp_tls_cipher_context_fini(&opening);
}

/* --- two ends ----------------------------------------------------------------------------- */

static void test_tls_records_pass_whole(void **state)
{
    uint64_t dice = test_seed(__func__);
    char *bytes = malloc(16384);

    (void)state;
    for (unsigned i = 0; i < 16384; i++)
        bytes[i] = (char)pp_random_below(&dice, 256);
    for (unsigned s = 0; s < 3; s++) {
        struct ends e;

        ends_init(&e, suites[s]);
        for (unsigned round = 0; round < 500; round++) {
            size_t len = round == 0 ? 16384 : 1 + pp_random_below(&dice, round % 50 ? 600 : 16384);

            check_passes(&e, bytes + pp_random_below(&dice, (unsigned)(16385 - len)), len);
        }
        ends_fini(&e);
    }
    free(bytes);
}

/* Connections take turns at one cipher, as they do on a loop. */
static void test_tls_records_share_a_cipher(void **state)
{
    uint64_t dice = test_seed(__func__);
    struct ends e[6];

    (void)state;
    for (unsigned i = 0; i < 6; i++)
        ends_init(&e[i], suites[i % 3]);
    for (unsigned round = 0; round < 2000; round++) {
        unsigned i = pp_random_below(&dice, 6);

        e[i].sealing = e[0].sealing;
        e[i].opening = e[0].opening;
        check_passes(&e[i], "hello, one of six", 17);
        e[0].sealing = e[i].sealing;
        e[0].opening = e[i].opening;
        if (i) {
            e[i].sealing = (pp_tls_cipher_context){0};
            e[i].opening = (pp_tls_cipher_context){0};
        }
    }
    for (unsigned i = 0; i < 6; i++)
        ends_fini(&e[i]);
}

static void test_tls_records_are_refused_if_anything_is_changed(void **state)
{
    size_t len = 0;

    (void)state;
    for (size_t bit = 0; bit == 0 || bit < 8 * len; bit++) {
        pp_str window;
        size_t whole;
        struct ends e;

        ends_init(&e, suites[bit % 3]);
        seal(&e, PP_TLS_DATA, "four", 4);
        len = e.sealed_len;
        e.sealed[bit / 8] = (char)(e.sealed[bit / 8] ^ 1 << bit % 8);
        window = (pp_str){e.sealed, len};
        whole = pp_tls_records_whole(window);
        if (whole)
            assert_int_equal(pp_tls_records_open(e.far, &e.opening, (pp_str){e.sealed, whole},
                                                 e.opened, &e.opened_len),
                             PIPIT_EPROTO);
        ends_fini(&e);
    }
}

static void test_tls_records_neither_repeat_nor_change_places(void **state)
{
    char first[64], second[64];
    size_t n;
    struct ends e;

    (void)state;
    ends_init(&e, 0x1301);
    seal(&e, PP_TLS_DATA, "first", 5);
    n = e.sealed_len;
    memcpy(first, e.sealed, n);
    seal(&e, PP_TLS_DATA, "again", 5);
    memcpy(second, e.sealed, n);
    memcpy(e.sealed, first, n);
    assert_int_equal(take(&e), PIPIT_OK);
    memcpy(e.sealed, first, n);
    e.sealed_len = n;
    assert_int_equal(take(&e), PIPIT_EPROTO);
    assert_int_equal(e.far->alert, BAD_MAC);
    ends_fini(&e);
    ends_init(&e, 0x1301);
    memcpy(e.sealed, second, n);
    e.sealed_len = n;
    assert_int_equal(take(&e), PIPIT_EPROTO);
    ends_fini(&e);
}

static void test_tls_records_wait_for_all_of_it(void **state)
{
    struct ends e;

    (void)state;
    ends_init(&e, 0x1303);
    seal(&e, PP_TLS_DATA, "all of it", 9);
    for (size_t n = 0; n < e.sealed_len; n++)
        assert_int_equal(pp_tls_records_whole((pp_str){e.sealed, n}), 0);
    assert_int_equal(pp_tls_records_whole((pp_str){e.sealed, e.sealed_len}), e.sealed_len);
    ends_fini(&e);
}

static void test_tls_records_have_a_size(void **state)
{
    static const struct {
        uint8_t head[PP_TLS_HEAD_BYTES], alert;
    } cases[] = {
        {{23, 3, 3, 0xff, 0xff}, OVERFLOW},
        {{23, 3, 3, 0x41, 1}, OVERFLOW},
        {{23, 3, 3, 0, 0}, BAD_MAC},
        {{23, 3, 3, 0, 16}, BAD_MAC},
        {{22, 3, 3, 0, 0}, UNEXPECTED},
        {{20, 3, 3, 0, 1}, UNEXPECTED},
        {{21, 3, 3, 0, 2}, UNEXPECTED},
        {{23, 3, 4, 0, 17}, UNEXPECTED},
        {{'C', 'O', 'N', 'N', 'E'}, UNEXPECTED},
    };
    char *long_one = calloc(1, 16384);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct ends e;

        ends_init(&e, 0x1301);
        memcpy(e.sealed, cases[i].head, PP_TLS_HEAD_BYTES);
        e.sealed_len = sizeof(e.sealed);
        assert_int_equal(take(&e), PIPIT_EPROTO);
        assert_int_equal(e.far->alert, cases[i].alert);
        ends_fini(&e);
    }
    /* Nothing but what hides how long it is: it has no kind. */
    check_refused(0, long_one, 16384, UNEXPECTED);
    check_refused(0, "", 0, UNEXPECTED);
    free(long_one);
}

static void test_tls_records_may_hide_how_long_they_are(void **state)
{
    struct ends e;

    (void)state;
    ends_init(&e, 0x1302);
    seal(&e, 0, "hidden\x17\0\0\0", 10);
    assert_int_equal(take(&e), PIPIT_OK);
    assert_int_equal(e.opened_len, 6);
    assert_memory_equal(e.opened, "hidden", 6);
    ends_fini(&e);
}

/* --- what a connection says of itself ------------------------------------------------------- */

static void test_tls_records_change_keys(void **state)
{
    char words[PP_TLS_SEAL_EXTRA];

    (void)state;
    for (unsigned s = 0; s < 3; s++) {
        struct ends e;

        ends_init(&e, suites[s]);
        check_passes(&e, "before", 6);
        for (unsigned i = 0; i < 3; i++) {
            e.sealed_len = pp_tls_records_renew(e.near, &e.sealing, e.sealed);
            assert_int_equal(take(&e), PIPIT_OK);
            assert_false(e.far->asked);
            check_passes(&e, "after", 5);
        }
        /* As one that asks for ours, too, in two pieces. */
        seal(&e, PP_TLS_HANDSHAKE, "\x18\0", 2);
        assert_int_equal(take(&e), PIPIT_OK);
        seal(&e, PP_TLS_HANDSHAKE, "\0\x01\x01", 3);
        assert_int_equal(take(&e), PIPIT_OK);
        assert_true(e.far->asked);
        assert_true(pp_tls_records_renew(e.far, &e.sealing, words) > 0);
        assert_false(e.far->asked);
        ends_fini(&e);
    }
}

/* Long before a key has sealed as much as it may. */
static void test_tls_records_change_keys_in_time(void **state)
{
    struct ends e;

    (void)state;
    ends_init(&e, 0x1301);
    e.near->out.count = e.far->in.count = pp_tls_records_of_key - 1;
    check_passes(&e, "the last", 8);
    seal(&e, PP_TLS_DATA, "the first", 9);
    assert_int_equal(take(&e), PIPIT_OK);
    assert_int_equal(e.opened_len, 0);
    assert_int_equal(take(&e), PIPIT_OK);
    assert_memory_equal(e.opened, "the first", 9);
    assert_int_equal(e.near->out.count, 1);
    ends_fini(&e);
}

static void test_tls_records_refuse_other_messages(void **state)
{
    static const char hello[] = "\x01\0\0\x01\x00", bad_len[] = "\x18\0\0\x02\0",
                      bad_value[] = "\x18\0\0\x01\x02", more[] = "\x18\0\0\x01\0\x18";

    (void)state;
    check_refused(PP_TLS_HANDSHAKE, hello, 5, UNEXPECTED);
    check_refused(PP_TLS_HANDSHAKE, "", 0, UNEXPECTED);
    check_refused(PP_TLS_HANDSHAKE, bad_len, 5, 50);
    check_refused(PP_TLS_HANDSHAKE, bad_value, 5, 47);
    check_refused(PP_TLS_HANDSHAKE, more, 6, UNEXPECTED);
    check_refused(PP_TLS_ALERT, "\x01", 1, 50);
    check_refused(PP_TLS_ALERT, "\x02\x14\0", 3, 50);
    check_refused(PP_TLS_ALERT, "\x02\x14", 2, 0);
    check_refused(20, "\x01", 1, UNEXPECTED);
    check_refused(24, "heart", 5, UNEXPECTED);
}

static void test_tls_records_do_not_mix_messages(void **state)
{
    struct ends e;

    (void)state;
    ends_init(&e, 0x1301);
    seal(&e, PP_TLS_HANDSHAKE, "\x18\0\0", 3);
    assert_int_equal(take(&e), PIPIT_OK);
    seal(&e, PP_TLS_DATA, "hello", 5);
    assert_int_equal(take(&e), PIPIT_EPROTO);
    assert_int_equal(e.far->alert, UNEXPECTED);
    ends_fini(&e);
}

static void test_tls_records_hear_the_end(void **state)
{
    struct ends e;

    (void)state;
    ends_init(&e, 0x1301);
    seal(&e, PP_TLS_ALERT, "\x01\x5a", 2); /* user_canceled: the end follows */
    assert_int_equal(take(&e), PIPIT_OK);
    assert_false(e.far->ended);
    seal(&e, PP_TLS_ALERT, "\x01\0", 2);
    assert_int_equal(take(&e), PIPIT_OK);
    assert_true(e.far->ended);
    ends_fini(&e);
}

/* A peer cannot keep us busy with records that bring nothing. */
static void test_tls_records_must_bring_something(void **state)
{
    static const struct {
        unsigned kind;
        const char *bytes;
        size_t len;
    } cases[] = {{PP_TLS_DATA, "", 0}, {PP_TLS_ALERT, "\x01\x5a", 2}};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct ends e;

        ends_init(&e, 0x1301);
        for (unsigned turn = 0; turn < 3; turn++) {
            for (unsigned n = 0; n < PP_TLS_FRUITLESS_MAX; n++) {
                seal(&e, cases[i].kind, cases[i].bytes, cases[i].len);
                assert_int_equal(take(&e), PIPIT_OK);
            }
            if (turn < 2)
                check_passes(&e, "something", 9);
        }
        seal(&e, cases[i].kind, cases[i].bytes, cases[i].len);
        assert_int_equal(take(&e), PIPIT_EPROTO);
        ends_fini(&e);
    }
}

/* --- making them -------------------------------------------------------------------------- */

static void test_tls_records_need_what_fits(void **state)
{
    static const char secret[64];
    pp_tls_records *records = NULL;

    (void)state;
    for (size_t len = 0; len <= sizeof(secret); len++) {
        pp_str some = {secret, len}, right = {secret, 32};

        if (len != 32) {
            assert_int_equal(pp_tls_records_new(&records, 0x1301, some, right, 0), PIPIT_EINVAL);
            assert_int_equal(pp_tls_records_new(&records, 0x1303, right, some, 0), PIPIT_EINVAL);
        }
        if (len != 48)
            assert_int_equal(pp_tls_records_new(&records, 0x1302, some, some, 0), PIPIT_EINVAL);
        assert_int_equal(pp_tls_records_new(&records, 0x1304, some, some, 0), PIPIT_EINVAL);
        assert_int_equal(pp_tls_records_new(&records, 0xc02f, some, some, 0), PIPIT_EINVAL);
    }
    pp_fault_arm("*", 1);
    assert_int_equal(
        pp_tls_records_new(&records, 0x1301, (pp_str){secret, 32}, (pp_str){secret, 32}, 0),
        PIPIT_ENOMEM);
    assert_true(pp_fault_disarm());
    assert_null(records);
}

static int load(void **state)
{
    (void)state;
    return pp_openssl_load(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_records_are_those_of_the_rfc),
        cmocka_unit_test(test_tls_records_pass_whole),
        cmocka_unit_test(test_tls_records_share_a_cipher),
        cmocka_unit_test(test_tls_records_are_refused_if_anything_is_changed),
        cmocka_unit_test(test_tls_records_neither_repeat_nor_change_places),
        cmocka_unit_test(test_tls_records_wait_for_all_of_it),
        cmocka_unit_test(test_tls_records_have_a_size),
        cmocka_unit_test(test_tls_records_may_hide_how_long_they_are),
        cmocka_unit_test(test_tls_records_change_keys),
        cmocka_unit_test(test_tls_records_change_keys_in_time),
        cmocka_unit_test(test_tls_records_refuse_other_messages),
        cmocka_unit_test(test_tls_records_do_not_mix_messages),
        cmocka_unit_test(test_tls_records_hear_the_end),
        cmocka_unit_test(test_tls_records_must_bring_something),
        cmocka_unit_test(test_tls_records_need_what_fits),
    };

    return cmocka_run_group_tests_name("tls_records", tests, load, NULL);
}
