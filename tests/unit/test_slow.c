/* Connections that miss messages instead of being closed: sockets, outlets of several loops and a
 * peer that reads when it likes, against the model of a backlog. */
#include "net/slow.h"

#include "backlog_model.h"
#include "base/ceiling.h"
#include "loops.h"
#include "seed.h"

#include <sys/ioctl.h>

enum { SMALL_SEND_BUFFER = 4096, BATCH_MAX = 24 };

/* --- a door whose output can be cut: "M key size ...", "C ..." lines of their own ----------- */

static bool read_frame(pp_str bytes, pp_frame_form *out)
{
    const char *newline = bytes.len ? memchr(bytes.ptr, '\n', bytes.len) : NULL;
    unsigned size;
    char key[8];

    if (!newline)
        return false;
    *out = (pp_frame_form){.len = (size_t)(newline - bytes.ptr) + 1};
    if (sscanf(bytes.ptr, "M %7s %u ", key, &size) == 2) {
        out->message = true;
        out->key = (pp_str){bytes.ptr + 2, strlen(key)};
        out->len += size;
    }
    return true;
}

static pp_proto_ops framed_proto;

struct world {
    struct loops l;
    struct watch w;
    struct model model;
    uint64_t random, serial;
    bool ended;      /* too many control lines wait */
    size_t accepted; /* by the socket, of all that was sent */
};

static void world_init(struct world *x, unsigned loops, pp_slow_policy policy,
                       const pp_conn_limits *limits, int send_bytes)
{
    framed_proto = watch_proto;
    framed_proto.frame = read_frame;
    loops_init(&x->l, loops);
    watch_init(&x->w, &x->l, NULL);
    x->serial = x->accepted = 0;
    x->ended = false;
    watch_connect(&x->w, 0, limits, send_bytes);
    x->w.door.proto = &framed_proto;
    assert_true(pp_conn_set_policy(x->w.conn, policy));
    model_init(&x->model, policy, limits->pending_max);
}

static void world_fini(struct world *x)
{
    model_fini(&x->model);
    loops_fini(&x->l);
    watch_fini(&x->w);
    loops_check_memory(&x->l);
}

static pp_outlet *outlet_of(struct world *x, unsigned index)
{
    return pp_conn_outlet(x->w.conn, &x->l.at[index]);
}

/* Bytes that the socket has taken since this was asked last. */
static size_t newly_accepted(struct world *x)
{
    int waiting = 0;
    size_t before = x->accepted;

    assert_int_equal(ioctl(x->w.peer, FIONREAD, &waiting), 0);
    x->accepted = x->w.got.len + (size_t)waiting;
    return x->accepted - before;
}

static struct model_frame make_frame(struct world *x, size_t size_max)
{
    struct model_frame f = {.message = pp_random_below(&x->random, 6) != 0};
    unsigned size = pp_random_below(&x->random, (uint32_t)size_max);

    (void)snprintf(f.key, sizeof(f.key), "k%u", pp_random_below(&x->random, 9));
    if (f.message)
        f.len = (size_t)snprintf(f.bytes, sizeof(f.bytes), "M %s %u %llu\n", f.key, size,
                                 (unsigned long long)x->serial++);
    else
        f.len =
            (size_t)snprintf(f.bytes, sizeof(f.bytes), "C %llu\n", (unsigned long long)x->serial++);
    f.head_len = f.len;
    for (unsigned i = 0; f.message && i < size; i++)
        f.bytes[f.len++] = (char)('a' + (x->serial + i) % 26);
    f.cost = f.len + PP_FRAME_COST;
    return f;
}

/* Copied whole, or its data referred to: in a body, or where the read buffer is. */
static void stage(struct world *x, pp_outlet *outlet, const struct model_frame *f, size_t *borrowed)
{
    size_t data_len = f->len - f->head_len;
    pp_str data;
    pp_body *body = NULL;

    if (data_len == 0 || pp_random_below(&x->random, 2)) {
        assert_true(pp_outlet_write(outlet, (pp_str){f->bytes, f->len}));
        return;
    }
    if (pp_random_below(&x->random, 2)) {
        body = pp_body_new(data_len);
        data = (pp_str){body->bytes, data_len};
    } else {
        data = (pp_str){outlet->loop->read_buf + *borrowed, data_len};
        *borrowed += data_len;
    }
    memcpy((char *)data.ptr, f->bytes + f->head_len, data_len);
    assert_true(pp_outlet_write(outlet, (pp_str){f->bytes, f->head_len}));
    assert_true(pp_outlet_refer(outlet, data, body));
    pp_body_unref(body);
}

/* What the model makes of a batch of which the socket took so many bytes at once. */
static void model_batch(struct world *x, const struct model_frame *batch, size_t count,
                        size_t taken)
{
    for (size_t i = 0; i < count; i++) {
        struct model_frame f = batch[i];
        size_t n = taken < f.len ? taken : f.len;

        memcpy(x->model.stream + x->model.stream_len, f.bytes, n);
        x->model.stream_len += n;
        taken -= n;
        if (n == f.len)
            continue;
        if (n) {
            f.begun = true;
            f.sent = n;
            f.cost -= n;
        }
        if (!model_add(&x->model, &f)) {
            x->ended = true;
            return;
        }
    }
    assert_int_equal(taken, 0);
}

static void publish(struct world *x, unsigned index, size_t size_max)
{
    struct model_frame batch[BATCH_MAX];
    size_t count = 1 + pp_random_below(&x->random, BATCH_MAX), borrowed = 0;
    bool waited = x->w.conn->box.pending_bytes != 0;

    for (size_t i = 0; i < count; i++) {
        batch[i] = make_frame(x, size_max);
        stage(x, outlet_of(x, index), &batch[i], &borrowed);
    }
    pp_loop_flush(&x->l.at[index]);
    memset(x->l.at[index].read_buf, 0xee, borrowed);
    if (waited)
        assert_int_equal(newly_accepted(x), 0);
    model_batch(x, batch, count, waited ? 0 : newly_accepted(x));
}

static void read_some(struct world *x, size_t max)
{
    struct pollfd fd = {.fd = x->l.at[0].epoll_fd, .events = POLLIN};

    assert_int_equal(peer_read(x->w.peer, &x->w.got, max), PIPIT_OK);
    assert_int_equal(newly_accepted(x), 0);
    if (poll(&fd, 1, 0) == 1)
        turn(&x->l, 0);
    model_read(&x->model, newly_accepted(x));
}

static void compare(struct world *x)
{
    const pp_counters *c = x->l.counters;
    size_t left = 0;
    uint64_t newest = 0, oldest = 0, conflated = 0;

    for (size_t i = 0; i < x->model.count; i++)
        left += x->model.frames[i].len - x->model.frames[i].sent;
    for (unsigned i = 0; i < x->l.count; i++) {
        newest += atomic_load(&c[i].drops_new);
        oldest += atomic_load(&c[i].drops_old);
        conflated += atomic_load(&c[i].conflated);
    }
    assert_int_equal(x->w.closed, 0);
    assert_int_equal(x->w.conn->box.pending_bytes, left);
    assert_int_equal(newest, x->model.newest);
    assert_int_equal(oldest, x->model.oldest);
    assert_int_equal(conflated, x->model.conflated);
    assert_int_equal(pp_conn_dropped(x->w.conn), newest + oldest + conflated);
    assert_true(x->w.got.len <= x->model.stream_len);
    for (unsigned i = 0; i < x->l.count; i++)
        assert_false(outlet_of(x, i)->gated);
}

static void play(pp_slow_policy policy, uint64_t seed)
{
    pp_conn_limits limits = {.pending_max = 5000 + seed % 60000,
                             .write_deadline_ns = 3600 * PP_NS_PER_S};
    struct world x;

    x.random = seed;
    world_init(&x, 2, policy, &limits, SMALL_SEND_BUFFER);
    for (unsigned step = 0; step < 500; step++) {
        if (pp_random_below(&x.random, 5) < 3)
            publish(&x, pp_random_below(&x.random, 2), step % 50 < 25 ? 20 : 500);
        else
            read_some(&x, pp_random_below(&x.random, 8000));
        if (x.ended)
            break;
        compare(&x);
    }
    if (x.ended) {
        turn(&x.l, 0);
        assert_int_equal(x.w.reason, PP_CLOSE_SLOW_PENDING);
        world_fini(&x);
        return;
    }
    while (x.model.count || x.w.got.len < x.model.stream_len)
        read_some(&x, SIZE_MAX);
    compare(&x);
    assert_int_equal(x.w.got.len, x.model.stream_len);
    assert_memory_equal(x.w.got.ptr, x.model.stream, x.w.got.len);
    world_fini(&x);
}

static void test_slow_peer_reads_what_the_model_says(void **state)
{
    uint64_t seed = test_seed("slow");

    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        play(PP_SLOW_DROP_NEW, pp_random_next(&seed));
        play(PP_SLOW_DROP_OLD, pp_random_next(&seed));
        play(PP_SLOW_CONFLATE, pp_random_next(&seed));
    }
}

/* --- by hand ------------------------------------------------------------------------------- */

static const pp_conn_limits tight_limits = {.pending_max = 20000,
                                            .write_deadline_ns = 1000 * PP_NS_PER_S};

static void put(struct world *x, const char *format, unsigned number)
{
    char line[64];
    int len = snprintf(line, sizeof(line), format, number);

    assert_true(pp_outlet_write(outlet_of(x, 0), (pp_str){line, (size_t)len}));
}

/* So many messages of 1000 bytes and a little. */
static void put_many(struct world *x, unsigned count)
{
    char bytes[1000];

    memset(bytes, 'x', sizeof(bytes));
    for (unsigned i = 0; i < count; i++) {
        put(x, "M k 1000 %06u\n", i);
        assert_true(pp_outlet_write(outlet_of(x, 0), (pp_str){bytes, sizeof(bytes)}));
    }
    pp_loop_flush(&x->l.at[0]);
}

/* Control lines are never dropped; who lets too many of them wait is closed after all. */
static void test_slow_control_lines_end_it(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, PP_SLOW_DROP_OLD, &tight_limits, SMALL_SEND_BUFFER);
    put_many(&x, 100);
    for (unsigned i = 0; i < 200; i++)
        put(&x, "C %06u\n", i);
    pp_loop_flush(&x.l.at[0]);
    turn(&x.l, 0);
    assert_int_equal(x.w.closed, 1);
    assert_int_equal(x.w.reason, PP_CLOSE_SLOW_PENDING);
    world_fini(&x);
}

static void test_slow_door_that_cannot_be_cut(void **state)
{
    struct world x;

    (void)state;
    loops_init(&x.l, 1);
    watch_init(&x.w, &x.l, NULL);
    watch_connect(&x.w, 0, &tight_limits, 0);
    assert_false(pp_conn_set_policy(x.w.conn, PP_SLOW_DROP_OLD));
    assert_true(pp_conn_set_policy(x.w.conn, PP_SLOW_DISCONNECT));
    assert_false(pp_conn_may_miss(x.w.conn));
    loops_fini(&x.l);
    watch_fini(&x.w);
    loops_check_memory(&x.l);
}

/* What waited before the policy came is sent first; when it goes again limits hold as before. */
static void test_slow_policy_changes(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, PP_SLOW_DISCONNECT, &tight_limits, SMALL_SEND_BUFFER);
    put_many(&x, 15);
    assert_true(x.w.conn->box.first != NULL);
    assert_true(pp_conn_set_policy(x.w.conn, PP_SLOW_DROP_OLD));
    put_many(&x, 30);
    assert_true(pp_conn_dropped(x.w.conn) > 0);
    assert_true(pp_conn_set_policy(x.w.conn, PP_SLOW_DISCONNECT));
    turn(&x.l, 0);
    assert_int_equal(x.w.closed, 0);
    while (x.w.conn->box.pending_bytes) {
        assert_int_equal(peer_read(x.w.peer, &x.w.got, SIZE_MAX), PIPIT_OK);
        turn_on_event(&x.l, 0);
    }
    assert_int_equal(peer_read(x.w.peer, &x.w.got, SIZE_MAX), PIPIT_OK);
    assert_int_equal(x.w.got.len % 1016, 0);
    assert_memory_equal(x.w.got.ptr, "M k 1000 000000\n", 16);
    assert_memory_equal(x.w.got.ptr + 15 * 1016 - 1016, "M k 1000 000014\n", 16);
    assert_memory_equal(x.w.got.ptr + x.w.got.len - 1016, "M k 1000 000029\n", 16);
    put_many(&x, 40);
    turn(&x.l, 0);
    assert_int_equal(x.w.closed, 1);
    assert_int_equal(x.w.reason, PP_CLOSE_SLOW_PENDING);
    world_fini(&x);
}

/* Without memory to keep them messages are missed; what the peer has begun to read cannot be. */
static void test_slow_without_memory(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, PP_SLOW_DROP_OLD, &tight_limits, SMALL_SEND_BUFFER);
    put_many(&x, 30);
    turn(&x.l, 0);
    pp_fault_arm_from("alloc", 1);
    put_many(&x, 5); /* there is a pooled chunk to stage them in */
    (void)pp_fault_disarm();
    turn(&x.l, 0);
    assert_int_equal(x.w.closed, 0);
    assert_true(atomic_load(&x.l.counters[0].drops_new) > 0);
    world_fini(&x);

    world_init(&x, 1, PP_SLOW_DROP_OLD, &tight_limits, SMALL_SEND_BUFFER);
    put_many(&x, 1);
    pp_fault_arm_from("alloc", 2);
    put_many(&x, 30);
    assert_true(pp_fault_disarm());
    turn(&x.l, 0);
    assert_int_equal(x.w.closed, 1);
    assert_int_equal(x.w.reason, PP_CLOSE_NO_MEMORY);
    world_fini(&x);
}

static void pass_time(struct world *x, int64_t seconds)
{
    pp_loop *loop = &x->l.at[0];

    loop->now_ns += seconds * PP_NS_PER_S;
    pp_timers_run(&loop->timers, loop->now_ns);
}

/* Six times the write deadline without a byte, and it is not there any more. Any byte counts. */
static void test_slow_patience(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, PP_SLOW_CONFLATE, &tight_limits, SMALL_SEND_BUFFER);
    x.l.at[0].now_ns = PP_NS_PER_S;
    put_many(&x, 100);
    (void)pp_loop_run_leftovers(&x.l.at[0]);
    pass_time(&x, 5990);
    assert_int_equal(x.w.closed, 0);
    assert_int_equal(peer_read(x.w.peer, &x.w.got, SIZE_MAX), PIPIT_OK);
    put_many(&x, 100);
    pp_outbox_on_writable(x.w.conn);
    put_many(&x, 100);
    assert_true(x.w.conn->box.pending_bytes > 0);
    pass_time(&x, 5990);
    assert_int_equal(x.w.closed, 0);
    put_many(&x, 100);
    pass_time(&x, 20);
    assert_int_equal(x.w.closed, 1);
    assert_int_equal(x.w.reason, PP_CLOSE_SLOW_DEADLINE);
    world_fini(&x);
}

static void test_slow_shed(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, PP_SLOW_DROP_OLD, &roomy_limits, SMALL_SEND_BUFFER);
    put_many(&x, 100);
    assert_true(x.w.conn->box.pending_bytes > 90000);
    pp_slow_shed(x.w.conn);
    assert_true(x.w.conn->box.pending_bytes < 2000); /* what was begun */
    assert_int_equal(pp_conn_dropped(x.w.conn), atomic_load(&x.l.counters[0].drops_old));
    world_fini(&x);
}

/* The same when messages come while it is short. */
static void test_slow_cut_down(void **state)
{
    pp_ceiling_claim claim = {0};
    struct world x;

    (void)state;
    world_init(&x, 1, PP_SLOW_DROP_OLD, &roomy_limits, SMALL_SEND_BUFFER);
    put_many(&x, 100);
    pp_ceiling_hold(&claim, (size_t)64 << 30);
    pp_ceiling_pretend((size_t)65400 << 20);
    put_many(&x, 1);
    assert_in_range(x.w.conn->box.pending_bytes, 10000, PP_SLOW_PRESSED_BYTES);
    pp_ceiling_pretend(0);
    pp_ceiling_release(&claim);
    put_many(&x, 50);
    assert_true(x.w.conn->box.pending_bytes > 50000);
    world_fini(&x);
}

/* --- on threads ---------------------------------------------------------------------------- */

enum { MESSAGES = 4000 };

struct sender {
    pp_task task;
    pp_loop *loop;
    pp_conn *conn;
    uint64_t random;
    unsigned number;
    sem_t done;
};

static void send_some(pp_task *task)
{
    struct sender *s = PP_CONTAINER(task, struct sender, task);
    pp_outlet *outlet = pp_conn_outlet(s->conn, s->loop);
    char line[400];

    for (unsigned i = 0; i < 20 && s->number < MESSAGES; i++, s->number++) {
        unsigned size = pp_random_below(&s->random, 300);
        int len = snprintf(line, sizeof(line), "M %u.%u %u %u\n", s->loop->index, s->number % 8,
                           size, s->number);

        memset(line + len, 'y', size);
        assert_true(pp_outlet_write(outlet, (pp_str){line, (size_t)len + size}));
    }
    if (s->number < MESSAGES)
        pp_loop_post(s->loop, task);
    else
        (void)sem_post(&s->done);
}

/* Whole messages at the front of what has come; of each loop in the order it sent them. */
static size_t take_messages(pp_buf *got, int *last)
{
    size_t at = 0, count = 0;
    pp_frame_form form;

    while (read_frame((pp_str){got->ptr + at, got->len - at}, &form) && form.len <= got->len - at) {
        unsigned loop, key, size;
        int number;

        assert_int_equal(sscanf(got->ptr + at, "M %u.%u %u %d", &loop, &key, &size, &number), 4);
        assert_true(loop < LOOPS_MAX && number > last[loop]);
        last[loop] = number;
        at += form.len;
        count++;
    }
    if (at)
        memmove(got->ptr, got->ptr + at, got->len - at);
    got->len -= at;
    return count;
}

static void read_pending(void *arg)
{
    struct world *x = arg;

    pp_mutex_lock(&x->w.conn->box.lock);
    x->accepted = x->w.conn->box.pending_bytes;
    pp_mutex_unlock(&x->w.conn->box.lock);
}

static void play_threads(pp_slow_policy policy, uint64_t seed)
{
    struct sender senders[LOOPS_MAX];
    int last[LOOPS_MAX] = {-1, -1, -1};
    size_t count = 0;
    struct world x;

    world_init(&x, LOOPS_MAX, policy, &tight_limits, SMALL_SEND_BUFFER);
    loops_start(&x.l);
    for (unsigned i = 0; i < LOOPS_MAX; i++) {
        senders[i] = (struct sender){
            .task.run = send_some, .loop = &x.l.at[i], .conn = x.w.conn, .random = seed + i};
        assert_int_equal(sem_init(&senders[i].done, 0, 0), 0);
        pp_loop_post(&x.l.at[i], &senders[i].task);
    }
    for (unsigned i = 0; i < LOOPS_MAX; i++) {
        while (sem_trywait(&senders[i].done) != 0) {
            assert_int_equal(peer_read(x.w.peer, &x.w.got, pp_random_below(&seed, 30000)),
                             PIPIT_OK);
            count += take_messages(&x.w.got, last);
        }
        (void)sem_destroy(&senders[i].done);
    }
    for (unsigned i = 0; i < LOOPS_MAX; i++)
        on_loop(&x.l, i, read_pending, &x); /* the turn that sent the last has ended with a flush */
    do {
        on_loop(&x.l, 0, read_pending, &x);
        assert_int_equal(peer_read(x.w.peer, &x.w.got, SIZE_MAX), PIPIT_OK);
        count += take_messages(&x.w.got, last);
    } while (x.accepted);
    assert_int_equal(peer_read(x.w.peer, &x.w.got, SIZE_MAX), PIPIT_OK);
    count += take_messages(&x.w.got, last);
    assert_int_equal(x.w.got.len, 0);
    assert_int_equal(count + pp_conn_dropped(x.w.conn), LOOPS_MAX * MESSAGES);
    if (policy != PP_SLOW_DROP_NEW) {
        for (unsigned i = 0; i < LOOPS_MAX; i++)
            assert_true(last[i] >= MESSAGES - 8 || policy == PP_SLOW_DROP_OLD);
    }
    world_fini(&x);
}

static void test_slow_loops_send_at_once(void **state)
{
    uint64_t seed = test_seed("slow");

    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        play_threads(PP_SLOW_DROP_NEW, pp_random_next(&seed));
        play_threads(PP_SLOW_DROP_OLD, pp_random_next(&seed));
        play_threads(PP_SLOW_CONFLATE, pp_random_next(&seed));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_peer_reads_what_the_model_says),
        cmocka_unit_test(test_slow_control_lines_end_it),
        cmocka_unit_test(test_slow_door_that_cannot_be_cut),
        cmocka_unit_test(test_slow_policy_changes),
        cmocka_unit_test(test_slow_without_memory),
        cmocka_unit_test(test_slow_patience),
        cmocka_unit_test(test_slow_shed),
        cmocka_unit_test(test_slow_cut_down),
        cmocka_unit_test(test_slow_loops_send_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
