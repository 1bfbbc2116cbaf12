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
 * or imports, where only a loop can say who is to have a message, all of it goes by the inlet; when
 * a reload has ended that, a lodger goes on with lanes only when the inlet is through with what it
 * has put there and the recipients have taken what came by it.
 *
 * Loops deliver to a lodger by lanes of their own (`ways`). */
#include "server/lodger_inside.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "core/claim.h"
#include "core/subject.h"

#include <string.h>
#include <time.h>

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
    *out_msgs = get(&lodger->published);
    *out_bytes = get(&lodger->published_bytes);
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

static size_t no_head(const pp_sub *sub, pp_str subject, char *out)
{
    (void)sub;
    (void)subject;
    (void)out;
    return 0;
}

static bool deliver(void *outlet, const pp_sub *sub, pp_str head, const pp_msg *msg)
{
    const struct pp_way *way = outlet;
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
    if ((inlet->hosted_done && !sub->queue_len) || (way->to->no_echo && inlet->from == way->to))
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
    if (PP_UNLIKELY(pp_lane_lags(lane)))
        way->worker->loop.gate = lane; /* its publishers wait a moment */
    if (!err) {
        pp_count(&way->worker->counters.out_msgs, 1);
        pp_count(&way->worker->counters.out_bytes, msg->data.len);
    }
    return !err;
}

static const struct pp_client_ops lodger_ops = {
    .outlet = way_of,
    .head = no_head,
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
    lodger->on_end = on_end;
    lodger->context = context;
    lodger->home = &server->workers[atomic_fetch_add(&server->next_home, 1) % server->worker_count];
    atomic_init(&lodger->refs, 1);
    (void)pthread_mutex_lock(&server->lodging.lock);
    pp_list_append(&server->lodging.lodgers, &lodger->link);
    (void)pthread_mutex_unlock(&server->lodging.lock);
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

/* --- publishing --------------------------------------------------------------------------- */

pipit_err pp_lodger_check_subject(const pipit_server *server, pp_str subject)
{
    if (!pp_local_text_valid(subject) || !pp_subject_literal(subject))
        return PIPIT_EINVAL;
    return subject.len > atomic_load((atomic_size_t *)&server->max_line) ? PIPIT_ETOOBIG : PIPIT_OK;
}

/* Has everything that went by the inlet reached who hears this? */
static bool way_is_free(pp_lodger *lodger, const struct pp_hearers *h)
{
    unsigned home = lodger->home->loop.index;

    if (PP_LIKELY(!lodger->indirect_mark))
        return true;
    if (atomic_load(&lodger->home->local.inlet.routed) < lodger->indirect_mark)
        return false;
    for (uint32_t i = 0; i < h->count; i++) {
        const struct pp_way *way = &h->targets[i].passage->to->ways[home];
        const pp_lane *lane = atomic_load_explicit(&way->lane, memory_order_acquire);

        if (lane && !pp_lane_settled(lane))
            return false;
    }
    return true;
}

static pipit_err put(pp_lodger *lodger, const pp_record *record, bool hosted_done)
{
    const pp_parcel parcel = {record->subject, record->reply, record->data,
                              (uint32_t)record->header_len, record->body};
    uint64_t number;
    pipit_err err = pp_inlet_put(&lodger->home->local.inlet, &parcel, lodger, hosted_done, &number);

    if (err)
        return err;
    atomic_store_explicit(&lodger->inlet_mark, number, memory_order_relaxed);
    if (!hosted_done)
        lodger->indirect_mark = number;
    return PIPIT_OK;
}

/* The first recipient that has no room and is not passed over; NULL: none. */
static pp_lane *find_full(const struct pp_hearers *h, const pp_record *record)
{
    for (uint32_t i = 0; i < h->count; i++) {
        struct pp_passage_to *passage = h->targets[i].passage;

        if (PP_LIKELY(pp_lane_has_room(passage->lane, record)))
            passage->stuck = false;
        else if (!passage->stuck)
            return passage->lane;
    }
    return NULL;
}

static void hand(pp_lodger *lodger, const struct pp_heard_by *target, pp_record *record)
{
    pipit_err err;

    record->sid = target->sid;
    err = pp_lane_write(target->passage->lane, record);
    if (PP_LIKELY(!err)) {
        pp_count(&lodger->out_msgs, 1);
        pp_count(&lodger->out_bytes, record->data.len);
    } else if (err != PIPIT_ECLOSED) {
        pp_port_count_missed(target->passage->to->port);
    }
}

static pipit_err spread(pp_lodger *lodger, const struct pp_hearers *h, pp_record *record,
                        pp_lane **out_full)
{
    pipit_err err = PIPIT_OK;

    *out_full = find_full(h, record);
    if (*out_full)
        return PIPIT_EAGAIN;
    if (h->elsewhere)
        err = put(lodger, record, true);
    if (err)
        return err;
    for (uint32_t i = 0; i < h->count; i++)
        hand(lodger, &h->targets[i], record);
    if (!h->elsewhere) {
        pp_count(&lodger->in_msgs, 1);
        pp_count(&lodger->in_bytes, record->data.len);
    }
    return PIPIT_OK;
}

/* *out_full tells which recipient is in the way, if any. */
static pipit_err publish_locked(pp_lodger *lodger, pp_record *record, bool *out_nobody,
                                pp_lane **out_full)
{
    const pp_account *account = lodger->account;
    struct pp_hearers *h;
    pipit_err err = pp_hearers_find(lodger, record->subject, &h);

    *out_full = NULL;
    if (err)
        return err;
    if (PP_UNLIKELY(atomic_load_explicit(&account->mappings, memory_order_relaxed) ||
                    atomic_load_explicit(&account->imports, memory_order_relaxed) ||
                    !way_is_free(lodger, h))) {
        err = put(lodger, record, false);
    } else {
        lodger->indirect_mark = 0;
        *out_nobody = !h->elsewhere && !h->count;
        err = spread(lodger, h, record, out_full);
    }
    if (!err) {
        pp_count(&lodger->published, 1);
        pp_count(&lodger->published_bytes, record->data.len);
    }
    return err;
}

/* Wait for room, without the lock: with one recipient, which is passed over from now on if it makes
 * none in time, or with the inlet (full NULL). False: it is too late. */
static bool await_room(pp_lodger *lodger, pp_lane *full, int64_t deadline_ns)
{
    const struct timespec nap = {0, 100000};
    uint64_t seen;
    bool room;

    if (!full) {
        pp_biased_unlock(&lodger->lock);
        (void)nanosleep(&nap, NULL);
        pp_biased_lock(&lodger->lock);
        return pp_clock_mono_ns() < deadline_ns;
    }
    seen = pp_lane_taken_seen(full);
    pp_lane_ref(full);
    pp_biased_unlock(&lodger->lock);
    room = pp_lane_await_room(full, seen, deadline_ns);
    pp_biased_lock(&lodger->lock);
    for (size_t i = 0; i < lodger->passage_count && !room; i++)
        lodger->passages[i]->stuck |= lodger->passages[i]->lane == full;
    pp_lane_leave(full);
    return true;
}

/* All but the subject, which is checked when it is looked up. */
static pipit_err check(const pp_lodger *lodger, const pipit_msg *msg)
{
    int64_t max_payload = pp_lodger_max_payload(lodger);
    size_t data = msg->header_bytes + msg->payload_bytes;
    const char *header = msg->header;

    if (!msg->subject_bytes)
        return PIPIT_EINVAL;
    if (msg->reply_bytes) {
        pipit_err err =
            pp_lodger_check_subject(lodger->server, (pp_str){msg->reply, msg->reply_bytes});

        if (err)
            return err;
    }
    if (msg->header_bytes > UINT32_MAX || msg->payload_bytes > UINT32_MAX ||
        (max_payload >= 0 && data > (uint64_t)max_payload))
        return PIPIT_ETOOBIG;
    if (msg->header_bytes && (msg->header_bytes < 12 || memcmp(header, "NATS/1.0", 8) != 0 ||
                              memcmp(header + msg->header_bytes - 4, "\r\n\r\n", 4) != 0))
        return PIPIT_EINVAL;
    return PIPIT_OK;
}

/* Header and payload in one piece: in small, or, when they are large, in a body. */
static bool join(const pipit_msg *msg, char *small, pp_record *record)
{
    size_t len = msg->header_bytes + msg->payload_bytes;

    record->data = (pp_str){msg->payload, len};
    if (len >= PP_LANE_REFER_MIN) {
        record->body = pp_lane_body((pp_str){msg->header, msg->header_bytes},
                                    (pp_str){msg->payload, msg->payload_bytes});
        if (!record->body)
            return false;
        record->data.ptr = record->body->bytes;
    } else if (msg->header_bytes) {
        memcpy(small, msg->header, msg->header_bytes);
        if (msg->payload_bytes)
            memcpy(small + msg->header_bytes, msg->payload, msg->payload_bytes);
        record->data.ptr = small;
    }
    return true;
}

void pp_lodger_answer_itself(pp_lodger *lodger, const pipit_msg *msg)
{
    pp_record record = {
        .subject = {msg->subject, msg->subject_bytes},
        .data = {msg->header, msg->header_bytes},
        .header_len = msg->header_bytes,
    };
    struct pp_hearers *h;

    pp_biased_lock(&lodger->lock);
    h = pp_hearers_own(lodger, record.subject);
    for (uint32_t i = 0; h && i < h->count; i++)
        hand(lodger, &h->targets[i], &record);
    pp_biased_unlock(&lodger->lock);
    pp_free(h);
}

pipit_err pp_lodger_publish_matching(pp_lodger *lodger, const pipit_msg *msg,
                                     uint64_t *out_recipients)
{
    size_t recipients = 0;
    pipit_err err = pipit_server_publish_matching(lodger->server, msg, &recipients);

    *out_recipients = recipients;
    return err;
}

pipit_err pp_lodger_publish(pp_lodger *lodger, const pipit_msg *msg, int64_t wait_ns,
                            bool *out_nobody)
{
    char small[PP_LANE_REFER_MIN];
    pp_record record = {
        .subject = {msg->subject, msg->subject_bytes},
        .reply = {msg->reply, msg->reply_bytes},
        .header_len = msg->header_bytes,
    };
    int64_t deadline_ns = 0;
    pp_lane *full;
    pipit_err err;

    if (!atomic_load_explicit(&lodger->server->open, memory_order_acquire))
        return PIPIT_ECLOSED;
    err = check(lodger, msg);
    if (err)
        return err;
    if (!join(msg, small, &record))
        return PIPIT_ENOMEM;
    pp_biased_lock(&lodger->lock);
    while ((err = publish_locked(lodger, &record, out_nobody, &full)) == PIPIT_EAGAIN && wait_ns) {
        if (!deadline_ns)
            deadline_ns = pp_clock_mono_ns() + wait_ns;
        if (!await_room(lodger, full, deadline_ns))
            break;
    }
    pp_biased_unlock(&lodger->lock);
    if (record.body)
        pp_body_unref(record.body);
    return err;
}
