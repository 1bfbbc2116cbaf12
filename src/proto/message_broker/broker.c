#include "proto/message_broker/broker.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <stdio.h>

enum {
    LOGGED_SUBJECT_BYTES = 120,
    FIRED_AT_ONCE = 8, /* timers, before it is looked at the time */
};

/* How often it is looked whether messages are too old. */
static const int64_t sweep_ns = PP_NS_PER_S / 4;
/* What a turn may take for timers that are due at the same time. */
static const int64_t turn_ns = PP_NS_PER_MS / 2;

void pp_mb_log(pp_mb_broker *broker, pp_log_level level, const char *what, const pp_conn *conn,
               const pp_topic *topic)
{
    char peer[80] = "", subject[LOGGED_SUBJECT_BYTES + 16] = "", others[48] = "", text[48];
    uint64_t left_out;

    if (!pp_log_limit_allows(&broker->log_limit, broker->home->now_ns, &left_out))
        return;
    if (conn) {
        pp_conn_peer_text(conn, text);
        (void)snprintf(peer, sizeof(peer), " peer=%s:%u", text, conn->peer_port);
    }
    if (topic)
        (void)snprintf(subject, sizeof(subject), " subject=%.*s",
                       (int)(topic->subject.len < LOGGED_SUBJECT_BYTES ? topic->subject.len
                                                                       : LOGGED_SUBJECT_BYTES),
                       topic->subject.ptr);
    if (left_out)
        (void)snprintf(others, sizeof(others), " not_logged=%llu", (unsigned long long)left_out);
    pp_log_write(broker->log, level, "message-broker: %s%s%s%s", what, peer, subject, others);
}

/* --- timers ------------------------------------------------------------------------------- */

static void on_alarm(pp_timer *timer)
{
    pp_mb_broker *broker = PP_CONTAINER(timer, pp_mb_broker, alarm);

    int64_t until_ns = pp_clock_mono_ns() + turn_ns;

    for (unsigned fired = 1; pp_timers_run_one(&broker->timers, broker->home->now_ns); fired++) {
        if (fired % FIRED_AT_ONCE == 0 && pp_clock_mono_ns() >= until_ns)
            break; /* the others in the next turn */
    }
    pp_mb_set_alarm(broker);
}

void pp_mb_set_alarm(pp_mb_broker *broker)
{
    int64_t next_ns = pp_timers_next_ns(&broker->timers);

    if (next_ns == INT64_MAX)
        return; /* it may go off in vain */
    if (next_ns <= broker->home->now_ns)
        next_ns = broker->home->now_ns + 1; /* not in this turn again */
    if (broker->alarm.place == PP_TIMER_IDLE || broker->alarm.due_ns > next_ns)
        pp_timer_set(&broker->home->timers, &broker->alarm, next_ns, on_alarm);
}

static void on_sweep(pp_timer *timer)
{
    pp_mb_broker *broker = PP_CONTAINER(timer, pp_mb_broker, sweep);
    bool more;

    if (!broker->settings.topics.stream.age_ns)
        return;
    more = pp_topics_expire(broker->topics, pp_clock_wall_ns());
    pp_timer_set(&broker->timers, &broker->sweep, broker->home->now_ns + (more ? 1 : sweep_ns),
                 on_sweep);
}

/* An idle server without an age limit is not woken. */
static void start_sweep(pp_mb_broker *broker)
{
    if (!broker->settings.topics.stream.age_ns || broker->sweep.place != PP_TIMER_IDLE)
        return;
    pp_timer_set(&broker->timers, &broker->sweep, broker->home->now_ns, on_sweep);
    pp_mb_set_alarm(broker);
}

static void on_scrub(pp_timer *timer)
{
    pp_mb_broker *broker = PP_CONTAINER(timer, pp_mb_broker, scrub);
    struct pp_topics_scrubbed before = pp_topics_scrubbed(broker->topics), now;
    int64_t next_ns = pp_topics_scrub(broker->topics, broker->home->now_ns);

    now = pp_topics_scrubbed(broker->topics);
    pp_count(&broker->counters.scrubs, now.passes - before.passes);
    pp_count(&broker->counters.damaged, now.bad - before.bad);
    if (next_ns == INT64_MAX)
        return;
    if (next_ns <= broker->home->now_ns)
        next_ns = broker->home->now_ns + 1;
    pp_timer_set(&broker->timers, &broker->scrub, next_ns, on_scrub);
    pp_mb_set_alarm(broker);
}

/* --- what topics tell --------------------------------------------------------------------- */

static void wake(void *ctx)
{
    pp_mb_broker *broker = ctx;

    pp_loop_post(broker->home, &broker->task);
}

static void on_task(pp_task *task)
{
    pp_mb_broker *broker = PP_CONTAINER(task, pp_mb_broker, task);

    start_sweep(broker);
    if (broker->scrub.place == PP_TIMER_IDLE)
        on_scrub(&broker->scrub);
    pp_topics_turn(broker->topics);
    atomic_store_explicit(&broker->gauges.topics, pp_topics_count(broker->topics),
                          memory_order_relaxed);
}

static void on_ready(void *ctx, pp_topic *topic)
{
    (void)ctx;
    pp_mb_on_ready(topic);
}

static void on_settled(void *ctx, pp_topic *topic, uint64_t publisher, uint64_t first,
                       uint64_t last)
{
    if (publisher) /* clients of NATS have heard their own already */
        pp_mb_bridge_out(ctx, topic, first, last);
}

static bool on_grown(void *ctx, pp_topic *topic)
{
    (void)ctx;
    return pp_mb_on_grown(topic);
}

static bool on_read(void *ctx, pp_topic *topic)
{
    (void)ctx;
    return pp_mb_on_read(topic);
}

static void on_lost(void *ctx, pp_topic *topic, uint64_t publisher)
{
    pp_mb_on_lost(ctx, topic, publisher);
}

/* --- life --------------------------------------------------------------------------------- */

static pipit_err open_parts(pp_mb_broker *broker, const pp_mb_host *host, char *out_why)
{
    const struct pp_topics_host topics_host = {
        .log = host->log,
        .ctx = broker,
        .wake = wake,
        .on_ready = on_ready,
        .on_settled = on_settled,
        .on_read = on_read,
        .on_grown = on_grown,
        .on_lost = on_lost,
    };
    pipit_err err = pp_timers_reserve(&broker->timers, 2);

    if (!err)
        err = pp_topics_new(&broker->topics, &topics_host, host->dir, &host->files,
                            &broker->settings.topics, NULL);
    if (err) {
        (void)snprintf(out_why, PP_MB_WHY_BYTES, "%.200s: %s", host->dir ? host->dir : "topics",
                       pipit_strerror(err));
        return err;
    }
    atomic_store(&broker->gauges.topics, pp_topics_count(broker->topics));
    return pp_mb_bridge_open(broker, host);
}

pipit_err pp_mb_broker_new(pp_mb_broker **out_broker, const pp_mb_host *host,
                           const pp_mb_settings *settings, char *out_why)
{
    pp_mb_broker *broker = pp_calloc(1, sizeof(*broker));
    pipit_err err;

    *out_why = '\0';
    if (!broker)
        return PIPIT_ENOMEM;
    broker->settings = *settings;
    broker->log = host->log;
    broker->account = host->account;
    broker->host_ctx = host->ctx;
    broker->on_closed = host->on_closed;
    broker->home = host->loops[host->home];
    broker->router = host->routers[host->home];
    broker->task.run = on_task;
    err = open_parts(broker, host, out_why);
    if (err) {
        pp_mb_broker_free(broker);
        return err;
    }
    *out_broker = broker;
    return PIPIT_OK;
}

pipit_err pp_mb_broker_start(pp_mb_broker *broker)
{
    return pp_topics_start(broker->topics);
}

void pp_mb_broker_stop(pp_mb_broker *broker)
{
    if (broker->topics)
        pp_topics_stop(broker->topics);
}

void pp_mb_broker_free(pp_mb_broker *broker)
{
    if (!broker)
        return;
    pp_mb_bridge_close(broker);
    pp_topics_free(broker->topics);
    pp_timers_fini(&broker->timers);
    pp_free(broker);
}

void pp_mb_broker_renew(pp_mb_broker *broker, const pp_mb_settings *settings)
{
    broker->settings = *settings;
    pp_topics_limit(broker->topics, &settings->topics);
    pp_mb_renew_sessions(broker);
    start_sweep(broker);
    on_scrub(&broker->scrub); /* the time may be another one */
}
