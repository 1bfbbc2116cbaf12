/* INFO and CONNECT: who is who. */
#include "auth/gate.h"
#include "proto/nats/info.h"
#include "proto/nats/log_prefix.h"
#include "proto/nats/session.h"

enum { INFO_MAX = 64 * 1024 };

static void send_info(pp_nats_session *s, bool answers_connect, bool leave)
{
    const pp_nats_settings *settings = s->context->settings;
    bool websocket = pp_nats_by_websocket(s->conn);
    bool wss = websocket && settings->websocket.tls;
    bool tls = settings->tls.context && !s->conn->local && !websocket;
    char ip[48], nonce[PP_NONCE_BYTES];
    pp_buf line;

    s->informed = true;
    pp_nats_nonce(s, nonce);
    pp_conn_peer_text(s->conn, ip);
    pp_buf_init(&line, INFO_MAX);
    if (pp_nats_info_format(
            &(struct pp_nats_info){
                .server_id = pp_str_of(settings->server_id),
                .server_name = pp_str_of(settings->server_name),
                .version = PP_STR(PP_NATS_VERSION),
                .proto = 1,
                .go = PP_STR("c11"), /* clients want it there; ours is C */
                .host = pp_str_of(websocket ? settings->websocket.host : settings->host),
                .port = websocket ? settings->websocket.port : settings->port,
                .headers = settings->headers,
                .auth_required = pp_gate_announced(settings->gate, pp_nats_entrance(s->conn)),
                .tls_required = wss || (tls && (!settings->tls.optional || s->tls_first)),
                .tls_verify = tls && settings->tls.verify,
                .tls_available = wss || (tls && settings->tls.optional && !s->tls_first),
                .max_payload = settings->max_payload,
                .client_id = s->conn->id,
                .client_ip = s->conn->local || s->expects_proxy ? (pp_str){NULL, 0} : pp_str_of(ip),
                .nonce = pp_str_of(nonce),
                .ldm = leave,
                .connect_info = answers_connect,
                .remote_account =
                    answers_connect ? pp_str_of(pp_nats_account(s)->name) : (pp_str){NULL, 0},
                .api_lvl = PP_NATS_API_LEVEL,
                .xkey = pp_str_of(settings->server_xkey),
                .pipit_version = PP_STR(PIPIT_VERSION),
            },
            &line))
        pp_conn_close(s->conn, PP_CLOSE_NO_MEMORY, false);
    else
        pp_nats_send(s, pp_buf_str(&line));
    pp_buf_fini(&line);
}

void pp_nats_send_info(pp_nats_session *s, bool answers_connect)
{
    send_info(s, answers_connect, !answers_connect && atomic_load(&s->context->door->lame_duck));
}

bool pp_nats_send_away(pp_nats_session *s)
{
    if (s->connect.protocol < 1 || !s->told)
        return false;
    send_info(s, false, true);
    return true;
}

static bool shows_something(const pp_nats_session *s)
{
    return s->connect.has_credentials || pp_nats_carried(s->conn, PP_CONNECT_USER).len ||
           pp_nats_carried(s->conn, PP_CONNECT_AUTH_TOKEN).len ||
           pp_nats_carried(s->conn, PP_CONNECT_JWT).len;
}

/* Source: NATS client protocol, section 4: the order of checks. */
void pp_nats_on_connect(pp_nats_session *s, pp_str json)
{
    const pp_nats_settings *settings = s->context->settings;
    pipit_err err;

    PP_ASSERT(s->sids.count == 0); /* a second one starts over */
    s->connected = false;
    err = pp_nats_hide_name(s) ? pp_nats_connect_parse(json, &s->connect) : PIPIT_ENOMEM;
    if (err) {
        pp_nats_refuse(s, err == PIPIT_ENOMEM ? PP_CLOSE_NO_MEMORY : PP_CLOSE_PROTOCOL, NULL);
        return;
    }
    if (!s->authenticated ||
        (shows_something(s) && (pp_gate_required(settings->gate, pp_nats_entrance(s->conn)) ||
                                pp_nats_connect_text(&s->connect, PP_CONNECT_PROXY_SIG).len)))
        pp_nats_log_in(s);
    else
        pp_nats_enter(s);
}

void pp_nats_enter(pp_nats_session *s)
{
    const pp_nats_settings *settings = s->context->settings;

    s->by_token = pp_nats_connect_text(&s->connect, PP_CONNECT_AUTH_TOKEN).len > 0;
    pp_nats_connect_forget_secrets(&s->connect);
    pp_nats_show_name(s);
    if (pp_nats_connect_text(&s->connect, PP_CONNECT_ACCOUNT).len || s->connect.new_account) {
        pp_nats_refuse(s, PP_CLOSE_AUTH, "Authorization Violation");
        return;
    }
    if (s->connect.protocol != 0 && s->connect.protocol != 1) {
        pp_nats_refuse(s, PP_CLOSE_CLIENT_PROTOCOL, "invalid client protocol");
        return;
    }
    s->reader.headers = settings->headers && s->connect.headers;
    atomic_store_explicit(&s->headers, s->reader.headers, memory_order_relaxed);
    if (s->connect.no_responders && !s->reader.headers) {
        pp_nats_refuse(s, PP_CLOSE_NO_RESPONDERS, "no responders requires headers support");
        return;
    }
    s->connected = true;
    pp_nats_guess_rtt(s);
    s->careful = s->connect.verbose || s->connect.pedantic;
    pp_nats_schedule_ping(s, true);
    pp_nats_ok(s);
    PP_NATS_OBSERVE(s, connected, s);
}

/* A client has nothing to say in INFO, but what it says must be an INFO, or null. */
void pp_nats_on_info(pp_nats_session *s, pp_str json)
{
    pipit_err err = pp_nats_connect_check_info(json);

    if (err)
        pp_nats_refuse(s, err == PIPIT_ENOMEM ? PP_CLOSE_NO_MEMORY : PP_CLOSE_PROTOCOL, NULL);
}

static void announce(pp_conn *conn, void *arg)
{
    pp_nats_session *s = (pp_nats_session *)conn->session;

    (void)arg;
    if (conn->door->proto == &pp_nats_proto)
        (void)pp_nats_send_away(s); /* the flag of the door says the same */
}

void pp_nats_announce_lame_duck(pp_nats_context *context)
{
    pp_conn_each(context->loop, announce, NULL);
}
