/* Tokens, as those see them who run a broker. One block holds a pipit_token and all its texts. */
#include "auth/claims.h"
#include "auth/nkey.h"
#include "base/alloc.h"
#include "client/credentials.h"
#include "pipit/keys.h"

#include <jansson.h>
#include <stdio.h>

enum { CLAIMS_MAX = 4 * PP_JWT_BYTES_MAX };

/* What is said of a token by its type; what it says that is not so goes to issues. */
static pipit_err check(pp_jwt *jwt, int64_t now_s, pp_claim_issues *issues, pp_str *out_account,
                       char *reason)
{
    union {
        pp_operator_claims operator;
        pp_account_claims account;
        pp_user_claims user;
        pp_activation_claims activation;
    } claims;
    pipit_err err = PIPIT_OK;

    switch (jwt->type) {
    case PP_JWT_OPERATOR:
        err = pp_operator_claims_read(&claims.operator, jwt, reason);
        if (!err)
            pp_operator_claims_check(&claims.operator, now_s, issues);
        break;
    case PP_JWT_ACCOUNT:
        err = pp_account_claims_read(&claims.account, jwt, reason);
        if (!err)
            pp_account_claims_check(&claims.account, now_s, issues);
        break;
    case PP_JWT_USER:
        err = pp_user_claims_read(&claims.user, jwt, reason);
        if (!err) {
            pp_user_claims_check(&claims.user, now_s, issues);
            *out_account = pp_user_claims_account(&claims.user);
        }
        break;
    case PP_JWT_ACTIVATION:
        err = pp_activation_claims_read(&claims.activation, jwt, reason);
        if (!err) {
            pp_activation_claims_check(&claims.activation, issues);
            pp_jwt_check_time(jwt, now_s, issues);
        }
        break;
    default:
        pp_jwt_check_time(jwt, now_s, issues);
        break;
    }
    return err;
}

static const char *type_name(pp_jwt_type type)
{
    switch (type) {
    case PP_JWT_OPERATOR:
        return "operator";
    case PP_JWT_ACCOUNT:
        return "account";
    case PP_JWT_USER:
        return "user";
    case PP_JWT_ACTIVATION:
        return "activation";
    case PP_JWT_AUTHORIZATION_REQUEST:
        return "authorization_request";
    case PP_JWT_AUTHORIZATION_RESPONSE:
        return "authorization_response";
    case PP_JWT_GENERIC:
        break;
    }
    return "generic";
}

/* A copy at *at, which moves behind it. */
static const char *put(char **at, pp_str text)
{
    char *copy = *at;

    if (text.len)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *at += text.len + 1;
    return copy;
}

static pipit_err make(const pp_jwt *jwt, pp_str account, const pp_claim_issues *issues,
                      pp_str claims, pipit_token **out)
{
    pp_str issue_text = pp_buf_str(&issues->text);
    pipit_token *token =
        pp_calloc(1, sizeof(*token) + jwt->name.len + jwt->subject.len + jwt->issuer.len +
                         account.len + claims.len + issue_text.len + 6);
    char *at;

    if (!token)
        return PIPIT_ENOMEM;
    at = (char *)(token + 1);
    token->type = type_name(jwt->type);
    token->name = put(&at, jwt->name);
    token->subject = put(&at, jwt->subject);
    token->issuer = put(&at, jwt->issuer);
    token->account = put(&at, account);
    token->claims = put(&at, claims);
    token->issues = put(&at, issue_text);
    token->errors = issues->errors;
    token->warnings = issues->warnings;
    token->time_checks = issues->time_checks;
    token->issued_s = jwt->issued_s;
    token->expires_s = jwt->expires_s;
    token->not_before_s = jwt->not_before_s;
    *out = token;
    return PIPIT_OK;
}

/* The payload, indented. jansson writes through this, so that memory that is missing is seen. */
static int on_json(const char *bytes, size_t len, void *arg)
{
    return pp_buf_add(arg, bytes, len) ? -1 : 0;
}

static pipit_err decode(pp_str text, int64_t now_s, pipit_token **out, char *reason)
{
    pp_claim_issues issues;
    pp_str account = {NULL, 0};
    pp_buf claims;
    pp_jwt jwt;
    pipit_err err = pp_jwt_decode(&jwt, text, reason);

    pp_claim_issues_init(&issues);
    pp_buf_init(&claims, CLAIMS_MAX);
    if (!err)
        err = check(&jwt, now_s, &issues, &account, reason);
    if (!err && json_dump_callback(jwt.payload, on_json, &claims, JSON_INDENT(2)) != 0)
        err = PIPIT_ENOMEM;
    if (!err)
        err = make(&jwt, account, &issues, pp_buf_str(&claims), out);
    pp_buf_fini(&claims);
    pp_claim_issues_fini(&issues);
    pp_jwt_fini(&jwt);
    return err;
}

static pp_str trim(pp_str s)
{
    while (s.len && (unsigned char)*s.ptr <= ' ')
        s = (pp_str){s.ptr + 1, s.len - 1};
    while (s.len && (unsigned char)s.ptr[s.len - 1] <= ' ')
        s.len--;
    return s;
}

static pipit_err tell(pipit_err err, const char *reason, char *out_wrong, size_t wrong_bytes)
{
    if (err && wrong_bytes)
        (void)snprintf(out_wrong, wrong_bytes, "%s", *reason ? reason : pipit_strerror(err));
    return err;
}

pipit_err pipit_token_decode(const char *text, size_t bytes, int64_t now_s, pipit_token **out_token,
                             char *out_wrong, size_t wrong_bytes)
{
    char reason[PP_JWT_REASON_BYTES] = "";
    pipit_err err = decode(trim((pp_str){text, bytes}), now_s, out_token, reason);

    return tell(err, reason, out_wrong, wrong_bytes);
}

pipit_err pipit_credentials_decode(const char *text, size_t bytes, int64_t now_s,
                                   pipit_token **out_token, char out_public[PIPIT_KEY_BYTES],
                                   char *out_wrong, size_t wrong_bytes)
{
    pp_str jwt, seed;
    char copy[PP_NKEY_SEED_TEXT_BYTES] = "", public_text[PIPIT_KEY_BYTES] = "";
    bool is_seed = false;
    pipit_err err;

    pp_credentials_split((pp_str){text, bytes}, &jwt, &seed);
    if (!jwt.len)
        return tell(PIPIT_EINVAL, "no token of a user in it", out_wrong, wrong_bytes);
    if (seed.len && seed.len < sizeof(copy)) {
        memcpy(copy, seed.ptr, seed.len);
        err = pipit_key_public(copy, public_text, &is_seed);
        explicit_bzero(copy, sizeof(copy));
        if (err == PIPIT_EIO)
            return tell(err, "", out_wrong, wrong_bytes);
    }
    if (seed.len && !is_seed)
        return tell(PIPIT_EINVAL, "the seed in it is none", out_wrong, wrong_bytes);
    err = pipit_token_decode(jwt.ptr, jwt.len, now_s, out_token, out_wrong, wrong_bytes);
    if (!err)
        memcpy(out_public, public_text, sizeof(public_text));
    return err;
}

void pipit_token_free(pipit_token *token)
{
    pp_free(token);
}
