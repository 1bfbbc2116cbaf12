/* auth/token_login.h -- may the holder of a user's token come in, and as whom?
 *
 * Pure: accounts and the time are handed in, so that any moment can be asked about.
 * Source: NATS authentication, section 5.1, in this order. */
#ifndef PP_AUTH_TOKEN_LOGIN_H
#define PP_AUTH_TOKEN_LOGIN_H

#include "auth/claims.h"
#include "auth/trust.h"
#include "auth/user.h"

/* A token that has been read. */
typedef struct pp_token {
    pp_jwt jwt;
    pp_user_claims claims;
} pp_token;

/**
 * Read a user's token and see whether it makes sense at that time.
 *
 * Owner:  *out_token is the caller's, for pp_token_fini, also after a failure.
 * Errors: PIPIT_EINVAL, reason says why; PIPIT_ENOMEM.
 */
pipit_err pp_token_read(pp_token *out_token, pp_str text, int64_t now_s,
                        char reason[PP_JWT_REASON_BYTES]);
void pp_token_fini(pp_token *token);

/* How its holder came. */
typedef struct pp_token_visit {
    pp_str nonce, sig;
    pp_str host;              /* its address as text */
    uint16_t connection_type; /* one of PP_USER_STANDARD, ... */
    bool proxied;             /* a trusted proxy vouches for it */
    bool known; /* it is in already: what it signed was checked, and where it came from */
    int64_t now_s;
} pp_token_visit;

/* Why not. */
typedef enum pp_token_fault {
    PP_TOKEN_FINE,
    PP_TOKEN_DENIED,
    PP_TOKEN_PROXY_REQUIRED,
    PP_TOKEN_ISSUER,  /* its issuer is none of the account's, or its scope has changed */
    PP_TOKEN_EXPIRED, /* or not within its times of the day */
    PP_TOKEN_ACCOUNT_EXPIRED,
    PP_TOKEN_BEARER, /* the account wants none */
    PP_TOKEN_REVOKED,
    PP_TOKEN_NO_MEMORY,
} pp_token_fault;

/* As whom. */
typedef struct pp_token_grant {
    pp_user_limits limits; /* those of the token, or of its scope filled in */
    uint16_t connection_types;
    int64_t expires_s; /* 0: never */
} pp_token_grant;

/* Judge a token of an account. A scope is filled in with memory of the token. reason: a phrase for
 * the log, without secrets; static. */
pp_token_fault pp_token_judge(pp_token *token, const pp_account_claims *account,
                              const pp_trust *trust, const pp_token_visit *visit,
                              pp_token_grant *out_grant, const char **out_reason);

/* The part of it that needs no account: kinds of connection, addresses, times of the day and
 * expiry, by grant->limits. Neither a signature nor a proxy is asked for. */
pp_token_fault pp_token_terms(const pp_token *token, const pp_token_visit *visit,
                              pp_token_grant *grant, const char **out_reason);

/**
 * What a user may do, as rules of the core; *out NULL: everything. Those of the grant, or, if it
 * says nothing, those that are the account's default.
 *
 * Owner:  *out is the caller's. Errors: PIPIT_EINVAL; PIPIT_ENOMEM.
 */
pipit_err pp_token_permissions(const pp_token_grant *grant, const pp_account_claims *account,
                               pp_permissions **out);

/* The same of any permissions that claims have; closed is a subject that nothing may be published
 * to, whatever they say, or empty. */
pipit_err pp_claim_permissions_make(const pp_claim_permissions *claims, pp_permissions **out);
pipit_err pp_claim_permissions_make_closed(const pp_claim_permissions *claims, pp_str closed,
                                           pp_permissions **out);

/* Where an account has a callout service asked, its users may not publish. Empty: it has none. */
pp_str pp_account_claims_closed(const pp_account_claims *account);

/* "STANDARD", ... in any case; 0: not one of them. */
uint16_t pp_connection_type_of(pp_str name);

#endif
