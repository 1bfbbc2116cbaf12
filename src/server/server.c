#include "server/server.h"

#include "server/stapler.h"
#include "server/tls.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/random.h"
#include "proto/nats/session.h"
#include "server/monitor/history.h"
#include "server/monitor/http.h"
#include "server/monitor/monitor.h"
#include "server/options.h"
#include "server/side_door.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    PAYLOAD_DISCOURAGED = 8 * 1024 * 1024,
    HASHERS_MAX = 4,    /* threads that compare passwords */
    LOGINS_MAX = 16384, /* that may wait for one */
    MANY = 10000,       /* users and accounts, whose traces in the heap are worth a millisecond */
};

/* --- making ------------------------------------------------------------------------------- */

static void to_callback(void *context, pp_log_level level, const char *text)
{
    pipit_server *server = context;

    server->log_fn(server->log_context, (pipit_log_level)level, text);
}

static unsigned thread_count(const pp_options *options)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (options->threads)
        return options->threads < PP_WORKERS_MAX ? options->threads : PP_WORKERS_MAX;
    return cpus < 1 ? 1 : cpus < PP_WORKERS_MAX ? (unsigned)cpus : PP_WORKERS_MAX;
}

static pipit_err worker_init(pipit_server *server, unsigned index)
{
    pp_worker *worker = &server->workers[index];
    pipit_err err;

    worker->server = server;
    worker->random = pp_random_seed();
    worker->pulse.run = pp_pulse_run;
    err = pp_loop_init(&worker->loop, index, &server->reclaim, &worker->counters);
    if (err)
        return err;
    worker->loop.post_bytes_max = (size_t)server->options->max_pending_bytes;
    pp_router_init(&worker->router, index, &worker->counters);
    pp_server_realm_join(worker);
    pp_local_init(&worker->local, worker);
    worker->loop.context = &worker->nats;
    worker->nats = (pp_nats_context){
        .door = &server->nats_door,
        .router = &worker->router,
        .loop = &worker->loop,
        .loops = server->loops,
    };
    server->loops[index] = &worker->loop;
    server->worker_count++;
    return PIPIT_OK;
}

static pipit_err build_monitoring(pipit_server *server)
{
    pipit_err err = pp_history_new(&server->history, server->options->max_closed_clients);

    if (!err)
        err = pp_http_monitor_init(server);
    pp_server_observe(server);
    return err;
}

static pipit_err build(pipit_server *server, pp_buf *error)
{
    unsigned count = thread_count(server->options);
    pipit_err err;
    bool many;

    err = pp_nkey_new(PP_NKEY_SERVER, server->server_seed, server->server_id);
    if (!err)
        err = pp_nkey_new(PP_NKEY_CURVE, server->server_xkey_seed, server->server_xkey);
    if (err)
        return err;
    err = build_monitoring(server);
    if (err)
        return err;
    err = pp_user_key_new(&server->user_key);
    if (err)
        return err;
    err = pp_server_realm_init(server, count);
    if (err)
        return err;
    err = pp_hasher_new(&server->hasher, count < HASHERS_MAX ? count : HASHERS_MAX, LOGINS_MAX);
    if (err)
        return err;
    pp_accounts_init(&server->accounts, count);
    server->accounts.realm = &server->realm;
    server->accounts.farewell = pp_system_leave;
    pp_system_init(&server->system, server);
    err = pp_operators_new(&server->operators, server, server->options, error);
    if (err)
        return err;
    err = pp_directory_new(&server->directory, &server->accounts, server->options,
                           &server->user_key, server->hasher, pp_server_authority(server),
                           &server->calls, NULL);
    if (err)
        return err;
    server->global = pp_directory_global(server->directory);
    pp_directory_install(server->directory, &server->accounts);
    many = server->options->user_count + server->options->account_count >= MANY;
    pp_options_forget_secrets(server->options); /* nothing needs them any more */
    if (many)
        (void)malloc_trim(0); /* reading them took several times what is left */
    server->nats_door.log = &server->log;
    pp_random_bytes(&server->nats_door.nonce_secret, sizeof(server->nats_door.nonce_secret));
    err = pp_server_tls_init(server, count);
    if (err)
        return err;
    err = pp_reclaim_init(&server->reclaim, count + 1); /* lodgers look things up, too */
    if (err)
        return err;
    pp_reclaimer_init(&server->lodging.reader, &server->reclaim, count);
    server->workers = pp_calloc(count, sizeof(*server->workers));
    server->loops = pp_calloc(count, sizeof(*server->loops));
    server->given = pp_calloc(count, sizeof(*server->given));
    if (!server->workers || !server->loops || !server->given)
        return PIPIT_ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        err = worker_init(server, i);
        if (err)
            return err;
    }
    err = pp_websocket_init(server);
    if (!err)
        err = pp_own_requests_open(server);
    if (!err)
        err = pp_side_doors_init(server);
    if (err)
        return err;
    server->system.home = &server->workers[0];
    err = pp_system_install(&server->system);
    if (err)
        return err;
    server->done_fd = pp_fault("eventfd") ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return server->done_fd < 0 ? PIPIT_ELIMIT : PIPIT_OK;
}

static pipit_err read_options(pipit_server *server, const pipit_server_source *source, char *error,
                              size_t error_bytes)
{
    pipit_err err = pp_arguments_init(&server->arguments, source->options, source->option_count);
    pp_options *fresh;
    pp_buf message;

    pp_buf_init(&message, PP_OPTIONS_MESSAGE_MAX);
    if (!err)
        err = pp_arguments_set_text(&server->arguments, source->text, source->text_bytes);
    if (!err)
        err = pp_server_options_new(&fresh, &server->arguments, &message);
    if (!err)
        server->options = fresh;
    if (!err)
        err = pp_snapshot_new(&server->snapshot, server->options, NULL);
    if (!err && (server->options->signal || server->options->health_check)) {
        (void)pp_buf_addf(&message, "pipit-server: --signal and --health_check are not options of "
                                    "a server");
        err = PIPIT_EINVAL;
    }
    if (err == PIPIT_EINVAL && error_bytes)
        (void)snprintf(error, error_bytes, "%.*s", (int)message.len, message.ptr);
    pp_buf_fini(&message);
    return err;
}

pipit_err pipit_server_new(pipit_server **out_server, const char *const *options,
                           size_t option_count, pipit_log_fn log, void *log_context, char *error,
                           size_t error_bytes)
{
    const pipit_server_source source = {.options = options, .option_count = option_count};

    return pipit_server_new_from(out_server, &source, log, log_context, error, error_bytes);
}

pipit_err pipit_server_new_from(pipit_server **out_server, const pipit_server_source *source,
                                pipit_log_fn log, void *log_context, char *error,
                                size_t error_bytes)
{
    pipit_server *server;
    pp_buf reason;
    pipit_err err;

    if (error_bytes)
        error[0] = '\0';
    server = pp_calloc(1, sizeof(*server));
    if (!server)
        return PIPIT_ENOMEM;
    server->done_fd = -1;
    server->tcp.source.fd = server->local.source.fd = server->http.source.fd = -1;
    server->websocket.listener.source.fd = -1;
    server->start_wall_ns = pp_clock_wall_ns();
    server->config_wall_ns = server->start_wall_ns;
    server->start_mono_ns = pp_clock_mono_ns();
    server->adopted_tcp = server->adopted_local = server->adopted_http = -1;
    pp_calls_init(&server->calls, server);
    (void)pthread_mutex_init(&server->errands, NULL);
    (void)pthread_mutex_init(&server->reloading, NULL);
    (void)pthread_mutex_init(&server->report_lock, NULL);
    (void)pthread_rwlock_init(&server->options_lock, NULL);
    (void)pthread_mutex_init(&server->https_lock, NULL);
    (void)pthread_mutex_init(&server->websocket.tls_lock, NULL);
    (void)pthread_mutex_init(&server->lock, NULL);
    (void)pthread_cond_init(&server->changed, NULL);
    pp_memory_init(&server->memory, server);
    pp_lodging_init(&server->lodging);
    err = read_options(server, source, error, error_bytes);
    if (err)
        goto out;
    server->log_fn = log;
    server->log_context = log_context;
    server->log.sink = log ? to_callback : NULL;
    server->log.context = server;
    pp_server_install_log_flags(server, server->options);
    pp_buf_init(&reason, PP_OPTIONS_MESSAGE_MAX);
    err = build(server, &reason);
    if (err == PIPIT_EINVAL && error_bytes)
        (void)snprintf(error, error_bytes, "%.*s", PP_STR_ARGS(pp_buf_str(&reason)));
    pp_buf_fini(&reason);
    if (err)
        goto out;
    *out_server = server;
    server = NULL;
out:
    pipit_server_free(server);
    return err;
}

void pipit_server_free(pipit_server *server)
{
    if (!server)
        return;
    pipit_server_stop(server);
    pp_memory_fini(&server->memory);
    for (unsigned i = 0; i < server->worker_count; i++) {
        pp_router_fini(&server->workers[i].router);
        pp_free(server->workers[i].nats.mapped_subject);
    }
    for (unsigned i = 0; i < server->worker_count; i++)
        pp_local_fini(&server->workers[i].local);
    for (unsigned i = 0; i < server->worker_count; i++)
        pp_loop_fini(&server->workers[i].loop);
    pp_free(server->workers);
    pp_free(server->loops);
    pp_free(server->given);
    pp_reclaim_fini(&server->reclaim);
    pp_websocket_fini(server);
    pp_own_requests_close(server);
    pp_side_doors_fini(server);
    pp_monitor_free(server->monitor);
    pp_http_monitor_fini(server);
    pp_history_free(server->history);
    pp_system_fini(&server->system);
    pp_operators_free(server->operators);
    pp_server_settings_free((pp_nats_settings *)server->settings);
    pp_server_tls_fini(server);
    pp_hasher_free(server->hasher);
    pp_directory_free(server->directory);
    while (server->old_directories) {
        pp_directory *old = server->old_directories;

        server->old_directories = *pp_directory_next(old);
        pp_directory_free(old);
    }
    pp_calls_fini(&server->calls);
    pp_accounts_fini(&server->accounts);
    pp_server_realm_fini(server);
    pp_free(server->local_path);
    pp_server_options_free(server->options);
    pp_snapshot_free(server->snapshot);
    pp_changes_free(server->reload_report.changes);
    pp_free(server->reload_report.error);
    pp_arguments_fini(&server->arguments);
    (void)pthread_rwlock_destroy(&server->options_lock);
    (void)pthread_mutex_destroy(&server->https_lock);
    (void)pthread_mutex_destroy(&server->reloading);
    (void)pthread_mutex_destroy(&server->report_lock);
    if (server->done_fd >= 0)
        (void)close(server->done_fd);
    if (server->adopted_tcp >= 0)
        (void)close(server->adopted_tcp);
    if (server->adopted_local >= 0)
        (void)close(server->adopted_local);
    if (server->adopted_http >= 0)
        (void)close(server->adopted_http);
    pp_lodging_fini(&server->lodging);
    (void)pthread_cond_destroy(&server->changed);
    (void)pthread_mutex_destroy(&server->lock);
    (void)pthread_mutex_destroy(&server->errands);
    explicit_bzero(server->server_seed, sizeof(server->server_seed));
    explicit_bzero(server->server_xkey_seed, sizeof(server->server_xkey_seed));
    pp_free(server);
}

/* --- starting ----------------------------------------------------------------------------- */

static void *run_worker(void *arg)
{
    pp_worker *worker = arg;

    pp_loop_run(&worker->loop);
    return NULL;
}

void pp_server_init_listener(pipit_server *server, pp_listener *listener, const pp_door *door)
{
    *listener = (pp_listener){
        .loop = server->loops[0],
        .loops = server->loops,
        .loop_count = server->worker_count,
        .given = server->given,
        .next_id = &server->next_conn_id,
        .door = door,
    };
    pp_listener_init(listener);
}

/* Why a TCP address cannot be bound, in the words of nats-server's log. */
static void bind_failure(int errno_value, char *out, size_t out_bytes)
{
    char reason[128];

    pp_errno_text(errno_value, reason, sizeof(reason));
    if (errno_value)
        (void)snprintf(out, out_bytes, "bind: %s", reason);
    else
        (void)snprintf(out, out_bytes, "no such host");
}

/* Take over the socket at *adopted, if there is one. */
static bool listen_adopted(int *adopted, pp_listener *listener)
{
    listener->source.fd = *adopted;
    *adopted = -1;
    return listener->source.fd >= 0;
}

static void log_tls(const pipit_server *server)
{
    if (server->options->tls.given)
        pp_log_write(&server->log, PP_LOG_INFO, "TLS %s for client connections",
                     server->options->allow_non_tls ? "available" : "required");
}

static pipit_err listen_tcp(pipit_server *server)
{
    const pp_options *o = server->options;
    const char *open = strchr(o->host, ':') ? "[" : "", *close = *open ? "]" : "";
    int port = o->port < 0 ? 0 : o->port;
    char where[64], reason[160];
    pipit_err err;

    if (listen_adopted(&server->adopted_tcp, &server->tcp)) {
        pp_listen_text(server->tcp.source.fd, where, sizeof(where));
        pp_log_write(&server->log, PP_LOG_INFO, "Listening for client connections on %s", where);
        log_tls(server);
        return pp_listen_port(server->tcp.source.fd, &server->port);
    }
    if (o->no_listen)
        return PIPIT_OK;
    err = pp_listen_tcp(o->host, (uint16_t)port, &server->tcp.source.fd, &server->port);
    bind_failure(errno, reason, sizeof(reason));
    if (err)
        pp_log_write(&server->log, PP_LOG_FATAL,
                     "Error listening on port: %s%s%s:%d, \"listen tcp %s%s%s:%d: %s\"", open,
                     o->host, close, port, open, o->host, close, port, reason);
    else
        pp_log_write(&server->log, PP_LOG_INFO, "Listening for client connections on %s%s%s:%u",
                     open, o->host, close, server->port);
    if (!err)
        log_tls(server);
    return err;
}

static pipit_err listen_local(pipit_server *server)
{
    const pp_options *o = server->options;
    char where[160];
    pipit_err err;

    if (!listen_adopted(&server->adopted_local, &server->local)) {
        if (!o->unix_path)
            return PIPIT_OK;
        server->local_path = pp_memdupz(o->unix_path, strlen(o->unix_path));
        if (!server->local_path)
            return PIPIT_ENOMEM;
        err = pp_listen_unix(server->local_path, o->unix_mode, &server->local.source.fd);
        if (err) {
            pp_log_write(&server->log, PP_LOG_FATAL, "Error listening on unix socket: %s, \"%s\"",
                         o->unix_path, pipit_strerror(err));
            return err;
        }
        server->local.unlink_path = server->local_path;
    }
    pp_listen_text(server->local.source.fd, where, sizeof(where));
    pp_log_write(&server->log, PP_LOG_INFO, "Listening for client connections on %s", where);
    return PIPIT_OK;
}

/* Bind them; nobody is accepted yet. */
static pipit_err listen_all(pipit_server *server)
{
    pipit_err err = pp_http_monitor_listen(server);

    if (!err)
        err = pp_websocket_listen(server);
    if (!err)
        err = pp_side_doors_listen(server);
    if (!err)
        err = listen_tcp(server);
    return err ? err : listen_local(server);
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
        err = listen_all(server);
    if (!err)
        err = install_settings(server);
    pp_system_start(&server->system);
    if (!err && server->operators)
        err = pp_operators_start(server->operators);
    /* Accepting comes last: an arrival goes to any loop, so all of them must run. */
    if (!err)
        err = start_threads(server);
    if (!err)
        err = pp_monitor_start(&server->monitor, server);
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

uint16_t pipit_server_port(const pipit_server *server)
{
    return server->port;
}

uint16_t pipit_server_websocket_port(const pipit_server *server)
{
    uint16_t port = 0;

    if (server->websocket.listener.source.fd >= 0 &&
        pp_listen_port(server->websocket.listener.source.fd, &port))
        port = 0;
    return port;
}

uint16_t pipit_server_monitor_port(const pipit_server *server)
{
    return server->http_port;
}

int pipit_server_fd(const pipit_server *server)
{
    return server->done_fd;
}

/* --- stopping ----------------------------------------------------------------------------- */

struct errand {
    pp_task task;
    pp_worker *worker;
    void (*run)(pp_worker *worker);
};

static void run_errand(pp_task *task)
{
    struct errand *errand = PP_CONTAINER(task, struct errand, task);
    pipit_server *server = errand->worker->server;

    errand->run(errand->worker);
    (void)pthread_mutex_lock(&server->lock);
    server->busy--;
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->lock); /* from here on the errand is gone */
}

void pp_server_on_all(pipit_server *server, void (*run)(pp_worker *worker))
{
    (void)pthread_mutex_lock(&server->errands);
    for (unsigned i = 0; i < server->worker_count; i++) {
        struct errand errand = {.task.run = run_errand, .worker = &server->workers[i], .run = run};

        if (!errand.worker->running)
            continue;
        (void)pthread_mutex_lock(&server->lock);
        server->busy++;
        pp_loop_post(&errand.worker->loop, &errand.task);
        while (server->busy)
            (void)pthread_cond_wait(&server->changed, &server->lock);
        (void)pthread_mutex_unlock(&server->lock);
    }
    (void)pthread_mutex_unlock(&server->errands);
}

void pp_server_stop_listening(pp_worker *worker)
{
    if (worker->loop.index != 0)
        return;
    pp_side_doors_stop_listening(worker->server);
    pp_listener_stop(&worker->server->websocket.listener);
    pp_listener_stop(&worker->server->tcp);
    pp_listener_stop(&worker->server->local);
}

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
    bool was_running = false, more = true;

    if (atomic_exchange(&server->open, false)) {
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
