#include "server/realm.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "core/latency.h"
#include "net/parcel.h"
#include "proto/nats/session.h"
#include "server/monitor/records.h"
#include "server/server.h"

enum { RESULT_MAX = 1024 * 1024 };

static pp_worker *worker_of(pp_router *router)
{
    return PP_CONTAINER(router, pp_worker, router);
}

static const pp_nats_session *session_of(const pp_client *client)
{
    return client && client->ops == &pp_nats_client_ops
               ? PP_CONTAINER(client, pp_nats_session, client)
               : NULL;
}

/* --- who asks ------------------------------------------------------------------------------ */

static void put_text(pp_json *json, const char *key, pp_str text)
{
    if (text.len)
        pp_json_text(json, key, text);
}

static void put_server(pp_json *json, pipit_server *server)
{
    pp_json_text(json, "server", pp_str_of(pp_server_settings(server)->server_name));
}

/* What the reference calls ClientInfo, in its order. Source: accounts and subjects, section 4. */
static pipit_err put_all(pipit_server *server, pp_json *json, const pp_nats_session *session,
                         const char *account, const char *via)
{
    size_t bytes = pp_conn_record_bytes(session->conn);
    pp_conn_record *c = pp_alloc(bytes);
    char host[48];

    if (!c)
        return PIPIT_ENOMEM;
    c->bytes = (uint32_t)bytes;
    pp_conn_record_fill(c, session->conn);
    pp_conn_address_text(c->family, c->address, host);
    pp_json_time(json, "start", pp_vitals_wall_ns(server, c->start_ns));
    pp_json_text(json, "host", pp_str_of(host));
    pp_json_u64(json, "id", c->cid);
    pp_json_text(json, "acc", pp_str_of(account));
    put_text(json, "svc", pp_str_of(via));
    put_text(json, "user", pp_conn_record_text(c, PP_RECORD_USER));
    put_text(json, "name", pp_conn_record_text(c, PP_RECORD_NAME));
    put_text(json, "lang", pp_conn_record_text(c, PP_RECORD_LANG));
    put_text(json, "ver", pp_conn_record_text(c, PP_RECORD_VERSION));
    if (c->rtt_us)
        pp_json_i64(json, "rtt", (int64_t)c->rtt_us * 1000);
    put_server(json, server);
    pp_json_text(json, "kind", PP_STR("Client"));
    pp_json_text(json, "client_type", pp_str_of(c->type));
    pp_free(c);
    return PIPIT_OK;
}

static pipit_err describe(void *context, const pp_requester *requester, pp_buf *out)
{
    pipit_server *server = context;
    const pp_nats_session *session = session_of(requester->client);
    bool to_system =
        requester->to == atomic_load_explicit(&server->system.account, memory_order_relaxed);
    pipit_err err = PIPIT_OK;
    pp_json json;

    pp_json_init(&json, out, 0);
    pp_json_begin_object(&json, NULL);
    if (requester->share && session) {
        err = put_all(server, &json, session, requester->account, requester->via);
    } else {
        pp_json_text(&json, "acc", pp_str_of(requester->account));
        put_text(&json, "svc", pp_str_of(requester->via));
        if (session && session->rtt_us)
            pp_json_i64(&json, "rtt", (int64_t)session->rtt_us * 1000);
        if (requester->name_server || to_system)
            put_server(&json, server);
    }
    pp_json_end_object(&json);
    return err ? err : pp_json_finish(&json);
}

static int64_t rtt_ns(void *context, const pp_client *client)
{
    const pp_nats_session *session = session_of(client);

    (void)context;
    return session ? (int64_t)session->rtt_us * 1000 : 0;
}

/* --- time ---------------------------------------------------------------------------------- */

static int64_t now_ns(void *context)
{
    (void)context;
    return pp_clock_mono_ns();
}

static void on_time(pp_timer *timer)
{
    pp_worker *worker = PP_CONTAINER(timer, pp_worker, responses_timer);
    int64_t next_ns = pp_responses_expire(&worker->router, pp_clock_mono_ns());

    if (next_ns != INT64_MAX)
        pp_timer_set(&worker->loop.timers, timer, next_ns, on_time);
}

static void schedule(void *context, pp_router *router, int64_t when_ns)
{
    pp_worker *worker = worker_of(router);

    (void)context;
    pp_timer_set(&worker->loop.timers, &worker->responses_timer, when_ns, on_time);
}

/* --- how long it took ---------------------------------------------------------------------- */

/* JSON that was written before. */
static void put_written(pp_json *json, const char *key, pp_str text)
{
    if (text.len)
        pp_json_raw(json, key, text);
}

static void put_times(pipit_server *server, pp_json *json, const pp_latency *latency)
{
    int64_t service = 0, system = 0, total = 0;

    if (latency->status == 200) {
        int64_t round_trip = latency->response_ns - latency->request_ns;

        service = round_trip - latency->responder_rtt_ns;
        service = service < 0 ? 0 : service;
        system = pp_clock_mono_ns() - latency->response_ns;
        total = latency->requester_rtt_ns + round_trip + system;
    }
    pp_json_time(json, "start",
                 pp_vitals_wall_ns(server, latency->request_ns - latency->requester_rtt_ns));
    pp_json_i64(json, "service", service);
    pp_json_i64(json, "system", system);
    pp_json_i64(json, "total", total);
}

/* Source: accounts and subjects, section 5. */
static pipit_err write_result(pp_worker *worker, const pp_latency *latency, pp_buf *out)
{
    const pp_nats_session *responder = session_of(latency->responder);
    char id[PP_NUID_BYTES + 1];
    pipit_err err = PIPIT_OK;
    pp_json json;

    pp_nuid_next(&worker->nuid, id);
    pp_json_init(&json, out, 0);
    pp_json_begin_object(&json, NULL);
    pp_json_text(&json, "type", PP_STR("io.nats.server.metric.v1.service_latency"));
    pp_json_text(&json, "id", pp_str_of(id));
    pp_json_time(&json, "timestamp", pp_clock_wall_ns());
    pp_json_i64(&json, "status", latency->status);
    put_text(&json, "description", pp_str_of(latency->description));
    put_written(&json, "requestor", pp_latency_requester(latency));
    if (responder) {
        pp_json_begin_object(&json, "responder");
        err = put_all(worker->server, &json, responder, pp_nats_account(responder)->name, NULL);
        pp_json_end_object(&json);
    }
    put_written(&json, "header", pp_latency_header(latency));
    put_times(worker->server, &json, latency);
    pp_json_end_object(&json);
    return err ? err : pp_json_finish(&json);
}

static void publish(pp_router *router, pp_account *account, pp_str subject, pp_str text)
{
    pp_route_cache *cache = pp_router_inner(router, account, false);
    pp_body *body = cache ? pp_parcel_body(text) : NULL;
    pp_msg msg = {.subject = subject};

    if (body) {
        msg.data = (pp_str){body->bytes, text.len};
        msg.body = text.len >= PP_PARCEL_REFER_MIN ? body : NULL;
        (void)pp_router_pass(router, cache, &msg);
    }
    pp_body_unref(body);
}

static void report(void *context, pp_router *router, const pp_latency *latency)
{
    pipit_server *server = context;
    pp_buf text;

    if (!atomic_load_explicit(&server->system.account, memory_order_relaxed))
        return; /* it is the system account that makes latency known */
    pp_buf_init(&text, RESULT_MAX);
    if (!write_result(worker_of(router), latency, &text))
        publish(router, latency->account, pp_latency_subject(latency), pp_buf_str(&text));
    pp_buf_fini(&text);
}

/* --- life ---------------------------------------------------------------------------------- */

static const pp_realm_ops ops = {
    .describe = describe,
    .now_ns = now_ns,
    .schedule = schedule,
    .report = report,
    .rtt_ns = rtt_ns,
};

pipit_err pp_server_realm_init(pipit_server *server, unsigned worker_count)
{
    pp_realm *realm = &server->realm;

    realm->ops = &ops;
    realm->context = server;
    realm->routers = pp_calloc(worker_count, sizeof(pp_router *));
    return realm->routers ? PIPIT_OK : PIPIT_ENOMEM;
}

void pp_server_realm_join(pp_worker *worker)
{
    pp_realm *realm = &worker->server->realm;

    worker->router.realm = realm;
    realm->routers[worker->router.index] = &worker->router;
    realm->router_count = worker->router.index + 1;
}

void pp_server_realm_fini(pipit_server *server)
{
    pp_free(server->realm.routers);
}
