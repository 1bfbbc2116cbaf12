#include "net/conn_inside.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/ceiling.h"
#include "base/clock.h"
#include "net/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

enum {
    BODY_MIN = 32 * 1024,      /* an operation of more is read into memory of its own */
    PROMISE_MAX = 16 * 1024,   /* of a large operation, before memory is given to all of it */
    PRESSED_READ = 4096,       /* how much to read at once when memory is short */
    LARGE_PEEK = 2048,         /* how much to read when another large operation is likely */
    LATE_STILL_NS = 250000000, /* how long who reads a large operation may stop, if others wait */
};

static const int64_t late_ns = 5 * PP_NS_PER_S; /* how long it may last then */

/* --- large operations while memory is short ----------------------------------------------- */

void pp_conn_not_late(pp_conn *conn)
{
    if (conn->loop->late.conn_id == conn->id)
        conn->loop->late.conn_id = 0;
}

/* Keep the beginning of an operation that is not complete. A large one is begun, with room for all
 * of it, at once while there is much memory; then only when it is more than a promise, and there
 * is room. */
static void keep(pp_conn *conn, pp_str left, size_t want)
{
    bool tight = pp_ceiling_half_gone();
    bool large = want > BODY_MIN && want > left.len && (!tight || left.len >= PROMISE_MAX);
    bool begin = large && !tight && !pp_ceiling_pressed_by(want);

    conn->body = pp_body_new((begin ? want : left.len) + PP_WINDOW_SLACK);
    if (!conn->body) {
        pp_conn_close(conn, PP_CLOSE_NO_MEMORY, false);
        return;
    }
    memcpy(conn->body->bytes, left.ptr, left.len);
    conn->got = left.len;
    conn->want = large ? want : 0;
}

/* Is there more of the operation in the socket, or behind it? Who has stopped in the middle need
 * not be given memory for the rest. */
static bool is_going_on(const pp_conn *conn)
{
    int waiting = 0;

    if (conn->layer && pp_layers_more(conn->layer))
        return true;
    return ioctl(conn->source.fd, FIONREAD, &waiting) == 0 && waiting > 0;
}

/* Others wait for who reads a large operation: it must go on, and come to its end. */
static void question_late(pp_loop *loop)
{
    pp_late *late = &loop->late;
    pp_conn *conn = pp_conn_find(loop, late->conn_id);

    if (!conn)
        return;
    if (conn->got != late->got) {
        late->got = conn->got;
        late->got_ns = loop->now_ns;
    }
    if (loop->now_ns - late->got_ns < LATE_STILL_NS && loop->now_ns - late->since_ns < late_ns)
        return;
    pp_count(&loop->counters->memory_closed, 1);
    pp_conn_close(conn, PP_CLOSE_MEMORY, false);
}

/* Memory has been short when the large operation came. False: it goes on later, or never. */
static bool begin_late(pp_conn *conn)
{
    pp_loop *loop = conn->loop;
    pp_body *small = conn->body, *body;

    if (conn->want > pp_ceiling_bytes() / 2 && pp_ceiling_bytes()) {
        pp_conn_close(conn, PP_CLOSE_MEMORY, false); /* there will never be room */
        return false;
    }
    if (!is_going_on(conn)) {
        conn->readable = false; /* until more of it comes */
        if (conn->hung_up)
            pp_conn_close(conn, PP_CLOSE_CLIENT, false);
        return false;
    }
    if (pp_ceiling_pressed_by(conn->want)) {
        question_late(loop);
        if (loop->late.conn_id || pp_ceiling_refuses(conn->want)) {
            conn->readable = true;
            pp_conn_pause(conn, NULL, PP_STALL_NS);
            return false;
        }
        /* One at a time, so that they go on at all. */
        loop->late = (pp_late){conn->id, conn->got, loop->now_ns, loop->now_ns};
    }
    body = pp_body_new(conn->want + PP_WINDOW_SLACK);
    if (!body) {
        pp_conn_close(conn, PP_CLOSE_NO_MEMORY, false);
        return false;
    }
    memcpy(body->bytes, small->bytes, conn->got);
    conn->body = body;
    pp_body_unref(small);
    return true;
}

/* --- reading ------------------------------------------------------------------------------ */

static void dispatch(pp_conn *conn, pp_str window)
{
    pp_loop *loop = conn->loop;
    size_t used = 0, want = 0;

    loop->lender = conn;
    conn->door->proto->on_bytes(conn->session, window, &used, &want);
    PP_ASSERT(used <= window.len && (used == window.len || !conn->in_body || conn->closing));
    PP_ASSERT(!conn->yielding || want == 0);
    conn->yielding &= used < window.len;
    if (!conn->closing && used < window.len)
        keep(conn, (pp_str){window.ptr + used, window.len - used}, want);
    if (loop->gate) {
        pp_conn_pause(conn, loop->gate, PP_STALL_NS);
        loop->gate = NULL;
    }
}

static void after_read(pp_conn *conn, bool filled)
{
    if (conn->closing)
        return;
    conn->readable =
        filled || conn->hung_up || conn->yielding || (conn->layer && pp_layers_more(conn->layer));
    if (conn->readable && !conn->paused)
        pp_conn_mark_ready(conn);
}

/* Go on with what the door left when it had had its share. */
static void read_kept(pp_conn *conn)
{
    pp_body *body = conn->body;
    size_t got = conn->got;

    conn->yielding = false;
    conn->body = NULL;
    conn->got = 0;
    dispatch(conn, (pp_str){body->bytes, got});
    pp_loop_flush(conn->loop); /* staged output may refer into it */
    pp_body_unref(body);
    after_read(conn, true);
}

/* What a receive has brought about besides input. */
static void after_receive(pp_conn *conn)
{
    for (pp_layer *layer = conn->layer; layer; layer = layer->below) {
        if (layer->ready && !layer->ready_told) {
            layer->ready_told = true;
            if (conn->door->proto->on_layer && !conn->closing)
                conn->door->proto->on_layer(conn->session, layer);
            pp_outbox_nudge(conn); /* what waited for it */
        }
    }
    if (pp_layers_held(conn->layer))
        pp_outbox_nudge(conn);
    if (!pp_layers_held(conn->layer) && pp_layers_take_waiting(conn->layer))
        pp_conn_read_again(conn);
}

static ssize_t receive_by_layers(pp_conn *conn, char *to, size_t len)
{
    ssize_t n = pp_layers_receive(conn->layer, to, len);
    int error = errno;

    after_receive(conn);
    errno = error;
    return conn->closing ? 0 : n;
}

static ssize_t receive(pp_conn *conn, char *to, size_t len)
{
    return PP_LIKELY(!conn->layer) ? pp_socket_receive(conn, to, len)
                                   : receive_by_layers(conn, to, len);
}

/* Nothing more came: wait, or end. */
static void on_no_input(pp_conn *conn, ssize_t n)
{
    pp_close_reason reason = n == 0 ? PP_CLOSE_CLIENT : PP_CLOSE_READ_ERROR;
    bool flush;

    if (n < 0 && errno == EAGAIN) {
        /* A layer may have taken what there was for itself, and the end be next. */
        conn->readable = conn->layer && (conn->hung_up || pp_layers_more(conn->layer)) &&
                         !pp_layers_waiting(conn->layer);
        if (conn->readable && !conn->paused && !conn->closing)
            pp_conn_mark_ready(conn);
        return;
    }
    flush = n == 0 && conn->door->proto->hears_end;
    if (conn->layer) {
        reason = (pp_close_reason)pp_layers_reason(conn->layer, (uint8_t)reason);
        /* An alert may stand behind what another loop is sending just now. */
        flush = (flush && reason == PP_CLOSE_CLIENT) || (n < 0 && pp_layers_held(conn->layer));
    }
    pp_conn_close(conn, reason, flush);
}

static void read_body(pp_conn *conn)
{
    pp_body *body = conn->body;
    size_t asked = conn->want - conn->got;
    ssize_t n;

    if (PP_UNLIKELY(body->len < conn->want + PP_WINDOW_SLACK)) {
        if (!begin_late(conn))
            return;
        body = conn->body;
    }
    n = receive(conn, body->bytes + conn->got, asked);
    if (n <= 0) {
        on_no_input(conn, n);
        return;
    }
    conn->got += (size_t)n;
    if ((size_t)n == asked) {
        conn->in_body = true;
        dispatch(conn, (pp_str){body->bytes, conn->want});
        conn->in_body = false;
        conn->body = NULL;
        conn->got = conn->want = 0;
        conn->large = true;
        pp_body_unref(body);
        pp_conn_not_late(conn);
    }
    after_read(conn, (size_t)n == asked);
}

static void read_window(pp_conn *conn)
{
    pp_loop *loop = conn->loop;
    size_t got = conn->got;
    size_t asked = conn->large ? LARGE_PEEK : loop->read_cap - got;
    char *buf = loop->read_buf, *own = NULL;
    ssize_t n;

    if (PP_UNLIKELY(loop->pressed || conn->guarded) && asked > PRESSED_READ)
        asked = PRESSED_READ;
    if (got > loop->read_cap / 2) {
        /* A control line limit beyond the buffer: rare, so it may cost a buffer of its own. */
        asked = got;
        buf = own = pp_alloc(got + asked + PP_WINDOW_SLACK);
        if (!own) {
            pp_conn_close(conn, PP_CLOSE_NO_MEMORY, false);
            return;
        }
    }
    n = receive(conn, buf + got, asked);
    if (n <= 0) {
        on_no_input(conn, n);
        pp_free(own);
        return;
    }
    if (got) {
        memcpy(buf, conn->body->bytes, got);
        pp_body_unref(conn->body);
        conn->body = NULL;
        conn->got = 0;
    }
    conn->large = false;
    dispatch(conn, (pp_str){buf, got + (size_t)n});
    if (own) {
        pp_loop_flush(loop); /* staged output may refer into it */
        pp_free(own);
    }
    after_read(conn, (size_t)n == asked);
}

void pp_conn_read(pp_conn *conn)
{
    pp_loop *loop = conn->loop;

    if (conn->closing)
        return;
    if (conn->paused || conn->next) {
        conn->readable = true;
        return;
    }
    if (PP_UNLIKELY(loop->pressed) && conn->own.gated && pp_outlet_lags(&conn->own)) {
        conn->readable = true; /* it asks, and does not listen to answers */
        pp_conn_pause(conn, &conn->own, PP_STALL_NS);
        return;
    }
    if (loop->borrowed || loop->staged_bytes > loop->staged_max) {
        pp_loop_flush(loop);
        if (conn->paused)
            return;
    }
    if (conn->yielding)
        read_kept(conn);
    else if (conn->want)
        read_body(conn);
    else
        read_window(conn);
}

void pp_conn_on_event(pp_source *source, uint32_t events)
{
    pp_conn *conn = PP_CONTAINER(source, pp_conn, source);

    if (conn->closed)
        return;
    if (events & EPOLLOUT)
        pp_outbox_on_writable(conn);
    if (conn->closing) {
        pp_conn_look_at_closing(conn);
        return;
    }
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        conn->hung_up = true;
    if (events & ~(uint32_t)EPOLLOUT)
        pp_conn_read(conn);
}
