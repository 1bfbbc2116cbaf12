/* Outcomes and refusals are what nats-server 2.15.2 did with the same mappings, unless a comment
 * says otherwise. */
#include "core/mapping.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "base/random.h"
#include "core/transform.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define OPTIONS(...)                                                                               \
    (const pp_mapping_destination[]){__VA_ARGS__},                                                 \
        sizeof((const pp_mapping_destination[]){__VA_ARGS__}) / sizeof(pp_mapping_destination)
#define TO(destination) OPTIONS({destination, 100, NULL})

static pp_mappings *make(const pp_mapping_entry *entries, size_t count, const char *cluster)
{
    pp_mappings *mappings;
    pp_buf error;

    pp_buf_init(&error, 1024);
    if (pp_mappings_new(&mappings, entries, count, cluster, &error))
        fail_msg("%.*s", PP_STR_ARGS(pp_buf_str(&error)));
    pp_buf_fini(&error);
    return mappings;
}

/* Where it goes for this random number: "" nowhere, NULL not mapped. */
static const char *map(const pp_mappings *mappings, const char *subject, uint64_t random)
{
    static char out[256];
    const pp_mapping *mapping = pp_mappings_find(mappings, pp_str_of(subject));
    size_t len;

    if (!mapping)
        return NULL;
    assert_int_equal(
        pp_mapping_apply(mapping, pp_str_of(subject), random, out, sizeof(out) - 1, &len),
        PIPIT_OK);
    out[len] = '\0';
    return out;
}

static void check_map(const pp_mappings *mappings, const char *subject, const char *want)
{
    const char *got = map(mappings, subject, 0x1234567890abcdef);

    if (want ? !got || strcmp(got, want) != 0 : got != NULL)
        fail_msg("%s became %s instead of %s", subject, got ? got : "unmapped",
                 want ? want : "unmapped");
}

static void test_mapping_finds_literal_sources_first_then_in_order(void **state)
{
    const pp_mapping_entry entries[] = {
        {"a.*", TO("star.$1")},
        {"a.>", TO("rest.>")},
        {"a.b", TO("literal")},
        {"foo.*.bar.*.baz", TO("req.$2.$1")},
        {"baz.>", TO("my.pre.>")},
        {"*.b.*", TO("late.$2")},
        {"literal", TO("no.second.time")},
        {"part", TO("part.{{partition(10)}}")},
        {"z.>", TO("first.>")},
        {"z.*", TO("second.$1")},
    };
    pp_mappings *mappings = make(entries, COUNT_OF(entries), NULL);

    (void)state;
    check_map(mappings, "a.b", "literal");
    check_map(mappings, "a.c", "star.c");
    check_map(mappings, "a.b.c", "rest.b.c");
    check_map(mappings, "x.b.c", "late.c");
    check_map(mappings, "foo.A.bar.B.baz", "req.B.A");
    check_map(mappings, "baz.1.2", "my.pre.1.2");
    check_map(mappings, "part", "part.8"); /* there: the hash of nothing */
    check_map(mappings, "baz", NULL);
    check_map(mappings, "a", NULL);
    check_map(mappings, "a.", NULL);
    check_map(mappings, "a..b", NULL);
    check_map(mappings, "", NULL);
    check_map(mappings, "a.*", "star.*"); /* wildcards in a published subject are text */
    check_map(mappings, "z.*", "first.*");
    assert_null(pp_mappings_find(mappings, (pp_str){0}));
    pp_mappings_free(mappings);
}

static void test_mapping_a_source_that_comes_again_replaces(void **state)
{
    const pp_mapping_entry entries[] = {
        {"a.*", TO("old.$1")}, {"a.>", TO("rest.>")}, {"b", TO("old")},
        {"a.*", TO("new.$1")}, {"b", TO("new")},
    };
    pp_mappings *mappings = make(entries, COUNT_OF(entries), NULL);

    (void)state;
    check_map(mappings, "a.x", "new.x"); /* in its first place */
    check_map(mappings, "b", "new");
    pp_mappings_free(mappings);
}

static void test_mapping_of_none(void **state)
{
    pp_mappings *mappings = make(NULL, 0, NULL);

    (void)state;
    check_map(mappings, "a", NULL);
    pp_mappings_free(mappings);
    pp_mappings_free(NULL);
}

static void test_mapping_keeps_its_own_texts(void **state)
{
    char source[] = "a.*", destination[] = "b.$1";
    pp_mapping_destination option = {destination, 100, NULL};
    pp_mapping_entry entry = {source, &option, 1};
    pp_mappings *mappings = make(&entry, 1, NULL);

    (void)state;
    memset(source, '?', sizeof(source) - 1);
    memset(destination, '?', sizeof(destination) - 1);
    check_map(mappings, "a.x", "b.x");
    pp_mappings_free(mappings);
}

/* Which options count, by the server's cluster; constant outcomes. */
static void test_mapping_of_a_cluster(void **state)
{
    const struct {
        pp_mapping_entry entry;
        const char *cluster;
        const char *want;
    } cases[] = {
        {{"a", OPTIONS({"a1", 100, "east"}, {"a2", 100, NULL})}, "east", "a1"},
        {{"a", OPTIONS({"a1", 100, "east"}, {"a2", 100, NULL})}, "west", "a2"},
        {{"a", OPTIONS({"a1", 100, "east"}, {"a2", 100, NULL})}, NULL, "a2"},
        {{"a", OPTIONS({"a1", 100, "east"}, {"a2", 100, ""})}, "", "a2"},
        {{"a", OPTIONS({"a2", 100, NULL}, {"a1", 0, "east"})}, "east", "a"},
        {{"a", OPTIONS({"a1", 100, "east"})}, NULL, "a"},
        {{"a", OPTIONS({"a1", 100, "east"})}, "west", "a"},
        {{"a", OPTIONS({"a1", 100, "east"}, {"a", 0, "west"})}, NULL, ""},
        {{"a", OPTIONS({"a1", 0, NULL})}, NULL, "a"},
        {{"a", OPTIONS({"a", 0, NULL})}, NULL, ""},
        {{"a", OPTIONS({"a", 100, NULL})}, NULL, "a"},
        {{"a", OPTIONS({"a1", 100, NULL}, {"a2", 0, NULL})}, NULL, "a1"},
        {{"a", NULL, 0}, NULL, "a"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        pp_mappings *mappings = make(&cases[i].entry, 1, cases[i].cluster);

        check_map(mappings, "a", cases[i].want);
        assert_true(pp_mapping_constant(pp_mappings_find(mappings, PP_STR("a"))));
        pp_mappings_free(mappings);
    }
}

static void test_mapping_constant_or_not(void **state)
{
    const struct {
        pp_mapping_entry entry;
        bool constant;
    } cases[] = {
        {{"a.*", TO("b.$1")}, true},
        {{"a.*", TO("b.{{partition(3)}}")}, true},
        {{"a.*", TO("b.{{random(3)}}")}, false},
        {{"a.*", OPTIONS({"b", 99, NULL})}, false},
        {{"a.*", OPTIONS({"b", 50, NULL}, {"c", 50, NULL})}, false},
        {{"a.*", OPTIONS({"b.{{random(3)}}", 0, NULL}, {"c", 100, NULL})}, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        pp_mappings *mappings = make(&cases[i].entry, 1, NULL);

        assert_int_equal(pp_mapping_constant(pp_mappings_find(mappings, PP_STR("a.x"))),
                         cases[i].constant);
        pp_mappings_free(mappings);
    }
}

struct share {
    const char *subject;
    unsigned percent;
};

/* Each outcome as often as its weight says: chi-square over a fixed run of numbers. */
static void check_shares(const pp_mapping_entry *entry, const char *subject,
                         const struct share *shares, size_t share_count)
{
    enum { ROUNDS = 20000 };
    pp_mappings *mappings = make(entry, 1, NULL);
    unsigned counts[8] = {0};
    uint64_t random = 0x5eed;
    double chi = 0;

    for (int i = 0; i < ROUNDS; i++) {
        const char *got = map(mappings, subject, pp_random_next(&random));
        size_t at = 0;

        while (at < share_count && strcmp(shares[at].subject, got) != 0)
            at++;
        if (at == share_count)
            fail_msg("%s became %s", subject, got);
        counts[at]++;
    }
    for (size_t i = 0; i < share_count; i++) {
        double expected = ROUNDS / 100.0 * shares[i].percent;
        double off = counts[i] - expected;

        chi += off * off / expected;
    }
    if (chi >= 16.3) /* 3 degrees of freedom at the most: once in a thousand seeds */
        fail_msg("%s: %u %u %u %u", subject, counts[0], counts[1], counts[2], counts[3]);
    pp_mappings_free(mappings);
}

#define SHARES(...)                                                                                \
    (const struct share[]){__VA_ARGS__},                                                           \
        sizeof((const struct share[]){__VA_ARGS__}) / sizeof(struct share)

static void test_mapping_weights(void **state)
{
    const pp_mapping_entry rest_kept = {"a", OPTIONS({"a1", 30, NULL}, {"a2", 20, NULL})};
    const pp_mapping_entry rest_lost = {"a", OPTIONS({"a1", 30, NULL}, {"a", 20, NULL})};
    const pp_mapping_entry wild = {
        "a.*", OPTIONS({"x.$1", 1, NULL}, {"y.$1", 70, NULL}, {"$1.z", 9, NULL})};
    const pp_mapping_entry wild_lost = {"a.>", OPTIONS({"b.>", 30, NULL}, {"a.>", 0, NULL})};
    const pp_mapping_entry all = {"a", OPTIONS({"b", 90, NULL}, {"c", 10, NULL})};
    const pp_mapping_entry dice = {"a", OPTIONS({"b.{{random(2)}}", 50, NULL})};

    (void)state;
    check_shares(&rest_kept, "a", SHARES({"a1", 30}, {"a2", 20}, {"a", 50}));
    check_shares(&rest_lost, "a", SHARES({"a1", 30}, {"a", 20}, {"", 50}));
    check_shares(&wild, "a.q", SHARES({"x.q", 1}, {"y.q", 70}, {"q.z", 9}, {"a.q", 20}));
    check_shares(&wild_lost, "a.q.r", SHARES({"b.q.r", 30}, {"", 70}));
    check_shares(&all, "a", SHARES({"b", 90}, {"c", 10}));
    check_shares(&dice, "a", SHARES({"b.0", 25}, {"b.1", 25}, {"a", 50}));
}

static void test_mapping_results_need_room(void **state)
{
    const pp_mapping_entry entries[] = {{"long", TO("longer")},
                                        {"kept", OPTIONS({"x", 0, NULL})},
                                        {"lost", OPTIONS({"lost", 0, NULL})}};
    pp_mappings *mappings = make(entries, COUNT_OF(entries), NULL);
    const pp_mapping *longer = pp_mappings_find(mappings, PP_STR("long"));
    const pp_mapping *kept = pp_mappings_find(mappings, PP_STR("kept"));
    const pp_mapping *lost = pp_mappings_find(mappings, PP_STR("lost"));
    char out[16];
    size_t len = 77;

    (void)state;
    assert_int_equal(pp_mapping_apply(longer, PP_STR("long"), 0, out, 5, &len), PIPIT_ETOOBIG);
    assert_int_equal(pp_mapping_apply(kept, PP_STR("kept"), 0, out, 3, &len), PIPIT_ETOOBIG);
    assert_int_equal(len, 77);
    assert_int_equal(pp_mapping_apply(longer, PP_STR("long"), 0, out, 6, &len), PIPIT_OK);
    assert_int_equal(len, 6);
    assert_int_equal(pp_mapping_apply(kept, PP_STR("kept"), 0, out, 4, &len), PIPIT_OK);
    assert_int_equal(len, 4);
    assert_int_equal(pp_mapping_apply(lost, PP_STR("lost"), 0, out, 0, &len), PIPIT_OK);
    assert_int_equal(len, 0);
    pp_mappings_free(mappings);
}

static const struct refusal {
    pp_mapping_entry entry;
    const char *text;
} refusals[] = {
    {{"", TO("b")}, "Subject \"\" is not a valid subject"},
    {{NULL, TO("b")}, "Subject \"\" is not a valid subject"},
    {{"a..b", TO("b")}, "Subject \"a..b\" is not a valid subject"},
    {{"a b", TO("b")}, "Subject \"a b\" is not a valid subject"},
    {{"a", TO("b c")},
     "Error adding mapping for \"a\" : invalid mapping destination: invalid transform"},
    {{"a", TO("b..c")},
     "Error adding mapping for \"a\" : invalid mapping destination: invalid transform"},
    {{"a.>", TO("b.>.c")},
     "Error adding mapping for \"a.>\" : invalid mapping destination: invalid transform"},
    {{"a", TO("b.*")}, "Error adding mapping for \"a\" : invalid subject"},
    {{"a.>", TO("b")}, "Error adding mapping for \"a.>\" : invalid subject"},
    {{"a.*", TO("b.{{nope(1)}}")},
     "Error adding mapping for \"a.*\" : invalid mapping destination: unknown function in "
     "{{nope(1)}}"},
    {{"a.*", TO("b.$2")},
     "Error adding mapping for \"a.*\" : invalid mapping destination: wildcard index out of range "
     "in $2: [2]"},
    {{"a", OPTIONS({"b", 101, NULL})},
     "Error adding mapping for \"a\" : individual weights need to be <= 100"},
    {{"a", OPTIONS({"b", UINT32_MAX, NULL})},
     "Error adding mapping for \"a\" : individual weights need to be <= 100"},
    {{"a", OPTIONS({"b", 60, NULL}, {"c", 41, NULL})},
     "Error adding mapping for \"a\" : total weight needs to be <= 100"},
    {{"a", OPTIONS({"b", 60, "x"}, {"d", 100, NULL}, {"c", 41, "x"})},
     "Error adding mapping for \"a\" : total weight needs to be <= 100"},
    {{"a", OPTIONS({"b", 60, NULL}, {"b", 10, NULL})},
     "Error adding mapping for \"a\" : duplicate entry for \"b\""},
    {{"a", OPTIONS({"b", 60, "x"}, {"b", 10, NULL})},
     "Error adding mapping for \"a\" : duplicate entry for \"b\""},
    {{"a", OPTIONS({"b", 60, NULL}, {"c.$1", 10, "other"})}, /* though it would not count */
     "Error adding mapping for \"a\" : invalid mapping destination: wildcard index out of range in "
     "$1"},
    /* Refused here only: nats-server panics at the first message. */
    {{"a", TO("")},
     "Error adding mapping for \"a\" : invalid mapping destination: invalid transform"},
    {{"a", TO(NULL)},
     "Error adding mapping for \"a\" : invalid mapping destination: invalid transform"},
};

static void test_mapping_refuses(void **state)
{
    const pp_mapping_entry good = {"good", TO("better")};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        pp_mapping_entry entries[] = {good, refusals[i].entry, good};
        int64_t live_before = pp_alloc_live();
        pp_mappings *mappings = NULL;
        pp_buf error;

        pp_buf_init(&error, 1024);
        assert_int_equal(pp_mappings_new(&mappings, entries, 3, NULL, &error), PIPIT_EINVAL);
        assert_null(mappings);
        if (!pp_str_eq(pp_buf_str(&error), pp_str_of(refusals[i].text)))
            fail_msg("%.*s", PP_STR_ARGS(pp_buf_str(&error)));
        pp_buf_fini(&error);
        assert_int_equal(pp_mappings_new(&mappings, entries, 3, NULL, NULL), PIPIT_EINVAL);
        assert_int_equal(pp_alloc_live(), live_before);
    }
}

static void test_mapping_accepts(void **state)
{
    const pp_mapping_entry entries[] = {
        {"a", TO("b.{{ partition(3) }}")}, /* blanks in a function */
        {"b.*", OPTIONS({"b.$1", 80, NULL}, {"c.$1", 80, "x"})},
        {"$foo.>", TO("$bar.>")},
        /* Accepted here only: there the remainder is a transform, in which $1 means something. */
        {"foo.$1", OPTIONS({"b", 10, NULL})},
    };

    (void)state;
    pp_mappings_free(make(entries, COUNT_OF(entries), NULL));
}

static void test_mapping_of_many(void **state)
{
    enum { COUNT = 5000 };
    static pp_mapping_destination options[COUNT];
    static pp_mapping_entry entries[COUNT];
    static char sources[COUNT][16], destinations[COUNT][16];
    pp_mappings *mappings = NULL;

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(sources[i], sizeof(sources[i]), "s.%d%s", i, i % 10 ? "" : ".*");
        (void)snprintf(destinations[i], sizeof(destinations[i]), "d.%d", i);
        options[i] = (pp_mapping_destination){destinations[i], 100, NULL};
        entries[i] = (pp_mapping_entry){sources[i], &options[i], 1};
    }
    mappings = make(entries, COUNT, NULL);
    for (int i = 0; i < COUNT; i++) {
        char subject[16];

        (void)snprintf(subject, sizeof(subject), "s.%d%s", i, i % 10 ? "" : ".x");
        check_map(mappings, subject, destinations[i]);
    }
    pp_mappings_free(mappings);
    assert_int_equal(pp_mappings_new(&mappings, entries, PP_MAPPINGS_MAX + 1, NULL, NULL),
                     PIPIT_ELIMIT);
    entries[0].option_count = PP_MAPPING_OPTIONS_MAX + 1;
    assert_int_equal(pp_mappings_new(&mappings, entries, 1, NULL, NULL), PIPIT_ELIMIT);
}

static void test_mapping_fault_sweep(void **state)
{
    const pp_mapping_entry entries[] = {
        {"a.*", OPTIONS({"b.$1", 50, NULL}, {"c.$1", 50, "x"})},
        {"a.*", TO("d")},
        {"e", TO("f")},
    };
    int64_t live_before = pp_alloc_live();
    unsigned nth;

    (void)state;
    for (nth = 1;; nth++) {
        pp_mappings *mappings = NULL;
        pipit_err err;

        pp_fault_arm("*", nth);
        err = pp_mappings_new(&mappings, entries, COUNT_OF(entries), NULL, NULL);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            pp_mappings_free(mappings);
            break;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        assert_null(mappings);
        assert_int_equal(pp_alloc_live(), live_before);
    }
    assert_true(nth > 10);
    assert_int_equal(pp_alloc_live(), live_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapping_finds_literal_sources_first_then_in_order),
        cmocka_unit_test(test_mapping_a_source_that_comes_again_replaces),
        cmocka_unit_test(test_mapping_of_none),
        cmocka_unit_test(test_mapping_keeps_its_own_texts),
        cmocka_unit_test(test_mapping_of_a_cluster),
        cmocka_unit_test(test_mapping_constant_or_not),
        cmocka_unit_test(test_mapping_weights),
        cmocka_unit_test(test_mapping_results_need_room),
        cmocka_unit_test(test_mapping_refuses),
        cmocka_unit_test(test_mapping_accepts),
        cmocka_unit_test(test_mapping_of_many),
        cmocka_unit_test(test_mapping_fault_sweep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
