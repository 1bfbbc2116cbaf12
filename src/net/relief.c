#include "net/relief.h"

#include "base/clock.h"
#include "net/slow.h"

#include <string.h>

enum { SLOTS_PER_SLICE = 2048 };

/* How long an unfinished operation may stand still, while memory is short; how long it may last. */
static const int64_t still_ns = 250 * PP_NS_PER_MS;
static const int64_t unfinished_ns = 5 * PP_NS_PER_S;

static size_t waiting_bytes(pp_conn *conn)
{
    pp_outbox *box = &conn->box;
    size_t bytes;

    pp_mutex_lock(&box->lock);
    bytes = box->closed ? 0 : pp_outbox_waiting_locked(conn);
    /* What cannot be had back by dropping is not worth looking for. */
    if (bytes && box->policy != PP_SLOW_DISCONNECT && box->backlog)
        bytes = pp_backlog_cost(box->backlog);
    pp_mutex_unlock(&box->lock);
    return bytes;
}

/* --- the survey --------------------------------------------------------------------------- */

static const pp_holder *seen_before(const pp_relief *r, uint64_t conn_id)
{
    for (size_t i = 0; i < r->before_count; i++) {
        if (r->before[i].conn_id == conn_id)
            return &r->before[i];
    }
    return NULL;
}

static void note(pp_relief *r, const pp_holder *holder)
{
    size_t at = r->count;

    while (at > 0 && r->worst[at - 1].bytes < holder->bytes)
        at--;
    if (at == PP_RELIEF_HOLDERS)
        return;
    if (r->count < PP_RELIEF_HOLDERS)
        r->count++;
    memmove(&r->worst[at + 1], &r->worst[at], (r->count - at - 1) * sizeof(r->worst[0]));
    r->worst[at] = *holder;
}

/* Of an unfinished operation: how much has come, and how much memory that takes. */
static size_t begun_bytes(const pp_conn *conn, size_t *out_got)
{
    *out_got = conn->body ? conn->got : conn->kept;
    return conn->body ? conn->body->len : conn->kept;
}

static void look_at(pp_relief *r, pp_conn *conn, int64_t now_ns)
{
    pp_holder holder = {.conn_id = conn->id, .bytes = waiting_bytes(conn), .since_ns = now_ns};
    const pp_holder *before = seen_before(r, conn->id);

    if (holder.bytes < PP_RELIEF_MIN_BYTES && !conn->paused)
        holder.bytes = begun_bytes(conn, &holder.got);
    if (holder.bytes < PP_RELIEF_MIN_BYTES)
        return;
    r->total += holder.bytes;
    if (before && (!before->got == !holder.got))
        holder.since_ns = before->since_ns;
    note(r, &holder);
}

void pp_relief_begin(pp_relief *r)
{
    memcpy(r->before, r->worst, r->count * sizeof(r->worst[0]));
    r->before_count = r->count;
    r->count = r->total = 0;
    r->slot = 0;
}

bool pp_relief_survey(pp_relief *r, pp_loop *loop)
{
    for (size_t i = 0; i < SLOTS_PER_SLICE && r->slot <= loop->conn_mask; i++, r->slot++) {
        for (pp_conn *conn = loop->conn_table[r->slot]; conn; conn = conn->next_in_table) {
            if (!conn->closing)
                look_at(r, conn, loop->now_ns);
        }
    }
    return r->slot <= loop->conn_mask;
}

/* --- the end ------------------------------------------------------------------------------ */

/* Output waits long enough as it is; an operation has a while to be finished. */
static bool is_over(const pp_relief *r, const pp_holder *holder, int64_t now_ns)
{
    const pp_holder *before = seen_before(r, holder->conn_id);
    int64_t age_ns = now_ns - holder->since_ns;

    if (!holder->got)
        return true;
    return age_ns > unfinished_ns || (age_ns > still_ns && before && before->got == holder->got);
}

size_t pp_relief_worst(const pp_relief *r, int64_t now_ns)
{
    for (size_t i = 0; i < r->count; i++) {
        if (is_over(r, &r->worst[i], now_ns))
            return r->worst[i].bytes;
    }
    return 0;
}

/* It may have changed since it was looked at; returns what it gives back. */
static size_t end_holder(const pp_holder *holder, pp_conn *conn)
{
    size_t bytes;

    if (holder->got) {
        size_t got;

        bytes = begun_bytes(conn, &got);
        if (got != holder->got)
            return 0;
        pp_count(&conn->loop->counters->memory_closed, 1);
        pp_conn_close(conn, PP_CLOSE_MEMORY, false);
        return bytes;
    }
    bytes = waiting_bytes(conn);
    if (bytes < holder->bytes / 2)
        return 0; /* it was about to be taken */
    if (pp_conn_may_miss(conn)) {
        pp_slow_shed(conn);
        return bytes;
    }
    pp_count(&conn->loop->counters->memory_closed, 1);
    pp_conn_close_slow(conn, PP_CLOSE_SLOW_PENDING);
    return bytes;
}

size_t pp_relief_close(pp_relief *r, pp_loop *loop, size_t floor_bytes, size_t need)
{
    size_t freed = 0;

    for (size_t i = 0; i < r->count && freed < need && r->worst[i].bytes >= floor_bytes; i++) {
        const pp_holder *holder = &r->worst[i];
        pp_conn *conn = pp_conn_find(loop, holder->conn_id);

        if (conn && is_over(r, holder, loop->now_ns))
            freed += end_holder(holder, conn);
    }
    return freed;
}
