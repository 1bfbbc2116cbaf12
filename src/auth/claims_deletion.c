#include "auth/claims.h"

#include <jansson.h>
#include <stdio.h>

pipit_err pp_deletion_claims_read(pp_deletion_claims *out, pp_jwt *jwt,
                                  char reason[PP_JWT_REASON_BYTES])
{
    pp_claim_reader reader = {.jwt = jwt};

    *out = (pp_deletion_claims){.jwt = jwt};
    if (jwt->type != PP_JWT_GENERIC) {
        (void)snprintf(reason, PP_JWT_REASON_BYTES, "not a generic claim");
        return PIPIT_EINVAL;
    }
    out->accounts = pp_claim_texts(&reader, jwt->nats, "accounts", NULL);
    if (!reader.err && !out->accounts.count)
        pp_claim_fail(&reader, "accounts");
    if (reader.err == PIPIT_EINVAL)
        (void)snprintf(reason, PP_JWT_REASON_BYTES, "%s is of the wrong type", reader.wrong);
    return reader.err;
}
