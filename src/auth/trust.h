/* auth/trust.h -- the operators that a server trusts: keys that may issue accounts.
 *
 * Made from a configuration and never changed. */
#ifndef PP_AUTH_TRUST_H
#define PP_AUTH_TRUST_H

#include "auth/claims.h"
#include "auth/nkey.h"

typedef struct pp_trusted_key {
    char text[PP_NKEY_TEXT_BYTES];
    bool strict; /* accounts that it has issued sign users by signing keys only */
} pp_trusted_key;

typedef struct pp_trust {
    pp_trusted_key *keys;
    size_t count, cap;
} pp_trust;

void pp_trust_fini(pp_trust *trust);

/* Trust a key. Errors: PIPIT_EINVAL it is not an operator's; PIPIT_ENOMEM. */
pipit_err pp_trust_add_key(pp_trust *trust, pp_str key);

/* Trust an operator: its signing keys, and, unless it is strict, its own. */
pipit_err pp_trust_add_operator(pp_trust *trust, const pp_operator_claims *claims);

/* NULL: it is not trusted. */
const pp_trusted_key *pp_trust_find(const pp_trust *trust, pp_str key);

#endif
