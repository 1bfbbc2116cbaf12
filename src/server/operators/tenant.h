/* server/operators/tenant.h -- accounts that tokens have made, by key.
 *
 * A tenant is made when the token of its account has first been found and trusted, and stays as
 * long as the server. What its token claims is immutable, counted, and exchanged whole. */
#ifndef PP_SERVER_OPERATORS_TENANT_H
#define PP_SERVER_OPERATORS_TENANT_H

#include "auth/claims.h"
#include "auth/nkey.h"
#include "auth/user.h"

#include <stdatomic.h>

/* One token of an account. */
typedef struct pp_tenant_claims {
    atomic_int holders;
    char *token;
    size_t token_len;
    pp_jwt jwt;
    pp_account_claims claims;
    uint64_t defaults_hash; /* of the default permissions */
} pp_tenant_claims;

/**
 * Read and check a token of an account; held once.
 *
 * Errors: PIPIT_EINVAL it is none, or its claims make no sense, now at least: reason says why;
 * PIPIT_ENOMEM.
 */
pipit_err pp_tenant_claims_new(pp_tenant_claims **out_claims, pp_str token, int64_t now_s,
                               char reason[PP_JWT_REASON_BYTES]);
void pp_tenant_claims_hold(pp_tenant_claims *claims);
void pp_tenant_claims_let_go(pp_tenant_claims *claims); /* NULL is fine */

typedef struct pp_tenant {
    struct pp_tenant *chain, *next; /* in the table; of all */
    char key[PP_NKEY_TEXT_BYTES];
    pp_account *account;
    pp_user *root;            /* its root; NULL: of the system account, which has another */
    pp_tenant_claims *claims; /* held */
    int64_t found_ns;         /* when, by the monotonic clock */
    int64_t until_s;          /* when one of its activations ends; 0: none does */
    atomic_uint asked;        /* of its callout service, and not answered */
    bool has_activations;     /* some of its imports show one */
    bool ended;               /* its token has been deleted */
    bool expiry_told;         /* its clients have been sent away since its token expired */
} pp_tenant;

typedef struct pp_tenants {
    pp_tenant **table;
    size_t mask, count;
    uint64_t seed;
    pp_tenant *first;
    size_t activation_count; /* with has_activations */
} pp_tenants;

pipit_err pp_tenants_init(pp_tenants *tenants); /* Errors: PIPIT_ENOMEM. */
void pp_tenants_fini(pp_tenants *tenants);
pp_tenant *pp_tenants_find(const pp_tenants *tenants, pp_str key);
/* Make room for one more. Errors: PIPIT_ENOMEM. */
pipit_err pp_tenants_reserve(pp_tenants *tenants);
/* Into room that has been made. Owner: the table's. */
void pp_tenants_add(pp_tenants *tenants, pp_tenant *tenant);

#endif
