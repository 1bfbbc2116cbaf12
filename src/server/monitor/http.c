#include "server/monitor/http.h"

#include "base/alloc.h"
#include "server/monitor/query.h"
#include "server/monitor/ui/ui.h"
#include "server/server.h"

#include <string.h>

enum { ERROR_MAX = 2 * PP_QUERY_TEXTS_MAX };

/* Connection ids of clients are counted up from 1; these must not be among them. */
static const uint64_t first_id = UINT64_C(1) << 62;

/* --- requests ----------------------------------------------------------------------------- */

struct question {
    pp_http_ticket ticket;
};

static void send_answer(void *context, const pp_monitor_answer *answer)
{
    struct question *question = context;

    pp_http_answer_send(
        question->ticket,
        &(pp_http_answer){
            .status = answer->status,
            .content_type = answer->content_type,
            .extra_headers = answer->open_to_all ? "Access-Control-Allow-Origin: *\r\n" : NULL,
            .body = answer->body,
            .body_bytes = answer->body_bytes,
        });
    pp_free(question);
}

/* Answer at once, with a text. False: no memory. */
static bool answer_text(pp_http_ticket ticket, int status, const char *extra_headers, pp_str text)
{
    pp_body *body = pp_body_new(text.len);

    if (!body)
        return false;
    memcpy(body->bytes, text.ptr, text.len);
    pp_http_answer_send(ticket, &(pp_http_answer){
                                    .status = status,
                                    .content_type = "text/plain; charset=utf-8",
                                    .extra_headers = extra_headers,
                                    .body = body,
                                    .body_bytes = text.len,
                                });
    return true;
}

static bool ask(pipit_server *server, pp_monitor_endpoint endpoint,
                const pp_monitor_options *options, pp_http_ticket ticket)
{
    struct question *question = pp_alloc(sizeof(*question));

    if (!question)
        return false;
    question->ticket = ticket;
    if (pp_monitor_ask(server->monitor, endpoint, options, send_answer, question)) {
        pp_free(question);
        return false;
    }
    return true;
}

/* Source: the reference counts every request but those whose parameters it cannot read, and of
 * these it does count some. */
static bool is_counted(pp_monitor_endpoint endpoint, pp_str error)
{
    return !pp_str_starts(error, PP_STR("Error decoding ")) ||
           (endpoint != PP_MONITOR_CONNZ && endpoint != PP_MONITOR_ROUTEZ);
}

static bool handle_parsed(pipit_server *server, pp_monitor_endpoint endpoint, pp_query *query,
                          const pp_http_request *request, pp_http_ticket ticket)
{
    pp_buf error;
    pipit_err err;
    bool taken = false;

    pp_buf_init(&error, ERROR_MAX);
    err = pp_query_parse(query, endpoint, request->query, &error);
    if (is_counted(endpoint, pp_buf_str(&error)))
        pp_monitor_count_request(server->monitor, endpoint);
    if (!err) {
        query->options.open_metrics = pp_query_wants_open_metrics(request->accept);
        if (query->names_deprecated)
            pp_log_write(&server->log, PP_LOG_WARN,
                         "Healthcheck: js-enabled deprecated, use js-enabled-only instead");
        taken = ask(server, endpoint, &query->options, ticket);
    } else if (err == PIPIT_EINVAL) {
        taken = answer_text(ticket, 400, NULL, pp_buf_str(&error));
    } else if (err == PIPIT_ETOOBIG) {
        taken = answer_text(ticket, 414, NULL, PP_STR("the query is too long"));
    }
    pp_buf_fini(&error);
    return taken;
}

static bool handle(void *context, const pp_http_request *request, pp_http_ticket ticket)
{
    pp_monitor_endpoint endpoint = pp_monitor_find(request->path);
    pp_query *query;
    bool taken;

    if (endpoint == PP_MONITOR_ENDPOINT_COUNT) {
        pp_ui_verdict page = pp_ui_answer(context, request, ticket);

        if (page != PP_UI_NOT_MINE)
            return page == PP_UI_ANSWERED;
        return answer_text(ticket, 404, "X-Content-Type-Options: nosniff\r\n",
                           PP_STR("404 page not found\n"));
    }
    query = pp_alloc(sizeof(*query));
    if (!query)
        return false;
    taken = handle_parsed(context, endpoint, query, request, ticket);
    pp_free(query);
    return taken;
}

/* --- life --------------------------------------------------------------------------------- */

/* With one slash in front and none behind; none at all for the root. */
static pp_str normal_path(pp_str path)
{
    while (path.len && path.ptr[path.len - 1] == '/')
        path.len--;
    while (path.len > 1 && path.ptr[0] == '/' && path.ptr[1] == '/') {
        path.ptr++;
        path.len--;
    }
    return path;
}

pipit_err pp_http_monitor_init(pipit_server *server)
{
    const pp_options *o = server->options;
    pp_str path = normal_path(pp_str_of(o->http_base_path));

    pp_http_door_init(&server->http_door);
    server->http_made = true;
    server->http_ui = o->http_ui;
    server->http_door.log = &server->log;
    server->http_door.handle = handle;
    server->http_door.context = server;
    server->http_door.door.aside = true;
    if (path.len) {
        size_t slash = path.ptr[0] != '/';
        char *copy = pp_alloc(path.len + 1);

        if (!copy)
            return PIPIT_ENOMEM;
        copy[0] = '/';
        memcpy(copy + slash, path.ptr, path.len);
        server->http_base_path = (pp_str){copy, path.len + slash};
        server->http_door.base_path = server->http_base_path;
    }
    return pp_http_credentials_set(&server->http_door.credentials, pp_str_of(o->http_user),
                                   pp_str_of(o->http_password));
}

void pp_http_monitor_fini(pipit_server *server)
{
    if (server->http_made)
        pp_http_door_fini(&server->http_door);
    pp_free((char *)server->http_base_path.ptr);
    pp_free(server->http_host);
}

/* Where clients come in only if somebody has said so: the defaults are open to the world. */
static const char *listening_host(const pp_options *o)
{
    if (o->http_host)
        return o->http_host;
    return o->host_given ? o->host : "127.0.0.1";
}

/* Where somebody else has opened a socket for it. */
static pipit_err listen_adopted(pipit_server *server)
{
    int fd = server->adopted_http;
    char where[64];
    char *port;

    server->adopted_http = -1;
    server->http.source.fd = fd;
    pp_listen_text(fd, where, sizeof(where));
    port = strrchr(where, ':');
    server->http_host = pp_memdupz(where, port ? (size_t)(port - where) : strlen(where));
    if (!server->http_host)
        return PIPIT_ENOMEM;
    pp_log_write(&server->log, PP_LOG_INFO, "Starting %s monitor on %s",
                 server->options->https_port ? "https" : "http", where);
    return pp_listen_port(fd, &server->http_port);
}

static pipit_err listen_as_told(pipit_server *server)
{
    const pp_options *o = server->options;
    int port = o->https_port ? o->https_port : o->http_port;
    bool six;
    pipit_err err;

    server->http_host = pp_memdupz(listening_host(o), strlen(listening_host(o)));
    if (!server->http_host)
        return PIPIT_ENOMEM;
    err = pp_listen_tcp(server->http_host, port < 0 ? 0 : (uint16_t)port, &server->http.source.fd,
                        &server->http_port);
    if (err) {
        pp_log_write(&server->log, PP_LOG_FATAL, "Can't listen to the monitor port: %s:%d: %s",
                     server->http_host, port, pipit_strerror(err));
        return err;
    }
    six = strchr(server->http_host, ':') != NULL;
    pp_log_write(&server->log, PP_LOG_INFO, "Starting %s monitor on %s%s%s:%u",
                 o->https_port ? "https" : "http", six ? "[" : "", server->http_host,
                 six ? "]" : "", server->http_port);
    return PIPIT_OK;
}

pipit_err pp_http_monitor_listen(pipit_server *server)
{
    pp_listener *listener = &server->http;

    if (!server->options->http_port && !server->options->https_port && server->adopted_http < 0)
        return PIPIT_OK;
    *listener = (pp_listener){
        .loop = server->loops[0],
        .loops = server->loops,
        .loop_count = 1,
        .given = &server->http_given,
        .next_id = &server->http_next_id,
        .door = &server->http_door.door,
    };
    atomic_store(&server->http_next_id, first_id);
    pp_listener_init(listener);
    return server->adopted_http >= 0 ? listen_adopted(server) : listen_as_told(server);
}

pipit_err pp_http_monitor_start(pipit_server *server)
{
    return server->http.source.fd < 0 ? PIPIT_OK : pp_listener_start(&server->http);
}
