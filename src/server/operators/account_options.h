/* server/operators/account_options.h -- an account's claims as the options of an account.
 *
 * So that accounts of tokens and accounts of a configuration are made by the same hand. */
#ifndef PP_SERVER_OPERATORS_ACCOUNT_OPTIONS_H
#define PP_SERVER_OPERATORS_ACCOUNT_OPTIONS_H

#include "auth/claims.h"
#include "config/options.h"

/* Finds the claims of an account that something is imported from; NULL: they are not known. What it
 * gives stays for the call that asks. */
typedef const pp_account_claims *(*pp_exporter_find_fn)(void *context, pp_str key);

/**
 * Make options. Imports whose activation does not hold are made inactive.
 *
 * *out_until_s is when an activation ends next; 0: none does.
 * Owner:  what they point to is in arena. Errors: PIPIT_ENOMEM.
 */
pipit_err pp_claims_to_options(const pp_account_claims *claims, pp_exporter_find_fn find,
                               void *context, int64_t now_s, pp_arena *arena,
                               pp_account_options *out, int64_t *out_until_s);

#endif
