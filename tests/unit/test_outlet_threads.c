/* Several loops send to one connection at once. */
#include "net/outlet.h"

#include "outlet_world.h"
#include "seed.h"

/* A frame: who sent it, its number, its length, and bytes that follow from these. */
struct frame_head {
    uint32_t magic;
    uint32_t loop;
    uint32_t number;
    uint32_t len;
};

enum { MAGIC = 0x50695069, FRAMES = 3000, FRAMES_PER_TURN = 40, FRAME_MAX = 40000 };

struct sender {
    pp_task task;
    pp_loop *loop;
    _Atomic(pp_conn *) *target; /* NULL once it closes */
    uint64_t random;
    uint32_t number, last;
    sem_t done;
};

static bool stage_frame(struct sender *s, pp_outlet *outlet)
{
    uint32_t len = pp_random_below(&s->random, 50) ? pp_random_below(&s->random, 600)
                                                   : pp_random_below(&s->random, FRAME_MAX);
    struct frame_head head = {MAGIC, s->loop->index, s->number, len};
    bool staged;

    if (len > 2000) {
        pp_body *body = pp_body_new(len);

        if (!body)
            return false;
        fill_stream(body->bytes, s->number, len);
        staged = pp_outlet_reserve_ref(outlet) &&
                 pp_outlet_write(outlet, (pp_str){(char *)&head, sizeof(head)}) &&
                 pp_outlet_refer(outlet, (pp_str){body->bytes, len}, body);
        pp_body_unref(body);
    } else {
        char *room = pp_outlet_room(outlet, sizeof(head) + len);

        staged = room != NULL;
        if (staged) {
            memcpy(room, &head, sizeof(head));
            fill_stream(room + sizeof(head), s->number, len);
            pp_outlet_wrote(outlet, sizeof(head) + len);
        }
    }
    s->number += staged;
    return staged;
}

/* A turn's worth of frames, then again. */
static void send_some(pp_task *task)
{
    struct sender *s = PP_CONTAINER(task, struct sender, task);
    pp_conn *conn = atomic_load(s->target);
    pp_outlet *outlet = conn ? pp_conn_outlet(conn, s->loop) : NULL;
    unsigned frames = 1 + pp_random_below(&s->random, FRAMES_PER_TURN);

    if (!outlet || s->number >= s->last) {
        (void)sem_post(&s->done);
        return;
    }
    /* As publishers do it waits for a recipient that lags, or that would end as a slow consumer. */
    for (unsigned i = 0; i < frames && s->number < s->last && !outlet->gated; i++) {
        if (!stage_frame(s, outlet))
            break;
    }
    pp_loop_post(s->loop, &s->task);
}

static void senders_start(struct sender *senders, struct world *x, _Atomic(pp_conn *) *target,
                          uint64_t seed, uint32_t frames)
{
    for (unsigned i = 0; i < x->l.count; i++) {
        senders[i] = (struct sender){.task.run = send_some,
                                     .loop = &x->l.at[i],
                                     .target = target,
                                     .random = seed + i,
                                     .last = frames};
        assert_int_equal(sem_init(&senders[i].done, 0, 0), 0);
    }
    for (unsigned i = 0; i < x->l.count; i++)
        pp_loop_post(&x->l.at[i], &senders[i].task);
}

static void senders_end(struct sender *senders, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        wait_sem(&senders[i].done);
        (void)sem_destroy(&senders[i].done);
    }
}

/* Check whole frames at the front of buf and take them off. */
static void take_frames(pp_buf *buf, uint32_t *next, size_t *frames)
{
    size_t at = 0;

    while (buf->len - at >= sizeof(struct frame_head)) {
        struct frame_head head;

        memcpy(&head, buf->ptr + at, sizeof(head));
        assert_int_equal(head.magic, MAGIC);
        assert_true(head.loop < LOOPS_MAX && head.len <= FRAME_MAX);
        if (buf->len - at < sizeof(head) + head.len)
            break;
        assert_int_equal(head.number, next[head.loop]);
        next[head.loop]++;
        check_stream(buf->ptr + at + sizeof(head), head.number, head.len);
        at += sizeof(head) + head.len;
        (*frames)++;
    }
    if (at) {
        memmove(buf->ptr, buf->ptr + at, buf->len - at);
        buf->len -= at;
    }
}

/* Read as one who is sometimes slow, until so many frames have come, or the end. */
static pipit_err read_frames(struct world *x, uint64_t *random, size_t frames, uint32_t *next)
{
    size_t got = 0;

    while (got < frames) {
        pipit_err err;

        peer_wait(x->w.peer);
        err = peer_read(x->w.peer, &x->w.got, 1 + pp_random_below(random, 100000));
        take_frames(&x->w.got, next, &got);
        if (err)
            return err;
    }
    return PIPIT_OK;
}

static void test_outlet_loops_send_at_once(void **state)
{
    uint64_t seed = test_seed("outlet");

    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        struct world x;
        struct sender senders[LOOPS_MAX];
        _Atomic(pp_conn *) target;
        uint32_t next[LOOPS_MAX] = {0};
        uint64_t random = seed ^ round;

        world_init(&x, LOOPS_MAX, &roomy_limits, round % 2 ? SMALL_SEND_BUFFER : 0);
        atomic_init(&target, x.w.conn);
        loops_start(&x.l);
        senders_start(senders, &x, &target, seed + round * 100, FRAMES);
        assert_int_equal(read_frames(&x, &random, LOOPS_MAX * FRAMES, next), PIPIT_OK);
        senders_end(senders, LOOPS_MAX);
        assert_int_equal(x.w.got.len, 0);
        world_fini(&x);
        assert_int_equal(x.w.reason, PP_CLOSE_SHUTDOWN);
    }
}

static void forget_target(struct watch *w)
{
    atomic_store((_Atomic(pp_conn *) *)w->context, NULL);
}

static void close_conn(void *arg)
{
    struct watch *w = arg;

    if (w->conn)
        pp_conn_close(w->conn, PP_CLOSE_CLIENT, false);
}

/* The connection ends while others are sending to it: what arrived is whole up to the last frame,
 * and neither memory nor a look at freed memory is left behind. */
static void test_outlet_connection_ends_while_loops_send(void **state)
{
    static const struct watch_hooks hooks = {.on_close = forget_target};
    uint64_t seed = test_seed("outlet");

    (void)state;
    for (unsigned round = 0; round < 24; round++) {
        struct world x;
        struct sender senders[LOOPS_MAX];
        _Atomic(pp_conn *) target;
        uint32_t next[LOOPS_MAX] = {0};
        uint64_t random = seed ^ round;

        loops_init(&x.l, LOOPS_MAX);
        watch_init(&x.w, &x.l, &hooks);
        x.w.context = &target;
        watch_connect(&x.w, 0, &roomy_limits, round % 2 ? SMALL_SEND_BUFFER : 0);
        atomic_init(&target, x.w.conn);
        loops_start(&x.l);
        senders_start(senders, &x, &target, seed + round * 100, UINT32_MAX);
        assert_int_equal(read_frames(&x, &random, 1 + pp_random_below(&random, 200), next),
                         PIPIT_OK);
        if (round % 3 == 2)
            (void)shutdown(x.w.peer, SHUT_RDWR); /* the peer goes */
        else
            on_loop(&x.l, 0, close_conn, &x.w);
        if (round % 3 != 2)
            assert_int_equal(read_frames(&x, &random, SIZE_MAX, next), PIPIT_ECLOSED);
        senders_end(senders, LOOPS_MAX);
        wait_sem(&x.w.gone); /* freed while the loops still run */
        loops_fini(&x.l);
        watch_fini(&x.w);
        loops_check_memory(&x.l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outlet_loops_send_at_once),
        cmocka_unit_test(test_outlet_connection_ends_while_loops_send),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
