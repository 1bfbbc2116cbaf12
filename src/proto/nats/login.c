/* From CONNECT to the verdict, which may take a while: until then the session reads nothing more,
 * and the timer for saying who one is runs on. */
#include "auth/gate.h"
#include "base/alloc.h"
#include "proto/nats/log_prefix.h"
#include "proto/nats/quote.h"
#include "proto/nats/session.h"
#include "proto/nats/shown_certificate.h"

#include <stdio.h>

enum { CLAIM_MAX = 128, REFUSAL_MAX = 512 };

/* How long a client waits for the server to compare its password, when many do. */
static const int64_t hashing_max_ns = 60000000000;

struct pp_nats_login {
    pp_login login;
    pp_task task;
    pp_nats_session *s;
    char host[48];
    char nonce[PP_NONCE_BYTES];
    pp_nats_shown_certificate *certificate; /* NULL: none is shown */
    pp_nats_shown_tls *tls;
};

static void on_wake(pp_task *task);

/* On whatever thread; the session, if it has ended, is held. */
static void wake(pp_login *login)
{
    struct pp_nats_login *l = PP_CONTAINER(login, struct pp_nats_login, login);

    pp_loop_post(l->s->conn->loop, &l->task);
}

/* What CONNECT says, or else the request that came before it. */
static pp_str shown_text(const pp_nats_session *s, enum pp_nats_connect_text which)
{
    pp_str text = pp_nats_connect_text(&s->connect, which);

    return text.len ? text : pp_nats_carried(s->conn, which);
}

/* What is known of a connection that has not said anything. */
static void fill_connection(const pp_nats_session *s, pp_login_shown *shown)
{
    *shown = (pp_login_shown){
        .entrance = pp_nats_entrance(s->conn),
        .connection_type = pp_nats_connection_type(s->conn),
        .port = s->conn->peer_port,
        .connection_id = s->conn->id,
        .start_ns = s->start_ns,
    };
    if (s->conn->local)
        shown->has_peer = pp_conn_peer_ids(s->conn, &shown->uid, &shown->gid);
}

const pp_user *pp_nats_anybody(const pp_nats_session *s)
{
    pp_login_shown shown;

    fill_connection(s, &shown);
    return pp_gate_anybody(s->context->settings->gate, &shown);
}

static void fill(struct pp_nats_login *l)
{
    const pp_nats_session *s = l->s;
    const struct pp_nats_connect *c = &s->connect;
    pp_login_shown *shown = &l->login.shown;

    fill_connection(s, shown);
    pp_conn_peer_text(s->conn, l->host);
    shown->host = pp_str_of(l->host);
    pp_nats_nonce(s, l->nonce);
    shown->nonce = pp_str_of(l->nonce);
    shown->user = shown_text(s, PP_CONNECT_USER);
    shown->pass = shown_text(s, PP_CONNECT_PASS);
    shown->token = shown_text(s, PP_CONNECT_AUTH_TOKEN);
    shown->nkey = pp_nats_connect_text(c, PP_CONNECT_NKEY);
    shown->sig = pp_nats_connect_text(c, PP_CONNECT_SIG);
    shown->jwt = shown_text(s, PP_CONNECT_JWT);
    shown->proxy_sig = pp_nats_connect_text(c, PP_CONNECT_PROXY_SIG);
    shown->name = pp_nats_connect_text(c, PP_CONNECT_NAME);
    shown->lang = pp_nats_connect_text(c, PP_CONNECT_LANG);
    shown->version = pp_nats_connect_text(c, PP_CONNECT_VERSION);
    shown->protocol = c->protocol;
    shown->certificate = pp_nats_shown_certificate_of(l->certificate);
    shown->tls = pp_nats_shown_tls_of(l->tls);
}

/* --- waiting ------------------------------------------------------------------------------ */

static void begin_waiting(pp_nats_session *s)
{
    pp_conn_hold(s->conn);
    pp_conn_stop_reading(s->conn);
    if (s->authenticated) {
        s->authenticated = false; /* it says anew who it is */
        s->conn->guarded = true;
        pp_nats_schedule_start(s);
    }
}

static void login_free(struct pp_nats_login *l)
{
    if (!l)
        return;
    pp_nats_shown_certificate_free(l->certificate);
    pp_nats_shown_tls_free(l->tls);
    pp_free(l);
}

static void end(struct pp_nats_login *l, bool waited)
{
    pp_nats_session *s = l->s;

    s->login = NULL;
    login_free(l);
    if (waited) {
        pp_conn_start_reading(s->conn);
        pp_conn_unhold(s->conn);
    }
}

void pp_nats_abandon_login(pp_nats_session *s)
{
    if (s->login)
        atomic_store_explicit(&s->login->login.abandoned, true, memory_order_relaxed);
}

bool pp_nats_login_goes_on(const pp_nats_session *s)
{
    if (!s->login)
        return false;
    return s->login->login.timed ||
           (s->login->login.hashing && s->conn->loop->now_ns - s->start_ns < hashing_max_ns);
}

/* --- the verdict -------------------------------------------------------------------------- */

/* Who it said it was: nobody has verified that. What may be a secret is not shown. */
static void log_refusal(pp_nats_session *s, const char *why)
{
    static const struct {
        enum pp_nats_connect_text text;
        const char *label;
        bool shown;
    } claims[] = {
        {PP_CONNECT_NKEY, "Nkey", true},
        {PP_CONNECT_USER, "User", true},
        {PP_CONNECT_JWT, "JWT", false},
        {PP_CONNECT_AUTH_TOKEN, "Token", false},
    };
    char line[REFUSAL_MAX], quoted[CLAIM_MAX] = "\"[REDACTED]\"";
    const char *label = NULL;

    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]) && !label; i++) {
        pp_str claim = pp_nats_connect_text(&s->connect, claims[i].text);

        if (!claim.len)
            continue;
        label = claims[i].label;
        /* A seed in place of a key would be one, too. */
        if (claims[i].shown && (claims[i].text != PP_CONNECT_NKEY || claim.ptr[0] == 'U'))
            pp_nats_quote(claim, quoted, sizeof(quoted));
    }
    (void)snprintf(line, sizeof(line), "authentication error%s%s%s%s%s%s", label ? " - " : "",
                   label ? label : "", label ? " " : "", label ? quoted : "", why ? ": " : "",
                   why ? why : "");
    pp_nats_log_limited(s, &s->context->auth_log, PP_LOG_ERROR, line);
}

static void refuse(pp_nats_session *s, const pp_login_verdict *verdict)
{
    pp_close_reason reason = PP_CLOSE_AUTH;

    s->authenticated = false;
    if (verdict->fault == PP_LOGIN_NO_MEMORY) {
        pp_nats_refuse(s, PP_CLOSE_NO_MEMORY, NULL);
        return;
    }
    if (verdict->fault == PP_LOGIN_BUSY) { /* in words that make clients try again */
        pp_nats_log_limited(s, &s->context->auth_log, PP_LOG_WARN, verdict->why);
        pp_nats_refuse(s, PP_CLOSE_AUTH_TIMEOUT, "Authentication Timeout");
        return;
    }
    if (verdict->fault == PP_LOGIN_PROXY_NOT_TRUSTED)
        reason = PP_CLOSE_PROXY_NOT_TRUSTED;
    else if (verdict->fault == PP_LOGIN_PROXY_REQUIRED)
        reason = PP_CLOSE_PROXY_REQUIRED;
    log_refusal(s, verdict->why);
    pp_nats_refuse(s, reason, "Authorization Violation");
}

static void obey(pp_nats_session *s, const pp_login_verdict *verdict)
{
    bool entered;

    if (!verdict->user) {
        refuse(s, verdict);
        return;
    }
    s->authenticated = true;
    s->conn->guarded = false;
    entered = pp_nats_admit(s, verdict->user);
    pp_user_let_go(verdict->user);
    if (entered)
        pp_nats_enter(s);
}

/* The gate may go before the session. */
static bool note_proxy(pp_nats_session *s, const char *key)
{
    pp_free(s->proxy_key);
    s->proxy_key = key ? pp_memdupz(key, strlen(key)) : NULL;
    return !key || s->proxy_key;
}

/* There is a verdict, but perhaps by rules that are not in force any more. */
static void decide(struct pp_nats_login *l, bool waited)
{
    pp_nats_session *s = l->s;
    pp_login_verdict verdict;

    while (l->login.gate != s->context->settings->gate) {
        pp_gate_drop(&l->login);
        if (pp_gate_ask(s->context->settings->gate, &l->login) == PIPIT_EAGAIN) {
            if (!waited)
                begin_waiting(s);
            return;
        }
    }
    verdict = l->login.verdict;
    if (verdict.user && !note_proxy(s, l->login.proxy)) {
        pp_gate_drop(&l->login);
        verdict = (pp_login_verdict){.fault = PP_LOGIN_NO_MEMORY};
    }
    end(l, waited);
    obey(s, &verdict);
}

static void on_wake(pp_task *task)
{
    struct pp_nats_login *l = PP_CONTAINER(task, struct pp_nats_login, task);

    if (l->s->conn->closing) {
        pp_gate_drop(&l->login);
        end(l, true);
    } else if (pp_gate_go_on(&l->login) != PIPIT_EAGAIN) {
        decide(l, true);
    }
}

void pp_nats_log_in(pp_nats_session *s)
{
    struct pp_nats_login *l = pp_calloc(1, sizeof(*l));

    PP_ASSERT(!s->login);
    /* One that cannot be read is none: it maps to nobody. */
    if (!l || pp_nats_shown_certificate_new(&l->certificate, s->conn, 0) == PIPIT_ENOMEM ||
        pp_nats_shown_tls_new(&l->tls, s->conn)) {
        login_free(l);
        pp_nats_refuse(s, PP_CLOSE_NO_MEMORY, NULL);
        return;
    }
    l->s = s;
    l->task.run = on_wake;
    l->login.wake = wake;
    fill(l);
    s->login = l;
    if (pp_gate_ask(s->context->settings->gate, &l->login) == PIPIT_EAGAIN)
        begin_waiting(s);
    else
        decide(l, false);
}
