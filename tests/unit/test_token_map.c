#include "core/token_map.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "base/hash.h"
#include "core/node.h"
#include "seed.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { SEED = 77, PREFIX = 2, TEXT_MAX = 32 };

/* Patterns "p.<number>" or "p.<number>.tail": the token stands behind the prefix. */
static pp_pattern *new_pattern(unsigned number)
{
    char text[TEXT_MAX];
    int len = snprintf(text, sizeof(text), number % 2 ? "p.%u" : "p.%u.tail", number);
    pp_pattern *pattern = pp_alloc(sizeof(*pattern) + (size_t)len);

    assert_non_null(pattern);
    pattern->subs = NULL;
    pattern->len = (uint32_t)len & PP_PATTERN_LEN_MAX;
    pattern->wildcard = 0;
    memcpy(pattern->text, text, (size_t)len);
    return pattern;
}

struct world {
    pp_token_map map;
    unsigned count;
    unsigned *numbers; /* the tokens are their decimals */
    pp_pattern **patterns;
    pp_node *nodes; /* for every third token the edge is to a node */
    bool *in_map;
    uint64_t same_hash; /* for all tokens, when not 0 */
};

static uint64_t hash_number(unsigned number)
{
    char digits[TEXT_MAX];
    int len = snprintf(digits, TEXT_MAX, "%u", number);

    return pp_hash(digits, (size_t)len, SEED);
}

/* Choose tokens whose hashes differ by at most hash_max. */
static void world_init_near(struct world *world, unsigned count, uint64_t hash_max)
{
    unsigned number = 0;

    *world = (struct world){.count = count};
    world->numbers = calloc(count, sizeof(*world->numbers));
    world->patterns = calloc(count, sizeof(*world->patterns));
    world->nodes = calloc(count, sizeof(*world->nodes));
    world->in_map = calloc(count, sizeof(*world->in_map));
    assert_true(world->numbers && world->patterns && world->nodes && world->in_map);
    for (unsigned i = 0; i < count; i++) {
        while (hash_number(number) > hash_max)
            number++;
        world->patterns[i] = new_pattern(number);
        world->nodes[i].sample = world->patterns[i];
        world->numbers[i] = number++;
    }
}

static void world_init(struct world *world, unsigned count)
{
    world_init_near(world, count, UINT64_MAX);
}

static void world_fini(struct world *world)
{
    for (unsigned i = 0; i < world->count; i++)
        pp_free(world->patterns[i]);
    free(world->numbers);
    free(world->patterns);
    free(world->nodes);
    free(world->in_map);
}

static pp_edge edge_of(const struct world *world, unsigned i)
{
    return i % 3 ? pp_edge_to_pattern(world->patterns[i]) : pp_edge_to_node(&world->nodes[i]);
}

/* The digits are a copy of the caller's: the map must not keep them. */
static pp_token_key key_of(const struct world *world, unsigned i, char digits[TEXT_MAX])
{
    int len = snprintf(digits, TEXT_MAX, "%u", world->numbers[i]);

    return (pp_token_key){
        .token = {digits, (size_t)len},
        .at = PREFIX,
        .hash = world->same_hash ? world->same_hash : pp_hash(digits, (size_t)len, SEED),
        .seed = SEED,
    };
}

static pipit_err add(struct world *world, unsigned i)
{
    char digits[TEXT_MAX];
    pp_token_key key = key_of(world, i, digits);
    pipit_err err = pp_token_map_add(&world->map, &key, edge_of(world, i));

    world->in_map[i] |= !err;
    return err;
}

static void take_out(struct world *world, unsigned i)
{
    char digits[TEXT_MAX];
    pp_token_key key = key_of(world, i, digits);
    pp_edge *slot = pp_token_map_find(&world->map, &key);

    assert_non_null(slot);
    pp_token_map_remove(&world->map, &key, slot);
    world->in_map[i] = false;
}

static void check_one(const struct world *world, unsigned i)
{
    char digits[TEXT_MAX];
    pp_token_key key = key_of(world, i, digits);
    pp_edge *slot = pp_token_map_find(&world->map, &key);

    if (world->in_map[i]) {
        assert_non_null(slot);
        assert_int_equal(pp_edge_tagged(*slot, 0), edge_of(world, i));
    } else {
        assert_null(slot);
    }
}

static void count_visit(void *ctx, pp_edge edge)
{
    size_t *count = ctx;

    assert_true(edge != 0);
    (*count)++;
}

static void check_all(const struct world *world)
{
    size_t count = 0, visited = 0;

    for (unsigned i = 0; i < world->count; i++) {
        check_one(world, i);
        count += world->in_map[i];
    }
    assert_int_equal(world->map.count, count);
    pp_token_map_each(&world->map, count_visit, &visited);
    assert_int_equal(visited, count);
    if (count)
        assert_true(pp_token_map_any(&world->map) != 0);
}

static void test_token_map_holds_what_was_added(void **state)
{
    static const unsigned counts[] = {1, 2, 3, 7, 50, 1000, 9000};

    (void)state;
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        struct world world;
        int64_t live;

        world_init(&world, counts[c]);
        live = pp_alloc_live();
        check_all(&world);
        for (unsigned i = 0; i < world.count; i++) {
            assert_int_equal(add(&world, i), PIPIT_OK);
            check_one(&world, i);
            if (world.count <= 50)
                check_all(&world);
        }
        check_all(&world);
        for (unsigned i = 0; i < world.count; i++) {
            take_out(&world, i);
            check_one(&world, i);
            if (world.count <= 50)
                check_all(&world);
        }
        check_all(&world);
        assert_int_equal(pp_alloc_live(), live); /* an empty map holds no memory */
        world_fini(&world);
    }
}

/* A map of many tokens becomes parts, and one table again when few are left. */
static void test_token_map_divides_and_unites(void **state)
{
    enum { MANY = 20000 };
    struct world world;
    int64_t live, divided_live;

    (void)state;
    world_init(&world, MANY);
    live = pp_alloc_live();
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(add(&world, i), PIPIT_OK);
    check_all(&world);
    assert_true(world.map.cap == PP_TOKEN_MAP_DIVIDED);
    divided_live = pp_alloc_live() - live;
    assert_true(divided_live > PP_TOKEN_MAP_PARTS);
    for (unsigned i = 0; i < MANY - 500; i++)
        take_out(&world, i);
    check_all(&world);
    assert_true(world.map.cap < 1000); /* one short table */
    assert_int_equal(pp_alloc_live(), live + 1);
    pp_token_map_fini(&world.map);
    assert_int_equal(pp_alloc_live(), live);
    world_fini(&world);
}

/* When all hashes begin with the same byte, the one part that takes all is divided again. */
static void test_token_map_divides_parts(void **state)
{
    enum { MANY = 9000 };
    struct world world;
    int64_t live;

    (void)state;
    world_init_near(&world, MANY, UINT64_MAX >> 8);
    live = pp_alloc_live();
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(add(&world, i), PIPIT_OK);
    assert_true(world.map.cap == PP_TOKEN_MAP_DIVIDED);
    assert_int_equal(world.map.parts[0].count, MANY);
    assert_true(world.map.parts[0].cap == PP_TOKEN_MAP_DIVIDED);
    check_all(&world);
    for (unsigned i = 0; i < MANY; i++) {
        take_out(&world, i);
        check_one(&world, (i * 7) % MANY);
    }
    check_all(&world);
    assert_int_equal(pp_alloc_live(), live);
    world_fini(&world);
}

static void test_token_map_random_churn(void **state)
{
    enum { TOKENS = 7000, STEPS = 200000 };
    uint64_t random = test_seed("token_map");
    struct world world;
    int64_t live;

    (void)state;
    world_init(&world, TOKENS);
    live = pp_alloc_live();
    for (unsigned step = 0; step < STEPS; step++) {
        /* The share that is in the map swings, so that it grows and shrinks again and again. */
        unsigned wanted = step / (STEPS / 8) % 2 ? 1 : 9;
        unsigned i = pp_random_below(&random, TOKENS);

        if (world.in_map[i] && pp_random_below(&random, 10) >= wanted)
            take_out(&world, i);
        else if (!world.in_map[i] && pp_random_below(&random, 10) < wanted)
            assert_int_equal(add(&world, i), PIPIT_OK);
        check_one(&world, i);
        check_one(&world, pp_random_below(&random, TOKENS));
        if (step % (STEPS / 20) == 0)
            check_all(&world);
    }
    for (unsigned i = 0; i < TOKENS; i++) {
        if (world.in_map[i])
            take_out(&world, i);
    }
    assert_int_equal(pp_alloc_live(), live);
    world_fini(&world);
}

/* Tokens that only their bytes tell apart, in a run that goes around the table's end. */
static void test_token_map_tells_equal_hashes_apart(void **state)
{
    static const uint64_t hashes[] = {0xffff, 0x8000, 1u << 16}; /* tags: last, middle, 0 */

    (void)state;
    for (size_t h = 0; h < sizeof(hashes) / sizeof(hashes[0]); h++) {
        struct world world;

        world_init(&world, 300);
        world.same_hash = hashes[h];
        for (unsigned i = 0; i < world.count; i++)
            assert_int_equal(add(&world, i), PIPIT_OK);
        check_all(&world);
        for (unsigned i = 0; i < world.count; i += 2)
            take_out(&world, i);
        check_all(&world);
        for (unsigned i = 1; i < world.count; i += 2)
            take_out(&world, i);
        check_all(&world);
        world_fini(&world);
    }
}

static void test_token_map_add_without_memory_changes_nothing(void **state)
{
    struct world world;
    int64_t start;

    (void)state;
    world_init(&world, 9000); /* on the way tables grow, and are divided */
    start = pp_alloc_live();
    for (unsigned i = 0; i < world.count; i++) {
        for (uint64_t nth = 1;; nth++) {
            int64_t live = pp_alloc_live();
            pipit_err err;

            pp_fault_arm("*", nth);
            err = add(&world, i);
            if (!pp_fault_disarm()) {
                assert_int_equal(err, PIPIT_OK);
                break;
            }
            assert_int_equal(err, PIPIT_ENOMEM);
            assert_int_equal(pp_alloc_live(), live);
            check_one(&world, i);
            check_one(&world, i / 2);
        }
    }
    check_all(&world);
    pp_token_map_fini(&world.map);
    assert_int_equal(pp_alloc_live(), start);
    world_fini(&world);
}

static void test_token_map_remove_needs_no_memory(void **state)
{
    struct world world;
    int64_t live;

    (void)state;
    world_init(&world, 9000);
    live = pp_alloc_live();
    for (unsigned i = 0; i < world.count; i++)
        assert_int_equal(add(&world, i), PIPIT_OK);
    pp_fault_arm_from("*", 1);
    for (unsigned i = 0; i < world.count - 3; i++)
        take_out(&world, i);
    assert_true(pp_fault_disarm()); /* it has tried to shrink */
    check_all(&world);
    take_out(&world, world.count - 1); /* and now it can */
    check_all(&world);
    assert_int_equal(pp_alloc_live(), live + 1);
    take_out(&world, world.count - 2);
    take_out(&world, world.count - 3);
    assert_int_equal(pp_alloc_live(), live);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_map_holds_what_was_added),
        cmocka_unit_test(test_token_map_divides_and_unites),
        cmocka_unit_test(test_token_map_divides_parts),
        cmocka_unit_test(test_token_map_random_churn),
        cmocka_unit_test(test_token_map_tells_equal_hashes_apart),
        cmocka_unit_test(test_token_map_add_without_memory_changes_nothing),
        cmocka_unit_test(test_token_map_remove_needs_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
