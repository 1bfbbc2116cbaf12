#include "server/server.h"

#include "base/alloc.h"
#include "server/monitor/http.h"
#include "server/side_door.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

pipit_err pp_server_listen(pipit_server *server)
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

void pp_server_stop_listening(pp_worker *worker)
{
    if (worker->loop.index != 0)
        return;
    pp_side_doors_stop_listening(worker->server);
    pp_listener_stop(&worker->server->websocket.listener);
    pp_listener_stop(&worker->server->tcp);
    pp_listener_stop(&worker->server->local);
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
