#include "config/lexer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static pp_config_failure failure;

static pp_lexer lexer_of(pp_str text)
{
    pp_lexer lexer;

    failure.text[0] = '\0';
    assert_int_equal(pp_lexer_init(&lexer, "f", text, &failure), PIPIT_OK);
    return lexer;
}

static void test_lexer_refuses_nul(void **state)
{
    pp_lexer lexer;

    (void)state;
    failure.text[0] = '\0';
    assert_int_equal(pp_lexer_init(&lexer, "f", (pp_str){"a\nb\0c", 5}, &failure), PIPIT_EINVAL);
    assert_int_equal(failure.at.line, 2);
    assert_int_equal(failure.at.column, 2);
}

static void test_lexer_takes_an_empty_text(void **state)
{
    pp_lexer lexer = lexer_of((pp_str){NULL, 0});

    (void)state;
    assert_int_equal(pp_lexer_peek(&lexer), PP_LEXER_END);
    pp_lexer_skip_space(&lexer);
    assert_false(pp_lexer_skip_comment(&lexer));
    assert_int_equal(pp_lexer_position(&lexer, lexer.at).line, 1);
}

static const struct {
    const char *text;
    size_t blanks, space; /* bytes passed */
} spaces[] = {
    {"x", 0, 0},
    {" \t x", 3, 3},
    {" \n\r\v\f x", 1, 6},
    {"\xC2\x85\xC2\xA0x", 0, 4},
    {"\xE1\x9A\x80\xE3\x80\x80x", 0, 6},
    {"\xE2\x80\x80\xE2\x80\x8A\xE2\x80\xA8\xE2\x80\xA9\xE2\x80\xAF\xE2\x81\x9F", 0, 18},
    {"\xE2\x80\x8B", 0, 0}, /* zero width space is none */
    {"\xC2", 0, 0},         /* cut */
    {"\xE2\x80", 0, 0},
    {"\xA0", 0, 0},
    {" ", 1, 1},
};

static void test_lexer_space(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
        pp_lexer lexer = lexer_of(pp_str_of(spaces[i].text));

        pp_lexer_skip_blanks(&lexer);
        assert_int_equal(lexer.at - lexer.text, spaces[i].blanks);
        pp_lexer_skip_space(&lexer);
        assert_int_equal(lexer.at - lexer.text, spaces[i].space);
    }
}

static void test_lexer_comments(void **state)
{
    static const struct {
        const char *text;
        bool is;
        size_t bytes;
    } cases[] = {
        {"# a\nb", true, 3}, {"// a\rb", true, 4}, {"#", true, 1},
        {"/ a", false, 0},   {"/", false, 0},      {"a # b", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_lexer lexer = lexer_of(pp_str_of(cases[i].text));

        assert_int_equal(pp_lexer_skip_comment(&lexer), cases[i].is);
        assert_int_equal(lexer.at - lexer.text, cases[i].bytes);
    }
}

static void test_lexer_positions_in_any_order(void **state)
{
    pp_lexer lexer = lexer_of(PP_STR("ab\ncd\n\nef"));
    static const struct {
        size_t at;
        uint32_t line, column;
    } cases[] = {{0, 1, 1}, {2, 1, 3}, {3, 2, 1}, {6, 3, 1}, {8, 4, 2}, {7, 4, 1},
                 {4, 2, 2}, {9, 4, 3}, {1, 1, 2}, {5, 2, 3}, {8, 4, 2}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_config_position at = pp_lexer_position(&lexer, lexer.text + cases[i].at);

        assert_string_equal(at.file, "f");
        assert_int_equal(at.line, cases[i].line);
        assert_int_equal(at.column, cases[i].column);
    }
}

static void test_lexer_shows_one_character(void **state)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"x", "'x'"},        {"\n", "'\\n'"},         {"\r", "'\\r'"},
        {"\t", "'\\x09'"},   {"\x1b", "'\\x1B'"},     {"\xC3\xA9", "'\xC3\xA9'"},
        {"\xC3", "'\\xC3'"}, {"\xFF\xFF", "'\\xFF'"}, {"", "end of file"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_lexer lexer = lexer_of(pp_str_of(cases[i].text));

        assert_string_equal(pp_lexer_show(&lexer, lexer.at).text, cases[i].shown);
    }
}

static void test_lexer_keys(void **state)
{
    static const struct {
        const char *text, *key;
        bool quoted;
        char next;
    } cases[] = {
        {"abc=1", "abc", false, '='},    {"a.b:1", "a.b", false, ':'},
        {"a b", "a", false, ' '},        {"a\nb", "a", false, '\n'},
        {"abc", "abc", false, '\0'},     {"foo{ ", "foo{", false, ' '},
        {"\"a b\" 1", "a b", true, ' '}, {"'a\"='x", "a\"=", true, 'x'},
        {"\"\"", "", true, '\0'},        {"a\xC2\xA0z", "a", false, '\xC2'},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_lexer lexer = lexer_of(pp_str_of(cases[i].text));
        pp_lexer_key key;

        assert_int_equal(pp_lexer_read_key(&lexer, &key), PIPIT_OK);
        assert_true(pp_str_eq(key.text, pp_str_of(cases[i].key)));
        assert_int_equal(key.quoted, cases[i].quoted);
        assert_int_equal(pp_lexer_peek(&lexer), cases[i].next);
    }
}

static void test_lexer_keys_need_their_quote(void **state)
{
    pp_lexer lexer = lexer_of(PP_STR("x\n \"abc"));
    pp_lexer_key key;

    (void)state;
    lexer.at += 3;
    assert_int_equal(pp_lexer_read_key(&lexer, &key), PIPIT_EINVAL);
    assert_int_equal(failure.at.line, 2);
    assert_int_equal(failure.at.column, 2);
}

static void test_failure_keeps_the_first_reason(void **state)
{
    static char large[PP_CONFIG_FAILURE_TEXT_MAX + 10];
    pp_config_position at = {"f", 1, 2}, outer = {"g", 3, 4};

    (void)state;
    failure.text[0] = '\0';
    assert_int_equal(pp_config_fail(&failure, at, "first"), PIPIT_EINVAL);
    assert_int_equal(pp_config_fail(&failure, outer, "second"), PIPIT_EINVAL);
    assert_string_equal(failure.text, "first");
    pp_config_failure_wrap(&failure, outer, "including %s, ", "f");
    assert_string_equal(failure.text, "including f, f:1:2: first");
    assert_int_equal(failure.at.line, 3);
    memset(large, 'x', sizeof(large) - 1);
    pp_config_failure_wrap(&failure, at, "%s", large);
    assert_string_equal(failure.text, "including f, f:1:2: first");
    assert_string_equal(failure.at.file, "g");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lexer_refuses_nul),
        cmocka_unit_test(test_lexer_takes_an_empty_text),
        cmocka_unit_test(test_lexer_space),
        cmocka_unit_test(test_lexer_comments),
        cmocka_unit_test(test_lexer_positions_in_any_order),
        cmocka_unit_test(test_lexer_shows_one_character),
        cmocka_unit_test(test_lexer_keys),
        cmocka_unit_test(test_lexer_keys_need_their_quote),
        cmocka_unit_test(test_failure_keeps_the_first_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
