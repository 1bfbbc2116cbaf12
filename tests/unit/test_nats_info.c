#include "proto/nats/info.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void assert_line(const struct pp_nats_info *info, const char *expected)
{
    pp_buf out;

    pp_buf_init(&out, 8192);
    assert_int_equal(pp_buf_add(&out, "+OK\r\n", 5), PIPIT_OK); /* added to what is there */
    assert_int_equal(pp_nats_info_format(info, &out), PIPIT_OK);
    assert_int_equal(pp_buf_add(&out, "", 1), PIPIT_OK); /* NUL */
    assert_memory_equal(out.ptr, "+OK\r\n", 5);
    assert_string_equal(out.ptr + 5, expected);
    pp_buf_fini(&out);
}

static struct pp_nats_info least(void)
{
    return (struct pp_nats_info){
        .server_id = PP_STR("NA"),
        .server_name = PP_STR("p1"),
        .version = PP_STR("2.15.1"),
        .proto = 1,
        .go = PP_STR("c11"),
        .host = PP_STR("0.0.0.0"),
        .port = 4222,
        .max_payload = 1048576,
    };
}

static const pp_str urls[] = {{"10.0.0.1:4222", 13}, {"[::1]:4222", 10}};

static struct pp_nats_info most(void)
{
    struct pp_nats_info info = least();

    info.git_commit = PP_STR("abc");
    info.headers = true;
    info.auth_required = true;
    info.tls_required = true;
    info.tls_verify = true;
    info.tls_available = true;
    info.max_payload = -1;
    info.jetstream = true;
    info.client_id = UINT64_MAX;
    info.client_ip = PP_STR("2001:db8::1");
    info.nonce = PP_STR("abcdefghijklmno");
    info.cluster = PP_STR("c1");
    info.domain = PP_STR("hub");
    info.connect_urls = urls;
    info.connect_url_count = 2;
    info.ldm = true;
    info.connect_info = true;
    info.remote_account = PP_STR("$G");
    info.acc_is_sys = true;
    info.api_lvl = 5;
    info.xkey = PP_STR("XA");
    info.pipit_version = PP_STR("0.1.0");
    return info;
}

static void test_info_leaves_out_what_is_empty(void **state)
{
    struct pp_nats_info info = least();

    (void)state;
    assert_line(&info, "INFO {\"server_id\":\"NA\",\"server_name\":\"p1\",\"version\":\"2.15.1\","
                       "\"proto\":1,\"go\":\"c11\",\"host\":\"0.0.0.0\",\"port\":4222,"
                       "\"headers\":false,\"max_payload\":1048576} \r\n");
}

static void test_info_writes_all_in_order(void **state)
{
    struct pp_nats_info info = most();

    (void)state;
    assert_line(&info,
                "INFO {\"server_id\":\"NA\",\"server_name\":\"p1\",\"version\":\"2.15.1\","
                "\"proto\":1,\"git_commit\":\"abc\",\"go\":\"c11\",\"host\":\"0.0.0.0\","
                "\"port\":4222,\"headers\":true,\"auth_required\":true,\"tls_required\":true,"
                "\"tls_verify\":true,\"tls_available\":true,\"max_payload\":-1,"
                "\"jetstream\":true,\"client_id\":18446744073709551615,"
                "\"client_ip\":\"2001:db8::1\",\"nonce\":\"abcdefghijklmno\",\"cluster\":\"c1\","
                "\"domain\":\"hub\",\"connect_urls\":[\"10.0.0.1:4222\",\"[::1]:4222\"],"
                "\"ldm\":true,\"connect_info\":true,\"remote_account\":\"$G\",\"acc_is_sys\":true,"
                "\"api_lvl\":5,\"xkey\":\"XA\",\"pipit_version\":\"0.1.0\"} \r\n");
}

static void test_info_one_url(void **state)
{
    struct pp_nats_info info = least();

    (void)state;
    info.connect_urls = urls;
    info.connect_url_count = 1;
    assert_line(&info, "INFO {\"server_id\":\"NA\",\"server_name\":\"p1\",\"version\":\"2.15.1\","
                       "\"proto\":1,\"go\":\"c11\",\"host\":\"0.0.0.0\",\"port\":4222,"
                       "\"headers\":false,\"max_payload\":1048576,"
                       "\"connect_urls\":[\"10.0.0.1:4222\"]} \r\n");
}

static void test_info_extreme_numbers(void **state)
{
    struct pp_nats_info info = least();

    (void)state;
    info.port = 0;
    info.max_payload = INT64_MIN;
    info.api_lvl = INT64_MAX;
    assert_line(&info, "INFO {\"server_id\":\"NA\",\"server_name\":\"p1\",\"version\":\"2.15.1\","
                       "\"proto\":1,\"go\":\"c11\",\"host\":\"0.0.0.0\",\"port\":0,"
                       "\"headers\":false,\"max_payload\":-9223372036854775808,"
                       "\"api_lvl\":9223372036854775807} \r\n");
}

#define BYTES(literal) {(literal), sizeof(literal) - 1}

/* The first row is what nats-server 2.15.2 answers to a name of these bytes. */
static const struct {
    pp_str name;
    const char *escaped;
} escapes[] = {
    {BYTES("a<>&\x01\b\f\t\x7f\\\"\xFF\xE2\x80\xA8\xC3\xA9\xED\xA0\x80\xF0\x9F\x98\x80"),
     "a\\u003c\\u003e\\u0026\\u0001\\b\\f\\t\x7f\\\\\\\"\\ufffd\\u2028\xC3\xA9\\ufffd\\ufffd\\ufffd"
     "\xF0\x9F\x98\x80"},
    {BYTES(""), ""},
    {BYTES("\0\n\r\x1f\v "), "\\u0000\\n\\r\\u001f\\u000b "},
    {BYTES("/'~"), "/'~"},
    {BYTES("\xE2\x80\xA9\xE2\x80\xAA"), "\\u2029\xE2\x80\xAA"},
    {BYTES("plain \xC3\xA9 text \x02"), "plain \xC3\xA9 text \\u0002"},
    {BYTES("\xC3"), "\\ufffd"},
    {BYTES("\xE2\x80"), "\\ufffd\\ufffd"},
    {BYTES("\xC3x"), "\\ufffdx"},
};

static void test_info_escapes_as_go_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
        struct pp_nats_info info = least();
        char expected[512];

        info.server_name = escapes[i].name;
        (void)snprintf(expected, sizeof(expected),
                       "INFO {\"server_id\":\"NA\",\"server_name\":\"%s\",\"version\":\"2.15.1\","
                       "\"proto\":1,\"go\":\"c11\",\"host\":\"0.0.0.0\",\"port\":4222,"
                       "\"headers\":false,\"max_payload\":1048576} \r\n",
                       escapes[i].escaped);
        assert_line(&info, expected);
    }
}

/* Every code point, encoded here by the definition, is one character; no front of it is. */
static void test_utf8_takes_what_is_a_character(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 0x120000; code++) {
        char bytes[4];
        size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        static const unsigned char heads[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
        bool valid = code <= 0x10FFFF && !(code >= 0xD800 && code <= 0xDFFF);

        for (size_t i = 0; i < len; i++) {
            unsigned six = code >> 6 * (len - 1 - i);

            bytes[i] = (char)(i ? 0x80 | (six & 0x3F) : heads[len] | six);
        }
        assert_int_equal(pp_str_utf8_len((pp_str){bytes, len}), valid ? len : 0);
        for (size_t cut = 0; cut < len; cut++)
            assert_int_equal(pp_str_utf8_len((pp_str){bytes, cut}), 0);
    }
}

static void test_utf8_refuses_what_is_none(void **state)
{
    static const char *const bad[] = {
        "\x80",             "\xBF",         "\xC0\x80",     "\xC1\xBF",         "\xE0\x9F\xBF",
        "\xF0\x8F\xBF\xBF", "\xC2\x7F",     "\xC2\xC0",     "\xE1\x80\x7F",     "\xE1\x7F\x80",
        "\xF1\x80\x80\x7F", "\xFE",         "\xFF",         "\xF8\x88\x80\x80", "\xF4\x90\x80\x80",
        "\xED\xA0\x80",     "\xED\xBF\xBF", "\xF1\x7F\x80\x80",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(pp_str_utf8_len(pp_str_of(bad[i])), 0);
    assert_int_equal(pp_str_utf8_len(PP_STR("\xC3\xA9xyz")), 2);
}

static void test_info_that_does_not_fit_leaves_no_trace(void **state)
{
    struct pp_nats_info info = most();
    pp_buf out;
    size_t needed;

    (void)state;
    pp_buf_init(&out, 8192);
    assert_int_equal(pp_nats_info_format(&info, &out), PIPIT_OK);
    needed = out.len;
    pp_buf_fini(&out);
    for (size_t max = 3; max < needed + 3; max++) {
        pp_buf_init(&out, max);
        assert_int_equal(pp_buf_add(&out, "abc", 3), PIPIT_OK);
        assert_int_equal(pp_nats_info_format(&info, &out), PIPIT_ETOOBIG);
        assert_int_equal(out.len, 3);
        pp_buf_fini(&out);
    }
    pp_buf_init(&out, needed);
    assert_int_equal(pp_nats_info_format(&info, &out), PIPIT_OK);
    pp_buf_fini(&out);
}

static void test_info_out_of_memory(void **state)
{
    struct pp_nats_info info = most();
    int64_t live = pp_alloc_live();

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        pp_buf out;
        pipit_err err;

        pp_buf_init(&out, 8192);
        pp_fault_arm("*", nth);
        err = pp_nats_info_format(&info, &out);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            pp_buf_fini(&out);
            assert_true(nth > 1);
            return;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        assert_int_equal(out.len, 0);
        pp_buf_fini(&out);
        assert_int_equal(pp_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_info_leaves_out_what_is_empty),
        cmocka_unit_test(test_info_writes_all_in_order),
        cmocka_unit_test(test_info_one_url),
        cmocka_unit_test(test_info_extreme_numbers),
        cmocka_unit_test(test_info_escapes_as_go_does),
        cmocka_unit_test(test_utf8_takes_what_is_a_character),
        cmocka_unit_test(test_utf8_refuses_what_is_none),
        cmocka_unit_test(test_info_that_does_not_fit_leaves_no_trace),
        cmocka_unit_test(test_info_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
