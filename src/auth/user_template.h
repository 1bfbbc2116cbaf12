/* auth/user_template.h -- permissions that a scoped signing key gives to all whom it signs, with
 * places for what the user's token says: "app.{{name()}}.>".
 *
 * A value fills a place; it cannot change what the subject around it means: one that would bring a
 * wildcard or a blank is as bad as one that is missing. (nats-server lets wildcards in, by which
 * the holder of a signing key may give more than its scope has.) A dot is fine. Source: NATS
 * authentication, section 4.5. */
#ifndef PP_AUTH_USER_TEMPLATE_H
#define PP_AUTH_USER_TEMPLATE_H

#include "auth/claims.h"

enum { PP_TEMPLATE_RULES_MAX = 4096 }; /* of one list */

/**
 * Fill in the rules of permissions for the user of a token.
 *
 * Owner:  what is made belongs to the user's token.
 * Errors: PIPIT_EINVAL an operation that is not known, a deny rule that cannot be filled in, too
 *         many rules; PIPIT_ENOMEM.
 */
pipit_err pp_user_template_fill(pp_claim_permissions *permissions, pp_jwt *user,
                                pp_str issuer_account, const pp_jwt *account);

#endif
