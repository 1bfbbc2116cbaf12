#include "core/trie.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "core/subject.h"
#include "seed.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

struct count {
    size_t patterns, nodes, depth;
    const pp_node *above;
};

static void check_edge(struct count *count, const pp_node *above, pp_edge edge);

static void check_visit(void *ctx, pp_edge edge)
{
    struct count *count = ctx;

    check_edge(count, count->above, edge);
}

/* What trie.h promises of nodes. */
static void check_node(struct count *count, const pp_node *node)
{
    struct count below = {.depth = count->depth + 1, .above = node};

    assert_true(below.depth < 1000);
    if (node->end)
        check_edge(&below, node, node->end);
    if (node->rest)
        check_edge(&below, node, node->rest);
    if (node->star)
        check_edge(&below, node, node->star);
    pp_token_map_each(&node->tokens, check_visit, &below);
    count->patterns += below.patterns;
    count->nodes += below.nodes;
}

static void check_edge(struct count *count, const pp_node *above, pp_edge edge)
{
    const pp_pattern *sample = pp_edge_sample(edge);
    size_t len = pp_pattern_text(sample).len;

    /* The texts of both agree up to where the ways of the upper one begin. */
    assert_true(len + 1 >= above->below);
    if (above->below) {
        assert_memory_equal(sample->text, above->sample->text, above->below - 1);
        assert_true(len + 1 == above->below || sample->text[above->below - 1] == '.');
    }
    if (!pp_edge_is_node(edge)) {
        count->patterns++;
    } else {
        const pp_node *node = pp_edge_node(edge);
        size_t ways =
            (size_t)(node->end != 0) + (node->rest != 0) + (node->star != 0) + node->tokens.count;

        assert_true(ways >= 2);
        assert_true(node->below > above->below + 1);
        count->nodes++;
        check_node(count, node);
    }
}

static void check_trie(const pp_trie *trie)
{
    struct count count = {0};

    check_node(&count, &trie->root);
    assert_int_equal(count.patterns, trie->pattern_count);
    assert_int_equal(count.nodes, trie->node_count);
    assert_true(count.nodes == 0 || count.nodes < count.patterns);
}

static pp_pattern *insert(pp_trie *trie, const char *text)
{
    pp_str subject = pp_str_of(text);
    pp_pattern *pattern = NULL;

    assert_int_equal(pp_trie_insert(trie, subject, pp_subject_has_wildcard(subject), &pattern),
                     PIPIT_OK);
    assert_non_null(pattern);
    assert_true(pp_str_eq(pp_pattern_text(pattern), subject));
    return pattern;
}

static size_t walk_count(const pp_trie *trie, const char *subject)
{
    pp_trie_walk walk;
    size_t count = 0;

    assert_int_equal(pp_trie_walk_init(&walk, pp_str_of(subject)), PIPIT_OK);
    pp_trie_walk_start(&walk, trie);
    while (pp_trie_walk_next(&walk, trie))
        count++;
    pp_trie_walk_fini(&walk);
    return count;
}

/* The picture in trie.h. */
static void test_trie_has_the_shape_it_documents(void **state)
{
    static const char *texts[] = {"orders.*.new", "orders.7.new", "orders.7.paid", ">"};
    pp_pattern *patterns[COUNT_OF(texts)];
    int64_t live = pp_alloc_live();
    pp_trie_shape shape;
    pp_node *node;
    pp_trie trie;

    (void)state;
    pp_trie_init(&trie, 1);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        patterns[i] = insert(&trie, texts[i]);
        check_trie(&trie);
    }
    assert_int_equal(trie.node_count, 2);
    assert_int_equal(trie.pattern_count, 4);
    assert_ptr_equal(pp_edge_pattern(trie.root.rest), patterns[3]);
    node = pp_edge_node(pp_token_map_any(&trie.root.tokens));
    assert_int_equal(node->below, 7);
    assert_ptr_equal(pp_edge_pattern(node->star), patterns[0]);
    node = pp_edge_node(pp_token_map_any(&node->tokens));
    assert_int_equal(node->below, 9);
    assert_int_equal(node->tokens.count, 2);
    assert_int_equal(pp_trie_measure(&trie, &shape), PIPIT_OK);
    assert_int_equal(shape.depth, 3);
    assert_int_equal(shape.widest, 2);
    assert_int_equal(walk_count(&trie, "orders.7.new"), 3);
    assert_int_equal(walk_count(&trie, "orders.8.new"), 2);
    assert_int_equal(walk_count(&trie, "orders.7"), 1);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        pp_trie_remove(&trie, patterns[i]);
        check_trie(&trie);
    }
    assert_int_equal(trie.node_count, 0);
    assert_int_equal(pp_alloc_live(), live);
}

/* The first pattern of the deepest kind of texts, every way to end and to part. */
static void test_trie_parts_and_joins_in_any_order(void **state)
{
    static const char *texts[] = {
        "a",   "a.b",  "a.b.c", "a.b.c.d", "a.b.c.e", "a.b.*", "a.b.>",
        "a.>", "a.*",  "a.*.c", "a.*.c.d", "*",       "*.b",   ">",
        "ab",  "ab.b", "a.bc",  "a.b.cd",  "b*.c",    "b*.>",
    };
    uint64_t random = test_seed("trie order");
    int64_t live = pp_alloc_live();
    pp_trie trie;

    (void)state;
    pp_trie_init(&trie, 1);
    for (unsigned round = 0; round < 300; round++) {
        pp_pattern *patterns[COUNT_OF(texts)];
        size_t order[COUNT_OF(texts)];

        for (size_t i = 0; i < COUNT_OF(texts); i++) {
            size_t other = pp_random_below(&random, (uint32_t)i + 1);

            order[i] = order[other];
            order[other] = i;
        }
        for (size_t i = 0; i < COUNT_OF(texts); i++) {
            patterns[order[i]] = insert(&trie, texts[order[i]]);
            assert_ptr_equal(insert(&trie, texts[order[i / 2]]), patterns[order[i / 2]]);
            check_trie(&trie);
        }
        assert_int_equal(trie.pattern_count, COUNT_OF(texts));
        for (size_t i = 0; i < COUNT_OF(texts); i++) {
            pp_trie_remove(&trie, patterns[order[(i * 7) % COUNT_OF(texts)]]);
            check_trie(&trie);
        }
        assert_int_equal(trie.pattern_count, 0);
        assert_int_equal(pp_alloc_live(), live);
    }
}

/* However long the texts, two patterns make one node: what a peer can make grow is what it sent. */
static void test_trie_memory_is_bounded_by_patterns(void **state)
{
    enum { TOKENS = 2000, BRANCHES = 200 };
    static char text[2 * TOKENS + 1];
    pp_pattern *patterns[BRANCHES];
    int64_t live = pp_alloc_live();
    pp_pattern *first, *second;
    pp_trie_shape shape;
    pp_trie trie;

    (void)state;
    pp_trie_init(&trie, 1);
    for (size_t i = 0; i < TOKENS; i++)
        (void)memcpy(text + 2 * i, i % 2 ? "a." : "*.", 2);
    text[2 * TOKENS - 1] = '\0';
    first = insert(&trie, text);
    text[2 * TOKENS - 2] = 'b';
    second = insert(&trie, text);
    assert_int_equal(trie.node_count, 1);
    check_trie(&trie);
    for (size_t i = 0; i < BRANCHES; i++) { /* a chain of nodes, deep in the one label */
        char *parting = text + 2 * (i * (TOKENS / BRANCHES)) + 2;
        char was = *parting;

        *parting = 'x';
        patterns[i] = insert(&trie, text);
        *parting = was;
    }
    assert_int_equal(trie.node_count, 1 + BRANCHES);
    assert_int_equal(pp_trie_measure(&trie, &shape), PIPIT_OK);
    assert_int_equal(shape.depth, 2 + BRANCHES);
    for (size_t i = 0; i < BRANCHES; i++)
        pp_trie_remove(&trie, patterns[(i * 77) % BRANCHES]);
    assert_int_equal(trie.node_count, 1); /* the chain has closed up */
    check_trie(&trie);
    pp_trie_remove(&trie, second);
    pp_trie_remove(&trie, first);
    assert_int_equal(pp_alloc_live(), live);
}

/* The worst that a few patterns can do to a walk: every mix of `a` and `*`. */
static void test_trie_walk_meets_each_pattern_once(void **state)
{
    enum { TOKENS = 10, PATTERNS = 1 << TOKENS };
    static pp_pattern *patterns[PATTERNS];
    char text[2 * TOKENS + 1];
    pp_trie_walk walk;
    pp_pattern *pattern;
    pp_trie trie;

    (void)state;
    pp_trie_init(&trie, 1);
    for (unsigned i = 0; i < PATTERNS; i++) {
        for (unsigned t = 0; t < TOKENS; t++)
            (void)memcpy(text + 2 * t, i >> t & 1 ? "a." : "*.", 2);
        text[2 * TOKENS - 1] = '\0';
        patterns[i] = insert(&trie, text);
    }
    check_trie(&trie);
    assert_int_equal(pp_trie_walk_init(&walk, PP_STR("a.a.a.a.a.a.a.a.a.a")), PIPIT_OK);
    pp_trie_walk_start(&walk, &trie);
    while ((pattern = pp_trie_walk_next(&walk, &trie))) {
        assert_null(pattern->subs);
        pattern->subs = (struct pp_sub *)(void *)&trie; /* seen */
    }
    pp_trie_walk_fini(&walk);
    for (unsigned i = 0; i < PATTERNS; i++)
        assert_non_null(patterns[i]->subs);
    assert_int_equal(walk_count(&trie, "a.a.a.a.a.a.a.a.a.b"), PATTERNS / 2);
    assert_int_equal(walk_count(&trie, "b.b.b.b.b.b.b.b.b.b"), 1);
    assert_int_equal(walk_count(&trie, "a.a.a.a.a.a.a.a.a"), 0);
    for (unsigned i = 0; i < PATTERNS; i++)
        pp_trie_remove(&trie, patterns[i]);
}

/* Each kind of insert, with every allocation refused in turn. */
static void test_trie_insert_without_memory_changes_nothing(void **state)
{
    static const char *texts[] = {
        "a.b.c", ">",     "*",     "a.>",   "x",     "a.b.d", "a.b.e",
        "a.b",   "a.b.*", "a.b.>", "*.*.c", "*.*.d", "y.y",   "y",
    };
    pp_pattern *patterns[COUNT_OF(texts)];
    int64_t start = pp_alloc_live();
    pp_trie_shape shape;
    pp_trie trie;

    (void)state;
    pp_trie_init(&trie, 1);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        pp_str text = pp_str_of(texts[i]);

        for (uint64_t nth = 1;; nth++) {
            size_t count = trie.pattern_count, nodes = trie.node_count;
            int64_t live = pp_alloc_live();
            pipit_err err;

            pp_fault_arm("*", nth);
            err = pp_trie_insert(&trie, text, pp_subject_has_wildcard(text), &patterns[i]);
            if (!pp_fault_disarm()) {
                assert_int_equal(err, PIPIT_OK);
                break;
            }
            assert_int_equal(err, PIPIT_ENOMEM);
            assert_int_equal(pp_alloc_live(), live);
            assert_int_equal(trie.pattern_count, count);
            assert_int_equal(trie.node_count, nodes);
            check_trie(&trie);
        }
        check_trie(&trie);
    }
    pp_fault_arm("*", 1);
    assert_int_equal(pp_trie_measure(&trie, &shape), PIPIT_ENOMEM);
    assert_true(pp_fault_disarm());
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        pp_trie_remove(&trie, patterns[i]);
    assert_int_equal(pp_alloc_live(), start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trie_has_the_shape_it_documents),
        cmocka_unit_test(test_trie_parts_and_joins_in_any_order),
        cmocka_unit_test(test_trie_memory_is_bounded_by_patterns),
        cmocka_unit_test(test_trie_walk_meets_each_pattern_once),
        cmocka_unit_test(test_trie_insert_without_memory_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
