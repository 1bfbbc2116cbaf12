#include "server/operators/plan.h"

#include "auth/token_login.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "proto/nats/door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- checking ------------------------------------------------------------------------------ */

struct check {
    pp_options *o;
    pp_diagnostics *diagnostics;
    pp_config_position at;
};

#define WRONG(check, ...) pp_diagnostics_error((check)->diagnostics, (check)->at, __VA_ARGS__)

static int64_t now_s(void)
{
    return pp_clock_wall_ns() / PP_NS_PER_S;
}

/* Keep a text as long as the options. */
static pipit_err keep(struct check *check, pp_str text, const char **out)
{
    void *memory;
    pipit_err err = pp_arena_take(&check->o->arena, text.len + 1, &memory);

    if (err)
        return err;
    memcpy(memory, text.ptr, text.len);
    ((char *)memory)[text.len] = '\0';
    *out = memory;
    return PIPIT_OK;
}

/* The operator may demand a version at least. */
static void check_version(struct check *check, const pp_operator_claims *claims)
{
    static const char ours[] = PP_NATS_VERSION;
    static const char *const parts[] = {"major", "minor", "update"};
    unsigned wanted[3] = {0}, have[3] = {0};

    if (!claims->assert_server_version.len)
        return;
    (void)sscanf(ours, "%u.%u.%u", &have[0], &have[1], &have[2]);
    /* It was checked to be of this form, and ends with a quote where the text is from. */
    (void)sscanf(claims->assert_server_version.ptr, "%u.%u.%u", &wanted[0], &wanted[1], &wanted[2]);
    for (unsigned i = 0; i < 3 && wanted[i] >= have[i]; i++) {
        if (wanted[i] == have[i])
            continue;
        WRONG(check, "operator %.*s expected %s version %u > server %s version %u",
              PP_STR_ARGS(claims->jwt->subject), parts[i], wanted[i], parts[i], have[i]);
        return;
    }
}

/* What one operator says, where the configuration says nothing. */
static pipit_err take_from(struct check *check, const pp_operator_claims *claims)
{
    pp_options *o = check->o;
    pp_str url = claims->account_server_url;
    pipit_err err;

    if (claims->system_account.len) {
        if (o->system_account && strcmp(o->system_account, "$SYS") != 0 &&
            !pp_str_eq(pp_str_of(o->system_account), claims->system_account)) {
            WRONG(check, "system_account in config and operator JWT must be identical");
        } else {
            err = keep(check, claims->system_account, &o->system_account);
            if (err)
                return err;
        }
    }
    if (o->operator_count == 1 && o->resolver == PP_RESOLVER_NONE &&
        (pp_str_starts(url, PP_STR("http://")) || pp_str_starts(url, PP_STR("https://")))) {
        char text[1024];

        (void)snprintf(text, sizeof(text), "%.*s/accounts", PP_STR_ARGS(url));
        o->resolver = PP_RESOLVER_URL;
        return keep(check, pp_str_of(text), &o->resolver_url);
    }
    return PIPIT_OK;
}

static pipit_err check_operator(struct check *check, const char *token)
{
    char reason[PP_JWT_REASON_BYTES];
    pp_operator_claims claims;
    pp_claim_issues issues;
    pp_jwt jwt;
    pipit_err err = pp_jwt_decode(&jwt, pp_str_of(token), reason);

    pp_claim_issues_init(&issues);
    if (!err)
        err = pp_operator_claims_read(&claims, &jwt, reason);
    if (!err) {
        pp_operator_claims_check(&claims, now_s(), &issues);
        if (issues.errors || issues.time_checks)
            WRONG(check, "error parsing operator JWT: %.*s", PP_STR_ARGS(pp_buf_str(&issues.text)));
        else
            check_version(check, &claims);
        err = take_from(check, &claims);
    } else if (err == PIPIT_EINVAL) {
        WRONG(check, "error parsing operator JWT: %s", reason);
        err = PIPIT_OK;
    }
    pp_claim_issues_fini(&issues);
    pp_jwt_fini(&jwt);
    return err;
}

static pipit_err check_preloads(struct check *check)
{
    const pp_options *o = check->o;

    for (size_t i = 0; i < o->resolver_preload_count; i++) {
        const pp_pair_option *pair = &o->resolver_preload[i];
        char reason[PP_JWT_REASON_BYTES];
        pp_account_claims claims;
        pp_jwt jwt;
        pipit_err err = pp_jwt_decode(&jwt, pp_str_of(pair->value), reason);

        if (!err)
            err = pp_account_claims_read(&claims, &jwt, reason);
        if (err == PIPIT_EINVAL)
            WRONG(check, "resolver_preload: \"%.60s\" invalid account JWT: %s", pair->key, reason);
        else if (!err && !pp_str_eq(jwt.subject, pp_str_of(pair->key)))
            WRONG(check, "resolver_preload: \"%.60s\" is not the account of its JWT", pair->key);
        pp_jwt_fini(&jwt);
        if (err && err != PIPIT_EINVAL)
            return err;
    }
    return PIPIT_OK;
}

static pipit_err check_sentinel(struct check *check)
{
    char reason[PP_JWT_REASON_BYTES];
    pp_user_claims claims;
    pp_jwt jwt;
    pipit_err err;

    if (!check->o->default_sentinel)
        return PIPIT_OK;
    err = pp_jwt_decode(&jwt, pp_str_of(check->o->default_sentinel), reason);
    if (!err)
        err = pp_user_claims_read(&claims, &jwt, reason);
    if (err == PIPIT_EINVAL)
        WRONG(check, "default sentinel JWT not valid");
    else if (!err && !claims.limits.bearer)
        WRONG(check, "default sentinel must be a bearer token");
    pp_jwt_fini(&jwt);
    return err == PIPIT_EINVAL ? PIPIT_OK : err;
}

static void check_keys(struct check *check)
{
    const pp_options *o = check->o;

    for (size_t i = 0; i < o->trusted_key_count; i++) {
        if (pp_nkey_decode(pp_str_of(o->trusted_keys[i]), PP_NKEY_OPERATOR, NULL))
            WRONG(check, "trust key \"%.60s\" required to be a valid public operator nkey",
                  o->trusted_keys[i]);
    }
    for (size_t i = 0; i < o->pinned_account_count; i++) {
        if (pp_nkey_decode(pp_str_of(o->pinned_accounts[i]), PP_NKEY_ACCOUNT, NULL))
            WRONG(check, "resolver_pinned_accounts: \"%.60s\" is not a valid public account nkey",
                  o->pinned_accounts[i]);
    }
    if (o->system_account && strcmp(o->system_account, "$SYS") != 0 &&
        pp_nkey_decode(pp_str_of(o->system_account), PP_NKEY_ACCOUNT, NULL))
        WRONG(check, "system_account: \"%.60s\" is not a valid public account nkey",
              o->system_account);
}

pipit_err pp_operator_options_complete(pp_options *o, pp_diagnostics *diagnostics)
{
    struct check check = {o, diagnostics, {o->config_file, 0, 0}};
    pipit_err err = PIPIT_OK;

    for (size_t i = 0; i < o->operator_count && !err; i++)
        err = check_operator(&check, o->operators[i]);
    if (!err)
        err = check_preloads(&check);
    if (err || !pp_operator_mode(o))
        return err;
    check_keys(&check);
    err = check_sentinel(&check);
    if (o->resolver == PP_RESOLVER_NONE)
        WRONG(&check, "operators require an account resolver to be configured");
    if (o->resolver == PP_RESOLVER_URL && o->resolver_preload_count)
        WRONG(&check, "resolver preloads only available for writeable resolver types "
                      "MEM/DIR/CACHE_DIR");
    if ((o->resolver == PP_RESOLVER_FULL || o->resolver == PP_RESOLVER_CACHE) && !o->system_account)
        WRONG(&check, "using nats based account resolver - the system account needs to be "
                      "specified in configuration or the operator jwt");
    return err;
}

/* --- making -------------------------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const pp_plan_entry *)a)->key, ((const pp_plan_entry *)b)->key);
}

static bool add_entry(pp_plan_entry *entries, size_t *count, const char *key, const char *token)
{
    pp_plan_entry *entry = &entries[*count];

    entry->key = pp_memdupz(key, strlen(key));
    entry->token = token ? pp_memdupz(token, strlen(token)) : NULL;
    (*count)++;
    return entry->key && (entry->token || !token);
}

static bool copy_text(char **out, const char *text)
{
    *out = text ? pp_memdupz(text, strlen(text)) : NULL;
    return *out || !text;
}

static pipit_err fill(pp_operator_plan *plan, const pp_options *o)
{
    bool has_system = o->system_account && strcmp(o->system_account, "$SYS") != 0;
    bool there;

    plan->pins = pp_calloc(o->pinned_account_count + 1, sizeof(*plan->pins));
    plan->preloads = pp_calloc(o->resolver_preload_count + 1, sizeof(*plan->preloads));
    there = plan->pins && plan->preloads &&
            copy_text(&plan->system_account, has_system ? o->system_account : NULL) &&
            copy_text(&plan->sentinel, o->default_sentinel) &&
            copy_text(&plan->tls.ca_file, o->resolver_tls.ca_file) &&
            copy_text(&plan->tls.cert_file, o->resolver_tls.cert_file) &&
            copy_text(&plan->tls.key_file, o->resolver_tls.key_file);
    plan->tls.min_version = o->resolver_tls.min_version;
    plan->pinned = o->pinned_account_count != 0;
    for (size_t i = 0; i < o->pinned_account_count && there; i++)
        there = add_entry(plan->pins, &plan->pin_count, o->pinned_accounts[i], NULL);
    if (there && plan->pinned && plan->system_account)
        there = add_entry(plan->pins, &plan->pin_count, plan->system_account, NULL);
    for (size_t i = 0; i < o->resolver_preload_count && there; i++)
        there = add_entry(plan->preloads, &plan->preload_count, o->resolver_preload[i].key,
                          o->resolver_preload[i].value);
    if (!there)
        return PIPIT_ENOMEM;
    qsort(plan->pins, plan->pin_count, sizeof(*plan->pins), compare_entries);
    qsort(plan->preloads, plan->preload_count, sizeof(*plan->preloads), compare_entries);
    return PIPIT_OK;
}

static pipit_err trust_operator(pp_trust *trust, const char *token)
{
    char reason[PP_JWT_REASON_BYTES];
    pp_operator_claims claims;
    pp_jwt jwt;
    pipit_err err = pp_jwt_decode(&jwt, pp_str_of(token), reason);

    if (!err)
        err = pp_operator_claims_read(&claims, &jwt, reason);
    if (!err)
        err = pp_trust_add_operator(trust, &claims);
    pp_jwt_fini(&jwt);
    return err;
}

pipit_err pp_operator_plan_new(pp_operator_plan **out_plan, const pp_options *o)
{
    pp_operator_plan *plan = pp_calloc(1, sizeof(*plan));
    pipit_err err;

    if (!plan)
        return PIPIT_ENOMEM;
    atomic_init(&plan->holders, 1);
    err = fill(plan, o);
    for (size_t i = 0; i < o->operator_count && !err; i++)
        err = trust_operator(&plan->trust, o->operators[i]);
    for (size_t i = 0; i < o->trusted_key_count && !err; i++)
        err = pp_trust_add_key(&plan->trust, pp_str_of(o->trusted_keys[i]));
    if (err)
        pp_operator_plan_let_go(plan);
    else
        *out_plan = plan;
    return err;
}

static void free_entries(pp_plan_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pp_free(entries[i].key);
        pp_free(entries[i].token);
    }
    pp_free(entries);
}

void pp_operator_plan_hold(pp_operator_plan *plan)
{
    (void)atomic_fetch_add(&plan->holders, 1);
}

void pp_operator_plan_let_go(pp_operator_plan *plan)
{
    if (!plan || atomic_fetch_sub(&plan->holders, 1) > 1)
        return;
    free_entries(plan->pins, plan->pin_count);
    free_entries(plan->preloads, plan->preload_count);
    if (plan->sentinel)
        explicit_bzero(plan->sentinel, strlen(plan->sentinel)); /* whoever has it may come in */
    pp_free(plan->sentinel);
    pp_free(plan->tls.ca_file);
    pp_free(plan->tls.cert_file);
    pp_free(plan->tls.key_file);
    pp_free(plan->system_account);
    pp_trust_fini(&plan->trust);
    pp_free(plan);
}

/* --- asking -------------------------------------------------------------------------------- */

static int compare_key(const void *key, const void *entry)
{
    pp_str wanted = *(const pp_str *)key, have = pp_str_of(((const pp_plan_entry *)entry)->key);
    size_t len = wanted.len < have.len ? wanted.len : have.len;
    int order = memcmp(wanted.ptr, have.ptr, len);

    return order ? order : (wanted.len > have.len) - (wanted.len < have.len);
}

const char *pp_operator_plan_preload(const pp_operator_plan *plan, pp_str key)
{
    const pp_plan_entry *entry =
        bsearch(&key, plan->preloads, plan->preload_count, sizeof(*entry), compare_key);

    return entry ? entry->token : NULL;
}

bool pp_operator_plan_pins(const pp_operator_plan *plan, pp_str key)
{
    return !plan->pinned ||
           bsearch(&key, plan->pins, plan->pin_count, sizeof(*plan->pins), compare_key);
}

/* --- telling ------------------------------------------------------------------------------- */

static void log_time(const pp_log *log, const char *what, int64_t at_s)
{
    time_t moment = (time_t)at_s;
    char text[64] = "Never";
    struct tm tm;

    if (at_s && gmtime_r(&moment, &tm))
        (void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S +0000 UTC", &tm);
    pp_log_write(log, PP_LOG_INFO, "  %s: %s", what, text);
}

void pp_operator_plan_log(const pp_options *o, const pp_log *log)
{
    if (o->operator_count)
        pp_log_write(log, PP_LOG_INFO, "Trusted Operators");
    for (size_t i = 0; i < o->operator_count; i++) {
        char reason[PP_JWT_REASON_BYTES];
        pp_operator_claims claims;
        pp_jwt jwt;

        if (!pp_jwt_decode(&jwt, pp_str_of(o->operators[i]), reason) &&
            !pp_operator_claims_read(&claims, &jwt, reason)) {
            pp_log_write(log, PP_LOG_INFO, "  System  : \"%.*s\"",
                         PP_STR_ARGS(claims.system_account));
            pp_log_write(log, PP_LOG_INFO, "  Operator: \"%.*s\"", PP_STR_ARGS(jwt.name));
            log_time(log, "Issued  ", jwt.issued_s);
            log_time(log, "Expires ", jwt.expires_s);
        }
        pp_jwt_fini(&jwt);
    }
}
