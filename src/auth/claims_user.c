#include "auth/claims.h"

#include "auth/address_range.h"
#include "auth/day_time.h"
#include "auth/nkey.h"

#include <jansson.h>
#include <stdio.h>

/* A list, or, as older tools wrote it, one text with commas. */
static pp_claim_list read_sources(pp_claim_reader *reader, const json_t *object, bool *given)
{
    const json_t *value = pp_claim_find(reader, object, "src");
    pp_claim_list list = {0};
    pp_str *items, text;
    size_t count = 1;

    *given = value != NULL;
    if (!json_is_string(value)) {
        list = pp_claim_texts(reader, object, "src", NULL);
        return list;
    }
    text = (pp_str){json_string_value(value), json_string_length(value)};
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == ',';
    items = pp_claim_alloc(reader, count, sizeof(*items));
    while (items && text.len) {
        const char *comma = memchr(text.ptr, ',', text.len);
        pp_str item = {text.ptr, comma ? (size_t)(comma - text.ptr) : text.len};

        text.ptr += item.len + (comma != NULL);
        text.len -= item.len + (comma != NULL);
        while (item.len && *item.ptr == ' ') {
            item.ptr++;
            item.len--;
        }
        while (item.len && item.ptr[item.len - 1] == ' ')
            item.len--;
        if (item.len)
            items[list.count++] = item;
    }
    list.items = items;
    return list;
}

static void read_times(pp_claim_reader *reader, const json_t *object, pp_user_limits *out,
                       bool *given)
{
    const json_t *array = pp_claim_array(reader, object, "times");
    size_t count = json_array_size(array);
    pp_claim_day_time *times = count ? pp_claim_alloc(reader, count, sizeof(*times)) : NULL;

    *given = array != NULL;
    for (size_t i = 0; times && i < count; i++) {
        const json_t *one = json_array_get(array, i);

        if (!json_is_object(one)) {
            pp_claim_fail(reader, "times");
            return;
        }
        times[i].start = pp_claim_text(reader, one, "start");
        times[i].end = pp_claim_text(reader, one, "end");
    }
    out->times = times;
    out->time_count = times ? count : 0;
}

/* Is a list there, if only empty? Permissions count when they say something. */
static bool rules_given(pp_claim_reader *reader, const json_t *object, const char *name)
{
    const json_t *rules = pp_claim_object(reader, object, name);

    return pp_claim_find(reader, rules, "allow") || pp_claim_find(reader, rules, "deny");
}

void pp_user_limits_read(pp_claim_reader *reader, const json_t *object, int64_t absent,
                         pp_user_limits *out)
{
    bool sources, times, types;

    *out = (pp_user_limits){0};
    pp_claim_permissions_read(reader, object, &out->permissions);
    out->subs = pp_claim_int(reader, object, "subs", absent);
    out->data = pp_claim_int(reader, object, "data", absent);
    out->payload = pp_claim_int(reader, object, "payload", absent);
    out->sources = read_sources(reader, object, &sources);
    read_times(reader, object, out, &times);
    out->time_zone = pp_claim_text(reader, object, "times_location");
    out->bearer = pp_claim_bool(reader, object, "bearer_token");
    out->proxy_required = pp_claim_bool(reader, object, "proxy_required");
    out->connection_types = pp_claim_texts(reader, object, "allowed_connection_types", &types);
    out->given = rules_given(reader, object, "pub") || rules_given(reader, object, "sub") ||
                 out->permissions.has_responses || out->subs || out->data || out->payload ||
                 sources || times || types || out->time_zone.len || out->bearer ||
                 out->proxy_required;
}

void pp_user_limits_check(const pp_user_limits *limits, pp_claim_issues *issues)
{
    pp_claim_permissions_check(&limits->permissions, issues);
    for (size_t i = 0; i < limits->sources.count; i++) {
        if (pp_address_range_parse(limits->sources.items[i], NULL))
            pp_claim_error(issues, "invalid cidr \"%.*s\" in user src limits",
                           PP_STR_ARGS(limits->sources.items[i]));
    }
    for (size_t i = 0; i < limits->time_count; i++) {
        if (pp_day_time_parse(limits->times[i].start, NULL))
            pp_claim_error(issues, "start in time range is invalid \"%.*s\"",
                           PP_STR_ARGS(limits->times[i].start));
        if (pp_day_time_parse(limits->times[i].end, NULL))
            pp_claim_error(issues, "end in time range is invalid \"%.*s\"",
                           PP_STR_ARGS(limits->times[i].end));
    }
    if (limits->time_zone.len && !pp_time_zone_exists(limits->time_zone))
        pp_claim_error(issues, "could not parse iana time zone by name: %.*s",
                       PP_STR_ARGS(limits->time_zone));
}

pipit_err pp_user_claims_read(pp_user_claims *out, pp_jwt *jwt, char reason[PP_JWT_REASON_BYTES])
{
    pp_claim_reader reader = {.jwt = jwt};

    if (jwt->type != PP_JWT_USER) {
        (void)snprintf(reason, PP_JWT_REASON_BYTES, "not user claim");
        return PIPIT_EINVAL;
    }
    *out = (pp_user_claims){.jwt = jwt};
    pp_user_limits_read(&reader, jwt->nats, jwt->version == 1 ? PP_CLAIM_NO_LIMIT : 0,
                        &out->limits);
    out->issuer_account =
        pp_claim_text(&reader, jwt->version == 1 ? jwt->payload : jwt->nats, "issuer_account");
    if (reader.err == PIPIT_EINVAL)
        (void)snprintf(reason, PP_JWT_REASON_BYTES, "%s is of the wrong type", reader.wrong);
    return reader.err;
}

void pp_user_claims_check(const pp_user_claims *claims, int64_t now_s, pp_claim_issues *issues)
{
    pp_jwt_check_time(claims->jwt, now_s, issues);
    pp_user_limits_check(&claims->limits, issues);
    if (claims->issuer_account.len && pp_nkey_decode(claims->issuer_account, PP_NKEY_ACCOUNT, NULL))
        pp_claim_error(issues, "account_id is not an account public key");
}

pp_str pp_user_claims_account(const pp_user_claims *claims)
{
    return claims->issuer_account.len ? claims->issuer_account : claims->jwt->issuer;
}
