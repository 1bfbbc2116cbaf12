/* Where frames of the client protocol end, and what tells messages apart. */
#include "proto/nats/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    const char *bytes;
    bool good;
    size_t len;
    bool message;
    const char *key;
} cases[] = {
    {"MSG a.b 1 2\r\nhi\r\nPONG\r\n", true, 17, true, "a.b 1"},
    {"MSG a.b 1 0\r\n\r\n", true, 15, true, "a.b 1"},
    {"MSG a.b 12 re.ply 100\r\n", true, 125, true, "a.b 12"},
    {"MSG a.b 12  re.ply\t100 \r\n", true, 127, true, "a.b 12"},
    {"HMSG a.b 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", true, 34, true, "a.b 1"},
    {"HMSG a.b 1 reply 12 14\r\n", true, 40, true, "a.b 1"},
    {"PONG\r\nMSG a 1 2\r\nhi\r\n", true, 6, false, ""},
    {"PING\r\n", true, 6, false, ""},
    {"+OK\r\n", true, 5, false, ""},
    {"-ERR 'no'\r\n", true, 11, false, ""},
    {"INFO {\"a\":1}\r\nPING\r\n", true, 14, false, ""},
    {"MSGS 7\r\n", true, 8, false, ""},
    {"PON", false, 0, false, ""},
    {"", false, 0, false, ""},
    {"MSG a 1 x\r\n", false, 0, false, ""},
    {"MSG a 1 99999999999\r\n", false, 0, false, ""},
};

static void test_frame_of_each_kind(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_frame_form form;
        bool good = pp_nats_frame(pp_str_of(cases[i].bytes), &form);

        if (good != cases[i].good)
            fail_msg("%s: %d", cases[i].bytes, good);
        if (!good)
            continue;
        if (form.len != cases[i].len || form.message != cases[i].message ||
            !pp_str_eq(form.key, pp_str_of(cases[i].key)))
            fail_msg("%s: %zu bytes, key \"%.*s\"", cases[i].bytes, form.len,
                     PP_STR_ARGS(form.key));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_frame_of_each_kind)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
