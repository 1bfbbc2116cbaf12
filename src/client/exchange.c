/* What a client sends and reads by a wire. Thread: who drives. */
#include "client/driver.h"

#include "base/assert.h"
#include "base/clock.h"

#include <stdio.h>
#include <string.h>

enum {
    READ_BYTES = 64 * 1024,
    READS_PER_TURN = 16,
    IN_KEPT_MAX = 1024 * 1024, /* a larger read buffer is given back */
};

/* --- sending ------------------------------------------------------------------------------ */

/* Behind all that has been staged so far, ask for the PONG that says that it was seen. */
static void ask_flush_locked(pipit_client *client)
{
    if (client->flushes_asked == client->flushed || client->flush_ping || client->staged.len)
        return;
    if (pp_dialog_ping(&client->dialog))
        return; /* later */
    client->flush_ping = client->dialog.pings;
    client->flush_mark = client->flushes_asked;
}

/* Take over what others have staged. */
static void collect(pipit_client *client)
{
    pp_buf *said = &client->dialog.out;

    (void)pthread_mutex_lock(&client->lock);
    if (client->sent == client->sending.len) {
        pp_buf emptied = client->sending;

        client->sending = client->staged;
        emptied.len = 0;
        client->staged = emptied;
        client->sent = 0;
    }
    ask_flush_locked(client);
    if (said->len && !pp_buf_add(&client->sending, said->ptr, said->len))
        said->len = 0;
    client->unsent = client->sending.len - client->sent;
    if (client->waiting)
        (void)pthread_cond_broadcast(&client->room);
    (void)pthread_mutex_unlock(&client->lock);
}

/* Send bytes as far as the socket takes them. */
static pipit_err push(pipit_client *client, const pp_buf *bytes)
{
    pipit_err err = PIPIT_OK;
    size_t sent;

    while (!err && client->sent < bytes->len) {
        err = pp_wire_send(&client->wire, bytes->ptr + client->sent, bytes->len - client->sent,
                           &sent);
        client->sent += sent;
    }
    if (!err && client->wire.wants_room)
        err = pp_wire_send(&client->wire, NULL, 0, &sent); /* what frames have kept back */
    return err;
}

void pp_client_send_out(pipit_client *client)
{
    pipit_err err;

    if (client->wire.fd < 0 || client->wire.wants_step)
        return;
    if (client->dialog.state != PP_DIALOG_READY) {
        err = push(client, &client->dialog.out);
        if (!err)
            client->dialog.out.len = client->sent = 0;
    } else {
        do {
            collect(client);
            err = push(client, &client->sending);
        } while (!err && client->sending.len); /* more has come meanwhile, perhaps */
    }
    if (err && err != PIPIT_EAGAIN)
        pp_client_lose(client, err);
}

/* --- reading ------------------------------------------------------------------------------ */

static void on_told(pipit_client *client)
{
    const pp_greeting *greeting = &client->dialog.greeting;
    bool fresh = false;

    atomic_store(&client->max_payload, greeting->max_payload);
    atomic_store(&client->takes_headers, greeting->headers);
    for (size_t i = 0; i < greeting->url_count && !client->ignore_discovered; i++)
        fresh |=
            pp_servers_discover(&client->servers, greeting->urls[i], client->server_entry->remote);
    if (fresh)
        pp_client_emit(client, PIPIT_EVENT_SERVERS, "");
    if (greeting->lame_duck)
        pp_client_emit(client, PIPIT_EVENT_LAME_DUCK, "");
}

static void on_pong(pipit_client *client)
{
    if (!client->flush_ping || client->dialog.pongs < client->flush_ping)
        return;
    client->flush_ping = 0;
    (void)pthread_mutex_lock(&client->lock);
    client->flushed = client->flush_mark;
    pp_client_end_drained_locked(client);
    (void)pthread_cond_broadcast(&client->changed);
    (void)pthread_mutex_unlock(&client->lock);
}

static void on_message(pipit_client *client, const pp_feed_op *op)
{
    const pipit_msg msg = {
        .subject = op->subject.ptr,
        .subject_bytes = op->subject.len,
        .reply = op->reply.ptr,
        .reply_bytes = op->reply.len,
        .header = op->header.len ? op->header.ptr : NULL,
        .header_bytes = op->header.len,
        .payload = op->payload.ptr,
        .payload_bytes = op->payload.len,
    };

    pp_client_deliver(client, op->sid, &msg);
}

static pipit_err on_event(pipit_client *client, pp_dialog_event event, const pp_feed_op *op)
{
    char text[256];

    switch (event) {
    case PP_DIALOG_MSG:
        on_message(client, op);
        return PIPIT_OK;
    case PP_DIALOG_PONGED:
        on_pong(client);
        return PIPIT_OK;
    case PP_DIALOG_OPEN:
        return pp_client_opened(client);
    case PP_DIALOG_SECURE:
        return pp_wire_secure(&client->wire);
    case PP_DIALOG_TOLD:
        on_told(client);
        return PIPIT_OK;
    case PP_DIALOG_REFUSED:
        (void)snprintf(text, sizeof(text), "%.*s", (int)(op->text.len < 250 ? op->text.len : 250),
                       op->text.ptr);
        pp_client_emit(client, PIPIT_EVENT_ERROR, text);
        return PIPIT_OK;
    case PP_DIALOG_QUIET:
        return PIPIT_OK;
    }
    pp_panic("dialog event %d", (int)event);
}

/* Go through what has been read. */
static pipit_err digest(pipit_client *client, int64_t now_ns)
{
    size_t at = 0, used = 0;
    pp_dialog_event event;
    pp_feed_op op;
    pipit_err err = PIPIT_OK;

    while (!err && !atomic_load_explicit(&client->closing, memory_order_relaxed)) {
        err = pp_dialog_read(&client->dialog, (pp_str){client->in.ptr + at, client->in.len - at},
                             now_ns, &op, &event, &used);
        if (err)
            break;
        at += used;
        err = on_event(client, event, &op);
    }
    memmove(client->in.ptr, client->in.ptr + at, client->in.len - at);
    client->in.len -= at;
    return err == PIPIT_EAGAIN ? PIPIT_OK : err;
}

/* Room to read into; a large one is not kept when it is empty. */
static pipit_err make_room(pipit_client *client)
{
    pp_buf *in = &client->in;

    if (!in->len && in->cap > IN_KEPT_MAX) {
        pp_buf_fini(in);
        pp_buf_init(in, PP_FEED_LINE_MAX + PP_FEED_DATA_MAX + READ_BYTES);
    }
    if (in->cap - in->len >= READ_BYTES / 2)
        return PIPIT_OK;
    return pp_buf_reserve(in, READ_BYTES);
}

void pp_client_read_in(pipit_client *client)
{
    int64_t now_ns = pp_clock_mono_ns();
    pipit_err err = PIPIT_OK;
    size_t got;

    client->more = false;
    for (unsigned i = 0; !err && i < READS_PER_TURN; i++) {
        err = make_room(client);
        if (!err)
            err = pp_wire_receive(&client->wire, client->in.ptr + client->in.len,
                                  client->in.cap - client->in.len, &got);
        if (err)
            break;
        client->in.len += got;
        err = digest(client, now_ns);
        if (client->wire.fd < 0 || client->wire.wants_step || client->closing)
            break;
        client->more = i + 1 == READS_PER_TURN;
    }
    if (err && err != PIPIT_EAGAIN && client->wire.fd >= 0)
        pp_client_lose(client, err);
    else if (client->wire.fd >= 0 && client->wire.wants_step)
        pp_client_go_on_connecting(client);
}
