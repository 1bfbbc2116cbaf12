/* Leaving politely: clients are told, then closed one by one, so that they do not all come down on
 * the other servers at once.
 * Source: NATS client protocol, section 19. */
#include "base/clock.h"
#include "base/random.h"
#include "server/server.h"

#include <unistd.h>

static const int64_t interval_max_ns = PP_NS_PER_S;

static void report_done(pp_worker *worker)
{
    pipit_server *server = worker->server;
    uint64_t one = 1;

    if (atomic_fetch_sub(&server->lame_workers, 1) == 1)
        (void)!write(server->done_fd, &one, sizeof(one));
}

static void close_next(pp_timer *timer);

static void schedule_next(pp_worker *worker)
{
    int64_t interval_ns =
        worker->server->lame_span_ns / (int64_t)(worker->lame_clients ? worker->lame_clients : 1);

    interval_ns = interval_ns < interval_max_ns ? interval_ns : interval_max_ns;
    interval_ns =
        interval_ns / 2 + pp_random_below(&worker->random, (uint32_t)(interval_ns / 2 + 1));
    pp_timer_set(&worker->loop.timers, &worker->lame_timer, worker->loop.now_ns + interval_ns,
                 close_next);
}

static void close_next(pp_timer *timer)
{
    pp_worker *worker = PP_CONTAINER(timer, pp_worker, lame_timer);
    pp_conn *conn = pp_conn_any(&worker->loop, &worker->lame_at);

    if (!conn) {
        report_done(worker);
        return;
    }
    pp_conn_close(conn, PP_CLOSE_SHUTDOWN, true);
    schedule_next(worker);
}

static void begin_closing(pp_timer *timer)
{
    pp_worker *worker = PP_CONTAINER(timer, pp_worker, lame_timer);

    worker->lame_clients = worker->loop.conn_count - worker->loop.aside_count;
    close_next(timer);
}

void pp_lame_duck_begin(pp_worker *worker)
{
    int64_t grace_ns = worker->server->lame_grace_ns;

    pp_nats_announce_lame_duck(&worker->nats);
    if (worker->loop.conn_count == worker->loop.aside_count)
        report_done(worker);
    else
        pp_timer_set(&worker->loop.timers, &worker->lame_timer, worker->loop.now_ns + grace_ns,
                     begin_closing);
}

void pipit_server_lame_duck(pipit_server *server)
{
    if (!server->started || atomic_exchange(&server->nats_door.lame_duck, true))
        return;
    pp_log_write(&server->log, PP_LOG_INFO, "Entering lame duck mode, stop accepting new clients");
    /* As they are now, whatever is reloaded meanwhile. */
    (void)pthread_rwlock_rdlock(&server->options_lock);
    server->lame_grace_ns = server->options->lame_duck_grace_period_ns;
    server->lame_span_ns = server->options->lame_duck_duration_ns - server->lame_grace_ns;
    (void)pthread_rwlock_unlock(&server->options_lock);
    atomic_store(&server->lame_workers, server->worker_count);
    pp_system_say_lame_duck(&server->system);
    pp_server_on_all(server, pp_server_stop_listening);
    pp_server_on_all(server, pp_lame_duck_begin);
}
