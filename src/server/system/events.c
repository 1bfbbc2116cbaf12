#include "server/system/events.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "server/monitor/records.h"
#include "server/server.h"
#include "server/system/identity.h"
#include "server/system/publish.h"
#include "server/system/system.h"

typedef enum event_kind { CONNECTED, CLOSED, REFUSED } event_kind;

struct event {
    pp_task task;
    pp_system *system;
    event_kind kind;
    pp_conn_record client;
};

/* --- writing ------------------------------------------------------------------------------- */

static void put_text(pp_json *json, const char *key, pp_str text)
{
    if (text.len)
        pp_json_text(json, key, text);
}

/* Source: accounts and subjects, section 9, "ClientInfo". */
static void put_client(pp_json *json, const struct event *event)
{
    const pipit_server *server = event->system->server;
    const pp_conn_record *c = &event->client;
    char host[48];

    pp_conn_address_text(c->family, c->address, host);
    pp_json_begin_object(json, "client");
    pp_json_time(json, "start", pp_vitals_wall_ns(server, c->start_ns));
    pp_json_text(json, "host", pp_str_of(host));
    pp_json_u64(json, "id", c->cid);
    put_text(json, "acc", pp_conn_record_text(c, PP_RECORD_ACCOUNT));
    put_text(json, "user", pp_conn_record_text(c, PP_RECORD_USER));
    put_text(json, "name", pp_conn_record_text(c, PP_RECORD_NAME));
    put_text(json, "lang", pp_conn_record_text(c, PP_RECORD_LANG));
    put_text(json, "ver", pp_conn_record_text(c, PP_RECORD_VERSION));
    if (event->kind != CONNECTED) {
        if (c->rtt_us)
            pp_json_i64(json, "rtt", (int64_t)c->rtt_us * 1000);
        pp_json_time(json, "stop", pp_vitals_wall_ns(server, c->stop_ns));
    }
    put_text(json, "issuer_key", pp_conn_record_text(c, PP_RECORD_ISSUER));
    put_text(json, "name_tag", pp_conn_record_text(c, PP_RECORD_NAME_TAG));
    pp_tags_write(json, pp_conn_record_text(c, PP_RECORD_TAGS));
    pp_json_text(json, "kind", PP_STR("Client"));
    pp_json_text(json, "client_type", pp_str_of(c->type));
    pp_json_end_object(json);
}

/* As the client sees it: it has sent what has come in. */
static void put_traffic(pp_json *json, const char *key, uint64_t msgs, uint64_t bytes)
{
    pp_json_begin_object(json, key);
    pp_json_u64(json, "msgs", msgs);
    pp_json_u64(json, "bytes", bytes);
    pp_json_end_object(json);
}

static pipit_err write_event(pp_system *system, pp_buf *out, void *arg)
{
    const struct event *event = arg;
    const pp_conn_record *c = &event->client;
    pp_json json;

    pp_json_init(&json, out, 0);
    pp_advisory_begin(system, &json,
                      event->kind == CONNECTED ? "io.nats.server.advisory.v1.client_connect"
                                               : "io.nats.server.advisory.v1.client_disconnect");
    put_client(&json, event);
    if (event->kind != CONNECTED) {
        put_traffic(&json, "sent", c->in_msgs, c->in_bytes);
        put_traffic(&json, "received", c->out_msgs, c->out_bytes);
        pp_json_text(&json, "reason", pp_str_of(pp_close_reason_text((pp_close_reason)c->reason)));
    }
    pp_json_end_object(&json);
    return pp_json_finish(&json);
}

/* --- telling ------------------------------------------------------------------------------- */

static void on_event(pp_task *task)
{
    struct event *event = PP_CONTAINER(task, struct event, task);
    pp_system *system = event->system;
    pp_str account = pp_conn_record_text(&event->client, PP_RECORD_ACCOUNT);

    (void)atomic_fetch_sub(&system->events, 1);
    if (!system->running) /* what was left when the server stopped */
        ;
    else if (event->kind == REFUSED)
        pp_system_announce(system, write_event, event, "$SYS.SERVER.%s.CLIENT.AUTH.ERR",
                           system->server->server_id);
    else
        pp_system_announce(system, write_event, event, "$SYS.ACCOUNT.%.*s.%s", PP_STR_ARGS(account),
                           event->kind == CONNECTED ? "CONNECT" : "DISCONNECT");
    pp_free(event);
}

/* A server that stops closes everybody, and that is said once. */
static bool is_wanted(const pp_system *system)
{
    return pp_system_is_heard(system) &&
           atomic_load_explicit(&system->server->open, memory_order_relaxed);
}

static void note(pp_system *system, const pp_nats_session *session, event_kind kind)
{
    size_t bytes = pp_conn_record_bytes(session->conn);
    struct event *event = NULL;

    if (!is_wanted(system))
        return;
    if (atomic_fetch_add(&system->events, 1) < PP_SYSTEM_EVENTS_MAX)
        event = pp_alloc(offsetof(struct event, client) + bytes);
    if (!event) {
        (void)atomic_fetch_sub(&system->events, 1);
        (void)atomic_fetch_add_explicit(&system->dropped, 1, memory_order_relaxed);
        return;
    }
    event->task.run = on_event;
    event->system = system;
    event->kind = kind;
    event->client.bytes = (uint32_t)bytes;
    pp_conn_record_fill(&event->client, session->conn);
    if (kind == REFUSED)
        event->client.reason = PP_CLOSE_AUTH;
    if (kind != CONNECTED)
        event->client.stop_ns = pp_clock_mono_ns();
    pp_loop_post(&system->home->loop, &event->task);
}

void pp_events_connected(pp_system *system, const pp_nats_session *session)
{
    note(system, session, CONNECTED);
}

void pp_events_closed(pp_system *system, const pp_nats_session *session)
{
    note(system, session, CLOSED);
}

void pp_events_refused(pp_system *system, const pp_nats_session *session)
{
    note(system, session, REFUSED);
}
