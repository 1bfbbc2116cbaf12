#include "core/subject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void test_subject_classify_follows_the_grammar(void **state)
{
    static const struct {
        pp_str text;
        pp_subject_kind kind;
        size_t tokens;
    } cases[] = {
        {{NULL, 0}, PP_SUBJECT_INVALID, 0},
        {{"", 0}, PP_SUBJECT_INVALID, 1},
        {{".", 1}, PP_SUBJECT_INVALID, 2},
        {{".foo", 4}, PP_SUBJECT_INVALID, 2},
        {{"foo.", 4}, PP_SUBJECT_INVALID, 2},
        {{"foo..bar", 8}, PP_SUBJECT_INVALID, 3},
        {{"foo..", 5}, PP_SUBJECT_INVALID, 3},
        {{">.foo", 5}, PP_SUBJECT_INVALID, 2},
        {{"foo.>.bar", 9}, PP_SUBJECT_INVALID, 3},
        {{">.>", 3}, PP_SUBJECT_INVALID, 2},
        {{">.", 2}, PP_SUBJECT_INVALID, 2},
        {{"*.", 2}, PP_SUBJECT_INVALID, 2},
        {{"a.*..>", 6}, PP_SUBJECT_INVALID, 4},
        {{"foo", 3}, PP_SUBJECT_LITERAL, 1},
        {{"foo.bar", 7}, PP_SUBJECT_LITERAL, 2},
        {{"foo*", 4}, PP_SUBJECT_LITERAL, 1},
        {{"*foo", 4}, PP_SUBJECT_LITERAL, 1},
        {{"**", 2}, PP_SUBJECT_LITERAL, 1},
        {{">>", 2}, PP_SUBJECT_LITERAL, 1},
        {{"f>o", 3}, PP_SUBJECT_LITERAL, 1},
        {{"foo>", 4}, PP_SUBJECT_LITERAL, 1},
        {{"foo.b*.c>.d", 11}, PP_SUBJECT_LITERAL, 4},
        {{"foo.bar,*,>,baz", 15}, PP_SUBJECT_LITERAL, 2},
        {{"a\0b", 3}, PP_SUBJECT_LITERAL, 1},
        {{"\0", 1}, PP_SUBJECT_LITERAL, 1},
        {{"\xff\xae.\x2f-", 5}, PP_SUBJECT_LITERAL, 2},
        {{"a\tb.\x0c", 5}, PP_SUBJECT_LITERAL, 2},
        {{"*", 1}, PP_SUBJECT_WILDCARD, 1},
        {{">", 1}, PP_SUBJECT_WILDCARD, 1},
        {{"*.>", 3}, PP_SUBJECT_WILDCARD, 2},
        {{"foo.*", 5}, PP_SUBJECT_WILDCARD, 2},
        {{"*.foo", 5}, PP_SUBJECT_WILDCARD, 2},
        {{"foo.*.bar", 9}, PP_SUBJECT_WILDCARD, 3},
        {{"foo.>", 5}, PP_SUBJECT_WILDCARD, 2},
        {{"foo.bar*.>", 10}, PP_SUBJECT_WILDCARD, 3},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        pp_str text = cases[i].text;
        pp_subject_kind kind = pp_subject_classify(text);

        if (kind != cases[i].kind)
            fail_msg("'%.*s' is %d", PP_STR_ARGS(text), (int)kind);
        assert_int_equal(pp_subject_valid(text), kind != PP_SUBJECT_INVALID);
        assert_int_equal(pp_subject_literal(text), kind == PP_SUBJECT_LITERAL);
        assert_int_equal(pp_subject_has_wildcard(text), kind == PP_SUBJECT_WILDCARD);
        assert_int_equal(pp_subject_token_count(text), cases[i].tokens);
    }
}

/* Bytes that differ from the dot by a bit or by one, to confuse a search by words. */
static void test_subject_dot_is_found_wherever_it_stands(void **state)
{
    static const char noise[] = {'/', '-', '\xae', 'n', '\x0e', '\0', '\xff', '>'};
    char text[40];

    (void)state;
    for (size_t len = 0; len <= sizeof(text); len++) {
        for (size_t first = 0; first <= len; first++) {
            for (size_t second = first; second <= len; second++) {
                for (size_t i = 0; i < sizeof(text); i++)
                    text[i] = noise[(i * 5 + len + first + second) % sizeof(noise)];
                if (first < len)
                    text[first] = '.';
                if (second < len)
                    text[second] = '.';
                if (len < sizeof(text))
                    text[len] = '.'; /* behind the end */
                assert_int_equal(pp_subject_dot(text, len), first);
            }
        }
    }
}

static void test_subject_next_token_takes_one_by_one(void **state)
{
    pp_str rest = PP_STR("one..a-long-third-token.");

    (void)state;
    assert_true(pp_str_eq(pp_subject_next_token(&rest), PP_STR("one")));
    assert_true(pp_str_eq(pp_subject_next_token(&rest), PP_STR("")));
    assert_true(pp_str_eq(pp_subject_next_token(&rest), PP_STR("a-long-third-token")));
    assert_non_null(rest.ptr);
    assert_true(pp_str_eq(pp_subject_next_token(&rest), PP_STR("")));
    assert_null(rest.ptr);
}

static void test_subject_matches_by_tokens(void **state)
{
    static const struct {
        pp_str subject, pattern;
        bool matches;
    } cases[] = {
        {{"foo", 3}, {"foo", 3}, true},
        {{"foo", 3}, {"fo", 2}, false},
        {{"fo", 2}, {"foo", 3}, false},
        {{"foo", 3}, {"*", 1}, true},
        {{"foo", 3}, {">", 1}, true},
        {{"foo", 3}, {"foo.>", 5}, false},
        {{"foo", 3}, {"foo.*", 5}, false},
        {{"foo", 3}, {"*.>", 3}, false},
        {{"foo.bar", 7}, {"foo", 3}, false},
        {{"foo.bar", 7}, {"*", 1}, false},
        {{"foo.bar", 7}, {"foo.*", 5}, true},
        {{"foo.bar", 7}, {"*.bar", 5}, true},
        {{"foo.bar", 7}, {"*.*", 3}, true},
        {{"foo.bar", 7}, {"*.>", 3}, true},
        {{"foo.bar", 7}, {"foo.>", 5}, true},
        {{"foo.bar", 7}, {"foo.bar.>", 9}, false},
        {{"foo.bar.baz", 11}, {"foo.*.baz", 9}, true},
        {{"foo.bar.baz", 11}, {"foo.*", 5}, false},
        {{"foo.bar.baz", 11}, {"foo.>", 5}, true},
        {{"foo.bar.baz", 11}, {"*.*.*.>", 7}, false},
        /* wildcards in the subject are text */
        {{"foo.*", 5}, {"foo.bar", 7}, false},
        {{"foo.*", 5}, {"foo.*", 5}, true},
        {{"foo.*", 5}, {"foo.>", 5}, true},
        {{"foo.>", 5}, {"foo.*", 5}, true},
        {{"foo.>", 5}, {"foo.>", 5}, true},
        {{">", 1}, {"foo", 3}, false},
        {{">.foo", 5}, {"*.foo", 5}, true},
        /* wildcards that are not a whole token are text */
        {{"foobar", 6}, {"foo*", 4}, false},
        {{"foo*", 4}, {"foo*", 4}, true},
        {{"fxo", 3}, {"f>o", 3}, false},
        /* a subject with an empty token matches nothing */
        {{"", 0}, {">", 1}, false},
        {{"", 0}, {"*", 1}, false},
        {{NULL, 0}, {">", 1}, false},
        {{"foo..bar", 8}, {"foo.>", 5}, false},
        {{"foo..bar", 8}, {"foo.*.bar", 9}, false},
        {{".foo", 4}, {">", 1}, false},
        {{".foo", 4}, {"*.foo", 5}, false},
        {{"foo.", 4}, {">", 1}, false},
        {{"foo.", 4}, {"foo.>", 5}, false},
        {{"foo.", 4}, {"foo.*", 5}, false},
        {{"foo.", 4}, {"foo", 3}, false},
        {{"a\0b.c", 5}, {"a\0b.*", 5}, true},
        {{"a\0b", 3}, {"a\0c", 3}, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (pp_subject_matches(cases[i].subject, cases[i].pattern) != cases[i].matches)
            fail_msg("'%.*s' under '%.*s' is not %d", PP_STR_ARGS(cases[i].subject),
                     PP_STR_ARGS(cases[i].pattern), cases[i].matches);
    }
}

/* Write the number-th subject of a length in tokens over an alphabet; false when there is none. */
static bool spell(char *out, const char *alphabet, size_t tokens, size_t number)
{
    size_t letters = strlen(alphabet);

    for (size_t i = 0; i < tokens; i++) {
        out[2 * i] = alphabet[number % letters];
        out[2 * i + 1] = '.';
        number /= letters;
    }
    out[2 * tokens - 1] = '\0';
    return number == 0;
}

/* What subset means, by trying: no subject is under inner and not under outer. `c` stands for all
 * tokens that occur in no pattern, and one token more than any pattern has for all depths. */
static bool subset_by_trying(pp_str inner, pp_str outer)
{
    char text[2 * 4];

    for (size_t tokens = 1; tokens <= 4; tokens++) {
        for (size_t n = 0; spell(text, "abc", tokens, n); n++) {
            if (pp_subject_matches(pp_str_of(text), inner) &&
                !pp_subject_matches(pp_str_of(text), outer))
                return false;
        }
    }
    return true;
}

static void test_subject_subset_means_every_match(void **state)
{
    char inner_text[2 * 3], outer_text[2 * 3];
    size_t pairs = 0, subsets = 0;

    (void)state;
    for (size_t inner_tokens = 1; inner_tokens <= 3; inner_tokens++) {
        for (size_t i = 0; spell(inner_text, "ab*>", inner_tokens, i); i++) {
            pp_str inner = pp_str_of(inner_text);

            if (!pp_subject_valid(inner))
                continue;
            for (size_t outer_tokens = 1; outer_tokens <= 3; outer_tokens++) {
                for (size_t o = 0; spell(outer_text, "ab*>", outer_tokens, o); o++) {
                    pp_str outer = pp_str_of(outer_text);
                    bool subset;

                    if (!pp_subject_valid(outer))
                        continue;
                    subset = pp_subject_subset(inner, outer);
                    if (subset != subset_by_trying(inner, outer))
                        fail_msg("'%s' within '%s' is not %d", inner_text, outer_text, subset);
                    pairs++;
                    subsets += subset;
                }
            }
        }
    }
    assert_int_equal(pairs, 52 * 52); /* 4 + 3*4 + 3*3*4 valid ones */
    assert_true(subsets > 52 && subsets < pairs);
}

static void test_subject_subset_takes_whole_tokens(void **state)
{
    (void)state;
    assert_true(pp_subject_subset(PP_STR("foo*"), PP_STR("foo*")));
    assert_false(pp_subject_subset(PP_STR("foobar"), PP_STR("foo*")));
    assert_false(pp_subject_subset(PP_STR("foo"), PP_STR("foo.>")));
    assert_true(pp_subject_subset(PP_STR("orders.*.new"), PP_STR("orders.>")));
    assert_false(pp_subject_subset(PP_STR("orders.>"), PP_STR("orders.*")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subject_classify_follows_the_grammar),
        cmocka_unit_test(test_subject_dot_is_found_wherever_it_stands),
        cmocka_unit_test(test_subject_next_token_takes_one_by_one),
        cmocka_unit_test(test_subject_matches_by_tokens),
        cmocka_unit_test(test_subject_subset_means_every_match),
        cmocka_unit_test(test_subject_subset_takes_whole_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
