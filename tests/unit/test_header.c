/* Fields of header blocks, however they are written. */
#include "core/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const pp_str info = {PP_REQUEST_INFO_HEADER, sizeof(PP_REQUEST_INFO_HEADER) - 1};

static void test_header_without(void **state)
{
    static const struct {
        const char *block, *rest;
    } cases[] = {
        {"", "NATS/1.0\r\n"},
        {"NATS/1.0\r\n\r\n", "NATS/1.0\r\n"},
        {"NATS/1.0", "NATS/1.0\r\n"},
        {"NATS/1.0 503 none\r\nA: b\r\n\r\n", "NATS/1.0 503 none\r\nA: b\r\n"},
        {"NATS/1.0\r\nNats-Request-Info: x\r\nA: b\r\n\r\n", "NATS/1.0\r\nA: b\r\n"},
        {"NATS/1.0\r\nA: b\r\nnats-request-INFO:x\r\n\r\n", "NATS/1.0\r\nA: b\r\n"},
        {"NATS/1.0\r\nNats-Request-Info : x\r\n\r\n", "NATS/1.0\r\n"},
        {"NATS/1.0\r\nNats-Request-Info\r\n\r\n", "NATS/1.0\r\n"},
        {"NATS/1.0\r\nNats-Request-Info: x\r\n goes on\r\n\tand on\r\nA: b\r\n\r\n",
         "NATS/1.0\r\nA: b\r\n"},
        {"NATS/1.0\r\nA: b\nNats-Request-Info: x\r\n\r\n", "NATS/1.0\r\nA: b\n"},
        {"NATS/1.0\r\nA: b\rNats-Request-Info: x\r\n\r\n", "NATS/1.0\r\nA: b\r\r\n"},
        {"NATS/1.0\r\n\r\nNats-Request-Info: x\r\nA: b", "NATS/1.0\r\nA: b\r\n"},
        {"NATS/1.0\r\nNats-Request-Info2: x\r\n\r\n", "NATS/1.0\r\nNats-Request-Info2: x\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[256];
        size_t len = pp_header_copy_without(pp_str_of(cases[i].block), &info, 1, out);

        assert_true(len <= strlen(cases[i].block) + PP_HEADER_MORE);
        assert_int_equal(len, strlen(cases[i].rest));
        assert_memory_equal(out, cases[i].rest, len);
        assert_false(pp_header_has((pp_str){out, len}, info));
    }
}

/* Cut anywhere: never longer than promised, and what was asked for is gone. */
static void test_header_of_any_bytes(void **state)
{
    static const char block[] =
        "NATS/1.0\r\nA: b\nnats-request-info: {\r\n x}\r\rB:\r\n\r\n: :\r\n";

    (void)state;
    for (size_t begin = 0; begin < sizeof(block); begin++) {
        for (size_t end = begin; end < sizeof(block); end++) {
            char out[sizeof(block) + PP_HEADER_MORE];
            size_t len =
                pp_header_copy_without((pp_str){block + begin, end - begin}, &info, 1, out);

            assert_true(len <= end - begin + PP_HEADER_MORE);
            assert_true(len >= 1 && out[len - 1] == '\n');
            assert_false(pp_header_has((pp_str){out, len}, info));
        }
    }
}

static void test_header_fields(void **state)
{
    pp_str block = PP_STR("NATS/1.0\r\n A : b c \r\nB\r\nC:\r\n more\r\n\r\n");
    size_t at = 0;
    pp_field field;

    (void)state;
    assert_true(pp_field_next(block, &at, &field));
    assert_true(pp_str_eq(field.name, PP_STR("A")) && pp_str_eq(field.value, PP_STR("b c")));
    assert_true(pp_field_next(block, &at, &field));
    assert_true(pp_str_eq(field.name, PP_STR("B")) && field.value.len == 0);
    assert_true(pp_field_next(block, &at, &field));
    assert_true(pp_str_eq(field.name, PP_STR("C")));
    assert_true(pp_str_eq(field.line, PP_STR("C:\r\n more\r\n")));
    assert_true(pp_field_next(block, &at, &field));
    assert_int_equal(field.name.len, 0);
    assert_false(pp_field_next(block, &at, &field));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_without),
        cmocka_unit_test(test_header_of_any_bytes),
        cmocka_unit_test(test_header_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
