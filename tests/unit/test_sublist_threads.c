/* Writers and readers of one index at the same time; also built with ThreadSanitizer. */
#include "core/sublist.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/random.h"
#include "core/subject.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { WRITERS = 2, READERS = 2, STEPS = 15000, OWN_MAX = 200, READS_MIN = 2000 };

static char client_body;
static struct pp_client *const client = (struct pp_client *)(void *)&client_body;

/* There from the beginning to the end; neighbours of them come and go all the time. */
static const char *const lasting[] = {"a.1", "a.2.b", "a.*.b", "b.>", "*.2.*", "a.2.b.c.d", "c"};

/* What only writers subscribe to, and what nobody does. */
static const char *const passing[] = {"a.3",   "a.2.c", "a.2.b.c", "a.*.c", "*.2.b", "d.>",
                                      "a.1.x", "c.d",   "b.*",     ">",     "*"};
static const char *const absent[] = {"e.1", "a.2.b.c.e", "cc"};

struct world {
    pp_sublist *list;
    pp_sub *lasting[COUNT_OF(lasting)];
    pp_sub *absent[COUNT_OF(absent)]; /* inserted once, and removed before the start */
    atomic_uint writers_left;
    atomic_uint reads;
    atomic_bool failed;
    pthread_barrier_t start;
};

struct worker {
    struct world *world;
    pthread_t thread;
    uint64_t random;
};

static pp_sub *subscribe(pp_sublist *list, const char *subject)
{
    pp_sub *sub = pp_sub_new(client, PP_STR("1"), PP_STR(""));

    if (!sub || pp_sublist_insert(list, sub, pp_str_of(subject)))
        abort();
    return sub;
}

/* A passing pattern, or one of many that make tables grow and shrink. */
static const char *choose(struct worker *worker, char text[32])
{
    unsigned dice = pp_random_below(&worker->random, 3 * COUNT_OF(passing));

    if (dice < COUNT_OF(passing))
        return passing[dice];
    (void)snprintf(text, 32, "a.%u", 10 + pp_random_below(&worker->random, 300));
    return text;
}

static void *write_steps(void *arg)
{
    struct worker *worker = arg;
    struct world *world = worker->world;
    pp_sub *own[OWN_MAX];
    size_t count = 0;
    char text[32];

    (void)pthread_barrier_wait(&world->start);
    /* Not only so many steps: also until the readers have seen some of them. */
    for (unsigned step = 0; step < STEPS || atomic_load(&world->reads) < READS_MIN; step++) {
        bool filling = step / 300 % 2 == 0;

        bool grow = pp_random_below(&worker->random, 4) < (filling ? 3u : 1u);

        if (count == 0 || (grow && count < OWN_MAX)) {
            own[count++] = subscribe(world->list, choose(worker, text));
        } else {
            size_t i = pp_random_below(&worker->random, (uint32_t)count);

            /* Readers here hold nothing after a match, so it may be freed at once. */
            pp_sublist_remove(world->list, own[i]);
            pp_sub_free(own[i]);
            own[i] = own[--count];
        }
    }
    while (count) {
        pp_sublist_remove(world->list, own[--count]);
        pp_sub_free(own[count]);
    }
    (void)atomic_fetch_sub(&world->writers_left, 1);
    return NULL;
}

static bool set_has(const pp_sub_set *set, const pp_sub *sub)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->subs[i] == sub)
            return true;
    }
    return false;
}

static void *read_until_written(void *arg)
{
    static const char *const subjects[] = {"a.1", "a.2.b", "b.x.y", "x.2.y", "a.2.b.c.d",
                                           "c",   "a.3",   "e.1",   "a.17",  "a.2.b.c.e"};
    struct worker *worker = arg;
    struct world *world = worker->world;
    pp_sub_set set = {0};

    (void)pthread_barrier_wait(&world->start);
    while (atomic_load(&world->writers_left)) {
        pp_str subject = pp_str_of(subjects[pp_random_below(&worker->random, COUNT_OF(subjects))]);
        bool fine = pp_sublist_match(world->list, subject, &set) == PIPIT_OK;

        for (size_t i = 0; i < COUNT_OF(lasting); i++)
            fine &= set_has(&set, world->lasting[i]) ==
                    pp_subject_matches(subject, pp_str_of(lasting[i]));
        for (size_t i = 0; i < COUNT_OF(absent); i++)
            fine &= !set_has(&set, world->absent[i]);
        if (!fine)
            atomic_store(&world->failed, true);
        (void)atomic_fetch_add(&world->reads, 1);
    }
    pp_sub_set_fini(&set);
    return NULL;
}

static void start(struct worker *worker, struct world *world, void *(*body)(void *), unsigned i)
{
    *worker = (struct worker){.world = world, .random = 1000 + i};
    assert_int_equal(pthread_create(&worker->thread, NULL, body, worker), 0);
}

static void test_sublist_readers_see_what_lasts(void **state)
{
    struct worker workers[WRITERS + READERS];
    int64_t live = pp_alloc_live();
    static struct world world;

    (void)state;
    assert_int_equal(pp_sublist_new(&world.list, 3), PIPIT_OK);
    atomic_store(&world.writers_left, WRITERS);
    for (size_t i = 0; i < COUNT_OF(lasting); i++)
        world.lasting[i] = subscribe(world.list, lasting[i]);
    for (size_t i = 0; i < COUNT_OF(absent); i++)
        world.absent[i] = subscribe(world.list, absent[i]);
    for (size_t i = 0; i < COUNT_OF(absent); i++)
        pp_sublist_remove(world.list, world.absent[i]);
    assert_int_equal(pthread_barrier_init(&world.start, NULL, COUNT_OF(workers)), 0);
    for (unsigned i = 0; i < COUNT_OF(workers); i++)
        start(&workers[i], &world, i < WRITERS ? write_steps : read_until_written, i);
    for (size_t i = 0; i < COUNT_OF(workers); i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    assert_false(atomic_load(&world.failed));
    assert_true(atomic_load(&world.reads) >= READS_MIN);
    assert_int_equal(pp_sublist_count(world.list), COUNT_OF(lasting));
    for (size_t i = 0; i < COUNT_OF(lasting); i++) {
        pp_sublist_remove(world.list, world.lasting[i]);
        pp_sub_free(world.lasting[i]);
    }
    for (size_t i = 0; i < COUNT_OF(absent); i++)
        pp_sub_free(world.absent[i]);
    (void)pthread_barrier_destroy(&world.start);
    pp_sublist_free(world.list);
    assert_int_equal(pp_alloc_live(), live);
}

/* ---- a remembered answer is never used after a change that it misses ---- */

struct relay {
    pp_sublist *list;
    atomic_uint_fast64_t seen;  /* rounds that the reader has finished */
    atomic_uint_fast64_t round; /* rounds that the writer has begun: odd, subscribed */
    atomic_bool failed;
};

enum { ROUNDS = 20000 };

/* Change, then tell: whoever hears of the change must not use an older answer. */
static void *change_and_tell(void *arg)
{
    struct relay *relay = arg;
    pp_sub *sub = NULL;

    for (uint64_t round = 1; round <= ROUNDS; round++) {
        if (round % 2) {
            sub = subscribe(relay->list, round % 4 == 1 ? "x.y" : "x.*");
        } else {
            pp_sublist_remove(relay->list, sub);
            pp_sub_free(sub);
        }
        atomic_store(&relay->round, round);
        while (atomic_load(&relay->seen) < round)
            (void)sched_yield();
    }
    return NULL;
}

/* Like a loop's route cache: the generation first, then the match, and a look at the generation
 * before each use. */
static void *remember_and_use(void *arg)
{
    struct relay *relay = arg;
    pp_str subject = PP_STR("x.y");
    const pp_sublist_gens *gens = pp_sublist_generations(relay->list);
    uint64_t hash = pp_hash(subject.ptr, subject.len, pp_sublist_seed(relay->list));
    pp_sublist_gen remembered_gen = {0};
    size_t remembered = SIZE_MAX; /* nothing yet */
    pp_sub_set set = {0};

    for (uint64_t seen = 0; seen < ROUNDS;) {
        uint64_t round = atomic_load(&relay->round);
        pp_sublist_gen gen = pp_sublist_gen_read(gens, hash);

        if (remembered == SIZE_MAX || gen.wild != remembered_gen.wild ||
            gen.slot != remembered_gen.slot) {
            if (pp_sublist_match(relay->list, subject, &set))
                abort();
            remembered = set.count;
            remembered_gen = gen;
        }
        if (round == seen) { /* the writer may be in the middle of it: either answer is right */
            (void)sched_yield();
            continue;
        }
        if (remembered != round % 2)
            atomic_store(&relay->failed, true);
        atomic_store(&relay->seen, seen = round);
    }
    pp_sub_set_fini(&set);
    return NULL;
}

static void test_sublist_generation_tells_of_every_change(void **state)
{
    struct relay relay = {.list = NULL};
    pthread_t writer, reader;

    (void)state;
    assert_int_equal(pp_sublist_new(&relay.list, 5), PIPIT_OK);
    assert_int_equal(pthread_create(&writer, NULL, change_and_tell, &relay), 0);
    assert_int_equal(pthread_create(&reader, NULL, remember_and_use, &relay), 0);
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(pthread_join(reader, NULL), 0);
    assert_false(atomic_load(&relay.failed));
    pp_sublist_free(relay.list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sublist_readers_see_what_lasts),
        cmocka_unit_test(test_sublist_generation_tells_of_every_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
