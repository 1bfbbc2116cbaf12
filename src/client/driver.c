/* Driving: connecting, sending, reading, timers. Everything here runs on one thread at a time.
 *
 *             [open_next]            [on_ready]                    [lose]
 *   waiting ------------> wire open ----------> dialog ... OPEN -----------> waiting
 *      ^                      |                   |                             |
 *      +----------------------+-- [lose] ---------+          no more tries --> [finish] */
#include "client/client.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "client/frame.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    READ_BYTES = 64 * 1024,
    READS_PER_TURN = 16,
    IN_KEPT_MAX = 1024 * 1024, /* a larger read buffer is given back */
    RECORDS_PER_TURN = 4096,
    SPIN_MIN_NS = 1000,
    SPIN_MAX_NS = 50000,
    PAUSES = 8, /* a few hundred ns at most */
};

/* --- who drives --------------------------------------------------------------------------- */

bool pp_client_take_wheel_locked(pipit_client *client)
{
    if (client->driven)
        return false;
    client->driven = true;
    client->driver = pthread_self();
    return true;
}

void pp_client_leave_wheel_locked(pipit_client *client)
{
    client->driven = false;
    if (client->waiting)
        (void)pthread_cond_broadcast(&client->changed); /* one of them may go on */
}

bool pp_client_in_callback_locked(const pipit_client *client)
{
    return client->driven && pthread_equal(client->driver, pthread_self());
}

void pp_client_wake_locked(pipit_client *client)
{
    uint64_t one = 1;

    client->woken = true;
    if (!client->asleep)
        return;
    client->asleep = false;
    (void)!write(client->wake_fd, &one, sizeof(one)); /* full: it is readable anyway */
}

pipit_err pp_client_wait_locked(pipit_client *client, pthread_cond_t *cond, int64_t deadline_ns)
{
    const int64_t slice_ns = 10 * PP_NS_PER_MS; /* who drives may stop without a word */
    int64_t now = pp_clock_mono_ns(), until = deadline_ns;

    if (now >= deadline_ns)
        return PIPIT_ETIMEOUT;
    if (client->own_loop && !client->ended && pp_client_take_wheel_locked(client)) {
        (void)pthread_mutex_unlock(&client->lock);
        (void)pp_client_turn(client, deadline_ns == INT64_MAX ? -1 : deadline_ns - now);
        pp_client_watch_for_work(client);
        (void)pthread_mutex_lock(&client->lock);
        pp_client_leave_wheel_locked(client);
        return PIPIT_OK;
    }
    if (client->own_loop && until > now + slice_ns)
        until = now + slice_ns;
    client->waiting++;
    if (until == INT64_MAX) {
        (void)pthread_cond_wait(cond, &client->lock);
    } else {
        struct timespec at = {until / PP_NS_PER_S, until % PP_NS_PER_S};

        (void)pthread_cond_timedwait(cond, &client->lock, &at);
    }
    client->waiting--;
    return PIPIT_OK;
}

void pp_client_emit(pipit_client *client, pipit_event event, const char *text)
{
    if (client->on_event)
        client->on_event(client->event_context, client, event, text);
}

/* --- the end ------------------------------------------------------------------------------ */

static void unwatch(pipit_client *client)
{
    if (client->watched)
        (void)epoll_ctl(client->epoll_fd, EPOLL_CTL_DEL, client->wire.fd, NULL);
    client->watched = 0;
}

static void close_wire(pipit_client *client)
{
    unwatch(client);
    pp_wire_close(&client->wire);
    client->in.len = 0;
    client->more = false;
    client->flush_ping = 0;
}

static void finish(pipit_client *client, pipit_err err)
{
    pp_client_rest(client);
    close_wire(client);
    (void)pthread_mutex_lock(&client->lock);
    atomic_store(&client->closing, true);
    client->end_err = err;
    client->state = PIPIT_CLIENT_CLOSED;
    pp_client_end_all_locked(client);
    (void)pthread_mutex_unlock(&client->lock);
    if (client->port) { /* publishers need not wait for it; what it has counted may be asked for */
        pp_port_ref(client->port);
        pp_port_close(client->port);
    }
    pp_client_end_requests(client, PIPIT_ECLOSED);
    pp_client_emit(client, PIPIT_EVENT_CLOSED, client->last_error);
    (void)pthread_mutex_lock(&client->lock);
    client->ended = true;
    (void)pthread_cond_broadcast(&client->changed);
    (void)pthread_cond_broadcast(&client->room);
    (void)pthread_mutex_unlock(&client->lock);
}

/* --- connections -------------------------------------------------------------------------- */

static void note_reason(pipit_client *client, pipit_err err)
{
    const char *why = client->dialog.reason[0] ? client->dialog.reason : client->wire.reason;

    (void)pthread_mutex_lock(&client->lock);
    (void)snprintf(client->last_error, sizeof(client->last_error), "%s",
                   *why ? why : pipit_strerror(err));
    (void)pthread_mutex_unlock(&client->lock);
}

/* Keep what can be sent on another connection. */
static void save_frames_locked(pipit_client *client, bool was_open)
{
    if (was_open)
        client->stats.lost_bytes += pp_frame_salvage(&client->sending, client->sent);
    client->sent = 0;
    (void)pp_frame_salvage(&client->staged, 0);
    client->unsent = client->sending.len;
}

static bool gives_up(const pipit_client *client, pipit_err err)
{
    size_t rounds = pp_servers_rounds(&client->servers);

    if (err == PIPIT_EINVAL) /* of its own making: it will not get better */
        return true;
    if (!client->was_open && !client->retry_first)
        return rounds >= 1;
    return client->no_reconnect ||
           (client->reconnect_max >= 0 && rounds >= (size_t)client->reconnect_max);
}

static void lose(pipit_client *client, pipit_err err)
{
    bool was_open = client->state == PIPIT_CLIENT_CONNECTED;
    int64_t wait;

    pp_client_rest(client);
    note_reason(client, err);
    close_wire(client);
    client->dialog.state = PP_DIALOG_ENDED;
    client->dialog.deadline_ns = INT64_MAX;
    wait = pp_servers_failed(&client->servers, client->reconnect_wait_ns);
    if (was_open) /* not a failure to connect; but not over and over at once */
        wait = pp_clock_mono_ns() - client->opened_ns < PP_NS_PER_S ? client->reconnect_wait_ns : 0;
    client->retry_ns = pp_clock_mono_ns() + wait;
    (void)pthread_mutex_lock(&client->lock);
    save_frames_locked(client, was_open);
    if (was_open)
        client->state = PIPIT_CLIENT_RECONNECTING;
    (void)pthread_mutex_unlock(&client->lock);
    if (gives_up(client, err)) {
        finish(client, err);
        return;
    }
    if (was_open)
        pp_client_emit(client, PIPIT_EVENT_DISCONNECTED, client->last_error);
}

static void watch(pipit_client *client)
{
    uint32_t wanted = EPOLLIN | (client->wire.wants_room ? EPOLLOUT : 0);
    struct epoll_event event = {.events = wanted, .data.fd = client->wire.fd};

    if (client->wire.fd < 0 || wanted == client->watched)
        return;
    if (epoll_ctl(client->epoll_fd, client->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
                  client->wire.fd, &event) == 0)
        client->watched = wanted;
    else
        lose(client, pp_err_from_errno(errno));
}

static void begin_dialog(pipit_client *client)
{
    const pp_server_entry *entry = client->server_entry;
    const pp_remote *remote = entry->remote;
    bool wants_tls =
        remote->kind == PP_REMOTE_TLS || (client->wants_tls && remote->kind == PP_REMOTE_TCP);

    client->sent = 0;
    pp_dialog_begin(&client->dialog, entry->has_credentials ? &entry->credentials : NULL,
                    pp_wire_begins_encrypted(&client->wire, remote), wants_tls, pp_clock_mono_ns());
    client->dialog.deadline_ns = client->attempt_deadline_ns;
}

/* The wire is connected, or encrypted by now. */
static void on_ready(pipit_client *client)
{
    pipit_err err = PIPIT_OK;

    client->more = true; /* what followed the handshakes may have been read with them */
    if (client->dialog.state == PP_DIALOG_SECURING)
        err = pp_dialog_secured(&client->dialog, pp_clock_mono_ns());
    else
        begin_dialog(client);
    if (err)
        lose(client, err);
}

static void go_on_connecting(pipit_client *client)
{
    int fd = client->wire.fd;
    pipit_err err = pp_wire_step(&client->wire);

    if (client->wire.fd != fd)
        client->watched = 0; /* the descriptor watched before is closed */
    if (!err)
        on_ready(client);
    else if (err != PIPIT_EAGAIN)
        lose(client, err);
}

static void open_next(pipit_client *client, int64_t now_ns)
{
    pipit_err err;

    client->retry_ns = INT64_MAX;
    client->attempt_deadline_ns = now_ns + client->connect_timeout_ns;
    client->server_entry = pp_servers_next(&client->servers);
    client->dialog.reason[0] = '\0';
    err = pp_wire_open(&client->wire, client->server_entry->remote);
    if (err)
        lose(client, err);
    else
        go_on_connecting(client);
}

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

static void send_out(pipit_client *client)
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
        lose(client, err);
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

/* Subscriptions first, then what was kept from before. */
static pipit_err rebuild_locked(pipit_client *client)
{
    pp_buf fresh;
    pipit_err err;

    pp_buf_init(&fresh, SIZE_MAX / 2); /* as much as there are subscriptions, which are limited */
    err = pp_client_resubscribe_locked(client, &fresh);
    if (!err)
        err = pp_buf_add(&fresh, client->sending.ptr, client->sending.len);
    if (err) {
        pp_buf_fini(&fresh);
        return err;
    }
    pp_buf_fini(&client->sending);
    client->sending = fresh;
    client->sent = 0;
    client->state = PIPIT_CLIENT_CONNECTED;
    (void)pthread_cond_broadcast(&client->changed);
    (void)pthread_cond_broadcast(&client->room);
    return PIPIT_OK;
}

static pipit_err on_open(pipit_client *client)
{
    bool again = client->was_open;
    pipit_err err;

    if (client->dialog.out.len) /* a PONG before the PING was sent */
        return PIPIT_EPROTO;
    (void)pthread_mutex_lock(&client->lock);
    err = rebuild_locked(client);
    if (!err)
        client->stats.reconnects += again;
    (void)pthread_mutex_unlock(&client->lock);
    if (err)
        return err;
    client->was_open = true;
    client->opened_ns = pp_clock_mono_ns();
    pp_servers_worked(&client->servers);
    pp_client_emit(client, again ? PIPIT_EVENT_RECONNECTED : PIPIT_EVENT_CONNECTED, "");
    return PIPIT_OK;
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
        return on_open(client);
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

static void read_in(pipit_client *client)
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
        lose(client, err);
    else if (client->wire.fd >= 0 && client->wire.wants_step)
        go_on_connecting(client);
}

/* --- over memory -------------------------------------------------------------------------- */

static void on_record(void *context, const pp_record *record)
{
    const pipit_msg msg = {
        .subject = record->subject.ptr,
        .subject_bytes = record->subject.len,
        .reply = record->reply.len ? record->reply.ptr : NULL,
        .reply_bytes = record->reply.len,
        .header = record->header_len ? record->data.ptr : NULL,
        .header_bytes = record->header_len,
        .payload = record->data.ptr + record->header_len,
        .payload_bytes = record->data.len - record->header_len,
    };

    pp_client_deliver(context, record->sid, &msg);
}

/* What was there before it was asked for has been taken. */
static void settle(pipit_client *client, uint64_t asked)
{
    (void)pthread_mutex_lock(&client->lock);
    if (client->flushed < asked) {
        client->flushed = asked;
        pp_client_end_drained_locked(client);
        (void)pthread_cond_broadcast(&client->changed);
    }
    (void)pthread_mutex_unlock(&client->lock);
}

/* Writers have found no room for messages: say so, once for all since the last time. */
static void tell_missed(pipit_client *client)
{
    uint64_t missed = pp_port_missed(client->port);

    if (missed != client->missed_told)
        pp_client_emit(client, PIPIT_EVENT_MISSED, "");
    client->missed_told = missed;
}

/* Returns whether there was something. */
static bool take_in(pipit_client *client)
{
    uint64_t asked, flushed;
    bool settled;
    size_t taken;

    (void)pthread_mutex_lock(&client->lock);
    asked = client->flushes_asked;
    flushed = client->flushed;
    (void)pthread_mutex_unlock(&client->lock);
    settled = asked == flushed || pp_lodger_settled(client->lodger);
    tell_missed(client);
    taken = pp_port_take(client->port, RECORDS_PER_TURN, on_record, client);
    client->more = taken != 0;
    if (asked != flushed && settled && taken < RECORDS_PER_TURN)
        settle(client, asked);
    return taken != 0;
}

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

/* Look at the port for a while before sleeping: as long as that has paid lately. */
static bool spin(pipit_client *client)
{
    int64_t until;

    if (client->spin_ns <= 0)
        return false;
    until = pp_clock_mono_ns() + client->spin_ns;
    do {
        /* Not too often: each look takes the line away that the writer is about to write. */
        for (unsigned i = 0; i < PAUSES; i++)
            pause_cpu();
        if (pp_port_has(client->port)) {
            client->spin_ns = client->spin_ns * 2 < SPIN_MAX_NS ? client->spin_ns * 2 : SPIN_MAX_NS;
            return true;
        }
    } while (pp_clock_mono_ns() < until);
    client->spin_ns = client->spin_ns / 2 > SPIN_MIN_NS ? client->spin_ns / 2 : SPIN_MIN_NS;
    return false;
}

/* --- turns -------------------------------------------------------------------------------- */

static void drain_on(pipit_client *client, int64_t now_ns)
{
    bool over = false;

    (void)pthread_mutex_lock(&client->lock);
    if (client->draining) {
        over = now_ns >= client->drain_deadline_ns;
        if (!over && client->flushed >= client->drain_mark) {
            /* Everything has been heard; what that has caused to be published follows. */
            over = client->drain_step++ > 0;
            client->drain_mark = ++client->flushes_asked;
        }
    }
    (void)pthread_mutex_unlock(&client->lock);
    if (over)
        finish(client, PIPIT_OK);
}

static void tick(pipit_client *client, int64_t now_ns)
{
    pipit_err err = PIPIT_OK;

    if (client->wire.fd >= 0 && client->wire.wants_step && now_ns >= client->attempt_deadline_ns) {
        (void)pp_wire_fail(&client->wire, PIPIT_ETIMEOUT, "%s: no connection in time",
                           client->server_entry->remote->host);
        err = PIPIT_ETIMEOUT;
    } else if (client->wire.fd >= 0 && client->dialog.state != PP_DIALOG_ENDED) {
        err = pp_dialog_tick(&client->dialog, now_ns);
    }
    if (err)
        lose(client, err);
    while (!client->ended && pp_client_late_request(client, now_ns))
        ;
}

static void work(pipit_client *client)
{
    int64_t now_ns = pp_clock_mono_ns();

    if (atomic_load(&client->closing)) {
        finish(client, PIPIT_OK);
        return;
    }
    tick(client, now_ns);
    if (!client->ended)
        drain_on(client, now_ns);
    if (client->ended)
        return;
    if (client->server) {
        (void)take_in(client);
        return;
    }
    if (client->wire.fd < 0 && now_ns >= client->retry_ns)
        open_next(client, now_ns);
    if (!client->ended)
        send_out(client);
}

static int64_t next_deadline_locked(const pipit_client *client)
{
    int64_t next = pp_timers_next_ns(&client->timers);

    if (client->draining && client->drain_deadline_ns < next)
        next = client->drain_deadline_ns;
    if (client->server)
        return next;
    if (client->wire.fd < 0)
        return client->retry_ns < next ? client->retry_ns : next;
    if (client->wire.wants_step && client->attempt_deadline_ns < next)
        next = client->attempt_deadline_ns;
    return client->dialog.deadline_ns < next ? client->dialog.deadline_ns : next;
}

/* Is there nothing to do until a descriptor says so or *out_next comes? If so, whoever leaves work
 * wakes the driver from here on. */
static bool fall_asleep(pipit_client *client, int64_t *out_next)
{
    bool idle;

    (void)pthread_mutex_lock(&client->lock);
    idle = !client->woken && !client->more && !atomic_load(&client->closing);
    if (idle && client->state == PIPIT_CLIENT_CONNECTED && !client->wire.wants_room)
        idle = !client->staged.len && !client->dialog.out.len;
    client->woken = false;
    client->asleep = idle;
    *out_next = next_deadline_locked(client);
    if (client->server && client->flushes_asked != client->flushed &&
        *out_next > pp_clock_mono_ns() + PP_NS_PER_MS)
        *out_next = pp_clock_mono_ns() + PP_NS_PER_MS; /* what loops have still to route */
    (void)pthread_mutex_unlock(&client->lock);
    if (idle && client->port && !pp_port_sleep(client->port))
        idle = false;
    return idle;
}

static void wake_up(pipit_client *client)
{
    if (client->port)
        pp_port_awake(client->port);
    (void)pthread_mutex_lock(&client->lock);
    client->asleep = false;
    (void)pthread_mutex_unlock(&client->lock);
}

static void drain_counter(int fd)
{
    uint64_t count;

    (void)!read(fd, &count, sizeof(count)); /* not blocking; only to be silent again */
}

static void on_descriptors(pipit_client *client, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;

        if (fd == client->wake_fd || fd == client->timer_fd)
            drain_counter(fd);
        else if (fd == client->wire.fd && client->wire.wants_step)
            go_on_connecting(client);
        else if (fd == client->wire.fd && events[i].events & ~(uint32_t)EPOLLOUT)
            client->more = true;
    }
}

static int wait_ms(int64_t timeout_ns, int64_t next_ns)
{
    int64_t until_next = next_ns == INT64_MAX ? -1 : next_ns - pp_clock_mono_ns();

    if (next_ns != INT64_MAX && (timeout_ns < 0 || until_next < timeout_ns))
        timeout_ns = until_next < 0 ? 0 : until_next;
    if (timeout_ns < 0)
        return -1;
    timeout_ns = (timeout_ns + PP_NS_PER_MS - 1) / PP_NS_PER_MS;
    return timeout_ns > 1000000 ? 1000000 : (int)timeout_ns;
}

bool pp_client_turn(pipit_client *client, int64_t timeout_ns)
{
    struct epoll_event events[4];
    int64_t next_ns;
    bool idle;
    int count;

    work(client);
    if (client->ended)
        return false;
    if (client->port && timeout_ns && spin(client))
        return true;
    pp_client_rest(client);
    watch(client);
    idle = fall_asleep(client, &next_ns);
    count = epoll_wait(client->epoll_fd, events, 4, idle ? wait_ms(timeout_ns, next_ns) : 0);
    wake_up(client);
    on_descriptors(client, events, count < 0 ? 0 : count);
    if (client->more && !client->server && client->wire.fd >= 0)
        read_in(client);
    if (!client->ended && !atomic_load(&client->closing))
        work(client);
    return !client->ended;
}

void pp_client_watch_for_work(pipit_client *client)
{
    struct itimerspec at = {0};
    int64_t next_ns;
    uint64_t one = 1;

    if (client->ended)
        return;
    pp_client_rest(client);
    watch(client);
    if (!fall_asleep(client, &next_ns))
        (void)!write(client->wake_fd, &one, sizeof(one));
    if (next_ns == client->timer_set_ns)
        return;
    if (next_ns != INT64_MAX) {
        at.it_value.tv_sec = next_ns / PP_NS_PER_S;
        at.it_value.tv_nsec = next_ns % PP_NS_PER_S;
        if (next_ns <= 0)
            at.it_value.tv_nsec = 1; /* 0 would mean never */
    }
    (void)timerfd_settime(client->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
    client->timer_set_ns = next_ns;
}

void *pp_client_run(void *arg)
{
    pipit_client *client = arg;

    (void)pthread_mutex_lock(&client->lock);
    (void)pp_client_take_wheel_locked(client);
    (void)pthread_mutex_unlock(&client->lock);
    while (pp_client_turn(client, -1))
        ;
    (void)pthread_mutex_lock(&client->lock);
    pp_client_leave_wheel_locked(client);
    (void)pthread_mutex_unlock(&client->lock);
    return NULL;
}
