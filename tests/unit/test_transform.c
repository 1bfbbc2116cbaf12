/* Results and refusals agree with nats-server 2.15.2 unless a comment says otherwise. */
#include "core/transform.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "base/random.h"
#include "seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define BAD "invalid mapping destination: "

static pp_transform *compile(const char *source, const char *destination, pp_transform_rule rule)
{
    pp_transform *transform;
    pp_buf error;

    pp_buf_init(&error, 1024);
    if (pp_transform_new(&transform, pp_str_of(source), pp_str_of(destination), rule, &error))
        fail_msg("%s -> %s: %.*s", source, destination, PP_STR_ARGS(pp_buf_str(&error)));
    pp_buf_fini(&error);
    return transform;
}

/* Apply with every smaller room too, in memory that ends where the room does. */
static void check_result(const pp_transform *t, const char *subject, const char *want)
{
    size_t want_len = strlen(want);

    if (!pp_transform_matches(t, pp_str_of(subject)))
        fail_msg("%s is not under %.*s", subject, PP_STR_ARGS(pp_transform_source(t)));
    for (size_t cap = 0; cap <= want_len + 1; cap++) {
        char *out = malloc(cap ? cap : 1);
        size_t len = 77;
        pipit_err err = pp_transform_apply(t, pp_str_of(subject), 1, out, cap, &len);

        if (err && (err != PIPIT_ETOOBIG || cap >= want_len))
            fail_msg("%s, room %zu: %s", subject, cap, pipit_strerror(err));
        if (err)
            assert_int_equal(len, 77);
        else if (len != want_len || memcmp(out, want, len) != 0)
            fail_msg("%.*s: %s became %.*s instead of %s", PP_STR_ARGS(pp_transform_destination(t)),
                     subject, (int)len, out, want);
        free(out);
    }
}

static const struct vector {
    const char *source;
    const char *destination;
    const char *subject;
    const char *result;
} vectors[] = {
    {"foo", "bar", "foo", "bar"},
    {"foo", "bar.baz", "foo", "bar.baz"},
    {"foo.*.bar.*.baz", "req.$2.$1", "foo.A.bar.B.baz", "req.B.A"},
    {"foo.*.bar.*.baz", "{{wildcard(2)}}.{{ Wildcard (1) }}", "foo.A.bar.B.baz", "B.A"},
    {"foo.*.*", "$2.$2", "foo.A.B", "B.B"},
    {"foo.*", "x", "foo.A", "x"},
    {"foo.*", "$SYS.$1.$foo.$", "foo.A", "$SYS.A.$foo.$"},
    {"baz.>", "my.pre.>", "baz.1.2", "my.pre.1.2"},
    {"baz.>", ">", "baz.1.2", "1.2"},
    {">", "prefix.>", "foo", "prefix.foo"},
    {"", "prefix.>", "foo.bar", "prefix.foo.bar"},
    {">", ">", "a.b", "a.b"},
    {"*.a.>", "$1.>", "x.a.y.z", "x.y.z"},
    {"foo.*", "", "foo.A", "foo.A"}, /* an empty destination: no change */
    {"foo", "", "foo", "foo"},
    {"", "", "foo.bar", "foo.bar"},

    /* an index below 1 */
    {"foo.*", "$0.{{wildcard(-3)}}", "foo.A", "foo.foo"},
    {">", "$0.>", "a.b", "a.a.b"},
    {"*", "{{left(0,1)}}.$1", "xyz", "x.xyz"},

    /* partition */
    {">", "{{partition(10)}}.>", "foo", "3.foo"},
    {"*", "{{partition(10)}}", "foo", "3"},
    {"*", "{{partition(10,1)}}", "baz", "0"},
    {"*", "{{partition(10,1)}}", "qux", "9"},
    {"*.*", "{{partition(10)}}", "foo.bar", "6"},
    {"*.*", "{{partition(10)}}", "foo.baz", "4"},
    {"*.*", "{{partition(10,1,2)}}", "foo.bar", "0"}, /* the hash of foobar */
    {"*.*", "{{partition(10,2,1)}}", "bar.foo", "0"},
    {"test.subject", "p.{{partition(5)}}", "test.subject", "p.0"},
    {"foo", "p.{{partition(10)}}", "foo", "p.3"},
    {"foo", "p.{{partition(10,4,5)}}", "foo", "p.3"}, /* ignored without a wildcard */
    {"*", "{{partition(2147483647)}}", "foo", "703823576"},
    {"*", "{{partition(0)}}", "foo", "0"},
    {"*", "{{partition(1)}}", "foo", "0"},
    {"*", "{{partition(-1)}}", "foo", "2851307223"},
    {"*", "{{random(0)}}", "foo", "0"},
    {"*", "{{random(1)}}", "foo", "0"},
    {"foo", "a.{{random(1)}}.b", "foo", "a.0.b"},

    /* cut by bytes */
    {"*", "{{splitfromleft(1,3)}}", "12345", "123.45"},
    {"*", "{{SplitFromRight(1,3)}}", "12345", "12.345"},
    {"*", "{{splitfromleft(1,5)}}", "12345", "12345"},
    {"*", "{{splitfromleft(1,4)}}", "12345", "1234.5"},
    {"*", "{{splitfromleft(1,0)}}", "12345", "12345"},
    {"*", "{{splitfromright(1,-1)}}", "12345", "12345"},
    {"*", "{{slicefromleft(1,3)}}", "1234567890", "123.456.789.0"},
    {"*", "{{SliceFromRight(1,3)}}", "1234567890", "1.234.567.890"},
    {"*", "{{slicefromleft(1,3)}}", "123456", "123.456"},
    {"*", "{{slicefromright(1,3)}}", "123456", "123.456"},
    {"*", "{{slicefromright(1,1)}}", "abc", "a.b.c"},
    {"*", "{{slicefromleft(1,2)}}", "abc", "ab.c"},
    {"*", "{{slicefromleft(1,3)}}", "abc", "abc"},
    {"*", "{{slicefromleft(1,2147483647)}}", "abc", "abc"},
    {"*", "{{left(1,2)}}.{{right(1,2)}}", "abcde", "ab.de"},
    {"*", "{{left(1,9)}}.{{right(1,0)}}", "abcde", "abcde.abcde"},
    {"*", "{{left(1,1)}}.x", "\xc3\xa9", "\xc3.x"}, /* bytes, not characters */

    /* split */
    {"*", "{{split(1,-)}}", "-abc-def--ghi-", "abc.def.ghi"},
    {"*", "{{split(1,-)}}", "abc", "abc"},
    {"*", "{{split(1,-)}}", "a-b", "a.b"},
    {"*", "{{split(1,--)}}", "a-b--c---d", "a-b.c.-d"},
    {"*", "{{split(1,abcdef)}}", "abc", "abc"},
    {"*", "{{split(1,))}}", "a)b", "a.b"},
    {"*", "{{split(1,)}}", "ab\xc3\xa9\xc3", "a.b.\xc3\xa9.\xc3"},
    {"*", "{{split(1,)}}", "\xf0\x9f\x90\xa6x\x80", "\xf0\x9f\x90\xa6.x.\x80"},
    {"*.*", "{{split(1,-)}}.{{split(2,_)}}", "a-b.c_d", "a.b.c.d"},
    {"*", "{{split(1,-)}}", "--abc", "abc"},     /* there: .abc */
    {"*", "x.{{split(1,-)}}.y", "--", "x.--.y"}, /* there: x..y */
};

static void test_transform_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        pp_transform *t = compile(vectors[i].source, vectors[i].destination, PP_TRANSFORM_ANY);

        check_result(t, vectors[i].subject, vectors[i].result);
        pp_transform_free(t);
    }
}

static const struct refusal {
    const char *source;
    const char *destination;
    const char *text;
} refusals[] = {
    {"foo..bar", "a", "invalid subject"},
    {"foo.", "a", "invalid subject"},
    {">.foo", "a", "invalid subject"},
    {"foo", "a..b", "invalid subject"},
    {"foo", "a.*", "invalid subject"},
    {"foo.*", "a.*", "invalid subject"},
    {"foo.>", "a", "invalid subject"},
    {"foo", "a.>", "invalid subject"},
    {"foo.>", "a.>.b", "invalid subject"},
    {"foo.*", "$2", BAD "wildcard index out of range in $2: [2]"},
    {"foo.>", "$1.>", BAD "wildcard index out of range in $1: [1]"},
    {"foo.*", "a.{{partition(3,1,2)}}",
     BAD "wildcard index out of range in {{partition(3,1,2)}}: [2]"},
    {"foo", "$1", BAD "wildcard index out of range in $1"},
    {"foo", "{{left(1,2)}}", BAD "wildcard index out of range in {{left(1,2)}}"},
    {"foo.*", "{{nope(1)}}", BAD "unknown function in {{nope(1)}}"},
    {"foo", "{{nope(1)}}", BAD "unknown function in {{nope(1)}}"},
    {"foo.*", "a.{{wildcard()}}",
     BAD "not enough arguments passed to the function in {{wildcard()}}"},
    {"foo.*", "{{wildcard(1,1)}}",
     BAD "too many arguments passed to the function in {{wildcard(1,1)}}"},
    {"foo.*", "{{wildcard(x)}}",
     BAD "function argument is invalid or in the wrong format in {{wildcard(x)}}"},
    {"foo.*", "{{partition(2147483648)}}",
     BAD "function argument is invalid or in the wrong format in {{partition(2147483648)}}"},
};

static const struct refusal irreversible[] = {
    {"foo.*.*", "a.$1", BAD "not using all of the token wildcard(s) in a.$1"},
    {"foo.*", "a", BAD "not using all of the token wildcard(s) in a"},
    {"foo.*", "a.{{left(1,2)}}",
     BAD "the only mapping function allowed for import transforms is {{Wildcard()}} in "
         "{{left(1,2)}}"},
    {"foo.*", "a.$1.{{random(3)}}",
     BAD "the only mapping function allowed for import transforms is {{Wildcard()}} in "
         "{{random(3)}}"},
    {"foo.*", "a.$2", BAD "wildcard index out of range in $2: [2]"},
    /* Refused here only: these cannot be reversed either. */
    {"foo.*.*", "a.$1.$1", BAD "not using all of the token wildcard(s) in a.$1.$1"},
    {"foo.*", "a.$0", BAD "wildcard index out of range in $0: [0]"},
    {"foo", "{{partition(3)}}",
     BAD "the only mapping function allowed for import transforms is {{Wildcard()}} in "
         "{{partition(3)}}"},
};

static void check_refusal(const struct refusal *row, pp_transform_rule rule)
{
    pp_str source = pp_str_of(row->source), destination = pp_str_of(row->destination);
    pp_transform *t = NULL;
    pp_buf error;
    pipit_err err;

    pp_buf_init(&error, 1024);
    assert_int_equal(pp_buf_addf(&error, "line 7: "), PIPIT_OK);
    err = pp_transform_new(&t, source, destination, rule, &error);
    if (err != PIPIT_EINVAL)
        fail_msg("%s -> %s: %s", row->source, row->destination, pipit_strerror(err));
    assert_null(t);
    if (error.len != 8 + strlen(row->text) || memcmp(error.ptr + 8, row->text, error.len - 8) != 0)
        fail_msg("%s -> %s: %.*s", row->source, row->destination, PP_STR_ARGS(pp_buf_str(&error)));
    pp_buf_fini(&error);
    assert_int_equal(pp_transform_new(&t, source, destination, rule, NULL), PIPIT_EINVAL);
}

static void test_transform_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refusals); i++)
        check_refusal(&refusals[i], PP_TRANSFORM_ANY);
    for (size_t i = 0; i < COUNT_OF(irreversible); i++)
        check_refusal(&irreversible[i], PP_TRANSFORM_REVERSIBLE);
}

static void test_transform_reversible_is_accepted(void **state)
{
    static const struct vector good[] = {
        {"foo.*.*", "a.$2.{{wildcard(1)}}", "foo.1.2", "a.2.1"},
        {"foo.*.*", "$1.$2.$1", "foo.1.2", "1.2.1"},
        {"foo", "bar", "foo", "bar"},
        {"foo.*.>", "bar.$1.x.>", "foo.1.2.3", "bar.1.x.2.3"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        pp_transform *t = compile(good[i].source, good[i].destination, PP_TRANSFORM_REVERSIBLE);

        check_result(t, good[i].subject, good[i].result);
        pp_transform_free(t);
    }
}

static void test_transform_keeps_its_own_texts(void **state)
{
    char source[] = "foo.*", destination[] = "a.{{split(1,-)}}.b";
    pp_transform *t = compile(source, destination, PP_TRANSFORM_ANY);

    (void)state;
    memset(source, '?', sizeof(source) - 1);
    memset(destination, '?', sizeof(destination) - 1);
    assert_true(pp_str_eq(pp_transform_source(t), PP_STR("foo.*")));
    assert_true(pp_str_eq(pp_transform_destination(t), PP_STR("a.{{split(1,-)}}.b")));
    assert_false(pp_transform_random(t));
    check_result(t, "foo.x-y", "a.x.y.b");
    assert_false(pp_transform_matches(t, PP_STR("foo")));
    assert_false(pp_transform_matches(t, PP_STR("foo.a.b")));
    assert_false(pp_transform_matches(t, PP_STR("foo.")));
    pp_transform_free(t);
    pp_transform_free(NULL);
}

static void test_transform_of_a_subject_too_short(void **state)
{
    pp_transform *t = compile("a.*.*.>", "$1.$2.>", PP_TRANSFORM_ANY);
    char out[100];
    size_t len = 77;

    (void)state;
    assert_int_equal(pp_transform_apply(t, PP_STR("a.b.c"), 0, out, sizeof(out), &len),
                     PIPIT_EINVAL);
    assert_int_equal(pp_transform_apply(t, (pp_str){0}, 0, out, sizeof(out), &len), PIPIT_EINVAL);
    assert_int_equal(len, 77);
    pp_transform_free(t);
}

/* The model: join what is to be hashed, then hash it in 64 bits and cut each step to 32. */
static unsigned model_partition(char tokens[3][12], const int *picked, size_t picked_count,
                                unsigned count)
{
    char key[64] = "";
    uint64_t hash = 2166136261;

    if (picked_count == 0)
        (void)snprintf(key, sizeof(key), "%s.%s.%s", tokens[0], tokens[1], tokens[2]);
    for (size_t i = 0; i < picked_count; i++)
        (void)strcat(key, tokens[picked[i] - 1]);
    for (const char *at = key; *at; at++) {
        hash ^= (uint8_t)*at;
        hash = hash * 16777619 % ((uint64_t)1 << 32);
    }
    return (unsigned)(hash % count);
}

static void test_transform_partition_is_the_models(void **state)
{
    uint64_t random = test_seed("partition");

    (void)state;
    for (int round = 0; round < 2000; round++) {
        char tokens[3][12], subject[40], destination[80], want[16];
        int picked[4];
        size_t picked_count = pp_random_below(&random, 5), at;
        unsigned count = 1 + pp_random_below(&random, round % 2 ? 20 : INT32_MAX);
        pp_transform *t;

        for (int i = 0; i < 3; i++) {
            size_t len = 1 + pp_random_below(&random, 10);

            for (size_t k = 0; k < len; k++)
                tokens[i][k] = (char)(0x80 + pp_random_below(&random, 0x7f));
            tokens[i][len] = '\0';
        }
        at = (size_t)snprintf(destination, sizeof(destination), "{{partition(%u", count);
        for (size_t i = 0; i < picked_count; i++) {
            picked[i] = 1 + (int)pp_random_below(&random, 3);
            at += (size_t)snprintf(destination + at, sizeof(destination) - at, ",%d", picked[i]);
        }
        (void)snprintf(destination + at, sizeof(destination) - at, ")}}");
        (void)snprintf(subject, sizeof(subject), "%s.%s.%s", tokens[0], tokens[1], tokens[2]);
        (void)snprintf(want, sizeof(want), "%u",
                       model_partition(tokens, picked, picked_count, count));
        t = compile("*.*.*", destination, PP_TRANSFORM_ANY);
        check_result(t, subject, want);
        pp_transform_free(t);
    }
}

/* Each number below the bound comes up about as often, and two in one destination on their own. */
static void test_transform_random_is_even(void **state)
{
    enum { SIDES = 5, ROUNDS = 20000 };
    static unsigned pairs[SIDES][SIDES];
    pp_transform *t = compile("dice", "{{random(5)}}.{{random(-5)}}", PP_TRANSFORM_ANY);
    uint64_t random = 0x5eed;
    double chi = 0, expected = (double)ROUNDS / (SIDES * SIDES);

    (void)state;
    assert_true(pp_transform_random(t));
    for (int i = 0; i < ROUNDS; i++) {
        char out[8];
        size_t len;

        assert_int_equal(
            pp_transform_apply(t, PP_STR("dice"), pp_random_next(&random), out, sizeof(out), &len),
            PIPIT_OK);
        assert_int_equal(len, 3);
        assert_true(out[0] >= '0' && out[0] < '0' + SIDES && out[2] >= '0' && out[2] < '0' + SIDES);
        pairs[out[0] - '0'][out[2] - '0']++;
    }
    for (int i = 0; i < SIDES * SIDES; i++) {
        double off = pairs[i / SIDES][i % SIDES] - expected;

        chi += off * off / expected;
    }
    assert_true(chi < 51.2); /* 24 degrees of freedom: once in a thousand seeds */
    pp_transform_free(t);
}

/* Repeat token until there are count of them; the caller frees. */
static char *repeat(const char *token, size_t count)
{
    size_t len = strlen(token);
    char *text = malloc(count * (len + 1) + 1);

    for (size_t i = 0; i < count; i++) {
        memcpy(text + i * (len + 1), token, len);
        text[i * (len + 1) + len] = '.';
    }
    text[count * (len + 1) - 1] = '\0';
    return text;
}

static void check_repeated(const char *source, const char *token, size_t count, pipit_err want)
{
    char *destination = repeat(token, count);
    pp_transform *t = NULL;
    pp_buf error;
    pipit_err err;

    pp_buf_init(&error, 1024);
    err = pp_transform_new(&t, pp_str_of(source), pp_str_of(destination), PP_TRANSFORM_ANY, &error);
    if (err != want)
        fail_msg("%zu times %s: %s", count, token, pipit_strerror(err));
    assert_true(!err || error.len > 0);
    pp_transform_free(t);
    pp_buf_fini(&error);
    free(destination);
}

static void test_transform_hostile_destinations(void **state)
{
    (void)state;
    check_repeated("*", "a", 10000, PIPIT_OK);
    check_repeated("*", "{{", 10000, PIPIT_OK); /* never closed: literal */
    check_repeated("*", "$1", 10000, PIPIT_ELIMIT);
    check_repeated("*", "$1", PP_TRANSFORM_FUNCTIONS_MAX, PIPIT_OK);
    check_repeated("*", "$1", PP_TRANSFORM_FUNCTIONS_MAX + 1, PIPIT_ELIMIT);
    check_repeated("*", "{{random(2)}}", PP_TRANSFORM_FUNCTIONS_MAX, PIPIT_OK);
    check_repeated("*", "{{random(2)}}", PP_TRANSFORM_FUNCTIONS_MAX + 1, PIPIT_ELIMIT);
    check_repeated("*", "{{partition(2,1,1)}}", PP_TRANSFORM_FUNCTIONS_MAX / 2, PIPIT_OK);
    check_repeated("*", "{{partition(2,1,1)}}", PP_TRANSFORM_FUNCTIONS_MAX / 2 + 1, PIPIT_ELIMIT);
    check_repeated("*", "a", PP_TRANSFORM_TEXT_MAX / 2, PIPIT_OK);
    check_repeated("*", "a", PP_TRANSFORM_TEXT_MAX / 2 + 1, PIPIT_ETOOBIG);
    check_repeated("*", "{{wildcard(99999999999999999999999999)}}", 1, PIPIT_EINVAL);
    check_repeated("*", "{{left(1,-99999999999999999999999999)}}", 1, PIPIT_EINVAL);
}

static void test_transform_hostile_sources(void **state)
{
    char *many = repeat("*", PP_TRANSFORM_TEXT_MAX / 2);
    char *more = repeat("*", PP_TRANSFORM_TEXT_MAX / 2 + 1);
    static char token[2000];
    pp_transform *t = NULL;
    pp_buf error;

    (void)state;
    t = compile(many, "$1.$32768.$2", PP_TRANSFORM_ANY);
    pp_transform_free(t);
    t = NULL;
    assert_int_equal(pp_transform_new(&t, pp_str_of(more), PP_STR("$1"), PP_TRANSFORM_ANY, NULL),
                     PIPIT_ETOOBIG);
    assert_null(t);

    /* A long token is cut in the error. */
    memset(token, '(', 1999);
    memcpy(token, "{{", 2);
    memcpy(token + 1997, "}}", 2);
    pp_buf_init(&error, 300);
    assert_int_equal(pp_transform_new(&t, PP_STR("*"), pp_str_of(token), PP_TRANSFORM_ANY, &error),
                     PIPIT_EINVAL);
    assert_true(error.len > 100 && memcmp(error.ptr + error.len - 3, "...", 3) == 0);
    pp_buf_fini(&error);
    free(more);
    free(many);
}

static void test_transform_result_has_a_limit(void **state)
{
    enum { TOKEN = 4096 };
    static char subject[TOKEN], out[2 * PP_TRANSFORM_RESULT_MAX];
    char *sixteen = repeat("$1", 16);
    char *slices = repeat("{{slicefromleft(1,1)}}", 9);
    pp_transform *t = compile("*", sixteen, PP_TRANSFORM_ANY);
    size_t len;

    (void)state;
    memset(subject, 'x', sizeof(subject));
    assert_int_equal(pp_transform_apply(t, (pp_str){subject, TOKEN - 1}, 0, out, sizeof(out), &len),
                     PIPIT_OK);
    assert_int_equal(len, 16 * TOKEN - 1);
    assert_int_equal(pp_transform_apply(t, (pp_str){subject, TOKEN}, 0, out, sizeof(out), &len),
                     PIPIT_ETOOBIG);
    pp_transform_free(t);
    t = compile("*", slices, PP_TRANSFORM_ANY);
    assert_int_equal(pp_transform_apply(t, (pp_str){subject, TOKEN}, 0, out, sizeof(out), &len),
                     PIPIT_ETOOBIG);
    pp_transform_free(t);
    free(slices);
    free(sixteen);
}

static void test_transform_fault_sweep(void **state)
{
    int64_t live_before = pp_alloc_live();
    unsigned nth;

    (void)state;
    for (nth = 1;; nth++) {
        static const char *const destinations[] = {"x.$2.{{split(1,-)}}", "x.$3"};
        bool failed = false;

        for (size_t i = 0; i < COUNT_OF(destinations); i++) {
            pp_transform *t = NULL;
            pp_buf error;
            pipit_err err;

            pp_buf_init(&error, 1024);
            pp_fault_arm("*", nth);
            err = pp_transform_new(&t, PP_STR("a.*.*"), pp_str_of(destinations[i]),
                                   PP_TRANSFORM_ANY, &error);
            failed = pp_fault_disarm() || failed;
            if (i == 0)
                assert_int_equal(err, nth == 1 ? PIPIT_ENOMEM : PIPIT_OK);
            else
                assert_int_equal(err, PIPIT_EINVAL);
            assert_true((t != NULL) == (err == PIPIT_OK));
            pp_transform_free(t);
            pp_buf_fini(&error);
            assert_int_equal(pp_alloc_live(), live_before);
        }
        if (!failed)
            break;
    }
    assert_true(nth > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transform_vectors),
        cmocka_unit_test(test_transform_refuses),
        cmocka_unit_test(test_transform_reversible_is_accepted),
        cmocka_unit_test(test_transform_keeps_its_own_texts),
        cmocka_unit_test(test_transform_of_a_subject_too_short),
        cmocka_unit_test(test_transform_partition_is_the_models),
        cmocka_unit_test(test_transform_random_is_even),
        cmocka_unit_test(test_transform_hostile_destinations),
        cmocka_unit_test(test_transform_hostile_sources),
        cmocka_unit_test(test_transform_result_has_a_limit),
        cmocka_unit_test(test_transform_fault_sweep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
