#include "cli/connection.h"

#include "cli/context_file.h"
#include "cli/escape.h"
#include "cli/memory.h"
#include "cli/say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEED_FILE_MAX = 64 * 1024, NS_PER_MS = 1000000 };

/* --- settings ----------------------------------------------------------------------------- */

static char *copy_text(const char *text)
{
    return text ? cli_copy(text, strlen(text)) : NULL;
}

/* A path, with the home folder for its ~/. */
static char *copy_path(const char *path)
{
    const char *home = getenv("HOME");

    return path && strncmp(path, "~/", 2) == 0 && home ? cli_format("%s%s", home, path + 1)
                                                       : copy_text(path);
}

/* The flag's text, else the context's. */
static const char *pick(const char *given, const json_t *context, const char *member)
{
    return given ? given : context ? cli_context_text(context, member) : NULL;
}

static int refuse_unread(const char *name, const json_t *context)
{
    static const char *const unread[] = {"nsc", "user_jwt", "socks_proxy"};

    for (size_t i = 0; i < sizeof(unread) / sizeof(unread[0]); i++) {
        if (cli_context_text(context, unread[i]))
            return cli_fail(CLI_USAGE,
                            "context %s has %s, which pipit cannot use: give it a creds file, and "
                            "an address that needs no proxy",
                            name, unread[i]);
    }
    return CLI_DONE;
}

static void merge(const cli_globals *g, const json_t *context, cli_settings *out)
{
    bool own_user = g->user || g->password || g->creds || g->nkey;

    out->url = copy_text(pick(g->server, context, "url"));
    /* Who signs in by flags does not bring credentials of the context, too. */
    out->creds = copy_path(own_user ? g->creds : pick(NULL, context, "creds"));
    out->nkey = copy_path(own_user ? g->nkey : pick(NULL, context, "nkey"));
    out->user = copy_text(own_user ? g->user : pick(NULL, context, "user"));
    out->password = copy_text(own_user ? g->password : pick(NULL, context, "password"));
    out->token = copy_text(own_user ? NULL : pick(NULL, context, "token"));
    if (out->user && !out->password) { /* as the nats CLI has it */
        free(out->token);
        out->token = out->user;
        out->user = NULL;
    }
    out->tls_cert = copy_path(pick(g->tls_cert, context, "cert"));
    out->tls_key = copy_path(pick(g->tls_key, context, "key"));
    out->tls_ca = copy_path(pick(g->tls_ca, context, "ca"));
    out->inbox_prefix = copy_text(pick(g->inbox_prefix, context, "inbox_prefix"));
    out->tls_first =
        g->tls_first || (context && json_is_true(json_object_get(context, "tls_first")));
}

static int check(const cli_settings *s)
{
    const char *files[] = {s->creds, s->nkey, s->tls_cert, s->tls_key, s->tls_ca};

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (files[i] && access(files[i], R_OK) != 0)
            return cli_fail(CLI_USAGE, "cannot read %s: %s", files[i], strerror(errno));
    }
    if ((s->tls_cert == NULL) != (s->tls_key == NULL))
        return cli_fail(CLI_USAGE, "a certificate needs its key: give both --tlscert and --tlskey");
    return CLI_DONE;
}

int cli_settings_read(const cli_globals *globals, cli_settings *out)
{
    json_t *context = NULL;
    int status = CLI_DONE;

    *out = (cli_settings){0};
    if (globals->context)
        out->context = copy_text(globals->context);
    else if (!globals->no_context)
        out->context = cli_context_selected();
    if (out->context) {
        status = cli_context_load(out->context, &context);
        if (!status)
            status = refuse_unread(out->context, context);
    }
    if (!status) {
        merge(globals, context, out);
        status = check(out);
    }
    json_decref(context);
    if (status)
        cli_settings_free(out);
    return status;
}

void cli_settings_free(cli_settings *s)
{
    char *texts[] = {s->url,      s->user,    s->password, s->token,        s->creds,  s->nkey,
                     s->tls_cert, s->tls_key, s->tls_ca,   s->inbox_prefix, s->context};

    if (s->password)
        explicit_bzero(s->password, strlen(s->password));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        free(texts[i]);
    *s = (cli_settings){0};
}

/* --- showing ------------------------------------------------------------------------------ */

char *cli_url_shown(const char *url)
{
    char *clean = cli_alloc(strlen(url) + 1), *shown;
    size_t len = 0;

    /* Of each address, what stands between "//" and its last "@" is left out. */
    while (*url) {
        size_t one = strcspn(url, ",");
        const char *scheme = strstr(url, "://");
        const char *host = scheme && scheme < url + one ? scheme + 3 : url;
        size_t head = (size_t)(host - url);

        for (const char *at = host; at < url + one; at++) {
            if (*at == '@')
                host = at + 1;
        }
        memcpy(clean + len, url, head);
        len += head;
        memcpy(clean + len, host, (size_t)(url + one - host));
        len += (size_t)(url + one - host);
        url += one;
        if (*url)
            clean[len++] = *url++;
    }
    clean[len] = '\0';
    shown = cli_escape(clean, len, 200);
    free(clean);
    return shown;
}

int64_t cli_timeout_ms(const cli_call *call)
{
    return call->globals->timeout_ns / NS_PER_MS;
}

static const char *reason_of(pipit_err err)
{
    switch (err) {
    case PIPIT_EINVAL:
        return "it is not a subject, or not one for this";
    case PIPIT_ETOOBIG:
        return "it is larger than the server allows";
    case PIPIT_EAGAIN:
        return "the server is too slow to take it";
    case PIPIT_ENOTFOUND:
        return "no responders: nobody listens there";
    case PIPIT_ETIMEOUT:
        return "no answer in time; --timeout gives it longer";
    case PIPIT_ECLOSED:
        return "the connection has ended";
    default:
        return pipit_strerror(err);
    }
}

int cli_client_fail(pipit_err err, const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = cli_vformat(format, arguments);
    va_end(arguments);
    (void)cli_fail(CLI_FAILED, "%s: %s", text, reason_of(err));
    free(text);
    return err == PIPIT_ENOTFOUND || err == PIPIT_ETIMEOUT ? CLI_NO_ANSWER
           : err == PIPIT_EINVAL                           ? CLI_USAGE
                                                           : CLI_FAILED;
}

/* --- events ------------------------------------------------------------------------------- */

static void on_event(void *context, pipit_client *client, pipit_event event, const char *text)
{
    static const char *const names[] = {"connected", "disconnected",   "reconnected",
                                        "closed",    "error",          "told of more servers",
                                        "lame duck", "missed messages"};
    cli_connection *c = context;
    char *shown = cli_escape(text, strlen(text), 300);
    bool said = c->trace;

    (void)client;
    if (event == PIPIT_EVENT_CLOSED || event == PIPIT_EVENT_DISCONNECTED)
        (void)snprintf(c->reason, sizeof(c->reason), "%s", shown);
    if (c->trace)
        cli_note("%s %s%s%s", c->url, names[event], *shown ? ": " : "", shown);
    if (event == PIPIT_EVENT_ERROR) {
        atomic_fetch_add(&c->errors, 1);
        if (!said)
            cli_note("the server says: %s", shown);
    } else if (event == PIPIT_EVENT_DISCONNECTED) {
        atomic_store(&c->lost, true);
        if (c->stays && !said)
            cli_note("disconnected from %s%s%s; trying again", c->url, *shown ? ": " : "", shown);
    } else if (event == PIPIT_EVENT_RECONNECTED && !said) {
        cli_note("connected again to %s", c->url);
    } else if (event == PIPIT_EVENT_CLOSED) {
        atomic_store(&c->closed, true);
    } else if (event == PIPIT_EVENT_MISSED && !said) {
        cli_note("messages are missed: this end is too slow for them");
    }
    free(shown);
}

/* --- opening ------------------------------------------------------------------------------ */

/* The seed in a file: a line that begins with SU, between whatever lines. */
static int read_seed(const char *path, char **out)
{
    FILE *file = fopen(path, "re");
    char line[256];
    size_t lines = 0;

    if (!file)
        return cli_fail(CLI_USAGE, "cannot read %s: %s", path, strerror(errno));
    while (!*out && lines++ < SEED_FILE_MAX / 2 && fgets(line, sizeof(line), file)) {
        line[strcspn(line, " \t\r\n")] = '\0';
        if (strncmp(line, "SU", 2) == 0)
            *out = cli_copy(line, strlen(line));
    }
    explicit_bzero(line, sizeof(line));
    (void)fclose(file);
    return *out ? CLI_DONE
                : cli_fail(CLI_USAGE, "%s holds no seed of a user: a line that begins with SU",
                           path);
}

static int say_unreachable(const cli_connection *c, pipit_err err, const cli_wish *wish)
{
    if (wish->quiet)
        return err == PIPIT_EINVAL ? CLI_USAGE : CLI_NO_SERVER;
    switch (err) {
    case PIPIT_EINVAL:
        return cli_fail(CLI_USAGE,
                        "cannot use %s with these flags: an address is nats://HOST:PORT, tls://, "
                        "ws://, wss:// or unix:PATH",
                        c->url);
    case PIPIT_EAUTH:
        return cli_fail(CLI_NO_SERVER,
                        "%s refuses the credentials: give --user and --password, --creds or "
                        "--nkey, or a --context",
                        c->url);
    case PIPIT_EPROTO:
        return cli_fail(CLI_NO_SERVER, "what answers at %s is no NATS server, or wants TLS",
                        c->url);
    default:
        return cli_fail(CLI_NO_SERVER,
                        "cannot reach %s: %s; is it running there? -s or NATS_URL gives another "
                        "address",
                        c->url, *c->reason ? c->reason : pipit_strerror(err));
    }
}

/* With a loop of its own a client connects while somebody waits for it. Why it has closed is told
 * by the event alone. */
static pipit_err await_own_loop(const cli_connection *c, int64_t timeout_ms)
{
    pipit_err err = pipit_client_flush(c->client, timeout_ms);

    return err == PIPIT_ECLOSED && strcasestr(c->reason, "authorization") ? PIPIT_EAUTH : err;
}

static int open_with(cli_connection *c, const cli_call *call, const cli_wish *wish,
                     const cli_settings *s, const char *seed)
{
    const char *name = call->globals->connection_name;
    const char *url = wish->server ? wish->server : s->url;
    const pipit_client_options options = {
        .struct_bytes = sizeof(options),
        .name = name         ? name
                : wish->name ? wish->name
                             : "pipit",
        .user = s->user,
        .password = s->password,
        .token = s->token,
        .nkey_seed = seed,
        .creds_file = s->creds,
        .tls_ca_file = s->tls_ca,
        .tls_cert_file = s->tls_cert,
        .tls_key_file = s->tls_key,
        .tls_first = s->tls_first,
        .own_loop = wish->own_loop,
        .no_echo = wish->no_echo,
        .no_reconnect = !wish->stays,
        .connect_timeout_ms = cli_timeout_ms(call),
        .reconnect_max = -1,
        .pending_max = wish->pending_max,
        .sub_pending_max = wish->sub_pending_max,
        .inbox_prefix = s->inbox_prefix,
        .on_event = on_event,
        .event_context = c,
    };
    pipit_err err;

    if (!url)
        url = "nats://127.0.0.1:4222";
    c->url = cli_url_shown(url);
    err = pipit_client_connect(&c->client, url, &options);
    if (!err && wish->own_loop)
        err = await_own_loop(c, cli_timeout_ms(call) + 1000);
    return err ? say_unreachable(c, err, wish) : CLI_DONE;
}

int cli_connection_open(cli_connection *c, const cli_call *call, const cli_wish *wish)
{
    cli_settings settings;
    char *seed = NULL;
    int status;

    *c = (cli_connection){.trace = call->globals->trace, .stays = wish->stays};
    status = cli_settings_read(call->globals, &settings);
    if (status)
        return status;
    if (settings.nkey)
        status = read_seed(settings.nkey, &seed);
    if (!status)
        status = open_with(c, call, wish, &settings, seed);
    if (seed)
        explicit_bzero(seed, strlen(seed));
    free(seed);
    cli_settings_free(&settings);
    if (status)
        cli_connection_close(c);
    return status;
}

void cli_connection_close(cli_connection *c)
{
    pipit_client_free(c->client);
    free(c->url);
    *c = (cli_connection){0};
}

int cli_connection_flush(cli_connection *c, const cli_call *call)
{
    pipit_err err = pipit_client_flush(c->client, cli_timeout_ms(call));

    if (err)
        return cli_client_fail(err, "%s has not taken everything", c->url);
    return atomic_load(&c->errors) ? CLI_FAILED : CLI_DONE;
}
