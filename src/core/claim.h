/* core/claim.h -- exclusive claims: of those who want a literal subject for themselves, one has it.
 *
 * A claim keeps nobody from subscribing or publishing; it is an agreement among those who claim. An
 * account has its claims from the first one on. */
#ifndef PP_CORE_CLAIM_H
#define PP_CORE_CLAIM_H

#include "core/account.h"

/* Take subject for owner, who may have it already: then *out_new, which may be NULL, is false.
 * Errors: PIPIT_EINUSE somebody else has it; PIPIT_ENOMEM. Thread: any. */
pipit_err pp_claim_take(pp_account *account, pp_str subject, const void *owner, bool *out_new);

/* False: owner does not have it, and nothing happens. Thread: any. */
bool pp_claim_release(pp_account *account, pp_str subject, const void *owner);

/* Release all that owner has. It takes as long as the account has claims. Thread: any. */
void pp_claim_release_all(pp_account *account, const void *owner);

/* Only with the account. */
void pp_claims_free(struct pp_claims *claims);

#endif
