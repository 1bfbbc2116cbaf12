/* PING and PONG: is the other side still there, and how far away?
 * Source: NATS client protocol, section 12. */
#include "base/clock.h"
#include "base/random.h"
#include "proto/nats/session.h"

static const int64_t first_ping_ns = 2 * PP_NS_PER_S;
static const int64_t rtt_valid_ns = 3600 * PP_NS_PER_S;

void pp_nats_schedule_ping(pp_nats_session *s, bool first)
{
    int64_t interval = s->context->settings->ping_interval_ns;

    if (first) {
        uint32_t fifth;

        interval = interval < first_ping_ns ? interval : first_ping_ns;
        fifth = (uint32_t)(interval / 5 < UINT32_MAX ? interval / 5 : UINT32_MAX);
        interval += fifth ? pp_random_below(&s->context->router->random, fifth) : 0;
    }
    pp_conn_set_timer(s->conn, s->conn->loop->now_ns + interval);
}

static void send_pong(pp_nats_session *s)
{
    pp_nats_send(s, PP_STR("PONG\r\n"));
    pp_outlet_mark_answer(&s->conn->own);
    if (!s->told && s->connected) {
        s->told = true;
        if (s->connect.protocol >= 1)
            pp_nats_send_info(s, true);
    }
}

/* Every loop has finished the turn in which it may have found a subscription that has ended. */
static void on_barrier(pp_retired *retired)
{
    pp_nats_session *s = PP_CONTAINER(retired, pp_nats_session, barrier);

    if (!s->conn->closing) {
        send_pong(s);
        pp_conn_start_reading(s->conn);
    }
    pp_conn_unhold(s->conn);
}

/* A client that drains takes the PONG behind its UNSUB for the end: what comes later it drops. But
 * other loops may have staged messages for it, so the PONG waits until their turns are over, and
 * what the client sends next waits with it. */
void pp_nats_on_ping(pp_nats_session *s)
{
    pp_reclaimer *reclaimer = &s->conn->loop->reclaimer;

    if (!s->unsubscribed || reclaimer->shared->reader_count == 1) {
        send_pong(s);
        return;
    }
    s->unsubscribed = false;
    pp_conn_hold(s->conn);
    pp_conn_stop_reading(s->conn);
    pp_reclaim_retire(reclaimer, &s->barrier, on_barrier);
}

void pp_nats_on_pong(pp_nats_session *s)
{
    if (s->pings_out)
        s->rtt_measured_ns = s->conn->loop->now_ns;
    s->pings_out = 0;
}

void pp_nats_on_ping_timer(pp_nats_session *s)
{
    const pp_nats_settings *settings = s->context->settings;
    int64_t now_ns = s->conn->loop->now_ns;
    bool active = s->op_ns && now_ns - s->op_ns < settings->ping_interval_ns;
    bool measured = s->rtt_measured_ns && now_ns - s->rtt_measured_ns < rtt_valid_ns;

    if (!active || !measured) {
        if (s->pings_out >= settings->ping_max) {
            pp_nats_refuse(s, PP_CLOSE_STALE, "Stale Connection");
            return;
        }
        s->pings_out++;
        pp_nats_send(s, PP_STR("PING\r\n"));
    }
    pp_nats_schedule_ping(s, false);
}
