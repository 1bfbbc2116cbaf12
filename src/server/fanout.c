#include "server/fanout.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "proto/fanout/session.h"
#include "proto/fanout/writer.h"
#include "server/server.h"
#include "server/system/conns.h"
#include "server/tls.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Descriptors that are not clients': files, sockets, and some for each loop. */
enum { FILES_RESERVED = 32, FILES_PER_LOOP = 4 };

/* --- settings ----------------------------------------------------------------------------- */

/* With what they point to. */
struct pp_fanout_made {
    pp_fanout_settings settings;
    pp_users *users; /* held: the scope is one of theirs */
    size_t queue_bytes;
    int64_t write_deadline_ns;
    pp_address_range allow[];
};

static void made_free(void *fresh)
{
    struct pp_fanout_made *made = fresh;

    if (!made)
        return;
    if (made->users)
        pp_users_let_go(made->users);
    pp_tls_context_unref(made->settings.tls);
    pp_free(made);
}

/* As whom clients come in. */
static const pp_scope *find_scope(pipit_server *server, const pp_fanout_options *o,
                                  const pp_directory *directory)
{
    const pp_users *users = pp_directory_users(directory);
    const pp_user *user;
    pp_account *account;

    if (o->user) {
        user = pp_users_find(users, pp_str_of(o->user));
        user = user ? user : pp_users_find_nkey(users, pp_str_of(o->user));
        return user ? &user->scope : NULL;
    }
    account = pp_directory_global(directory);
    if (o->account && pp_accounts_take(&server->accounts, o->account, false, &account))
        return NULL;
    return pp_users_find_root(users, account);
}

static size_t lower(uint64_t a, uint64_t b)
{
    return (size_t)(a < b ? a : b);
}

static void fill(struct pp_fanout_made *made, pipit_server *server, const pp_options *options,
                 const pp_scope *scope)
{
    const pp_fanout_options *o = &options->fanout;

    made->queue_bytes = (size_t)o->max_queue_bytes;
    made->write_deadline_ns = options->write_deadline_ns;
    made->settings = (pp_fanout_settings){
        .scope = scope,
        .client_limit = o->client_limit ? o->client_limit : server->fanout.client_limit,
        .line_max = (size_t)o->max_line_bytes,
        .message_max = lower(o->max_line_bytes, options->max_payload_bytes),
        .name_max = o->max_channel_name,
        .queue_lines = o->max_queue_lines,
        .channels_max = o->max_channels,
        .all_channels_max = o->max_all_channels,
        .crlf = o->crlf,
        .idle_ns = o->idle_timeout_ns,
        .allow = made->allow,
        .allow_count = o->allow_count,
        .places = &server->tls_places,
        .tls_timeout_ns = o->tls.timeout_ns,
    };
    for (size_t i = 0; i < o->allow_count; i++)
        (void)pp_address_range_parse(pp_str_of(o->allow[i]), &made->allow[i]); /* checked */
}

static pipit_err prepare(pipit_server *server, const pp_options *options,
                         const pp_directory *directory, void **out_fresh, pp_buf *error)
{
    const pp_fanout_options *o = &options->fanout;
    struct pp_fanout_made *made;
    const pp_scope *scope;
    pipit_err err;

    if (!o->port && server->fanout.listener.source.fd < 0)
        return PIPIT_OK;
    scope = find_scope(server, o, directory);
    if (!scope) {
        (void)pp_buf_addf(error, "fanout: there is no such user or account: %s",
                          o->user      ? o->user
                          : o->account ? o->account
                                       : "$G");
        return PIPIT_EINVAL;
    }
    made = pp_calloc(1, sizeof(*made) + o->allow_count * sizeof(made->allow[0]));
    if (!made)
        return PIPIT_ENOMEM;
    fill(made, server, options, scope);
    err = pp_server_tls_new(&made->settings.tls, options, &o->tls, server, error);
    if (err) {
        pp_free(made);
        return err;
    }
    made->users = (pp_users *)pp_directory_users(directory);
    pp_users_hold(made->users);
    *out_fresh = made;
    return PIPIT_OK;
}

static void install(pipit_server *server, void *fresh)
{
    pp_fanout *fanout = &server->fanout;
    bool first = !fanout->now;

    /* Answers about the server that are being made have the old one still. */
    (void)pthread_rwlock_wrlock(&server->options_lock);
    fanout->old = fanout->now;
    fanout->now = fresh;
    (void)pthread_rwlock_unlock(&server->options_lock);
    pp_side_door_limit(&fanout->door, fanout->now->queue_bytes, fanout->now->write_deadline_ns);
    for (unsigned i = 0; first && i < server->worker_count; i++) /* the loops do not run yet */
        fanout->shared.contexts[i].settings = &fanout->now->settings;
}

static void adapt(pp_worker *worker)
{
    pp_fanout *fanout = &worker->server->fanout;
    pp_fanout_context *context = &fanout->shared.contexts[worker->loop.index];

    if (!fanout->now)
        return;
    context->settings = &fanout->now->settings;
    pp_fanout_renew_sessions(context);
}

static void settle(pipit_server *server)
{
    made_free(server->fanout.old);
    server->fanout.old = NULL;
}

/* --- what sessions tell ------------------------------------------------------------------- */

static void on_counted(void *context, pp_account *account)
{
    pipit_server *server = context;

    pp_system_note_count(&server->system, account);
    pp_conns_note(&server->system, account);
}

/* --- life --------------------------------------------------------------------------------- */

static int64_t limit_by_descriptors(const pipit_server *server)
{
    int64_t reserved = FILES_RESERVED + FILES_PER_LOOP * (int64_t)server->worker_count;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT32_MAX)
        return INT32_MAX;
    return (int64_t)limit.rlim_cur > reserved ? (int64_t)limit.rlim_cur - reserved : 1;
}

static pipit_err init(pipit_server *server)
{
    pp_fanout *fanout = &server->fanout;
    pp_fanout_door *shared = &fanout->shared;

    fanout->listener.source.fd = fanout->adopted = -1;
    fanout->door.proto = &pp_fanout_proto;
    fanout->door.context = shared;
    fanout->client_limit = limit_by_descriptors(server);
    pp_fanout_channels_init(&shared->channels);
    shared->log = &server->log;
    shared->observer = (pp_fanout_observer){pp_side_door_closed, on_counted, server};
    shared->start_ns = server->start_mono_ns;
    shared->contexts = pp_calloc(server->worker_count, sizeof(*shared->contexts));
    if (!shared->contexts)
        return PIPIT_ENOMEM;
    shared->context_count = server->worker_count;
    for (unsigned i = 0; i < server->worker_count; i++) {
        shared->contexts[i].door = shared;
        shared->contexts[i].router = &server->workers[i].router;
        shared->contexts[i].loop = &server->workers[i].loop;
    }
    return PIPIT_OK;
}

static void fini(pipit_server *server)
{
    pp_fanout *fanout = &server->fanout;

    if (!fanout->door.proto)
        return; /* it has not come to init */
    made_free(fanout->now);
    made_free(fanout->old);
    if (fanout->adopted >= 0)
        (void)close(fanout->adopted);
    pp_fanout_channels_fini(&fanout->shared.channels);
    pp_free(fanout->shared.contexts);
}

static pipit_err adopt(pipit_server *server, int fd)
{
    return pp_side_door_adopt(&server->fanout.adopted, fd);
}

/* --- listening ---------------------------------------------------------------------------- */

/* Without a descriptor for it nothing can be awaited: what it has sent is taken, so that it is not
 * reset before it has read why. */
static void turn_away(pp_listener *listener, int fd)
{
    pp_fanout *fanout = PP_CONTAINER(listener, pp_fanout, listener);
    const pp_fanout_context *context = &fanout->shared.contexts[pp_loop_current()->index];
    char said[512];

    (void)atomic_fetch_add(&fanout->shared.rejected, 1);
    if (!context->settings->tls)
        (void)!send(fd, PP_FANOUT_BUSY, sizeof(PP_FANOUT_BUSY) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(fd, SHUT_WR);
    (void)!recv(fd, said, sizeof(said), MSG_DONTWAIT);
    (void)close(fd);
}

static pipit_err bind_socket(pipit_server *server)
{
    pp_fanout *fanout = &server->fanout;
    const pp_fanout_options *o = &server->options->fanout;
    const pp_side_listen where = {"fanout", o->host, o->port, &fanout->adopted};

    return pp_side_door_listen(server, &where, &fanout->listener.source.fd, &fanout->port);
}

static pipit_err listen_there(pipit_server *server)
{
    pp_fanout *fanout = &server->fanout;
    char where[160];
    pipit_err err;

    if (!server->options->fanout.port && fanout->adopted < 0)
        return PIPIT_OK;
    pp_server_init_listener(server, &fanout->listener, &fanout->door);
    fanout->listener.turn_away = turn_away;
    err = bind_socket(server);
    if (err)
        return err;
    pp_listen_text(fanout->listener.source.fd, where, sizeof(where));
    pp_log_write(&server->log, PP_LOG_INFO, "Listening for fanout clients on %s%s", where,
                 server->options->fanout.tls.given ? ", with TLS" : "");
    return PIPIT_OK;
}

static pipit_err start(pipit_server *server)
{
    pp_listener *listener = &server->fanout.listener;

    return listener->source.fd < 0 ? PIPIT_OK : pp_listener_start(listener);
}

static void stop_listening(pipit_server *server)
{
    if (server->fanout.door.proto)
        pp_listener_stop(&server->fanout.listener);
}

/* --- monitoring --------------------------------------------------------------------------- */

static size_t sockets(const pipit_server *server, pp_ports_entry *out)
{
    const pp_fanout *fanout = &server->fanout;

    if (fanout->listener.source.fd < 0)
        return 0;
    out[0] = (pp_ports_entry){"fanout", fanout->now->settings.tls ? "tls" : "tcp",
                              fanout->listener.source.fd};
    return 1;
}

static void varz(pipit_server *server, pp_json *json)
{
    const pp_fanout *fanout = &server->fanout;
    const pp_fanout_settings *settings = fanout->now ? &fanout->now->settings : NULL;
    pp_fanout_totals totals;

    if (!fanout->port)
        return;
    pp_fanout_sum(&fanout->shared, &totals);
    pp_json_begin_object(json, "fanout");
    pp_json_text(json, "host", pp_str_of(server->options->fanout.host));
    pp_json_u64(json, "port", fanout->port);
    pp_json_text(json, "account", pp_str_of(settings->scope->account->name));
    if (settings->tls)
        pp_json_bool(json, "tls_required", true);
    pp_json_i64(json, "client_limit", settings->client_limit);
    pp_json_i64(json, "clients", atomic_load(&fanout->shared.clients));
    pp_json_i64(json, "clients_most", atomic_load(&fanout->shared.clients_most));
    pp_json_u64(json, "clients_rejected", atomic_load(&fanout->shared.rejected));
    pp_json_u64(json, "channels", atomic_load(&fanout->shared.channels.count));
#define PUT(name, text) pp_json_u64(json, #name, totals.name);
    PP_FANOUT_COUNTERS(PUT)
#undef PUT
    pp_json_end_object(json);
}

static void metrics(pipit_server *server, pp_exposition *e)
{
    const pp_fanout *fanout = &server->fanout;
    pp_fanout_totals totals;

    if (!fanout->port)
        return;
    pp_fanout_sum(&fanout->shared, &totals);
    pp_exposition_gauge(e, "pipit_fanout_clients", "Fanout clients connected.");
    pp_exposition_u64(e, PP_NO_LABEL, (uint64_t)atomic_load(&fanout->shared.clients));
    pp_exposition_gauge(e, "pipit_fanout_channels", "Channels that fanout clients subscribe to.");
    pp_exposition_u64(e, PP_NO_LABEL, atomic_load(&fanout->shared.channels.count));
    pp_exposition_counter(e, "pipit_fanout_clients_rejected",
                          "Fanout clients turned away for their number.");
    pp_exposition_u64(e, PP_NO_LABEL, atomic_load(&fanout->shared.rejected));
#define PUT(name, text)                                                                            \
    pp_exposition_counter(e, "pipit_fanout_" #name, "Of the fanout door: " text ".");              \
    pp_exposition_u64(e, PP_NO_LABEL, totals.name);
    PP_FANOUT_COUNTERS(PUT)
#undef PUT
}

static void describe(const pp_conn *conn, pp_side_session *out)
{
    const pp_fanout_session *s = (const pp_fanout_session *)conn->session;

    *out = (pp_side_session){
        .start_ns = s->start_ns,
        .active_ns = s->active_ns,
        .subs = s->subs.count,
        .account = pp_str_of(s->account ? s->account->name : NULL),
    };
}

static void each_sub(const pp_conn *conn, void (*visit)(const pp_sub *sub, void *arg), void *arg)
{
    const pp_fanout_session *s = (const pp_fanout_session *)conn->session;

    for (uint32_t i = 0; i < s->subs.count; i++)
        visit(s->subs.row[i], arg);
}

const pp_side_door pp_fanout_side_door = {
    .name = "fanout",
    .proto = &pp_fanout_proto,
    .init = init,
    .fini = fini,
    .adopt = adopt,
    .listen = listen_there,
    .start = start,
    .stop_listening = stop_listening,
    .prepare = prepare,
    .install = install,
    .drop = made_free,
    .adapt = adapt,
    .settle = settle,
    .sockets = sockets,
    .varz = varz,
    .metrics = metrics,
    .describe = describe,
    .each_sub = each_sub,
};
