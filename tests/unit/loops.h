/* tests/unit/loops.h -- loops for tests, and a door that keeps a record.
 *
 * A test is itself the thread of its loops and takes them turn by turn, so that what happens does
 * not depend on timing; where threads are the point, loops_start gives each loop one. */
#ifndef PIPIT_TESTS_UNIT_LOOPS_H
#define PIPIT_TESTS_UNIT_LOOPS_H

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "net/conn.h"
#include "net/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { LOOPS_MAX = 3, DEADLINE_S = 60 };

struct loops {
    unsigned count;
    bool threads;
    int64_t live_before; /* allocations */
    pp_reclaim reclaim;
    pp_counters counters[LOOPS_MAX];
    pp_loop at[LOOPS_MAX];
    pthread_t thread[LOOPS_MAX];
};

static inline void loops_init(struct loops *l, unsigned count)
{
    *l = (struct loops){.count = count, .live_before = pp_alloc_live()};
    assert_int_equal(pp_reclaim_init(&l->reclaim, count), PIPIT_OK);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(pp_loop_init(&l->at[i], i, &l->reclaim, &l->counters[i]), PIPIT_OK);
        l->at[i].now_ns = pp_clock_mono_ns(); /* as in a turn */
    }
}

/* --- turn by turn ------------------------------------------------------------------------- */

struct end_of_turn {
    pp_task task;
    pp_loop *loop;
};

static inline void loops_end_turn(pp_task *task)
{
    atomic_store(&PP_CONTAINER(task, struct end_of_turn, task)->loop->stop, true);
}

/* One turn with whatever events there are; it does not wait. */
static inline void turn(struct loops *l, unsigned index)
{
    struct end_of_turn end = {.task.run = loops_end_turn, .loop = &l->at[index]};

    pp_loop_post(end.loop, &end.task);
    pp_loop_run(end.loop);
    atomic_store(&end.loop->stop, false);
}

/* Wait for an event of the loop, then take a turn. Not for timers. */
static inline void turn_on_event(struct loops *l, unsigned index)
{
    struct pollfd fd = {.fd = l->at[index].epoll_fd, .events = POLLIN};

    assert_int_equal(poll(&fd, 1, DEADLINE_S * 1000), 1);
    turn(l, index);
}

/* Turns until nothing is left to do at once, and some more: what is freed may have to wait for a
 * turn or two. */
static inline void settle(struct loops *l, unsigned index)
{
    pp_loop *loop = &l->at[index];

    for (unsigned idle = 0; idle < 5; idle++) {
        struct pollfd fd = {.fd = loop->epoll_fd, .events = POLLIN};

        turn(l, index);
        if (poll(&fd, 1, 0) == 1 || !pp_list_empty(&loop->ready) ||
            atomic_load(&loop->mailbox.waiting))
            idle = 0;
    }
}

/* --- on threads --------------------------------------------------------------------------- */

static inline void *loops_run_thread(void *arg)
{
    pp_loop_run(arg);
    return NULL;
}

static inline void loops_start(struct loops *l)
{
    for (unsigned i = 0; i < l->count; i++)
        assert_int_equal(pthread_create(&l->thread[i], NULL, loops_run_thread, &l->at[i]), 0);
    l->threads = true;
}

static inline void wait_sem(sem_t *sem)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DEADLINE_S;
    while (sem_timedwait(sem, &until) < 0)
        assert_int_equal(errno, EINTR);
}

struct loops_errand {
    pp_task task;
    void (*run)(void *arg);
    void *arg;
    sem_t done;
};

static inline void loops_run_errand(pp_task *task)
{
    struct loops_errand *errand = PP_CONTAINER(task, struct loops_errand, task);

    errand->run(errand->arg);
    (void)sem_post(&errand->done);
}

/* Have run called on the loop's thread, and wait until it has been. */
static inline void on_loop(struct loops *l, unsigned index, void (*run)(void *arg), void *arg)
{
    struct loops_errand errand = {.task.run = loops_run_errand, .run = run, .arg = arg};

    if (!l->threads) {
        run(arg);
        return;
    }
    assert_int_equal(sem_init(&errand.done, 0, 0), 0);
    pp_loop_post(&l->at[index], &errand.task);
    wait_sem(&errand.done);
    (void)sem_destroy(&errand.done);
}

/* --- the end ------------------------------------------------------------------------------ */

static inline void loops_shut_conn(pp_conn *conn, void *arg)
{
    (void)arg;
    pp_conn_close(conn, PP_CLOSE_SHUTDOWN, false);
}

static inline void loops_shut(void *arg)
{
    pp_conn_each(arg, loops_shut_conn, NULL);
    pp_conn_abandon_closing(arg);
}

/* Close what is open, and stop. */
static inline void loops_fini(struct loops *l)
{
    bool more = true;

    for (unsigned i = 0; i < l->count; i++)
        on_loop(l, i, loops_shut, &l->at[i]);
    for (unsigned i = 0; i < l->count && l->threads; i++) {
        pp_loop_stop(&l->at[i]);
        assert_int_equal(pthread_join(l->thread[i], NULL), 0);
    }
    while (more) {
        more = false;
        for (unsigned i = 0; i < l->count; i++)
            more |= pp_loop_run_leftovers(&l->at[i]);
    }
    for (unsigned i = 0; i < l->count; i++)
        pp_loop_flush(&l->at[i]);
    for (unsigned i = 0; i < l->count; i++)
        pp_loop_fini(&l->at[i]);
    pp_reclaim_fini(&l->reclaim);
}

/* Nothing is left of them. After the test's own things are gone too. */
static inline void loops_check_memory(const struct loops *l)
{
    assert_int_equal(pp_alloc_live(), l->live_before);
}

/* --- a door ------------------------------------------------------------------------------- */

struct watch;

/* What a test may want to do in a session's calls. */
struct watch_hooks {
    pipit_err (*open)(struct watch *w);
    void (*on_bytes)(struct watch *w, pp_str window, size_t *used, size_t *want);
    void (*on_timer)(struct watch *w);
    void (*on_sent)(struct watch *w);
    void (*on_close)(struct watch *w);
};

/* One for each connection: what has become of it. The test's, so it outlives the connection. */
struct watch {
    struct loops *loops;
    const struct watch_hooks *hooks;
    pp_conn *conn; /* valid until freed */
    int peer;      /* the other end of its socket */
    bool by_tcp;   /* which is one of TCP, not of this machine's own */
    bool opened;
    unsigned closed; /* calls */
    unsigned timers;
    unsigned sents;
    atomic_uint freed;
    uint8_t reason;
    pp_buf got;    /* what it was sent, unless a hook takes it */
    sem_t gone;    /* posted when it is freed */
    void *context; /* the test's */
    pp_door door;
};

struct watch_session {
    struct watch *watch;
};

/* The connection being opened: on the thread that opens it. */
static _Thread_local struct watch *watch_opening;

static inline struct watch *watch_of(void *session)
{
    return ((struct watch_session *)session)->watch;
}

static inline pipit_err watch_open(void *session, pp_conn *conn)
{
    struct watch *w = watch_opening;

    ((struct watch_session *)session)->watch = w;
    w->conn = conn;
    w->opened = true;
    return w->hooks && w->hooks->open ? w->hooks->open(w) : PIPIT_OK;
}

static inline void watch_on_bytes(void *session, pp_str window, size_t *used, size_t *want)
{
    struct watch *w = watch_of(session);

    if (w->hooks && w->hooks->on_bytes) {
        w->hooks->on_bytes(w, window, used, want);
        return;
    }
    assert_int_equal(pp_buf_add(&w->got, window.ptr, window.len), PIPIT_OK);
    *used = window.len;
}

static inline void watch_on_timer(void *session)
{
    struct watch *w = watch_of(session);

    w->timers++;
    if (w->hooks && w->hooks->on_timer)
        w->hooks->on_timer(w);
}

static inline void watch_on_sent(void *session)
{
    struct watch *w = watch_of(session);

    w->sents++;
    if (w->hooks && w->hooks->on_sent)
        w->hooks->on_sent(w);
}

static inline void watch_on_close(void *session)
{
    struct watch *w = watch_of(session);

    if (!w)
        return; /* it was never opened */
    w->closed++;
    w->reason = w->conn->reason;
    if (w->hooks && w->hooks->on_close)
        w->hooks->on_close(w);
}

static inline void watch_free(void *session)
{
    struct watch *w = watch_of(session);

    if (!w)
        return;
    w->conn = NULL;
    (void)atomic_fetch_add(&w->freed, 1);
    (void)sem_post(&w->gone);
}

static const pp_proto_ops watch_proto = {
    .name = "watch",
    .session_bytes = sizeof(struct watch_session),
    .open = watch_open,
    .on_bytes = watch_on_bytes,
    .on_timer = watch_on_timer,
    .on_sent = watch_on_sent,
    .on_close = watch_on_close,
    .free = watch_free,
};

static const pp_conn_limits roomy_limits = {.pending_max = 64 << 20,
                                            .write_deadline_ns = 3600 * PP_NS_PER_S};

static inline void watch_init(struct watch *w, struct loops *l, const struct watch_hooks *hooks)
{
    *w = (struct watch){.loops = l, .hooks = hooks, .peer = -1};
    pp_buf_init(&w->got, 64 << 20);
    assert_int_equal(sem_init(&w->gone, 0, 0), 0);
}

static inline void watch_fini(struct watch *w)
{
    pp_buf_fini(&w->got);
    (void)sem_destroy(&w->gone);
    if (w->peer >= 0)
        (void)close(w->peer);
    w->peer = -1;
}

struct watch_opener {
    struct watch *watch;
    pp_loop *loop;
    uint64_t id;
    int fd;
    pipit_err err;
};

static inline void watch_run_opener(void *arg)
{
    struct watch_opener *o = arg;
    pp_conn *conn;

    watch_opening = o->watch;
    o->err = pp_conn_open(o->loop, o->fd, o->id, &o->watch->door, &conn);
}

/* receive_bytes: about as many the peer's kernel takes that it does not read; 0: as it likes. */
static inline void tcp_pair(int fds[2], int receive_bytes)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(here);

    assert_int_equal(bind(listener, (struct sockaddr *)&here, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&here, &len), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_bytes)
        assert_int_equal(
            setsockopt(fds[1], SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes)), 0);
    assert_int_equal(connect(fds[1], (struct sockaddr *)&here, len), 0);
    fds[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fds[0] >= 0);
    assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
    (void)close(listener);
}

/* Open a connection on a loop, its other end in w->peer. send_bytes: how much the kernel holds
 * for it, about; 0: as it likes. */
static inline pipit_err watch_connect_as(struct watch *w, unsigned index, uint64_t id,
                                         const pp_conn_limits *limits, int send_bytes)
{
    struct watch_opener o = {.watch = w, .loop = &w->loops->at[index], .id = id};
    int fds[2];

    w->door.proto = &watch_proto;
    atomic_store(&w->door.limits.pending_max, limits->pending_max);
    atomic_store(&w->door.limits.write_deadline_ns, limits->write_deadline_ns);
    atomic_store(&w->door.limits.no_stall, limits->no_stall);

    if (w->by_tcp)
        tcp_pair(fds, send_bytes);
    else
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
                         0);
    if (send_bytes)
        assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes)),
                         0);
    w->peer = fds[1];
    o.fd = fds[0];
    on_loop(w->loops, index, watch_run_opener, &o);
    return o.err;
}

static inline void watch_connect(struct watch *w, unsigned index, const pp_conn_limits *limits,
                                 int send_bytes)
{
    static atomic_uint next_id;

    assert_int_equal(
        watch_connect_as(w, index, 1000 + atomic_fetch_add(&next_id, 1), limits, send_bytes),
        PIPIT_OK);
}

/* Take what has arrived at the peer, at most max bytes; PIPIT_ECLOSED at its end. */
static inline pipit_err peer_read(int peer, pp_buf *into, size_t max)
{
    char bytes[65536];

    while (max) {
        ssize_t n = recv(peer, bytes, max < sizeof(bytes) ? max : sizeof(bytes), MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            return PIPIT_OK;
        }
        if (n == 0)
            return PIPIT_ECLOSED;
        assert_int_equal(pp_buf_add(into, bytes, (size_t)n), PIPIT_OK);
        max -= (size_t)n;
    }
    return PIPIT_OK;
}

static inline void peer_wait(int peer)
{
    struct pollfd fd = {.fd = peer, .events = POLLIN};

    assert_int_equal(poll(&fd, 1, DEADLINE_S * 1000), 1);
}

/* Bytes that tell where they belong in a stream. */
static inline char stream_byte(size_t at)
{
    return (char)((at * 2654435761u >> 13) ^ at);
}

static inline void fill_stream(char *to, size_t at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = stream_byte(at + i);
}

static inline void check_stream(const char *bytes, size_t at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != stream_byte(at + i))
            fail_msg("byte %zu is not the one that was sent", at + i);
    }
}

#endif
