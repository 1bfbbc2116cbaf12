/* Tests of t2/topic.h and t2/tree.h: the grammar, and who hears what. The matching of topics and
 * that of the tree are compared with the rules as they are written down, tried one after another
 * without any memory of what has been tried. */
#include "base/alloc.h"
#include "base/fault.h"
#include "base/random.h"
#include "seed.h"
#include "t2/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* --- the reference ------------------------------------------------------------------------ */

/* Rules 1 to 5 of t2/topic.h, in their order; s and p end with an empty fragment. */
static bool rules(const pp_str *s, const pp_str *p, bool d)
{
    bool alike = s->len && pp_str_eq(*s, *p);
    bool hit = false;

    if (!p->len)
        return !s->len;
    if (pp_t2_is_double_star(*p)) {
        hit = rules(s, p + 1, d);
        if (s->len)
            hit = hit || rules(s + 1, p, d);
    }
    if (hit)
        return true;
    if (d)
        return rules(s, p + 1, true) || (alike && rules(s + 1, p + 1, false));
    if (pp_t2_is_star(*p))
        return s->len && rules(s + 1, p + 1, false);
    if (!s->len)
        return false;
    return (alike && rules(s + 1, p + 1, false)) ||
           (pp_t2_is_star(*s) && rules(s + 1, p + 1, false)) ||
           (pp_t2_is_double_star(*s) && rules(s + 1, p + 1, true));
}

static bool by_the_rules(const pp_t2_topic *s, const pp_t2_topic *p)
{
    pp_str left[PP_T2_FRAGMENTS_MAX + 1] = {{0}}, right[PP_T2_FRAGMENTS_MAX + 1] = {{0}};

    memcpy(left, s->fragments, s->count * sizeof(*left));
    memcpy(right, p->fragments, p->count * sizeof(*right));
    return rules(left, right, false);
}

/* --- grammar ------------------------------------------------------------------------------ */

static bool is_topic(const char *text)
{
    pp_t2_topic topic;

    return pp_t2_topic_parse(&topic, pp_str_of(text));
}

static void test_topic_grammar(void **state)
{
    static const char *const good[] = {"a", "a/b", "a_1/0", "*", "**", "a/*/b/**", "_", "**/**"};
    static const char *const bad[] = {"",   "/",   "a/",  "/a",  "a//b",     "A",     "a*",
                                      "*a", "***", "a b", "a.b", "\xc3\xa4", "a/**b", "**/*/"};
    char text[PP_T2_TOPIC_MAX + 2];

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(is_topic(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(is_topic(bad[i]));
    memset(text, 'a', sizeof(text));
    text[PP_T2_TOPIC_MAX] = '\0';
    assert_true(is_topic(text));
    text[PP_T2_TOPIC_MAX] = 'a';
    text[PP_T2_TOPIC_MAX + 1] = '\0';
    assert_false(is_topic(text));
    for (int i = 0; i < 2 * (PP_T2_FRAGMENTS_MAX + 1); i++)
        text[i] = i % 2 ? '/' : 'a';
    text[2 * PP_T2_FRAGMENTS_MAX - 1] = '\0';
    assert_true(is_topic(text));
    text[2 * PP_T2_FRAGMENTS_MAX - 1] = '/';
    text[2 * PP_T2_FRAGMENTS_MAX + 1] = '\0';
    assert_false(is_topic(text));
}

static void test_topic_subjects(void **state)
{
    static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "a.*", "a.>", "A", "a/b"};
    char subject[64], topic[PP_T2_TOPIC_MAX];
    size_t len = pp_t2_topic_to_subject(PP_STR("t2."), PP_STR("a/b_1/2"), subject);

    (void)state;
    assert_true(pp_str_eq((pp_str){subject, len}, PP_STR("t2.a.b_1.2")));
    len = pp_t2_topic_from_subject((pp_str){subject + 3, len - 3}, topic);
    assert_true(pp_str_eq((pp_str){topic, len}, PP_STR("a/b_1/2")));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(pp_t2_topic_from_subject(pp_str_of(bad[i]), topic), 0);
}

/* --- matching ----------------------------------------------------------------------------- */

static pp_t2_topic parsed(const char *text)
{
    pp_t2_topic topic;

    assert_true(pp_t2_topic_parse(&topic, pp_str_of(text)));
    return topic;
}

/* The table of the specification: a row for each subscription, a column for each publish. */
static void test_topic_table(void **state)
{
    static const char *const columns[] = {"a",   "a/b", "a/b/c", "a/x/b/c", "*",     "*/b",
                                          "a/*", "**",  "a/**",  "**/b",    "a/**/c"};
    static const struct {
        const char *subscription, *hears;
    } rows[] = {
        {"a", "Y---Y--YY--"},      {"a/b", "-Y---YYYYY-"},  {"*", "Y---Y--YYY-"},
        {"*/b", "-Y---YYYYY-"},    {"a/*", "-Y---YYYYYY"},  {"**", "YYYYY-YYYYY"},
        {"a/**", "-YYY-YYYYYY"},   {"**/b", "-Y---Y-YYYY"}, {"**/*", "-----YYYYYY"},
        {"a/**/c", "--YY---YY-Y"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        pp_t2_topic s = parsed(rows[i].subscription);

        for (size_t j = 0; j < sizeof(columns) / sizeof(columns[0]); j++) {
            pp_t2_topic p = parsed(columns[j]);

            if (pp_t2_topic_matches(&s, &p) != (rows[i].hears[j] == 'Y'))
                fail_msg("%s hears %s", rows[i].subscription, columns[j]);
            assert_int_equal(by_the_rules(&s, &p), rows[i].hears[j] == 'Y');
        }
    }
}

static pp_t2_topic random_topic(uint64_t *random, char *text, unsigned fragments_max)
{
    static const char *const words[] = {"a", "b", "c", "*", "**", "**", "ab"};
    unsigned count = 1 + pp_random_below(random, fragments_max);
    char *at = text;

    for (unsigned i = 0; i < count; i++)
        at += sprintf(at, "%s%s", i ? "/" : "", words[pp_random_below(random, 7)]);
    return parsed(text);
}

static void test_topic_random_pairs(void **state)
{
    uint64_t random = test_seed(__func__);
    unsigned hits = 0;

    (void)state;
    for (int i = 0; i < 1000000; i++) {
        char left[64], right[64];
        pp_t2_topic s = random_topic(&random, left, 6), p = random_topic(&random, right, 6);
        bool expected = by_the_rules(&s, &p);

        hits += expected;
        if (pp_t2_topic_matches(&s, &p) != expected)
            fail_msg("%s hears %s: expected %d", left, right, expected);
    }
    assert_in_range(hits, 50000, 950000);
}

/* The naive recursion would not come to an end. */
static void test_topic_many_double_stars(void **state)
{
    char stars[3 * PP_T2_FRAGMENTS_MAX + 1], letters[2 * PP_T2_FRAGMENTS_MAX + 1];
    pp_t2_topic s, p;

    (void)state;
    for (int i = 0; i < PP_T2_FRAGMENTS_MAX; i++) {
        memcpy(stars + 3 * i, "**/", 3);
        memcpy(letters + 2 * i, "a/", 2);
    }
    stars[3 * PP_T2_FRAGMENTS_MAX - 1] = '\0';
    letters[2 * PP_T2_FRAGMENTS_MAX - 1] = '\0';
    p = parsed(stars);
    s = parsed(letters);
    assert_true(pp_t2_topic_matches(&s, &p));
    p.fragments[PP_T2_FRAGMENTS_MAX - 1] = PP_STR("b");
    assert_false(pp_t2_topic_matches(&s, &p));
}

/* --- the tree ----------------------------------------------------------------------------- */

enum { SUBS = 200 };

typedef struct forest {
    pp_t2_tree tree;
    struct {
        char text[64];
        pp_t2_topic topic;
        pp_t2_sub sub;
        bool in, visited;
    } subs[SUBS];
} forest;

static pipit_err note_visit(void *arg, pp_t2_sub *sub)
{
    forest *f = arg;
    size_t at = (size_t)((char *)sub - (char *)&f->subs[0].sub) / sizeof(f->subs[0]);

    assert_false(f->subs[at].visited);
    f->subs[at].visited = true;
    return PIPIT_OK;
}

static void check_match(forest *f, const pp_t2_topic *published)
{
    for (int i = 0; i < SUBS; i++)
        f->subs[i].visited = false;
    assert_int_equal(pp_t2_tree_match(&f->tree, published, note_visit, f), PIPIT_OK);
    for (int i = 0; i < SUBS; i++)
        assert_int_equal(f->subs[i].visited,
                         f->subs[i].in && by_the_rules(&f->subs[i].topic, published));
}

static void change(forest *f, uint64_t *random)
{
    unsigned i = pp_random_below(random, SUBS);
    char topic[PP_T2_TOPIC_MAX];
    size_t len;

    if (f->subs[i].in) {
        len = pp_t2_sub_topic(&f->subs[i].sub, topic);
        assert_true(pp_str_eq((pp_str){topic, len}, pp_str_of(f->subs[i].text)));
        pp_t2_tree_remove(&f->tree, &f->subs[i].sub);
        assert_null(pp_t2_tree_find(&f->tree, &f->subs[i].topic, &f->subs[i]));
        f->subs[i].in = false;
        return;
    }
    f->subs[i].topic = random_topic(random, f->subs[i].text, 5);
    f->subs[i].sub = (pp_t2_sub){.owner = &f->subs[i]};
    assert_int_equal(pp_t2_tree_add(&f->tree, &f->subs[i].topic, &f->subs[i].sub), PIPIT_OK);
    assert_ptr_equal(pp_t2_tree_find(&f->tree, &f->subs[i].topic, &f->subs[i]), &f->subs[i].sub);
    f->subs[i].in = true;
}

static void test_tree_random_changes(void **state)
{
    int64_t live = pp_alloc_live();
    uint64_t random = test_seed(__func__);
    forest *f = calloc(1, sizeof(*f));

    (void)state;
    assert_non_null(f);
    assert_int_equal(pp_t2_tree_init(&f->tree, random), PIPIT_OK);
    for (int round = 0; round < 5000; round++) {
        char text[64];
        pp_t2_topic published = random_topic(&random, text, 5);

        change(f, &random);
        check_match(f, &published);
    }
    for (int i = 0; i < SUBS; i++) {
        if (f->subs[i].in)
            pp_t2_tree_remove(&f->tree, &f->subs[i].sub);
    }
    assert_int_equal(f->tree.nodes.count, 0); /* all that is empty has gone */
    pp_t2_tree_fini(&f->tree);
    free(f);
    assert_int_equal(pp_alloc_live(), live);
}

static void test_tree_without_memory(void **state)
{
    pp_t2_topic topic = parsed("a/*/b/**");
    pp_t2_sub sub = {.owner = &sub};
    int64_t live = pp_alloc_live();

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        pp_t2_tree tree = {0};
        pipit_err err;

        pp_fault_arm("alloc", nth);
        err = pp_t2_tree_init(&tree, 1);
        if (!err)
            err = pp_t2_tree_add(&tree, &topic, &sub);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            pp_t2_tree_remove(&tree, &sub);
            pp_t2_tree_fini(&tree);
            break;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        pp_t2_tree_fini(&tree);
        assert_int_equal(pp_alloc_live(), live);
    }
}

static pipit_err count_visit(void *arg, pp_t2_sub *sub)
{
    (void)sub;
    ++*(size_t *)arg;
    return PIPIT_OK;
}

/* A match takes no more steps than it may, whatever has been subscribed to. */
static void test_tree_bounds_the_walk(void **state)
{
    enum { LEAVES = 40000 };
    pp_t2_topic published = parsed("**/**/**/**/**/**/**/**/**/**/**/**/**/**/**/**/**/**/**/**");
    pp_t2_sub *subs = calloc(LEAVES, sizeof(*subs));
    pp_t2_tree tree;
    size_t visits = 0;

    (void)state;
    assert_non_null(subs);
    assert_int_equal(pp_t2_tree_init(&tree, 7), PIPIT_OK);
    for (int i = 0; i < LEAVES; i++) {
        char text[32];
        pp_t2_topic topic;

        (void)snprintf(text, sizeof(text), "a/%d/b", i);
        topic = parsed(text);
        subs[i].owner = subs;
        assert_int_equal(pp_t2_tree_add(&tree, &topic, &subs[i]), PIPIT_OK);
    }
    assert_int_equal(pp_t2_tree_match(&tree, &published, count_visit, &visits), PIPIT_ELIMIT);
    published = parsed("a/**");
    visits = 0;
    assert_int_equal(pp_t2_tree_match(&tree, &published, count_visit, &visits), PIPIT_OK);
    assert_int_equal(visits, LEAVES);
    for (int i = 0; i < LEAVES; i++)
        pp_t2_tree_remove(&tree, &subs[i]);
    pp_t2_tree_fini(&tree);
    free(subs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topic_grammar),
        cmocka_unit_test(test_topic_subjects),
        cmocka_unit_test(test_topic_table),
        cmocka_unit_test(test_topic_random_pairs),
        cmocka_unit_test(test_topic_many_double_stars),
        cmocka_unit_test(test_tree_random_changes),
        cmocka_unit_test(test_tree_without_memory),
        cmocka_unit_test(test_tree_bounds_the_walk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
