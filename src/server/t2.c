#include "server/t2.h"

#include "base/alloc.h"
#include "proto/t2/session.h"
#include "server/server.h"
#include "server/tls.h"
#include "tls/layer.h"

#include <string.h>

enum { TOGETHER = 16 }; /* clients by a Unix socket that a loop gets before the next one does */

static const char *const schemes[] = {
    [PP_T2_TCP] = "tcp", [PP_T2_UNIX] = "unix", [PP_T2_TLS] = "tls"};

static pipit_server *server_of(pp_t2_front *front)
{
    return PP_CONTAINER(front, pipit_server, t2);
}

/* --- TLS ---------------------------------------------------------------------------------- */

static pipit_err wrap(const pp_door *door, pp_conn *conn)
{
    pp_t2_front *front = PP_CONTAINER(door, pp_t2_front, secured);
    pp_tls_context *context;
    pp_layer *layer;
    pipit_err err;

    (void)pthread_mutex_lock(&front->lock);
    context = pp_tls_context_ref(front->tls);
    (void)pthread_mutex_unlock(&front->lock);
    err = pp_tls_layer_new(&layer, context, &server_of(front)->tls_places);
    pp_tls_context_unref(context);
    if (err)
        return err;
    err = pp_conn_push_layer(conn, layer, PP_STR(""));
    if (err)
        pp_layer_free(layer);
    return err;
}

/* --- the end that a client may bring about ------------------------------------------------ */

static void bid_farewell(pp_conn *conn, void *bus)
{
    if (conn->door->context == bus)
        pp_conn_close(conn, PP_CLOSE_SHUTDOWN, true);
}

static void on_farewell(pp_task *task)
{
    pp_t2_farewell *farewell = PP_CONTAINER(task, pp_t2_farewell, task);

    pp_conn_each(farewell->loop, bid_farewell, farewell->bus);
}

static void stop_listening(pipit_server *server)
{
    if (!server->t2.has_lock)
        return;
    (void)pthread_mutex_lock(&server->t2.lock);
    for (unsigned i = 0; i < server->t2.listener_count; i++)
        pp_listener_stop(&server->t2.listeners[i]);
    (void)pthread_mutex_unlock(&server->t2.lock);
}

/* First no new ones, then none at all: those that are under way to their loops are before this. */
static void on_stop(pp_task *task)
{
    pp_t2_front *front = PP_CONTAINER(task, pp_t2_front, stop);
    pipit_server *server = server_of(front);

    stop_listening(server);
    for (unsigned i = 0; i < server->worker_count; i++)
        pp_loop_post(server->loops[i], &front->farewells[i].task);
}

static void stop(void *context)
{
    pp_t2_front *front = context;
    pipit_server *server = server_of(front);

    if (atomic_exchange(&front->stopping, true))
        return;
    pp_log_write(&server->log, PP_LOG_INFO, "T2: a client has ended the bus");
    pp_loop_post(server->loops[0], &front->stop);
}

static void on_closed(void *context, pp_conn *conn)
{
    pp_side_door_closed(server_of(context), conn);
}

/* --- life --------------------------------------------------------------------------------- */

static pipit_err new_bus(pipit_server *server)
{
    pp_t2_front *front = &server->t2;
    pp_router **routers = pp_side_door_routers(server);
    pp_t2_host host = {
        .log = &server->log,
        .account = front->account,
        .loops = server->loops,
        .routers = routers,
        .loop_count = server->worker_count,
        .stop = stop,
        .closed = on_closed,
        .context = front,
    };
    pipit_err err;

    if (!routers)
        return PIPIT_ENOMEM;
    err = pp_t2_bus_new(&front->bus, &host);
    pp_free(routers);
    return err;
}

static pipit_err init(pipit_server *server)
{
    const pp_t2_options *o = &server->options->t2;
    pp_t2_front *front = &server->t2;
    pipit_err err;

    (void)pthread_mutex_init(&front->lock, NULL);
    front->has_lock = true;
    if (!o->listen_count)
        return PIPIT_OK;
    front->account = pp_side_door_name_account(server, o->account);
    if (!front->account)
        return PIPIT_EINVAL; /* it was there when the options were checked */
    front->farewells = pp_calloc(server->worker_count, sizeof(*front->farewells));
    if (!front->farewells)
        return PIPIT_ENOMEM;
    err = new_bus(server);
    if (err)
        return err;
    front->stop.run = on_stop;
    for (unsigned i = 0; i < server->worker_count; i++)
        front->farewells[i] = (pp_t2_farewell){{.run = on_farewell}, front->bus, server->loops[i]};
    front->plain.proto = front->secured.proto = &pp_t2_proto;
    front->plain.context = front->secured.context = front->bus;
    front->secured.wrap = wrap;
    return PIPIT_OK;
}

static void fini(pipit_server *server)
{
    pp_t2_front *front = &server->t2;

    pp_t2_bus_free(front->bus);
    pp_side_door_leave_account(front->account);
    for (unsigned i = 0; i < PP_T2_LISTENS_MAX; i++)
        pp_free(front->paths[i]);
    pp_free(front->farewells);
    pp_tls_context_unref(front->tls);
    if (front->has_lock)
        (void)pthread_mutex_destroy(&front->lock);
}

/* --- listening ---------------------------------------------------------------------------- */

static pipit_err bind_tcp(pp_listener *listener, const pp_t2_listen_option *o)
{
    uint16_t port;

    return pp_listen_tcp(o->where, o->port < 0 ? 0 : (uint16_t)o->port, &listener->source.fd,
                         &port);
}

static pipit_err bind_unix(pp_t2_front *front, unsigned at, const pp_t2_listen_option *o,
                           unsigned mode)
{
    pp_listener *listener = &front->listeners[at];
    pipit_err err;

    front->paths[at] = pp_memdupz(o->where, strlen(o->where));
    if (!front->paths[at])
        return PIPIT_ENOMEM;
    err = pp_listen_unix(front->paths[at], mode, &listener->source.fd);
    if (!err)
        listener->unlink_path = front->paths[at];
    /* They are on this machine, and most say little at once: with several loops each would be woken
     * for less, and take a processor that they could use. */
    listener->together = TOGETHER;
    return err;
}

static pipit_err listen_at(pipit_server *server, unsigned at)
{
    const pp_t2_listen_option *o = &server->options->t2.listens[at];
    pp_t2_front *front = &server->t2;
    pp_listener *listener = &front->listeners[at];
    char where[160];
    pipit_err err;

    if (o->by == PP_T2_MEMORY) {
        pp_server_init_listener(server, listener, &front->plain);
        front->listener_count = at + 1;
        return PIPIT_OK;
    }
    pp_server_init_listener(server, listener, o->by == PP_T2_TLS ? &front->secured : &front->plain);
    front->listener_count = at + 1;
    err = o->by == PP_T2_UNIX ? bind_unix(front, at, o, server->options->t2.unix_mode)
                              : bind_tcp(listener, o);
    if (err) {
        pp_log_write(&server->log, PP_LOG_FATAL, "Unable to listen for T2 clients: %s:%s: %s",
                     schemes[o->by], o->where, pipit_strerror(err));
        return err;
    }
    pp_listen_text(listener->source.fd, where, sizeof(where));
    pp_log_write(&server->log, PP_LOG_INFO, "Listening for T2 clients on %s%s%s",
                 o->by == PP_T2_UNIX ? "" : schemes[o->by], o->by == PP_T2_UNIX ? "" : ":", where);
    return PIPIT_OK;
}

static pipit_err listen_all(pipit_server *server)
{
    pipit_err err = PIPIT_OK;

    if (server->t2.bus)
        pp_server_init_listener(server, &server->t2.memory, &server->t2.plain);
    for (unsigned i = 0; i < server->options->t2.listen_count && !err; i++)
        err = listen_at(server, i);
    return err;
}

static pipit_err start(pipit_server *server)
{
    pipit_err err = PIPIT_OK;

    for (unsigned i = 0; i < server->t2.listener_count && !err; i++) {
        if (server->t2.listeners[i].source.fd >= 0)
            err = pp_listener_start(&server->t2.listeners[i]);
    }
    return err;
}

/* --- settings ----------------------------------------------------------------------------- */

typedef struct fresh {
    pp_t2_options options; /* numbers only are used */
    pp_tls_context *tls;
    size_t pending_max, plain_max;
    int64_t write_deadline_ns;
} fresh;

static void drop(void *fresh_)
{
    fresh *f = fresh_;

    pp_tls_context_unref(f->tls);
    pp_free(f);
}

static bool wants_tls(const pp_t2_options *o)
{
    for (size_t i = 0; i < o->listen_count; i++) {
        if (o->listens[i].by == PP_T2_TLS)
            return true;
    }
    return false;
}

static pipit_err prepare(pipit_server *server, const pp_options *options,
                         const pp_directory *directory, void **out_fresh, pp_buf *error)
{
    fresh *f = pp_calloc(1, sizeof(*f));
    pipit_err err = PIPIT_OK;

    (void)directory;
    if (!f)
        return PIPIT_ENOMEM;
    f->options = options->t2;
    f->pending_max = (size_t)options->max_pending_bytes;
    f->plain_max = (size_t)options->max_payload_bytes;
    f->write_deadline_ns = options->write_deadline_ns;
    /* What is listened on does not change: neither does whether there is TLS. */
    if (wants_tls(&server->options->t2) && options->t2.tls.given)
        err = pp_server_tls_new(&f->tls, options, &options->t2.tls, server, error);
    if (err) {
        drop(f);
        return err;
    }
    *out_fresh = f;
    return PIPIT_OK;
}

static void install_limits(pp_t2_bus *bus, const fresh *f)
{
    pp_t2_limits *limits = &bus->limits;
    const pp_t2_options *o = &f->options;

    atomic_store(&limits->keep_alive_ns, o->keep_alive_ns);
    atomic_store(&limits->request_ns, o->request_timeout_ns);
    atomic_store(&limits->handshake_ns, o->tls.timeout_ns);
    atomic_store(&limits->frame_max, (size_t)o->max_frame_bytes);
    atomic_store(&limits->plain_max, f->plain_max);
    atomic_store(&limits->clients_max, o->max_clients);
    atomic_store(&limits->subscriptions_max, o->max_subscriptions);
    atomic_store(&limits->requests_max, o->max_requests);
    atomic_store(&limits->allow_stop, o->allow_stop);
}

static void install(pipit_server *server, void *fresh_)
{
    pp_t2_front *front = &server->t2;
    fresh *f = fresh_;

    if (front->bus)
        install_limits(front->bus, f);
    pp_side_door_limit(&front->plain, f->pending_max, f->write_deadline_ns);
    pp_side_door_limit(&front->secured, f->pending_max, f->write_deadline_ns);
    if (f->tls) {
        pp_tls_context *old;

        (void)pthread_mutex_lock(&front->lock);
        old = front->tls;
        front->tls = f->tls;
        (void)pthread_mutex_unlock(&front->lock);
        f->tls = old;
    }
    drop(f);
}

/* --- what is shown ------------------------------------------------------------------------ */

/* One that a client has just ended may be gone by the time that somebody looks at it. */
static size_t sockets(const pipit_server *server, pp_ports_entry *out)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&server->t2.lock;
    size_t count = 0;

    (void)pthread_mutex_lock(lock);
    for (unsigned i = 0; i < server->t2.listener_count; i++) {
        const pp_listener *listener = &server->t2.listeners[i];

        if (listener->source.fd >= 0 && !server->t2.paths[i])
            out[count++] = (pp_ports_entry){
                "t2", listener->door->wrap ? schemes[PP_T2_TLS] : schemes[PP_T2_TCP],
                listener->source.fd};
    }
    (void)pthread_mutex_unlock(lock);
    return count;
}

static void varz(pipit_server *server, pp_json *json)
{
    pp_t2_bus *bus = server->t2.bus;
    pp_t2_bus_size size;

    if (!bus)
        return;
    pp_t2_bus_measure(bus, &size);
    pp_json_begin_object(json, "t2");
    pp_json_u64(json, "clients", atomic_load(&bus->clients));
    pp_json_u64(json, "subscriptions", size.subscriptions);
    pp_json_u64(json, "claims", size.claims);
    pp_json_u64(json, "requests", size.requests);
    pp_json_u64(json, "refused", atomic_load(&bus->refused));
    pp_json_u64(json, "timeouts", atomic_load(&bus->timeouts));
    pp_json_u64(json, "undeliverable", atomic_load(&bus->undeliverable));
    pp_json_end_object(json);
}

static void metrics(pipit_server *server, pp_exposition *e)
{
    pp_t2_bus *bus = server->t2.bus;
    pp_t2_bus_size size;

    if (!bus)
        return;
    pp_t2_bus_measure(bus, &size);
    pp_exposition_gauge(e, "pipit_t2_clients", "Clients of the T2 Bus.");
    pp_exposition_u64(e, PP_NO_LABEL, atomic_load(&bus->clients));
    pp_exposition_gauge(e, "pipit_t2_subscriptions", "Topics that they subscribe to.");
    pp_exposition_u64(e, PP_NO_LABEL, size.subscriptions);
    pp_exposition_gauge(e, "pipit_t2_claims", "Topics that they serve.");
    pp_exposition_u64(e, PP_NO_LABEL, size.claims);
    pp_exposition_gauge(e, "pipit_t2_requests", "Requests that wait for an answer.");
    pp_exposition_u64(e, PP_NO_LABEL, size.requests);
    pp_exposition_counter(e, "pipit_t2_refused", "Clients beyond the limit.");
    pp_exposition_u64(e, PP_NO_LABEL, atomic_load(&bus->refused));
    pp_exposition_counter(e, "pipit_t2_timeouts", "Requests that nobody answered in time.");
    pp_exposition_u64(e, PP_NO_LABEL, atomic_load(&bus->timeouts));
    pp_exposition_counter(e, "pipit_t2_undeliverable",
                          "Messages that could not cross between the bus and NATS.");
    pp_exposition_u64(e, PP_NO_LABEL, atomic_load(&bus->undeliverable));
}

static void describe(const pp_conn *conn, pp_side_session *out)
{
    const pp_t2_session *s = (const pp_t2_session *)(const void *)conn->session;

    *out = (pp_side_session){
        .start_ns = s->start_ns,
        .active_ns = s->heard_ns,
        .subs = s->sub_count, /* changed by this loop only */
        .account = pp_str_of(s->lane->bus->host.account->name),
    };
}

const pp_side_door pp_t2_side_door = {
    .name = "t2",
    .proto = &pp_t2_proto,
    .init = init,
    .fini = fini,
    .listen = listen_all,
    .start = start,
    .stop_listening = stop_listening,
    .prepare = prepare,
    .install = install,
    .drop = drop,
    .sockets = sockets,
    .varz = varz,
    .metrics = metrics,
    .describe = describe,
};
