/* Connections of a client by a wire: opened one server after another, greeted, lost, and the end.
 *
 *             [open_next]            [on_ready]                    [lose]
 *   waiting ------------> wire open ----------> dialog ... OPEN -----------> waiting
 *      ^                      |                   |                             |
 *      +----------------------+-- [lose] ---------+          no more tries --> [finish] */
#include "client/driver.h"

#include "base/clock.h"
#include "client/frame.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>

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

void pp_client_finish(pipit_client *client, pipit_err err)
{
    pp_client_rest(client);
    close_wire(client);
    (void)pthread_mutex_lock(&client->lock);
    atomic_store(&client->closing, true);
    client->end_err = err;
    client->state = PIPIT_CLIENT_CLOSED;
    pp_client_end_all_locked(client);
    (void)pthread_mutex_unlock(&client->lock);
    if (client->lodger)
        pp_lodger_end(client->lodger);
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

void pp_client_lose(pipit_client *client, pipit_err err)
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
        pp_client_finish(client, err);
        return;
    }
    if (was_open)
        pp_client_emit(client, PIPIT_EVENT_DISCONNECTED, client->last_error);
}

void pp_client_watch(pipit_client *client)
{
    uint32_t wanted = EPOLLIN | (client->wire.wants_room ? EPOLLOUT : 0);
    struct epoll_event event = {.events = wanted, .data.fd = client->wire.fd};

    if (client->wire.fd < 0 || wanted == client->watched)
        return;
    if (epoll_ctl(client->epoll_fd, client->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
                  client->wire.fd, &event) == 0)
        client->watched = wanted;
    else
        pp_client_lose(client, pp_err_from_errno(errno));
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
        pp_client_lose(client, err);
}

void pp_client_go_on_connecting(pipit_client *client)
{
    int fd = client->wire.fd;
    pipit_err err = pp_wire_step(&client->wire);

    if (client->wire.fd != fd)
        client->watched = 0; /* the descriptor watched before is closed */
    if (!err)
        on_ready(client);
    else if (err != PIPIT_EAGAIN)
        pp_client_lose(client, err);
}

void pp_client_open_next(pipit_client *client, int64_t now_ns)
{
    pipit_err err;

    client->retry_ns = INT64_MAX;
    client->attempt_deadline_ns = now_ns + client->connect_timeout_ns;
    client->server_entry = pp_servers_next(&client->servers);
    client->dialog.reason[0] = '\0';
    err = pp_wire_open(&client->wire, client->server_entry->remote);
    if (err)
        pp_client_lose(client, err);
    else
        pp_client_go_on_connecting(client);
}

/* Subscriptions and claims first, then what was kept from before. */
static pipit_err rebuild_locked(pipit_client *client)
{
    pp_buf fresh;
    pipit_err err;

    pp_buf_init(&fresh, SIZE_MAX / 2); /* as much as there are subscriptions, which are limited */
    err = pp_client_resubscribe_locked(client, &fresh);
    if (!err)
        err = pp_client_reclaim_locked(client, &fresh);
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

pipit_err pp_client_opened(pipit_client *client)
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
