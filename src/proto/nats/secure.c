/* TLS of a client: before INFO, after it, or not at all, as the settings say.
 *
 * Nothing that comes before a handshake is read as anything else: from the moment that TLS is
 * awaited every byte goes to its layer, or the first one has told that there will be none.
 *
 * Source: NATS client protocol, sections 17 and 18. */
#include "base/clock.h"
#include "proto/nats/log_prefix.h"
#include "proto/nats/session.h"

#include <stdio.h>

enum { HANDSHAKE_BYTE = 0x16 }; /* that TLS begins with */

static const pp_nats_tls *tls_of(const pp_nats_session *s)
{
    return &s->context->settings->tls;
}

void pp_nats_expect_tls(pp_nats_session *s)
{
    if (!tls_of(s)->context || s->conn->local || pp_nats_entrance(s->conn) != PP_ENTRANCE_CLIENTS)
        return; /* a Unix socket goes through no network; others have their own TLS */
    s->tls = PP_NATS_TLS_DUE;
    s->tls_first = tls_of(s)->first_ns != PP_NATS_TLS_FIRST_OFF;
}

bool pp_nats_throttles(pp_nats_session *s)
{
    atomic_uint_fast64_t *rate = &s->context->door->tls_rate;
    uint64_t second = (uint64_t)(s->conn->loop->now_ns / PP_NS_PER_S) << 32;
    uint64_t seen = atomic_load(rate), next;

    if (s->tls == PP_NATS_TLS_NONE || tls_of(s)->rate_max == 0)
        return false;
    do {
        bool same = seen >> 32 == second >> 32;

        if (same && (uint32_t)seen >= tls_of(s)->rate_max)
            return true;
        next = same ? seen + 1 : second + 1;
    } while (!atomic_compare_exchange_weak(rate, &seen, next));
    return false;
}

/* Nothing but a handshake will do from here on. */
static void demand(pp_nats_session *s, pp_str early)
{
    const pp_nats_tls *tls = tls_of(s);
    pp_layer *layer;

    s->tls = PP_NATS_TLS_HANDSHAKE;
    if (!tls->context) { /* a reload has taken it away meanwhile */
        pp_nats_refuse(s, PP_CLOSE_TLS, NULL);
        return;
    }
    pp_conn_set_timer(s->conn, s->conn->loop->now_ns + tls->timeout_ns);
    if (pp_tls_layer_new(&layer, tls->context, tls->places)) {
        pp_nats_refuse(s, PP_CLOSE_NO_MEMORY, NULL);
    } else if (pp_conn_push_layer(s->conn, layer, early)) {
        pp_layer_free(layer);
        pp_nats_refuse(s, PP_CLOSE_NO_MEMORY, NULL);
    }
}

/* What is awaited when INFO has been sent. */
static void go_on_classic(pp_nats_session *s, pp_str early)
{
    if (!tls_of(s)->optional) {
        demand(s, early);
        return;
    }
    s->tls = PP_NATS_TLS_SNIFF;
    pp_conn_set_timer(s->conn, s->conn->loop->now_ns + tls_of(s)->timeout_ns);
}

void pp_nats_begin_tls(pp_nats_session *s, pp_str early)
{
    if (s->tls_first && (tls_of(s)->first_ns == PP_NATS_TLS_FIRST_ON || early.len)) {
        demand(s, early);
    } else if (s->tls_first) {
        s->tls = PP_NATS_TLS_EARLY;
        pp_conn_set_timer(s->conn, s->conn->loop->now_ns + tls_of(s)->first_ns);
    } else {
        go_on_classic(s, early);
    }
}

bool pp_nats_hear_tls(pp_nats_session *s, pp_str window)
{
    if (s->tls == PP_NATS_TLS_DUE) {
        pp_nats_begin_tls(s, window);
        if (s->tls != PP_NATS_TLS_SNIFF)
            return false;
    }
    if (s->tls == PP_NATS_TLS_SNIFF && window.len && window.ptr[0] != HANDSHAKE_BYTE) {
        s->tls = PP_NATS_TLS_NONE;
        pp_nats_welcome(s);
        return true;
    }
    if (window.len)
        demand(s, window);
    return false;
}

void pp_nats_on_tls_timer(pp_nats_session *s)
{
    switch ((pp_nats_tls_phase)s->tls) {
    case PP_NATS_TLS_EARLY:
        s->tls_first = false;
        pp_nats_send_info(s, false);
        go_on_classic(s, PP_STR(""));
        break;
    case PP_NATS_TLS_SNIFF: /* it is silent, and that is not TLS */
        s->tls = PP_NATS_TLS_NONE;
        pp_nats_welcome(s);
        break;
    default:
        pp_nats_refuse(s, PP_CLOSE_TLS, NULL);
        break;
    }
}

void pp_nats_on_layer(void *session, pp_layer *layer)
{
    pp_nats_session *s = session;

    if (!pp_layer_is_tls(layer) || s->tls == PP_NATS_TLS_NONE)
        return;
    s->tls = PP_NATS_TLS_NONE;
    PP_NATS_DEBUG(s, "TLS handshake complete, version %s, cipher suite %s",
                  pp_tls_layer_version(layer), pp_tls_layer_cipher(layer));
    if (!s->informed)
        pp_nats_send_info(s, false);
    pp_nats_welcome(s);
}

void pp_nats_log_tls_failure(pp_nats_session *s)
{
    const pp_layer *layer = pp_tls_layer_of(s->conn);
    const char *why = layer ? pp_tls_layer_failure(layer) : "";
    char text[160];

    if (s->conn->reason != PP_CLOSE_TLS)
        return;
    (void)snprintf(text, sizeof(text), "TLS handshake error: %s", *why ? why : "timeout");
    pp_nats_log_limited(s, &s->context->tls_log, PP_LOG_ERROR, text);
}
