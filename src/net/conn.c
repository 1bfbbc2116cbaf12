#include "net/conn.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/ceiling.h"
#include "base/clock.h"
#include "net/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BODY_MIN = 32 * 1024,    /* an operation of more is read into memory of its own */
    PROMISE_MAX = 16 * 1024, /* of a large operation, before memory is given to all of it */
    PRESSED_READ = 4096,     /* how much to read at once when memory is short */
    LARGE_PEEK = 2048,       /* how much to read when another large operation is likely */
    STALL_NS = 10000000,     /* the longest a publisher waits for a recipient per read */
    BRIEF_NS = 1000000,      /* the same where the recipient keeps up, or nearly */
    DROPPING_PATIENCE = 6,
    LATE_STILL_NS = 250000000, /* how long who reads a large operation may stop, if others wait */
};

static const int64_t late_ns = 5 * PP_NS_PER_S; /* how long it may last then */

const char *pp_close_reason_text(pp_close_reason reason)
{
    static const char *const texts[] = {
#define PP_CLOSE_TEXT(name, text) text,
        PP_CLOSE_REASONS(PP_CLOSE_TEXT)
#undef PP_CLOSE_TEXT
    };

    return texts[reason];
}

/* --- the loop's connections by id --------------------------------------------------------- */

static void table_grow(pp_loop *loop)
{
    size_t count = (loop->conn_mask + 1) * 2;
    pp_conn **table = pp_calloc(count, sizeof(pp_conn *));

    if (!table)
        return; /* longer chains, no harm */
    for (size_t i = 0; i <= loop->conn_mask; i++) {
        while (loop->conn_table[i]) {
            pp_conn *conn = loop->conn_table[i];

            loop->conn_table[i] = conn->next_in_table;
            conn->next_in_table = table[conn->id & (count - 1)];
            table[conn->id & (count - 1)] = conn;
        }
    }
    pp_free(loop->conn_table);
    loop->conn_table = table;
    loop->conn_mask = count - 1;
}

static void table_add(pp_loop *loop, pp_conn *conn)
{
    pp_conn **slot;

    if (++loop->conn_count > loop->conn_mask)
        table_grow(loop);
    slot = &loop->conn_table[conn->id & loop->conn_mask];
    conn->next_in_table = *slot;
    *slot = conn;
    loop->aside_count += conn->door->aside;
}

static void table_remove(pp_loop *loop, pp_conn *conn)
{
    pp_conn **at = &loop->conn_table[conn->id & loop->conn_mask];

    while (*at != conn)
        at = &(*at)->next_in_table;
    *at = conn->next_in_table;
    loop->conn_count--;
    loop->aside_count -= conn->door->aside;
}

pp_conn *pp_conn_find(pp_loop *loop, uint64_t id)
{
    pp_conn *conn = loop->conn_table[id & loop->conn_mask];

    while (conn && conn->id != id)
        conn = conn->next_in_table;
    return conn && !conn->closing ? conn : NULL;
}

pp_conn *pp_conn_any(pp_loop *loop, size_t *at)
{
    for (size_t i = 0; i <= loop->conn_mask; i++, (*at)++) {
        for (pp_conn *conn = loop->conn_table[*at & loop->conn_mask]; conn;
             conn = conn->next_in_table) {
            if (!conn->closing && !conn->door->aside)
                return conn;
        }
    }
    return NULL;
}

void pp_conn_each(pp_loop *loop, void (*visit)(pp_conn *conn, void *arg), void *arg)
{
    for (size_t i = 0; i <= loop->conn_mask; i++) {
        for (pp_conn *conn = loop->conn_table[i], *next; conn; conn = next) {
            next = conn->next_in_table;
            if (!conn->closing)
                visit(conn, arg);
        }
    }
}

/* Count up from the highest bit down. What is done when the table doubles is then done in the new
 * one, too: both halves of a place that was visited come before *at in this order. */
static bool next_place(size_t mask, size_t *at)
{
    size_t bit = (mask + 1) / 2;

    while (bit && (*at & bit)) {
        *at &= ~bit;
        bit /= 2;
    }
    *at |= bit;
    return bit != 0;
}

bool pp_conn_walk(pp_loop *loop, size_t *at, void (*visit)(pp_conn *conn, void *arg), void *arg)
{
    for (pp_conn *conn = loop->conn_table[*at & loop->conn_mask], *next; conn; conn = next) {
        next = conn->next_in_table;
        if (!conn->closing)
            visit(conn, arg);
    }
    return next_place(loop->conn_mask, at);
}

/* --- life --------------------------------------------------------------------------------- */

static void conn_free(pp_retired *retired)
{
    pp_conn *conn = PP_CONTAINER(retired, pp_conn, retired);
    pp_outbox *box = &conn->box;
    uint32_t posted;

    pp_loop_note_litter(conn->loop, sizeof(*conn) + conn->door->proto->session_bytes);

    pp_mutex_lock(&box->lock);
    posted = box->posted;
    pp_mutex_unlock(&box->lock);
    /* A task that held it may have let go of subscriptions up to now, through which other loops
     * may look at it: once nothing holds it, it waits one era more. */
    if (posted || !conn->settled) {
        conn->settled = posted == 0;
        pp_reclaim_retire(&conn->loop->reclaimer, retired, conn_free);
        return;
    }
    conn->door->proto->free(conn->session);
    pp_outlet_fini(&conn->own);
    while (box->outlets) {
        pp_outlet *outlet = box->outlets;

        box->outlets = outlet->next_of_conn;
        pp_outlet_fini(outlet);
        pp_free(outlet);
    }
    while (box->first) {
        pp_chunk *chunk = box->first;

        box->first = chunk->next;
        pp_chunk_give(NULL, chunk);
    }
    pp_backlog_free(box->backlog);
    pp_layers_free(conn->layer);
    pp_layer_free(conn->next);
    pp_body_unref(conn->body);
    if (conn->source.fd >= 0)
        (void)close(conn->source.fd);
    pp_free(conn);
}

/* It does not read a large operation any more while memory is short: another may. */
static void not_late(pp_conn *conn)
{
    if (conn->loop->late.conn_id == conn->id)
        conn->loop->late.conn_id = 0;
}

static void finish(pp_conn *conn)
{
    pp_loop *loop = conn->loop;

    PP_ASSERT(conn->closing && !conn->closed);
    conn->closed = true;
    pp_list_remove(&conn->link);
    pp_timer_cancel(&loop->timers, &conn->timer);
    pp_timer_cancel(&loop->timers, &conn->write_timer);
    pp_outbox_shut(conn);
    (void)pp_loop_unwatch(loop, &conn->source); /* shut below: no event can matter */
    (void)shutdown(conn->source.fd, SHUT_RDWR);
    table_remove(loop, conn);
    pp_count(&loop->counters->connections_closed, !conn->door->aside);
    pp_reclaim_retire(&loop->reclaimer, &conn->retired, conn_free);
}

static void on_close_deadline(pp_timer *timer)
{
    finish(PP_CONTAINER(timer, pp_conn, write_timer));
}

void pp_conn_close(pp_conn *conn, pp_close_reason reason, bool flush)
{
    pp_loop *loop = conn->loop;

    if (conn->closing)
        return;
    not_late(conn);
    conn->closing = true;
    conn->reason = (uint8_t)reason;
    conn->flush_on_close = flush;
    conn->parting = conn->layer;
    pp_timer_cancel(&loop->timers, &conn->timer);
    conn->door->proto->on_close(conn->session);
    pp_list_remove(&conn->link);
    pp_list_append(&loop->closing, &conn->link);
}

static bool can_send(pp_conn *conn)
{
    bool can;

    pp_mutex_lock(&conn->box.lock);
    can = !conn->box.closed;
    pp_mutex_unlock(&conn->box.lock);
    return can;
}

/* All is sent, or nothing can be sent any more. Otherwise ask to be told. */
static bool nothing_left(pp_conn *conn)
{
    pp_outbox *box = &conn->box;
    bool done;

    pp_mutex_lock(&box->lock);
    done = box->closed || (!pp_outbox_waiting_locked(conn) && !box->sending);
    box->owner_waits = !done;
    pp_mutex_unlock(&box->lock);
    return done;
}

/* Has all been said, or as much as there will be time for? Layers speak from the top down, each
 * when what those above it had to say has gone. */
static bool is_parted(pp_conn *conn)
{
    while (nothing_left(conn)) {
        pp_layer *layer = conn->parting;

        if (!layer || !can_send(conn))
            return true;
        conn->parting = layer->below;
        if (layer->ops->goodbye) {
            layer->ops->goodbye(layer, conn->reason);
            pp_outbox_nudge(conn);
        }
    }
    return !conn->flush_on_close;
}

void pp_conn_finish_closing(pp_loop *loop)
{
    while (!pp_list_empty(&loop->closing)) {
        pp_conn *conn = PP_CONTAINER(loop->closing.next, pp_conn, link);

        pp_list_remove(&conn->link);
        if (is_parted(conn))
            finish(conn);
        else if (conn->write_timer.fire != on_close_deadline ||
                 conn->write_timer.place == PP_TIMER_IDLE)
            pp_timer_set(&loop->timers, &conn->write_timer,
                         loop->now_ns + pp_conn_write_deadline(conn), on_close_deadline);
    }
}

void pp_conn_abandon_closing(pp_loop *loop)
{
    for (size_t i = 0; i <= loop->conn_mask; i++) {
        for (pp_conn *conn = loop->conn_table[i], *next; conn; conn = next) {
            next = conn->next_in_table;
            if (conn->closing)
                finish(conn);
        }
    }
}

static void look_at_closing(pp_conn *conn)
{
    pp_list_remove(&conn->link);
    pp_list_append(&conn->loop->closing, &conn->link);
}

void pp_conn_hold(pp_conn *conn)
{
    pp_mutex_lock(&conn->box.lock);
    conn->box.posted++;
    pp_mutex_unlock(&conn->box.lock);
}

void pp_conn_unhold(pp_conn *conn)
{
    pp_mutex_lock(&conn->box.lock);
    conn->box.posted--;
    pp_mutex_unlock(&conn->box.lock);
}

/* --- layers ------------------------------------------------------------------------------- */

static void mark_ready(pp_conn *conn)
{
    pp_list_remove(&conn->link);
    pp_list_append(&conn->loop->ready, &conn->link);
}

static void read_again(pp_conn *conn)
{
    conn->readable = true;
    if (!conn->paused && !conn->closing)
        mark_ready(conn);
}

/* All that came before the layer has gone. */
static void enter_layer(pp_conn *conn)
{
    conn->layer = conn->next;
    conn->next = NULL;
    read_again(conn);
}

pipit_err pp_conn_push_layer(pp_conn *conn, pp_layer *layer, pp_str early)
{
    pipit_err err = pp_layer_set_early(layer, early);

    PP_ASSERT(!conn->next && !layer->conn);
    if (err)
        return err;
    layer->conn = conn;
    layer->below = conn->layer;
    conn->next = layer;
    pp_outlet_flush(&conn->own);
    if (nothing_left(conn))
        enter_layer(conn);
    else
        pp_conn_ask_sent(conn);
    return PIPIT_OK;
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
        read_again(conn);
}

static ssize_t receive_by_layers(pp_conn *conn, char *to, size_t len)
{
    ssize_t n = pp_layers_receive(conn->layer, to, len);
    int error = errno;

    after_receive(conn);
    errno = error;
    return conn->closing ? 0 : n;
}

/* --- slow consumers ----------------------------------------------------------------------- */

void pp_conn_close_slow(pp_conn *conn, pp_close_reason reason)
{
    if (conn->closing)
        return;
    pp_count(&conn->loop->counters->slow_consumers, !conn->door->aside);
    pp_conn_close(conn, reason, false);
}

bool pp_conn_set_policy(pp_conn *conn, pp_slow_policy policy)
{
    pp_outbox *box = &conn->box;

    if (policy != PP_SLOW_DISCONNECT && !conn->door->proto->frame)
        return false;
    pp_mutex_lock(&box->lock);
    box->policy = (uint8_t)policy;
    box->mark_ns = conn->loop->now_ns; /* its meaning changes */
    box->mark_bytes = box->pending_bytes;
    if (policy != PP_SLOW_DISCONNECT) {
        /* For good: with frames in the backlog nothing may be queued before them again. */
        atomic_store_explicit(&box->framed, true, memory_order_relaxed);
        pp_outbox_open_gate_locked(conn);
    }
    pp_mutex_unlock(&box->lock);
    return true;
}

bool pp_conn_may_miss(pp_conn *conn)
{
    bool may;

    pp_mutex_lock(&conn->box.lock);
    may = conn->box.policy != PP_SLOW_DISCONNECT;
    pp_mutex_unlock(&conn->box.lock);
    return may;
}

uint64_t pp_conn_dropped(pp_conn *conn)
{
    uint64_t dropped;

    pp_mutex_lock(&conn->box.lock);
    dropped = conn->box.backlog ? pp_backlog_dropped(conn->box.backlog) : 0;
    pp_mutex_unlock(&conn->box.lock);
    return dropped;
}

/* How long what waits may wait. Who misses messages instead of being closed must only be there: it
 * is closed when its socket has taken nothing at all for several times as long. */
static int64_t patience_ns_locked(const pp_conn *conn)
{
    int64_t ns = pp_conn_write_deadline(conn);

    if (conn->box.policy == PP_SLOW_DISCONNECT)
        return ns;
    return ns < INT64_MAX / 2 / DROPPING_PATIENCE ? ns * DROPPING_PATIENCE : INT64_MAX / 2;
}

static void on_write_watch(pp_timer *timer)
{
    pp_conn *conn = PP_CONTAINER(timer, pp_conn, write_timer);
    pp_outbox *box = &conn->box;
    int64_t due_ns;
    bool watching, late;

    pp_mutex_lock(&box->lock);
    watching = pp_outbox_waiting_locked(conn) != 0;
    box->watching = watching;
    due_ns = box->mark_ns + patience_ns_locked(conn);
    late = watching && due_ns <= conn->loop->now_ns;
    pp_mutex_unlock(&box->lock);
    if (late)
        pp_conn_close_slow(conn, PP_CLOSE_SLOW_DEADLINE);
    else if (watching)
        pp_timer_set(&conn->loop->timers, timer, due_ns, on_write_watch);
}

/* Has everything gone: what was staged here, queued, and in the hands of a sender? */
static bool take_sent(pp_conn *conn)
{
    pp_outbox *box = &conn->box;
    bool sent;

    if (!conn->asks_sent || conn->own.first)
        return false; /* the flush to come ends with a notice */
    pp_mutex_lock(&box->lock);
    sent = !pp_outbox_waiting_locked(conn) && !box->sending && !box->closed;
    box->owner_waits = !sent;
    pp_mutex_unlock(&box->lock);
    conn->asks_sent = !sent;
    return sent;
}

void pp_conn_ask_sent(pp_conn *conn)
{
    if (conn->closing)
        return;
    conn->asks_sent = true;
    pp_outbox_notify_sent(conn);
}

/* Output has gone: what waited for that goes on. */
static void on_progress(pp_conn *conn)
{
    if (conn->layer && pp_layers_take_waiting(conn->layer))
        read_again(conn);
    if (!take_sent(conn))
        return;
    if (conn->next)
        enter_layer(conn);
    else
        conn->door->proto->on_sent(conn->session);
}

/* Another loop, or the socket, has something to tell the owner. */
static void on_notice(pp_task *task)
{
    pp_conn *conn = PP_CONTAINER(task, pp_conn, notice);
    pp_outbox *box = &conn->box;
    pp_close_reason fault;
    bool watch;

    pp_mutex_lock(&box->lock);
    box->posted--;
    box->noticed = false;
    fault = (pp_close_reason)box->fault;
    watch = pp_outbox_waiting_locked(conn) && !box->watching && !box->closed && !conn->closing;
    box->watching |= watch;
    pp_mutex_unlock(&box->lock);
    if (conn->closed)
        return;
    if (conn->closing)
        look_at_closing(conn);
    else if (fault == PP_CLOSE_SLOW_PENDING)
        pp_conn_close_slow(conn, fault);
    else if (fault != PP_CLOSE_NONE)
        pp_conn_close(conn, fault, false);
    else if (watch)
        pp_timer_set(&conn->loop->timers, &conn->write_timer,
                     conn->loop->now_ns + pp_conn_write_deadline(conn), on_write_watch);
    else
        on_progress(conn);
}

/* --- pausing publishers ------------------------------------------------------------------- */

static void resume(pp_conn *conn)
{
    conn->paused = false;
    conn->waits_for = NULL;
    pp_list_remove(&conn->link);
    if (conn->readable)
        mark_ready(conn);
}

void pp_conn_pause(pp_conn *conn, const void *gate, int64_t ns)
{
    if (conn->paused || conn->closing)
        return;
    conn->paused = true;
    conn->waits_for = gate;
    conn->resume_ns = conn->loop->now_ns + ns;
    pp_list_remove(&conn->link);
    pp_list_append(&conn->loop->paused, &conn->link);
    pp_count(&conn->loop->counters->stalls, 1);
    conn->stalls++;
}

void pp_conn_pause_briefly(pp_conn *conn, const void *outlet)
{
    pp_link *link = conn->loop->paused.prev;

    if (conn->paused || conn->closing || !conn->readable)
        return;
    conn->paused = true;
    conn->waits_for = outlet;
    conn->resume_ns = conn->loop->now_ns + BRIEF_NS;
    pp_list_remove(&conn->link);
    while (link != &conn->loop->paused &&
           PP_CONTAINER(link, pp_conn, link)->resume_ns > conn->resume_ns)
        link = link->prev;
    pp_list_append(link->next, &conn->link);
}

void pp_conn_stop_reading(pp_conn *conn)
{
    conn->paused = true;
    pp_list_remove(&conn->link);
}

void pp_conn_start_reading(pp_conn *conn)
{
    if (!conn->closing)
        resume(conn);
}

void pp_conn_shut_write(pp_conn *conn)
{
    if (conn->closing)
        return;
    for (pp_layer *layer = conn->layer; layer; layer = layer->below) {
        if (layer->ops->goodbye)
            layer->ops->goodbye(layer, PP_CLOSE_NONE);
        pp_outbox_nudge(conn);
    }
    if (!conn->closing)
        (void)shutdown(conn->source.fd, SHUT_WR); /* fails if the peer has gone: reading tells */
}

void pp_conn_resume_due(pp_loop *loop)
{
    while (!pp_list_empty(&loop->paused)) {
        pp_conn *conn = PP_CONTAINER(loop->paused.next, pp_conn, link);

        if (conn->resume_ns > loop->now_ns)
            break;
        if (PP_UNLIKELY(loop->pressed) && (conn->waits_for || loop->late.conn_id)) {
            /* What it waits for has not come; as long as memory is short it waits on. */
            conn->resume_ns = loop->now_ns + STALL_NS;
            pp_list_remove(&conn->link);
            pp_list_append(&loop->paused, &conn->link);
            continue;
        }
        resume(conn);
    }
}

void pp_conn_resume_for(pp_loop *loop, const void *gate)
{
    for (pp_link *link = loop->paused.next, *next; link != &loop->paused; link = next) {
        pp_conn *conn = PP_CONTAINER(link, pp_conn, link);

        next = link->next;
        if (conn->waits_for == gate)
            resume(conn);
    }
    for (pp_link *link = loop->waiters.next, *next; link != &loop->waiters; link = next) {
        pp_waiter *waiter = PP_CONTAINER(link, pp_waiter, link);

        next = link->next;
        if (waiter->waits_for == gate) {
            pp_list_remove(link);
            waiter->resume(waiter);
        }
    }
}

static void on_ungate(pp_task *task)
{
    pp_outlet *outlet = PP_CONTAINER(task, pp_outlet, ungate);

    pp_mutex_lock(&outlet->conn->box.lock);
    outlet->ungate_posted = false;
    outlet->gated = outlet->gate == PP_GATE_LAGS; /* it may lag again already */
    pp_mutex_unlock(&outlet->conn->box.lock);
    if (!outlet->gated)
        pp_conn_resume_for(outlet->loop, outlet);
    pp_conn_unhold(outlet->conn);
}

/* --- reading ------------------------------------------------------------------------------ */

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
            pp_conn_pause(conn, NULL, STALL_NS);
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
        pp_conn_pause(conn, loop->gate, STALL_NS);
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
        mark_ready(conn);
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

static ssize_t receive(pp_conn *conn, char *to, size_t len)
{
    return PP_LIKELY(!conn->layer) ? pp_socket_receive(conn, to, len)
                                   : receive_by_layers(conn, to, len);
}

/* Nothing more came: wait, or end. */
static void on_no_input(pp_conn *conn, ssize_t n)
{
    pp_close_reason reason = n == 0 ? PP_CLOSE_CLIENT : PP_CLOSE_READ_ERROR;

    if (n < 0 && errno == EAGAIN) {
        /* A layer may have taken what there was for itself, and the end be next. */
        conn->readable = conn->layer && (conn->hung_up || pp_layers_more(conn->layer)) &&
                         !pp_layers_waiting(conn->layer);
        if (conn->readable && !conn->paused && !conn->closing)
            mark_ready(conn);
        return;
    }
    if (conn->layer)
        reason = (pp_close_reason)pp_layers_reason(conn->layer, (uint8_t)reason);
    pp_conn_close(conn, reason, reason == PP_CLOSE_CLIENT && conn->door->proto->hears_end);
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
        not_late(conn);
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
        pp_conn_pause(conn, &conn->own, STALL_NS);
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

static void on_conn_event(pp_source *source, uint32_t events)
{
    pp_conn *conn = PP_CONTAINER(source, pp_conn, source);

    if (conn->closed)
        return;
    if (events & EPOLLOUT)
        pp_outbox_on_writable(conn);
    if (conn->closing) {
        look_at_closing(conn);
        return;
    }
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        conn->hung_up = true;
    if (events & ~(uint32_t)EPOLLOUT)
        pp_conn_read(conn);
}

/* --- opening ------------------------------------------------------------------------------ */

static void outlet_init(pp_outlet *outlet, pp_conn *conn, pp_loop *loop)
{
    outlet->conn = conn;
    outlet->loop = loop;
    outlet->ungate.run = on_ungate;
}

pp_outlet *pp_conn_outlet(pp_conn *conn, pp_loop *loop)
{
    pp_outbox *box = &conn->box;
    pp_outlet *outlet;

    if (conn->loop == loop)
        return conn->closing ? NULL : &conn->own;
    pp_mutex_lock(&box->lock);
    for (outlet = box->outlets; outlet && outlet->loop != loop; outlet = outlet->next_of_conn)
        ;
    if (box->closed) {
        outlet = NULL;
    } else if (!outlet) {
        outlet = pp_calloc(1, sizeof(*outlet));
        if (outlet) {
            outlet_init(outlet, conn, loop);
            outlet->next_of_conn = box->outlets;
            box->outlets = outlet;
        }
    }
    pp_mutex_unlock(&box->lock);
    return outlet;
}

bool pp_conn_is_closing(pp_conn *conn, const pp_loop *loop)
{
    bool closed;

    if (conn->loop == loop)
        return conn->closing;
    pp_mutex_lock(&conn->box.lock);
    closed = conn->box.closed;
    pp_mutex_unlock(&conn->box.lock);
    return closed;
}

void pp_conn_set_timer(pp_conn *conn, int64_t due_ns)
{
    if (!conn->closing)
        pp_timer_set(&conn->loop->timers, &conn->timer, due_ns, conn->timer.fire);
}

static void on_door_timer(pp_timer *timer)
{
    pp_conn *conn = PP_CONTAINER(timer, pp_conn, timer);

    conn->door->proto->on_timer(conn->session);
}

bool pp_conn_peer_ids(const pp_conn *conn, uid_t *out_uid, gid_t *out_gid)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (!conn->local || getsockopt(conn->source.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 ||
        len != sizeof(peer) || peer.pid == 0)
        return false;
    *out_uid = peer.uid;
    *out_gid = peer.gid;
    return true;
}

void pp_conn_set_peer(pp_conn *conn, const struct sockaddr *addr)
{
    conn->addr_family = (uint8_t)addr->sa_family;
    if (addr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)addr;

        memcpy(conn->peer_addr, &in->sin_addr, 4);
        conn->peer_port = ntohs(in->sin_port);
    } else if (addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)addr;

        conn->peer_port = ntohs(in6->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            conn->addr_family = AF_INET;
            memcpy(conn->peer_addr, in6->sin6_addr.s6_addr + 12, 4);
        } else {
            memcpy(conn->peer_addr, &in6->sin6_addr, 16);
        }
    }
}

void pp_conn_address_text(uint8_t family, const uint8_t address[16], char out[48])
{
    if (family == AF_UNIX || !inet_ntop(family, address, out, 48))
        (void)snprintf(out, 48, "unix");
}

void pp_conn_peer_text(const pp_conn *conn, char out[48])
{
    pp_conn_address_text(conn->addr_family, conn->peer_addr, out);
}

pipit_err pp_conn_open(pp_loop *loop, int fd, uint64_t id, const pp_door *door, pp_conn **out_conn)
{
    struct sockaddr_storage peer = {0};
    socklen_t peer_len = sizeof(peer);
    pp_conn *conn = NULL;
    pipit_err err = PIPIT_ENOMEM;

    /* Two timers each; so that setting them cannot fail. */
    if (pp_timers_reserve(&loop->timers, 2 * (loop->conn_count + 1) + 16))
        goto out;
    conn = pp_calloc(1, sizeof(*conn) + door->proto->session_bytes);
    if (!conn)
        goto out;
    conn->source = (pp_source){.fd = fd, .on_event = on_conn_event};
    conn->loop = loop;
    conn->door = door;
    conn->id = id;
    conn->timer.fire = on_door_timer;
    conn->notice.run = on_notice;
    pp_list_init(&conn->link);
    outlet_init(&conn->own, conn, loop);
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0)
        pp_conn_set_peer(conn, (struct sockaddr *)&peer);
    conn->local = conn->addr_family == AF_UNIX;
    (void)pp_conn_set_policy(conn,
                             atomic_load_explicit(&door->limits.slow_policy, memory_order_relaxed));
    table_add(loop, conn);
    pp_count(&loop->counters->connections_opened, !door->aside);
    err = door->proto->open(conn->session, conn);
    if (!err && door->wrap && !conn->closing)
        err = door->wrap(door, conn);
    if (!err)
        err = pp_loop_watch(loop, &conn->source);
    if (err) {
        pp_conn_close(conn, PP_CLOSE_NO_MEMORY, false); /* frees it, and fd, after the turn */
        return err;
    }
    *out_conn = conn;
    return PIPIT_OK;
out:
    (void)close(fd);
    pp_count(&loop->counters->connections_opened, !door->aside); /* who gave it away counts it */
    pp_count(&loop->counters->connections_closed, !door->aside);
    return err;
}
