/* What a client listens to: the table by sid, deliveries, ends. */
#include "client/client.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "client/frame.h"
#include "core/subject.h"

#include <stdio.h>
#include <string.h>

enum {
    FRAME_EXTRA = 64,
    HELD_BYTES_EACH = 128, /* for keeping one message */
    SUBS_MAX = 16 * 1024 * 1024,
    MISSED_BYTES = 512, /* of a subject, to tell that messages on it are missed */
};

/* --- the table ---------------------------------------------------------------------------- */

static pipit_sub **place_of(const pipit_client *client, uint64_t sid)
{
    return &client->sids[sid & client->sid_mask];
}

static pipit_sub *find_locked(const pipit_client *client, uint64_t sid)
{
    pipit_sub *sub = client->sids ? *place_of(client, sid) : NULL;

    while (sub && sub->sid != sid)
        sub = sub->next_of_sid;
    return sub;
}

/* Sids count up, so chains stay short with twice as many places. */
static bool grow_locked(pipit_client *client)
{
    size_t count = client->sids ? 2 * (client->sid_mask + 1) : PP_SID_TABLE_MIN;
    pipit_sub **grown = pp_calloc(count, sizeof(*grown)), **old = client->sids;
    size_t old_count = old ? client->sid_mask + 1 : 0;

    if (!grown)
        return false;
    client->sids = grown;
    client->sid_mask = count - 1;
    for (size_t i = 0; i < old_count; i++) {
        while (old[i]) {
            pipit_sub *sub = old[i], **place = place_of(client, sub->sid);

            old[i] = sub->next_of_sid;
            sub->next_of_sid = *place;
            *place = sub;
        }
    }
    pp_free(old);
    return true;
}

static pipit_err list_locked(pipit_client *client, pipit_sub *sub)
{
    pipit_sub **place;

    if (client->sid_count >= SUBS_MAX)
        return PIPIT_ELIMIT;
    if ((!client->sids || client->sid_count > client->sid_mask) && !grow_locked(client))
        return PIPIT_ENOMEM;
    sub->sid = ++client->next_sid;
    place = place_of(client, sub->sid);
    sub->next_of_sid = *place;
    *place = sub;
    client->sid_count++;
    sub->listed = true;
    return PIPIT_OK;
}

static void unlist_locked(pipit_client *client, pipit_sub *sub)
{
    pipit_sub **at;

    if (!sub->listed)
        return;
    for (at = place_of(client, sub->sid); *at != sub; at = &(*at)->next_of_sid)
        ;
    *at = sub->next_of_sid;
    client->sid_count--;
    sub->listed = false;
    atomic_store(&client->sub_changes, atomic_load(&client->sub_changes) + 1);
    (void)pthread_cond_broadcast(&sub->arrived); /* who waits for the next finds the end */
}

/* --- delivering --------------------------------------------------------------------------- */

static void free_sub(pipit_sub *sub)
{
    struct pp_held *held;

    while ((held = sub->first)) {
        sub->first = held->next;
        pipit_msg_free(held->msg);
        pp_free(held);
    }
    (void)pthread_cond_destroy(&sub->arrived);
    pp_free(sub);
}

/* The callback that ran last has returned, or another subscription has its turn. */
static void stop_running_locked(pipit_client *client)
{
    pipit_sub *sub = client->running;

    client->running = NULL;
    if (sub && sub->freed)
        free_sub(sub);
    if (client->waiting)
        (void)pthread_cond_broadcast(&client->changed);
}

void pp_client_rest(pipit_client *client)
{
    if (!client->running)
        return;
    (void)pthread_mutex_lock(&client->lock);
    stop_running_locked(client);
    (void)pthread_mutex_unlock(&client->lock);
}

/* Keep a copy for pipit_sub_next. False: it is missed. */
static bool hold_locked(pipit_client *client, pipit_sub *sub, const pipit_msg *msg)
{
    size_t bytes = msg->subject_bytes + msg->reply_bytes + msg->header_bytes + msg->payload_bytes +
                   HELD_BYTES_EACH;
    struct pp_held *held;

    if (sub->held_count && sub->held_bytes + bytes > client->held_max)
        return false;
    held = pp_alloc(sizeof(*held));
    if (!held)
        return false;
    *held = (struct pp_held){.msg = pipit_msg_copy(msg), .bytes = bytes};
    if (!held->msg) {
        pp_free(held);
        return false;
    }
    if (sub->first)
        sub->last->next = held;
    else
        sub->first = held;
    sub->last = held;
    sub->held_count++;
    sub->held_bytes += bytes;
    (void)pthread_cond_signal(&sub->arrived);
    return true;
}

static void count(pipit_client *client, pipit_sub *sub, const pipit_msg *msg)
{
    pp_count(&sub->delivered, 1);
    pp_count(&client->in_msgs, 1);
    pp_count(&client->in_bytes, msg->header_bytes + msg->payload_bytes);
}

/* The callback is one of those that have come last and may come again: its subscription stays
 * `running`, so that the next message needs no lock. Who ends it waits for running to change, and
 * the driver sees by sub_changes that it must look. */
void pp_client_deliver(pipit_client *client, uint64_t sid, const pipit_msg *msg)
{
    pipit_sub *sub = client->running;
    pipit_sub_fn callback = NULL;
    char missed[MISSED_BYTES];

    if (PP_LIKELY(sub && client->running_plain && sub->sid == sid &&
                  atomic_load(&client->sub_changes) == client->running_changes)) {
        count(client, sub, msg);
        sub->callback(sub->context, sub, msg);
        return;
    }
    missed[0] = '\0';
    (void)pthread_mutex_lock(&client->lock);
    stop_running_locked(client);
    sub = client->closing ? NULL : find_locked(client, sid);
    if (sub) {
        count(client, sub, msg);
        callback = sub->callback;
        if (callback) {
            client->running = sub;
            client->running_plain = !sub->max;
            client->running_changes = atomic_load(&client->sub_changes);
        } else if (!hold_locked(client, sub, msg)) {
            sub->missed++;
            client->stats.missed++;
            if (!sub->missing)
                (void)snprintf(missed, sizeof(missed), "%s", sub->subject);
            sub->missing = true;
        }
        if (sub->max && sub->delivered >= sub->max) {
            if (client->lodger) {
                pp_lodger_unsubscribe(client->lodger, sub->hosted);
                sub->hosted = NULL;
            }
            unlist_locked(client, sub);
        }
    }
    (void)pthread_mutex_unlock(&client->lock);
    /* From here on sub is only there if it is running; another thread may have ended it. */
    if (missed[0])
        pp_client_emit(client, PIPIT_EVENT_MISSED, missed);
    else if (callback)
        callback(sub->context, sub, msg);
}

/* --- subscribing -------------------------------------------------------------------------- */

static bool text_valid(pp_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
            return false;
    }
    return text.len != 0;
}

bool pp_client_pattern_valid(pp_str subject)
{
    return text_valid(subject) && pp_subject_valid(subject);
}

static pipit_err sub_new(pipit_client *client, pp_str subject, pp_str queue, pipit_sub **out_sub)
{
    pipit_sub *sub = pp_calloc(1, sizeof(*sub) + subject.len + queue.len + 2);
    pthread_condattr_t attr;

    if (!sub)
        return PIPIT_ENOMEM;
    sub->client = client;
    sub->subject = (char *)(sub + 1);
    memcpy(sub->subject, subject.ptr, subject.len);
    if (queue.len) {
        sub->queue = sub->subject + subject.len + 1;
        memcpy(sub->queue, queue.ptr, queue.len);
    }
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&sub->arrived, &attr);
    (void)pthread_condattr_destroy(&attr);
    *out_sub = sub;
    return PIPIT_OK;
}

/* Tell the server, or at least have it told when there is one. */
static pipit_err tell_locked(pipit_client *client, pipit_sub *sub, pp_str subject, pp_str queue)
{
    pipit_err err;

    if (client->lodger)
        return pp_lodger_subscribe(client->lodger, subject, queue, sub->sid, &sub->hosted);
    if (client->state != PIPIT_CLIENT_CONNECTED && client->state != PIPIT_CLIENT_DRAINING)
        return PIPIT_OK; /* it is among those that a connection begins with */
    err = pp_client_reserve_locked(client, subject.len + queue.len + FRAME_EXTRA);
    if (!err)
        err = pp_frame_sub(&client->staged, subject, queue, sub->sid);
    if (!err && client->asleep)
        pp_client_wake_locked(client);
    return err;
}

pipit_err pp_client_subscribe(pipit_client *client, const char *subject, const char *queue,
                              pipit_sub_fn callback, void *context, bool internal,
                              pipit_sub **out_sub)
{
    pp_str subject_text = pp_str_of(subject), queue_text = pp_str_of(queue);
    pipit_sub *sub;
    pipit_err err;

    if (!pp_client_pattern_valid(subject_text) || (queue && !text_valid(queue_text)))
        return PIPIT_EINVAL;
    if (subject_text.len > PP_CLIENT_SUBJECT_MAX || queue_text.len > PP_CLIENT_SUBJECT_MAX)
        return PIPIT_ETOOBIG;
    err = sub_new(client, subject_text, queue_text, &sub);
    if (err)
        return err;
    sub->callback = callback;
    sub->context = context;
    sub->internal = internal;
    (void)pthread_mutex_lock(&client->lock);
    err = client->ended || client->closing ? PIPIT_ECLOSED : list_locked(client, sub);
    if (!err) {
        *out_sub = sub; /* a callback may want it before this returns */
        pp_list_append(&client->subs, &sub->link);
        err = tell_locked(client, sub, subject_text, queue_text);
        if (err) {
            pp_list_remove(&sub->link);
            unlist_locked(client, sub);
        }
    }
    (void)pthread_mutex_unlock(&client->lock);
    if (err)
        free_sub(sub);
    return err;
}

pipit_err pipit_client_subscribe(pipit_client *client, const char *subject, const char *queue,
                                 pipit_sub_fn callback, void *context, pipit_sub **out_sub)
{
    return pp_client_subscribe(client, subject, queue, callback, context, false, out_sub);
}

pipit_err pp_client_resubscribe_locked(pipit_client *client, pp_buf *out)
{
    pipit_err err = PIPIT_OK;

    for (pp_link *at = client->subs.next; !err && at != &client->subs; at = at->next) {
        pipit_sub *sub = PP_CONTAINER(at, pipit_sub, link);

        if (!sub->listed)
            continue;
        err = pp_frame_sub(out, pp_str_of(sub->subject), pp_str_of(sub->queue), sub->sid);
        if (!err && sub->max)
            err = pp_frame_unsub(out, sub->sid, sub->max - sub->delivered);
        else if (!err && sub->drain_mark)
            err = pp_frame_unsub(out, sub->sid, 0);
    }
    return err;
}

/* --- ending ------------------------------------------------------------------------------- */

/* UNSUB, if there is a connection that has heard of it. */
static pipit_err tell_end_locked(pipit_client *client, pipit_sub *sub, uint64_t max)
{
    pipit_err err;

    if (client->lodger || !sub->listed ||
        (client->state != PIPIT_CLIENT_CONNECTED && client->state != PIPIT_CLIENT_DRAINING))
        return PIPIT_OK;
    err = pp_frame_unsub(&client->staged, sub->sid, max); /* small, so it need not wait for room */
    if (!err && client->asleep)
        pp_client_wake_locked(client);
    return err;
}

static void unhost_locked(pipit_client *client, pipit_sub *sub)
{
    if (client->lodger)
        pp_lodger_unsubscribe(client->lodger, sub->hosted);
    sub->hosted = NULL;
}

pipit_err pipit_sub_end_after(pipit_sub *sub, uint64_t max)
{
    pipit_client *client = sub->client;
    pipit_err err = PIPIT_OK;

    if (!max)
        return PIPIT_EINVAL;
    (void)pthread_mutex_lock(&client->lock);
    if (client->ended || client->closing) {
        err = PIPIT_ECLOSED;
    } else if (sub->listed) {
        if (sub->delivered < max)
            err = tell_end_locked(client, sub, max);
        else
            err = tell_end_locked(client, sub, 0);
        if (!err) {
            sub->max = max;
            atomic_store(&client->sub_changes, atomic_load(&client->sub_changes) + 1);
            if (sub->delivered >= max) {
                unhost_locked(client, sub);
                unlist_locked(client, sub);
            }
        }
    }
    (void)pthread_mutex_unlock(&client->lock);
    return err;
}

static pipit_err drain_locked(pipit_client *client, pipit_sub *sub)
{
    pipit_err err;

    if (!sub->listed || sub->drain_mark)
        return PIPIT_OK;
    err = tell_end_locked(client, sub, 0);
    if (err)
        return err;
    unhost_locked(client, sub);
    sub->drain_mark = ++client->flushes_asked;
    pp_client_wake_locked(client);
    return PIPIT_OK;
}

pipit_err pipit_sub_drain(pipit_sub *sub)
{
    pipit_client *client = sub->client;
    pipit_err err;

    (void)pthread_mutex_lock(&client->lock);
    err = client->ended || client->closing ? PIPIT_ECLOSED : drain_locked(client, sub);
    (void)pthread_mutex_unlock(&client->lock);
    return err;
}

void pp_client_drain_subs_locked(pipit_client *client)
{
    for (pp_link *at = client->subs.next; at != &client->subs; at = at->next) {
        pipit_sub *sub = PP_CONTAINER(at, pipit_sub, link);

        if (!sub->internal)
            (void)drain_locked(client, sub); /* no memory: it ends with the client */
    }
}

void pp_client_end_drained_locked(pipit_client *client)
{
    for (pp_link *at = client->subs.next; at != &client->subs; at = at->next) {
        pipit_sub *sub = PP_CONTAINER(at, pipit_sub, link);

        if (sub->drain_mark && sub->drain_mark <= client->flushed)
            unlist_locked(client, sub);
    }
}

void pp_client_end_all_locked(pipit_client *client)
{
    for (pp_link *at = client->subs.next; at != &client->subs; at = at->next) {
        pipit_sub *sub = PP_CONTAINER(at, pipit_sub, link);

        unhost_locked(client, sub);
        unlist_locked(client, sub);
    }
}

void pipit_sub_end(pipit_sub *sub)
{
    pipit_client *client;
    bool free_it = true;

    if (!sub)
        return;
    client = sub->client;
    (void)pthread_mutex_lock(&client->lock);
    (void)tell_end_locked(client, sub, 0); /* without memory it is heard on, for nobody */
    unhost_locked(client, sub);
    unlist_locked(client, sub);
    atomic_store(&client->sub_changes, atomic_load(&client->sub_changes) + 1);
    if (client->running == sub && pp_client_in_callback_locked(client)) {
        sub->freed = true; /* when the callback has returned */
        free_it = false;
    }
    client->waiting++;
    while (free_it && client->running == sub) {
        pp_client_wake_locked(client); /* it may be resting, with this as the last it ran */
        (void)pp_client_wait_locked(client, &client->changed, INT64_MAX);
    }
    client->waiting--;
    pp_list_remove(&sub->link);
    (void)pthread_mutex_unlock(&client->lock);
    if (free_it)
        free_sub(sub);
}

void pp_client_free_subs(pipit_client *client)
{
    while (!pp_list_empty(&client->subs)) {
        pipit_sub *sub = PP_CONTAINER(client->subs.next, pipit_sub, link);

        pp_list_remove(&sub->link);
        free_sub(sub);
    }
    pp_free(client->sids);
}

/* --- the ones without callback ------------------------------------------------------------ */

static pipit_msg *take_locked(pipit_sub *sub)
{
    struct pp_held *held = sub->first;
    pipit_msg *msg = held->msg;

    sub->first = held->next;
    sub->held_count--;
    sub->held_bytes -= held->bytes;
    sub->missing = false;
    pp_free(held);
    return msg;
}

pipit_err pipit_sub_next(pipit_sub *sub, int64_t timeout_ms, pipit_msg **out_msg)
{
    pipit_client *client = sub->client;
    int64_t deadline =
        timeout_ms < 0 ? INT64_MAX : pp_clock_mono_ns() + pp_client_ms_to_ns(timeout_ms);
    pipit_err err = PIPIT_OK;

    if (sub->callback)
        return PIPIT_EINVAL;
    (void)pthread_mutex_lock(&client->lock);
    while (!err && !sub->first) {
        if (!sub->listed)
            err = client->ended ? PIPIT_ECLOSED : PIPIT_ENOTFOUND;
        else if (pp_client_in_callback_locked(client))
            err = timeout_ms ? PIPIT_EINUSE : PIPIT_ETIMEOUT;
        else
            err = pp_client_wait_locked(client, &sub->arrived, deadline);
    }
    if (!err)
        *out_msg = take_locked(sub);
    (void)pthread_mutex_unlock(&client->lock);
    return err;
}

pipit_client *pipit_sub_client(const pipit_sub *sub)
{
    return sub->client;
}

uint64_t pipit_sub_missed(const pipit_sub *sub)
{
    pipit_client *client = sub->client;
    uint64_t missed;

    (void)pthread_mutex_lock(&client->lock);
    missed = sub->missed;
    (void)pthread_mutex_unlock(&client->lock);
    return missed;
}

size_t pipit_sub_pending(const pipit_sub *sub)
{
    pipit_client *client = sub->client;
    size_t pending;

    (void)pthread_mutex_lock(&client->lock);
    pending = sub->held_count;
    (void)pthread_mutex_unlock(&client->lock);
    return pending;
}
