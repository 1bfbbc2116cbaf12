#include "server/local.h"

#include "base/alloc.h"
#include "core/claim.h"
#include "core/subject.h"
#include "server/server.h"

#include <string.h>

struct pipit_subscription {
    pp_local *home;
    pp_sub *sub;
    uint64_t id; /* round and slot */
    pipit_msg_fn callback;
    void *context;
    pp_task retire;
    bool claims; /* its subject, for itself */
};

bool pp_local_text_valid(pp_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
            return false;
    }
    return text.len != 0;
}

/* --- the table of a home ------------------------------------------------------------------ */

static struct pipit_subscription *find_locked(const pp_local *home, uint64_t id)
{
    uint32_t at = (uint32_t)id;

    if (at >= home->slot_count || home->slots[at].round != id >> 32)
        return NULL;
    return home->slots[at].subscription;
}

static bool grow_locked(pp_local *home)
{
    uint32_t count = home->slot_count ? 2 * home->slot_count : 8;
    struct pp_local_slot *slots = pp_realloc(home->slots, count * sizeof(*slots));

    if (!slots)
        return false;
    for (uint32_t i = home->slot_count; i < count; i++) {
        slots[i] = (struct pp_local_slot){.next_free = home->free_slot};
        home->free_slot = i + 1;
    }
    home->slots = slots;
    home->slot_count = count;
    return true;
}

static bool enter(pp_local *home, struct pipit_subscription *s)
{
    struct pp_local_slot *slot;
    bool done;

    (void)pthread_mutex_lock(&home->lock);
    done = home->free_slot || grow_locked(home);
    if (done) {
        slot = &home->slots[home->free_slot - 1];
        s->id = (uint64_t)++slot->round << 32 | (home->free_slot - 1);
        home->free_slot = slot->next_free;
        slot->subscription = s;
    }
    (void)pthread_mutex_unlock(&home->lock);
    return done;
}

/* Take it out, and wait until its callback does not run: from the home's own thread it cannot,
 * unless it is the caller. */
static void leave(pp_local *home, struct pipit_subscription *s)
{
    bool at_home = pp_loop_current() == &home->worker->loop;
    struct pp_local_slot *slot;

    (void)pthread_mutex_lock(&home->lock);
    PP_ASSERT(find_locked(home, s->id) == s); /* else it has been ended before */
    slot = &home->slots[(uint32_t)s->id];
    slot->subscription = NULL;
    slot->next_free = home->free_slot;
    home->free_slot = (uint32_t)s->id + 1;
    home->waiting++;
    while (home->running == s && !at_home)
        (void)pthread_cond_wait(&home->idle, &home->lock);
    home->waiting--;
    (void)pthread_mutex_unlock(&home->lock);
}

/* --- delivering --------------------------------------------------------------------------- */

static void *way_to(pp_client *client, uint32_t router_index)
{
    pp_local *home = PP_CONTAINER(client, pp_local, client);
    pipit_server *server = home->worker->server;
    pp_worker *from = &server->workers[router_index];
    pp_local_way *way;

    if (!from->local.ways)
        from->local.ways = pp_calloc(server->worker_count, sizeof(*from->local.ways));
    if (!from->local.ways)
        return NULL;
    way = &from->local.ways[home->worker->loop.index];
    if (!way->post) {
        way->post = pp_post_between(&from->loop, &home->worker->loop);
        way->router = &from->router;
        way->receiver = &home->receiver;
    }
    return way->post ? way : NULL;
}

static bool deliver(void *outlet, const pp_sub *sub, pp_str head, const pp_msg *msg)
{
    const pp_local_way *way = outlet;
    const pp_parcel parcel = {msg->subject, msg->reply, msg->data, msg->header_len, msg->body};
    pp_address to = {.receiver = way->receiver};

    (void)head;
    if (PP_UNLIKELY(way->post->gated) &&
        ((pp_nats_context *)way->post->from->context)->settings->no_stall) {
        pp_count(&way->post->from->counters->stall_drops, 1);
        return false;
    }
    memcpy(&to.sub_id, sub->text, sizeof(to.sub_id));
    return pp_post_add(way->post, way->router->messages, &parcel, &to);
}

static const struct pp_client_ops client_ops = {
    .outlet = way_to,
    .head = pp_client_no_head,
    .deliver = deliver,
};

static void receive(pp_receiver *receiver, uint64_t client_id, uint64_t sub_id,
                    const pp_parcel *parcel)
{
    pp_local *home = PP_CONTAINER(receiver, pp_local, receiver);
    pp_worker *worker = home->worker;
    struct pipit_subscription *s;
    const pipit_msg msg =
        pp_host_msg(parcel->subject, parcel->reply, parcel->data, parcel->header_len);

    (void)client_id;
    (void)pthread_mutex_lock(&home->lock);
    /* A server that is stopping has no thread of the home's to call from. */
    s = atomic_load_explicit(&worker->server->open, memory_order_relaxed)
            ? find_locked(home, sub_id)
            : NULL;
    home->running = s;
    (void)pthread_mutex_unlock(&home->lock);
    if (!s)
        return;
    pp_count(&worker->counters.out_msgs, 1);
    pp_count(&worker->counters.out_bytes, parcel->data.len);
    s->callback(s->context, s, &msg);
    (void)pthread_mutex_lock(&home->lock);
    home->running = NULL;
    if (home->waiting)
        (void)pthread_cond_broadcast(&home->idle);
    (void)pthread_mutex_unlock(&home->lock);
}

/* --- subscribing -------------------------------------------------------------------------- */

static pp_account *account_of(const pp_local *home)
{
    return home->worker->server->global;
}

static pipit_err insert(pp_local *home, struct pipit_subscription *s, pp_str subject, pp_str queue)
{
    pipit_err err = s->claims ? pp_claim_take(account_of(home), subject, s, NULL) : PIPIT_OK;

    if (err)
        return err;
    if (!enter(home, s)) {
        (void)pp_claim_release(account_of(home), subject, s);
        return PIPIT_ENOMEM;
    }
    s->sub = pp_sub_new(&home->client, (pp_str){(const char *)&s->id, sizeof(s->id)}, queue);
    err = s->sub ? pp_account_subscribe(account_of(home), s->sub, subject) : PIPIT_ENOMEM;
    if (err) {
        leave(home, s);
        pp_sub_free(s->sub);
        (void)pp_claim_release(account_of(home), subject, s);
    }
    return err;
}

static void free_sub(pp_retired *retired)
{
    pp_sub_free(PP_CONTAINER(retired, pp_sub, retired));
}

/* On the home loop: other loops may still deliver to it, and are waited for. */
static void on_retire(pp_task *task)
{
    struct pipit_subscription *s = PP_CONTAINER(task, struct pipit_subscription, retire);

    pp_reclaim_retire(&s->home->worker->loop.reclaimer, &s->sub->retired, free_sub);
    pp_free(s);
}

static pipit_err subscribe(pipit_server *server, const char *subject, const char *queue,
                           bool claims, pipit_msg_fn callback, void *context,
                           pipit_subscription **out_subscription)
{
    pp_str subject_text = pp_str_of(subject), queue_text = pp_str_of(queue);
    struct pipit_subscription *s;
    unsigned home;
    pipit_err err;

    if (!atomic_load_explicit(&server->open, memory_order_acquire))
        return PIPIT_ECLOSED;
    if (!callback || !pp_local_text_valid(subject_text) ||
        (queue && !pp_local_text_valid(queue_text)))
        return PIPIT_EINVAL;
    if (subject_text.len > atomic_load(&server->max_line) || queue_text.len > UINT16_MAX)
        return PIPIT_ETOOBIG;
    s = pp_calloc(1, sizeof(*s));
    if (!s)
        return PIPIT_ENOMEM;
    home = atomic_fetch_add(&server->next_home, 1) % server->worker_count;
    s->home = &server->workers[home].local;
    s->callback = callback;
    s->context = context;
    s->retire.run = on_retire;
    s->claims = claims;
    (void)atomic_fetch_add(&server->local_subs, 1);
    err = insert(s->home, s, subject_text, queue_text);
    if (err) {
        (void)atomic_fetch_sub(&server->local_subs, 1);
        pp_free(s);
        return err;
    }
    *out_subscription = s; /* a callback may have ended it already: not looked into here */
    return PIPIT_OK;
}

pipit_err pipit_server_subscribe(pipit_server *server, const char *subject, const char *queue,
                                 pipit_msg_fn callback, void *context,
                                 pipit_subscription **out_subscription)
{
    return subscribe(server, subject, queue, false, callback, context, out_subscription);
}

pipit_err pipit_server_claim(pipit_server *server, const char *subject, pipit_msg_fn callback,
                             void *context, pipit_subscription **out_subscription)
{
    if (!pp_subject_literal(pp_str_of(subject)))
        return PIPIT_EINVAL;
    return subscribe(server, subject, NULL, true, callback, context, out_subscription);
}

void pipit_subscription_end(pipit_subscription *s)
{
    pp_local *home;

    if (!s)
        return;
    home = s->home;
    leave(home, s);
    if (s->claims)
        (void)pp_claim_release(account_of(home), pp_sublist_pattern(s->sub), s);
    pp_account_unsubscribe(account_of(home), s->sub);
    (void)atomic_fetch_sub(&home->worker->server->local_subs, 1);
    pp_loop_post(&home->worker->loop, &s->retire);
}

/* --- life --------------------------------------------------------------------------------- */

void pp_local_init(pp_local *local, pp_worker *worker)
{
    local->worker = worker;
    local->receiver.receive = receive;
    local->client.ops = &client_ops;
    (void)pthread_mutex_init(&local->lock, NULL);
    (void)pthread_cond_init(&local->idle, NULL);
    pp_inlet_init(&local->inlet, worker);
}

void pp_local_fini(pp_local *local)
{
    for (uint32_t i = 0; i < local->slot_count; i++) {
        struct pipit_subscription *s = local->slots[i].subscription;

        if (!s)
            continue;
        pp_account_unsubscribe(account_of(local), s->sub);
        pp_sub_free(s->sub);
        pp_free(s);
    }
    pp_free(local->slots);
    pp_free(local->ways);
    pp_inlet_fini(&local->inlet);
    (void)pthread_cond_destroy(&local->idle);
    (void)pthread_mutex_destroy(&local->lock);
}
