/* Publishing: over a wire into the staged frames, over memory straight to the recipients. */
#include "client/client.h"

#include "base/assert.h"
#include "base/clock.h"
#include "client/frame.h"
#include "core/subject.h"

#include <string.h>

enum { FRAME_EXTRA = 64 };

bool pp_client_text_valid(pp_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
            return false;
    }
    return text.len && pp_subject_literal(text);
}

static bool header_valid(const pipit_msg *msg)
{
    const char *header = msg->header;

    return msg->header_bytes >= 12 && memcmp(header, "NATS/1.0", 8) == 0 &&
           memcmp(header + msg->header_bytes - 4, "\r\n\r\n", 4) == 0;
}

static bool texts_valid(const pipit_msg *msg)
{
    return pp_client_text_valid((pp_str){msg->subject, msg->subject_bytes}) &&
           (!msg->reply_bytes || pp_client_text_valid((pp_str){msg->reply, msg->reply_bytes}));
}

static bool same_texts(const pipit_msg *a, const pipit_msg *b)
{
    return a->subject == b->subject && a->subject_bytes == b->subject_bytes &&
           a->reply == b->reply && a->reply_bytes == b->reply_bytes;
}

/* before: a message that is known to be good, or NULL. */
static pipit_err check(pipit_client *client, const pipit_msg *msg, const pipit_msg *before)
{
    int64_t most = atomic_load_explicit(&client->max_payload, memory_order_relaxed);

    if (!(before && same_texts(before, msg)) && !texts_valid(msg))
        return PIPIT_EINVAL;
    if (msg->subject_bytes > PP_CLIENT_SUBJECT_MAX || msg->reply_bytes > PP_CLIENT_SUBJECT_MAX ||
        msg->payload_bytes > PP_FEED_DATA_MAX || msg->header_bytes > PP_FEED_DATA_MAX ||
        (most > 0 && msg->payload_bytes + msg->header_bytes > (uint64_t)most))
        return PIPIT_ETOOBIG;
    if (msg->header_bytes && !header_valid(msg))
        return PIPIT_EINVAL;
    if (msg->header_bytes && most && !atomic_load(&client->takes_headers))
        return PIPIT_EINVAL;
    return PIPIT_OK;
}

static bool has_room(const pipit_client *client, size_t bytes)
{
    size_t used = client->staged.len + client->unsent;

    return !used || used + bytes <= client->pending_max;
}

pipit_err pp_client_reserve_locked(pipit_client *client, size_t bytes)
{
    int64_t deadline = 0;
    pipit_err err;

    while (!has_room(client, bytes)) {
        if (client->ended || client->closing)
            return PIPIT_ECLOSED;
        /* Without a connection nobody knows how long it would be. */
        if (client->no_wait || pp_client_in_callback_locked(client) ||
            (client->state != PIPIT_CLIENT_CONNECTED && client->state != PIPIT_CLIENT_DRAINING))
            return PIPIT_EAGAIN;
        if (!deadline)
            deadline = pp_clock_mono_ns() + client->publish_wait_ns;
        pp_client_wake_locked(client);
        err = pp_client_wait_locked(client, &client->room, deadline);
        if (err)
            return err == PIPIT_ETIMEOUT ? PIPIT_EAGAIN : err;
    }
    return client->ended || client->closing ? PIPIT_ECLOSED : PIPIT_OK;
}

static pipit_err stage_locked(pipit_client *client, const pipit_msg *msg)
{
    size_t data = msg->header_bytes + msg->payload_bytes;
    pipit_err err = pp_client_reserve_locked(client, msg->subject_bytes + msg->reply_bytes + data +
                                                         FRAME_EXTRA);

    if (!err)
        err = pp_frame_pub(&client->staged, msg);
    if (err)
        return err;
    client->stats.out_msgs++;
    client->stats.out_bytes += data;
    return PIPIT_OK;
}

/* *out_staged is how many have been: all, if there is no error. */
static pipit_err stage(pipit_client *client, const pipit_msg *msgs, size_t count,
                       size_t *out_staged)
{
    pipit_err wrong = PIPIT_OK, err = PIPIT_OK;
    size_t good = 0, staged = 0;

    for (; good < count && !wrong; good += !wrong)
        wrong = check(client, &msgs[good], good ? &msgs[good - 1] : NULL);
    (void)pthread_mutex_lock(&client->lock);
    for (; staged < good && !err; staged += !err)
        err = stage_locked(client, &msgs[staged]);
    if (staged && client->asleep)
        pp_client_wake_locked(client);
    (void)pthread_mutex_unlock(&client->lock);
    *out_staged = staged;
    return err ? err : wrong;
}

/* Over memory nobody says later that there is nobody: the asker, and nobody else who hears its
 * reply subject, is told by a message like the server's. */
static void say_nobody(pipit_client *client, const pipit_msg *msg)
{
    static const char header[] = "NATS/1.0 503\r\n\r\n";
    const pipit_msg answer = {
        .subject = msg->reply,
        .subject_bytes = msg->reply_bytes,
        .header = header,
        .header_bytes = sizeof(header) - 1,
    };

    pp_lodger_answer_itself(client->lodger, &answer);
}

/* There was no room at once, which is err, or there is nobody. */
static __attribute__((noinline)) pipit_err
hand_over_late(pipit_client *client, const pipit_msg *msg, pipit_err err, bool nobody)
{
    int64_t wait = client->no_wait ? 0 : client->publish_wait_ns;

    if (err == PIPIT_EAGAIN && wait) {
        (void)pthread_mutex_lock(&client->lock);
        if (pp_client_in_callback_locked(client) || client->own_loop)
            wait = -1; /* the recipient may be this very thread */
        (void)pthread_mutex_unlock(&client->lock);
        err = pp_lodger_publish(client->lodger, msg, wait, &nobody);
    }
    if (!err && nobody && msg->reply_bytes)
        say_nobody(client, msg);
    return err;
}

static pipit_err hand_over(pipit_client *client, const pipit_msg *msg)
{
    bool nobody = false;
    pipit_err err;

    if (PP_UNLIKELY(atomic_load_explicit(&client->closing, memory_order_relaxed)))
        return PIPIT_ECLOSED;
    err = pp_lodger_publish(client->lodger, msg, 0, &nobody);
    return PP_LIKELY(!err && !nobody) ? PIPIT_OK : hand_over_late(client, msg, err, nobody);
}

/* Runs of plain messages, and each other one by itself. */
static pipit_err hand_over_many(pipit_client *client, const pipit_msg *msgs, size_t count,
                                size_t *out_done)
{
    pipit_err err = PIPIT_OK;
    size_t done = 0, run;

    while (done < count && !err) {
        run = 0;
        if (!atomic_load_explicit(&client->closing, memory_order_relaxed))
            run = pp_lodger_publish_run(client->lodger, &msgs[done], count - done);
        done += run;
        if (run)
            continue;
        err = hand_over(client, &msgs[done]);
        done += !err;
    }
    *out_done = done;
    return err;
}

pipit_err pipit_client_publish_msg(pipit_client *client, const pipit_msg *msg)
{
    size_t staged;

    return client->server ? hand_over(client, msg) : stage(client, msg, 1, &staged);
}

pipit_err pipit_client_publish_many(pipit_client *client, const pipit_msg *msgs, size_t count,
                                    size_t *out_published)
{
    size_t done;
    pipit_err err;

    err = client->server ? hand_over_many(client, msgs, count, &done)
                         : stage(client, msgs, count, &done);
    if (out_published)
        *out_published = done;
    return err;
}

pipit_err pipit_client_publish(pipit_client *client, const char *subject, const char *reply,
                               const void *payload, size_t payload_bytes)
{
    const pipit_msg msg = {
        .subject = subject,
        .subject_bytes = subject ? strlen(subject) : 0,
        .reply = reply,
        .reply_bytes = reply ? strlen(reply) : 0,
        .payload = payload,
        .payload_bytes = payload_bytes,
    };

    return pipit_client_publish_msg(client, &msg);
}

pipit_err pipit_client_respond(pipit_client *client, const pipit_msg *to, const void *payload,
                               size_t payload_bytes)
{
    const pipit_msg msg = {
        .subject = to->reply,
        .subject_bytes = to->reply_bytes,
        .payload = payload,
        .payload_bytes = payload_bytes,
    };

    return pipit_client_publish_msg(client, &msg);
}
