#include "net/outlet.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "net/conn.h"
#include "net/post.h"
#include "net/slow.h"
#include "net/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    REFS_AT_START = 16,
    JOIN_MAX = 4096,        /* bytes that are copied to the end of the last waiting chunk */
    CHUNKS_MAX_OUTLET = 64, /* staged in one outlet; more are sent on the way */
    IOV_MAX_STAGED = 2 * PP_OUTLET_REFS_MAX + CHUNKS_MAX_OUTLET + 1, /* all there can be */
    IOV_MAX_QUEUED = 64,
    IOV_MAX_FRAMES = 256,
    KEPT_STEP = 2048, /* of the read buffer: references are not smaller */
    KEPT_MAX = 64,
    DRAIN_ROUNDS = 8, /* sends by one loop while others keep adding */
};

/* More waiting makes publishers wait. Source: NATS client protocol, section 15: 75 %. */
static size_t gate_bytes(const pp_conn *conn, const pp_loop *loop)
{
    size_t most = pp_conn_pending_max(conn) / 4 * 3;

    return loop->pressed && most > PP_SLOW_PRESSED_BYTES ? PP_SLOW_PRESSED_BYTES : most;
}

static void list_as_dirty(pp_outlet *outlet)
{
    pp_loop *loop = outlet->loop;

    if (outlet->dirty)
        return; /* flushed in the middle of the turn; it is still in the list */
    outlet->dirty = true;
    outlet->next_dirty = NULL;
    if (loop->dirty_last)
        loop->dirty_last->next_dirty = outlet;
    else
        loop->dirty = outlet;
    loop->dirty_last = outlet;
}

static void close_last_chunk(pp_outlet *outlet)
{
    if (outlet->last)
        outlet->last->len = (size_t)(outlet->at - outlet->last->bytes);
}

/* In the middle of a turn. An answer must not overtake what others are to get before it. */
static void flush_early(pp_outlet *outlet)
{
    if (outlet->has_answer)
        pp_loop_flush(outlet->loop);
    else
        pp_outlet_flush(outlet);
}

/* The only chunk is full. The first one is small, since most outlets of most turns say little. */
static bool grow_only_chunk(pp_outlet *outlet, size_t len)
{
    pp_chunk *grown;

    close_last_chunk(outlet);
    grown = pp_chunk_grow(&outlet->loop->chunks, outlet->last, len);
    if (!grown)
        return false;
    outlet->first = outlet->last = grown;
    outlet->at = grown->bytes + grown->len;
    outlet->end = grown->bytes + grown->cap;
    return true;
}

char *pp_outlet_more_room(pp_outlet *outlet, size_t len)
{
    pp_loop *loop = outlet->loop;
    pp_chunk *chunk;

    /* A fan-out to very many recipients, or a flood to one, must not fill memory before the turn
     * ends. A frame that is cut by this goes on where it was. */
    if (loop->staged_chunks >= loop->chunks_max)
        pp_loop_flush(loop);
    else if (outlet->chunk_count >= CHUNKS_MAX_OUTLET)
        flush_early(outlet);
    if (outlet->chunk_count == 1 && outlet->ref_count == 0 &&
        outlet->last->cap < PP_CHUNK_SMALL_BYTES)
        return grow_only_chunk(outlet, len) ? outlet->at : NULL;
    chunk =
        outlet->last ? pp_chunk_take(&loop->chunks, len) : pp_chunk_take_small(&loop->chunks, len);
    if (!chunk)
        return NULL;
    loop->staged_chunks++;
    outlet->chunk_count++;
    if (outlet->last) {
        close_last_chunk(outlet);
        outlet->last->next = chunk;
        loop->staged_bytes += outlet->last->len;
    } else {
        outlet->first = chunk;
        list_as_dirty(outlet);
    }
    outlet->last = chunk;
    outlet->at = chunk->bytes;
    outlet->end = chunk->bytes + chunk->cap;
    return outlet->at;
}

bool pp_outlet_write(pp_outlet *outlet, pp_str bytes)
{
    char *room;

    if (bytes.len == 0)
        return true;
    room = pp_outlet_room(outlet, bytes.len);
    if (!room)
        return false;
    memcpy(room, bytes.ptr, bytes.len);
    pp_outlet_wrote(outlet, bytes.len);
    return true;
}

bool pp_outlet_reserve_ref(pp_outlet *outlet)
{
    uint32_t cap = outlet->ref_cap ? 4 * outlet->ref_cap : REFS_AT_START;
    pp_outlet_ref *grown;

    if (outlet->ref_count < outlet->ref_cap)
        return true;
    grown = pp_realloc(outlet->refs, cap * sizeof(*grown));
    if (!grown)
        return false;
    outlet->refs = grown;
    outlet->ref_cap = cap;
    return true;
}

bool pp_outlet_refer(pp_outlet *outlet, pp_str bytes, pp_body *body)
{
    if (!pp_outlet_reserve_ref(outlet) || (!outlet->last && !pp_outlet_more_room(outlet, 0)))
        return false;
    PP_ASSERT(outlet->ref_count < PP_OUTLET_REFS_MAX);
    outlet->refs[outlet->ref_count++] = (pp_outlet_ref){
        .after = outlet->last,
        .at = (size_t)(outlet->at - outlet->last->bytes),
        .ptr = bytes.ptr,
        .len = bytes.len,
        .body = body ? pp_body_ref(body) : NULL,
    };
    if (!body)
        outlet->loop->borrowed = true;
    outlet->loop->staged_bytes += bytes.len;
    if (outlet->ref_count == PP_OUTLET_REFS_MAX)
        flush_early(outlet);
    return true;
}

void pp_outlet_mark_answer(pp_outlet *outlet)
{
    outlet->has_answer = true;
}

/* Everything staged, in order, as pieces for sendmsg. */
static size_t gather(pp_outlet *outlet, struct iovec *iov, size_t *out_bytes)
{
    size_t count = 0, bytes = 0;
    uint32_t ref = 0;

    for (pp_chunk *chunk = outlet->first; chunk; chunk = chunk->next) {
        size_t at = 0;

        while (ref < outlet->ref_count && outlet->refs[ref].after == chunk) {
            const pp_outlet_ref *r = &outlet->refs[ref++];

            if (r->at > at)
                iov[count++] = (struct iovec){chunk->bytes + at, r->at - at};
            iov[count++] = (struct iovec){(char *)r->ptr, r->len};
            bytes += r->at - at + r->len;
            at = r->at;
        }
        if (chunk->len > at)
            iov[count++] = (struct iovec){chunk->bytes + at, chunk->len - at};
        bytes += chunk->len - at;
    }
    PP_ASSERT(ref == outlet->ref_count && count <= IOV_MAX_STAGED);
    *out_bytes = bytes;
    return count;
}

static ssize_t send_iov(pp_loop *loop, pp_conn *conn, const struct iovec *iov, size_t count)
{
    return PP_LIKELY(!conn->layer) ? pp_socket_send(loop, conn, iov, count)
                                   : pp_layers_send(conn->layer, loop, iov, count);
}

static size_t held(const pp_conn *conn)
{
    return PP_LIKELY(!conn->layer) ? 0 : pp_layers_held(conn->layer);
}

size_t pp_outbox_waiting_locked(const pp_conn *conn)
{
    return conn->box.pending_bytes + held(conn);
}

/* Layers take as much at once as they like, so a short send does not say that the socket is full:
 * what they hold back does. */
static bool takes_more(const pp_conn *conn)
{
    return conn->layer && pp_layers_held(conn->layer) == 0;
}

/* Why a send failed. */
static pp_close_reason fault_of(const pp_conn *conn)
{
    if (!conn->layer)
        return PP_CLOSE_WRITE_ERROR;
    return (pp_close_reason)pp_layers_reason(conn->layer, PP_CLOSE_WRITE_ERROR);
}

/* Forget what is staged: sent, or not wanted any more. */
static void clear_staged(pp_outlet *outlet)
{
    while (outlet->first) {
        pp_chunk *chunk = outlet->first;

        outlet->first = chunk->next;
        pp_chunk_give(&outlet->loop->chunks, chunk);
    }
    for (uint32_t i = 0; i < outlet->ref_count; i++)
        pp_body_unref(outlet->refs[i].body);
    if (outlet->refs) {
        pp_free(outlet->refs);
        outlet->refs = NULL;
    }
    outlet->ref_count = outlet->ref_cap = 0;
    outlet->chunk_count = 0;
    outlet->last = NULL;
    outlet->at = outlet->end = NULL;
}

/* Copies of what lies in the read buffer, made when recipients could not be sent it: one for all
 * of them. By address; good until the end of the flush, for then the buffer is read into anew. */
struct pp_kept {
    struct {
        const char *ptr;
        pp_body *body;
    } at[KEPT_MAX];
};

static void forget_kept(pp_loop *loop)
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        pp_body_unref(loop->kept->at[i].body);
    pp_free(loop->kept);
    loop->kept = NULL;
}

pp_body *pp_outlet_share(pp_loop *loop, const char *ptr, size_t len)
{
    size_t slot = (uintptr_t)ptr / KEPT_STEP % KEPT_MAX;
    pp_body *body;

    if (!loop->shares || len < KEPT_STEP)
        return NULL;
    if (!loop->kept)
        loop->kept = pp_calloc(1, sizeof(*loop->kept));
    if (!loop->kept)
        return NULL;
    body = loop->kept->at[slot].body;
    if (body && loop->kept->at[slot].ptr == ptr && body->len == len)
        return body;
    body = pp_body_new(len);
    if (!body)
        return NULL;
    memcpy(body->bytes, ptr, len);
    pp_body_unref(loop->kept->at[slot].body);
    loop->kept->at[slot].ptr = ptr;
    loop->kept->at[slot].body = body;
    return body;
}

struct chunk_list {
    pp_chunk *first, *last;
    size_t bytes;
};

static bool list_add(struct chunk_list *list, pp_chunk *chunk)
{
    if (!chunk)
        return false;
    chunk->next = NULL;
    if (list->last)
        list->last->next = chunk;
    else
        list->first = chunk;
    list->last = chunk;
    list->bytes += chunk->len;
    return true;
}

static void list_free(pp_loop *loop, struct chunk_list *list)
{
    while (list->first) {
        pp_chunk *chunk = list->first;

        list->first = chunk->next;
        pp_chunk_give(&loop->chunks, chunk);
    }
    *list = (struct chunk_list){0};
}

/* Turn what is staged behind the first `skip` bytes into chunks that own what they hold: the
 * chunks themselves where nothing is referred to, copies and views otherwise. */
static bool take_staged(pp_outlet *outlet, size_t skip, struct chunk_list *out_list)
{
    struct chunk_list list = {0};
    struct iovec iov[IOV_MAX_STAGED];
    size_t bytes, count;
    uint32_t ref = 0;

    if (outlet->ref_count == 0) {
        while (outlet->first) {
            pp_chunk *chunk = outlet->first;
            size_t drop = skip < chunk->len ? skip : chunk->len;

            outlet->first = chunk->next;
            chunk->ptr += drop;
            chunk->len -= drop;
            skip -= drop;
            if (chunk->len) /* a little that waits for long must not hold a lot */
                (void)list_add(&list,
                               outlet->first ? chunk : pp_chunk_fit(&outlet->loop->chunks, chunk));
            else
                pp_chunk_give(&outlet->loop->chunks, chunk);
        }
        clear_staged(outlet);
        *out_list = list;
        return true;
    }
    count = gather(outlet, iov, &bytes);
    for (size_t i = 0; i < count; i++) {
        size_t drop = skip < iov[i].iov_len ? skip : iov[i].iov_len;
        const char *ptr = iov[i].iov_base;
        size_t len = iov[i].iov_len - drop;
        pp_body *body = NULL;

        skip -= drop;
        if (ref < outlet->ref_count && outlet->refs[ref].ptr == ptr) {
            body = outlet->refs[ref++].body;
            if (!body && len && (body = pp_outlet_share(outlet->loop, ptr, iov[i].iov_len)))
                ptr = body->bytes;
        }
        ptr += drop;
        if (len &&
            !list_add(&list, body ? pp_chunk_view(body, ptr, len) : pp_chunk_copy(ptr, len))) {
            list_free(outlet->loop, &list);
            return false;
        }
    }
    clear_staged(outlet);
    *out_list = list;
    return true;
}

/* Watch for room, or stop watching. Asking anew while there is room reports it at once, so a
 * chance that came between a send and this is not lost. */
static void set_armed_locked(pp_conn *conn, bool armed)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLRDHUP | EPOLLET | (armed ? EPOLLOUT : 0),
        .data.ptr = &conn->source,
    };

    if (pp_fault("epoll_mod") ||
        epoll_ctl(conn->loop->epoll_fd, EPOLL_CTL_MOD, conn->source.fd, &event) < 0) {
        pp_conn_fault_locked(conn, PP_CLOSE_WRITE_ERROR);
        return;
    }
    conn->box.armed = armed;
}

static void post_from_box_locked(pp_conn *conn, pp_loop *loop, pp_task *task)
{
    conn->box.posted++;
    pp_loop_post(loop, task);
}

static void notice_owner_locked(pp_conn *conn)
{
    if (conn->box.noticed)
        return;
    conn->box.noticed = true;
    post_from_box_locked(conn, conn->loop, &conn->notice);
}

void pp_conn_fault_locked(pp_conn *conn, pp_close_reason reason)
{
    pp_outbox *box = &conn->box;

    box->closed = true;
    if (box->fault == PP_CLOSE_NONE)
        box->fault = (uint8_t)reason;
    notice_owner_locked(conn);
}

static void stop_sending_locked(pp_conn *conn)
{
    conn->box.sending = false;
    if (conn->box.owner_waits ||
        (conn->layer && pp_layers_waiting(conn->layer) && !pp_layers_held(conn->layer)))
        notice_owner_locked(conn);
}

static void ungate_locked(pp_conn *conn, pp_outlet *outlet)
{
    if (outlet->gate == PP_GATE_OPEN || (outlet->gate == PP_GATE_QUEUE && conn->box.pending_bytes))
        return;
    outlet->gate = PP_GATE_OPEN;
    if (outlet->ungate_posted)
        return; /* one that is under way looks at the gate when it arrives */
    outlet->ungate_posted = true;
    post_from_box_locked(conn, outlet->loop, &outlet->ungate);
}

/* The recipient has caught up: publishers that wait on other loops may go on. */
void pp_outbox_open_gate_locked(pp_conn *conn)
{
    for (pp_outlet *outlet = conn->box.outlets; outlet; outlet = outlet->next_of_conn)
        ungate_locked(conn, outlet);
    ungate_locked(conn, &conn->own);
}

/* n bytes of the chunks have been sent. */
static void pop_locked(pp_conn *conn, pp_loop *loop, size_t n)
{
    pp_outbox *box = &conn->box;

    box->pending_bytes -= n;
    while (n) {
        pp_chunk *chunk = box->first;

        if (n < chunk->len) {
            chunk->ptr += n;
            chunk->len -= n;
            break;
        }
        n -= chunk->len;
        box->first = chunk->next;
        if (!box->first)
            box->last = NULL;
        pp_chunk_give(&loop->chunks, chunk);
    }
}

/* n bytes fewer wait, sent from here. */
static void note_progress_locked(pp_conn *conn, pp_loop *loop, size_t n)
{
    pp_outbox *box = &conn->box;

    if (box->policy != PP_SLOW_DISCONNECT || box->mark_bytes <= n) {
        box->mark_bytes = pp_outbox_waiting_locked(conn);
        box->mark_ns = loop->now_ns;
    } else {
        box->mark_bytes -= n;
    }
    if (box->pending_bytes < gate_bytes(conn, loop))
        pp_outbox_open_gate_locked(conn);
}

/* The first of what waits, as pieces for a send: chunks come before the backlog. */
static size_t gather_queued_locked(pp_outbox *box, struct iovec *iov, size_t *out_bytes)
{
    size_t count = 0, bytes = 0;

    if (!box->first)
        return pp_backlog_gather(box->backlog, iov, IOV_MAX_FRAMES, out_bytes);
    for (pp_chunk *c = box->first; c && count < IOV_MAX_QUEUED; c = c->next) {
        iov[count++] = (struct iovec){(char *)c->ptr, c->len};
        bytes += c->len;
    }
    *out_bytes = bytes;
    return count;
}

/* Send the queue. Called with the lock and box->sending held; gives back sending, keeps the lock.
 */
static void drain_locked(pp_conn *conn, pp_loop *loop)
{
    pp_outbox *box = &conn->box;
    unsigned rounds = 0;

    while (pp_outbox_waiting_locked(conn) && !box->closed) {
        struct iovec iov[IOV_MAX_FRAMES];
        bool chunks = box->first != NULL, frames = !chunks && box->pending_bytes;
        size_t count = 0, bytes = 0, before = held(conn), after;
        ssize_t sent;

        if (++rounds > DRAIN_ROUNDS) {
            set_armed_locked(conn, true);
            break;
        }
        if (box->pending_bytes)
            count = gather_queued_locked(box, iov, &bytes);
        box->retry = false;
        pp_mutex_unlock(&box->lock);
        sent = send_iov(loop, conn, iov, count);
        pp_mutex_lock(&box->lock);
        if (frames)
            pp_slow_sent_locked(conn, loop, sent > 0 ? (size_t)sent : 0);
        if (sent < 0 && errno != EAGAIN) {
            pp_conn_fault_locked(conn, fault_of(conn));
            break;
        }
        if (sent > 0 && chunks)
            pop_locked(conn, loop, (size_t)sent);
        after = held(conn);
        before += sent > 0 ? (size_t)sent : 0;
        if (before > after)
            note_progress_locked(conn, loop, before - after);
        if (sent >= 0 && takes_more(conn))
            continue;
        if (sent < 0 || (size_t)sent < bytes || after) {
            if (!box->armed)
                set_armed_locked(conn, true);
            else if (box->retry)
                continue;
            break;
        }
    }
    stop_sending_locked(conn);
}

/* Start the clock by which a recipient must have taken what waits. */
static void watch_locked(pp_conn *conn, pp_loop *loop, bool was_empty)
{
    pp_outbox *box = &conn->box;

    if (was_empty) {
        box->mark_ns = loop->now_ns;
        box->mark_bytes = pp_outbox_waiting_locked(conn);
    }
    if (!box->watching)
        notice_owner_locked(conn);
}

static void prepend_locked(pp_outbox *box, struct chunk_list *list)
{
    list->last->next = box->first;
    box->first = list->first;
    if (!box->last)
        box->last = list->last;
}

/* Few bytes must not hold a whole chunk each while they wait: they join the last one. Its sender,
 * if one is at work, has noted how much of it to send and is not disturbed. */
static bool join_locked(pp_loop *loop, pp_outbox *box, struct chunk_list *list)
{
    pp_chunk *last = box->last, *only = list->first;
    char *end;

    if (!last || last->body || only->next || only->body || only->len > JOIN_MAX)
        return false;
    end = last->bytes + (last->ptr - last->bytes) + last->len;
    if ((size_t)(last->bytes + last->cap - end) < only->len)
        return false;
    memcpy(end, only->ptr, only->len);
    last->len += only->len;
    pp_chunk_give(&loop->chunks, only);
    return true;
}

static void append_locked(pp_loop *loop, pp_outbox *box, struct chunk_list *list)
{
    if (join_locked(loop, box, list))
        return;
    if (box->last)
        box->last->next = list->first;
    else
        box->first = list->first;
    box->last = list->last;
}

/* Something was put into the queue, or all of it was dropped: see that it is sent, by somebody. */
static void after_queueing_locked(pp_outlet *outlet, bool mine, bool was_empty)
{
    pp_conn *conn = outlet->conn;
    pp_outbox *box = &conn->box;

    if (mine) {
        stop_sending_locked(conn);
        if (!box->armed)
            set_armed_locked(conn, true);
        else if (box->retry || takes_more(conn)) {
            box->sending = true;
            drain_locked(conn, outlet->loop);
        }
    } else if (!box->sending && !box->armed) {
        box->sending = true;
        drain_locked(conn, outlet->loop);
    }
    if (!pp_outbox_waiting_locked(conn) || box->closed)
        return;
    watch_locked(conn, outlet->loop, was_empty);
    if (box->policy == PP_SLOW_DISCONNECT && box->pending_bytes > gate_bytes(conn, outlet->loop)) {
        outlet->gated = true;
        outlet->gated_pressed = outlet->loop->pressed;
        outlet->gate = PP_GATE_LAGS;
    } else if (outlet->loop->borrowed && !outlet->gated && box->policy == PP_SLOW_DISCONNECT) {
        outlet->gate = PP_GATE_QUEUE;
        outlet->loop->refused = outlet;
    }
}

bool pp_outlet_lags(pp_outlet *outlet)
{
    pp_conn *conn = outlet->conn;

    pp_mutex_lock(&conn->box.lock);
    if (conn->box.pending_bytes <= gate_bytes(conn, outlet->loop)) {
        outlet->gated = false;
        outlet->gate = PP_GATE_OPEN;
    }
    outlet->gated_pressed = outlet->gated && outlet->loop->pressed;
    pp_mutex_unlock(&conn->box.lock);
    return outlet->gated;
}

/* Queue what the socket did not take (mine: we are the sender) or could not be given yet. */
static void queue(pp_outlet *outlet, struct chunk_list *list, bool mine)
{
    pp_conn *conn = outlet->conn;
    pp_outbox *box = &conn->box;
    bool was_empty;

    pp_loop_feel_pressure(outlet->loop); /* now that memory has been taken for good */
    pp_mutex_lock(&box->lock);
    if (box->closed) {
        if (mine)
            stop_sending_locked(conn);
        pp_mutex_unlock(&box->lock);
        list_free(outlet->loop, list);
        return;
    }
    if (box->pending_bytes + list->bytes > pp_conn_pending_max(conn)) {
        if (mine)
            stop_sending_locked(conn);
        pp_conn_fault_locked(conn, PP_CLOSE_SLOW_PENDING);
        pp_mutex_unlock(&box->lock);
        list_free(outlet->loop, list);
        return;
    }
    was_empty = box->pending_bytes == 0;
    box->pending_bytes += list->bytes;
    if (list->first) {
        if (mine)
            prepend_locked(box, list);
        else
            append_locked(outlet->loop, box, list);
    }
    after_queueing_locked(outlet, mine, was_empty);
    pp_mutex_unlock(&box->lock);
}

/* The same for a connection that may miss messages: whole frames, or none of them. */
static void queue_frames(pp_outlet *outlet, size_t sent, bool mine)
{
    pp_conn *conn = outlet->conn;
    pp_outbox *box = &conn->box;
    struct iovec iov[IOV_MAX_STAGED];
    size_t bytes, count = gather(outlet, iov, &bytes);
    pipit_err err;
    bool was_empty;

    pp_loop_feel_pressure(outlet->loop);
    pp_mutex_lock(&box->lock);
    was_empty = box->pending_bytes == 0;
    err = box->closed ? PIPIT_ECLOSED : pp_slow_keep_locked(outlet, iov, count, sent, mine);
    if (!err) {
        after_queueing_locked(outlet, mine, was_empty);
    } else {
        if (mine)
            stop_sending_locked(conn);
        if (err != PIPIT_ECLOSED)
            pp_conn_fault_locked(conn,
                                 err == PIPIT_ELIMIT ? PP_CLOSE_SLOW_PENDING : PP_CLOSE_NO_MEMORY);
    }
    pp_mutex_unlock(&box->lock);
    clear_staged(outlet);
}

/* Become the sender if nobody is and nothing waits. False: queue instead, or closed. */
static bool begin_send(pp_outlet *outlet, bool *out_closed)
{
    pp_outbox *box = &outlet->conn->box;
    bool mine;

    pp_mutex_lock(&box->lock);
    if (outlet->msgs)
        box->out_time = (uint32_t)(outlet->loop->now_ns >> PP_OUT_TIME_SHIFT);
    box->out_msgs += outlet->msgs;
    box->out_bytes += outlet->bytes;
    mine = !box->closed && !box->sending && !pp_outbox_waiting_locked(outlet->conn);
    if (mine) {
        box->sending = true;
        box->retry = false;
    }
    *out_closed = box->closed;
    pp_mutex_unlock(&box->lock);
    pp_count(&outlet->loop->counters->out_msgs, outlet->msgs);
    pp_count(&outlet->loop->counters->out_bytes, outlet->bytes);
    outlet->msgs = outlet->bytes = 0;
    return mine;
}

/* All of it went; send also what others have queued meanwhile. */
static void end_send(pp_outlet *outlet)
{
    pp_conn *conn = outlet->conn;
    pp_outbox *box = &conn->box;

    pp_mutex_lock(&box->lock);
    if (pp_outbox_waiting_locked(conn) && !box->closed) {
        drain_locked(conn, outlet->loop);
        if (pp_outbox_waiting_locked(conn) && !box->closed)
            watch_locked(conn, outlet->loop, true);
    } else {
        stop_sending_locked(conn);
    }
    pp_mutex_unlock(&box->lock);
}

static void fail(pp_outlet *outlet, bool mine, pp_close_reason reason)
{
    pp_outbox *box = &outlet->conn->box;

    pp_mutex_lock(&box->lock);
    if (mine)
        stop_sending_locked(outlet->conn);
    pp_conn_fault_locked(outlet->conn, reason);
    pp_mutex_unlock(&box->lock);
    clear_staged(outlet);
}

void pp_outlet_flush(pp_outlet *outlet)
{
    struct chunk_list list;
    size_t bytes = 0, sent = 0;
    bool closed, mine;

    if (!outlet->first)
        return;
    close_last_chunk(outlet);
    mine = begin_send(outlet, &closed);
    if (closed) {
        clear_staged(outlet);
        return;
    }
    if (mine) {
        struct iovec iov[IOV_MAX_STAGED];
        size_t count = gather(outlet, iov, &bytes);
        ssize_t n = count ? send_iov(outlet->loop, outlet->conn, iov, count) : 0;

        if (n < 0 && errno != EAGAIN) {
            fail(outlet, true, fault_of(outlet->conn));
            return;
        }
        sent = n > 0 ? (size_t)n : 0;
        if (sent == bytes) {
            clear_staged(outlet);
            end_send(outlet);
            return;
        }
    }
    if (atomic_load_explicit(&outlet->conn->box.framed, memory_order_relaxed)) {
        queue_frames(outlet, sent, mine);
        return;
    }
    /* A stream with a hole in it is of no use to anybody. */
    if (!take_staged(outlet, sent, &list)) {
        fail(outlet, mine, PP_CLOSE_NO_MEMORY);
        return;
    }
    queue(outlet, &list, mine);
}

void pp_outlet_fini(pp_outlet *outlet)
{
    clear_staged(outlet);
}

void pp_outbox_on_writable(pp_conn *conn)
{
    pp_outbox *box = &conn->box;

    pp_mutex_lock(&box->lock);
    if (box->sending) {
        box->retry = true; /* the sender may have missed it */
    } else if (!box->closed) {
        box->sending = true;
        drain_locked(conn, conn->loop);
        if (!pp_outbox_waiting_locked(conn) && box->armed && !box->closed)
            set_armed_locked(conn, false);
    }
    pp_mutex_unlock(&box->lock);
}

void pp_outbox_nudge(pp_conn *conn)
{
    pp_outbox *box = &conn->box;

    pp_outbox_on_writable(conn);
    pp_mutex_lock(&box->lock);
    if (pp_outbox_waiting_locked(conn) && !box->closed && !box->watching)
        watch_locked(conn, conn->loop, true);
    pp_mutex_unlock(&box->lock);
}

void pp_outbox_notify_sent(pp_conn *conn)
{
    pp_outbox *box = &conn->box;

    pp_mutex_lock(&box->lock);
    box->owner_waits = true;
    notice_owner_locked(conn);
    pp_mutex_unlock(&box->lock);
}

void pp_outbox_shut(pp_conn *conn)
{
    pp_outbox *box = &conn->box;
    struct chunk_list list;

    pp_mutex_lock(&box->lock);
    box->closed = true;
    pp_outbox_open_gate_locked(conn);
    list = (struct chunk_list){box->first, box->last, 0};
    if (box->sending) {
        list.first = NULL; /* another loop is sending from it: freed with the connection */
    } else {
        box->first = box->last = NULL;
        if (box->backlog)
            pp_backlog_clear(box->backlog);
    }
    list.bytes = box->pending_bytes;
    pp_mutex_unlock(&box->lock);
    pp_loop_note_litter(conn->loop, list.bytes);
    list_free(conn->loop, &list);
}

/* Those with answers after the others: who gets a PONG may tell somebody that what it published
 * before has been passed on. */
void pp_loop_flush(pp_loop *loop)
{
    pp_post_hand_over(loop);
    while (loop->dirty) {
        pp_outlet *outlet = loop->dirty, *answers = NULL, **answers_end = &answers;

        loop->shares = outlet->next_dirty != NULL;
        loop->dirty = loop->dirty_last = NULL;
        while (outlet) {
            pp_outlet *next = outlet->next_dirty;

            outlet->dirty = false;
            if (outlet->has_answer) {
                outlet->has_answer = false;
                *answers_end = outlet;
                answers_end = &outlet->next_dirty;
            } else {
                pp_outlet_flush(outlet);
            }
            outlet = next;
        }
        *answers_end = NULL;
        while (answers) {
            pp_outlet *next = answers->next_dirty;

            pp_outlet_flush(answers);
            answers = next;
        }
    }
    loop->shares = false;
    if (loop->kept)
        forget_kept(loop);
    loop->staged_bytes = 0;
    loop->staged_chunks = 0;
    loop->borrowed = false;
    if (loop->refused && loop->lender && !atomic_load(&loop->lender->door->limits.no_stall))
        pp_conn_pause_briefly(loop->lender, loop->refused);
    loop->refused = NULL;
    loop->lender = NULL;
}
