#include "server/memory.h"

#include "base/alloc.h"
#include "base/cgroup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "server/server.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <time.h>

enum {
    MARGIN_SHARE = 8, /* of a container's limit: the kernel's buffers count there too */
    LIMIT_MIN = 16 << 20,
    CHUNKS_SHARE = 32, /* of the limit, that a turn of all loops may stage */
    CHUNKS_MIN = 16,
    ROUTES_SHARE = 16, /* of the limit, for what all loops remember of routes */
    ROUTES_KEPT = 1 << 20,
    SMALL_HOLDER = 16 * 1024, /* who holds less is ended only if that is where memory went */
    SLACK_SHARE = 16,         /* of the limit: so much unused is asked back */
};

static const int64_t short_tick_ns = 20 * PP_NS_PER_MS;
static const int64_t calm_tick_ns = 100 * PP_NS_PER_MS;
/* How long publishers wait for consumers that may catch up, before consumers go. */
static const int64_t patience_ns = 250 * PP_NS_PER_MS;
static const int64_t tidy_every_ns = PP_NS_PER_S;
static const int64_t tell_again_ns = 10 * PP_NS_PER_S;

/* --- what the limit is -------------------------------------------------------------------- */

static void say_limit(pp_memory *m, uint64_t bytes, uint64_t group_bytes)
{
    const pp_log *log = &m->server->log;
    const double mib = 1024 * 1024;

    if (!bytes)
        pp_log_write(log, PP_LOG_INFO, "Memory limit: none");
    else if (group_bytes)
        pp_log_write(log, PP_LOG_INFO,
                     "Memory limit: %.1f MiB (of the %.1f MiB that this container may have)",
                     (double)bytes / mib, (double)group_bytes / mib);
    else
        pp_log_write(log, PP_LOG_INFO, "Memory limit: %.1f MiB", (double)bytes / mib);
    if (bytes && m->server->options->max_payload_bytes > bytes / 16)
        pp_log_write(log, PP_LOG_WARN,
                     "max_payload is more than a sixteenth of the memory limit: few messages of "
                     "that size fit at a time");
}

/* 0: none. */
static uint64_t find_limit(pp_memory *m)
{
    uint64_t group_bytes = 0, bytes = m->server->options->max_memory_bytes;

    if (bytes == PP_OPTION_NO_LIMIT) {
        bytes = 0;
    } else if (!bytes) {
        group_bytes = pp_cgroup_memory_max("");
        bytes = group_bytes - group_bytes / MARGIN_SHARE;
        if (group_bytes && bytes < LIMIT_MIN)
            bytes = LIMIT_MIN;
    }
    say_limit(m, bytes, group_bytes);
    return bytes;
}

pipit_err pp_memory_prepare(pp_memory *m)
{
    pipit_server *server = m->server;
    uint64_t bytes = find_limit(m);
    size_t workers = server->worker_count;

    if (!bytes)
        return PIPIT_OK;
    m->reliefs = pp_calloc(workers, sizeof(*m->reliefs));
    if (!m->reliefs)
        return PIPIT_ENOMEM;
    for (size_t i = 0; i < workers; i++) {
        pp_worker *worker = &server->workers[i];
        size_t chunks = bytes / CHUNKS_SHARE / PP_CHUNK_BYTES / workers;
        size_t routes = bytes / ROUTES_SHARE / workers;

        if (chunks < CHUNKS_MIN)
            chunks = CHUNKS_MIN;
        if (chunks < worker->loop.chunks_max)
            worker->loop.chunks_max = chunks;
        if (routes < worker->router.bytes_max)
            worker->router.bytes_max = routes;
    }
    pp_ceiling_hold(&m->claim, bytes);
    return PIPIT_OK;
}

/* --- relief ------------------------------------------------------------------------------- */

static pp_relief *relief_of(pp_worker *worker)
{
    return &worker->server->memory.reliefs[worker->loop.index];
}

static void begin_survey(pp_worker *worker)
{
    pp_relief_begin(relief_of(worker));
}

static void survey(pp_worker *worker)
{
    worker->server->memory.more |= pp_relief_survey(relief_of(worker), &worker->loop);
}

static void sum_up(pp_worker *worker)
{
    pp_memory *m = &worker->server->memory;
    const pp_relief *relief = relief_of(worker);
    size_t worst = pp_relief_worst(relief, worker->loop.now_ns);

    m->total += relief->total;
    m->worst = worst > m->worst ? worst : m->worst;
}

static void close_worst(pp_worker *worker)
{
    pp_memory *m = &worker->server->memory;

    if (m->freed < m->need)
        m->freed +=
            pp_relief_close(relief_of(worker), &worker->loop, m->floor_bytes, m->need - m->freed);
}

static void forget_routes(pp_worker *worker)
{
    if (worker->router.bytes > ROUTES_KEPT)
        pp_router_clear(&worker->router);
}

/* One round: of all loops those that hold most, down to half of the worst; if that was not enough,
 * the next round finds the next. */
static void relieve(pp_memory *m)
{
    m->need = pp_ceiling_excess();
    m->freed = m->total = m->worst = 0;
    pp_server_on_all(m->server, begin_survey);
    do {
        m->more = false;
        pp_server_on_all(m->server, survey);
    } while (m->more);
    pp_server_on_all(m->server, sum_up);
    m->floor_bytes = m->worst / 2;
    if (m->floor_bytes < SMALL_HOLDER && m->total < m->need)
        m->floor_bytes = SMALL_HOLDER;
    if (m->worst && m->worst >= m->floor_bytes)
        pp_server_on_all(m->server, close_worst);
    m->ended += m->freed;
}

/* What cannot be given back is not asked for again until it has grown. */
static void give_back(pp_memory *m)
{
    size_t slack = pp_ceiling_slack();

    if (slack < m->slack_kept)
        m->slack_kept = slack;
    if (slack - m->slack_kept <= pp_ceiling_bytes() / SLACK_SHARE)
        return;
    (void)malloc_trim(0);
    pp_ceiling_measure();
    m->slack_kept = pp_ceiling_slack();
}

static void on_short(pp_memory *m, int64_t now_ns)
{
    if (!m->short_since_ns) {
        m->short_since_ns = now_ns;
        m->ended = 0;
        if (now_ns >= m->told_ns) {
            m->told_ns = now_ns + tell_again_ns;
            pp_log_write(&m->server->log, PP_LOG_WARN, "memory is short: used=%zu limit=%zu",
                         pp_ceiling_used(), pp_ceiling_bytes());
        }
        pp_server_on_all(m->server, forget_routes);
    }
    give_back(m);
    if (!pp_ceiling_pressed() || now_ns - m->short_since_ns < patience_ns)
        return;
    relieve(m);
    give_back(m);
}

static void on_calm(pp_memory *m, int64_t now_ns)
{
    if (m->short_since_ns && m->ended)
        pp_log_write(&m->server->log, PP_LOG_WARN,
                     "memory is not short any more: used=%zu limit=%zu, given back by ending slow "
                     "consumers: %llu",
                     pp_ceiling_used(), pp_ceiling_bytes(), (unsigned long long)m->ended);
    m->short_since_ns = 0;
    if (now_ns < m->tidy_ns)
        return;
    m->tidy_ns = now_ns + tidy_every_ns;
    give_back(m);
}

/* --- the thread --------------------------------------------------------------------------- */

/* False: stop. */
static bool sleep_for(pp_memory *m, int64_t ns)
{
    int64_t until_ns = pp_clock_mono_ns() + ns;
    struct timespec until = {.tv_sec = until_ns / PP_NS_PER_S, .tv_nsec = until_ns % PP_NS_PER_S};
    bool stop;

    (void)pthread_mutex_lock(&m->lock);
    while (!m->stop &&
           pthread_cond_clockwait(&m->stopped, &m->lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT)
        ;
    stop = m->stop;
    (void)pthread_mutex_unlock(&m->lock);
    return !stop;
}

static void *watch(void *arg)
{
    pp_memory *m = arg;
    int64_t tick_ns = calm_tick_ns;

    while (sleep_for(m, tick_ns)) {
        pp_ceiling_measure();
        if (pp_ceiling_pressed())
            on_short(m, pp_clock_mono_ns());
        else
            on_calm(m, pp_clock_mono_ns());
        tick_ns = pp_ceiling_pressed() ? short_tick_ns : calm_tick_ns;
    }
    return NULL;
}

void pp_memory_init(pp_memory *m, pipit_server *server)
{
    m->server = server;
    (void)pthread_mutex_init(&m->lock, NULL);
    (void)pthread_cond_init(&m->stopped, NULL);
}

void pp_memory_fini(pp_memory *m)
{
    pp_ceiling_release(&m->claim);
    pp_free(m->reliefs);
    m->reliefs = NULL;
    (void)pthread_cond_destroy(&m->stopped);
    (void)pthread_mutex_destroy(&m->lock);
}

pipit_err pp_memory_start(pp_memory *m)
{
    if (!m->reliefs)
        return PIPIT_OK;
    if (pp_fault("thread") || pthread_create(&m->thread, NULL, watch, m) != 0)
        return PIPIT_ELIMIT;
    m->running = true;
    return PIPIT_OK;
}

void pp_memory_stop(pp_memory *m)
{
    if (!m->running)
        return;
    (void)pthread_mutex_lock(&m->lock);
    m->stop = true;
    (void)pthread_cond_signal(&m->stopped);
    (void)pthread_mutex_unlock(&m->lock);
    (void)pthread_join(m->thread, NULL);
    m->running = false;
}
