#include "server/server.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/fault.h"
#include "base/random.h"
#include "proto/nats/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    THREADS_MAX = 256,
    MESSAGE_MAX = 16 * 1024,
    PAYLOAD_DISCOURAGED = 8 * 1024 * 1024,
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
        return options->threads < THREADS_MAX ? options->threads : THREADS_MAX;
    return cpus < 1 ? 1 : cpus < THREADS_MAX ? (unsigned)cpus : THREADS_MAX;
}

static void fill_settings(pipit_server *server)
{
    const pp_options *o = &server->options;

    server->nats_settings = (pp_nats_settings){
        .server_id = server->server_id,
        .server_name = o->server_name ? o->server_name : server->server_id,
        .host = o->client_advertise_host ? o->client_advertise_host : o->host,
        .port = o->client_advertise_port ? o->client_advertise_port : server->port,
        .max_connections = o->max_connections,
        .max_payload = (int64_t)o->max_payload_bytes,
        .max_control_line = (uint32_t)o->max_control_line_bytes,
        .max_subscriptions = o->max_subscriptions,
        .max_subscription_tokens = o->max_subscription_tokens,
        .ping_interval_ns = o->ping_interval_ns,
        .auth_timeout_ns = o->auth_timeout_ns,
        .ping_max = o->ping_max,
        .headers = !o->no_header_support,
        .proxy_protocol = o->proxy_protocol,
        .no_stall = o->no_fast_producer_stall,
        .credentials = &server->credentials,
    };
    server->client_door.proto = &pp_nats_proto;
    atomic_store(&server->client_door.limits.pending_max, (size_t)o->max_pending_bytes);
    atomic_store(&server->client_door.limits.write_deadline_ns, o->write_deadline_ns);
    atomic_store(&server->client_door.limits.slow_policy, o->slow_consumer);
}

static pipit_err worker_init(pipit_server *server, unsigned index)
{
    pp_worker *worker = &server->workers[index];
    pipit_err err;

    worker->server = server;
    worker->random = pp_random_seed();
    err = pp_loop_init(&worker->loop, index, &server->reclaim, &worker->counters);
    if (err)
        return err;
    worker->loop.post_bytes_max = (size_t)server->options.max_pending_bytes;
    pp_router_init(&worker->router, index, &worker->counters);
    pp_local_init(&worker->local, worker);
    worker->loop.context = &worker->nats;
    worker->nats = (pp_nats_context){
        .door = &server->nats_door,
        .settings = &server->nats_settings,
        .router = &worker->router,
        .loop = &worker->loop,
        .loops = server->loops,
    };
    server->loops[index] = &worker->loop;
    server->worker_count++;
    return PIPIT_OK;
}

static pipit_err build(pipit_server *server)
{
    unsigned count = thread_count(&server->options);
    const pp_options *o = &server->options;
    pipit_err err;

    err = pp_nkey_new_server(server->server_id);
    if (err)
        return err;
    err = pp_credentials_init(&server->credentials, pp_str_of(o->user), pp_str_of(o->pass),
                              pp_str_of(o->auth_token));
    pp_options_forget_secrets(&server->options);
    if (err)
        return err;
    server->nats_door.log = &server->log;
    err = pp_account_new(&server->nats_door.account, "$G", 0);
    if (err)
        return err;
    err = pp_reclaim_init(&server->reclaim, count);
    if (err)
        return err;
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
    server->done_fd = pp_fault("eventfd") ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return server->done_fd < 0 ? PIPIT_ELIMIT : PIPIT_OK;
}

static pipit_err parse_options(pipit_server *server, const char *const *options, size_t count,
                               char *error, size_t error_bytes)
{
    char **argv = pp_calloc(count + 2, sizeof(*argv));
    pipit_err err = PIPIT_ENOMEM;
    pp_buf message;

    pp_buf_init(&message, MESSAGE_MAX);
    if (!argv)
        goto out;
    /* Copies: the parser wipes what is secret where it finds it. */
    for (size_t i = 0; i <= count; i++) {
        const char *text = i == 0 ? "pipit-server" : options[i - 1];

        argv[i] = pp_memdupz(text, strlen(text));
        if (!argv[i])
            goto out;
    }
    err = pp_options_parse(&server->options, (int)count + 1, argv, &message);
    if (!err && server->options.action != PP_OPTIONS_RUN)
        err = PIPIT_EINVAL;
    if (err == PIPIT_EINVAL && error_bytes)
        (void)snprintf(error, error_bytes, "%.*s", (int)message.len, message.ptr);
out:
    for (size_t i = 0; argv && i <= count; i++) {
        if (argv[i])
            explicit_bzero(argv[i], strlen(argv[i]));
        pp_free(argv[i]);
    }
    pp_free(argv);
    pp_buf_fini(&message);
    return err;
}

pipit_err pipit_server_new(pipit_server **out_server, const char *const *options,
                           size_t option_count, pipit_log_fn log, void *log_context, char *error,
                           size_t error_bytes)
{
    pipit_server *server;
    pipit_err err;

    if (error_bytes)
        error[0] = '\0';
    server = pp_calloc(1, sizeof(*server));
    if (!server)
        return PIPIT_ENOMEM;
    server->done_fd = -1;
    server->tcp.source.fd = server->local.source.fd = -1;
    (void)pthread_mutex_init(&server->errands, NULL);
    (void)pthread_mutex_init(&server->lock, NULL);
    (void)pthread_cond_init(&server->changed, NULL);
    pp_memory_init(&server->memory, server);
    err = parse_options(server, options, option_count, error, error_bytes);
    if (err)
        goto out;
    server->log_fn = log;
    server->log_context = log_context;
    server->log = (pp_log){
        .sink = log ? to_callback : NULL,
        .context = server,
        .debug = server->options.debug,
        .trace = server->options.trace,
    };
    err = build(server);
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
    for (unsigned i = 0; i < server->worker_count; i++)
        pp_router_fini(&server->workers[i].router);
    for (unsigned i = 0; i < server->worker_count; i++)
        pp_local_fini(&server->workers[i].local);
    for (unsigned i = 0; i < server->worker_count; i++)
        pp_loop_fini(&server->workers[i].loop);
    pp_free(server->workers);
    pp_free(server->loops);
    pp_free(server->given);
    pp_reclaim_fini(&server->reclaim);
    pp_account_free(server->nats_door.account);
    pp_credentials_fini(&server->credentials);
    pp_options_fini(&server->options);
    if (server->done_fd >= 0)
        (void)close(server->done_fd);
    (void)pthread_cond_destroy(&server->changed);
    (void)pthread_mutex_destroy(&server->lock);
    (void)pthread_mutex_destroy(&server->errands);
    pp_free(server);
}

/* --- starting ----------------------------------------------------------------------------- */

static void *run_worker(void *arg)
{
    pp_worker *worker = arg;

    pp_loop_run(&worker->loop);
    return NULL;
}

static void listener_init(pipit_server *server, pp_listener *listener)
{
    *listener = (pp_listener){
        .loop = server->loops[0],
        .loops = server->loops,
        .loop_count = server->worker_count,
        .given = server->given,
        .next_id = &server->next_conn_id,
        .door = &server->client_door,
    };
    pp_listener_init(listener);
}

/* Bind both; nobody is accepted yet. */
static pipit_err listen_all(pipit_server *server)
{
    const pp_options *o = &server->options;
    pipit_err err;

    err = pp_listen_tcp(o->host, o->port < 0 ? 0 : (uint16_t)o->port, &server->tcp.source.fd,
                        &server->port);
    if (err) {
        pp_log_write(&server->log, PP_LOG_FATAL, "cannot listen host=%s port=%d: %s", o->host,
                     (int)o->port, pipit_strerror(err));
        return err;
    }
    pp_log_write(&server->log, PP_LOG_INFO, "Listening for client connections on %s:%u", o->host,
                 server->port);
    if (!o->unix_path)
        return PIPIT_OK;
    err = pp_listen_unix(o->unix_path, o->unix_mode, &server->local.source.fd);
    if (err) {
        pp_log_write(&server->log, PP_LOG_FATAL, "cannot listen unix=%s: %s", o->unix_path,
                     pipit_strerror(err));
        return err;
    }
    server->local.unlink_path = o->unix_path;
    pp_log_write(&server->log, PP_LOG_INFO, "Listening for client connections on unix:%s",
                 o->unix_path);
    return PIPIT_OK;
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

pipit_err pipit_server_start(pipit_server *server)
{
    pipit_err err;

    if (server->started)
        return PIPIT_EINVAL;
    server->started = true;
    pp_log_write(&server->log, PP_LOG_INFO, "Starting pipit-server");
    pp_log_write(&server->log, PP_LOG_INFO, "  Version:  %s (follows nats-server %s)",
                 PIPIT_VERSION, PP_NATS_VERSION);
    pp_log_write(&server->log, PP_LOG_INFO, "  ID:       %s", server->server_id);
    pp_log_write(&server->log, PP_LOG_INFO, "  Threads:  %u", server->worker_count);
    if (server->options.max_payload_bytes > PAYLOAD_DISCOURAGED)
        pp_log_write(&server->log, PP_LOG_WARN,
                     "payloads over 8 MB are discouraged: each holds that much memory until it is "
                     "complete");
    listener_init(server, &server->tcp);
    listener_init(server, &server->local);
    err = pp_memory_prepare(&server->memory);
    if (!err)
        err = listen_all(server);
    fill_settings(server);
    /* Accepting comes last: an arrival goes to any loop, so all of them must run. */
    if (!err)
        err = start_threads(server);
    if (!err)
        err = pp_memory_start(&server->memory);
    if (!err)
        err = pp_listener_start(&server->tcp);
    if (!err && server->local.source.fd >= 0)
        err = pp_listener_start(&server->local);
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
    pp_listener_stop(&worker->server->tcp);
    pp_listener_stop(&worker->server->local);
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

    atomic_store(&server->open, false);
    pp_memory_stop(&server->memory); /* it sends the loops on errands */
    /* First no new ones, then none at all: arrivals are under way to other loops until then. */
    pp_server_on_all(server, pp_server_stop_listening);
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
    pp_listener_stop(&server->tcp); /* threads that never started leave them */
    pp_listener_stop(&server->local);
    while (more) {
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
