#include "server/reload.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "proto/nats/session.h"
#include "server/monitor/history.h"
#include "server/ocsp.h"
#include "server/options.h"
#include "server/server.h"
#include "server/settings.h"
#include "server/side_door.h"
#include "server/stapler.h"
#include "server/tls.h"

#include <stdio.h>
#include <string.h>

/* All that a configuration turns into, before it is in force. */
struct candidate {
    pp_options *options;
    pp_snapshot *snapshot;
    pp_changes *changes;
    pp_directory *directory;
    pp_nats_settings *settings;
    pp_operator_plan *plan; /* NULL: not in operator mode */
    pp_tls_context *https, *wss;
    pp_side_fresh side;
};

/* --- making ready ------------------------------------------------------------------------- */

static pipit_err read_options(pipit_server *server, pp_options **out, pp_buf *error)
{
    pipit_err err = pp_server_options_new(out, &server->arguments, error);

    if (!err && !(*out)->config_file) {
        (void)pp_buf_addf(error,
                          "can only reload config when a file is provided using -c or --config");
        err = PIPIT_EINVAL;
    }
    return err;
}

/* Of what it started with, if that was neither a file nor a text: then its arguments say all, and
 * nothing was spent on a snapshot at the start. Now it has been given a text. */
static pipit_err take_first_snapshot(pipit_server *server, pp_buf *error)
{
    pp_arguments *arguments = &server->arguments;
    const pp_arguments now = *arguments;
    pp_options *options;
    pipit_err err;

    arguments->text = NULL;
    arguments->text_len = 0;
    err = pp_server_options_new(&options, arguments, error);
    arguments->text = now.text;
    arguments->text_len = now.text_len;
    if (err)
        return err;
    err = pp_snapshot_new(&server->snapshot, options, NULL);
    pp_server_options_free(options);
    return err;
}

static pipit_err compare(pipit_server *server, struct candidate *c, pp_buf *error)
{
    pipit_err err = server->snapshot ? PIPIT_OK : take_first_snapshot(server, error);

    if (!err)
        err = pp_snapshot_new(&c->snapshot, c->options, server->snapshot);
    if (!err)
        err = pp_changes_new(&c->changes, server->snapshot, c->snapshot);
    if (err || !c->changes->restart_count)
        return err;
    for (size_t i = 0; i < c->changes->count; i++) {
        const pp_change *change = &c->changes->items[i];

        if (change->outcome != PP_CHANGE_RESTART)
            continue;
        (void)pp_buf_addf(error,
                          "config reload not supported for %s: old=%s, new=%s: it needs a restart",
                          change->key, change->old_text, change->new_text);
        break;
    }
    return PIPIT_EINVAL;
}

/* Would the monitoring port take them? */
static pipit_err check_http_user(const pp_options *options, pp_buf *error)
{
    pp_http_credentials credentials;
    pipit_err err;

    pp_http_credentials_init(&credentials);
    err = pp_http_credentials_set(&credentials, pp_str_of(options->http_user),
                                  pp_str_of(options->http_password));
    pp_http_credentials_fini(&credentials);
    if (err)
        (void)pp_buf_addf(error, "http_user and http_password: %s", pipit_strerror(err));
    return err;
}

static pipit_err make_candidate(pipit_server *server, struct candidate *c, pp_buf *error)
{
    const pp_reload_hook *hook = server->reload_hook;
    pipit_err err = read_options(server, &c->options, error);

    if (!err)
        err = compare(server, c, error);
    if (!err)
        err = pp_directory_new(&c->directory, &server->accounts, c->options, &server->user_key,
                               server->hasher, pp_server_authority(server), &server->calls, error);
    if (!err && server->operators)
        err = pp_operator_plan_new(&c->plan, c->options);
    if (!err)
        err = pp_server_settings_new(&c->settings, server, c->options, c->directory, error);
    if (!err)
        err = pp_server_https_new(&c->https, c->options, server, error);
    if (!err)
        err = pp_websocket_tls_new(&c->wss, server, c->options, error);
    if (!err)
        err = pp_side_doors_prepare(server, c->options, c->directory, &c->side, error);
    if (!err)
        err = check_http_user(c->options, error);
    if (!err && hook)
        err = hook->apply(hook->context, c->options, error);
    return err;
}

static void drop_candidate(pipit_server *server, struct candidate *c)
{
    pp_server_settings_free(c->settings);
    pp_operator_plan_let_go(c->plan);
    pp_tls_context_unref(c->https);
    pp_tls_context_unref(c->wss);
    pp_side_doors_drop(&c->side);
    pp_directory_free(c->directory);
    pp_accounts_drop_new(&server->accounts);
    pp_snapshot_free(c->snapshot);
    pp_server_options_free(c->options);
}

/* --- changing over ------------------------------------------------------------------------ */

static void change_over(pp_worker *worker)
{
    const pp_nats_settings *settings = worker->server->settings;
    bool new_interval = settings->ping_interval_ns != worker->nats.settings->ping_interval_ns;

    worker->nats.settings = settings;
    pp_router_forget(&worker->router);
    pp_nats_renew_sessions(&worker->nats, new_interval);
    pp_server_review_pins(worker);
    pp_side_doors_adapt(worker);
}

static void touch(pp_account *account, void *arg)
{
    (void)arg;
    pp_sublist_touch_all(account->subs);
}

/* Loops change over one after another: one that has may have looked at users of a session that
 * another changed over later, or hold messages for it that it must not hear any more. When all have
 * come round once more, nobody looks at what is old, and what was under way has gone. */
static void come_round(pp_worker *worker)
{
    pp_loop_flush(&worker->loop);
}

static void close_if_excess(pp_conn *conn, void *arg)
{
    pipit_server *server = arg;

    if (atomic_load(&server->nats_door.clients) > server->settings->max_connections &&
        pp_nats_close_excess(conn))
        server->excess_closed++; /* loops take turns */
}

static void close_excess(pp_worker *worker)
{
    pp_conn_each(&worker->loop, close_if_excess, worker->server);
}

static void shrink_to_limit(pipit_server *server)
{
    server->excess_closed = 0;
    if (atomic_load(&server->nats_door.clients) <= server->settings->max_connections)
        return;
    pp_server_on_all(server, close_excess);
    pp_log_write(&server->log, PP_LOG_INFO,
                 "Closed %llu connections to fall within max_connections",
                 (unsigned long long)server->excess_closed);
}

static void free_idle_directories(pipit_server *server)
{
    pp_directory **at = &server->old_directories;

    while (*at) {
        pp_directory *old = *at;

        if (pp_directory_idle(old)) {
            *at = *pp_directory_next(old);
            pp_directory_free(old);
        } else {
            at = pp_directory_next(old);
        }
    }
    if (!server->old_directories)
        pp_accounts_sweep(&server->accounts);
}

static void install(pipit_server *server, struct candidate *c)
{
    const pp_nats_settings *old_settings = server->settings;
    pp_options *old_options = server->options;

    pp_stapler_hurry(server->stapler);
    *pp_directory_next(server->directory) = server->old_directories;
    server->old_directories = server->directory;
    /* Answers about the server that are being made have the old ones still. */
    (void)pthread_rwlock_wrlock(&server->options_lock);
    server->directory = c->directory;
    server->settings = c->settings;
    server->options = c->options;
    (void)pthread_rwlock_unlock(&server->options_lock);
    if (c->plan)
        pp_operators_replan(server->operators, c->plan);
    pp_directory_install(c->directory, &server->accounts);
    if (pp_system_install(&server->system))
        pp_log_write(&server->log, PP_LOG_ERROR,
                     "Some accounts lack the services of the system account: out of memory");
    pp_server_install_limits(server, c->options);
    pp_server_install_https(server, c->https);
    pp_websocket_install_tls(server, c->wss);
    pp_side_doors_install(server, &c->side);
    (void)pp_http_credentials_set(&server->http_door.credentials, pp_str_of(c->options->http_user),
                                  pp_str_of(c->options->http_password)); /* checked before */
    pp_options_forget_secrets(c->options); /* nothing needs them any more */
    pp_server_install_log_flags(server, c->options);
    pp_ocsp_configure(server->ocsp, c->options);
    pp_server_on_all(server, change_over);
    pp_accounts_each(&server->accounts, touch, NULL);
    shrink_to_limit(server);
    pp_directory_forget_older(c->directory, &server->accounts);
    pp_server_on_all(server, come_round);
    pp_directory_settle(c->directory);
    pp_side_doors_settle(server);
    pp_server_settings_free((pp_nats_settings *)old_settings);
    pp_server_options_free(old_options);
    pp_snapshot_free(server->snapshot);
    server->snapshot = c->snapshot;
    pp_history_resize(server->history, c->options->max_closed_clients);
    atomic_store(&server->config_wall_ns, pp_clock_wall_ns());
    free_idle_directories(server);
}

/* --- telling ------------------------------------------------------------------------------ */

static void log_changes(const pipit_server *server, const pp_changes *changes)
{
    for (size_t i = 0; changes && i < changes->count; i++) {
        const pp_change *change = &changes->items[i];

        if (change->outcome == PP_CHANGE_APPLIED)
            pp_log_write(&server->log, PP_LOG_INFO, "Reloaded: %s = %s (was %s)", change->key,
                         *change->new_text ? change->new_text : "none",
                         *change->old_text ? change->old_text : "none");
        else
            pp_log_write(&server->log, PP_LOG_WARN, "Not reloaded: %s = %s: %s", change->key,
                         *change->new_text ? change->new_text : "none",
                         pp_change_outcome_name(change->outcome));
    }
}

static void log_lines(const pipit_server *server, const pp_buf *error)
{
    const char *at = error->ptr;
    size_t left = error->len;

    while (left) {
        const char *end = memchr(at, '\n', left);
        size_t len = end ? (size_t)(end - at) : left;

        pp_log_write(&server->log, PP_LOG_ERROR, "Failed to reload server configuration: %.*s",
                     (int)len, at);
        len += end != NULL;
        at += len;
        left -= len;
    }
}

static void keep_report(pipit_server *server, pp_changes *changes, bool applied,
                        const pp_buf *error)
{
    pp_reload_report *report = &server->reload_report;

    (void)pthread_mutex_lock(&server->report_lock);
    pp_changes_free(report->changes);
    pp_free(report->error);
    *report = (pp_reload_report){
        .done = true,
        .applied = applied,
        .time_ns = pp_clock_wall_ns(),
        .changes = changes,
        .error = applied ? NULL : pp_memdupz(error->ptr, error->len),
    };
    (void)pthread_mutex_unlock(&server->report_lock);
}

static pipit_err reload_locked(pipit_server *server, pp_buf *error)
{
    struct candidate c = {0};
    pipit_err err;

    if (!atomic_load(&server->open))
        return PIPIT_ECLOSED;
    err = make_candidate(server, &c, error);
    if (err && !error->len)
        (void)pp_buf_addf(error, "%s", pipit_strerror(err));
    if (err)
        drop_candidate(server, &c);
    else
        install(server, &c);
    log_changes(server, c.changes);
    if (err)
        log_lines(server, error);
    else
        pp_log_write(&server->log, PP_LOG_INFO, "Reloaded server configuration (%s)",
                     server->options->config_digest);
    keep_report(server, c.changes, !err, error);
    if (!err && server->reload_hook)
        server->reload_hook->done(server->reload_hook->context);
    return err;
}

pipit_err pp_server_reload(pipit_server *server, pp_buf *error)
{
    pipit_err err;

    (void)pthread_mutex_lock(&server->reloading);
    err = reload_locked(server, error);
    (void)pthread_mutex_unlock(&server->reloading);
    return err;
}

/* With another text; the one before is kept if that is refused. */
static pipit_err reload_text_locked(pipit_server *server, const char *text, size_t text_bytes,
                                    pp_buf *error)
{
    pp_arguments before = {.text = server->arguments.text, .text_len = server->arguments.text_len};
    pp_arguments *now = &server->arguments;
    pipit_err err;

    now->text = NULL;
    err = pp_arguments_set_text(now, text, text_bytes);
    if (!err)
        err = reload_locked(server, error);
    if (!err) {
        (void)pp_arguments_set_text(&before, NULL, 0);
        return PIPIT_OK;
    }
    (void)pp_arguments_set_text(now, NULL, 0);
    now->text = before.text;
    now->text_len = before.text_len;
    return err;
}

pipit_err pipit_server_reload(pipit_server *server, const char *text, size_t text_bytes,
                              char *error, size_t error_bytes)
{
    pp_buf message;
    pipit_err err;

    pp_buf_init(&message, PP_OPTIONS_MESSAGE_MAX);
    (void)pthread_mutex_lock(&server->reloading);
    err = text ? reload_text_locked(server, text, text_bytes, &message)
               : reload_locked(server, &message);
    (void)pthread_mutex_unlock(&server->reloading);
    if (error_bytes)
        (void)snprintf(error, error_bytes, "%.*s", err ? (int)message.len : 0, message.ptr);
    pp_buf_fini(&message);
    return err;
}

void pp_server_set_reload_hook(pipit_server *server, const pp_reload_hook *hook)
{
    (void)pthread_mutex_lock(&server->reloading);
    server->reload_hook = hook;
    (void)pthread_mutex_unlock(&server->reloading);
}
