#include "cli/inquiry_http.h"

#include "cli/connection.h"
#include "cli/escape.h"
#include "cli/fetch.h"
#include "cli/json.h"
#include "cli/json_path.h"
#include "cli/memory.h"
#include "cli/say.h"
#include "cli/turn.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { URLS_MAX = 256, OK = 200 };

struct place {
    char *url; /* without a slash at its end */
    char *shown;
    json_t *server; /* what is known of it; NULL: not asked yet */
};

struct cli_inquiry_http {
    cli_fetch *fetch;
    struct place *places;
    size_t count;
};

/* --- places --------------------------------------------------------------------------------- */

static void add_place(cli_inquiry_http *http, const char *text, size_t len)
{
    struct place *place = &http->places[http->count++];
    char *copy = cli_copy(text, len);

    place->url = strstr(copy, "://") ? cli_format("%s", copy) : cli_format("http://%s", copy);
    free(copy);
    for (len = strlen(place->url); len && place->url[len - 1] == '/'; len--)
        place->url[len - 1] = '\0';
    place->shown = cli_url_shown(place->url);
}

int cli_inquiry_http_open(cli_inquiry_http **out_http, const char *urls, const cli_call *call)
{
    cli_inquiry_http *http = cli_alloc(sizeof(*http));
    int status = CLI_FAILED;

    http->places = cli_alloc(URLS_MAX * sizeof(*http->places));
    http->fetch = cli_fetch_new(call->globals->timeout_ns, call->globals->tls_ca);
    while (http->fetch && *urls && http->count < URLS_MAX) {
        size_t len = strcspn(urls, ",");

        if (len)
            add_place(http, urls, len);
        urls += len + (urls[len] == ',');
    }
    if (http->fetch && http->count && !*urls) {
        *out_http = http;
        return CLI_DONE;
    }
    if (http->fetch) /* else that has been said */
        status = cli_fail(CLI_USAGE, "--monitor takes from one to %d addresses", URLS_MAX);
    cli_inquiry_http_close(http);
    return status;
}

void cli_inquiry_http_close(cli_inquiry_http *http)
{
    for (size_t i = 0; i < http->count; i++) {
        free(http->places[i].url);
        free(http->places[i].shown);
        json_decref(http->places[i].server);
    }
    free(http->places);
    cli_fetch_free(http->fetch);
    free(http);
}

/* --- from options to parameters -------------------------------------------------------------- */

static const struct {
    const char *option, *parameter, *value; /* value NULL: its own */
} renamed[] = {
    {"subscriptions_detail", "subs", "detail"},
    {"subscriptions", "subs", "1"},
    {"account", "acc", NULL},
    {"include_unused", "unused", "1"},
};

static void add_parameter(char **url, const char *name, const char *value)
{
    static const char hex[] = "0123456789ABCDEF";
    char *safe = cli_alloc(3 * strlen(value) + 1), *to = safe, *longer;

    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;

        if (isalnum(c) || c == '-' || c == '.' || c == '_') {
            *to++ = (char)c;
        } else {
            *to++ = '%';
            *to++ = hex[c >> 4];
            *to++ = hex[c & 15];
        }
    }
    longer = cli_format("%s%c%s=%s", *url, strchr(*url, '?') ? '&' : '?', name, safe);
    free(safe);
    free(*url);
    *url = longer;
}

static void add_option(char **url, const char *name, const json_t *value)
{
    static const char *const states[] = {"open", "closed", "all"};
    char number[32];
    const char *text = json_string_value(value);

    (void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
    if (json_is_integer(value))
        text = number;
    if (json_is_true(value))
        text = "1";
    if (strcmp(name, "state") == 0 && json_integer_value(value) >= 0 &&
        json_integer_value(value) <= 2)
        text = states[json_integer_value(value)];
    for (size_t i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++) {
        if (strcmp(renamed[i].option, name) == 0) {
            if (text)
                add_parameter(url, renamed[i].parameter,
                              renamed[i].value ? renamed[i].value : text);
            return;
        }
    }
    if (text)
        add_parameter(url, name, text);
}

static char *make_url(const struct place *place, const char *page, const json_t *options)
{
    char *lower = cli_copy(page, strlen(page)), *url;
    const char *name;
    json_t *value;

    for (char *c = lower; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    url = cli_format("%s/%s", place->url, lower);
    free(lower);
    json_object_foreach((json_t *)(uintptr_t)options, name, value) add_option(&url, name, value);
    return url;
}

/* --- asking ---------------------------------------------------------------------------------- */

static int complain(const struct place *place, bool quiet, const char *why)
{
    return quiet ? CLI_NO_SERVER : cli_fail(CLI_NO_SERVER, "%s: %s", place->shown, why);
}

/* NULL: nothing that can be used has come, and unless quiet that has been said. */
static json_t *get(cli_inquiry_http *http, const struct place *place, const char *page,
                   const json_t *options, bool quiet)
{
    char *url = make_url(place, page, options), wrong[CLI_FETCH_WRONG_BYTES];
    size_t bytes;
    long status;
    const char *text = cli_fetch_get(http->fetch, url, &bytes, &status, wrong);
    json_t *data = NULL;
    char *shown;

    free(url);
    /* Health is an answer, too, when it is bad. */
    if (text && (status == OK || strcmp(page, "HEALTHZ") == 0))
        data = cli_json_read(text, bytes);
    if (data)
        return data;
    if (!text) {
        shown = cli_escape(wrong, strlen(wrong), 0);
    } else if (status == OK) {
        shown = cli_format("this is no monitoring port of a NATS server");
    } else {
        char *body = cli_escape(text, bytes, 200);

        shown = cli_format("status %ld: %s", status, body);
        free(body);
    }
    (void)complain(place, quiet, shown);
    free(shown);
    return NULL;
}

/* Name, id, host and version, which only /varz has. */
static void learn(cli_inquiry_http *http, struct place *place, const json_t *data, const char *page)
{
    static const char *const names[][2] = {
        {"name", "server_name"}, {"id", "server_id"}, {"host", "host"}, {"ver", "version"}};
    json_t *varz = NULL;

    if (place->server)
        return;
    if (strcmp(page, "VARZ") != 0)
        data = varz = get(http, place, "VARZ", NULL, true);
    place->server = cli_json_object();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const json_t *value = cli_json_at(data, names[i][1]);

        if (json_is_string(value))
            cli_json_set(place->server, names[i][0],
                         cli_json_text(json_string_value(value), json_string_length(value)));
    }
    if (*cli_json_text_at(data, "cluster.name", NULL))
        cli_json_set_text(place->server, "cluster", cli_json_text_at(data, "cluster.name", NULL));
    json_decref(varz);
}

static json_t *ask(cli_inquiry_http *http, const char *page, const json_t *options, bool quiet,
                   int *out_status)
{
    json_t *answers = cli_json_array();

    for (size_t i = 0; i < http->count; i++) {
        struct place *place = &http->places[i];
        int64_t start = cli_now_ns(), rtt_ns;
        json_t *data = get(http, place, page, options, quiet), *answer;

        if (!data)
            continue;
        rtt_ns = cli_now_ns() - start;
        learn(http, place, data, page);
        answer = cli_json_object();
        cli_json_set(answer, "server", json_incref(place->server));
        cli_json_set(answer, "data", data);
        cli_json_set(answer, "rtt_ns", json_integer(rtt_ns));
        cli_json_append(answers, answer);
    }
    *out_status = json_array_size(answers) ? CLI_DONE : CLI_NO_SERVER;
    if (!*out_status)
        return answers;
    json_decref(answers);
    return NULL;
}

json_t *cli_inquiry_http_ask(cli_inquiry_http *http, const char *page, const json_t *options,
                             int *out_status)
{
    return ask(http, page, options, false, out_status);
}

json_t *cli_inquiry_http_try(cli_inquiry_http *http, const char *page, const json_t *options)
{
    int status;

    return ask(http, page, options, true, &status);
}
