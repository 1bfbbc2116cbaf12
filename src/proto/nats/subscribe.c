/* SUB and UNSUB, and what the core asks of a subscriber. */
#include "base/alloc.h"
#include "core/subject.h"
#include "proto/nats/quote.h"
#include "proto/nats/session.h"
#include "proto/nats/writer.h"

#include <string.h>

enum {
    SUB_BYTES = 128, /* about, with what the index holds for it */
    PATTERN_KEPT = 512,
};

static void free_sub(pp_retired *retired)
{
    pp_sub_free(PP_CONTAINER(retired, pp_sub, retired));
}

/* It has had the last message that its limit allows. */
static bool exhausted(const pp_sub *sub)
{
    return atomic_load(&sub->remaining) == 0;
}

/* Other loops may be delivering to it; they are waited for. */
static void end_quietly(pp_nats_session *s, pp_sub *sub)
{
    pp_loop *loop = s->conn->loop;

    if (atomic_exchange(&sub->remaining, PP_SUB_ENDED) == 0)
        (void)atomic_fetch_sub(&s->exhausted, 1);
    pp_nats_sids_remove(&s->sids, sub);
    pp_account_unsubscribe(pp_nats_account(s), sub);
    pp_reclaim_retire(&loop->reclaimer, &sub->retired, free_sub);
    pp_count(&loop->counters->subs_removed, 1);
    pp_count(&pp_nats_account(s)->counters[loop->index].subs_removed, 1);
    pp_loop_note_litter(loop, SUB_BYTES);
}

size_t pp_nats_end_sub(pp_nats_session *s, pp_sub *sub)
{
    char kept[PATTERN_KEPT];
    pp_str pattern = {NULL, 0}; /* empty: it may have been any */

    if (PP_LIKELY(!atomic_load_explicit(&s->client.responses, memory_order_relaxed))) {
        end_quietly(s, sub);
        return 0;
    }
    if (pp_sublist_pattern(sub).len <= sizeof(kept)) {
        pattern = (pp_str){kept, pp_sublist_pattern(sub).len};
        memcpy(kept, pp_sublist_pattern(sub).ptr, pattern.len);
    }
    end_quietly(s, sub);
    return pp_responses_unheard(s->context->router, &s->client, pattern);
}

bool pp_nats_end_subs(pp_nats_session *s, uint32_t count)
{
    while (count-- && s->sids.count)
        end_quietly(s, pp_nats_sids_any(&s->sids, &s->let_go_at));
    if (s->sids.count)
        return false;
    pp_responses_forget_client(s->context->router, &s->client);
    return true;
}

static void refuse_sub(pp_nats_session *s, const pp_nats_op *op, const char *why)
{
    char subject[PP_NATS_QUOTE_MAX], queue[PP_NATS_QUOTE_MAX];

    pp_nats_quote(op->msg.subject, subject, sizeof(subject));
    if (op->queue.len && !*why) {
        pp_nats_quote(op->queue, queue, sizeof(queue));
        pp_nats_error(s, "Permissions Violation for Subscription to %s using queue %s", subject,
                      queue);
    } else {
        pp_nats_error(s, "Permissions Violation for Subscription to %s%s", subject, why);
    }
}

/* The subscription of a sid. One that is exhausted ends here: its end is on the way, but the
 * client has counted too. */
static pp_sub *find_live(pp_nats_session *s, pp_str sid)
{
    pp_sub *sub = pp_nats_sids_find(&s->sids, sid);

    if (sub && exhausted(sub)) {
        (void)pp_nats_end_sub(s, sub);
        sub = NULL;
    }
    return sub;
}

static bool at_limit(pp_nats_session *s)
{
    int64_t max = s->context->settings->max_subscriptions;
    int64_t accounts =
        atomic_load_explicit(&pp_nats_account(s)->max_subscriptions, memory_order_relaxed);
    int64_t users = pp_nats_user(s)->max_subscriptions;

    if (accounts != PP_ACCOUNT_UNLIMITED && (!max || accounts < max))
        max = accounts ? accounts : -1;
    if (users != PP_USER_UNLIMITED && (!max || users < max))
        max = users ? users : -1;
    return max && (int64_t)s->sids.count - atomic_load(&s->exhausted) >= (int64_t)max;
}

/* Source: NATS client protocol, section 6: the order of checks. */
void pp_nats_on_sub(pp_nats_session *s, const pp_nats_op *op)
{
    const pp_nats_settings *settings = s->context->settings;
    const pp_permissions *permissions = pp_nats_user(s)->scope.permissions;
    pp_sub *sub = find_live(s, op->sid);
    pipit_err err = PIPIT_ENOMEM;

    if (pp_str_eq(op->queue, PP_STR("_sys_"))) {
        refuse_sub(s, op, "");
        return;
    }
    if (settings->max_subscription_tokens &&
        pp_subject_token_count(op->msg.subject) > settings->max_subscription_tokens) {
        refuse_sub(s, op, ", too many tokens");
        return;
    }
    s->context->router->in_vain += pp_permissions_subscribe_cost(permissions);
    if (!pp_permissions_may_subscribe(permissions, op->msg.subject, op->queue)) {
        refuse_sub(s, op, "");
        return;
    }
    if (at_limit(s)) {
        pp_nats_error(s, "maximum subscriptions exceeded");
        return;
    }
    if (sub) {
        pp_nats_ok(s);
        return;
    }
    if (PP_UNLIKELY(s->conn->loop->pressed)) {
        /* In words that clients know not to be the end of the connection. */
        pp_count(&s->conn->loop->counters->memory_refusals, 1);
        pp_nats_error(s, "maximum subscriptions exceeded");
        return;
    }
    sub = pp_sub_new(&s->client, op->sid, op->queue);
    if (sub)
        err = pp_nats_sids_add(&s->sids, sub);
    if (!err) {
        err = pp_account_subscribe(pp_nats_account(s), sub, op->msg.subject);
        if (err)
            pp_nats_sids_remove(&s->sids, sub);
    }
    if (!err) {
        pp_count(&s->conn->loop->counters->subs_inserted, 1);
        pp_count(&pp_nats_account(s)->counters[s->conn->loop->index].subs_inserted, 1);
        pp_nats_ok(s);
        return;
    }
    pp_sub_free(sub);
    if (err == PIPIT_EINVAL)
        pp_nats_error(s, "Invalid Subject");
    else
        pp_nats_refuse(s, PP_CLOSE_NO_MEMORY, NULL); /* it would wait for messages in vain */
}

/* Let it end after so many messages in all. False: it has had them, or ends already. Loops that
 * have the old route may deliver a message more while this is told to them; clients count for
 * themselves. */
static bool limit(pp_nats_session *s, pp_sub *sub, uint64_t max)
{
    uint64_t delivered = pp_sub_delivered(sub);
    int32_t left = atomic_load(&sub->remaining);

    if (max <= delivered)
        return false;
    do {
        if (left == 0)
            return false;
    } while (!atomic_compare_exchange_weak(&sub->remaining, &left, (int32_t)(max - delivered)));
    pp_account_touch(pp_nats_account(s), sub);
    return true;
}

size_t pp_nats_on_unsub(pp_nats_session *s, const pp_nats_op *op)
{
    pp_sub *sub = find_live(s, op->sid);
    size_t looked_at = 0;

    if (sub) {
        if (!limit(s, sub, op->max))
            looked_at = pp_nats_end_sub(s, sub);
        s->unsubscribed = true;
    }
    pp_nats_ok(s);
    return looked_at;
}

/* --- what the core asks ------------------------------------------------------------------- */

static pp_nats_session *session_of(const pp_client *client)
{
    return PP_CONTAINER(client, pp_nats_session, client);
}

static void *client_outlet(pp_client *client, uint32_t router_index)
{
    pp_nats_session *s = session_of(client);

    return pp_conn_outlet(s->conn, s->context->loops[router_index]);
}

static bool client_closing(pp_client *client, uint32_t router_index)
{
    pp_nats_session *s = session_of(client);

    return pp_conn_is_closing(s->conn, s->context->loops[router_index]);
}

/* A recipient that lags: make the publisher wait after what it has sent, or drop this copy. */
static bool pass_gate(struct pp_outlet *outlet)
{
    const pp_nats_context *context = outlet->loop->context;
    pp_loop *loop = outlet->loop;

    if (outlet->gated_pressed && !pp_outlet_lags(outlet))
        return true;
    if (context->settings->no_stall) {
        pp_count(&loop->counters->stall_drops, 1);
        return false;
    }
    loop->gate = outlet;
    if (loop->pressed)
        loop->staged_bytes += PP_STAGED_MAX; /* this message is the publisher's last for now */
    return true;
}

static bool client_deliver(void *way, const pp_sub *sub, pp_str head, const pp_msg *msg)
{
    pp_outlet *outlet = way;
    bool headers = true;

    if (PP_UNLIKELY(outlet->gated) && !pass_gate(outlet))
        return false;
    if (msg->header_len)
        headers = atomic_load_explicit(&session_of(sub->client)->headers, memory_order_relaxed);
    return pp_nats_write_msg(outlet, head, msg, headers);
}

static __attribute__((noinline)) bool grant_and_deliver(void *way, const pp_sub *sub, pp_str head,
                                                        const pp_msg *msg)
{
    const pp_outlet *outlet = way;

    /* First, for the client may answer before this turn is over. */
    pp_nats_grant_answer(session_of(sub->client), sub, msg->reply, outlet->loop);
    return client_deliver(way, sub, head, msg);
}

static bool client_deliver_granting(void *way, const pp_sub *sub, pp_str head, const pp_msg *msg)
{
    return PP_UNLIKELY(msg->reply.len) ? grant_and_deliver(way, sub, head, msg)
                                       : client_deliver(way, sub, head, msg);
}

/* A subscription's last delivery was made on some loop; its own loop takes it out. */
struct end_task {
    pp_task task;
    pp_loop *loop;
    uint64_t conn_id;
    size_t sid_len;
    char sid[];
};

static void run_end(pp_task *task)
{
    struct end_task *end = PP_CONTAINER(task, struct end_task, task);
    pp_conn *conn = pp_conn_find(end->loop, end->conn_id);

    if (conn && conn->door->proto == &pp_nats_proto) {
        pp_nats_session *s = (pp_nats_session *)conn->session;
        pp_sub *sub = pp_nats_sids_find(&s->sids, (pp_str){end->sid, end->sid_len});

        if (sub && exhausted(sub))
            (void)pp_nats_end_sub(s, sub);
    }
    pp_free(end);
}

static void client_exhausted(pp_sub *sub, uint32_t router_index)
{
    pp_nats_session *s = session_of(sub->client);
    struct end_task *end;

    (void)atomic_fetch_add(&s->exhausted, 1);
    if (s->conn->loop->index == router_index) {
        (void)pp_nats_end_sub(s, sub);
        return;
    }
    end = pp_alloc(sizeof(*end) + sub->sid_len);
    if (!end)
        return; /* it delivers nothing any more, and ends with its sid or its connection */
    end->task.run = run_end;
    end->loop = s->conn->loop;
    end->conn_id = s->conn->id;
    end->sid_len = sub->sid_len;
    memcpy(end->sid, sub->text, sub->sid_len);
    pp_loop_post(end->loop, &end->task);
}

const struct pp_client_ops pp_nats_client_ops = {
    .outlet = client_outlet,
    .closing = client_closing,
    .head = pp_nats_head,
    .deliver = client_deliver,
    .deliver_granting = client_deliver_granting,
    .exhausted = client_exhausted,
    .identify = pp_nats_identify,
};
