#include "auth/claims.h"

#include "auth/nkey.h"

#include <jansson.h>
#include <stdio.h>

pipit_err pp_authorization_claims_read(pp_authorization_claims *out, pp_jwt *jwt,
                                       char reason[PP_JWT_REASON_BYTES])
{
    pp_claim_reader reader = {.jwt = jwt};

    if (jwt->type != PP_JWT_AUTHORIZATION_RESPONSE || jwt->version < 2) {
        (void)snprintf(reason, PP_JWT_REASON_BYTES, "not an authorization response claim");
        return PIPIT_EINVAL;
    }
    *out = (pp_authorization_claims){.jwt = jwt};
    out->user = pp_claim_text(&reader, jwt->nats, "jwt");
    out->error = pp_claim_text(&reader, jwt->nats, "error");
    out->issuer_account = pp_claim_text(&reader, jwt->nats, "issuer_account");
    if (reader.err == PIPIT_EINVAL)
        (void)snprintf(reason, PP_JWT_REASON_BYTES, "%s is of the wrong type", reader.wrong);
    return reader.err;
}

void pp_authorization_claims_check(const pp_authorization_claims *claims, int64_t now_s,
                                   pp_claim_issues *issues)
{
    pp_jwt_check_time(claims->jwt, now_s, issues);
    if (pp_nkey_decode(claims->jwt->subject, PP_NKEY_USER, NULL))
        pp_claim_error(issues, "Subject must be a user public key");
    if (pp_nkey_decode(claims->jwt->audience, PP_NKEY_SERVER, NULL))
        pp_claim_error(issues, "Audience must be a server public key");
    if (!claims->error.len && !claims->user.len)
        pp_claim_error(issues, "Error or Jwt is required");
    if (claims->error.len && claims->user.len)
        pp_claim_error(issues, "Only Error or Jwt can be set");
    if (claims->issuer_account.len && pp_nkey_decode(claims->issuer_account, PP_NKEY_ACCOUNT, NULL))
        pp_claim_error(issues, "account_id is not an account public key");
}
