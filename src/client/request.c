/* Asking: one subscription hears all answers; the last token of a reply subject says whose it is.
 */
#include "client/client.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { REQUESTS_MAX = 65536, TOKEN_MAX = 16, REPLY_MAX = 128 };

static_assert(PP_INBOX_BYTES + TOKEN_MAX <= REPLY_MAX, "a reply subject");

/* --- the table ---------------------------------------------------------------------------- */

static bool grow_locked(pipit_client *client)
{
    uint32_t count = client->slot_count ? 2 * client->slot_count : 8;
    struct pp_request_slot *grown = pp_realloc(client->slots, count * sizeof(*grown));

    if (!grown)
        return false;
    for (uint32_t i = client->slot_count; i < count; i++) {
        grown[i] = (struct pp_request_slot){.next_free = client->free_slot};
        client->free_slot = i + 1;
    }
    client->slots = grown;
    client->slot_count = count;
    return true;
}

static pipit_err enter_locked(pipit_client *client, pipit_request *request)
{
    struct pp_request_slot *slot;
    pipit_err err;

    if (client->request_count >= REQUESTS_MAX)
        return PIPIT_ELIMIT;
    err = pp_timers_reserve(&client->timers, client->request_count + 2);
    if (err)
        return err;
    if (!client->free_slot && !grow_locked(client))
        return PIPIT_ENOMEM;
    slot = &client->slots[client->free_slot - 1];
    request->id = (uint64_t)++slot->round << 32 | (client->free_slot - 1);
    client->free_slot = slot->next_free;
    slot->request = request;
    client->request_count++;
    return PIPIT_OK;
}

static pipit_request *find_locked(const pipit_client *client, uint64_t id)
{
    uint32_t at = (uint32_t)id;

    if (at >= client->slot_count || client->slots[at].round != id >> 32)
        return NULL;
    return client->slots[at].request;
}

static void leave_locked(pipit_client *client, pipit_request *request)
{
    struct pp_request_slot *slot = &client->slots[(uint32_t)request->id];

    PP_ASSERT(slot->request == request);
    slot->request = NULL;
    slot->next_free = client->free_slot;
    client->free_slot = (uint32_t)request->id + 1;
    client->request_count--;
    pp_timer_cancel(&client->timers, &request->timer);
}

/* --- answers ------------------------------------------------------------------------------ */

static void call(pipit_client *client, pipit_request *request, pipit_err err, const pipit_msg *msg)
{
    client->answered = request;
    request->callback(request->context, request, err, msg);
    client->answered = NULL;
}

/* The last call; it is in the table no more. */
static void finish(pipit_client *client, pipit_request *request, pipit_err err)
{
    if (!request->cancelled)
        call(client, request, err, NULL);
    pp_free(request);
}

static int64_t next_deadline(const pipit_request *request, int64_t now_ns)
{
    int64_t gap_end = request->gap_ns ? now_ns + request->gap_ns : INT64_MAX;

    return gap_end < request->deadline_ns ? gap_end : request->deadline_ns;
}

/* One more answer. Under the lock; true: it is the last. */
static bool count_locked(pipit_client *client, pipit_request *request)
{
    request->answers++;
    if (request->replies_max && request->answers >= request->replies_max) {
        leave_locked(client, request);
        return true;
    }
    if (request->gap_ns)
        pp_timer_set(&client->timers, &request->timer, next_deadline(request, pp_clock_mono_ns()),
                     NULL);
    return false;
}

/* What the last token of the subject says behind its mark, if it has one: a number in hexadecimal.
 */
static bool parse_id(const pipit_client *client, const pipit_msg *msg, size_t mark, uint64_t *out)
{
    size_t at = strlen(client->inbox) + mark;

    *out = 0;
    if (msg->subject_bytes <= at || msg->subject_bytes - at > TOKEN_MAX)
        return false;
    for (; at < msg->subject_bytes; at++) {
        char c = msg->subject[at];
        unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;

        if (digit > 15)
            return false;
        *out = *out << 4 | digit;
    }
    return true;
}

static void on_answer(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    pipit_client *client = context;
    bool nobody = !msg->payload_bytes && pipit_msg_status(msg) == 503, last = false;
    pipit_request *request;
    uint64_t id;

    (void)sub;
    if (!parse_id(client, msg, 0, &id)) {
        if (parse_id(client, msg, 1, &id) && msg->subject[strlen(client->inbox)] == PP_CLAIM_MARK)
            pp_client_reclaimed(client, id, msg);
        return;
    }
    (void)pthread_mutex_lock(&client->lock);
    request = find_locked(client, id);
    if (request && nobody)
        leave_locked(client, request);
    else if (request)
        last = count_locked(client, request);
    (void)pthread_mutex_unlock(&client->lock);
    if (!request)
        return; /* it was too late */
    if (nobody) {
        finish(client, request, PIPIT_ENOTFOUND);
        return;
    }
    call(client, request, PIPIT_OK, msg);
    if (last)
        finish(client, request, PIPIT_OK);
    else if (request->cancelled)
        pp_free(request);
}

bool pp_client_late_request(pipit_client *client, int64_t now_ns)
{
    pipit_request *request = NULL;
    bool satisfied = false;

    (void)pthread_mutex_lock(&client->lock);
    if (pp_timers_next_ns(&client->timers) <= now_ns) {
        request = PP_CONTAINER(client->timers.heap[0], pipit_request, timer);
        satisfied = request->answers && now_ns < request->deadline_ns;
        leave_locked(client, request);
    }
    (void)pthread_mutex_unlock(&client->lock);
    if (request)
        finish(client, request,
               satisfied || (request->answers && !request->replies_max) ? PIPIT_OK
                                                                        : PIPIT_ETIMEOUT);
    return request != NULL;
}

void pp_client_end_requests(pipit_client *client, pipit_err err)
{
    for (uint32_t i = 0; i < client->slot_count; i++) {
        pipit_request *request;

        (void)pthread_mutex_lock(&client->lock);
        request = client->slots[i].request;
        if (request)
            leave_locked(client, request);
        (void)pthread_mutex_unlock(&client->lock);
        if (request)
            finish(client, request, err);
    }
}

/* --- asking ------------------------------------------------------------------------------- */

/* The one subscription, made when it is needed first. */
static pipit_err open_inbox(pipit_client *client)
{
    char pattern[PP_INBOX_BYTES + 2];
    pipit_sub *sub, *twice = NULL;
    pipit_err err;
    bool there;

    (void)pthread_mutex_lock(&client->lock);
    there = client->inbox_sub != NULL;
    (void)pthread_mutex_unlock(&client->lock);
    if (there)
        return PIPIT_OK;
    (void)snprintf(pattern, sizeof(pattern), "%s*", client->inbox);
    err = pp_client_subscribe(client, pattern, NULL, on_answer, client, true, &sub);
    if (err)
        return err;
    (void)pthread_mutex_lock(&client->lock);
    if (client->inbox_sub)
        twice = sub; /* another thread was quicker */
    else
        client->inbox_sub = sub;
    (void)pthread_mutex_unlock(&client->lock);
    pipit_sub_end(twice);
    return PIPIT_OK;
}

static pipit_err begin_locked(pipit_client *client, pipit_request *request, char reply[REPLY_MAX])
{
    pipit_err err =
        client->closing || client->ended ? PIPIT_ECLOSED : enter_locked(client, request);

    if (err)
        return err;
    (void)snprintf(reply, REPLY_MAX, "%s%" PRIx64, client->inbox, request->id);
    pp_timer_set(&client->timers, &request->timer, request->deadline_ns, NULL);
    if (client->asleep)
        pp_client_wake_locked(client); /* it sleeps for longer, perhaps */
    return PIPIT_OK;
}

pipit_err pipit_client_request_start(pipit_client *client, const pipit_msg *msg,
                                     uint32_t replies_max, int64_t timeout_ms, int64_t gap_ms,
                                     pipit_request_fn callback, void *context,
                                     pipit_request **out_request)
{
    pipit_msg asked = *msg;
    pipit_request *request;
    char reply[REPLY_MAX];
    uint64_t id;
    pipit_err err;

    if (!callback || timeout_ms < 0 || gap_ms < 0)
        return PIPIT_EINVAL;
    err = open_inbox(client);
    if (err)
        return err;
    request = pp_calloc(1, sizeof(*request));
    if (!request)
        return PIPIT_ENOMEM;
    request->client = client;
    request->replies_max = replies_max;
    request->deadline_ns = pp_clock_mono_ns() + pp_client_ms_to_ns(timeout_ms);
    request->gap_ns = pp_client_ms_to_ns(gap_ms);
    request->callback = callback;
    request->context = context;
    (void)pthread_mutex_lock(&client->lock);
    err = begin_locked(client, request, reply);
    id = request->id;
    if (!err && out_request)
        *out_request = request; /* it may be over before this returns */
    (void)pthread_mutex_unlock(&client->lock);
    if (err) {
        pp_free(request);
        return err;
    }
    asked.reply = reply;
    asked.reply_bytes = strlen(reply);
    err = pipit_client_publish_msg(client, &asked);
    if (!err)
        return PIPIT_OK;
    (void)pthread_mutex_lock(&client->lock);
    request = find_locked(client, id); /* unless its time was over */
    if (request)
        leave_locked(client, request);
    (void)pthread_mutex_unlock(&client->lock);
    pp_free(request);
    return request ? err : PIPIT_OK;
}

void pipit_request_cancel(pipit_request *request)
{
    pipit_client *client = request->client;

    (void)pthread_mutex_lock(&client->lock);
    if (find_locked(client, request->id) == request)
        leave_locked(client, request);
    request->cancelled = true;
    (void)pthread_mutex_unlock(&client->lock);
    if (client->answered != request)
        pp_free(request);
}

/* --- asking and waiting ------------------------------------------------------------------- */

struct wait {
    pipit_client *client;
    void (*heard)(void *context, const pipit_msg *answer);
    void *context;
    pipit_msg *msg;
    pipit_err err;
    bool done; /* under the lock */
};

static void on_waited_for(void *context, pipit_request *request, pipit_err err,
                          const pipit_msg *msg)
{
    struct wait *wait = context;

    (void)request;
    if (msg) {
        wait->msg = pipit_msg_copy(msg);
        if (wait->heard)
            wait->heard(wait->context, msg);
        return;
    }
    (void)pthread_mutex_lock(&wait->client->lock);
    wait->err = err ? err : wait->msg ? PIPIT_OK : PIPIT_ENOMEM;
    wait->done = true;
    (void)pthread_cond_broadcast(&wait->client->changed);
    (void)pthread_mutex_unlock(&wait->client->lock);
}

pipit_err pp_client_ask(pipit_client *client, const pipit_msg *msg, int64_t timeout_ms,
                        void (*heard)(void *context, const pipit_msg *answer), void *context,
                        pipit_msg **out_reply)
{
    struct wait wait = {.client = client, .heard = heard, .context = context};
    bool inside;
    pipit_err err;

    (void)pthread_mutex_lock(&client->lock);
    inside = pp_client_in_callback_locked(client);
    (void)pthread_mutex_unlock(&client->lock);
    if (inside)
        return PIPIT_EINUSE;
    err = pipit_client_request_start(client, msg, 1, timeout_ms, 0, on_waited_for, &wait, NULL);
    if (err)
        return err;
    (void)pthread_mutex_lock(&client->lock);
    while (!wait.done)
        (void)pp_client_wait_locked(client, &client->changed, INT64_MAX);
    (void)pthread_mutex_unlock(&client->lock);
    if (wait.err)
        pipit_msg_free(wait.msg);
    else
        *out_reply = wait.msg;
    return wait.err;
}

pipit_err pipit_client_request(pipit_client *client, const char *subject, const void *payload,
                               size_t payload_bytes, int64_t timeout_ms, pipit_msg **out_reply)
{
    const pipit_msg msg = {
        .subject = subject,
        .subject_bytes = subject ? strlen(subject) : 0,
        .payload = payload,
        .payload_bytes = payload_bytes,
    };

    return pp_client_ask(client, &msg, timeout_ms, NULL, NULL, out_reply);
}
