#include "server/server.h"

#include "base/fault.h"
#include "proto/nats/session.h"
#include "server/monitor/http.h"
#include "server/monitor/monitor.h"
#include "server/ocsp.h"
#include "server/side_door.h"
#include "server/stapler.h"
#include "server/tls.h"

enum { PAYLOAD_DISCOURAGED = 8 * 1024 * 1024 };

/* --- starting ----------------------------------------------------------------------------- */

static void *run_worker(void *arg)
{
    pp_worker *worker = arg;

    pp_loop_run(&worker->loop);
    return NULL;
}

static pipit_err start_threads(pipit_server *server)
{
    for (unsigned i = 0; i < server->worker_count; i++) {
        pp_worker *worker = &server->workers[i];

        if (pp_fault("thread") || pthread_create(&worker->thread, NULL, run_worker, worker) != 0)
            return PIPIT_ELIMIT;
        (void)pthread_mutex_lock(&server->errands);
        worker->running = true;
        (void)pthread_mutex_unlock(&server->errands);
    }
    return PIPIT_OK;
}

/* They are shown with the first handshake on. */
static pipit_err ask_about_certificates(pipit_server *server)
{
    pipit_err err;
    pp_buf error;

    pp_buf_init(&error, 16384);
    err = pp_stapler_start(server->stapler, &error);
    if (err)
        pp_log_write(&server->log, PP_LOG_FATAL, "%.*s", PP_STR_ARGS(pp_buf_str(&error)));
    pp_buf_fini(&error);
    return err;
}

/* Before the loops run. */
static pipit_err install_settings(pipit_server *server)
{
    pp_nats_settings *settings;
    pp_tls_context *https = NULL, *wss = NULL;
    pp_side_fresh side = {{NULL}};
    pp_buf error;
    pipit_err err;

    pp_buf_init(&error, 4096);
    err = pp_server_https_new(&https, server->options, server, &error);
    if (!err)
        err = pp_websocket_tls_new(&wss, server, server->options, &error);
    if (!err)
        err = pp_side_doors_prepare(server, server->options, server->directory, &side, &error);
    if (!err)
        err = pp_server_settings_new(&settings, server, server->options, server->directory, &error);
    if (err && error.len)
        pp_log_write(&server->log, PP_LOG_FATAL, "tls: %.*s", PP_STR_ARGS(pp_buf_str(&error)));
    pp_buf_fini(&error);
    if (err) {
        pp_side_doors_drop(&side);
        pp_tls_context_unref(https);
        pp_tls_context_unref(wss);
        return err;
    }
    pp_server_install_https(server, https);
    pp_websocket_install_tls(server, wss);
    pp_side_doors_install(server, &side);
    server->settings = settings;
    server->client_door.proto = &pp_nats_proto;
    pp_server_install_limits(server, server->options);
    for (unsigned i = 0; i < server->worker_count; i++)
        server->workers[i].nats.settings = settings;
    pp_ocsp_configure(server->ocsp, server->options);
    return ask_about_certificates(server);
}

/* The first lines, in the order of nats-server's: tools read them. */
static void log_who(const pipit_server *server)
{
    const pp_log *log = &server->log;
    const char *name = server->options->server_name;

    pp_log_write(log, PP_LOG_INFO, "Starting pipit-server");
    pp_log_write(log, PP_LOG_INFO, "  Version:  %s (follows nats-server %s)", PIPIT_VERSION,
                 PP_NATS_VERSION);
    pp_log_write(log, PP_LOG_INFO, "  Git:      [%s]", PIPIT_GIT);
    pp_log_write(log, PP_LOG_INFO, "  Name:     %s", name ? name : server->server_id);
    pp_log_write(log, PP_LOG_INFO, "  ID:       %s", server->server_id);
    pp_log_write(log, PP_LOG_INFO, "  Threads:  %u", server->worker_count);
    if (pp_users_have_plain_secrets(pp_directory_users(server->directory)))
        pp_log_write(log, PP_LOG_WARN, "Plaintext passwords detected, use nkeys or bcrypt");
    if (server->options->config_file)
        pp_log_write(log, PP_LOG_INFO, "Using configuration file: %s (%s)",
                     server->options->config_file, server->options->config_digest);
    pp_operator_plan_log(server->options, log);
    if (server->options->max_payload_bytes > PAYLOAD_DISCOURAGED)
        pp_log_write(log, PP_LOG_WARN,
                     "payloads over 8 MB are discouraged: each holds that much memory until it is "
                     "complete");
}

pipit_err pipit_server_start(pipit_server *server)
{
    pipit_err err;

    if (server->started)
        return PIPIT_EINVAL;
    server->started = true;
    log_who(server);
    pp_server_init_listener(server, &server->tcp, &server->client_door);
    pp_server_init_listener(server, &server->local, &server->client_door);
    err = pp_memory_prepare(&server->memory);
    if (!err)
        err = pp_server_listen(server);
    if (!err)
        err = install_settings(server);
    pp_system_start(&server->system);
    if (!err && server->operators)
        err = pp_operators_start(server->operators);
    /* Accepting comes last: an arrival goes to any loop, so all of them must run. */
    if (!err)
        err = start_threads(server);
    if (!err)
        err = pp_monitor_new(&server->monitor, server);
    if (!err)
        err = pp_http_monitor_start(server);
    if (!err)
        err = pp_memory_start(&server->memory);
    if (!err && server->tcp.source.fd >= 0)
        err = pp_listener_start(&server->tcp);
    if (!err && server->local.source.fd >= 0)
        err = pp_listener_start(&server->local);
    if (!err)
        err = pp_websocket_start(server);
    if (!err)
        err = pp_side_doors_start(server);
    if (err) {
        pipit_server_stop(server);
        return err;
    }
    atomic_store(&server->open, true);
    pp_log_write(&server->log, PP_LOG_INFO, "Server is ready");
    return PIPIT_OK;
}

/* --- stopping ----------------------------------------------------------------------------- */

/* Lame ducks are still looked after; who stops is not. */
static void stop_monitoring(pp_worker *worker)
{
    if (worker->loop.index == 0)
        pp_listener_stop(&worker->server->http);
}

static void shut_conn(pp_conn *conn, void *arg)
{
    (void)arg;
    pp_conn_close(conn, PP_CLOSE_SHUTDOWN, false);
}

static void close_connections(pp_worker *worker)
{
    pp_timer_cancel(&worker->loop.timers, &worker->lame_timer);
    pp_conn_each(&worker->loop, shut_conn, NULL);
}

static void abandon_closing(pp_worker *worker)
{
    pp_conn_abandon_closing(&worker->loop);
}

void pipit_server_stop(pipit_server *server)
{
    bool was_running = false, more = true, was_open;

    pp_stapler_abandon(server->stapler);          /* a reload may be waiting for answers */
    (void)pthread_mutex_lock(&server->reloading); /* one that is under way needs the loops */
    was_open = atomic_exchange(&server->open, false);
    (void)pthread_mutex_unlock(&server->reloading);
    if (was_open) {
        pp_log_write(&server->log, PP_LOG_INFO, "Initiating Shutdown...");
        pp_system_say_shutdown(&server->system);
        pp_lodging_end(&server->lodging);
    }
    pp_memory_stop(&server->memory); /* it sends the loops on errands */
    pp_stapler_stop(server->stapler);
    pp_operators_stop(server->operators);
    /* First no new ones, then none at all: arrivals are under way to other loops until then. */
    pp_server_on_all(server, pp_server_stop_listening);
    pp_server_on_all(server, stop_monitoring);
    pp_monitor_stop(server->monitor);
    pp_server_on_all(server, close_connections);
    pp_server_on_all(server, abandon_closing);
    for (unsigned i = 0; i < server->worker_count; i++) {
        pp_worker *worker = &server->workers[i];

        if (!worker->running)
            continue;
        (void)pthread_mutex_lock(&server->errands);
        worker->running = false;
        (void)pthread_mutex_unlock(&server->errands);
        pp_loop_stop(&worker->loop);
        (void)pthread_join(worker->thread, NULL);
        was_running = true;
    }
    pp_system_stop(&server->system);
    pp_side_doors_stop_listening(server);
    pp_listener_stop(&server->websocket.listener);
    pp_listener_stop(&server->tcp); /* threads that never started leave them */
    pp_listener_stop(&server->local);
    pp_listener_stop(&server->http);
    if (server->hasher)
        pp_hasher_stop(server->hasher); /* logins that wait come home with the leftovers */
    pp_ocsp_stop(server->ocsp);         /* connections that wait for answers have been closed */
    pp_calls_stop(&server->calls);      /* and so do these */
    while (more || atomic_load(&server->visitors)) {
        more = false;
        for (unsigned i = 0; i < server->worker_count; i++)
            more |= pp_loop_run_leftovers(&server->workers[i].loop);
    }
    /* Sockets are closed with their connections: not before nobody can hold them, but now. */
    for (unsigned i = 0; i < server->worker_count; i++)
        pp_reclaimer_fini(&server->workers[i].loop.reclaimer);
    if (was_running)
        pp_log_write(&server->log, PP_LOG_INFO, "Server Exiting..");
}
