/* PING and PONG: is the other side still there, and how far away?
 * Source: NATS client protocol, section 12. */
#include "base/clock.h"
#include "base/random.h"
#include "proto/nats/session.h"

static const int64_t first_ping_ns = 2 * PP_NS_PER_S;
static const int64_t rtt_valid_ns = 3600 * PP_NS_PER_S;

static int64_t ping_interval(const pp_nats_session *s)
{
    const pp_nats_settings *settings = s->context->settings;
    int64_t ns = pp_nats_by_websocket(s->conn) ? settings->websocket.ping_interval_ns : 0;

    return ns ? ns : settings->ping_interval_ns;
}

/* When it must go, by the loop's clock; INT64_MAX: it may stay. The wall clock may be set anew
 * meanwhile: whoever is there at that time asks again. */
static int64_t expiry_ns(const pp_nats_session *s)
{
    int64_t expires_s = pp_nats_user(s)->expires_s;

    if (!expires_s || expires_s > INT64_MAX / 2 / PP_NS_PER_S)
        return INT64_MAX;
    return s->conn->loop->now_ns + (expires_s * PP_NS_PER_S - pp_clock_wall_ns());
}

bool pp_nats_has_expired(const pp_nats_session *s)
{
    return expiry_ns(s) <= s->conn->loop->now_ns;
}

void pp_nats_schedule_ping(pp_nats_session *s, bool first)
{
    int64_t interval = ping_interval(s), due_ns, expiry;

    if (first) {
        uint32_t fifth;

        interval = interval < first_ping_ns ? interval : first_ping_ns;
        fifth = (uint32_t)(interval / 5 < UINT32_MAX ? interval / 5 : UINT32_MAX);
        interval += fifth ? pp_random_below(&s->context->router->random, fifth) : 0;
    }
    due_ns = s->conn->loop->now_ns + interval;
    expiry = expiry_ns(s);
    pp_conn_set_timer(s->conn, due_ns < expiry ? due_ns : expiry);
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

/* Never 0, which is: not measured. */
static uint32_t rtt_since(int64_t sent_ns)
{
    int64_t us = (pp_clock_mono_ns() - sent_ns) / 1000;

    return us < 1 ? 1 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

void pp_nats_guess_rtt(pp_nats_session *s)
{
    if (!s->rtt_us)
        s->rtt_us = rtt_since(s->start_ns);
}

void pp_nats_on_pong(pp_nats_session *s)
{
    if (s->pings_out) {
        s->rtt_us = rtt_since(s->ping_sent_ns);
        s->rtt_measured_s = (uint32_t)(s->conn->loop->now_ns / PP_NS_PER_S + 1);
    }
    s->pings_out = 0;
}

static bool rtt_is_fresh(const pp_nats_session *s)
{
    return s->rtt_measured_s &&
           s->conn->loop->now_ns - s->rtt_measured_s * PP_NS_PER_S < rtt_valid_ns;
}

static void send_ping(pp_nats_session *s)
{
    s->pings_out++;
    s->ping_sent_ns = pp_clock_mono_ns();
    pp_nats_send(s, PP_STR("PING\r\n"));
}

bool pp_nats_measure_rtt(pp_nats_session *s)
{
    /* The first PONG must go out before it, for clients that wait for just that. */
    if (!s->told || s->pings_out || rtt_is_fresh(s) || s->conn->closing ||
        s->context->settings->ping_max < 2) /* a ping more must not make it stale */
        return false;
    send_ping(s);
    return true;
}

void pp_nats_on_ping_timer(pp_nats_session *s)
{
    const pp_nats_settings *settings = s->context->settings;
    int64_t now_ns = s->conn->loop->now_ns;
    bool active = s->op_ns && now_ns - s->op_ns < ping_interval(s);

    pp_nats_expire_answers(s);
    if (!active || !rtt_is_fresh(s)) {
        if (s->pings_out >= settings->ping_max) {
            pp_nats_refuse(s, PP_CLOSE_STALE, "Stale Connection");
            return;
        }
        send_ping(s);
    }
    pp_nats_schedule_ping(s, false);
}
