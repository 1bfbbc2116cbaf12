/* Go's flag package is followed where a command line could tell the difference: one dash or two,
 * values after a blank or '=', switches with '=' only, integers with prefixes. */
#include "server/flag.h"

#include "base/assert.h"
#include "config/address.h"
#include "config/duration.h"
#include "config/t2.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    pp_options *options;
    pp_buf *message;
    char **argv;
    int argc;
    int next;     /* argument to look at */
    pp_str typed; /* the flag at hand, with its dashes and without its value */
    bool wipe;
    bool user_given, token_given;
    bool tls_given;
    bool t2_given;
};

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

/* An empty text stands for none. */
static pipit_err set_text(struct parser *parser, const char **text, pp_str value)
{
    pp_str copy = {0};

    if (value.len) {
        pipit_err err = pp_arena_copy(&parser->options->arena, value, &copy);

        if (err)
            return err;
    }
    *text = copy.ptr;
    return PIPIT_OK;
}

/* --- values ------------------------------------------------------------------------------- */

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

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 16;
}

/* Digits, or 0x, 0o, 0b or 0 and digits of that base; underscores between digits of those.
 * Source: Go's strconv.ParseInt with base 0. */
static bool parse_integer(const char *text, uint64_t max, uint64_t *out)
{
    unsigned base = 10;
    uint64_t value = 0;
    bool any = false;

    if (text[0] == '0' && text[1]) {
        base = text[1] == 'x' || text[1] == 'X' ? 16 : text[1] == 'b' || text[1] == 'B' ? 2 : 8;
        any = base == 8 && text[1] != 'o' && text[1] != 'O'; /* the zero is a digit, too */
        text += any ? 1 : 2;
    }
    for (; *text; text++) {
        unsigned digit = (unsigned)digit_value(*text);

        if (*text == '_' && base != 10 && text[1] && text[1] != '_')
            continue;
        if (digit >= base || value > (UINT64_MAX - digit) / base)
            return false;
        value = value * base + digit;
        any = true;
    }
    *out = value;
    return any && value <= max;
}

static pipit_err apply_switch(struct parser *parser, const pp_flag *flag, const char *value)
{
    pp_options *o = parser->options;
    bool on = true;

    if (value && !parse_bool(value, &on))
        return refuse_value(parser, value, "true or false, or leave the value out");
    if (flag->kind == PP_FLAG_SWITCH) {
        *(bool *)((char *)o + flag->offset) = on;
    } else if (flag->kind == PP_FLAG_ACTION) {
        if (on)
            o->action = (enum pp_options_action)flag->min;
    } else {
        o->debug = flag->min & PP_FLAG_SETS_DEBUG ? on : o->debug;
        o->trace = flag->min & PP_FLAG_SETS_TRACE ? on : o->trace;
        o->trace_verbose = flag->min & PP_FLAG_SETS_VERBOSE ? on : o->trace_verbose;
    }
    return PIPIT_OK;
}

static pipit_err apply_reference(struct parser *parser, const char *value)
{
    if (value && strcmp(value, "markdown") != 0)
        return refuse_value(parser, value, "=markdown or nothing");
    parser->options->action = value ? PP_OPTIONS_REFERENCE_MARKDOWN : PP_OPTIONS_REFERENCE;
    return PIPIT_OK;
}

static pipit_err apply_secret(struct parser *parser, char *value, const char **text)
{
    pipit_err err = set_text(parser, text, pp_str_of(value));

    if (parser->wipe)
        explicit_bzero(value, strlen(value));
    return err;
}

static pipit_err apply_count(struct parser *parser, const pp_flag *flag, const char *value,
                             uint32_t *out)
{
    char wanted[80];
    uint64_t count;

    if (parse_integer(value, flag->max, &count) && count >= flag->min) {
        *out = (uint32_t)count;
        return PIPIT_OK;
    }
    (void)snprintf(wanted, sizeof(wanted), "a number from %" PRIu64 " to %" PRIu64, flag->min,
                   flag->max);
    return refuse_value(parser, value, wanted);
}

static pipit_err apply_size(struct parser *parser, const pp_flag *flag, const char *value,
                            uint64_t *out)
{
    char wanted[128];
    uint64_t bytes;

    if (flag->kind == PP_FLAG_MEMORY && strcmp(value, "none") == 0) {
        *out = PP_OPTION_NO_LIMIT;
        return PIPIT_OK;
    }
    if ((parse_integer(value, flag->max, &bytes) ||
         pp_str_parse_size(pp_str_of(value), flag->max, &bytes)) &&
        bytes >= flag->min) {
        *out = bytes;
        return PIPIT_OK;
    }
    (void)snprintf(wanted, sizeof(wanted),
                   "a size from %" PRIu64 " to %" PRIu64 " bytes, such as 65536, 64KB or 2MB%s",
                   flag->min, flag->max, flag->kind == PP_FLAG_MEMORY ? ", or none" : "");
    return refuse_value(parser, value, wanted);
}

static pipit_err apply_duration(struct parser *parser, const pp_flag *flag, const char *value,
                                int64_t *out)
{
    int64_t ns;

    if (pp_duration_parse(pp_str_of(value), &ns) && ns >= (int64_t)flag->min) {
        *out = ns;
        return PIPIT_OK;
    }
    return refuse_value(parser, value,
                        flag->min ? "a time above zero, such as 500ms, 2s or 1m30s"
                                  : "a time, such as 500ms, 2s or 1m30s");
}

static pipit_err apply_port(struct parser *parser, const pp_flag *flag, const char *value,
                            int32_t *out)
{
    uint64_t port;

    if (strcmp(value, "-1") == 0) {
        *out = -1;
        return PIPIT_OK;
    }
    if (!parse_integer(value, UINT16_MAX, &port))
        return refuse_value(parser, value, "a port from 1 to 65535, or -1 for any that is free");
    *out = (int32_t)(port ? port : flag->min);
    return PIPIT_OK;
}

static pipit_err apply_file_mode(struct parser *parser, const pp_flag *flag, const char *value,
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

static pipit_err apply_word(struct parser *parser, const pp_flag *flag, const char *value,
                            void *field)
{
    char wanted[100];
    const char *words = flag->words;

    for (int place = 0; *words; place++) {
        size_t len = strcspn(words, " ");

        if (strlen(value) == len && memcmp(words, value, len) == 0) {
            memcpy(field, &place, sizeof(place)); /* an enum */
            return PIPIT_OK;
        }
        words += len + (words[len] == ' ');
    }
    (void)snprintf(wanted, sizeof(wanted), "one of: %s", flag->words);
    return refuse_value(parser, value, wanted);
}

static pipit_err apply_advertise(struct parser *parser, const char *value)
{
    pp_str host = {0}, port = {0};
    int32_t number = 0;
    bool good = !*value || (pp_address_split(pp_str_of(value), &host, &port) && host.len);

    if (good && port.ptr)
        good = pp_port_parse(port, &number);
    if (!good)
        return refuse_value(parser, value, "HOST or HOST:PORT, an IPv6 address in [brackets]");
    /* 0 and -1: the port that is listened on */
    parser->options->client_advertise_port = number > 0 ? (uint16_t)number : 0;
    return set_text(parser, &parser->options->client_advertise_host, host);
}

/* Like a switch, but that it may also say where: HOST:PORT, or one of them. */
static pipit_err apply_door(struct parser *parser, const pp_flag *flag, const char *value,
                            int32_t *field)
{
    pp_options *o = parser->options;
    const char **host_field = field == &o->fanout.port ? &o->fanout.host : &o->message_broker.host;
    pp_str host = {0}, port = {0};
    int32_t initial = (int32_t)flag->min, number = initial;
    bool on = true;

    if (!value || parse_bool(value, &on)) {
        *field = !on ? 0 : *field ? *field : initial;
        return PIPIT_OK;
    }
    if (strspn(value, "-0123456789") == strlen(value))
        port = pp_str_of(value);
    else if (!pp_address_split(pp_str_of(value), &host, &port))
        return refuse_value(parser, value, "HOST:PORT, an IPv6 address in [brackets]");
    if (port.ptr && !pp_port_parse(port, &number))
        return refuse_value(parser, value, "HOST:PORT, a port from 1 to 65535, or -1 for any free");
    *field = number ? number : initial;
    return host.len ? set_text(parser, host_field, host) : PIPIT_OK;
}

/* Texts of which an empty one stands for the default, and those that exclude others. */
static pipit_err apply_text(struct parser *parser, const pp_flag *flag, const char *value)
{
    pp_options *o = parser->options;
    const char **field = (void *)((char *)o + flag->offset);
    pipit_err err = set_text(parser, field, pp_str_of(value));

    if (err)
        return err;
    if (field == &o->host) {
        o->host_given = o->host != NULL;
        o->host = o->host ? o->host : PP_DEFAULT_HOST;
    } else if (field == &o->http_base_path) {
        if (value[0] != '/' && value[0])
            return refuse_value(parser, value, "a path that begins with /");
        o->http_base_path = o->http_base_path ? o->http_base_path : "/";
    }
    return PIPIT_OK;
}

/* Addresses of the command line stand instead of those of the file. */
static pipit_err apply_t2_address(struct parser *parser, const char *value)
{
    pp_t2_options *o = &parser->options->t2;
    size_t count = parser->t2_given ? o->listen_count : 0;
    pp_t2_listen_option *listens;
    void *room;
    pipit_err err;

    if (count == PP_T2_LISTENS_MAX)
        return refuse_value(parser, value, "fewer of these");
    err = pp_arena_take(&parser->options->arena, (count + 1) * sizeof(*listens), &room);
    if (err)
        return err;
    listens = room;
    if (count)
        memcpy(listens, o->listens, count * sizeof(*listens));
    if (!pp_t2_listen_parse(&parser->options->arena, pp_str_of(value), &listens[count], &err))
        return err ? err : refuse_value(parser, value, "tcp:HOST:PORT, unix:PATH or tls:HOST:PORT");
    o->listens = listens;
    o->listen_count = count + 1;
    parser->t2_given = true;
    return PIPIT_OK;
}

/* Any flag of TLS but --tls=false asks for it; a certificate replaces those of the file. */
static void note_tls(struct parser *parser, const pp_flag *flag, const char *value)
{
    pp_options *o = parser->options;
    bool on = true;

    if (flag->offset < offsetof(pp_options, tls) ||
        flag->offset >= offsetof(pp_options, tls) + sizeof(o->tls))
        return;
    if (flag->offset == offsetof(pp_options, tls.given)) {
        parser->tls_given = !value || (parse_bool(value, &on) && on);
        return;
    }
    parser->tls_given = true;
    if (flag->kind == PP_FLAG_TEXT && flag->offset != offsetof(pp_options, tls.ca_file))
        o->tls.pair_count = 0;
}

/* value is NULL only for a switch that was given none. */
static pipit_err apply(struct parser *parser, const pp_flag *flag, char *value)
{
    void *field = (char *)parser->options + flag->offset;

    parser->user_given |= field == &parser->options->user;
    parser->token_given |= field == &parser->options->auth_token;
    note_tls(parser, flag, value);
    switch (flag->kind) {
    case PP_FLAG_TEXT:
        return apply_text(parser, flag, value);
    case PP_FLAG_URL:
        if (!strchr(value, '@'))
            return apply_text(parser, flag, value);
        return apply_secret(parser, value, field);
    case PP_FLAG_SECRET:
        return apply_secret(parser, value, field);
    case PP_FLAG_SWITCH:
    case PP_FLAG_TRACES:
    case PP_FLAG_ACTION:
        return apply_switch(parser, flag, value);
    case PP_FLAG_T2_ADDRESS:
        return apply_t2_address(parser, value);
    case PP_FLAG_COUNT:
        return apply_count(parser, flag, value, field);
    case PP_FLAG_SIZE:
    case PP_FLAG_MEMORY:
        return apply_size(parser, flag, value, field);
    case PP_FLAG_DURATION:
        return apply_duration(parser, flag, value, field);
    case PP_FLAG_PORT:
        return apply_port(parser, flag, value, field);
    case PP_FLAG_FILE_MODE:
        return apply_file_mode(parser, flag, value, field);
    case PP_FLAG_HOST_AND_PORT:
        return apply_advertise(parser, value);
    case PP_FLAG_WORD:
        return apply_word(parser, flag, value, field);
    case PP_FLAG_REFERENCE:
        return apply_reference(parser, value);
    case PP_FLAG_DOOR:
        return apply_door(parser, flag, value, field);
    case PP_FLAG_HEADING:
        break;
    }
    pp_panic("a heading is no flag"); /* it has no name to be found by */
}

/* --- the line ----------------------------------------------------------------------------- */

static bool is_among(pp_str wanted, const char *names)
{
    while (names && *names) {
        pp_str name = {names, strcspn(names, " ")};

        if (pp_str_eq(name, wanted))
            return true;
        names += name.len + (names[name.len] == ' ');
    }
    return false;
}

/* A flag of a feature that is not here does no harm if it asks for nothing. */
static bool asks_for_nothing(const pp_missing_flag *flag, const char *value)
{
    bool on = true;

    if (flag->is_switch)
        return value && parse_bool(value, &on) && !on;
    return value && (!*value || strcmp(value, "0") == 0);
}

/* How much of an unknown flag may be shown: behind the name of a secret one the secret itself may
 * stand, as in "-passSECRET". */
static size_t shown_bytes(const struct parser *parser, pp_str name)
{
    size_t dashes = parser->typed.len - name.len;

    for (size_t i = 0; i < pp_flag_count; i++) {
        pp_str secret = pp_str_of(pp_flags[i].names);

        if (pp_flags[i].kind == PP_FLAG_SECRET && pp_str_starts(name, secret) &&
            name.ptr[secret.len] != '_')
            return dashes + secret.len;
    }
    return parser->typed.len;
}

static pipit_err refuse_flag(struct parser *parser, pp_str name, const char *value)
{
    size_t shown;

    for (size_t i = 0; i < pp_missing_flag_count; i++) {
        const pp_missing_flag *flag = &pp_missing_flags[i];

        if (!is_among(name, flag->names))
            continue;
        if (!value && !flag->is_switch && parser->next < parser->argc)
            value = parser->argv[parser->next++];
        if (asks_for_nothing(flag, value))
            return PIPIT_OK;
        return refuse(parser, "%.*s is not served: this version has no %s yet; leave the flag out",
                      PP_STR_ARGS(parser->typed), flag->feature);
    }
    shown = shown_bytes(parser, name);
    return refuse(parser, "there is no flag %.*s%s: see pipit-server --help for those there are",
                  (int)shown, parser->typed.ptr, shown < parser->typed.len ? "..." : "");
}

static bool takes_value(const pp_flag *flag)
{
    return flag->value != NULL;
}

static pipit_err parse_flag(struct parser *parser, char *arg)
{
    size_t dashes = arg[1] == '-' ? 2 : 1;
    char *equals = strchr(arg, '=');
    char *value = equals ? equals + 1 : NULL;
    pp_str name;

    parser->typed = (pp_str){arg, equals ? (size_t)(equals - arg) : strlen(arg)};
    name = (pp_str){arg + dashes, parser->typed.len - dashes};
    for (size_t i = 0; i < pp_flag_count; i++) {
        const pp_flag *flag = &pp_flags[i];

        if (!is_among(name, flag->names))
            continue;
        if (!value && takes_value(flag)) {
            if (parser->next == parser->argc)
                return refuse(parser, "%.*s needs a value: give %.*s %s",
                              PP_STR_ARGS(parser->typed), PP_STR_ARGS(parser->typed), flag->value);
            value = parser->argv[parser->next++];
        }
        return apply(parser, flag, value);
    }
    return refuse_flag(parser, name, value);
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

/* After these nothing matters any more. */
static bool is_final(enum pp_options_action action)
{
    return action != PP_OPTIONS_RUN && action != PP_OPTIONS_TEST;
}

static pipit_err parse_arguments(struct parser *parser)
{
    pipit_err err = PIPIT_OK;

    while (!err && parser->next < parser->argc && !is_final(parser->options->action)) {
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
    return err;
}

pipit_err pp_flags_apply(pp_options *options, int argc, char **argv, bool wipe, pp_buf *message)
{
    struct parser parser = {.options = options,
                            .message = message,
                            .argv = argv,
                            .argc = argc,
                            .next = 1,
                            .wipe = wipe};
    pipit_err err = parse_arguments(&parser);

    options->tls.given |= parser.tls_given;
    /* One way of coming in that a flag names replaces the other one, which the file names. */
    if (parser.user_given && !parser.token_given)
        options->auth_token = NULL;
    if (parser.token_given && !parser.user_given)
        options->user = options->pass = NULL;
    return err;
}
