/* Close frames: which status tells what, and what answers one. */
#include "websocket/close.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void test_close_answers(void **state)
{
    static const struct {
        const char *body;
        size_t len;
        const char *answer;
        size_t answer_len;
    } rows[] = {
        {"", 0, "", 0},
        {"\3\xe8", 2, "\3\xe8", 2},
        {"\3\xe9"
         "bye",
         5,
         "\3\xe9"
         "bye",
         5},
        {"\x0b\xb8", 2, "\x0b\xb8", 2}, /* 3000 */
        {"\x13\x87", 2, "\x13\x87", 2}, /* 4999 */
        {"\3\xf6", 2, "\3\xf6", 2},     /* 1014 */
        {"\3\xe9\xc3\xbc", 4, "\3\xe9\xc3\xbc", 4},
        {"x", 1,
         "\3\xea"
         "close frame payload cannot be 1 byte",
         38},
        {"\3\xe7", 2,
         "\3\xea"
         "invalid close status code 999",
         31},
        {"\3\xec", 2,
         "\3\xea"
         "invalid close status code 1004",
         32},
        {"\3\xed", 2,
         "\3\xea"
         "invalid close status code 1005",
         32},
        {"\3\xee", 2,
         "\3\xea"
         "invalid close status code 1006",
         32},
        {"\3\xf7", 2,
         "\3\xea"
         "invalid close status code 1015",
         32},
        {"\3\xf8", 2,
         "\3\xea"
         "invalid close status code 1016",
         32},
        {"\x0b\xb7", 2,
         "\3\xea"
         "invalid close status code 2999",
         32},
        {"\x13\x88", 2,
         "\3\xea"
         "invalid close status code 5000",
         32},
        {"\3\xe8\xff", 3,
         "\3\xef"
         "invalid utf8 body in close frame",
         34},
        {"\3\xe8"
         "a\xed\xa0\x80",
         6,
         "\3\xef"
         "invalid utf8 body in close frame",
         34},
    };
    char out[PP_WS_CONTROL_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t len = pp_ws_close_answer(out, (pp_str){rows[i].body, rows[i].len});

        if (len != rows[i].answer_len || (len && memcmp(out, rows[i].answer, len) != 0))
            fail_msg("row %zu: %zu bytes", i, len);
    }
}

static void test_close_cuts_reasons(void **state)
{
    char out[PP_WS_CONTROL_MAX], text[200];

    (void)state;
    memset(text, 'x', sizeof(text));
    assert_int_equal(pp_ws_close_format(out, PP_WS_POLICY, (pp_str){text, 123}), 125);
    assert_memory_equal(out + 2, text, 123);
    assert_int_equal(pp_ws_close_format(out, PP_WS_POLICY, (pp_str){text, 124}), 125);
    assert_memory_equal(out, "\3\xf0", 2);
    assert_memory_equal(out + 2, text, 120);
    assert_memory_equal(out + 122, "...", 3);
    memcpy(text + 119, "\xc3\xbc", 2); /* not in the middle of a character */
    assert_int_equal(pp_ws_close_format(out, PP_WS_POLICY, (pp_str){text, 124}), 124);
    assert_memory_equal(out + 121, "...", 3);
    assert_int_equal(pp_ws_close_format(out, PP_WS_NORMAL, PP_STR("")), 2);
}

static void test_close_statuses(void **state)
{
    static const struct {
        pp_close_reason reason;
        unsigned status;
    } rows[] = {
        {PP_CLOSE_CLIENT, 1000},        {PP_CLOSE_STALE, 1001},
        {PP_CLOSE_SHUTDOWN, 1001},      {PP_CLOSE_PROTOCOL, 1002},
        {PP_CLOSE_PARSE_ERROR, 1002},   {PP_CLOSE_AUTH, 1008},
        {PP_CLOSE_AUTH_TIMEOUT, 1008},  {PP_CLOSE_CONNECTIONS, 1008},
        {PP_CLOSE_PAYLOAD, 1009},       {PP_CLOSE_KICKED, 1011},
        {PP_CLOSE_NO_RESPONDERS, 1011}, {PP_CLOSE_CONTROL_LINE, 1008},
        {PP_CLOSE_NO_MEMORY, 1011},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(pp_ws_status_of(rows[i].reason), rows[i].status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_close_answers),
        cmocka_unit_test(test_close_cuts_reasons),
        cmocka_unit_test(test_close_statuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
