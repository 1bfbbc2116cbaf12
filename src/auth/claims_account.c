#include "auth/claims.h"

#include "auth/nkey.h"
#include "base/hash.h"
#include "core/subject.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 8 * 1024 };

/* --- limits -------------------------------------------------------------------------------- */

static void read_storage(pp_claim_reader *reader, const json_t *object, pp_claim_storage *out)
{
    out->memory = pp_claim_int(reader, object, "mem_storage", 0);
    out->disk = pp_claim_int(reader, object, "disk_storage", 0);
    out->streams = pp_claim_int(reader, object, "streams", 0);
    out->consumers = pp_claim_int(reader, object, "consumer", 0);
    out->max_ack_pending = pp_claim_int(reader, object, "max_ack_pending", 0);
    out->memory_stream_max = pp_claim_int(reader, object, "mem_max_stream_bytes", 0);
    out->disk_stream_max = pp_claim_int(reader, object, "disk_max_stream_bytes", 0);
    out->max_bytes_required = pp_claim_bool(reader, object, "max_bytes_required");
}

static void read_tiers(pp_claim_reader *reader, const json_t *limits, pp_account_claims *out)
{
    const json_t *tiers = pp_claim_object(reader, limits, "tiered_limits");
    size_t count = json_object_size(tiers);
    pp_claim_storage *list = count ? pp_claim_alloc(reader, count, sizeof(*list)) : NULL;
    json_t *value;
    const char *key;

    if (!list)
        return;
    json_object_foreach((json_t *)tiers, key, value)
    {
        if (!json_is_object(value)) {
            pp_claim_fail(reader, "tiered_limits");
            return;
        }
        list[out->tier_count].tier = pp_str_of(key);
        read_storage(reader, value, &list[out->tier_count++]);
    }
    out->tiers = list;
    out->storage = (pp_claim_storage){0};
}

static void read_limits(pp_claim_reader *reader, const json_t *object, pp_account_claims *out)
{
    const json_t *limits = pp_claim_object(reader, object, "limits");

    out->subs = pp_claim_int(reader, limits, "subs", 0);
    out->data = pp_claim_int(reader, limits, "data", 0);
    out->payload = pp_claim_int(reader, limits, "payload", 0);
    out->imports_max = pp_claim_int(reader, limits, "imports", 0);
    out->exports_max = pp_claim_int(reader, limits, "exports", 0);
    out->connections = pp_claim_int(reader, limits, "conn", 0);
    out->leafs = pp_claim_int(reader, limits, "leaf", 0);
    out->wildcards = pp_claim_bool(reader, limits, "wildcards");
    out->disallow_bearer = pp_claim_bool(reader, limits, "disallow_bearer");
    if (out->jwt->version > 1) {
        read_storage(reader, limits, &out->storage);
        read_tiers(reader, limits, out);
    }
    out->limits_given = out->subs || out->data || out->payload || out->imports_max ||
                        out->exports_max || out->connections || out->leafs || out->wildcards ||
                        out->disallow_bearer || out->storage.memory || out->storage.disk ||
                        out->tier_count;
}

/* --- signing keys -------------------------------------------------------------------------- */

/* Of all that a value holds. Members may stand in another order the next time: then users of the
 * scope log in again. */
static uint64_t hash_value(const json_t *value, uint64_t h)
{
    json_t *item;
    const char *key;
    size_t i;

    h = h * 31 + (uint64_t)json_typeof(value) + 1;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        json_object_foreach((json_t *)value, key, item) h =
            hash_value(item, pp_hash(key, strlen(key), h));
        break;
    case JSON_ARRAY:
        json_array_foreach(value, i, item) h = hash_value(item, h + i);
        break;
    case JSON_STRING:
        h = pp_hash(json_string_value(value), json_string_length(value), h);
        break;
    case JSON_INTEGER: {
        json_int_t number = json_integer_value(value);

        h = pp_hash(&number, sizeof(number), h);
        break;
    }
    default:
        break;
    }
    return h;
}

static void read_scope(pp_claim_reader *reader, const json_t *object, pp_signing_key *out)
{
    if (!pp_str_eq(pp_claim_text(reader, object, "kind"), PP_STR("user_scope"))) {
        pp_claim_fail(reader, "signing_keys");
        return;
    }
    out->scoped = true;
    out->key = pp_claim_text(reader, object, "key");
    out->hash = hash_value(object, 1) | 1;
    pp_user_limits_read(reader, pp_claim_object(reader, object, "template"), PP_CLAIM_NO_LIMIT,
                        &out->template);
}

static void read_keys(pp_claim_reader *reader, const json_t *object, pp_account_claims *out)
{
    const json_t *array = pp_claim_array(reader, object, "signing_keys");
    size_t count = json_array_size(array);
    pp_signing_key *keys = count ? pp_claim_alloc(reader, count, sizeof(*keys)) : NULL;

    for (size_t i = 0; keys && i < count; i++) {
        const json_t *one = json_array_get(array, i);

        if (json_is_string(one))
            keys[i].key = (pp_str){json_string_value(one), json_string_length(one)};
        else if (json_is_object(one) && out->jwt->version > 1)
            read_scope(reader, one, &keys[i]);
        else
            pp_claim_fail(reader, "signing_keys");
    }
    out->keys = keys;
    out->key_count = keys ? count : 0;
}

const pp_signing_key *pp_account_claims_key(const pp_account_claims *claims, pp_str key)
{
    /* Of two that are alike the last one counts. */
    for (size_t i = claims->key_count; i > 0; i--) {
        if (pp_str_eq(claims->keys[i - 1].key, key))
            return &claims->keys[i - 1];
    }
    return NULL;
}

/* --- mappings ------------------------------------------------------------------------------ */

static void read_mapping(pp_claim_reader *reader, const json_t *array, pp_claim_mapping *out)
{
    size_t count = json_array_size(array);
    pp_claim_destination *list = count ? pp_claim_alloc(reader, count, sizeof(*list)) : NULL;

    for (size_t i = 0; list && i < count; i++) {
        const json_t *one = json_array_get(array, i);

        if (!json_is_object(one)) {
            pp_claim_fail(reader, "mappings");
            return;
        }
        list[i].subject = pp_claim_text(reader, one, "subject");
        list[i].cluster = pp_claim_text(reader, one, "cluster");
        list[i].weight = pp_claim_int(reader, one, "weight", 0);
        if (list[i].weight < 0 || list[i].weight > UINT8_MAX)
            pp_claim_fail(reader, "weight");
        if (!list[i].weight)
            list[i].weight = 100;
    }
    out->destinations = list;
    out->destination_count = list ? count : 0;
}

static void read_mappings(pp_claim_reader *reader, const json_t *object, pp_account_claims *out)
{
    const json_t *all = pp_claim_object(reader, object, "mappings");
    size_t count = json_object_size(all);
    pp_claim_mapping *list = count ? pp_claim_alloc(reader, count, sizeof(*list)) : NULL;
    json_t *value;
    const char *key;

    if (!list)
        return;
    json_object_foreach((json_t *)all, key, value)
    {
        if (json_is_null(value))
            continue;
        if (!json_is_array(value)) {
            pp_claim_fail(reader, "mappings");
            return;
        }
        list[out->mapping_count].source = pp_str_of(key);
        read_mapping(reader, value, &list[out->mapping_count++]);
    }
    out->mappings = list;
}

/* --- the whole ----------------------------------------------------------------------------- */

static void read_rest(pp_claim_reader *reader, const json_t *nats, pp_account_claims *out)
{
    const json_t *object = pp_claim_object(reader, nats, "authorization");

    out->auth_users = pp_claim_texts(reader, object, "auth_users", NULL);
    out->allowed_accounts = pp_claim_texts(reader, object, "allowed_accounts", NULL);
    out->auth_xkey = pp_claim_text(reader, object, "xkey");
    object = pp_claim_object(reader, nats, "default_permissions");
    pp_claim_permissions_read(reader, object, &out->default_permissions);
    object = pp_claim_object(reader, nats, "trace");
    out->has_trace = object != NULL;
    out->trace_dest = pp_claim_text(reader, object, "dest");
    out->trace_sampling = pp_claim_int(reader, object, "sampling", 0);
    if (!out->trace_sampling)
        out->trace_sampling = 100;
    out->cluster_traffic = pp_claim_text(reader, nats, "cluster_traffic");
    out->description = pp_claim_text(reader, nats, "description");
    out->info_url = pp_claim_text(reader, nats, "info_url");
    read_mappings(reader, nats, out);
}

pipit_err pp_account_claims_read(pp_account_claims *out, pp_jwt *jwt,
                                 char reason[PP_JWT_REASON_BYTES])
{
    pp_claim_reader reader = {.jwt = jwt};

    if (jwt->type != PP_JWT_ACCOUNT) {
        (void)snprintf(reason, PP_JWT_REASON_BYTES, "not account claim");
        return PIPIT_EINVAL;
    }
    *out = (pp_account_claims){.jwt = jwt};
    read_limits(&reader, jwt->nats, out);
    read_keys(&reader, jwt->nats, out);
    pp_claim_revocations_read(&reader, jwt->nats, "revocations", &out->revocations);
    pp_claim_shares_read(&reader, jwt->nats, out);
    if (jwt->version > 1)
        read_rest(&reader, jwt->nats, out);
    if (reader.err == PIPIT_EINVAL)
        (void)snprintf(reason, PP_JWT_REASON_BYTES, "%s is of the wrong type", reader.wrong);
    return reader.err;
}

static void check_mappings(const pp_account_claims *claims, pp_claim_issues *issues)
{
    for (size_t i = 0; i < claims->mapping_count; i++) {
        const pp_claim_mapping *mapping = &claims->mappings[i];

        pp_claim_subject_check(mapping->source, issues);
        for (size_t n = 0; n < mapping->destination_count; n++) {
            const pp_claim_destination *one = &mapping->destinations[n];
            int64_t total = 0;

            if (!one->subject.len)
                pp_claim_error(issues, "subject cannot be empty");
            for (size_t k = 0; k <= n; k++) {
                if (pp_str_eq(mapping->destinations[k].cluster, one->cluster))
                    total += mapping->destinations[k].weight;
            }
            if (total > 100) {
                pp_claim_error(issues,
                               "Mapping \"%.*s\" exceeds 100%% among all of it's weighted to "
                               "mappings",
                               PP_STR_ARGS(mapping->source));
                break;
            }
        }
    }
}

static void check_authorization(const pp_account_claims *claims, pp_claim_issues *issues)
{
    const pp_claim_list *allowed = &claims->allowed_accounts;

    if (allowed->count && !claims->auth_users.count)
        pp_claim_error(issues,
                       "External authorization cannot have accounts without users specified");
    for (size_t i = 0; i < claims->auth_users.count; i++) {
        if (pp_nkey_decode(claims->auth_users.items[i], PP_NKEY_USER, NULL))
            pp_claim_error(issues, "AuthUser \"%.*s\" is not a valid user public key",
                           PP_STR_ARGS(claims->auth_users.items[i]));
    }
    for (size_t i = 0; i < allowed->count; i++) {
        if (pp_str_eq(allowed->items[i], PP_STR("*"))) {
            if (allowed->count > 1)
                pp_claim_error(issues, "AllowedAccounts can only be a list of accounts or \"*\"");
        } else if (pp_nkey_decode(allowed->items[i], PP_NKEY_ACCOUNT, NULL)) {
            pp_claim_error(issues, "Account \"%.*s\" is not a valid account public key",
                           PP_STR_ARGS(allowed->items[i]));
        }
    }
    if (claims->auth_xkey.len && pp_nkey_decode(claims->auth_xkey, PP_NKEY_CURVE, NULL))
        pp_claim_error(issues, "XKey \"%.*s\" is not a valid public xkey",
                       PP_STR_ARGS(claims->auth_xkey));
}

static void check_trace(const pp_account_claims *claims, pp_claim_issues *issues)
{
    if (!claims->has_trace)
        return;
    if (!pp_subject_literal(claims->trace_dest))
        pp_claim_error(issues,
                       "the account Trace.Destination subject \"%.*s\" is not a valid publish "
                       "subject",
                       PP_STR_ARGS(claims->trace_dest));
    if (claims->trace_sampling < 0 || claims->trace_sampling > 100)
        pp_claim_error(issues,
                       "the account Trace.Sampling value '%lld' is not valid, should be in the "
                       "range [1..100]",
                       (long long)claims->trace_sampling);
}

static void check_keys(const pp_account_claims *claims, pp_claim_issues *issues)
{
    for (size_t i = 0; i < claims->key_count; i++) {
        if (pp_nkey_decode(claims->keys[i].key, PP_NKEY_ACCOUNT, NULL))
            pp_claim_error(issues, "\"%.*s\" is not a valid account signing key",
                           PP_STR_ARGS(claims->keys[i].key));
    }
}

static void check_texts(const pp_account_claims *claims, pp_claim_issues *issues)
{
    pp_str traffic = claims->cluster_traffic;

    if (claims->description.len > TEXT_MAX)
        pp_claim_error(issues, "Description is too long");
    if (claims->info_url.len > TEXT_MAX)
        pp_claim_error(issues, "Info URL is too long");
    if (traffic.len && !pp_str_eq(traffic, PP_STR("system")) &&
        !pp_str_eq(traffic, PP_STR("owner")))
        pp_claim_error(issues, "unknown cluster traffic option: \"%.*s\"", PP_STR_ARGS(traffic));
}

void pp_account_claims_check(const pp_account_claims *claims, int64_t now_s,
                             pp_claim_issues *issues)
{
    pp_jwt_check_time(claims->jwt, now_s, issues);
    pp_claim_shares_check(claims, issues);
    for (size_t i = 0; i < claims->tier_count; i++) {
        if (!claims->tiers[i].tier.len)
            pp_claim_error(issues,
                           "Tiered JetStream Limits can not contain a blank \"\" tier name");
    }
    pp_claim_permissions_check(&claims->default_permissions, issues);
    check_mappings(claims, issues);
    check_authorization(claims, issues);
    check_trace(claims, issues);
    check_keys(claims, issues);
    check_texts(claims, issues);
    if (claims->limits_given && !pp_nkey_decode(claims->jwt->issuer, PP_NKEY_ACCOUNT, NULL))
        pp_claim_warning(issues, "self-signed account JWTs shouldn't contain operator limits");
}
