#include "auth/token_login.h"

#include "auth/address_range.h"
#include "auth/callout_request.h"
#include "auth/day_time.h"
#include "auth/user_template.h"
#include "base/alloc.h"

#include <sodium.h>
#include <stdio.h>

/* --- reading ------------------------------------------------------------------------------- */

static pipit_err check_claims(const pp_user_claims *claims, int64_t now_s, char *reason)
{
    pp_claim_issues issues;
    unsigned blocking;

    pp_claim_issues_init(&issues);
    pp_user_claims_check(claims, now_s, &issues);
    blocking = issues.errors + issues.time_checks;
    if (blocking)
        (void)snprintf(reason, PP_JWT_REASON_BYTES, "%.*s", PP_STR_ARGS(pp_buf_str(&issues.text)));
    pp_claim_issues_fini(&issues);
    return blocking ? PIPIT_EINVAL : PIPIT_OK;
}

pipit_err pp_token_read(pp_token *out_token, pp_str text, int64_t now_s,
                        char reason[PP_JWT_REASON_BYTES])
{
    pipit_err err = pp_jwt_decode(&out_token->jwt, text, reason);

    if (!err)
        err = pp_user_claims_read(&out_token->claims, &out_token->jwt, reason);
    return err ? err : check_claims(&out_token->claims, now_s, reason);
}

void pp_token_fini(pp_token *token)
{
    pp_jwt_fini(&token->jwt);
}

/* --- judging ------------------------------------------------------------------------------- */

uint16_t pp_connection_type_of(pp_str name)
{
    static const struct {
        const char *name;
        uint16_t type;
    } types[] = {
        {"STANDARD", PP_USER_STANDARD},
        {"WEBSOCKET", PP_USER_WEBSOCKET},
        {"LEAFNODE", PP_USER_LEAFNODE},
        {"LEAFNODE_WS", PP_USER_LEAFNODE_WS},
        {"MQTT", PP_USER_MQTT},
        {"MQTT_WS", PP_USER_MQTT_WS},
        {"IN_PROCESS", PP_USER_IN_PROCESS},
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (pp_str_eq_nocase(name, pp_str_of(types[i].name)))
            return types[i].type;
    }
    return 0;
}

/* Those that are not known are passed over, as long as one is. 0: none is. */
static uint16_t types_of(const pp_claim_list *names)
{
    uint16_t types = 0;

    for (size_t i = 0; i < names->count; i++)
        types |= pp_connection_type_of(names->items[i]);
    return names->count ? types : PP_USER_ANY_TYPE;
}

/* base64url without padding, or as some clients write it, plain base64 with it. */
static bool decode_signature(pp_str text, uint8_t out[crypto_sign_BYTES])
{
    static const int variants[] = {sodium_base64_VARIANT_URLSAFE_NO_PADDING,
                                   sodium_base64_VARIANT_ORIGINAL};
    size_t len;

    for (unsigned i = 0; i < 2; i++) {
        if (sodium_base642bin(out, crypto_sign_BYTES, text.ptr, text.len, NULL, &len, NULL,
                              variants[i]) == 0 &&
            len == crypto_sign_BYTES)
            return true;
    }
    return false;
}

static bool has_signed(pp_str user, const pp_token_visit *visit)
{
    uint8_t key[PP_NKEY_RAW_BYTES], signature[crypto_sign_BYTES];

    return visit->nonce.len && decode_signature(visit->sig, signature) &&
           !pp_nkey_decode(user, PP_NKEY_USER, key) &&
           crypto_sign_verify_detached(signature, (const uint8_t *)visit->nonce.ptr,
                                       visit->nonce.len, key) == 0;
}

static bool comes_from(const pp_claim_list *sources, pp_str host)
{
    for (size_t i = 0; i < sources->count; i++) {
        pp_address_range range;

        if (!pp_address_range_parse(sources->items[i], &range) &&
            pp_address_range_has(&range, host))
            return true;
    }
    return sources->count == 0;
}

/* Whether the account knows the issuer; grant gets the limits of its scope, if it has one. */
static pp_token_fault judge_issuer(pp_token *token, const pp_account_claims *account,
                                   const pp_trust *trust, pp_token_grant *grant,
                                   const char **out_reason)
{
    const pp_trusted_key *trusted = pp_trust_find(trust, account->jwt->issuer);
    const pp_signing_key *key = pp_account_claims_key(account, token->jwt.issuer);
    pipit_err err;

    *out_reason = "Account JWT not signed by trusted operator";
    if (!trusted)
        return PP_TOKEN_ISSUER;
    *out_reason = "User JWT issuer is not known";
    if (!pp_str_eq(pp_user_claims_account(&token->claims), account->jwt->subject))
        return PP_TOKEN_ISSUER;
    if (!key && (trusted->strict || !pp_str_eq(token->jwt.issuer, account->jwt->subject)))
        return PP_TOKEN_ISSUER;
    if (!key || !key->scoped)
        return PP_TOKEN_FINE;
    *out_reason = "User JWT is not valid: scoped users require no permissions or limits set";
    if (token->claims.limits.given)
        return PP_TOKEN_ISSUER;
    grant->limits = key->template;
    err = pp_user_template_fill(&grant->limits.permissions, &token->jwt,
                                token->claims.issuer_account, account->jwt);
    *out_reason = "User JWT generated invalid permissions";
    if (err)
        return err == PIPIT_ENOMEM ? PP_TOKEN_NO_MEMORY : PP_TOKEN_ISSUER;
    return PP_TOKEN_FINE;
}

static bool expired(int64_t expires_s, int64_t now_s)
{
    return expires_s > 0 && now_s >= expires_s;
}

/* What a user must fulfil as long as it is there. */
static pp_token_fault judge_account(const pp_token *token, const pp_account_claims *account,
                                    const pp_token_grant *grant, int64_t now_s,
                                    const char **out_reason)
{
    *out_reason = "Account JWT has expired";
    if (expired(account->jwt->expires_s, now_s))
        return PP_TOKEN_ACCOUNT_EXPIRED;
    *out_reason = "Account does not allow bearer tokens";
    if (grant->limits.bearer && account->disallow_bearer)
        return PP_TOKEN_BEARER;
    *out_reason = "User authentication revoked";
    if (pp_claim_revoked(&account->revocations, token->jwt.subject, token->jwt.issued_s))
        return PP_TOKEN_REVOKED;
    return PP_TOKEN_FINE;
}

/* How it has come, which does not change any more. */
static pp_token_fault judge_visit(const pp_token *token, const pp_token_visit *visit,
                                  const pp_token_grant *grant, const char **out_reason)
{
    *out_reason = "Connection must come by a trusted proxy";
    if (grant->limits.proxy_required && !visit->proxied)
        return PP_TOKEN_PROXY_REQUIRED;
    *out_reason = "Connection type not allowed";
    if (!(grant->connection_types & visit->connection_type))
        return PP_TOKEN_DENIED;
    *out_reason = "Signature not verified";
    if (!grant->limits.bearer && !has_signed(token->jwt.subject, visit))
        return PP_TOKEN_DENIED;
    *out_reason = "Bad source address";
    if (!comes_from(&grant->limits.sources, visit->host))
        return PP_TOKEN_DENIED;
    return PP_TOKEN_FINE;
}

pp_token_fault pp_token_judge(pp_token *token, const pp_account_claims *account,
                              const pp_trust *trust, const pp_token_visit *visit,
                              pp_token_grant *out_grant, const char **out_reason)
{
    pp_token_fault fault;
    int64_t until_s;

    *out_grant = (pp_token_grant){.limits = token->claims.limits,
                                  .expires_s = token->jwt.expires_s > 0 ? token->jwt.expires_s : 0};
    *out_reason = "Connection must come by a trusted proxy";
    if (token->claims.limits.proxy_required && !visit->proxied && !visit->known)
        return PP_TOKEN_PROXY_REQUIRED;
    fault = judge_issuer(token, account, trust, out_grant, out_reason);
    if (fault)
        return fault;
    out_grant->connection_types = types_of(&out_grant->limits.connection_types);
    fault = judge_account(token, account, out_grant, visit->now_s, out_reason);
    if (!fault && !visit->known)
        fault = judge_visit(token, visit, out_grant, out_reason);
    if (fault)
        return fault;
    *out_reason = "User JWT has expired, or it is not its time of the day";
    if (expired(out_grant->expires_s, visit->now_s) ||
        !pp_day_times_have(&out_grant->limits, visit->now_s, &until_s))
        return PP_TOKEN_EXPIRED;
    if (until_s && (!out_grant->expires_s || until_s < out_grant->expires_s))
        out_grant->expires_s = until_s;
    return PP_TOKEN_FINE;
}

pp_token_fault pp_token_terms(const pp_token *token, const pp_token_visit *visit,
                              pp_token_grant *grant, const char **out_reason)
{
    int64_t until_s;

    grant->connection_types = types_of(&grant->limits.connection_types);
    grant->expires_s = token->jwt.expires_s > 0 ? token->jwt.expires_s : 0;
    *out_reason = "Connection type not allowed";
    if (!(grant->connection_types & visit->connection_type))
        return PP_TOKEN_DENIED;
    *out_reason = "Bad source address";
    if (!comes_from(&grant->limits.sources, visit->host))
        return PP_TOKEN_DENIED;
    *out_reason = "User JWT has expired, or it is not its time of the day";
    if (expired(grant->expires_s, visit->now_s) ||
        !pp_day_times_have(&grant->limits, visit->now_s, &until_s))
        return PP_TOKEN_EXPIRED;
    if (until_s && (!grant->expires_s || until_s < grant->expires_s))
        grant->expires_s = until_s;
    return PP_TOKEN_FINE;
}

/* --- permissions --------------------------------------------------------------------------- */

static size_t copy_rules(pp_permission_rule *to, const pp_claim_list *from)
{
    for (size_t i = 0; i < from->count; i++) {
        pp_str rule = from->items[i];
        const char *blank = memchr(rule.ptr, ' ', rule.len);
        size_t len = blank ? (size_t)(blank - rule.ptr) : rule.len;

        to[i].subject = (pp_str){rule.ptr, len};
        to[i].queue = blank ? (pp_str){blank + 1, rule.len - len - 1} : PP_STR("");
    }
    return from->count;
}

static pp_permission_rules make_rules(const pp_claim_rules *rules, pp_permission_rule *room)
{
    pp_permission_rules out = {.has_allow =
                                   rules->allow.count || (rules->allow_given && rules->deny.count)};

    out.allow = room;
    out.allow_count = copy_rules(room, &rules->allow);
    out.deny = room + out.allow_count;
    out.deny_count = copy_rules(room + out.allow_count, &rules->deny);
    return out;
}

pp_str pp_account_claims_closed(const pp_account_claims *account)
{
    return account->auth_users.count ? PP_STR(PP_CALLOUT_SUBJECT) : PP_STR("");
}

/* closed: a subject that nothing may be published to, whatever claims say; empty: none. */
static pipit_err make_permissions(const pp_claim_permissions *claims, pp_str closed,
                                  pp_permissions **out)
{
    const pp_claim_rules *publish = &claims->publish, *subscribe = &claims->subscribe;
    size_t half = publish->allow.count + publish->deny.count + (closed.len != 0);
    size_t count = half + subscribe->allow.count + subscribe->deny.count;
    pp_permission_rules publish_rules, subscribe_rules;
    pp_permission_rule *room;
    pipit_err err;

    *out = NULL;
    if (!count && !claims->has_responses)
        return PIPIT_OK;
    room = pp_calloc(count + 1, sizeof(*room));
    if (!room)
        return PIPIT_ENOMEM;
    publish_rules = make_rules(publish, room);
    if (closed.len)
        room[publish_rules.allow_count + publish_rules.deny_count++].subject = closed;
    publish_rules.responses = (pp_permission_responses){
        .allowed = claims->has_responses,
        .max = claims->responses_max,
        .ttl_ns = claims->responses_ttl_ns,
    };
    subscribe_rules = make_rules(subscribe, room + half);
    err = pp_permissions_new(out, &publish_rules, &subscribe_rules);
    pp_free(room);
    return err;
}

pipit_err pp_claim_permissions_make(const pp_claim_permissions *claims, pp_permissions **out)
{
    return make_permissions(claims, PP_STR(""), out);
}

pipit_err pp_claim_permissions_make_closed(const pp_claim_permissions *claims, pp_str closed,
                                           pp_permissions **out)
{
    return make_permissions(claims, closed, out);
}

pipit_err pp_token_permissions(const pp_token_grant *grant, const pp_account_claims *account,
                               pp_permissions **out)
{
    const pp_claim_permissions *own = &grant->limits.permissions;

    return make_permissions(pp_claim_permissions_empty(own) ? &account->default_permissions : own,
                            pp_account_claims_closed(account), out);
}
