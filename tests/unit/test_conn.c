/* Connections: what the door is shown of the input, and how they end. */
#include "net/conn.h"

#include "loops.h"
#include "seed.h"

#include <arpa/inet.h>
#include <netinet/in.h>

enum { BODY_MIN = 32 * 1024 }; /* as in conn.c: longer operations are read into a body */

/* --- a small protocol: a length of four bytes, then so many bytes of the stream ------------ */

struct taker {
    size_t ops, bytes;
    size_t in_bodies;  /* ops that came in a body */
    size_t echo;       /* bytes referred to in the window and sent back */
    size_t yield_each; /* after so many ops the door has had its share; 0: never */
    bool greedy;       /* says how much it wants */
};

static void check_slack(pp_str window)
{
    for (unsigned i = 0; i < PP_WINDOW_SLACK; i++)
        (void)*(const volatile char *)&window.ptr[window.len + i]; /* AddressSanitizer looks */
}

static void take_op(struct watch *w, struct taker *t, pp_str op)
{
    check_stream(op.ptr, t->bytes, op.len);
    t->ops++;
    t->bytes += op.len;
    t->in_bodies += w->conn->in_body;
    if (w->conn->in_body)
        assert_true(op.ptr > w->conn->body->bytes &&
                    op.ptr + op.len <= w->conn->body->bytes + w->conn->body->len);
}

static void take_ops(struct watch *w, pp_str window, size_t *used, size_t *want)
{
    struct taker *t = w->context;
    size_t ops = 0;

    check_slack(window);
    *used = *want = 0;
    while (window.len - *used >= 4) {
        uint32_t len;

        memcpy(&len, window.ptr + *used, 4);
        if (window.len - *used - 4 < len) {
            *want = t->greedy ? 4 + (size_t)len : 0;
            return;
        }
        take_op(w, t, (pp_str){window.ptr + *used + 4, len});
        *used += 4 + (size_t)len;
        if (t->yield_each && ++ops == t->yield_each) {
            pp_conn_yield(w->conn);
            return;
        }
    }
}

static const struct watch_hooks taking = {.on_bytes = take_ops};

struct world {
    struct loops l;
    struct watch w;
    struct taker t;
};

static void world_init(struct world *x, const struct watch_hooks *hooks,
                       const pp_conn_limits *limits)
{
    loops_init(&x->l, 1);
    watch_init(&x->w, &x->l, hooks);
    x->t = (struct taker){.greedy = true};
    x->w.context = &x->t;
    watch_connect(&x->w, 0, limits, 0);
}

static void world_fini(struct world *x)
{
    loops_fini(&x->l);
    assert_int_equal(atomic_load(&x->w.freed), 1);
    assert_int_equal(x->w.closed, 1);
    watch_fini(&x->w);
    loops_check_memory(&x->l);
}

static void peer_send(struct world *x, const void *bytes, size_t len)
{
    unsigned turns = 0;

    for (size_t at = 0; at < len;) {
        ssize_t n = send(x->w.peer, (const char *)bytes + at, len - at, MSG_NOSIGNAL);

        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            assert_true(++turns < 1000000); /* or nobody reads */
            turn(&x->l, 0);
            continue;
        }
        at += (size_t)n;
    }
}

static size_t make_op(char *to, size_t stream_at, uint32_t len)
{
    memcpy(to, &len, 4);
    fill_stream(to + 4, stream_at, len);
    return 4 + (size_t)len;
}

/* --- input -------------------------------------------------------------------------------- */

static void test_conn_hands_input_to_the_door(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    peer_send(&x, "hello", 5);
    turn(&x.l, 0);
    assert_int_equal(x.w.got.len, 5);
    turn(&x.l, 0); /* nothing more: no empty windows */
    peer_send(&x, ", world", 7);
    turn(&x.l, 0);
    assert_int_equal(x.w.got.len, 12);
    assert_memory_equal(x.w.got.ptr, "hello, world", 12);
    world_fini(&x);
}

/* An operation cut at every byte, read in the loop's buffer and, when large, in a body. */
static void test_conn_joins_what_was_cut(void **state)
{
    static char op[40 * 1024];
    static const uint32_t lens[] = {0, 1, 100, BODY_MIN + 1000};

    (void)state;
    for (unsigned greedy = 0; greedy < 2; greedy++) {
        struct world x;

        world_init(&x, &taking, &roomy_limits);
        x.t.greedy = greedy;
        for (size_t i = 0; i < COUNT_OF(lens); i++) {
            size_t total = 4 + lens[i], step = total > 200 ? 1777 : 1;

            for (size_t cut = 0; cut <= total; cut += step) {
                size_t ops = x.t.ops;

                (void)make_op(op, x.t.bytes, lens[i]);
                peer_send(&x, op, cut);
                settle(&x.l, 0);
                peer_send(&x, op + cut, total - cut);
                settle(&x.l, 0);
                assert_int_equal(x.t.ops, ops + 1);
                assert_null(x.w.conn->body); /* between operations it keeps nothing */
            }
        }
        if (greedy)
            assert_true(x.t.in_bodies > 10);
        else
            assert_int_equal(x.t.in_bodies, 0);
        world_fini(&x);
    }
}

static void test_conn_one_byte_at_a_time(void **state)
{
    char bytes[600];
    struct world x;
    size_t len = 0, stream = 0;

    (void)state;
    world_init(&x, &taking, &roomy_limits);
    for (uint32_t i = 0; i < 20; i++) {
        len += make_op(bytes + len, stream, i);
        stream += i;
    }
    for (size_t at = 0; at < len; at++) {
        peer_send(&x, bytes + at, 1);
        turn(&x.l, 0);
    }
    assert_int_equal(x.t.ops, 20);
    world_fini(&x);
}

/* Operations of all sizes in pieces of all sizes; sometimes the door has had enough of a turn. */
static void test_conn_random_input(void **state)
{
    enum { OPS = 400, MAX = 300 * 1024 };
    uint64_t random = test_seed("conn");
    char *bytes = malloc(OPS * 4 + 64 * MAX);

    (void)state;
    for (unsigned round = 0; round < 6; round++) {
        struct world x;
        size_t len = 0, stream = 0, ops = 0;

        world_init(&x, &taking, &roomy_limits);
        x.t.greedy = round % 2 == 0;
        x.t.yield_each = x.t.greedy && round % 3 == 1 ? 0 : round * 2;
        while (ops < OPS && len < 8 * MAX) {
            uint32_t op = pp_random_below(&random, 20)  ? pp_random_below(&random, 200)
                          : pp_random_below(&random, 3) ? pp_random_below(&random, 50000)
                                                        : pp_random_below(&random, MAX);

            len += make_op(bytes + len, stream, op);
            stream += op;
            ops++;
        }
        for (size_t at = 0; at < len;) {
            size_t piece = 1 + pp_random_below(&random, pp_random_below(&random, 3) ? 100000 : 50);

            piece = piece < len - at ? piece : len - at;
            peer_send(&x, bytes + at, piece);
            at += piece;
            if (pp_random_below(&random, 4))
                turn(&x.l, 0);
        }
        settle(&x.l, 0);
        assert_int_equal(x.t.ops, ops);
        assert_int_equal(x.t.bytes, stream);
        world_fini(&x);
    }
    free(bytes);
}

/* A door that has had its share is asked again in the next turn, without new input. */
static void test_conn_yields(void **state)
{
    char bytes[1000];
    struct world x;
    size_t len = 0;

    (void)state;
    world_init(&x, &taking, &roomy_limits);
    x.t.yield_each = 3;
    for (uint32_t i = 0; i < 10; i++)
        len += make_op(bytes + len, i * 5, 5);
    peer_send(&x, bytes, len);
    for (size_t ops = 3; ops < 10; ops += 3) {
        turn(&x.l, 0);
        assert_int_equal(x.t.ops, ops);
    }
    turn(&x.l, 0);
    assert_int_equal(x.t.ops, 10);
    /* Closed in the middle of its share: what is left is not shown to it. */
    peer_send(&x, bytes, 8);
    world_fini(&x);
}

static void echo_all(struct watch *w, pp_str window, size_t *used, size_t *want)
{
    struct taker *t = w->context;

    *want = 0;
    *used = 0;
    if (window.len < t->echo)
        return;
    assert_true(pp_outlet_write(&w->conn->own, PP_STR(".")));
    assert_true(pp_outlet_refer(&w->conn->own, (pp_str){window.ptr, t->echo}, NULL));
    *used = t->echo;
}

/* Output may refer into the input's window, wherever that lies: also for lines that are longer
 * than the loop's buffer, and what was kept. */
static void test_conn_output_refers_into_the_window(void **state)
{
    static const struct watch_hooks echoing = {.on_bytes = echo_all};
    static const size_t sizes[] = {10, 30000, 60000, 70000, 200000};
    static char bytes[200000];

    (void)state;
    fill_stream(bytes, 0, sizeof(bytes));
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct world x;

        world_init(&x, &echoing, &roomy_limits);
        x.t.echo = sizes[i];
        for (unsigned round = 0; round < 3; round++) {
            peer_send(&x, bytes, sizes[i] / 2);
            turn(&x.l, 0);
            peer_send(&x, bytes + sizes[i] / 2, sizes[i] - sizes[i] / 2);
            x.w.got.len = 0;
            while (x.w.got.len < sizes[i] + 1) {
                turn(&x.l, 0);
                assert_int_equal(peer_read(x.w.peer, &x.w.got, SIZE_MAX), PIPIT_OK);
                assert_int_equal(x.w.closed, 0);
            }
            assert_int_equal(x.w.got.ptr[0], '.');
            check_stream(x.w.got.ptr + 1, 0, sizes[i]);
        }
        world_fini(&x);
    }
}

/* --- ends --------------------------------------------------------------------------------- */

static void test_conn_peer_leaves_after_its_last_words(void **state)
{
    static char bytes[300000];

    (void)state;
    for (unsigned half = 0; half < 2; half++) {
        struct world x;

        world_init(&x, NULL, &roomy_limits);
        fill_stream(bytes, 0, sizeof(bytes));
        peer_send(&x, bytes, sizeof(bytes));
        if (half) {
            assert_int_equal(shutdown(x.w.peer, SHUT_WR), 0);
        } else {
            (void)close(x.w.peer);
            x.w.peer = -1;
        }
        settle(&x.l, 0);
        assert_int_equal(x.w.got.len, sizeof(bytes));
        check_stream(x.w.got.ptr, 0, sizeof(bytes));
        assert_int_equal(x.w.reason, PP_CLOSE_CLIENT);
        assert_int_equal(atomic_load(&x.w.freed), 1);
        assert_int_equal(x.l.at[0].conn_count, 0);
        assert_int_equal(atomic_load(&x.l.counters[0].connections_closed), 1);
        world_fini(&x);
    }
}

static void test_conn_read_error(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    peer_send(&x, "hello", 5);
    pp_fault_arm("recv", 1);
    turn(&x.l, 0);
    assert_true(pp_fault_disarm());
    assert_int_equal(x.w.reason, PP_CLOSE_READ_ERROR);
    assert_int_equal(x.w.got.len, 0);
    world_fini(&x);
}

static void close_in_bytes(struct watch *w, pp_str window, size_t *used, size_t *want)
{
    *used = window.len > 3 ? 3 : window.len;
    *want = 0;
    assert_int_equal(w->closed, 0); /* never again after the close */
    assert_true(pp_outlet_write(&w->conn->own, PP_STR("-ERR")));
    pp_conn_close(w->conn, PP_CLOSE_PROTOCOL, true);
    pp_conn_close(w->conn, PP_CLOSE_CLIENT, false); /* the first one counts */
}

static void test_conn_door_closes(void **state)
{
    static const struct watch_hooks closing = {.on_bytes = close_in_bytes};
    struct world x;

    (void)state;
    world_init(&x, &closing, &roomy_limits);
    peer_send(&x, "abcdef", 6);
    turn(&x.l, 0);
    assert_int_equal(x.w.closed, 1);
    assert_int_equal(x.w.reason, PP_CLOSE_PROTOCOL);
    assert_int_equal(peer_read(x.w.peer, &x.w.got, SIZE_MAX), PIPIT_ECLOSED);
    assert_int_equal(x.w.got.len, 4);
    settle(&x.l, 0);
    assert_int_equal(atomic_load(&x.w.freed), 1);
    world_fini(&x);
}

static void test_conn_flushes_before_it_closes(void **state)
{
    enum { LEN = 400000 };
    static char bytes[LEN];

    (void)state;
    fill_stream(bytes, 0, LEN);
    for (unsigned flush = 0; flush < 2; flush++) {
        struct world x;

        world_init(&x, NULL, &roomy_limits);
        /* Some of it waits already, some is staged only. */
        assert_true(pp_outlet_write(&x.w.conn->own, (pp_str){bytes, LEN / 2}));
        pp_loop_flush(&x.l.at[0]);
        assert_true(pp_outlet_write(&x.w.conn->own, (pp_str){bytes + LEN / 2, LEN / 2}));
        pp_conn_close(x.w.conn, PP_CLOSE_PROTOCOL, flush);
        assert_null(pp_conn_find(&x.l.at[0], x.w.conn->id));
        turn(&x.l, 0);
        while (peer_read(x.w.peer, &x.w.got, 10000) == PIPIT_OK) {
            assert_true(x.w.got.len <= LEN);
            settle(&x.l, 0);
        }
        if (flush)
            assert_int_equal(x.w.got.len, LEN);
        else
            assert_true(x.w.got.len < LEN);
        check_stream(x.w.got.ptr, 0, x.w.got.len);
        settle(&x.l, 0);
        assert_int_equal(atomic_load(&x.w.freed), 1);
        world_fini(&x);
    }
}

/* A peer that does not take its last words either does not keep the connection. */
static void test_conn_does_not_flush_for_ever(void **state)
{
    static const pp_conn_limits limits = {.pending_max = 64 << 20,
                                          .write_deadline_ns = 1000 * PP_NS_PER_S};
    static char bytes[1000000];
    struct world x;
    pp_loop *loop;

    (void)state;
    world_init(&x, NULL, &limits);
    loop = &x.l.at[0];
    assert_true(pp_outlet_write(&x.w.conn->own, (pp_str){bytes, sizeof(bytes)}));
    pp_conn_close(x.w.conn, PP_CLOSE_PROTOCOL, true);
    settle(&x.l, 0);
    assert_int_equal(x.l.at[0].conn_count, 1);
    loop->now_ns += 999 * PP_NS_PER_S;
    pp_timers_run(&loop->timers, loop->now_ns);
    assert_int_equal(x.l.at[0].conn_count, 1);
    loop->now_ns += 2 * PP_NS_PER_S;
    pp_timers_run(&loop->timers, loop->now_ns);
    assert_int_equal(x.l.at[0].conn_count, 0);
    settle(&x.l, 0);
    assert_int_equal(atomic_load(&x.w.freed), 1);
    world_fini(&x);
}

static void test_conn_peer_leaves_while_it_closes(void **state)
{
    static char bytes[1000000];
    struct world x;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    assert_true(pp_outlet_write(&x.w.conn->own, (pp_str){bytes, sizeof(bytes)}));
    pp_conn_close(x.w.conn, PP_CLOSE_PROTOCOL, true);
    settle(&x.l, 0);
    assert_int_equal(x.l.at[0].conn_count, 1);
    (void)close(x.w.peer);
    x.w.peer = -1;
    settle(&x.l, 0);
    assert_int_equal(x.l.at[0].conn_count, 0); /* long before the write deadline */
    world_fini(&x);
}

static void test_conn_abandon(void **state)
{
    static char bytes[1000000];
    struct world x;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    assert_true(pp_outlet_write(&x.w.conn->own, (pp_str){bytes, sizeof(bytes)}));
    pp_conn_close(x.w.conn, PP_CLOSE_SHUTDOWN, true);
    settle(&x.l, 0);
    assert_int_equal(x.l.at[0].conn_count, 1);
    pp_conn_abandon_closing(&x.l.at[0]);
    assert_int_equal(x.l.at[0].conn_count, 0);
    world_fini(&x);
}

/* While somebody holds it, it is closed but not freed. */
static void test_conn_is_held(void **state)
{
    struct world x;
    pp_conn *conn;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    conn = x.w.conn;
    pp_conn_hold(conn);
    pp_conn_close(conn, PP_CLOSE_CLIENT, false);
    settle(&x.l, 0);
    assert_true(conn->closed);
    assert_int_equal(atomic_load(&x.w.freed), 0);
    pp_conn_unhold(conn);
    settle(&x.l, 0);
    assert_int_equal(atomic_load(&x.w.freed), 1);
    world_fini(&x);
}

/* --- the loop's connections --------------------------------------------------------------- */

static void count_and_close(pp_conn *conn, void *arg)
{
    unsigned *count = arg;

    if (++*count % 2)
        pp_conn_close(conn, PP_CLOSE_CLIENT, false);
}

struct walked {
    unsigned times[3000];
};

static void note_walked(pp_conn *conn, void *arg)
{
    ((struct walked *)arg)->times[conn->id]++;
}

/* Between the steps connections come, so that the table grows, and go. */
static void test_conn_walk_visits_once_what_stays(void **state)
{
    enum { COUNT = 100, COMING = 900 };
    static struct watch watches[COUNT + COMING];
    static struct walked walked;
    unsigned opened = COUNT;
    size_t at = 0, mask;
    struct loops l;

    (void)state;
    loops_init(&l, 1);
    for (unsigned i = 0; i < COUNT + COMING; i++)
        watch_init(&watches[i], &l, NULL);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(watch_connect_as(&watches[i], 0, 3 * i, &roomy_limits, 0), PIPIT_OK);
    mask = l.at[0].conn_mask;
    while (pp_conn_walk(&l.at[0], &at, note_walked, &walked)) {
        for (unsigned n = 0; n < 20 && opened < COUNT + COMING; n++, opened++)
            assert_int_equal(watch_connect_as(&watches[opened], 0, 3 * opened, &roomy_limits, 0),
                             PIPIT_OK);
        if (opened % 60 == 0) /* one of those that were there, and every third of them */
            pp_conn_close(watches[opened / 60 * 3 % COUNT].conn, PP_CLOSE_CLIENT, false);
    }
    assert_int_equal(opened, COUNT + COMING);
    assert_true(l.at[0].conn_mask >= 8 * mask);
    for (unsigned i = 0; i < COUNT + COMING; i++) {
        assert_true(walked.times[3 * i] <= 1);
        if (i < COUNT && !watches[i].closed)
            assert_int_equal(walked.times[3 * i], 1);
    }
    for (unsigned i = 0; i < COUNT + COMING; i++)
        pp_conn_close(watches[i].conn, PP_CLOSE_CLIENT, false);
    settle(&l, 0);
    loops_fini(&l);
    for (unsigned i = 0; i < COUNT + COMING; i++)
        watch_fini(&watches[i]);
    loops_check_memory(&l);
}

static void test_conn_is_found_by_id(void **state)
{
    enum { COUNT = 300 };
    static struct watch watches[COUNT];
    struct loops l;
    unsigned count = 0;
    size_t at = 0;

    (void)state;
    loops_init(&l, 1);
    assert_null(pp_conn_any(&l.at[0], &at));
    for (unsigned i = 0; i < COUNT; i++) {
        watch_init(&watches[i], &l, NULL);
        assert_int_equal(watch_connect_as(&watches[i], 0, 7 * i, &roomy_limits, 0), PIPIT_OK);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        assert_ptr_equal(pp_conn_find(&l.at[0], 7 * i), watches[i].conn);
        assert_null(pp_conn_find(&l.at[0], 7 * i + 1));
    }
    assert_int_equal(l.at[0].conn_count, COUNT);
    pp_conn_each(&l.at[0], count_and_close, &count);
    assert_int_equal(count, COUNT);
    settle(&l, 0);
    assert_int_equal(l.at[0].conn_count, COUNT / 2);
    for (unsigned i = 0; i < COUNT; i++)
        assert_true((pp_conn_find(&l.at[0], 7 * i) == NULL) == (watches[i].closed == 1));
    for (unsigned i = 0; i < COUNT / 2; i++) {
        pp_conn *conn = pp_conn_any(&l.at[0], &at);

        assert_non_null(conn);
        pp_conn_close(conn, PP_CLOSE_CLIENT, false);
    }
    assert_null(pp_conn_any(&l.at[0], &at));
    settle(&l, 0);
    assert_int_equal(l.at[0].conn_count, 0);
    loops_fini(&l);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(atomic_load(&watches[i].freed), 1);
        watch_fini(&watches[i]);
    }
    loops_check_memory(&l);
}

/* One failure at each place while a connection opens: it is closed, both counters know of it, and
 * its peer learns. */
static void test_conn_open_fault_sweep(void **state)
{
    unsigned nth;

    (void)state;
    for (nth = 1;; nth++) {
        struct loops l;
        struct watch w;
        pipit_err err;
        bool fired;

        loops_init(&l, 1);
        watch_init(&w, &l, NULL);
        pp_fault_arm("*", nth);
        err = watch_connect_as(&w, 0, 5, &roomy_limits, 0);
        fired = pp_fault_disarm();
        if (!fired)
            assert_int_equal(err, PIPIT_OK);
        if (err) {
            assert_int_not_equal(err, PIPIT_EAGAIN);
            settle(&l, 0);
            assert_int_equal(peer_read(w.peer, &w.got, SIZE_MAX), PIPIT_ECLOSED);
            assert_null(pp_conn_find(&l.at[0], 5));
            assert_int_equal(atomic_load(&l.counters[0].connections_opened), 1);
            assert_int_equal(atomic_load(&l.counters[0].connections_closed), 1);
            if (w.opened)
                assert_int_equal(w.closed, 1);
        }
        loops_fini(&l);
        watch_fini(&w);
        loops_check_memory(&l);
        if (!fired)
            break;
    }
    assert_true(nth > 2);
}

static pipit_err refuse_open(struct watch *w)
{
    (void)w;
    return PIPIT_ELIMIT;
}

static void test_conn_door_refuses_to_open(void **state)
{
    static const struct watch_hooks refusing = {.open = refuse_open};
    struct loops l;
    struct watch w;

    (void)state;
    loops_init(&l, 1);
    watch_init(&w, &l, &refusing);
    assert_int_equal(watch_connect_as(&w, 0, 5, &roomy_limits, 0), PIPIT_ELIMIT);
    settle(&l, 0);
    assert_int_equal(w.closed, 1);
    assert_int_equal(atomic_load(&w.freed), 1);
    assert_int_equal(peer_read(w.peer, &w.got, SIZE_MAX), PIPIT_ECLOSED);
    loops_fini(&l);
    watch_fini(&w);
    loops_check_memory(&l);
}

/* No memory for what is not complete: that connection ends, no other. */
static void test_conn_keep_fault(void **state)
{
    static char bytes[BODY_MIN * 2];

    (void)state;
    for (unsigned large = 0; large < 2; large++) {
        struct world x;

        world_init(&x, &taking, &roomy_limits);
        (void)make_op(bytes, 0, large ? BODY_MIN + 100 : 100);
        peer_send(&x, bytes, 50);
        pp_fault_arm("alloc", 1);
        turn(&x.l, 0);
        assert_true(pp_fault_disarm());
        assert_int_equal(x.w.reason, PP_CLOSE_NO_MEMORY);
        world_fini(&x);
    }
}

/* --- timers ------------------------------------------------------------------------------- */

static void set_again(struct watch *w)
{
    if (w->timers < 3)
        pp_conn_set_timer(w->conn, w->conn->loop->now_ns + 5);
}

static void test_conn_door_timer(void **state)
{
    static const struct watch_hooks hooks = {.on_timer = set_again};
    struct world x;
    pp_loop *loop;

    (void)state;
    world_init(&x, &hooks, &roomy_limits);
    loop = &x.l.at[0];
    loop->now_ns = 1000;
    pp_conn_set_timer(x.w.conn, 1010);
    pp_conn_set_timer(x.w.conn, 1005); /* anew */
    pp_timers_run(&loop->timers, 1004);
    assert_int_equal(x.w.timers, 0);
    for (unsigned i = 1; i <= 3; i++) {
        loop->now_ns += 5;
        pp_timers_run(&loop->timers, loop->now_ns);
        assert_int_equal(x.w.timers, i);
    }
    pp_conn_set_timer(x.w.conn, 2000);
    pp_conn_close(x.w.conn, PP_CLOSE_CLIENT, false);
    pp_conn_set_timer(x.w.conn, 2000); /* not any more */
    pp_timers_run(&loop->timers, 3000);
    assert_int_equal(x.w.timers, 3);
    world_fini(&x);
}

/* --- pausing ------------------------------------------------------------------------------ */

static void test_conn_paused_is_not_read(void **state)
{
    struct world x;
    pp_loop *loop;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    loop = &x.l.at[0];
    pp_conn_pause(x.w.conn, NULL, 3600 * PP_NS_PER_S);
    assert_int_equal(atomic_load(&x.l.counters[0].stalls), 1);
    peer_send(&x, "abc", 3);
    settle(&x.l, 0);
    peer_send(&x, "def", 3);
    settle(&x.l, 0);
    assert_int_equal(x.w.got.len, 0);
    loop->now_ns += 3601 * PP_NS_PER_S;
    pp_conn_resume_due(loop);
    settle(&x.l, 0);
    assert_int_equal(x.w.got.len, 6);
    world_fini(&x);
}

static void test_conn_resumes_for_whom_it_waits(void **state)
{
    struct world x;
    pp_loop *loop;
    pp_outlet other;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    loop = &x.l.at[0];
    pp_conn_pause(x.w.conn, &x.w.conn->own, 3600 * PP_NS_PER_S);
    peer_send(&x, "abc", 3);
    settle(&x.l, 0);
    pp_conn_resume_for(loop, &other);
    settle(&x.l, 0);
    assert_int_equal(x.w.got.len, 0);
    pp_conn_resume_for(loop, &x.w.conn->own);
    settle(&x.l, 0);
    assert_int_equal(x.w.got.len, 3);
    world_fini(&x);
}

/* The peer's end is noticed when the pause is over, after what it had sent. */
static void test_conn_peer_leaves_during_a_pause(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    pp_conn_pause(x.w.conn, &x.w.conn->own, 3600 * PP_NS_PER_S);
    peer_send(&x, "abc", 3);
    (void)close(x.w.peer);
    x.w.peer = -1;
    settle(&x.l, 0);
    assert_int_equal(x.w.closed, 0);
    pp_conn_resume_for(&x.l.at[0], &x.w.conn->own);
    settle(&x.l, 0);
    assert_int_equal(x.w.got.len, 3);
    assert_int_equal(x.w.closed, 1);
    assert_int_equal(x.w.reason, PP_CLOSE_CLIENT);
    world_fini(&x);
}

static void test_conn_closes_during_a_pause(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    pp_conn_pause(x.w.conn, &x.w.conn->own, 3600 * PP_NS_PER_S);
    pp_conn_close(x.w.conn, PP_CLOSE_STALE, true);
    settle(&x.l, 0);
    assert_int_equal(atomic_load(&x.w.freed), 1);
    assert_true(pp_list_empty(&x.l.at[0].paused));
    world_fini(&x);
}

static void test_conn_stops_and_starts_reading(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    pp_conn_stop_reading(x.w.conn);
    peer_send(&x, "abc", 3);
    settle(&x.l, 0);
    pp_conn_resume_for(&x.l.at[0], NULL); /* nobody else starts it */
    x.l.at[0].now_ns += 3600 * PP_NS_PER_S;
    pp_conn_resume_due(&x.l.at[0]);
    settle(&x.l, 0);
    assert_int_equal(x.w.got.len, 0);
    pp_conn_start_reading(x.w.conn);
    settle(&x.l, 0);
    assert_int_equal(x.w.got.len, 3);
    world_fini(&x);
}

static void set_gate(struct watch *w, pp_str window, size_t *used, size_t *want)
{
    struct watch *slow = w->context;

    *used = window.len;
    *want = 0;
    w->timers++;
    if (slow->conn->own.gated)
        w->conn->loop->gate = &slow->conn->own;
}

/* A publisher to a recipient that lags is paused after what it has sent, and goes on when the
 * recipient has caught up. */
static void test_conn_waits_for_who_lags(void **state)
{
    static const pp_conn_limits limits = {.pending_max = 400000,
                                          .write_deadline_ns = 3600 * PP_NS_PER_S};
    static const struct watch_hooks gating = {.on_bytes = set_gate};
    static char bytes[350000];
    struct loops l;
    struct watch slow, publisher;

    (void)state;
    loops_init(&l, 1);
    watch_init(&slow, &l, NULL);
    watch_init(&publisher, &l, &gating);
    publisher.context = &slow;
    watch_connect(&slow, 0, &limits, 4096);
    watch_connect(&publisher, 0, &limits, 0);
    assert_true(pp_outlet_write(&slow.conn->own, (pp_str){bytes, sizeof(bytes)}));
    pp_loop_flush(&l.at[0]);
    assert_true(slow.conn->own.gated);
    assert_int_equal(send(publisher.peer, "a", 1, MSG_NOSIGNAL), 1);
    turn(&l, 0);
    assert_true(publisher.conn->paused);
    assert_ptr_equal(publisher.conn->waits_for, &slow.conn->own);
    assert_null(l.at[0].gate);
    assert_int_equal(publisher.timers, 1);
    while (slow.conn->box.first) {
        assert_int_equal(peer_read(slow.peer, &slow.got, SIZE_MAX), PIPIT_OK);
        turn(&l, 0);
    }
    settle(&l, 0);
    assert_false(slow.conn->own.gated);
    assert_false(publisher.conn->paused);
    loops_fini(&l);
    watch_fini(&slow);
    watch_fini(&publisher);
    loops_check_memory(&l);
}

/* Pass on what comes without a copy. */
static void lend(struct watch *w, pp_str window, size_t *used, size_t *want)
{
    struct watch *slow = w->context;

    *used = window.len;
    *want = 0;
    w->got.len += window.len;
    assert_true(pp_outlet_refer(&slow->conn->own, window, NULL));
}

/* Say more than a read takes, to a recipient whose socket takes next to nothing. */
static void pour(struct loops *l, struct watch *slow, struct watch *publisher,
                 const pp_conn_limits *limits)
{
    static const struct watch_hooks lending = {.on_bytes = lend};
    char *bytes = calloc(1, 3 * l->at[0].read_cap / 2);

    watch_init(slow, l, NULL);
    watch_init(publisher, l, &lending);
    publisher->context = slow;
    watch_connect(slow, 0, &roomy_limits, 4096);
    watch_connect(publisher, 0, limits, 0);
    assert_int_equal(send(publisher->peer, bytes, 3 * l->at[0].read_cap / 2, MSG_DONTWAIT),
                     3 * l->at[0].read_cap / 2);
    free(bytes);
    turn(l, 0);
}

static void flood(struct loops *l, struct watch *slow, struct watch *publisher)
{
    pour(l, slow, publisher, &roomy_limits);
    assert_true(publisher->conn->paused);
    assert_ptr_equal(publisher->conn->waits_for, &slow->conn->own);
    assert_int_equal(publisher->got.len, l->at[0].read_cap);
    assert_int_equal(atomic_load(&l->counters[0].stalls), 0);
}

static void flood_fini(struct loops *l, struct watch *slow, struct watch *publisher)
{
    publisher->got.len = 0;
    loops_fini(l);
    watch_fini(slow);
    watch_fini(publisher);
    loops_check_memory(l);
}

/* What the recipient's socket refuses has to be copied: more is read when it has been sent. */
static void test_conn_waits_briefly_for_who_refuses(void **state)
{
    struct watch slow, publisher;
    struct loops l;

    (void)state;
    loops_init(&l, 1);
    flood(&l, &slow, &publisher);
    while (slow.conn->box.first) {
        assert_true(publisher.conn->paused);
        l.at[0].now_ns = 0; /* the time that passes here shall not end the pause */
        assert_int_equal(peer_read(slow.peer, &slow.got, 10000), PIPIT_OK);
        pp_outbox_on_writable(slow.conn);
    }
    settle(&l, 0);
    assert_false(publisher.conn->paused);
    assert_int_equal(publisher.got.len, 3 * l.at[0].read_cap / 2);
    flood_fini(&l, &slow, &publisher);
}

/* And if it is not sent it is not waited for longer than that. */
static void test_conn_waits_for_a_millisecond(void **state)
{
    struct watch slow, publisher;
    struct loops l;

    (void)state;
    loops_init(&l, 1);
    flood(&l, &slow, &publisher);
    assert_true(publisher.conn->resume_ns - l.at[0].now_ns <= PP_NS_PER_MS);
    l.at[0].now_ns += PP_NS_PER_MS;
    pp_conn_resume_due(&l.at[0]);
    assert_false(publisher.conn->paused);
    settle(&l, 0);
    assert_int_equal(publisher.got.len, 3 * l.at[0].read_cap / 2);
    assert_false(publisher.conn->paused); /* nothing was left to be read */
    flood_fini(&l, &slow, &publisher);
}

static void test_conn_never_waits_where_it_must_not(void **state)
{
    pp_conn_limits limits = {.no_stall = true};
    struct watch slow, publisher;
    struct loops l;

    (void)state;
    atomic_init(&limits.pending_max, roomy_limits.pending_max);
    loops_init(&l, 1);
    pour(&l, &slow, &publisher, &limits);
    assert_false(publisher.conn->paused);
    settle(&l, 0);
    assert_int_equal(publisher.got.len, 3 * l.at[0].read_cap / 2);
    flood_fini(&l, &slow, &publisher);
}

/* --- addresses ---------------------------------------------------------------------------- */

static void test_conn_peer_addresses(void **state)
{
    static const struct {
        const char *address;
        const char *text;
    } rows[] = {{"127.0.0.1", "127.0.0.1"},
                {"::1", "::1"},
                {"2001:db8::2", "2001:db8::2"},
                {"::ffff:10.1.2.3", "10.1.2.3"}};
    struct world x;
    char text[48];

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    pp_conn_peer_text(x.w.conn, text);
    assert_string_equal(text, "unix");
    assert_true(x.w.conn->local);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(4222)};
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(4222)};

        if (inet_pton(AF_INET, rows[i].address, &in.sin_addr) == 1) {
            pp_conn_set_peer(x.w.conn, (struct sockaddr *)&in);
        } else {
            assert_int_equal(inet_pton(AF_INET6, rows[i].address, &in6.sin6_addr), 1);
            pp_conn_set_peer(x.w.conn, (struct sockaddr *)&in6);
        }
        pp_conn_peer_text(x.w.conn, text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(x.w.conn->peer_port, 4222);
    }
    world_fini(&x);
}

static void test_conn_reasons_have_texts(void **state)
{
    (void)state;
    assert_string_equal(pp_close_reason_text(PP_CLOSE_NONE), "");
    assert_string_equal(pp_close_reason_text(PP_CLOSE_SLOW_PENDING),
                        "Slow Consumer (Pending Bytes)");
    assert_string_equal(pp_close_reason_text(PP_CLOSE_SHUTDOWN), "Server Shutdown");
}

/* --- being told that all is sent ----------------------------------------------------------- */

static void test_conn_tells_when_all_is_sent(void **state)
{
    static char bytes[3000000];
    struct world x;

    (void)state;
    fill_stream(bytes, 0, sizeof(bytes));
    for (unsigned how = 0; how < 3; how++) {
        static const size_t lens[] = {0, 100, sizeof(bytes)}; /* 100: the socket takes it at once */
        size_t len = lens[how];

        world_init(&x, NULL, &roomy_limits);
        assert_true(pp_outlet_write(&x.w.conn->own, (pp_str){bytes, len}));
        pp_conn_ask_sent(x.w.conn);
        assert_int_equal(x.w.sents, 0); /* not in the call */
        settle(&x.l, 0);
        assert_int_equal(x.w.sents, len <= 100);
        while (x.w.got.len < len) {
            assert_int_equal(peer_read(x.w.peer, &x.w.got, 100000), PIPIT_OK);
            settle(&x.l, 0);
        }
        assert_int_equal(x.w.sents, 1);
        /* Once for each time it asks. */
        assert_true(pp_outlet_write(&x.w.conn->own, PP_STR("more")));
        settle(&x.l, 0);
        assert_int_equal(x.w.sents, 1);
        world_fini(&x);
    }
}

/* Who has asked and closes, or whose peer leaves, is not told any more. */
static void test_conn_tells_nothing_after_the_end(void **state)
{
    static char bytes[3000000];

    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        struct world x;

        world_init(&x, NULL, &roomy_limits);
        assert_true(pp_outlet_write(&x.w.conn->own, (pp_str){bytes, sizeof(bytes)}));
        pp_conn_ask_sent(x.w.conn);
        if (how == 0) {
            pp_conn_close(x.w.conn, PP_CLOSE_PROTOCOL, true);
            pp_conn_ask_sent(x.w.conn);
        }
        settle(&x.l, 0);
        if (how == 1) {
            (void)close(x.w.peer);
            x.w.peer = -1;
        }
        while (x.w.peer >= 0 && x.w.got.len < sizeof(bytes)) {
            if (how == 2 && x.w.got.len > 1000000) {
                pp_conn_close(x.w.conn, PP_CLOSE_PROTOCOL, false);
                break;
            }
            (void)peer_read(x.w.peer, &x.w.got, 100000);
            settle(&x.l, 0);
        }
        settle(&x.l, 0);
        assert_int_equal(x.w.sents, 0);
        assert_int_equal(atomic_load(&x.w.freed), 1);
        world_fini(&x);
    }
}

static void test_conn_reads_on_with_its_own_end_shut(void **state)
{
    struct world x;
    char c;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    pp_conn_shut_write(x.w.conn);
    assert_int_equal(recv(x.w.peer, &c, 1, 0), 0);
    peer_send(&x, "late", 4);
    settle(&x.l, 0);
    assert_int_equal(x.w.got.len, 4);
    assert_int_equal(x.w.closed, 0);
    (void)shutdown(x.w.peer, SHUT_WR);
    settle(&x.l, 0);
    assert_int_equal(x.w.reason, PP_CLOSE_CLIENT);
    world_fini(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conn_hands_input_to_the_door),
        cmocka_unit_test(test_conn_joins_what_was_cut),
        cmocka_unit_test(test_conn_one_byte_at_a_time),
        cmocka_unit_test(test_conn_random_input),
        cmocka_unit_test(test_conn_yields),
        cmocka_unit_test(test_conn_output_refers_into_the_window),
        cmocka_unit_test(test_conn_peer_leaves_after_its_last_words),
        cmocka_unit_test(test_conn_read_error),
        cmocka_unit_test(test_conn_door_closes),
        cmocka_unit_test(test_conn_flushes_before_it_closes),
        cmocka_unit_test(test_conn_does_not_flush_for_ever),
        cmocka_unit_test(test_conn_peer_leaves_while_it_closes),
        cmocka_unit_test(test_conn_abandon),
        cmocka_unit_test(test_conn_is_held),
        cmocka_unit_test(test_conn_walk_visits_once_what_stays),
        cmocka_unit_test(test_conn_is_found_by_id),
        cmocka_unit_test(test_conn_open_fault_sweep),
        cmocka_unit_test(test_conn_door_refuses_to_open),
        cmocka_unit_test(test_conn_keep_fault),
        cmocka_unit_test(test_conn_door_timer),
        cmocka_unit_test(test_conn_paused_is_not_read),
        cmocka_unit_test(test_conn_resumes_for_whom_it_waits),
        cmocka_unit_test(test_conn_peer_leaves_during_a_pause),
        cmocka_unit_test(test_conn_closes_during_a_pause),
        cmocka_unit_test(test_conn_stops_and_starts_reading),
        cmocka_unit_test(test_conn_waits_for_who_lags),
        cmocka_unit_test(test_conn_tells_when_all_is_sent),
        cmocka_unit_test(test_conn_tells_nothing_after_the_end),
        cmocka_unit_test(test_conn_reads_on_with_its_own_end_shut),
        cmocka_unit_test(test_conn_waits_briefly_for_who_refuses),
        cmocka_unit_test(test_conn_never_waits_where_it_must_not),
        cmocka_unit_test(test_conn_waits_for_a_millisecond),
        cmocka_unit_test(test_conn_peer_addresses),
        cmocka_unit_test(test_conn_reasons_have_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
