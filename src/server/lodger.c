/* Clients over memory: what they publish goes from their own thread into the lanes of those that
 * hear it, and to everybody else by an inlet.
 *
 * A lodger remembers for each subject who hears it, by the generations of the index, as loops do
 * with routes. Of the subscriptions
 *
 *   - plain ones of lodgers get the message at once, in the lane from this lodger to theirs;
 *   - all others, and those in queue groups, get it from a loop, which finds it in the inlet marked
 *     as done with the first kind.
 *
 * So each subscription gets all messages of one publisher by one way, and in order. With mappings
 * or imports, where only a loop can say who is to have a message, all of it goes by the inlet. When
 * a reload changes that, a recipient first takes what has come to it by the one way, before the
 * lodger uses the other (`way` of its passage). Who still gets them by the inlet then is named to
 * the loop (`due`), so that it holds nobody up who hears the same subject.
 *
 * Loops deliver to a lodger by lanes of their own (`ways`). */
#include "server/lodger_inside.h"

#include "base/alloc.h"
#include "core/claim.h"

#include <string.h>

struct pp_host_sub {
    pp_lodger *lodger;
    pp_sub *sub;
    pp_task retire;
};

/* --- lodging ------------------------------------------------------------------------------ */

void pp_lodging_init(pp_lodging *lodging)
{
    (void)pthread_mutex_init(&lodging->lock, NULL);
    (void)pthread_mutex_init(&lodging->reading, NULL);
    pp_list_init(&lodging->lodgers);
}

void pp_lodging_fini(pp_lodging *lodging)
{
    (void)pthread_mutex_destroy(&lodging->lock);
    (void)pthread_mutex_destroy(&lodging->reading);
}

void pp_lodging_end(pp_lodging *lodging)
{
    (void)pthread_mutex_lock(&lodging->lock);
    for (pp_link *at = lodging->lodgers.next; at != &lodging->lodgers; at = at->next) {
        pp_lodger *lodger = PP_CONTAINER(at, pp_lodger, link);

        lodger->on_end(lodger->context);
    }
    (void)pthread_mutex_unlock(&lodging->lock);
}

static uint64_t get(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit((atomic_uint_fast64_t *)counter, memory_order_relaxed);
}

void pp_lodging_count(pp_lodging *lodging, pipit_server_stats *stats)
{
    (void)pthread_mutex_lock(&lodging->lock);
    stats->in_msgs += lodging->gone_in_msgs;
    stats->in_bytes += lodging->gone_in_bytes;
    stats->out_msgs += lodging->gone_out_msgs;
    stats->out_bytes += lodging->gone_out_bytes;
    for (pp_link *at = lodging->lodgers.next; at != &lodging->lodgers; at = at->next) {
        const pp_lodger *lodger = PP_CONTAINER(at, pp_lodger, link);

        stats->in_msgs += get(&lodger->in_msgs);
        stats->in_bytes += get(&lodger->in_bytes);
        stats->out_msgs += get(&lodger->out_msgs);
        stats->out_bytes += get(&lodger->out_bytes);
    }
    (void)pthread_mutex_unlock(&lodging->lock);
}

void pp_lodger_count(const pp_lodger *lodger, uint64_t *out_msgs, uint64_t *out_bytes)
{
    *out_msgs = get(&lodger->in_msgs) + get(&lodger->put_msgs);
    *out_bytes = get(&lodger->in_bytes) + get(&lodger->put_bytes);
}

/* --- what loops deliver ------------------------------------------------------------------- */

static void *way_of(pp_client *client, uint32_t router_index)
{
    pp_lodger *lodger = PP_CONTAINER(client, pp_lodger, client);
    struct pp_way *way = &lodger->ways[router_index];

    if (!atomic_load_explicit(&way->lane, memory_order_relaxed))
        atomic_store_explicit(&way->lane, pp_lane_new(lodger->port), memory_order_release);
    return atomic_load_explicit(&way->lane, memory_order_relaxed) ? way : NULL;
}

/* Are those who publish to wait a moment? Not again for who has taken nothing since he missed
 * something: he may never do so, and would hold up what is for others. */
static bool is_waited_for(struct pp_way *way, pp_lane *lane, bool misses)
{
    uint64_t taken;

    if (PP_LIKELY(!misses))
        return pp_lane_lags(lane);
    taken = pp_lane_taken_seen(lane);
    if (way->missed && way->missed_at == taken)
        return false;
    way->missed = true;
    way->missed_at = taken;
    return pp_lane_lags(lane);
}

static bool deliver(void *outlet, const pp_sub *sub, pp_str head, const pp_msg *msg)
{
    struct pp_way *way = outlet;
    const pp_inlet *inlet = &way->worker->local.inlet;
    pp_lane *lane = atomic_load_explicit(&way->lane, memory_order_relaxed);
    pp_record record = {
        .subject = msg->subject,
        .reply = msg->reply,
        .data = msg->data,
        .header_len = msg->header_len,
    };
    pipit_err err;

    (void)head;
    if ((!sub->queue_len && !pp_inlet_owes(inlet, way->to->serial)) ||
        (way->to->no_echo && inlet->from == way->to->serial))
        return false;
    memcpy(&record.sid, sub->text, sizeof(record.sid));
    if (msg->data.len >= PP_LANE_REFER_MIN) {
        record.body = msg->body && msg->data.ptr == msg->body->bytes
                          ? pp_body_ref(msg->body)
                          : pp_lane_body(msg->data, (pp_str){"", 0});
        if (!record.body)
            return false;
        record.data.ptr = record.body->bytes;
    }
    err = pp_lane_write(lane, &record);
    if (record.body)
        pp_body_unref(record.body);
    if (err && err != PIPIT_ECLOSED)
        pp_port_count_missed(way->to->port);
    if (PP_UNLIKELY(is_waited_for(way, lane, err == PIPIT_EAGAIN)))
        way->worker->loop.gate = lane; /* its publishers wait a moment */
    if (!err) {
        pp_count(&way->worker->counters.out_msgs, 1);
        pp_count(&way->worker->counters.out_bytes, msg->data.len);
    }
    return !err;
}

static const struct pp_client_ops lodger_ops = {
    .outlet = way_of,
    .head = pp_client_no_head,
    .deliver = deliver,
};

/* --- life --------------------------------------------------------------------------------- */

void pp_lodger_unref(pp_lodger *lodger)
{
    if (atomic_fetch_sub(&lodger->refs, 1) != 1)
        return;
    for (unsigned i = 0; lodger->ways && i < lodger->server->worker_count; i++)
        pp_lane_leave(atomic_load(&lodger->ways[i].lane));
    pp_free(lodger->ways);
    pp_port_unref(lodger->port);
    pp_free(lodger);
}

pipit_err pp_lodger_join(pp_lodger **out_lodger, pipit_server *server, pp_port *port, bool no_echo,
                         void (*on_end)(void *context), void *context)
{
    pp_lodger *lodger;
    bool open;

    if (!atomic_load_explicit(&server->open, memory_order_acquire))
        return PIPIT_ECLOSED;
    lodger = pp_calloc(1, sizeof(*lodger));
    if (!lodger)
        return PIPIT_ENOMEM;
    lodger->ways = pp_calloc(server->worker_count, sizeof(*lodger->ways));
    if (!lodger->ways) {
        pp_free(lodger);
        return PIPIT_ENOMEM;
    }
    for (unsigned i = 0; i < server->worker_count; i++)
        lodger->ways[i] = (struct pp_way){.worker = &server->workers[i], .to = lodger};
    lodger->client.ops = &lodger_ops;
    lodger->server = server;
    lodger->account = server->global;
    lodger->port = port;
    pp_port_ref(port);
    lodger->no_echo = no_echo;
    pp_biased_init(&lodger->lock);
    pp_list_init(&lodger->awaiting);
    pp_list_init(&lodger->passage_list);
    lodger->on_end = on_end;
    lodger->context = context;
    lodger->home = &server->workers[atomic_fetch_add(&server->next_home, 1) % server->worker_count];
    atomic_init(&lodger->refs, 1);
    (void)pthread_mutex_lock(&server->lodging.lock);
    lodger->serial = ++server->lodging.last_serial;
    open = atomic_load(&server->open); /* those in the list are told when it ends */
    if (open)
        pp_list_append(&server->lodging.lodgers, &lodger->link);
    (void)pthread_mutex_unlock(&server->lodging.lock);
    if (!open) {
        pp_lodger_unref(lodger);
        return PIPIT_ECLOSED;
    }
    *out_lodger = lodger;
    return PIPIT_OK;
}

void pp_lodger_leave(pp_lodger *lodger)
{
    pp_lodging *lodging;

    if (!lodger)
        return;
    lodging = &lodger->server->lodging;
    (void)pthread_mutex_lock(&lodging->lock);
    pp_list_remove(&lodger->link);
    lodging->gone_in_msgs += get(&lodger->in_msgs);
    lodging->gone_in_bytes += get(&lodger->in_bytes);
    lodging->gone_out_msgs += get(&lodger->out_msgs);
    lodging->gone_out_bytes += get(&lodger->out_bytes);
    (void)pthread_mutex_unlock(&lodging->lock);
    pp_claim_release_all(lodger->account, lodger);
    pp_hearers_forget(lodger);
    pp_lodger_unref(lodger);
}

int64_t pp_lodger_max_payload(const pp_lodger *lodger)
{
    return atomic_load((atomic_int_fast64_t *)&lodger->server->max_payload);
}

bool pp_lodger_settled(const pp_lodger *lodger)
{
    return atomic_load(&((pp_lodger *)lodger)->home->local.inlet.routed) >=
           get(&lodger->inlet_mark);
}

/* --- subscribing -------------------------------------------------------------------------- */

static void free_hosted(pp_retired *retired)
{
    pp_sub *sub = PP_CONTAINER(retired, pp_sub, retired);
    pp_lodger *lodger = PP_CONTAINER(sub->client, pp_lodger, client);

    pp_sub_free(sub);
    pp_lodger_unref(lodger);
}

/* On the home loop: other loops may still deliver to it, and are waited for. */
static void on_retire(pp_task *task)
{
    pp_host_sub *hosted = PP_CONTAINER(task, pp_host_sub, retire);

    pp_reclaim_retire(&hosted->lodger->home->loop.reclaimer, &hosted->sub->retired, free_hosted);
    pp_free(hosted);
}

pipit_err pp_lodger_subscribe(pp_lodger *lodger, pp_str subject, pp_str queue, uint64_t sid,
                              pp_host_sub **out_sub)
{
    pipit_server *server = lodger->server;
    pp_host_sub *hosted;
    pipit_err err;

    if (!atomic_load_explicit(&server->open, memory_order_acquire))
        return PIPIT_ECLOSED;
    if (subject.len > atomic_load(&server->max_line) || queue.len > UINT16_MAX)
        return PIPIT_ETOOBIG;
    hosted = pp_calloc(1, sizeof(*hosted));
    if (!hosted)
        return PIPIT_ENOMEM;
    hosted->lodger = lodger;
    hosted->retire.run = on_retire;
    hosted->sub = pp_sub_new(&lodger->client, (pp_str){(const char *)&sid, sizeof(sid)}, queue);
    err = hosted->sub ? pp_account_subscribe(lodger->account, hosted->sub, subject) : PIPIT_ENOMEM;
    if (err) {
        pp_sub_free(hosted->sub);
        pp_free(hosted);
        return err;
    }
    (void)atomic_fetch_add(&lodger->refs, 1);
    (void)atomic_fetch_add(&server->local_subs, 1);
    *out_sub = hosted;
    return PIPIT_OK;
}

void pp_lodger_unsubscribe(pp_lodger *lodger, pp_host_sub *hosted)
{
    if (!hosted)
        return;
    pp_account_unsubscribe(lodger->account, hosted->sub);
    (void)atomic_fetch_sub(&lodger->server->local_subs, 1);
    pp_loop_post(&lodger->home->loop, &hosted->retire);
}

/* --- claims ------------------------------------------------------------------------------- */

pipit_err pp_lodger_claim(pp_lodger *lodger, pp_str subject)
{
    if (!atomic_load_explicit(&lodger->server->open, memory_order_acquire))
        return PIPIT_ECLOSED;
    return pp_claim_take(lodger->account, subject, lodger, NULL);
}

void pp_lodger_release(pp_lodger *lodger, pp_str subject)
{
    (void)pp_claim_release(lodger->account, subject, lodger);
}

bool pp_lodger_has(const pp_sub *sub)
{
    return sub->client->ops == &lodger_ops;
}
