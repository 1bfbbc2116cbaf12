#include "server/message_broker.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "proto/message_broker/session.h"
#include "server/server.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TOPICS_DIR "/message_broker" /* below the folder that is configured */

static const uint64_t file_bytes_max = 1ull << 30, memory_bytes_max = 64ull << 20;

/* --- settings ----------------------------------------------------------------------------- */

typedef struct fresh {
    pp_mb_settings settings;
    size_t pending_max;
    int64_t write_deadline_ns;
} fresh;

static uint64_t bytes_max(const pp_message_broker_options *o)
{
    if (o->max_bytes)
        return o->max_bytes;
    return o->store == PP_MESSAGE_BROKER_FILE ? file_bytes_max : memory_bytes_max;
}

static pp_mb_settings settings_of(const pp_options *options)
{
    const pp_message_broker_options *o = &options->message_broker;

    return (pp_mb_settings){
        .topics =
            {
                .topics = o->max_topics,
                .backlog_bytes = (size_t)o->max_waiting_bytes,
                .stream = {.messages = o->max_messages,
                           .bytes = bytes_max(o),
                           .age_ns = o->max_age_ns},
                .scrub_interval_ns = o->scrub_interval_ns,
                .scrub_rate = o->scrub_rate,
            },
        .ack_timeout_ns = o->ack_timeout_ns,
        .ack_delay_ns = o->ack_delay_ns,
        .max_deliver = o->max_deliver,
        .outstanding_max = o->max_outstanding,
        .clients_max = o->max_clients,
        .subscriptions_max = o->max_subscriptions,
        .frame_timeout_ns = o->frame_timeout_ns,
        .data_max = (size_t)options->max_payload_bytes,
    };
}

static pipit_err prepare(pipit_server *server, const pp_options *options,
                         const pp_directory *directory, void **out_fresh, pp_buf *error)
{
    fresh *f;

    (void)directory;
    (void)error;
    if (!server->message_broker.broker)
        return PIPIT_OK;
    f = pp_calloc(1, sizeof(*f));
    if (!f)
        return PIPIT_ENOMEM;
    f->settings = settings_of(options);
    f->pending_max = (size_t)options->max_pending_bytes;
    f->write_deadline_ns = options->write_deadline_ns;
    *out_fresh = f;
    return PIPIT_OK;
}

/* The loops that take them are told by the reload, which waits for them. */
static void install(pipit_server *server, void *fresh_)
{
    pp_message_broker *front = &server->message_broker;
    fresh *f = fresh_;

    front->settings = f->settings;
    pp_side_door_limit(&front->door, f->pending_max, f->write_deadline_ns);
    pp_free(f);
}

static void adapt(pp_worker *worker)
{
    pp_message_broker *front = &worker->server->message_broker;

    if (front->broker && worker->loop.index == front->home)
        pp_mb_broker_renew(front->broker, &front->settings);
}

/* --- life --------------------------------------------------------------------------------- */

static pipit_err init(pipit_server *server)
{
    pp_message_broker *front = &server->message_broker;

    front->listener.source.fd = front->adopted = -1;
    front->door.proto = &pp_mb_proto;
    front->home = server->worker_count - 1; /* the first has more than others to do */
    return PIPIT_OK;
}

static void fini(pipit_server *server)
{
    pp_message_broker *front = &server->message_broker;

    if (!front->door.proto)
        return; /* it has not come to init */
    pp_mb_broker_free(front->broker);
    pp_side_door_leave_account(front->account);
    if (front->adopted >= 0)
        (void)close(front->adopted);
}

static pipit_err adopt(pipit_server *server, int fd)
{
    return pp_side_door_adopt(&server->message_broker.adopted, fd);
}

/* The keys that topics are encrypted with. Errors: there are none that can be used, why says so. */
static pipit_err take_keys(const pp_message_broker_options *o, struct pp_store_keys *out_keys,
                           char why[PP_STORE_KEYS_WHY_BYTES])
{
    *why = '\0';
    *out_keys = (struct pp_store_keys){0};
    if (o->key_file)
        return pp_store_keys_read(o->key_file, out_keys, why);
    return o->key ? pp_store_keys_parse(pp_str_of(o->key), out_keys, why) : PIPIT_OK;
}

static void say_how_lazy(const pipit_server *server, const pp_message_broker_options *o)
{
    if (o->store == PP_MESSAGE_BROKER_FILE && o->sync_interval_ns)
        pp_log_write(&server->log, PP_LOG_WARN,
                     "message-broker: what is delivered may be lost with the power: it is synced "
                     "every %lld ms",
                     (long long)(o->sync_interval_ns / PP_NS_PER_MS));
}

static pipit_err new_broker(pipit_server *server)
{
    pp_message_broker *front = &server->message_broker;
    const pp_message_broker_options *o = &server->options->message_broker;
    pp_router **routers = pp_side_door_routers(server);
    char dir[2048], why[PP_MB_WHY_BYTES];
    struct pp_store_keys keys;
    pp_mb_host host = {
        .log = &server->log,
        .account = front->account,
        .loops = server->loops,
        .routers = routers,
        .loop_count = server->worker_count,
        .home = front->home,
        .dir = o->store == PP_MESSAGE_BROKER_FILE ? dir : NULL,
        .ctx = server,
        .on_closed = pp_side_door_closed,
        .files = {.sync_interval_ns = o->sync_interval_ns, .compress = o->compression},
    };
    pipit_err err;

    if (!routers)
        return PIPIT_ENOMEM;
    front->settings = settings_of(server->options);
    err = take_keys(o, &keys, why);
    host.files.keys = keys.count ? &keys : NULL;
    if (!err)
        err = (size_t)snprintf(dir, sizeof(dir), "%s" TOPICS_DIR, o->store_dir) < sizeof(dir)
                  ? pp_mb_broker_new(&front->broker, &host, &front->settings, why)
                  : PIPIT_ETOOBIG;
    pp_store_keys_wipe(&keys);
    pp_free(routers);
    if (err)
        pp_log_write(&server->log, PP_LOG_FATAL, "Unable to open the topics of message-broker: %s",
                     err == PIPIT_ETOOBIG ? "the folder's name is too long" : why);
    else
        say_how_lazy(server, o);
    front->door.context = front->broker;
    return err;
}

static pipit_err bind_socket(pipit_server *server)
{
    pp_message_broker *front = &server->message_broker;
    const pp_message_broker_options *o = &server->options->message_broker;
    const pp_side_listen where = {"message-broker", o->host, o->port, &front->adopted};

    return pp_side_door_listen(server, &where, &front->listener.source.fd, &front->port);
}

/* Its connections are all given to one loop. */
static void init_listener(pipit_server *server)
{
    pp_message_broker *front = &server->message_broker;

    pp_server_init_listener(server, &front->listener, &front->door);
    front->listener.loops += front->home;
    front->listener.given += front->home;
    front->listener.loop_count = 1;
    front->has_listener = true;
}

static pipit_err listen_there(pipit_server *server)
{
    pp_message_broker *front = &server->message_broker;
    char where[160];
    pipit_err err;

    if (!server->options->message_broker.port && front->adopted < 0)
        return PIPIT_OK;
    init_listener(server);
    front->account = pp_side_door_name_account(server, server->options->message_broker.account);
    if (!front->account)
        return PIPIT_EINVAL; /* it was there when the options were checked */
    err = new_broker(server);
    if (!err)
        err = bind_socket(server);
    if (err)
        return err;
    pp_listen_text(front->listener.source.fd, where, sizeof(where));
    pp_log_write(&server->log, PP_LOG_INFO,
                 "Listening for message-broker clients on %s, %llu topics", where,
                 (unsigned long long)atomic_load(&front->broker->gauges.topics));
    return PIPIT_OK;
}

static pipit_err start(pipit_server *server)
{
    pp_message_broker *front = &server->message_broker;
    pipit_err err;

    if (front->listener.source.fd < 0)
        return PIPIT_OK;
    err = pp_mb_broker_start(front->broker);
    return err ? err : pp_listener_start(&front->listener);
}

/* When the loops have ended the topics are closed, too: what was accepted is on disk then. */
static void stop_listening(pipit_server *server)
{
    pp_message_broker *front = &server->message_broker;

    if (!front->has_listener)
        return;
    pp_listener_stop(&front->listener);
    if (front->broker && pp_loop_current() != server->loops[0])
        pp_mb_broker_stop(front->broker);
}

/* --- monitoring --------------------------------------------------------------------------- */

static size_t sockets(const pipit_server *server, pp_ports_entry *out)
{
    const pp_message_broker *front = &server->message_broker;

    if (!front->has_listener || front->listener.source.fd < 0)
        return 0;
    out[0] = (pp_ports_entry){"message_broker", "tcp", front->listener.source.fd};
    return 1;
}

static void varz(pipit_server *server, pp_json *json)
{
    const pp_message_broker *front = &server->message_broker;
    pp_mb_broker *broker = front->broker;

    if (!front->port)
        return;
    pp_json_begin_object(json, "message_broker");
    pp_json_text(json, "host", pp_str_of(server->options->message_broker.host));
    pp_json_u64(json, "port", front->port);
    pp_json_text(json, "account", pp_str_of(front->account->name));
    pp_json_u64(json, "clients", atomic_load(&broker->gauges.clients));
    pp_json_u64(json, "topics", atomic_load(&broker->gauges.topics));
    pp_json_u64(json, "subscriptions", atomic_load(&broker->gauges.subscriptions));
    pp_json_u64(json, "in_flight", atomic_load(&broker->gauges.in_flight));
    pp_json_u64(json, "outstanding", atomic_load(&broker->gauges.waiting));
#define PUT(name, text) pp_json_u64(json, #name, atomic_load(&broker->counters.name));
    PP_MB_COUNTERS(PUT)
#undef PUT
    pp_json_end_object(json);
}

static void gauge(pp_exposition *e, const char *name, const char *help,
                  const atomic_uint_fast64_t *value)
{
    pp_exposition_gauge(e, name, help);
    pp_exposition_u64(e, PP_NO_LABEL, atomic_load((atomic_uint_fast64_t *)value));
}

static void metrics(pipit_server *server, pp_exposition *e)
{
    pp_mb_broker *broker = server->message_broker.broker;

    if (!server->message_broker.port)
        return;
    gauge(e, "pipit_message_broker_clients", "Clients of message-broker connected.",
          &broker->gauges.clients);
    gauge(e, "pipit_message_broker_topics", "Topics that there are.", &broker->gauges.topics);
    gauge(e, "pipit_message_broker_subscriptions",
          "Topics that clients subscribe to, counted for "
          "each client.",
          &broker->gauges.subscriptions);
    gauge(e, "pipit_message_broker_in_flight", "Messages whose answer is awaited.",
          &broker->gauges.in_flight);
    gauge(e, "pipit_message_broker_outstanding", "Messages in flight or to be given again.",
          &broker->gauges.waiting);
#define PUT(name, text)                                                                            \
    pp_exposition_counter(e, "pipit_message_broker_" #name, "Of message-broker: " text ".");       \
    pp_exposition_u64(e, PP_NO_LABEL, atomic_load(&broker->counters.name));
    PP_MB_COUNTERS(PUT)
#undef PUT
}

static void describe(const pp_conn *conn, pp_side_session *out)
{
    const pp_mb_session *s = (const pp_mb_session *)(const void *)conn->session;

    *out = (pp_side_session){
        .start_ns = s->start_ns,
        .active_ns = s->active_ns,
        .subs = pp_mb_sub_count(s),
        .account = pp_str_of(s->broker->account->name),
    };
}

const pp_side_door pp_message_broker_side_door = {
    .name = "message_broker",
    .proto = &pp_mb_proto,
    .init = init,
    .fini = fini,
    .adopt = adopt,
    .listen = listen_there,
    .start = start,
    .stop_listening = stop_listening,
    .prepare = prepare,
    .install = install,
    .drop = pp_free,
    .adapt = adapt,
    .sockets = sockets,
    .varz = varz,
    .metrics = metrics,
    .describe = describe,
};
