/* Text from peers, as errors quote it. */
#include "proto/nats/quote.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT(literal) literal, sizeof(literal) - 1

/* Those with other than ASCII: as nats-server 2.15.2 was seen to answer. */
static const struct row {
    const char *text;
    size_t len;
    const char *quoted;
} rows[] = {
    {TEXT(""), "\"\""},
    {TEXT("foo.bar"), "\"foo.bar\""},
    {TEXT("foo.*.>"), "\"foo.*.>\""},
    {TEXT("it's"), "\"it's\""},
    {TEXT("a\"b"), "\"a\\\"b\""},
    {TEXT("a\\b"), "\"a\\\\b\""},
    {TEXT("\a\b\f\n\r\t\v"), "\"\\a\\b\\f\\n\\r\\t\\v\""},
    {TEXT("\0\x01\x1b\x1f\x7f"), "\"\\x00\\x01\\x1b\\x1f\\x7f\""},
    {TEXT(" ~"), "\" ~\""},
    {TEXT("\xe2\x82\xac"), "\"\xe2\x82\xac\""},         /* euro sign */
    {TEXT("\xf0\x9f\x98\x80"), "\"\xf0\x9f\x98\x80\""}, /* an emoji */
    {TEXT("\xef\xbf\xbd"), "\"\xef\xbf\xbd\""},         /* replacement character */
    {TEXT("\xc2\xa0"), "\"\\u00a0\""},                  /* blank that does not break */
    {TEXT("\xc2\x85"), "\"\\u0085\""},                  /* next line */
    {TEXT("\xc2\xad"), "\"\\u00ad\""},                  /* soft hyphen */
    {TEXT("\xe2\x80\x8b"), "\"\\u200b\""},              /* blank of no width */
    {TEXT("\xe3\x80\x80"), "\"\\u3000\""},              /* wide blank */
    {TEXT("\xef\xbb\xbf"), "\"\\ufeff\""},              /* byte order mark */
    {TEXT("\xf4\x8f\xbf\xbf"), "\"\\U0010ffff\""},      /* the last one */
    {TEXT("\x80"), "\"\\x80\""},                        /* from here on no UTF-8 */
    {TEXT("\xff\xfe"), "\"\\xff\\xfe\""},
    {TEXT("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\""},          /* a surrogate */
    {TEXT("\xc0\xaf"), "\"\\xc0\\xaf\""},                   /* longer than need be */
    {TEXT("\xf4\x90\x80\x80"), "\"\\xf4\\x90\\x80\\x80\""}, /* beyond the last one */
    {TEXT("\xe2\x82"), "\"\\xe2\\x82\""},                   /* cut */
    {TEXT("\xe2\x82"
          "a"),
     "\"\\xe2\\x82"
     "a\""},
    {TEXT("\xc3\xa4\xc3"), "\"\xc3\xa4\\xc3\""},
};

static void test_quote_rows(void **state)
{
    char out[256];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *text = malloc(rows[i].len + 1); /* the text ends where its memory does */

        memcpy(text, rows[i].text, rows[i].len);
        text = realloc(text, rows[i].len ? rows[i].len : 1);
        pp_nats_quote((pp_str){text, rows[i].len}, out, sizeof(out));
        free(text);
        if (strcmp(out, rows[i].quoted) != 0)
            fail_msg("row %zu: %s, not %s", i, out, rows[i].quoted);
    }
}

/* Whatever the bytes: printable ASCII and whole characters only, quoted, within the room. */
static void test_quote_fits_any_room(void **state)
{
    static const char text[] =
        "abc\"\\\n\x01\xe2\x82\xac\xf4\x8f\xbf\xbf\xc2\xa0\xff\xf0\x9f\x98\x80"
        "abc\"\\\n\x01\xe2\x82\xac\xf4\x8f\xbf\xbf\xc2\xa0\xff\xf0\x9f\x98\x80";

    (void)state;
    for (size_t cap = 15; cap < 200; cap++) {
        char *out = malloc(cap);
        size_t len;

        pp_nats_quote(PP_STR(text), out, cap);
        len = strlen(out);
        assert_true(len >= 2 && len < cap);
        assert_int_equal(out[0], '"');
        assert_int_equal(out[len - 1], '"');
        free(out);
    }
}

/* The longest control line by default, escaped in full. */
static void test_quote_longest(void **state)
{
    static char text[4096], out[PP_NATS_QUOTE_MAX + 16];

    (void)state;
    memset(text, '\x01', sizeof(text));
    pp_nats_quote((pp_str){text, sizeof(text)}, out, sizeof(out));
    assert_int_equal(strlen(out), 4 * sizeof(text) + 2);
}

static void test_quote_every_byte_alone(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        char byte = (char)c, out[32], expected[32];

        pp_nats_quote((pp_str){&byte, 1}, out, sizeof(out));
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
            (void)snprintf(expected, sizeof(expected), "\"%c\"", (int)c);
        else if (strchr("\a\b\f\n\r\t\v\"\\", (int)c) && c)
            continue; /* in the rows */
        else
            (void)snprintf(expected, sizeof(expected), "\"\\x%02x\"", c);
        assert_string_equal(out, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quote_rows),
        cmocka_unit_test(test_quote_fits_any_room),
        cmocka_unit_test(test_quote_longest),
        cmocka_unit_test(test_quote_every_byte_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
