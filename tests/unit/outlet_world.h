/* tests/unit/outlet_world.h -- a connection whose peer checks that what arrives is what was staged.
 */
#ifndef PIPIT_TESTS_UNIT_OUTLET_WORLD_H
#define PIPIT_TESTS_UNIT_OUTLET_WORLD_H

#include "loops.h"
#include "net/outlet.h"

enum { SMALL_SEND_BUFFER = 4096 }; /* 0: the system's, which takes much */

struct world {
    struct loops l;
    struct watch w;
    size_t staged; /* of the stream */
};

static inline void world_init(struct world *x, unsigned loops, const pp_conn_limits *limits,
                              int send_bytes)
{
    loops_init(&x->l, loops);
    watch_init(&x->w, &x->l, NULL);
    x->staged = 0;
    watch_connect(&x->w, 0, limits, send_bytes);
}

static inline void world_fini(struct world *x)
{
    loops_fini(&x->l);
    assert_int_equal(atomic_load(&x->w.freed), 1);
    watch_fini(&x->w);
    loops_check_memory(&x->l);
}

static inline pp_outlet *own(struct world *x)
{
    return &x->w.conn->own;
}

/* Stage the next len bytes of the stream as one copy. */
static inline void stage(struct world *x, pp_outlet *outlet, size_t len)
{
    char *bytes = malloc(len + 1);

    fill_stream(bytes, x->staged, len);
    assert_true(pp_outlet_write(outlet, (pp_str){bytes, len}));
    free(bytes);
    x->staged += len;
}

static inline void refer_body(struct world *x, pp_outlet *outlet, size_t len)
{
    pp_body *body = pp_body_new(len);

    assert_non_null(body);
    fill_stream(body->bytes, x->staged, len);
    assert_true(pp_outlet_refer(outlet, (pp_str){body->bytes, len}, body));
    pp_body_unref(body);
    x->staged += len;
}

/* Something copied, then something that is not: as frames are. */
static inline void stage_body(struct world *x, pp_outlet *outlet, size_t len)
{
    stage(x, outlet, 1);
    refer_body(x, outlet, len);
}

/* The same with len bytes in the loop's read buffer, from offset on. */
static inline void stage_borrowed(struct world *x, pp_outlet *outlet, size_t offset, size_t len)
{
    stage(x, outlet, 1);
    fill_stream(outlet->loop->read_buf + offset, x->staged, len);
    assert_true(pp_outlet_refer(outlet, (pp_str){outlet->loop->read_buf + offset, len}, NULL));
    x->staged += len;
}

/* What is flushed does not depend on the read buffer any more. */
static inline void flush_all(struct world *x, unsigned index)
{
    pp_loop *loop = &x->l.at[index];

    pp_loop_flush(loop);
    assert_false(loop->borrowed);
    assert_null(loop->dirty);
    memset(loop->read_buf, 0xee, loop->read_cap);
}

/* Let the peer read and the owner send until all that was staged has arrived, or never will. */
static inline void receive_all(struct world *x)
{
    struct watch *w = &x->w;

    while (w->got.len < x->staged) {
        size_t before = w->got.len;
        pipit_err err = peer_read(w->peer, &w->got, SIZE_MAX);
        struct pollfd fds[] = {{.fd = w->peer, .events = POLLIN},
                               {.fd = x->l.at[0].epoll_fd, .events = POLLIN}};

        if (err || (w->got.len == before && !w->conn->box.first))
            fail_msg("%zu bytes of %zu have come, and no more will", w->got.len, x->staged);
        if (w->got.len == x->staged)
            break;
        assert_true(poll(fds, 2, DEADLINE_S * 1000) > 0);
        if (fds[1].revents)
            turn(&x->l, 0);
    }
    check_stream(w->got.ptr, 0, w->got.len);
}

static inline void check_nothing_waits(struct world *x)
{
    settle(&x->l, 0);
    assert_int_equal(x->w.conn->box.pending_bytes, 0);
    assert_null(x->w.conn->box.first);
    assert_null(x->w.conn->box.last);
    assert_false(x->w.conn->box.sending);
    assert_false(x->w.conn->box.armed);
    assert_int_equal(x->w.closed, 0);
}

/* All that was staged comes, and the connection goes on as if nothing had been. */
static inline void world_fini_when_all_came(struct world *x)
{
    receive_all(x);
    check_nothing_waits(x);
    world_fini(x);
}

#endif
