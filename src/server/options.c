/* One table says everything about a flag: its names, what its value may be, where the value goes
 * and what --help says. Flags of nats-server whose feature is not here stand in a table of their
 * own, so that they are refused by name rather than as unknown. */
#include "server/options.h"

#include "auth/credentials.h"
#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/str.h"
#include "proto/nats/door.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define DEFAULT_HOST "0.0.0.0"
#define DEFAULT_PORT 4222
#define SIZE_MAX_BYTES (1ULL << 40)
#define MEMORY_MIN (16ULL << 20)
#define UNIX_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

/* Where the help of a flag begins, in columns. */
enum { HELP_COLUMN = 38 };

enum kind {
    HEADING, /* stands between flags; help is what it says */
    TEXT,
    SECRET, /* a text that is wiped from argv */
    BOOLEAN,
    DEBUG_AND_TRACE,
    LOG_TIME,
    COUNT,    /* from min to max */
    SIZE,     /* from min to max bytes */
    DURATION, /* at least min nanoseconds */
    PORT,
    FILE_MODE,
    HOST_AND_PORT,
    SLOW_POLICY,
    HELP,
    VERSION,
};

struct flag {
    const char *names; /* without dashes, separated by spaces */
    enum kind kind;
    size_t offset; /* in struct pp_options */
    uint64_t min, max;
    const char *value; /* what --help calls the value */
    const char *help;  /* further lines after '\n' */
};

#define AT(field) offsetof(struct pp_options, field)

static const struct flag flags[] = {
    {.kind = HEADING, .help = "Server options"},
    {"a addr net", TEXT, AT(host), 0, 0, "HOST",
     "Listen on this address (default\n" DEFAULT_HOST "; :: is IPv6 and IPv4)"},
    {"p port", PORT, AT(port), 0, 0, "PORT",
     "Listen on this port; -1 for any free\n(default 4222)"},
    {"unix", TEXT, AT(unix_path), 0, 0, "PATH", "Listen on this Unix socket too"},
    {"unix_mode", FILE_MODE, AT(unix_mode), 0, 0777, "MODE",
     "File mode of that socket\n(default 0700)"},
    {"n name server_name", TEXT, AT(server_name), 0, 0, "NAME",
     "Server name (default: the server id)"},
    {"threads", COUNT, AT(threads), 0, 256, "N",
     "Event loops, one thread each\n(default 0: chosen)"},
    {"client_advertise", HOST_AND_PORT, AT(client_advertise_host), 0, 0, "HOST[:PORT]",
     "Address that clients are told"},
    {"proxy_protocol", BOOLEAN, AT(proxy_protocol), 0, 0, NULL,
     "Take PROXY headers from clients"},
    {"P pid", TEXT, AT(pid_file), 0, 0, "FILE", "Write the process id to this file"},
    {"ports_file_dir", TEXT, AT(ports_file_dir), 0, 0, "DIR",
     "Write pipit-server_<pid>.ports there"},

    {.kind = HEADING, .help = "Logging options"},
    {"l log", TEXT, AT(log_file), 0, 0, "FILE", "Log to this file (default: stderr)"},
    {"T logtime", LOG_TIME, 0, 0, 0, NULL, "Log with the time (always so)"},
    {"D debug", BOOLEAN, AT(debug), 0, 0, NULL, "Log what helps to debug"},
    {"V trace VV", BOOLEAN, AT(trace), 0, 0, NULL, "Log each protocol line"},
    {"DV DVV", DEBUG_AND_TRACE, 0, 0, 0, NULL, "Both"},

    {.kind = HEADING, .help = "Authorization options"},
    {"user", TEXT, AT(user), 0, 0, "USER", "User that clients must present"},
    {"pass", SECRET, AT(pass), 0, 0, "PASSWORD", "Password of that user"},
    {"auth", SECRET, AT(auth_token), 0, 0, "TOKEN", "Token that clients must present"},
    {"auth_timeout", DURATION, AT(auth_timeout_ns), 1, 0, "TIME",
     "How long they may take (default 2s)"},

    {.kind = HEADING, .help = "Limits"},
    {"max_connections", COUNT, AT(max_connections), 0, INT32_MAX, "N",
     "Clients at a time (default 65536;\n0: nobody)"},
    {"max_payload", SIZE, AT(max_payload_bytes), 1, INT32_MAX, "SIZE",
     "Largest message (default 1MB)"},
    {"max_control_line", SIZE, AT(max_control_line_bytes), 1, INT32_MAX, "SIZE",
     "Longest protocol line (default 4096)"},
    {"max_pending", SIZE, AT(max_pending_bytes), 1, SIZE_MAX_BYTES, "SIZE",
     "Bytes that may wait for one client\n(default 64MB)"},
    {"max_memory", SIZE, AT(max_memory_bytes), 0, SIZE_MAX_BYTES, "SIZE",
     "Memory of the whole process, at least\n16MB (default 0: what the container\nallows, less a "
     "margin; else no limit)"},
    {"max_subscriptions", COUNT, AT(max_subscriptions), 0, INT32_MAX, "N",
     "Subscriptions of one client\n(default 0: no limit)"},
    {"max_subscription_tokens", COUNT, AT(max_subscription_tokens), 0, 255, "N",
     "Tokens of a subscribed subject\n(default 0: no limit)"},

    {.kind = HEADING, .help = "Behaviour"},
    {"write_deadline", DURATION, AT(write_deadline_ns), 1, 0, "TIME",
     "How long a client may take nothing\n(default 10s)"},
    {"slow_consumer", SLOW_POLICY, AT(slow_consumer), 0, 0, "POLICY",
     "What a client gets that does not keep\nup: disconnect (default), or it misses\nmessages: "
     "drop_new, drop_old, conflate"},
    {"ping_interval", DURATION, AT(ping_interval_ns), 1, 0, "TIME",
     "Time between pings (default 2m)"},
    {"ping_max", COUNT, AT(ping_max), 1, INT32_MAX, "N",
     "Pings that may go unanswered\n(default 2)"},
    {"lame_duck_duration", DURATION, AT(lame_duck_duration_ns), 1, 0, "TIME",
     "How long leaving may take\n(default 2m)"},
    {"lame_duck_grace_period", DURATION, AT(lame_duck_grace_period_ns), 0, 0, "TIME",
     "Time before clients are closed\n(default 10s)"},
    {"no_header_support", BOOLEAN, AT(no_header_support), 0, 0, NULL, "No message headers"},
    {"no_fast_producer_stall", BOOLEAN, AT(no_fast_producer_stall), 0, 0, NULL,
     "Drop rather than slow publishers down"},

    {.kind = HEADING, .help = "Common options"},
    {"h help", HELP, 0, 0, 0, NULL, "Show this text"},
    {"v version", VERSION, 0, 0, 0, NULL, "Show the version"},
};

static const struct missing {
    const char *names;
    const char *feature;
} missing[] = {
    {"c config t", "configuration files"},
    {"js jetstream sd store_dir", "JetStream"},
    {"m http_port ms https_port", "HTTP monitoring"},
    {"tls tlscert tlskey tlsverify tlscacert help_tls", "TLS"},
    {"routes cluster cluster_listen cluster_name cluster_advertise no_advertise connect_retries",
     "clustering"},
    {"sl signal", "sending signals by flag"},
    {"s syslog r remote_syslog", "logging to syslog"},
    {"logtime_utc", "log times in UTC"},
    {"log_size_limit", "log rotation"},
    {"max_traced_msg_len", "shortened traces"},
    {"profile", "profiling over HTTP"},
};

struct parser {
    struct pp_options *options;
    pp_buf *message;
    char **argv;
    int argc;
    int next;     /* argument to look at */
    pp_str typed; /* the flag at hand, with its dashes and without its value */
};

static void free_secret(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    pp_free(text);
}

pipit_err pp_options_init(struct pp_options *options)
{
    char *host = pp_memdupz(DEFAULT_HOST, strlen(DEFAULT_HOST));

    if (!host)
        return PIPIT_ENOMEM;
    *options = (struct pp_options){
        .host = host,
        .port = DEFAULT_PORT,
        .unix_mode = 0700,
        .auth_timeout_ns = 2 * PP_NS_PER_S,
        .max_connections = 65536,
        .max_payload_bytes = 1 << 20,
        .max_control_line_bytes = 4096,
        .max_pending_bytes = 64 << 20,
        .write_deadline_ns = 10 * PP_NS_PER_S,
        .ping_interval_ns = 120 * PP_NS_PER_S,
        .ping_max = 2,
        .lame_duck_duration_ns = 120 * PP_NS_PER_S,
        .lame_duck_grace_period_ns = 10 * PP_NS_PER_S,
    };
    return PIPIT_OK;
}

void pp_options_forget_secrets(struct pp_options *options)
{
    free_secret(options->pass);
    free_secret(options->auth_token);
    options->pass = options->auth_token = NULL;
}

void pp_options_fini(struct pp_options *options)
{
    pp_free(options->host);
    pp_free(options->server_name);
    pp_free(options->client_advertise_host);
    pp_free(options->unix_path);
    pp_free(options->pid_file);
    pp_free(options->ports_file_dir);
    pp_free(options->log_file);
    pp_free(options->user);
    free_secret(options->pass);
    free_secret(options->auth_token);
    *options = (struct pp_options){0};
}

/* Write one line that says what is wrong. */
__attribute__((format(printf, 2, 3))) static pipit_err refuse(struct parser *parser,
                                                              const char *format, ...)
{
    char text[512];
    va_list args;
    pipit_err err;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* cut, if somebody typed a novel */
    va_end(args);
    err = pp_buf_addf(parser->message, "pipit-server: %s\n", text);
    return err ? err : PIPIT_EINVAL;
}

static pipit_err refuse_value(struct parser *parser, const char *value, const char *wanted)
{
    return refuse(parser, "%.*s cannot be \"%.100s\": give %s", PP_STR_ARGS(parser->typed), value,
                  wanted);
}

static pipit_err set_text(char **text, pp_str value)
{
    char *copy = NULL;

    if (value.len) { /* an empty text stands for none */
        copy = pp_memdupz(value.ptr, value.len);
        if (!copy)
            return PIPIT_ENOMEM;
    }
    pp_free(*text);
    *text = copy;
    return PIPIT_OK;
}

/* Source: the words that Go's flag package takes. */
static bool parse_bool(const char *text, bool *out)
{
    static const char *const words[] = {"0", "f", "F", "false", "FALSE", "False",
                                        "1", "t", "T", "true",  "TRUE",  "True"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i >= 6;
            return true;
        }
    }
    return false;
}

static pipit_err apply_bool(struct parser *parser, const struct flag *flag, const char *value,
                            void *field)
{
    bool on = true;

    if (value && !parse_bool(value, &on))
        return refuse_value(parser, value, "true or false, or leave the value out");
    if (flag->kind == DEBUG_AND_TRACE)
        parser->options->debug = parser->options->trace = on;
    else if (flag->kind == BOOLEAN)
        *(bool *)field = on;
    else if (flag->kind == LOG_TIME && !on)
        return refuse(parser, "%.*s cannot be false: log lines always carry the time; leave it out",
                      PP_STR_ARGS(parser->typed));
    else if (flag->kind == HELP && on)
        parser->options->action = PP_OPTIONS_HELP;
    else if (flag->kind == VERSION && on)
        parser->options->action = PP_OPTIONS_VERSION;
    return PIPIT_OK;
}

static pipit_err apply_secret(char *value, char **text)
{
    pipit_err err;

    free_secret(*text);
    *text = NULL;
    err = set_text(text, pp_str_of(value));
    explicit_bzero(value, strlen(value));
    return err;
}

static pipit_err apply_count(struct parser *parser, const struct flag *flag, const char *value,
                             uint32_t *out)
{
    char wanted[80];
    uint64_t count;

    if (pp_str_parse_u64(pp_str_of(value), flag->max, &count) && count >= flag->min) {
        *out = (uint32_t)count;
        return PIPIT_OK;
    }
    (void)snprintf(wanted, sizeof(wanted), "a number from %" PRIu64 " to %" PRIu64, flag->min,
                   flag->max);
    return refuse_value(parser, value, wanted);
}

static pipit_err apply_size(struct parser *parser, const struct flag *flag, const char *value,
                            uint64_t *out)
{
    char wanted[100];
    uint64_t bytes;

    if (pp_str_parse_size(pp_str_of(value), flag->max, &bytes) && bytes >= flag->min) {
        *out = bytes;
        return PIPIT_OK;
    }
    (void)snprintf(wanted, sizeof(wanted),
                   "a size from %" PRIu64 " to %" PRIu64 " bytes, such as 65536, 64KB or 2MB",
                   flag->min, flag->max);
    return refuse_value(parser, value, wanted);
}

static pipit_err apply_duration(struct parser *parser, const struct flag *flag, const char *value,
                                int64_t *out)
{
    int64_t ns;

    if (pp_str_parse_duration(pp_str_of(value), &ns) && ns >= (int64_t)flag->min) {
        *out = ns;
        return PIPIT_OK;
    }
    return refuse_value(parser, value,
                        flag->min ? "a time above zero, such as 500ms, 2s or 1m30s"
                                  : "a time, such as 500ms, 2s or 1m30s");
}

static pipit_err apply_port(struct parser *parser, const char *value, int32_t *out)
{
    uint64_t port;

    if (strcmp(value, "-1") == 0) {
        *out = -1;
        return PIPIT_OK;
    }
    if (!pp_str_parse_u64(pp_str_of(value), UINT16_MAX, &port))
        return refuse_value(parser, value, "a port from 1 to 65535, or -1 for any that is free");
    *out = port ? (int32_t)port : DEFAULT_PORT; /* 0 is the default in nats-server, too */
    return PIPIT_OK;
}

static pipit_err apply_file_mode(struct parser *parser, const struct flag *flag, const char *value,
                                 uint32_t *out)
{
    uint32_t mode = 0;
    const char *at = value;

    while (*at >= '0' && *at <= '7' && mode <= flag->max)
        mode = mode * 8 + (uint32_t)(*at++ - '0');
    if (at == value || *at || mode > flag->max)
        return refuse_value(parser, value, "an octal file mode up to 0777, such as 0660");
    *out = mode;
    return PIPIT_OK;
}

/* Split "host", "host:port", "[v6]" or "[v6]:port". */
static bool split_host_port(pp_str text, pp_str *out_host, pp_str *out_port)
{
    const char *colon = memchr(text.ptr, ':', text.len);
    const char *end = text.ptr + text.len;

    if (text.len && text.ptr[0] == '[') {
        const char *bracket = memchr(text.ptr, ']', text.len);

        if (!bracket || (bracket + 1 < end && bracket[1] != ':'))
            return false;
        *out_host = (pp_str){text.ptr + 1, (size_t)(bracket - text.ptr) - 1};
        colon = bracket + 1 < end ? bracket + 1 : NULL;
    } else {
        *out_host = (pp_str){text.ptr, (size_t)((colon ? colon : end) - text.ptr)};
    }
    *out_port = colon ? (pp_str){colon + 1, (size_t)(end - colon) - 1} : PP_STR("0");
    return out_host->len > 0;
}

static pipit_err apply_advertise(struct parser *parser, const char *value)
{
    pp_str host = {0}, port = {0};
    uint64_t number = 0;
    bool good = !*value || split_host_port(pp_str_of(value), &host, &port);

    if (port.ptr && !pp_str_eq(port, PP_STR("-1"))) /* as 0: the port listened on */
        good = good && pp_str_parse_u64(port, UINT16_MAX, &number);
    if (!good)
        return refuse_value(parser, value, "HOST or HOST:PORT, an IPv6 address in [brackets]");
    parser->options->client_advertise_port = (uint16_t)number;
    return set_text(&parser->options->client_advertise_host, host);
}

static pipit_err apply_slow_policy(struct parser *parser, const char *value, pp_slow_policy *out)
{
    if (pp_slow_policy_parse(pp_str_of(value), out))
        return PIPIT_OK;
    return refuse_value(parser, value, "disconnect, drop_new, drop_old or conflate");
}

static bool takes_value(enum kind kind)
{
    return kind != BOOLEAN && kind != DEBUG_AND_TRACE && kind != LOG_TIME && kind != HELP &&
           kind != VERSION;
}

/* value is NULL only for a boolean that was given none. */
static pipit_err apply(struct parser *parser, const struct flag *flag, char *value)
{
    void *field = (char *)parser->options + flag->offset;

    switch (flag->kind) {
    case TEXT:
        return set_text(field, pp_str_of(value));
    case SECRET:
        return apply_secret(value, field);
    case BOOLEAN:
    case DEBUG_AND_TRACE:
    case LOG_TIME:
    case HELP:
    case VERSION:
        return apply_bool(parser, flag, value, field);
    case COUNT:
        return apply_count(parser, flag, value, field);
    case SIZE:
        return apply_size(parser, flag, value, field);
    case DURATION:
        return apply_duration(parser, flag, value, field);
    case PORT:
        return apply_port(parser, value, field);
    case FILE_MODE:
        return apply_file_mode(parser, flag, value, field);
    case HOST_AND_PORT:
        return apply_advertise(parser, value);
    case SLOW_POLICY:
        return apply_slow_policy(parser, value, field);
    case HEADING:
        break;
    }
    pp_panic("a heading is no flag"); /* it has no name to be found by */
}

/* Take the next of some space-separated names; empty at the end. */
static pp_str take_name(const char **names)
{
    pp_str name = {*names, strcspn(*names, " ")};

    *names += name.len;
    *names += strspn(*names, " ");
    return name;
}

static bool is_among(pp_str wanted, const char *names)
{
    pp_str name;

    while (names && (name = take_name(&names)).len) {
        if (pp_str_eq(name, wanted))
            return true;
    }
    return false;
}

static pipit_err refuse_flag(struct parser *parser, pp_str name)
{
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        if (is_among(name, missing[i].names))
            return refuse(parser,
                          "%.*s is not served: this version has no %s yet; leave the flag out",
                          PP_STR_ARGS(parser->typed), missing[i].feature);
    }
    return refuse(parser, "there is no flag %.*s: see pipit-server --help for those there are",
                  PP_STR_ARGS(parser->typed));
}

static pipit_err parse_flag(struct parser *parser, char *arg)
{
    size_t dashes = arg[1] == '-' ? 2 : 1;
    char *equals = strchr(arg, '=');
    char *value = equals ? equals + 1 : NULL;
    pp_str name;

    parser->typed = (pp_str){arg, equals ? (size_t)(equals - arg) : strlen(arg)};
    name = (pp_str){arg + dashes, parser->typed.len - dashes};
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        const struct flag *flag = &flags[i];

        if (!is_among(name, flag->names))
            continue;
        if (!value && takes_value(flag->kind)) {
            if (parser->next == parser->argc)
                return refuse(parser, "%.*s needs a value: give %.*s %s",
                              PP_STR_ARGS(parser->typed), PP_STR_ARGS(parser->typed), flag->value);
            value = parser->argv[parser->next++];
        }
        return apply(parser, flag, value);
    }
    return refuse_flag(parser, name);
}

/* Flags end here, and what else stands on the line is not looked at: so does nats-server. */
static pipit_err parse_command(struct parser *parser, const char *word)
{
    parser->next = parser->argc;
    if (pp_str_eq_nocase(pp_str_of(word), PP_STR("help")))
        parser->options->action = PP_OPTIONS_HELP;
    else if (pp_str_eq_nocase(pp_str_of(word), PP_STR("version")))
        parser->options->action = PP_OPTIONS_VERSION;
    else
        /* It is not repeated: it may be a secret that lost its flag. */
        return refuse(parser, "there is a word that belongs to no flag: flags begin with a dash, "
                              "see pipit-server --help");
    return PIPIT_OK;
}

static pipit_err parse_arguments(struct parser *parser)
{
    pipit_err err = PIPIT_OK;

    while (!err && parser->next < parser->argc && parser->options->action == PP_OPTIONS_RUN) {
        char *arg = parser->argv[parser->next++];
        bool flags_end = strcmp(arg, "--") == 0;

        if (flags_end && parser->next == parser->argc)
            break;
        if (flags_end)
            err = parse_command(parser, parser->argv[parser->next]);
        else if (arg[0] != '-' || !arg[1])
            err = parse_command(parser, arg);
        else
            err = parse_flag(parser, arg);
    }
    if (!err && !parser->options->host) /* -a "" */
        err = set_text(&parser->options->host, PP_STR(DEFAULT_HOST));
    return err;
}

static pipit_err check_credentials(struct parser *parser)
{
    const struct pp_options *o = parser->options;

    if (o->pass && !o->user)
        return refuse(parser, "--pass without --user protects nothing: give both");
    if (pp_credentials_is_bcrypt(pp_str_of(o->pass)))
        return refuse(parser, "--pass is a bcrypt hash, which this version cannot check yet: give "
                              "the password itself");
    if (pp_credentials_is_bcrypt(pp_str_of(o->auth_token)))
        return refuse(parser, "--auth is a bcrypt hash, which this version cannot check yet: give "
                              "the token itself");
    return PIPIT_OK;
}

/* What only shows when all flags are known. */
static pipit_err check(struct parser *parser)
{
    const struct pp_options *o = parser->options;

    if (o->max_payload_bytes > o->max_pending_bytes)
        return refuse(parser,
                      "--max_payload (%" PRIu64 " bytes) is above --max_pending (%" PRIu64
                      " bytes): lower the first or raise the second",
                      o->max_payload_bytes, o->max_pending_bytes);
    if (o->max_memory_bytes && o->max_memory_bytes < MEMORY_MIN)
        return refuse(parser,
                      "--max_memory (%" PRIu64 " bytes) is too little to work with: give 16MB or "
                      "more, or 0 for what the container allows",
                      o->max_memory_bytes);
    if (o->max_memory_bytes && o->max_payload_bytes > o->max_memory_bytes / 4)
        return refuse(parser,
                      "--max_payload (%" PRIu64
                      " bytes) is above a quarter of --max_memory (%" PRIu64
                      " bytes): lower the first or raise the second",
                      o->max_payload_bytes, o->max_memory_bytes);
    if (o->lame_duck_grace_period_ns >= o->lame_duck_duration_ns)
        return refuse(parser,
                      "--lame_duck_grace_period (%g s) is not below --lame_duck_duration (%g s): "
                      "lower the first or raise the second",
                      (double)o->lame_duck_grace_period_ns / PP_NS_PER_S,
                      (double)o->lame_duck_duration_ns / PP_NS_PER_S);
    if (o->server_name && strchr(o->server_name, ' '))
        return refuse(parser, "--name cannot hold spaces: take \"%.100s\" without them",
                      o->server_name);
    if (o->unix_path && strlen(o->unix_path) > UNIX_PATH_MAX)
        return refuse(parser, "--unix names a path of %zu bytes, but sockets take %zu: give a "
                              "shorter one",
                      strlen(o->unix_path), UNIX_PATH_MAX);
    return check_credentials(parser);
}

/* Write "  -a, --addr HOST" and answer how wide it is. */
static pipit_err add_names(pp_buf *message, const struct flag *flag, size_t *out_width)
{
    const char *names = flag->names;
    size_t start = message->len;
    const char *before = strcspn(names, " ") == 1 ? "  " : "      "; /* long names line up */
    pipit_err err = PIPIT_OK;

    for (pp_str name = take_name(&names); name.len && !err; name = take_name(&names)) {
        const char *dashes = name.len > 1 && name.ptr[0] >= 'a' ? "--" : "-"; /* -DV, -VV */

        err = pp_buf_addf(message, "%s%s%.*s", before, dashes, PP_STR_ARGS(name));
        before = ", ";
    }
    if (!err && flag->value)
        err = pp_buf_addf(message, " %s", flag->value);
    *out_width = message->len - start;
    return err;
}

static pipit_err add_flag_help(pp_buf *message, const struct flag *flag)
{
    const char *text = flag->help;
    size_t width;
    pipit_err err = add_names(message, flag, &width);

    if (!err && width + 2 > HELP_COLUMN) {
        err = pp_buf_add(message, "\n", 1);
        width = 0;
    }
    while (!err && *text) {
        size_t len = strcspn(text, "\n");

        err = pp_buf_addf(message, "%*s%.*s\n", (int)(HELP_COLUMN - width), "", (int)len, text);
        text += len + (text[len] == '\n');
        width = 0;
    }
    return err;
}

static pipit_err add_help(pp_buf *message)
{
    pipit_err err = pp_buf_addf(
        message, "Usage: pipit-server [options]\n\n"
                 "A message broker for NATS clients. Times are written as 500ms, 2s or 1m30s,\n"
                 "sizes as 65536, 64KB or 2MB, flags as --flag VALUE or --flag=VALUE.\n");

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && !err; i++) {
        if (flags[i].kind == HEADING)
            err = pp_buf_addf(message, "\n%s:\n", flags[i].help);
        else
            err = add_flag_help(message, &flags[i]);
    }
    return err;
}

static pipit_err finish(struct parser *parser)
{
    switch (parser->options->action) {
    case PP_OPTIONS_RUN:
        return check(parser);
    case PP_OPTIONS_HELP:
        return add_help(parser->message);
    case PP_OPTIONS_VERSION:
        return pp_buf_addf(parser->message, "pipit-server: v%s (follows nats-server %s)\n",
                           PIPIT_VERSION, PP_NATS_VERSION);
    }
    pp_panic("options action %d", (int)parser->options->action);
}

pipit_err pp_options_parse(struct pp_options *options, int argc, char **argv, pp_buf *message)
{
    struct pp_options fresh;
    struct parser parser = {
        .options = &fresh, .message = message, .argv = argv, .argc = argc, .next = 1};
    pipit_err err = pp_options_init(&fresh);

    if (err)
        return err;
    err = parse_arguments(&parser);
    if (!err)
        err = finish(&parser);
    if (err)
        pp_options_fini(&fresh);
    else
        *options = fresh;
    return err;
}
