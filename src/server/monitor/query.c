#include "server/monitor/query.h"

#include "http/request.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>

enum kind { FLAG, INTEGER, ID, WORD, SUBS, STATE, SORT };

#define ON(endpoint) (1u << (endpoint))
#define SUBSZ (ON(PP_MONITOR_SUBSZ) | ON(PP_MONITOR_SUBSCRIPTIONSZ))
#define AT(field) offsetof(pp_monitor_options, field)

/* In the order in which the reference looks at them, so that of several bad ones the same is
 * reported. */
static const struct parameter {
    const char *name;
    enum kind kind;
    size_t offset;
    uint32_t endpoints;
} parameters[] = {
    {"auth", FLAG, AT(auth), ON(PP_MONITOR_CONNZ)},
    {"subs", SUBS, AT(subs),
     ON(PP_MONITOR_CONNZ) | ON(PP_MONITOR_ROUTEZ) | ON(PP_MONITOR_GATEWAYZ)},
    {"subs", FLAG, AT(subs), SUBSZ | ON(PP_MONITOR_LEAFZ)},
    {"accounts", FLAG, AT(accounts), ON(PP_MONITOR_JSZ)},
    {"streams", FLAG, AT(streams), ON(PP_MONITOR_JSZ)},
    {"consumers", FLAG, AT(consumers), ON(PP_MONITOR_JSZ)},
    {"direct-consumers", FLAG, AT(direct_consumers), ON(PP_MONITOR_JSZ)},
    {"config", FLAG, AT(config), ON(PP_MONITOR_JSZ)},
    {"offset", INTEGER, AT(offset), ON(PP_MONITOR_CONNZ) | SUBSZ | ON(PP_MONITOR_JSZ)},
    {"limit", INTEGER, AT(limit), ON(PP_MONITOR_CONNZ) | SUBSZ | ON(PP_MONITOR_JSZ)},
    {"leader-only", FLAG, AT(leader_only), ON(PP_MONITOR_JSZ)},
    {"raft", FLAG, AT(raft), ON(PP_MONITOR_JSZ)},
    {"stream-leader-only", FLAG, AT(stream_leader_only), ON(PP_MONITOR_JSZ)},
    {"cid", ID, AT(cid), ON(PP_MONITOR_CONNZ)},
    {"state", STATE, AT(state), ON(PP_MONITOR_CONNZ)},
    {"user", WORD, AT(user), ON(PP_MONITOR_CONNZ)},
    {"mqtt_client", WORD, AT(mqtt_client), ON(PP_MONITOR_CONNZ)},
    {"test", WORD, AT(test), SUBSZ},
    {"accs", FLAG, AT(accounts), ON(PP_MONITOR_GATEWAYZ)},
    {"gw_name", WORD, AT(gateway), ON(PP_MONITOR_GATEWAYZ)},
    {"acc_name", WORD, AT(account), ON(PP_MONITOR_GATEWAYZ)},
    {"unused", FLAG, AT(unused), ON(PP_MONITOR_ACCSTATZ)},
    {"js-enabled", FLAG, AT(js_enabled_only), ON(PP_MONITOR_HEALTHZ)},
    {"js-enabled-only", FLAG, AT(js_enabled_only), ON(PP_MONITOR_HEALTHZ)},
    {"js-server-only", FLAG, AT(js_server_only), ON(PP_MONITOR_HEALTHZ)},
    {"js-meta-only", FLAG, AT(js_meta_only), ON(PP_MONITOR_HEALTHZ)},
    {"details", FLAG, AT(details), ON(PP_MONITOR_HEALTHZ)},
    {"account", WORD, AT(account), ON(PP_MONITOR_HEALTHZ)},
    {"stream", WORD, AT(stream), ON(PP_MONITOR_HEALTHZ)},
    {"consumer", WORD, AT(consumer), ON(PP_MONITOR_HEALTHZ)},
    {"all", FLAG, AT(all), ON(PP_MONITOR_IPQUEUESZ)},
    {"queues", WORD, AT(queues), ON(PP_MONITOR_IPQUEUESZ)},
    {"group", WORD, AT(group), ON(PP_MONITOR_RAFTZ)},
    {"acc", WORD, AT(account),
     ON(PP_MONITOR_CONNZ) | SUBSZ | ON(PP_MONITOR_LEAFZ) | ON(PP_MONITOR_ACCOUNTZ) |
         ON(PP_MONITOR_JSZ) | ON(PP_MONITOR_RAFTZ)},
    {"sort", SORT, AT(sort), ON(PP_MONITOR_CONNZ)},
};

/* What Go's strconv says of a text that is no such value. */
static pipit_err refuse(pp_buf *error, const char *type, const struct parameter *parameter,
                        const char *function, pp_str value, const char *why)
{
    pipit_err err = pp_buf_addf(error, "Error decoding %s for '%s': strconv.%s: parsing ", type,
                                parameter->name, function);

    if (!err)
        err = pp_buf_addf(error, "\"%.*s\": %s", PP_STR_ARGS(value), why);
    return err ? err : PIPIT_EINVAL;
}

static pipit_err set_flag(const struct parameter *parameter, pp_str value, bool *out, pp_buf *error)
{
    static const char *const words[] = {"",  "0", "f", "F",    "FALSE", "false", "False",
                                        "1", "t", "T", "TRUE", "true",  "True"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (pp_str_eq(value, pp_str_of(words[i]))) {
            *out = i >= 7;
            return PIPIT_OK;
        }
    }
    return refuse(error, "boolean", parameter, "ParseBool", value, "invalid syntax");
}

static bool is_number(pp_str digits)
{
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return false;
    }
    return digits.len > 0;
}

static pipit_err set_integer(const struct parameter *parameter, pp_str value, int64_t *out,
                             pp_buf *error)
{
    bool negative = value.len && value.ptr[0] == '-';
    size_t sign = negative || (value.len && value.ptr[0] == '+');
    pp_str digits = {value.ptr + sign, value.len - sign};
    uint64_t number = 0;

    if (value.len == 0)
        return PIPIT_OK;
    if (!is_number(digits))
        return refuse(error, "int", parameter, "Atoi", value, "invalid syntax");
    if (!pp_str_parse_u64(digits, (uint64_t)INT64_MAX + negative, &number))
        return refuse(error, "int", parameter, "Atoi", value, "value out of range");
    *out = negative ? (int64_t)(0 - number) : (int64_t)number;
    return PIPIT_OK;
}

static pipit_err set_id(const struct parameter *parameter, pp_str value, uint64_t *out,
                        pp_buf *error)
{
    if (value.len == 0)
        return PIPIT_OK;
    if (!is_number(value))
        return refuse(error, "uint64", parameter, "ParseUint", value, "invalid syntax");
    if (!pp_str_parse_u64(value, UINT64_MAX, out))
        return refuse(error, "uint64", parameter, "ParseUint", value, "value out of range");
    return PIPIT_OK;
}

static pipit_err refuse_word(pp_buf *error, const char *what, pp_str value)
{
    pipit_err err = pp_buf_addf(error, "%s%.*s", what, PP_STR_ARGS(value));

    return err ? err : PIPIT_EINVAL;
}

static pipit_err set_state(pp_str value, pp_monitor_state *out, pp_buf *error)
{
    if (value.len == 0 || pp_str_eq_nocase(value, PP_STR("open")))
        *out = PP_STATE_OPEN;
    else if (pp_str_eq_nocase(value, PP_STR("closed")))
        *out = PP_STATE_CLOSED;
    else if (pp_str_eq_nocase(value, PP_STR("any")) || pp_str_eq_nocase(value, PP_STR("all")))
        *out = PP_STATE_ALL;
    else
        return refuse_word(error, "Error decoding state for ", value);
    return PIPIT_OK;
}

static pipit_err set_subs(const struct parameter *parameter, pp_str value, pp_monitor_subs *out,
                          pp_buf *error)
{
    bool list = false;
    pipit_err err = PIPIT_OK;

    if (parameter->kind == SUBS && pp_str_eq_nocase(value, PP_STR("detail"))) {
        *out = PP_SUBS_DETAIL;
        return PIPIT_OK;
    }
    err = set_flag(parameter, value, &list, error);
    if (!err)
        *out = list ? PP_SUBS_LIST : PP_SUBS_NONE;
    return err;
}

static pipit_err set(pp_query *query, const struct parameter *parameter, pp_str value,
                     pp_buf *error)
{
    void *field = (char *)&query->options + parameter->offset;
    bool flag = false;
    pipit_err err;

    switch (parameter->kind) {
    case FLAG:
        if (parameter->offset == AT(subs))
            return set_subs(parameter, value, field, error);
        err = set_flag(parameter, value, &flag, error);
        *(bool *)field |= flag; /* two names may stand for one */
        return err;
    case INTEGER:
        return set_integer(parameter, value, field, error);
    case ID:
        return set_id(parameter, value, field, error);
    case WORD:
        *(pp_str *)field = value;
        query->texts_len += value.len;
        return PIPIT_OK;
    case SUBS:
        return set_subs(parameter, value, field, error);
    case STATE:
        return set_state(value, field, error);
    case SORT:
        if (!pp_monitor_sort_parse(value, field))
            return refuse_word(error, "invalid sorting option: ", value);
        return PIPIT_OK;
    }
    return PIPIT_EINVAL;
}

pipit_err pp_query_parse(pp_query *query, pp_monitor_endpoint endpoint, pp_str text, pp_buf *error)
{
    query->options = (pp_monitor_options){0};
    query->texts_len = 0;
    query->names_deprecated = false;
    for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
        const struct parameter *parameter = &parameters[i];
        char *room = query->texts + query->texts_len;
        size_t room_bytes = sizeof(query->texts) - query->texts_len, len;
        pipit_err err;

        if (!(parameter->endpoints & ON(endpoint)) ||
            !pp_http_query(text, parameter->name, room, room_bytes, &len))
            continue;
        if (len >= room_bytes)
            return PIPIT_ETOOBIG;
        err = set(query, parameter, (pp_str){room, len}, error);
        if (err)
            return err;
        query->names_deprecated |= strcmp(parameter->name, "js-enabled") == 0;
    }
    return PIPIT_OK;
}

/* --- Accept ------------------------------------------------------------------------------- */

static pp_str trim(pp_str text)
{
    while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text.ptr++;
        text.len--;
    }
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Take off what stands before the next of that character. */
static pp_str take_until(pp_str *rest, char end)
{
    const char *at = rest->len ? memchr(rest->ptr, end, rest->len) : NULL;
    pp_str piece = {rest->ptr, at ? (size_t)(at - rest->ptr) : rest->len};

    rest->ptr += piece.len + (at != NULL);
    rest->len -= piece.len + (at != NULL);
    return trim(piece);
}

/* In thousandths; what cannot be read counts as all. */
static unsigned quality_of(pp_str parameters_)
{
    while (parameters_.len) {
        pp_str parameter = take_until(&parameters_, ';');
        unsigned value = 0, unit = 1000;

        if (parameter.len < 3 || (parameter.ptr[0] | 0x20) != 'q' || parameter.ptr[1] != '=')
            continue;
        for (size_t i = 2; i < parameter.len && unit; i++) {
            if (parameter.ptr[i] == '.')
                continue;
            if (parameter.ptr[i] < '0' || parameter.ptr[i] > '9')
                break;
            value += (unsigned)(parameter.ptr[i] - '0') * unit;
            unit /= 10;
        }
        return value;
    }
    return 1000;
}

bool pp_query_wants_open_metrics(pp_str accept)
{
    unsigned open = 0, text = 0;

    while (accept.len) {
        pp_str range = take_until(&accept, ',');
        pp_str type = take_until(&range, ';');
        unsigned quality = quality_of(range);

        if (pp_str_eq_nocase(type, PP_STR("application/openmetrics-text")))
            open = quality > open ? quality : open;
        else if (pp_str_eq_nocase(type, PP_STR("text/plain")))
            text = quality > text ? quality : text;
    }
    return open > 0 && open >= text;
}
