#include "server/server.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/cores.h"
#include "base/fault.h"
#include "base/random.h"
#include "server/monitor/history.h"
#include "server/monitor/http.h"
#include "server/monitor/monitor.h"
#include "server/options.h"
#include "server/side_door.h"
#include "server/tls.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    HASHERS_MAX = 4,    /* threads that compare passwords */
    LOGINS_MAX = 16384, /* that may wait for one */
    MANY = 10000,       /* users and accounts, whose traces in the heap are worth a millisecond */
};

static void to_callback(void *context, pp_log_level level, const char *text)
{
    pipit_server *server = context;

    server->log_fn(server->log_context, (pipit_log_level)level, text);
}

static unsigned thread_count(const pp_options *options)
{
    unsigned wanted = options->threads ? options->threads : pp_cores();

    return wanted < PP_WORKERS_MAX ? wanted : PP_WORKERS_MAX;
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

static pipit_err make_identity(pipit_server *server)
{
    pipit_err err = pp_nkey_new(PP_NKEY_SERVER, server->server_seed, server->server_id);

    return err ? err : pp_nkey_new(PP_NKEY_CURVE, server->server_xkey_seed, server->server_xkey);
}

/* Who may do what, and who decides it. */
static pipit_err build_accounts(pipit_server *server, unsigned threads, pp_buf *error)
{
    pipit_err err = pp_user_key_new(&server->user_key);
    bool many;

    if (!err)
        err = pp_server_realm_init(server, threads);
    if (!err)
        err = pp_hasher_new(&server->hasher, threads < HASHERS_MAX ? threads : HASHERS_MAX,
                            LOGINS_MAX);
    if (err)
        return err;
    pp_accounts_init(&server->accounts, threads);
    server->accounts.realm = &server->realm;
    server->accounts.farewell = pp_system_leave;
    pp_system_init(&server->system, server);
    err = pp_operators_new(&server->operators, server, server->options, error);
    if (err)
        return err;
    err =
        pp_directory_new(&server->directory, &server->accounts, server->options, &server->user_key,
                         server->hasher, pp_server_authority(server), &server->calls, NULL);
    if (err)
        return err;
    server->global = pp_directory_global(server->directory);
    pp_directory_install(server->directory, &server->accounts);
    many = server->options->user_count + server->options->account_count >= MANY;
    pp_options_forget_secrets(server->options); /* nothing needs them any more */
    if (many)
        (void)malloc_trim(0); /* reading them took several times what is left */
    return PIPIT_OK;
}

static pipit_err build_workers(pipit_server *server, unsigned count)
{
    pipit_err err = pp_reclaim_init(&server->reclaim, count + 1); /* lodgers look things up, too */

    if (err)
        return err;
    pp_reclaimer_init(&server->lodging.reader, &server->reclaim, count);
    server->workers = pp_calloc(count, sizeof(*server->workers));
    server->loops = pp_calloc(count, sizeof(*server->loops));
    server->given = pp_calloc(count, sizeof(*server->given));
    if (!server->workers || !server->loops || !server->given)
        return PIPIT_ENOMEM;
    for (unsigned i = 0; i < count && !err; i++)
        err = worker_init(server, i);
    return err;
}

static pipit_err build_doors(pipit_server *server)
{
    pipit_err err = pp_websocket_init(server);

    if (!err)
        err = pp_own_requests_open(server);
    if (!err)
        err = pp_side_doors_init(server);
    return err;
}

static pipit_err build(pipit_server *server, pp_buf *error)
{
    unsigned count = thread_count(server->options);
    pipit_err err = make_identity(server);

    if (!err)
        err = build_monitoring(server);
    if (!err)
        err = build_accounts(server, count, error);
    if (err)
        return err;
    server->nats_door.log = &server->log;
    pp_random_bytes(&server->nats_door.nonce_secret, sizeof(server->nats_door.nonce_secret));
    err = pp_server_tls_init(server, count);
    if (!err)
        err = build_workers(server, count);
    if (!err)
        err = build_doors(server);
    if (err)
        return err;
    server->system.home = &server->workers[0];
    err = pp_system_install(&server->system);
    if (err)
        return err;
    server->done_fd = pp_fault("eventfd") ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return server->done_fd < 0 ? PIPIT_ELIMIT : PIPIT_OK;
}

/* A reload compares with it, and so does who tests another configuration against the server that
 * its pid file names. Without a file there is nothing to reload but a text that may be given one
 * day, and its options can be had again: each start is spared a third of its instructions. */
static bool needs_snapshot(const pp_options *options)
{
    return options->config_file || options->pid_file;
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
    if (!err && needs_snapshot(server->options))
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

/* What cannot fail, so that it can be freed from here on. */
static void prepare(pipit_server *server)
{
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
    prepare(server);
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

static void free_workers(pipit_server *server)
{
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
}

static void close_sockets(pipit_server *server)
{
    if (server->done_fd >= 0)
        (void)close(server->done_fd);
    if (server->adopted_tcp >= 0)
        (void)close(server->adopted_tcp);
    if (server->adopted_local >= 0)
        (void)close(server->adopted_local);
    if (server->adopted_http >= 0)
        (void)close(server->adopted_http);
}

static void destroy_locks(pipit_server *server)
{
    (void)pthread_rwlock_destroy(&server->options_lock);
    (void)pthread_mutex_destroy(&server->https_lock);
    (void)pthread_mutex_destroy(&server->reloading);
    (void)pthread_mutex_destroy(&server->report_lock);
    (void)pthread_cond_destroy(&server->changed);
    (void)pthread_mutex_destroy(&server->lock);
    (void)pthread_mutex_destroy(&server->errands);
}

void pipit_server_free(pipit_server *server)
{
    if (!server)
        return;
    pipit_server_stop(server);
    pp_memory_fini(&server->memory);
    free_workers(server);
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
    close_sockets(server);
    pp_lodging_fini(&server->lodging);
    destroy_locks(server);
    explicit_bzero(server->server_seed, sizeof(server->server_seed));
    explicit_bzero(server->server_xkey_seed, sizeof(server->server_xkey_seed));
    pp_free(server);
}

int pipit_server_fd(const pipit_server *server)
{
    return server->done_fd;
}
