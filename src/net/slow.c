#include "net/slow.h"

#include "base/assert.h"

/* Where the next frame begins in what was staged. */
struct cutter {
    const pp_outlet *outlet;
    const struct iovec *iov;
    size_t count;
    size_t piece, at; /* at: into that piece */
    uint32_t ref;     /* references before this one were passed */
};

/* The body that a piece lies in, or a copy of it lies in that recipients share; NULL: in none.
 * Moves *at to where it stands there. */
static pp_body *body_of(struct cutter *c, const struct iovec *piece, const char **at)
{
    for (uint32_t i = c->ref; i < c->outlet->ref_count; i++) {
        const pp_outlet_ref *ref = &c->outlet->refs[i];
        pp_body *body = ref->body;

        if (ref->ptr != piece->iov_base)
            continue;
        c->ref = i + 1;
        if (!body && (body = pp_outlet_share(c->outlet->loop, ref->ptr, ref->len)))
            *at = body->bytes;
        return body;
    }
    return NULL;
}

/* The next frame: all of it in one piece, or its line in one and the rest in the next. Doors stage
 * frames so, and flush between frames only. */
static bool cut(struct cutter *c, pp_frame_parts *out)
{
    const struct iovec *piece = &c->iov[c->piece], *next;
    pp_str bytes = {(const char *)piece->iov_base + c->at, piece->iov_len - c->at};
    pp_frame_form form;

    if (!c->outlet->conn->door->proto->frame(bytes, &form))
        return false;
    *out = (pp_frame_parts){.head = bytes, .key = form.key, .message = form.message};
    if (form.len <= bytes.len) {
        out->head.len = form.len;
        c->at += form.len;
    } else {
        next = piece + 1;
        if (c->piece + 1 == c->count || next->iov_len < form.len - bytes.len)
            return false;
        out->tail = (pp_str){next->iov_base, form.len - bytes.len};
        out->body = body_of(c, next, &out->tail.ptr);
        c->piece++;
        c->at = out->tail.len;
    }
    if (c->at == c->iov[c->piece].iov_len) {
        c->piece++;
        c->at = 0;
    }
    return true;
}

/* Take away what was sent of it. False: all was. */
static bool trim(pp_frame_parts *parts, size_t *skip)
{
    size_t of_head = *skip < parts->head.len ? *skip : parts->head.len;
    size_t of_tail = *skip - of_head < parts->tail.len ? *skip - of_head : parts->tail.len;

    parts->begun = of_head > 0;
    parts->head.ptr += of_head;
    parts->head.len -= of_head;
    if (of_tail) {
        parts->tail.ptr += of_tail;
        parts->tail.len -= of_tail;
    }
    *skip -= of_head + of_tail;
    return parts->head.len + parts->tail.len > 0;
}

/* Memory that messages may take. That none is added is not enough when it is short: bodies that
 * were shared may give way to copies. */
static size_t message_max(const pp_outlet *outlet)
{
    size_t max = pp_conn_pending_max(outlet->conn);

    return outlet->loop->pressed && max > PP_SLOW_PRESSED_BYTES ? PP_SLOW_PRESSED_BYTES : max;
}

/* Bring the outbox's count of bytes, and the loop's counters, up to date with the backlog. */
static void settle_counts_locked(pp_conn *conn, pp_loop *loop, size_t bytes_before)
{
    pp_backlog_drops drops = pp_backlog_take_drops(conn->box.backlog);

    conn->box.pending_bytes += pp_backlog_bytes(conn->box.backlog) - bytes_before;
    pp_count(&loop->counters->drops_new, drops.newest);
    pp_count(&loop->counters->drops_old, drops.oldest);
    pp_count(&loop->counters->conflated, drops.conflated);
}

static pipit_err keep_all(pp_outlet *outlet, struct cutter *c, size_t skip)
{
    pp_conn *conn = outlet->conn;
    pp_backlog *backlog = conn->box.backlog;
    pp_slow_policy policy = conn->box.policy;
    pipit_err err = PIPIT_OK;
    pp_frame_parts parts;

    while (c->piece < c->count && !err) {
        if (!cut(c, &parts))
            return PIPIT_EPROTO;
        if (trim(&parts, &skip))
            err = pp_backlog_add(backlog, &parts, policy, pp_conn_pending_max(conn),
                                 message_max(outlet));
    }
    return err;
}

pipit_err pp_slow_keep_locked(pp_outlet *outlet, const struct iovec *iov, size_t count, size_t skip,
                              bool mine)
{
    pp_conn *conn = outlet->conn;
    pp_outbox *box = &conn->box;
    struct cutter cutter = {.outlet = outlet, .iov = iov, .count = count};
    pipit_err err;
    size_t before;
    pp_link later;

    if (!box->backlog)
        box->backlog = pp_backlog_new();
    if (!box->backlog)
        return PIPIT_ENOMEM;
    before = pp_backlog_bytes(box->backlog);
    pp_list_init(&later);
    if (mine)
        pp_backlog_set_aside(box->backlog, &later);
    err = keep_all(outlet, &cutter, skip);
    if (mine) {
        pipit_err later_err = pp_backlog_put_back(box->backlog, &later, box->policy,
                                                  pp_conn_pending_max(conn), message_max(outlet));

        err = err ? err : later_err;
    }
    settle_counts_locked(conn, outlet->loop, before);
    return err;
}

void pp_slow_sent_locked(pp_conn *conn, pp_loop *loop, size_t bytes)
{
    size_t before = pp_backlog_bytes(conn->box.backlog);

    pp_backlog_sent(conn->box.backlog, bytes, conn->box.policy);
    settle_counts_locked(conn, loop, before);
}

void pp_slow_shed(pp_conn *conn)
{
    pp_outbox *box = &conn->box;
    size_t before;

    pp_mutex_lock(&box->lock);
    if (box->backlog) {
        before = pp_backlog_bytes(box->backlog);
        pp_backlog_shed(box->backlog);
        settle_counts_locked(conn, conn->loop, before);
    }
    pp_mutex_unlock(&box->lock);
}
