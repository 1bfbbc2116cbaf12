#include "server/system/question.h"

#include "base/alloc.h"
#include "server/server.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { NAMES_MAX = 128 * 1024 };

#define FOR(endpoint) (1u << PP_MONITOR_##endpoint)

typedef enum kind {
    FLAG,
    NUMBER,
    TEXT,
    NAMES,  /* an array of texts */
    LIST,   /* a flag: with subscriptions */
    DETAIL, /* a flag: with all about them */
    SORT,
    STATE,
} kind;

static const struct key {
    unsigned endpoints;
    const char *key;
    kind kind;
    size_t offset; /* in options */
} keys[] = {
    {FOR(CONNZ), "sort", SORT, 0},
    {FOR(CONNZ), "state", STATE, 0},
    {FOR(CONNZ), "auth", FLAG, offsetof(pp_monitor_options, auth)},
    {FOR(CONNZ), "cid", NUMBER, offsetof(pp_monitor_options, cid)},
    {FOR(CONNZ), "mqtt_client", TEXT, offsetof(pp_monitor_options, mqtt_client)},
    {FOR(CONNZ), "user", TEXT, offsetof(pp_monitor_options, user)},
    {FOR(CONNZ), "acc", TEXT, offsetof(pp_monitor_options, account)},
    {FOR(CONNZ), "filter_subject", TEXT, offsetof(pp_monitor_options, filter_subject)},
    {FOR(CONNZ) | FOR(SUBSZ) | FOR(ROUTEZ) | FOR(GATEWAYZ) | FOR(LEAFZ), "subscriptions", LIST, 0},
    {FOR(CONNZ) | FOR(ROUTEZ) | FOR(GATEWAYZ), "subscriptions_detail", DETAIL, 0},
    {FOR(CONNZ) | FOR(SUBSZ) | FOR(JSZ), "offset", NUMBER, offsetof(pp_monitor_options, offset)},
    {FOR(CONNZ) | FOR(SUBSZ) | FOR(JSZ), "limit", NUMBER, offsetof(pp_monitor_options, limit)},
    {FOR(SUBSZ) | FOR(LEAFZ) | FOR(ACCOUNTZ) | FOR(JSZ) | FOR(HEALTHZ) | FOR(RAFTZ), "account",
     TEXT, offsetof(pp_monitor_options, account)},
    {FOR(SUBSZ), "test", TEXT, offsetof(pp_monitor_options, test)},
    {FOR(GATEWAYZ), "name", TEXT, offsetof(pp_monitor_options, gateway)},
    {FOR(GATEWAYZ), "account_name", TEXT, offsetof(pp_monitor_options, account)},
    {FOR(GATEWAYZ) | FOR(JSZ), "accounts", FLAG, offsetof(pp_monitor_options, accounts)},
    {FOR(ACCSTATZ), "accounts", NAMES, 0},
    {FOR(ACCSTATZ), "include_unused", FLAG, offsetof(pp_monitor_options, unused)},
    {FOR(JSZ), "streams", FLAG, offsetof(pp_monitor_options, streams)},
    {FOR(JSZ), "consumer", FLAG, offsetof(pp_monitor_options, consumers)},
    {FOR(JSZ), "direct_consumer", FLAG, offsetof(pp_monitor_options, direct_consumers)},
    {FOR(JSZ), "config", FLAG, offsetof(pp_monitor_options, config)},
    {FOR(JSZ), "leader_only", FLAG, offsetof(pp_monitor_options, leader_only)},
    {FOR(JSZ), "raft", FLAG, offsetof(pp_monitor_options, raft)},
    {FOR(JSZ), "stream_leader_only", FLAG, offsetof(pp_monitor_options, stream_leader_only)},
    {FOR(HEALTHZ), "js-enabled", FLAG, offsetof(pp_monitor_options, js_enabled_only)},
    {FOR(HEALTHZ), "js-enabled-only", FLAG, offsetof(pp_monitor_options, js_enabled_only)},
    {FOR(HEALTHZ), "js-server-only", FLAG, offsetof(pp_monitor_options, js_server_only)},
    {FOR(HEALTHZ), "js-meta-only", FLAG, offsetof(pp_monitor_options, js_meta_only)},
    {FOR(HEALTHZ), "stream", TEXT, offsetof(pp_monitor_options, stream)},
    {FOR(HEALTHZ), "consumer", TEXT, offsetof(pp_monitor_options, consumer)},
    {FOR(HEALTHZ), "details", FLAG, offsetof(pp_monitor_options, details)},
    {FOR(RAFTZ), "group", TEXT, offsetof(pp_monitor_options, group)},
    {FOR(IPQUEUESZ), "all", FLAG, offsetof(pp_monitor_options, all)},
    {FOR(IPQUEUESZ), "filter", TEXT, offsetof(pp_monitor_options, queues)},
};

static const struct {
    const char *key;
    size_t offset; /* in the filter */
} filter_keys[] = {
    {"server_name", offsetof(pp_question_filter, server_name)},
    {"cluster", offsetof(pp_question_filter, cluster)},
    {"host", offsetof(pp_question_filter, host)},
    {"domain", offsetof(pp_question_filter, domain)},
};

static pipit_err refuse(pp_question *question, int code, const char *key, const char *must)
{
    question->code = code;
    question->understood = false;
    (void)snprintf(question->error, sizeof(question->error), "\"%s\" must be %s", key, must);
    return PIPIT_EINVAL;
}

static pp_str text_of(const json_t *value)
{
    return (pp_str){json_string_value(value), json_string_length(value)};
}

static pipit_err read_names(pp_question *question, const char *key, const json_t *value)
{
    pipit_err err = PIPIT_OK;
    const json_t *name;
    size_t i;

    if (!json_is_array(value))
        return refuse(question, 400, key, "an array of texts");
    json_array_foreach(value, i, name)
    {
        if (!json_is_string(name))
            return refuse(question, 400, key, "an array of texts");
        err = pp_buf_add(&question->names, json_string_value(name),
                         strlen(json_string_value(name)) + 1);
        if (err)
            return err;
    }
    question->options.among = pp_buf_str(&question->names);
    return err;
}

static pipit_err read_sort(pp_question *question, const char *key, const json_t *value)
{
    if (!json_is_string(value))
        return refuse(question, 400, key, "a text");
    if (pp_monitor_sort_parse(text_of(value), &question->options.sort))
        return PIPIT_OK;
    question->code = 500;
    question->understood = true;
    (void)snprintf(question->error, sizeof(question->error), "invalid sorting option: %.200s",
                   json_string_value(value));
    return PIPIT_EINVAL;
}

static pipit_err read_value(pp_question *question, const struct key *key, const json_t *value)
{
    pp_monitor_options *options = &question->options;
    void *to = (char *)options + key->offset;

    switch (key->kind) {
    case NAMES:
        return read_names(question, key->key, value);
    case SORT:
        return read_sort(question, key->key, value);
    case STATE:
        if (!json_is_integer(value) || (uint64_t)json_integer_value(value) > PP_STATE_ALL)
            return refuse(question, 400, key->key, "0, 1 or 2");
        options->state = (pp_monitor_state)json_integer_value(value);
        return PIPIT_OK;
    case NUMBER:
        if (!json_is_integer(value))
            return refuse(question, 400, key->key, "a whole number");
        *(int64_t *)to = json_integer_value(value);
        return PIPIT_OK;
    case TEXT:
        if (!json_is_string(value))
            return refuse(question, 400, key->key, "a text");
        *(pp_str *)to = text_of(value);
        return PIPIT_OK;
    case FLAG:
    case LIST:
    case DETAIL:
        break;
    }
    if (!json_is_boolean(value))
        return refuse(question, 400, key->key, "true or false");
    if (key->kind == FLAG)
        *(bool *)to = json_is_true(value);
    else if (key->kind == DETAIL && json_is_true(value))
        options->subs = PP_SUBS_DETAIL;
    else if (options->subs == PP_SUBS_NONE && json_is_true(value))
        options->subs = PP_SUBS_LIST;
    return PIPIT_OK;
}

static pipit_err read_filter(pp_question *question, pp_str key, const json_t *value)
{
    pp_question_filter *filter = &question->filter;

    for (size_t i = 0; i < sizeof(filter_keys) / sizeof(filter_keys[0]); i++) {
        if (!pp_str_eq_nocase(key, pp_str_of(filter_keys[i].key)))
            continue;
        if (!json_is_string(value))
            return refuse(question, 400, filter_keys[i].key, "a text");
        *(pp_str *)((char *)filter + filter_keys[i].offset) = text_of(value);
    }
    if (pp_str_eq_nocase(key, PP_STR("exact_match"))) {
        if (!json_is_boolean(value))
            return refuse(question, 400, "exact_match", "true or false");
        filter->exact = json_is_true(value);
    }
    if (pp_str_eq_nocase(key, PP_STR("tags"))) {
        if (!json_is_array(value))
            return refuse(question, 400, "tags", "an array of texts");
        filter->tags = json_array_size(value) > 0;
    }
    return PIPIT_OK;
}

static pipit_err read_key(pp_question *question, unsigned endpoint, pp_str key, const json_t *value)
{
    if (json_is_null(value))
        return PIPIT_OK;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (keys[i].endpoints & endpoint && pp_str_eq_nocase(key, pp_str_of(keys[i].key)))
            return read_value(question, &keys[i], value);
    }
    return read_filter(question, key, value);
}

/* jansson 2.14 writes past its buffers when memory fails in the middle of a text, so ask first for
 * more than it will take. */
static bool has_room_for(pp_str body)
{
    void *room = pp_alloc(8 * body.len + 4096);

    pp_free(room);
    return room != NULL;
}

static pipit_err load(pp_question *question, pp_str body)
{
    json_error_t error = {0};

    if (!has_room_for(body))
        return PIPIT_ENOMEM;
    question->root = json_loadb(body.ptr, body.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (question->root && (json_is_object(question->root) || json_is_null(question->root)))
        return PIPIT_OK;
    if (!question->root && (json_error_code(&error) == json_error_out_of_memory ||
                            json_error_code(&error) == json_error_unknown))
        return PIPIT_ENOMEM;
    question->code = 400;
    question->understood = false;
    (void)snprintf(question->error, sizeof(question->error), "%s",
                   question->root ? "the request must be a JSON object" : error.text);
    return PIPIT_EINVAL;
}

pipit_err pp_question_parse(pp_question *question, pp_str body, pp_monitor_endpoint endpoint)
{
    unsigned bit = endpoint == PP_MONITOR_ENDPOINT_COUNT ? 0 : 1u << endpoint;
    pipit_err err = PIPIT_OK;
    json_t *value;
    const char *key;

    *question = (pp_question){.options.compact = true};
    pp_buf_init(&question->names, NAMES_MAX);
    if (!body.len)
        return PIPIT_OK;
    err = load(question, body);
    json_object_foreach(question->root, key, value)
    {
        if (!err)
            err = read_key(question, bit, pp_str_of(key), value);
    }
    return err;
}

void pp_question_fini(pp_question *question)
{
    json_decref(question->root);
    pp_buf_fini(&question->names);
}

static bool agrees(pp_str wanted, pp_str have, bool exact)
{
    if (!wanted.len)
        return true;
    if (exact)
        return pp_str_eq(wanted, have);
    return have.len && memmem(have.ptr, have.len, wanted.ptr, wanted.len);
}

bool pp_question_is_for(const pp_question *question, const pipit_server *server)
{
    const pp_question_filter *f = &question->filter;
    const pp_nats_settings *settings = pp_server_settings(server);

    return agrees(f->server_name, pp_str_of(settings->server_name), f->exact) &&
           agrees(f->host, pp_str_of(settings->host), f->exact) && !f->cluster.len &&
           !f->domain.len && !f->tags; /* it is in no cluster and no domain */
}
