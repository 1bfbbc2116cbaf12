#include "net/conn_inside.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"

#include <sys/socket.h>
#include <unistd.h>

const char *pp_close_reason_text(pp_close_reason reason)
{
    static const char *const texts[] = {
#define PP_CLOSE_TEXT(name, text) text,
        PP_CLOSE_REASONS(PP_CLOSE_TEXT)
#undef PP_CLOSE_TEXT
    };

    return texts[reason];
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
    pp_conn_table_remove(loop, conn);
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
    pp_conn_not_late(conn);
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

bool pp_conn_nothing_left(pp_conn *conn)
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
    while (pp_conn_nothing_left(conn)) {
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

void pp_conn_look_at_closing(pp_conn *conn)
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

void pp_conn_enter_layer(pp_conn *conn)
{
    conn->layer = conn->next;
    conn->next = NULL;
    pp_conn_read_again(conn);
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
    if (pp_conn_nothing_left(conn))
        pp_conn_enter_layer(conn);
    else
        pp_conn_ask_sent(conn);
    return PIPIT_OK;
}

/* --- opening ------------------------------------------------------------------------------ */

static void outlet_init(pp_outlet *outlet, pp_conn *conn, pp_loop *loop)
{
    outlet->conn = conn;
    outlet->loop = loop;
    outlet->ungate.run = pp_conn_on_ungate;
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
    conn->source = (pp_source){.fd = fd, .on_event = pp_conn_on_event};
    conn->loop = loop;
    conn->door = door;
    conn->id = id;
    conn->timer.fire = on_door_timer;
    conn->notice.run = pp_conn_on_notice;
    pp_list_init(&conn->link);
    outlet_init(&conn->own, conn, loop);
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0)
        pp_conn_set_peer(conn, (struct sockaddr *)&peer);
    conn->local = conn->addr_family == AF_UNIX;
    (void)pp_conn_set_policy(conn,
                             atomic_load_explicit(&door->limits.slow_policy, memory_order_relaxed));
    pp_conn_table_add(loop, conn);
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
