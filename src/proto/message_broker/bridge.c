/* Topics and the subjects of NATS: mb.NAME is the topic NAME, both ways. What comes from NATS is
 * stored like any other message; what comes from here is published there when it is settled. */
#include "base/alloc.h"
#include "base/clock.h"
#include "proto/message_broker/broker.h"
#include "topic/name.h"

#define ALL_TOPICS PP_TOPIC_SUBJECT_PREFIX "*"

/* --- from NATS ---------------------------------------------------------------------------- */

static void *way_to(pp_client *client, uint32_t router_index)
{
    pp_mb_broker *broker = PP_CONTAINER(client, pp_mb_broker, client);
    pp_mb_way *way = &broker->ways[router_index];

    if (!way->post)
        way->post = pp_post_between(way->loop, broker->home);
    return way->post ? way : NULL;
}

static bool deliver(void *outlet, const pp_sub *sub, pp_str head, const pp_msg *msg)
{
    const pp_mb_way *way = outlet;
    const pp_parcel parcel = {msg->subject, PP_STR(""), msg->data, msg->header_len, msg->body};
    const pp_address to = {.receiver = &way->broker->receiver};

    (void)sub;
    (void)head;
    return pp_post_add(way->post, way->router->messages, &parcel, &to);
}

static void exhausted(pp_sub *sub, uint32_t router_index)
{
    (void)sub; /* it has no limit */
    (void)router_index;
}

static const struct pp_client_ops client_ops = {
    .outlet = way_to,
    .head = pp_client_no_head,
    .deliver = deliver,
    .exhausted = exhausted,
    .hears_no_wildcards = true,
};

/* The topic of a subject. Errors: PIPIT_EINVAL it is none; as pp_topics_get(). */
static pipit_err find_topic(pp_mb_broker *broker, pp_str subject, pp_topic **out_topic)
{
    char small[256], *name = subject.len <= sizeof(small) ? small : pp_alloc(subject.len);
    size_t len;
    pipit_err err = PIPIT_EINVAL;

    if (!name)
        return PIPIT_ENOMEM;
    if (pp_topic_of_subject(subject, name, &len))
        err = pp_topics_get(broker->topics, (pp_str){name, len}, broker->home->now_ns, out_topic);
    if (name != small)
        pp_free(name);
    return err;
}

static void receive(pp_receiver *receiver, uint64_t client_id, uint64_t sub_id,
                    const pp_parcel *parcel)
{
    pp_mb_broker *broker = PP_CONTAINER(receiver, pp_mb_broker, receiver);
    pp_str data = {parcel->data.ptr + parcel->header_len, parcel->data.len - parcel->header_len};
    pp_topic *topic = NULL;
    pipit_err err = PIPIT_EINVAL;

    (void)client_id;
    (void)sub_id;
    if (data.len && data.len <= broker->settings.data_max)
        err = find_topic(broker, parcel->subject, &topic);
    if (err == PIPIT_EINVAL) {
        pp_count(&broker->counters.undeliverable, 1);
        return;
    }
    if (!err)
        err = pp_topic_publish(topic, 0, data, pp_clock_wall_ns());
    if (err && err != PIPIT_EAGAIN) {
        pp_count(&broker->counters.refused, 1);
        pp_mb_log(broker, PP_LOG_WARN, pipit_strerror(err), NULL, topic);
        return;
    }
    pp_count(&broker->counters.bridged_in, 1);
}

/* --- to NATS ------------------------------------------------------------------------------ */

/* Does anybody but us hear the subject? */
static bool is_heard(const pp_mb_broker *broker, pp_route_cache *cache, pp_str subject)
{
    const pp_route *route = pp_route_find(cache, subject);

    if (!route || route->kind == PP_ROUTE_MAPPED)
        return route != NULL;
    for (uint32_t i = 0; i < route->target_count; i++) {
        if (route->targets[i].sub->client != &broker->client)
            return true;
    }
    return false;
}

static bool pass(pp_mb_broker *broker, pp_route_cache *cache, const pp_topic *topic, pp_str data)
{
    pp_msg msg = {
        .subject = topic->subject, .data = data, .from = &broker->client, .no_echo = true};

    if (data.len >= PP_MSG_REFER_MIN) {
        msg.body = pp_parcel_body(data);
        if (!msg.body) {
            pp_count(&broker->home->counters->route_failures, 1);
            return false;
        }
        msg.data.ptr = msg.body->bytes;
    }
    (void)pp_router_pass(broker->router, cache, &msg);
    pp_body_unref(msg.body);
    return true;
}

void pp_mb_bridge_out(pp_mb_broker *broker, pp_topic *topic, uint64_t first, uint64_t last)
{
    pp_route_cache *cache = pp_router_inner(broker->router, broker->account, false);
    pp_loop *loop = broker->home;

    if (!cache || !is_heard(broker, cache, topic->subject))
        return;
    for (uint64_t seq = first; seq <= last; seq++) {
        struct pp_store_message message;

        if (pp_topic_read(topic, seq, &message))
            continue; /* it has gone by a limit, or is damaged and the store has said so */
        pp_count(&broker->counters.bridged_out, pass(broker, cache, topic, message.payload));
        if (loop->staged_bytes > loop->staged_max)
            pp_loop_flush(loop);
        loop->gate = NULL; /* who would wait for the recipient has gone on long ago */
    }
}

/* --- life --------------------------------------------------------------------------------- */

pipit_err pp_mb_bridge_open(pp_mb_broker *broker, const pp_mb_host *host)
{
    pipit_err err;

    broker->client.ops = &client_ops;
    broker->receiver.receive = receive;
    broker->ways = pp_calloc(host->loop_count, sizeof(*broker->ways));
    if (!broker->ways)
        return PIPIT_ENOMEM;
    for (unsigned i = 0; i < host->loop_count; i++)
        broker->ways[i] = (pp_mb_way){broker, host->loops[i], host->routers[i], NULL};
    broker->sub = pp_sub_new(&broker->client, PP_STR(""), PP_STR(""));
    if (!broker->sub)
        return PIPIT_ENOMEM;
    err = pp_account_subscribe(broker->account, broker->sub, PP_STR(ALL_TOPICS));
    if (err) {
        pp_sub_free(broker->sub);
        broker->sub = NULL;
    }
    return err;
}

void pp_mb_bridge_close(pp_mb_broker *broker)
{
    if (broker->sub) {
        pp_account_unsubscribe(broker->account, broker->sub);
        pp_sub_free(broker->sub);
    }
    pp_free(broker->ways);
}
