/* A client's life, and what may be asked of it as a whole. */
#include "client/client.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/cores.h"
#include "base/fault.h"
#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    PENDING_DEFAULT = 8 * 1024 * 1024,
    HELD_DEFAULT = 64 * 1024 * 1024,
    FRAMES_MAX = 512 * 1024 * 1024, /* a message of any size may wait when nothing else does */
    SPIN_START_NS = 10000,
};

/* --- options ------------------------------------------------------------------------------ */

static bool copy_text(char **to, const char *text)
{
    if (!text)
        return true;
    *to = pp_memdupz(text, strlen(text));
    return *to != NULL;
}

static pipit_err copy_texts(pipit_client *client, const pipit_client_options *o)
{
    pp_credentials *who = &client->credentials;

    if (!copy_text(&client->name, o->name) || !copy_text(&client->tls_ca, o->tls_ca_file) ||
        !copy_text(&client->tls_cert, o->tls_cert_file) ||
        !copy_text(&client->tls_key, o->tls_key_file) ||
        !copy_text(&client->tls_name, o->tls_name) || !copy_text(&who->user, o->user) ||
        !copy_text(&who->password, o->password) || !copy_text(&who->token, o->token) ||
        !copy_text(&who->nkey_seed, o->nkey_seed) || !copy_text(&who->creds_file, o->creds_file))
        return PIPIT_ENOMEM;
    client->tls = (pp_tls_rules){client->tls_ca,   client->tls_cert, client->tls_key,
                                 client->tls_name, o->tls_insecure,  o->tls_first};
    client->wants_tls = o->tls_ca_file || o->tls_cert_file || o->tls_first;
    return PIPIT_OK;
}

static int64_t or_default(int64_t value, int64_t fallback)
{
    return value ? value : fallback;
}

static int64_t to_ns(int64_t ms, int64_t fallback_ms)
{
    int64_t value = or_default(ms, fallback_ms);

    return value < 0 || value > INT64_MAX / 4 / PP_NS_PER_MS ? INT64_MAX / 4 : value * PP_NS_PER_MS;
}

static size_t to_bytes(int64_t bytes, size_t fallback)
{
    return bytes < 0 ? SIZE_MAX / 4 : bytes ? (size_t)bytes : fallback;
}

static void apply(pipit_client *client, const pipit_client_options *o)
{
    client->server = o->server;
    client->own_loop = o->own_loop;
    client->no_wait = o->no_wait;
    client->no_reconnect = o->no_reconnect;
    client->retry_first = o->retry_first;
    client->ignore_discovered = o->ignore_discovered;
    client->connect_timeout_ns = to_ns(o->connect_timeout_ms, 2000);
    client->reconnect_wait_ns = to_ns(o->reconnect_wait_ms, 100);
    if (client->reconnect_wait_ns > 3600 * PP_NS_PER_S) /* it is multiplied */
        client->reconnect_wait_ns = 3600 * PP_NS_PER_S;
    client->reconnect_max = or_default(o->reconnect_max, 60);
    client->publish_wait_ns = to_ns(o->publish_wait_ms, 2000);
    client->pending_max = to_bytes(o->pending_max, PENDING_DEFAULT);
    client->held_max = to_bytes(o->sub_pending_max, HELD_DEFAULT);
    client->on_event = o->on_event;
    client->event_context = o->event_context;
    client->rules = (pp_dialog_rules){
        .credentials = &client->credentials,
        .name = client->name,
        .no_echo = o->no_echo,
        .pedantic = o->verbose_errors,
        .connect_timeout_ns = client->connect_timeout_ns,
        .ping_interval_ns = o->ping_interval_ms < 0 ? -1 : to_ns(o->ping_interval_ms, 120000),
        .pings_out_max = (uint64_t)to_bytes(o->pings_out_max, 2),
    };
}

/* --- making ------------------------------------------------------------------------------- */

static void init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(cond, &attr);
    (void)pthread_condattr_destroy(&attr);
}

static pipit_err make_inbox(char out[PP_INBOX_BYTES], const char *prefix)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const char *from = prefix ? prefix : "_INBOX";
    size_t len = strlen(from);
    unsigned char bytes[22];

    if (len > PP_INBOX_PREFIX_MAX || !pp_client_text_valid(pp_str_of(from)))
        return PIPIT_EINVAL;
    pp_random_bytes(bytes, sizeof(bytes));
    memcpy(out, from, len);
    out[len++] = '.';
    for (size_t i = 0; i < sizeof(bytes); i++)
        out[len++] = digits[bytes[i] % 62];
    memcpy(out + len, ".", 2);
    return PIPIT_OK;
}

static pipit_client *client_alloc(void)
{
    pipit_client *client = pp_calloc(1, sizeof(*client));

    if (!client)
        return NULL;
    client->epoll_fd = client->wake_fd = client->timer_fd = -1;
    client->retry_ns = 0;
    client->timer_set_ns = INT64_MAX;
    pp_list_init(&client->subs);
    (void)pthread_mutex_init(&client->lock, NULL);
    init_cond(&client->changed);
    init_cond(&client->room);
    pp_buf_init(&client->staged, FRAMES_MAX);
    pp_buf_init(&client->sending, FRAMES_MAX);
    pp_buf_init(&client->in, PP_FEED_LINE_MAX + PP_FEED_DATA_MAX + 64 * 1024);
    pp_wire_init(&client->wire, &client->tls);
    pp_dialog_init(&client->dialog, &client->rules);
    return client;
}

static pipit_err open_descriptors(pipit_client *client)
{
    struct epoll_event event = {.events = EPOLLIN};

    client->epoll_fd = pp_fault("epoll") ? -1 : epoll_create1(EPOLL_CLOEXEC);
    client->wake_fd = pp_fault("eventfd") ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (client->epoll_fd < 0 || client->wake_fd < 0)
        return PIPIT_ELIMIT;
    event.data.fd = client->wake_fd;
    if (epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, client->wake_fd, &event) != 0)
        return pp_err_from_errno(errno);
    if (!client->own_loop)
        return PIPIT_OK;
    client->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (client->timer_fd < 0)
        return PIPIT_ELIMIT;
    event.data.fd = client->timer_fd;
    return epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, client->timer_fd, &event) == 0
               ? PIPIT_OK
               : pp_err_from_errno(errno);
}

/* The server over memory has stopped. */
static void on_host_end(void *context)
{
    pipit_client_close(context);
}

static pipit_err move_in(pipit_client *client, bool no_echo)
{
    pipit_err err = pp_port_new(&client->port, client->wake_fd, client->held_max);

    if (!err)
        err = pp_lodger_join(&client->lodger, client->server, client->port, no_echo, on_host_end,
                             client);
    if (err)
        return err;
    atomic_store(&client->max_payload, pp_lodger_max_payload(client->lodger));
    client->state = PIPIT_CLIENT_CONNECTED;
    client->spin_ns = pp_cores() > 1 ? SPIN_START_NS : 0;
    return PIPIT_OK;
}

/* Which way does the URL go? */
static pipit_err choose_way(pipit_client *client, const char *url, const pipit_client_options *o)
{
    pipit_err err = pp_servers_init(&client->servers, pp_str_of(url), o->keep_order);

    if (err)
        return err;
    for (size_t i = 0; i < client->servers.count; i++) {
        if (client->servers.entries[i]->remote->kind == PP_REMOTE_MEMORY)
            return client->servers.count == 1 && client->server ? move_in(client, o->no_echo)
                                                                : PIPIT_EINVAL;
    }
    client->server = NULL;
    return PIPIT_OK;
}

static pipit_err build(pipit_client *client, const char *url, const pipit_client_options *options)
{
    pipit_client_options o = {0};
    pipit_err err;

    if (options)
        memcpy(&o, options,
               options->struct_bytes && options->struct_bytes < sizeof(o) ? options->struct_bytes
                                                                          : sizeof(o));
    if ((o.tls_cert_file == NULL) != (o.tls_key_file == NULL))
        return PIPIT_EINVAL;
    err = make_inbox(client->inbox, o.inbox_prefix);
    if (!err)
        err = copy_texts(client, &o);
    if (err)
        return err;
    apply(client, &o);
    err = pp_timers_reserve(&client->timers, 8);
    if (!err)
        err = open_descriptors(client);
    return err ? err : choose_way(client, url, &o);
}

/* Until a server has taken it, or none has. */
static pipit_err await_connection(pipit_client *client)
{
    pipit_err err = PIPIT_OK;

    (void)pthread_mutex_lock(&client->lock);
    while (client->state == PIPIT_CLIENT_CONNECTING && !client->ended)
        (void)pp_client_wait_locked(client, &client->changed, INT64_MAX);
    if (client->state == PIPIT_CLIENT_CLOSED)
        err = client->end_err ? client->end_err : PIPIT_ECLOSED;
    (void)pthread_mutex_unlock(&client->lock);
    return err;
}

pipit_err pipit_client_connect(pipit_client **out_client, const char *url,
                               const pipit_client_options *options)
{
    pipit_client *client = client_alloc();
    pipit_err err;

    if (!client)
        return PIPIT_ENOMEM;
    err = build(client, url ? url : "nats://127.0.0.1:4222", options);
    if (err)
        goto out;
    if (client->own_loop) {
        pp_client_watch_for_work(client);
    } else {
        if (pp_fault("thread") ||
            pthread_create(&client->thread, NULL, pp_client_run, client) != 0) {
            err = PIPIT_ELIMIT;
            goto out;
        }
        client->has_thread = true;
        if (!client->retry_first)
            err = await_connection(client);
        if (err)
            goto out;
    }
    *out_client = client;
    client = NULL;
out:
    pipit_client_free(client);
    return err;
}

/* --- ending ------------------------------------------------------------------------------- */

void pipit_client_close(pipit_client *client)
{
    (void)pthread_mutex_lock(&client->lock);
    atomic_store(&client->closing, true);
    pp_client_wake_locked(client);
    if (client->waiting) {
        (void)pthread_cond_broadcast(&client->room);
        (void)pthread_cond_broadcast(&client->changed);
    }
    (void)pthread_mutex_unlock(&client->lock);
}

void pipit_client_free(pipit_client *client)
{
    if (!client)
        return;
    pipit_client_close(client);
    if (client->has_thread) {
        (void)pthread_join(client->thread, NULL);
    } else {
        (void)pthread_mutex_lock(&client->lock);
        (void)pp_client_take_wheel_locked(client);
        (void)pthread_mutex_unlock(&client->lock);
        while (!client->ended && pp_client_turn(client, 0)) /* it only closes */
            ;
    }
    pp_client_free_subs(client);
    pp_client_free_claims(client);
    pp_port_unref(client->port); /* it was closed when the client ended */
    pp_lodger_leave(client->lodger);
    pp_wire_close(&client->wire);
    pp_dialog_fini(&client->dialog);
    pp_servers_fini(&client->servers);
    pp_timers_fini(&client->timers);
    pp_buf_fini(&client->staged);
    pp_buf_fini(&client->sending);
    pp_buf_fini(&client->in);
    pp_free(client->slots);
    pp_credentials_fini(&client->credentials);
    pp_free(client->name);
    pp_free(client->tls_ca);
    pp_free(client->tls_cert);
    pp_free(client->tls_key);
    pp_free(client->tls_name);
    if (client->epoll_fd >= 0)
        (void)close(client->epoll_fd);
    if (client->wake_fd >= 0)
        (void)close(client->wake_fd);
    if (client->timer_fd >= 0)
        (void)close(client->timer_fd);
    (void)pthread_cond_destroy(&client->room);
    (void)pthread_cond_destroy(&client->changed);
    (void)pthread_mutex_destroy(&client->lock);
    pp_free(client);
}

/* --- flushing ----------------------------------------------------------------------------- */

static int64_t deadline_of(int64_t timeout_ms)
{
    int64_t now_ns = pp_clock_mono_ns();

    return timeout_ms < 0 || timeout_ms > (INT64_MAX - now_ns) / PP_NS_PER_MS
               ? INT64_MAX
               : now_ns + timeout_ms * PP_NS_PER_MS;
}

pipit_err pipit_client_flush(pipit_client *client, int64_t timeout_ms)
{
    int64_t deadline = deadline_of(timeout_ms);
    pipit_err err = PIPIT_OK;
    uint64_t mark;

    (void)pthread_mutex_lock(&client->lock);
    mark = ++client->flushes_asked;
    if (pp_client_in_callback_locked(client))
        err = PIPIT_EINUSE;
    else
        pp_client_wake_locked(client);
    while (!err && client->flushed < mark) {
        if (client->ended)
            err = PIPIT_ECLOSED;
        else
            err = pp_client_wait_locked(client, &client->changed, deadline);
    }
    (void)pthread_mutex_unlock(&client->lock);
    return err;
}

pipit_err pipit_client_drain(pipit_client *client, int64_t timeout_ms)
{
    pipit_err err = PIPIT_OK;

    (void)pthread_mutex_lock(&client->lock);
    if (client->ended || client->closing) {
        err = PIPIT_ECLOSED;
    } else if (!client->draining) {
        client->draining = true;
        client->drain_deadline_ns = deadline_of(timeout_ms);
        pp_client_drain_subs_locked(client);
        client->drain_mark = ++client->flushes_asked;
        pp_client_wake_locked(client);
    }
    (void)pthread_mutex_unlock(&client->lock);
    return err;
}

/* --- its own loop ------------------------------------------------------------------------- */

int pipit_client_fd(const pipit_client *client)
{
    return client->epoll_fd;
}

pipit_err pipit_client_poll(pipit_client *client, int64_t timeout_ms)
{
    bool goes_on, mine;

    if (!client->own_loop)
        return PIPIT_EINUSE;
    (void)pthread_mutex_lock(&client->lock);
    goes_on = !client->ended;
    mine = pp_client_take_wheel_locked(client);
    (void)pthread_mutex_unlock(&client->lock);
    if (!mine)
        return PIPIT_EINUSE;
    if (goes_on)
        goes_on = pp_client_turn(client, timeout_ms < 0 ? -1 : pp_client_ms_to_ns(timeout_ms));
    pp_client_watch_for_work(client);
    (void)pthread_mutex_lock(&client->lock);
    pp_client_leave_wheel_locked(client);
    (void)pthread_mutex_unlock(&client->lock);
    return goes_on ? PIPIT_OK : PIPIT_ECLOSED;
}

/* --- looking ------------------------------------------------------------------------------ */

pipit_client_state pipit_client_get_state(const pipit_client *client)
{
    pipit_client *c = (pipit_client *)client;
    pipit_client_state state;

    (void)pthread_mutex_lock(&c->lock);
    state = c->state;
    if (c->draining && state != PIPIT_CLIENT_CLOSED)
        state = PIPIT_CLIENT_DRAINING;
    (void)pthread_mutex_unlock(&c->lock);
    return state;
}

void pipit_client_get_stats(const pipit_client *client, pipit_client_stats *out)
{
    pipit_client *c = (pipit_client *)client;

    (void)pthread_mutex_lock(&c->lock);
    *out = c->stats;
    out->in_msgs = atomic_load_explicit(&c->in_msgs, memory_order_relaxed);
    out->in_bytes = atomic_load_explicit(&c->in_bytes, memory_order_relaxed);
    out->subscriptions = c->sid_count;
    out->pending_bytes = c->staged.len + c->unsent;
    (void)pthread_mutex_unlock(&c->lock);
    if (c->lodger)
        pp_lodger_count(c->lodger, &out->out_msgs, &out->out_bytes);
    if (c->port)
        out->missed += pp_port_missed(c->port);
}

int64_t pipit_client_max_payload(const pipit_client *client)
{
    return atomic_load(&((pipit_client *)client)->max_payload);
}

void pipit_client_last_error(const pipit_client *client, char *out, size_t out_bytes)
{
    pipit_client *c = (pipit_client *)client;

    (void)pthread_mutex_lock(&c->lock);
    if (out_bytes)
        (void)snprintf(out, out_bytes, "%s", c->last_error);
    (void)pthread_mutex_unlock(&c->lock);
}

pipit_err pipit_client_inbox(pipit_client *client, char *out, size_t out_bytes)
{
    int len = snprintf(out, out_bytes, "%su.%llu", client->inbox,
                       (unsigned long long)atomic_fetch_add(&client->next_inbox, 1));

    return len >= 0 && (size_t)len < out_bytes ? PIPIT_OK : PIPIT_ETOOBIG;
}
