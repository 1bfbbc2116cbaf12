/* tests/unit/conn_world.h -- a connection between a test and a door that takes small operations. */
#ifndef PIPIT_TESTS_UNIT_CONN_WORLD_H
#define PIPIT_TESTS_UNIT_CONN_WORLD_H

#include "loops.h"

/* --- a small protocol: a length of four bytes, then so many bytes of the stream ------------- */

struct taker {
    size_t ops, bytes;
    size_t in_bodies;  /* ops that came in a body */
    size_t echo;       /* bytes referred to in the window and sent back */
    size_t yield_each; /* after so many ops the door has had its share; 0: never */
    bool greedy;       /* says how much it wants */
};

static inline void check_slack(pp_str window)
{
    for (unsigned i = 0; i < PP_WINDOW_SLACK; i++)
        (void)*(const volatile char *)&window.ptr[window.len + i]; /* AddressSanitizer looks */
}

static inline void take_op(struct watch *w, struct taker *t, pp_str op)
{
    check_stream(op.ptr, t->bytes, op.len);
    t->ops++;
    t->bytes += op.len;
    t->in_bodies += w->conn->in_body;
    if (w->conn->in_body)
        assert_true(op.ptr > w->conn->body->bytes &&
                    op.ptr + op.len <= w->conn->body->bytes + w->conn->body->len);
}

static inline void take_ops(struct watch *w, pp_str window, size_t *used, size_t *want)
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

static inline void world_init(struct world *x, const struct watch_hooks *hooks,
                              const pp_conn_limits *limits)
{
    loops_init(&x->l, 1);
    watch_init(&x->w, &x->l, hooks);
    x->t = (struct taker){.greedy = true};
    x->w.context = &x->t;
    watch_connect(&x->w, 0, limits, 0);
}

static inline void world_fini(struct world *x)
{
    loops_fini(&x->l);
    assert_int_equal(atomic_load(&x->w.freed), 1);
    assert_int_equal(x->w.closed, 1);
    watch_fini(&x->w);
    loops_check_memory(&x->l);
}

static inline void peer_send(struct world *x, const void *bytes, size_t len)
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

static inline size_t make_op(char *to, size_t stream_at, uint32_t len)
{
    memcpy(to, &len, 4);
    fill_stream(to + 4, stream_at, len);
    return 4 + (size_t)len;
}

#endif
