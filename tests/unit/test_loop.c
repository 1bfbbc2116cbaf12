/* Loops: posted tasks in order, one wake-up when one is needed, none when not. */
#include "net/loop.h"

#include "loops.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>

static uint64_t turns_of(const struct loops *l, unsigned index)
{
    return atomic_load(&((struct loops *)l)->counters[index].turns);
}

/* --- tasks -------------------------------------------------------------------------------- */

struct numbered {
    pp_task task;
    unsigned number;
    unsigned *next; /* what is to run next */
};

static void run_numbered(pp_task *task)
{
    struct numbered *n = PP_CONTAINER(task, struct numbered, task);

    assert_int_equal(n->number, *n->next);
    (*n->next)++;
}

static void test_loop_runs_tasks_in_order(void **state)
{
    struct numbered tasks[50];
    struct loops l;
    unsigned next = 0;

    (void)state;
    loops_init(&l, 1);
    for (unsigned i = 0; i < 50; i++) {
        tasks[i] = (struct numbered){{.run = run_numbered}, i, &next};
        pp_loop_post(&l.at[0], &tasks[i].task);
    }
    turn(&l, 0);
    assert_int_equal(next, 50);
    turn(&l, 0); /* once only */
    assert_int_equal(next, 50);
    loops_fini(&l);
    loops_check_memory(&l);
}

struct again {
    pp_task task;
    pp_loop *loop;
    unsigned runs, runs_max;
    bool heap;
};

static void run_again(pp_task *task)
{
    struct again *a = PP_CONTAINER(task, struct again, task);

    a->runs++;
    if (a->heap)
        free(a);
    else if (a->runs < a->runs_max)
        pp_loop_post(a->loop, task);
}

/* A task that posts itself runs again in the next turn: others have theirs in between. */
static void test_loop_task_posts_itself(void **state)
{
    struct loops l;
    struct again a = {.task.run = run_again, .runs_max = 5};

    (void)state;
    loops_init(&l, 1);
    a.loop = &l.at[0];
    pp_loop_post(a.loop, &a.task);
    for (unsigned i = 1; i <= 5; i++) {
        turn(&l, 0);
        assert_int_equal(a.runs, i);
    }
    turn(&l, 0);
    assert_int_equal(a.runs, 5);
    loops_fini(&l);
    loops_check_memory(&l);
}

static void test_loop_task_frees_itself(void **state)
{
    struct loops l;

    (void)state;
    loops_init(&l, 1);
    for (unsigned i = 0; i < 10; i++) {
        struct again *a = malloc(sizeof(*a));

        *a = (struct again){.task.run = run_again, .heap = true};
        pp_loop_post(&l.at[0], &a->task);
    }
    turn(&l, 0);
    loops_fini(&l);
    loops_check_memory(&l);
}

static void test_loop_runs_leftovers(void **state)
{
    struct loops l;
    struct again a = {.task.run = run_again, .runs_max = 1};

    (void)state;
    loops_init(&l, 1);
    assert_false(pp_loop_run_leftovers(&l.at[0]));
    pp_loop_post(&l.at[0], &a.task);
    assert_true(pp_loop_run_leftovers(&l.at[0]));
    assert_int_equal(a.runs, 1);
    assert_false(pp_loop_run_leftovers(&l.at[0]));
    loops_fini(&l);
    loops_check_memory(&l);
}

/* --- from other threads ------------------------------------------------------------------- */

enum { POSTERS = 3, POSTS = 3000 };

struct poster;

struct posted {
    pp_task task;
    struct poster *poster;
    unsigned number;
};

struct poster {
    pthread_t thread;
    pp_loop *loop;
    struct posted tasks[POSTS];
    unsigned next; /* the loop's */
    bool in_order;
    sem_t done;
};

static void run_posted(pp_task *task)
{
    struct posted *p = PP_CONTAINER(task, struct posted, task);

    p->poster->in_order &= p->number == p->poster->next && pp_loop_current() == p->poster->loop;
    if (++p->poster->next == POSTS)
        (void)sem_post(&p->poster->done);
}

static void *post_all(void *arg)
{
    struct poster *p = arg;

    for (unsigned i = 0; i < POSTS; i++) {
        p->tasks[i] = (struct posted){{.run = run_posted}, p, i};
        pp_loop_post(p->loop, &p->tasks[i].task);
    }
    return NULL;
}

/* Each poster's tasks in its order, all of them, whether the loop sleeps or not. */
static void test_loop_is_posted_to_from_threads(void **state)
{
    static struct poster posters[POSTERS];
    struct loops l;

    (void)state;
    loops_init(&l, 1);
    loops_start(&l);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.loop = &l.at[0], .in_order = true};
        assert_int_equal(sem_init(&posters[i].done, 0, 0), 0);
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    for (unsigned i = 0; i < POSTERS; i++) {
        wait_sem(&posters[i].done);
        assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
        assert_true(posters[i].in_order);
        (void)sem_destroy(&posters[i].done);
    }
    loops_fini(&l);
    loops_check_memory(&l);
}

static void nothing(void *arg)
{
    (void)arg;
}

/* A post to a loop that sleeps wakes it: each of these waits for the loop's answer. */
static void test_loop_wakes_for_each_post(void **state)
{
    struct loops l;

    (void)state;
    loops_init(&l, 1);
    loops_start(&l);
    for (unsigned i = 0; i < 2000; i++)
        on_loop(&l, 0, nothing, NULL);
    loops_fini(&l);
    loops_check_memory(&l);
}

struct relay {
    pp_task task;
    struct loops *l;
    unsigned at, left;
    sem_t done;
};

static void pass_on(pp_task *task)
{
    struct relay *r = PP_CONTAINER(task, struct relay, task);

    if (--r->left == 0) {
        (void)sem_post(&r->done);
        return;
    }
    r->at = (r->at + 1) % r->l->count;
    pp_loop_post(&r->l->at[r->at], task);
}

static void test_loop_tasks_go_round(void **state)
{
    struct loops l;
    struct relay relays[4];

    (void)state;
    loops_init(&l, LOOPS_MAX);
    loops_start(&l);
    for (unsigned i = 0; i < COUNT_OF(relays); i++) {
        relays[i] = (struct relay){.task.run = pass_on, .l = &l, .left = 2000};
        assert_int_equal(sem_init(&relays[i].done, 0, 0), 0);
        pp_loop_post(&l.at[0], &relays[i].task);
    }
    for (unsigned i = 0; i < COUNT_OF(relays); i++) {
        wait_sem(&relays[i].done);
        (void)sem_destroy(&relays[i].done);
    }
    loops_fini(&l);
    loops_check_memory(&l);
}

static void test_loop_current_is_of_the_thread(void **state)
{
    (void)state;
    assert_null(pp_loop_current());
}

/* --- sleeping ----------------------------------------------------------------------------- */

/* Wait for a moment of the clock, as for any other event. */
static void wait_for_moment(int64_t ns)
{
    struct itimerspec spec = {.it_value = {ns / PP_NS_PER_S, ns % PP_NS_PER_S}};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    uint64_t count;

    assert_true(fd >= 0);
    assert_int_equal(timerfd_settime(fd, 0, &spec, NULL), 0);
    assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
    (void)close(fd);
}

static void wait_until_asleep(pp_loop *loop)
{
    int64_t until = pp_clock_mono_ns() + DEADLINE_S * PP_NS_PER_S;

    while (!atomic_load(&loop->mailbox.sleeping)) {
        assert_true(pp_clock_mono_ns() < until);
        wait_for_moment(100000);
    }
}

static void test_loop_with_nothing_to_do_sleeps(void **state)
{
    struct loops l;
    struct watch w;
    uint64_t before[2];

    (void)state;
    loops_init(&l, 2);
    watch_init(&w, &l, NULL);
    loops_start(&l);
    watch_connect(&w, 0, &roomy_limits, 0); /* a quiet connection is nothing to do */
    for (unsigned i = 0; i < 2; i++) {
        on_loop(&l, i, nothing, NULL);
        wait_until_asleep(&l.at[i]);
        before[i] = turns_of(&l, i);
    }
    wait_for_moment(200 * PP_NS_PER_MS);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(turns_of(&l, i), before[i]);
    on_loop(&l, 1, nothing, NULL); /* one of them wakes up, the other is left alone */
    wait_until_asleep(&l.at[1]);
    assert_int_equal(turns_of(&l, 0), before[0]);
    assert_true(turns_of(&l, 1) > before[1]);
    loops_fini(&l);
    watch_fini(&w);
    loops_check_memory(&l);
}

/* --- timers ------------------------------------------------------------------------------- */

struct alarm_clock {
    pp_timer timer;
    pp_loop *loop;
    int64_t set_ns, in_ns, rang_ns;
    sem_t rang;
};

static void ring(pp_timer *timer)
{
    struct alarm_clock *a = PP_CONTAINER(timer, struct alarm_clock, timer);

    a->rang_ns = pp_clock_mono_ns();
    (void)sem_post(&a->rang);
}

static void set_alarm(void *arg)
{
    struct alarm_clock *a = arg;

    a->set_ns = a->loop->now_ns;
    pp_timer_set(&a->loop->timers, &a->timer, a->set_ns + a->in_ns, ring);
}

enum { CROWD = 2 * PP_CHUNK_POOL_MAX };

struct crowd {
    struct watch at[CROWD];
    unsigned most; /* chunks staged at once */
};

static void ping(struct watch *w)
{
    struct crowd *crowd = w->context;
    pp_loop *loop = w->conn->loop;

    assert_true(pp_outlet_write(&w->conn->own, PP_STR("PING")));
    if (loop->staged_chunks > crowd->most)
        crowd->most = (unsigned)loop->staged_chunks;
}

/* Many timers that are due in one turn, each with something to say to a connection of its own. */
static void test_loop_timers_do_not_gather_chunks(void **state)
{
    static const struct watch_hooks pinging = {.on_timer = ping};
    static struct crowd crowd;
    struct loops l;

    (void)state;
    loops_init(&l, 1);
    for (unsigned i = 0; i < CROWD; i++) {
        watch_init(&crowd.at[i], &l, &pinging);
        crowd.at[i].context = &crowd;
        assert_int_equal(watch_connect_as(&crowd.at[i], 0, i + 1, &roomy_limits, 0), PIPIT_OK);
        pp_conn_set_timer(crowd.at[i].conn, l.at[0].now_ns);
    }
    turn(&l, 0);
    assert_in_range(crowd.most, 1, PP_CHUNK_POOL_MAX);
    for (unsigned i = 0; i < CROWD; i++) {
        char said[5] = "";

        assert_int_equal(recv(crowd.at[i].peer, said, 4, 0), 4);
        assert_string_equal(said, "PING");
        assert_int_equal(crowd.at[i].timers, 1);
    }
    loops_fini(&l);
    for (unsigned i = 0; i < CROWD; i++)
        watch_fini(&crowd.at[i]);
    loops_check_memory(&l);
}

/* A sleeping loop wakes for its timers: not before, and not by going round until then. */
static void test_loop_wakes_for_timers(void **state)
{
    static const int64_t waits[] = {0, 1, 20 * PP_NS_PER_MS, 50 * PP_NS_PER_MS};
    struct alarm_clock clocks[COUNT_OF(waits)] = {{.timer = {0}}};
    struct loops l;
    uint64_t before;

    (void)state;
    loops_init(&l, 1);
    loops_start(&l);
    before = turns_of(&l, 0);
    for (size_t i = 0; i < COUNT_OF(waits); i++) {
        clocks[i].loop = &l.at[0];
        clocks[i].in_ns = waits[i];
        assert_int_equal(sem_init(&clocks[i].rang, 0, 0), 0);
        on_loop(&l, 0, set_alarm, &clocks[i]);
    }
    for (size_t i = 0; i < COUNT_OF(waits); i++) {
        wait_sem(&clocks[i].rang);
        assert_true(clocks[i].rang_ns >= clocks[i].set_ns + waits[i]);
        (void)sem_destroy(&clocks[i].rang);
    }
    /* A turn for each posting and each ringing, and a few for waking up between. */
    assert_true(turns_of(&l, 0) - before < 6 * COUNT_OF(waits));
    loops_fini(&l);
    loops_check_memory(&l);
}

/* --- sources ------------------------------------------------------------------------------ */

struct counted_source {
    pp_source source;
    unsigned events;
};

static void count_event(pp_source *source, uint32_t events)
{
    struct counted_source *s = PP_CONTAINER(source, struct counted_source, source);

    assert_true(events != 0);
    s->events++;
}

static void test_loop_watches_sources(void **state)
{
    struct counted_source s = {
        .source = {.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .on_event = count_event}};
    struct loops l;
    uint64_t one = 1;

    (void)state;
    assert_true(s.source.fd >= 0);
    loops_init(&l, 1);
    assert_int_equal(pp_loop_watch(&l.at[0], &s.source), PIPIT_OK);
    turn(&l, 0);
    assert_int_equal(s.events, 0);
    assert_int_equal(write(s.source.fd, &one, sizeof(one)), sizeof(one));
    turn_on_event(&l, 0);
    assert_int_equal(s.events, 1);
    turn(&l, 0); /* it is still readable, but that is no news */
    assert_int_equal(s.events, 1);
    assert_int_equal(write(s.source.fd, &one, sizeof(one)), sizeof(one));
    turn(&l, 0);
    assert_int_equal(s.events, 2);
    assert_int_equal(pp_loop_unwatch(&l.at[0], &s.source), PIPIT_OK);
    assert_int_equal(write(s.source.fd, &one, sizeof(one)), sizeof(one));
    turn(&l, 0);
    assert_int_equal(s.events, 2);
    assert_int_not_equal(pp_loop_unwatch(&l.at[0], &s.source), PIPIT_OK);
    (void)close(s.source.fd);
    loops_fini(&l);
    loops_check_memory(&l);
}

static void test_loop_watch_refused(void **state)
{
    struct loops l;
    pp_source source = {.fd = -1, .on_event = count_event};

    (void)state;
    loops_init(&l, 1);
    assert_int_not_equal(pp_loop_watch(&l.at[0], &source), PIPIT_OK);
    loops_fini(&l);
    loops_check_memory(&l);
}

/* --- making ------------------------------------------------------------------------------- */

static unsigned open_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void test_loop_init_fault_sweep(void **state)
{
    int64_t live_before = pp_alloc_live();
    unsigned descriptors = open_descriptors(), nth;

    (void)state;
    for (nth = 1;; nth++) {
        pp_counters counters = {0};
        pp_reclaim reclaim;
        pp_loop loop;
        pipit_err err;
        bool fired;

        assert_int_equal(pp_reclaim_init(&reclaim, 1), PIPIT_OK);
        errno = 0;
        pp_fault_arm("*", nth);
        err = pp_loop_init(&loop, 0, &reclaim, &counters);
        fired = pp_fault_disarm();
        if (!err)
            pp_loop_fini(&loop);
        assert_true(fired == (err != PIPIT_OK));
        pp_reclaim_fini(&reclaim);
        assert_int_equal(pp_alloc_live(), live_before);
        assert_int_equal(open_descriptors(), descriptors);
        if (!fired)
            break;
    }
    assert_true(nth > 5);
}

static void test_loop_stops_at_any_time(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        struct loops l;

        loops_init(&l, 2);
        loops_start(&l);
        if (round % 2)
            on_loop(&l, 0, nothing, NULL);
        loops_fini(&l);
        loops_check_memory(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loop_runs_tasks_in_order),
        cmocka_unit_test(test_loop_task_posts_itself),
        cmocka_unit_test(test_loop_task_frees_itself),
        cmocka_unit_test(test_loop_runs_leftovers),
        cmocka_unit_test(test_loop_is_posted_to_from_threads),
        cmocka_unit_test(test_loop_wakes_for_each_post),
        cmocka_unit_test(test_loop_tasks_go_round),
        cmocka_unit_test(test_loop_current_is_of_the_thread),
        cmocka_unit_test(test_loop_with_nothing_to_do_sleeps),
        cmocka_unit_test(test_loop_timers_do_not_gather_chunks),
        cmocka_unit_test(test_loop_wakes_for_timers),
        cmocka_unit_test(test_loop_watches_sources),
        cmocka_unit_test(test_loop_watch_refused),
        cmocka_unit_test(test_loop_init_fault_sweep),
        cmocka_unit_test(test_loop_stops_at_any_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
