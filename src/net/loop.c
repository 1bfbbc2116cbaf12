#include "net/loop.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/ceiling.h"
#include "base/clock.h"
#include "base/fault.h"
#include "net/conn.h"
#include "net/post.h"

#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS_PER_WAIT = 64, /* a turn of new connections that log in takes 2 ms then */
    READ_BYTES = 128 * 1024,
    RECLAIM_RETRY_NS = 200000,
    CONN_TABLE_AT_START = 64,
    LITTER_MAX = 8 * 1024 * 1024,
    STAGED_PRESSED = 64 * 1024,
    CHUNKS_MAX = 1024,
    GIVE_WAY_PART = 64,              /* of the loop's time, at most, is what others have of it */
    GIVE_WAY_COUNTED_NS = 100000000, /* the process may have been stopped, too */
};

static _Thread_local pp_loop *current;

static void on_wake(pp_source *source, uint32_t events)
{
    uint64_t count;

    (void)events;
    (void)!read(source->fd, &count, sizeof(count)); /* only clears it */
}

/* That it came is all there is to it: the turn runs what is due. */
static void on_alarm(pp_source *source, uint32_t events)
{
    (void)source;
    (void)events;
}

pipit_err pp_loop_init(pp_loop *loop, unsigned index, pp_reclaim *reclaim, pp_counters *counters)
{
    pipit_err err = PIPIT_ENOMEM;

    *loop = (pp_loop){
        .index = index,
        .epoll_fd = -1,
        .wake_fd = -1,
        .alarm = {.fd = -1, .on_event = on_alarm},
        .alarm_ns = INT64_MAX,
        .counters = counters,
    };
    pp_list_init(&loop->ready);
    pp_list_init(&loop->paused);
    pp_list_init(&loop->closing);
    pp_list_init(&loop->waiters);
    pp_reclaimer_init(&loop->reclaimer, reclaim, index);
    (void)pthread_mutex_init(&loop->mailbox.lock, NULL);
    loop->read_cap = READ_BYTES;
    loop->staged_max = PP_STAGED_MAX;
    loop->chunks_max = CHUNKS_MAX;
    loop->post_bytes_max = PP_POST_BYTES_MAX;
    loop->read_buf = pp_alloc(READ_BYTES + PP_WINDOW_SLACK);
    loop->conn_mask = CONN_TABLE_AT_START - 1;
    loop->conn_table = pp_calloc(CONN_TABLE_AT_START, sizeof(pp_conn *));
    if (!loop->read_buf || !loop->conn_table || pp_timers_reserve(&loop->timers, 16))
        goto out;
    loop->epoll_fd = pp_fault("epoll_create") ? -1 : epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = pp_fault("eventfd") ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop->alarm.fd =
        pp_fault("timerfd") ? -1 : timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 || loop->alarm.fd < 0) {
        err = PIPIT_ELIMIT;
        goto out;
    }
    loop->wake = (pp_source){.fd = loop->wake_fd, .on_event = on_wake};
    err = pp_loop_watch(loop, &loop->wake);
    if (!err)
        err = pp_loop_watch(loop, &loop->alarm);
out:
    if (err)
        pp_loop_fini(loop);
    return err;
}

void pp_loop_fini(pp_loop *loop)
{
    PP_ASSERT(loop->conn_count == 0);
    pp_reclaimer_fini(&loop->reclaimer);
    if (loop->epoll_fd >= 0)
        (void)close(loop->epoll_fd);
    if (loop->wake_fd >= 0)
        (void)close(loop->wake_fd);
    if (loop->alarm.fd >= 0)
        (void)close(loop->alarm.fd);
    pp_post_free_all(loop);
    pp_timers_fini(&loop->timers);
    pp_chunk_pool_fini(&loop->chunks);
    pp_free(loop->read_buf);
    pp_free(loop->conn_table);
    (void)pthread_mutex_destroy(&loop->mailbox.lock);
    loop->read_buf = NULL;
    loop->conn_table = NULL;
}

pipit_err pp_loop_watch(pp_loop *loop, pp_source *source)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = source};

    if (pp_fault("epoll_ctl") || epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0)
        return pp_err_from_errno(errno ? errno : ENOMEM);
    return PIPIT_OK;
}

pipit_err pp_loop_unwatch(pp_loop *loop, pp_source *source)
{
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL) < 0)
        return pp_err_from_errno(errno);
    return PIPIT_OK;
}

static void wake(pp_loop *loop)
{
    uint64_t one = 1;

    (void)!write(loop->wake_fd, &one, sizeof(one)); /* full means that it wakes anyway */
}

void pp_loop_post(pp_loop *loop, pp_task *task)
{
    pp_mailbox *mailbox = &loop->mailbox;

    task->next = NULL;
    (void)pthread_mutex_lock(&mailbox->lock);
    if (mailbox->last)
        mailbox->last->next = task;
    else
        mailbox->first = task;
    mailbox->last = task;
    (void)pthread_mutex_unlock(&mailbox->lock);
    /* Either the loop sees waiting before it sleeps, or we see that it sleeps. */
    atomic_store(&mailbox->waiting, true);
    if (atomic_exchange(&mailbox->sleeping, false))
        wake(loop);
}

static void run_tasks(pp_loop *loop)
{
    pp_mailbox *mailbox = &loop->mailbox;
    pp_task *task;

    if (!atomic_load_explicit(&mailbox->waiting, memory_order_relaxed))
        return;
    atomic_store(&mailbox->waiting, false);
    (void)pthread_mutex_lock(&mailbox->lock);
    task = mailbox->first;
    mailbox->first = mailbox->last = NULL;
    (void)pthread_mutex_unlock(&mailbox->lock);
    while (task) {
        pp_task *next = task->next;

        task->run(task); /* may free it, or post it again */
        task = next;
    }
}

bool pp_loop_run_leftovers(pp_loop *loop)
{
    if (!atomic_load(&loop->mailbox.waiting))
        return false;
    run_tasks(loop);
    pp_loop_flush(loop);
    pp_conn_finish_closing(loop);
    return true;
}

void pp_loop_feel_pressure(pp_loop *loop)
{
    loop->pressed = pp_ceiling_pressed();
    loop->staged_max = loop->pressed ? STAGED_PRESSED : PP_STAGED_MAX;
}

static void on_tidy(pp_timer *timer)
{
    pp_loop *loop = PP_CONTAINER(timer, pp_loop, tidy);

    loop->litter_bytes = 0;
    (void)malloc_trim(0);
}

void pp_loop_note_litter(pp_loop *loop, size_t bytes)
{
    loop->litter_bytes += bytes;
    if (loop->litter_bytes > LITTER_MAX && loop->tidy.place == PP_TIMER_IDLE)
        pp_timer_set(&loop->timers, &loop->tidy, loop->now_ns + PP_NS_PER_S, on_tidy);
}

/* How long the loop may sleep: until a timer, a paused connection or garbage wants it. */
static int64_t sleep_until(const pp_loop *loop, bool garbage)
{
    int64_t until = pp_timers_next_ns(&loop->timers);

    if (!pp_list_empty(&loop->paused)) {
        const pp_conn *conn = PP_CONTAINER(loop->paused.next, pp_conn, link);

        if (conn->resume_ns < until)
            until = conn->resume_ns;
    }
    if (garbage && loop->now_ns + RECLAIM_RETRY_NS < until)
        until = loop->now_ns + RECLAIM_RETRY_NS;
    return until;
}

/* Have the timer wake the loop at that time; it stays set, so that going to sleep again before then
 * costs nothing. A time that is over wakes at once. */
static void set_alarm(pp_loop *loop, int64_t at_ns)
{
    struct itimerspec when = {0}; /* zero: never */

    if (at_ns == loop->alarm_ns)
        return;
    if (at_ns != INT64_MAX)
        when.it_value =
            (struct timespec){.tv_sec = at_ns / PP_NS_PER_S, .tv_nsec = at_ns % PP_NS_PER_S};
    PP_ASSERT(timerfd_settime(loop->alarm.fd, TFD_TIMER_ABSTIME, &when, NULL) == 0);
    loop->alarm_ns = at_ns;
}

static int sleep_in_epoll(pp_loop *loop, struct epoll_event *events, int64_t until_ns)
{
    bool stay;
    int count;

    /* From here a poster that finds us sleeping must wake us; look once more for one that did
     * not. */
    atomic_store(&loop->mailbox.sleeping, true);
    stay =
        until_ns <= loop->now_ns || atomic_load(&loop->mailbox.waiting) || atomic_load(&loop->stop);
    if (!stay)
        set_alarm(loop, until_ns);
    pp_count(&loop->counters->sleeps, 1);
    count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_WAIT, stay ? 0 : -1);
    atomic_store(&loop->mailbox.sleeping, false);
    return count;
}

/* Is there input of nobody but those who say much at once? */
static bool all_say_much(const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        const pp_source *source = events[i].data.ptr;

        if (!source->says_much)
            return false;
    }
    return true;
}

/* Somebody else may have the processor meanwhile who has nothing to do with us, and what comes for
 * others waits: that is to take a small part of our time only. */
static void give_way(pp_loop *loop)
{
    int64_t since_ns = pp_clock_mono_ns(), took_ns;

    pp_count(&loop->counters->ways_given, 1);
    (void)sched_yield();
    took_ns = pp_clock_mono_ns() - since_ns;
    if (took_ns > GIVE_WAY_COUNTED_NS)
        took_ns = GIVE_WAY_COUNTED_NS;
    loop->gives_way_from_ns = since_ns + GIVE_WAY_PART * took_ns;
}

/* To whoever says much at once, unless others have input already. Returns how many events there
 * were before. */
static int give_way_if_alone(pp_loop *loop, struct epoll_event *events)
{
    int count;

    loop->gives_way = false;
    if (loop->now_ns < loop->gives_way_from_ns)
        return 0;
    count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_WAIT, 0);
    if (count >= 0 && all_say_much(events, count))
        give_way(loop);
    return count;
}

static int wait_for_events(pp_loop *loop, struct epoll_event *events, bool garbage)
{
    int count = 0;

    if (!pp_list_empty(&loop->ready) ||
        atomic_load_explicit(&loop->mailbox.waiting, memory_order_relaxed))
        return epoll_wait(loop->epoll_fd, events, EVENTS_PER_WAIT, 0);
    pp_reclaim_leave(&loop->reclaimer);
    if (loop->gives_way)
        count = give_way_if_alone(loop, events);
    if (count <= 0)
        count = sleep_in_epoll(loop, events, sleep_until(loop, garbage));
    pp_reclaim_enter(&loop->reclaimer);
    return count;
}

/* Read from each connection that was left with input, once; those added meanwhile wait a turn. */
static void read_ready(pp_loop *loop)
{
    pp_link turn;

    if (pp_list_empty(&loop->ready))
        return;
    turn = loop->ready;
    turn.next->prev = turn.prev->next = &turn;
    pp_list_init(&loop->ready);
    while (!pp_list_empty(&turn)) {
        pp_conn *conn = PP_CONTAINER(turn.next, pp_conn, link);

        pp_list_remove(&conn->link);
        pp_conn_read(conn);
    }
}

/* What timers stage, pings above all, goes to ever other connections: to gather more of it than the
 * chunks that are kept would only take memory. */
static void run_timers(pp_loop *loop)
{
    while (pp_timers_run_one(&loop->timers, loop->now_ns)) {
        if (loop->staged_chunks >= PP_CHUNK_POOL_MAX)
            pp_loop_flush(loop);
    }
}

void pp_loop_run(pp_loop *loop)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    bool garbage = false;

    current = loop;
    pp_reclaim_enter(&loop->reclaimer);
    while (!atomic_load_explicit(&loop->stop, memory_order_acquire)) {
        int count = wait_for_events(loop, events, garbage);

        loop->now_ns = pp_clock_mono_ns();
        pp_count(&loop->counters->turns, 1);
        pp_loop_feel_pressure(loop);
        read_ready(loop);
        for (int i = 0; i < count; i++) {
            pp_source *source = events[i].data.ptr;

            source->on_event(source, events[i].events);
        }
        run_tasks(loop);
        run_timers(loop);
        pp_conn_resume_due(loop);
        pp_loop_flush(loop);
        pp_conn_finish_closing(loop);
        pp_reclaim_pass(&loop->reclaimer);
        garbage = pp_reclaim_collect(&loop->reclaimer);
        pp_loop_flush(loop); /* what waited for other loops may have staged an answer */
        pp_turns_note(&loop->turns, (uint64_t)(pp_clock_mono_ns() - loop->now_ns));
    }
    pp_reclaim_leave(&loop->reclaimer);
    current = NULL;
}

pp_loop *pp_loop_current(void)
{
    return current;
}

void pp_loop_stop(pp_loop *loop)
{
    atomic_store(&loop->stop, true);
    wake(loop);
}
