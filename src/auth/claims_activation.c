#include "auth/claims.h"

#include "auth/nkey.h"
#include "core/subject.h"

#include <jansson.h>
#include <stdio.h>

static pipit_err fail(char *reason, const char *text)
{
    (void)snprintf(reason, PP_JWT_REASON_BYTES, "%s", text);
    return PIPIT_EINVAL;
}

pipit_err pp_activation_claims_read(pp_activation_claims *out, pp_jwt *jwt,
                                    char reason[PP_JWT_REASON_BYTES])
{
    pp_claim_reader reader = {.jwt = jwt};
    pp_str kind;

    if (jwt->type != PP_JWT_ACTIVATION)
        return fail(reason, "not activation claim");
    *out = (pp_activation_claims){.jwt = jwt};
    out->subject = pp_claim_text(&reader, jwt->nats, "subject");
    /* In version 2 "type" within nats is that of the token, as in all others. */
    kind = pp_claim_text(&reader, jwt->nats, jwt->version == 1 ? "type" : "kind");
    if (pp_str_eq(kind, PP_STR("stream")))
        out->kind = PP_CLAIM_STREAM;
    else if (pp_str_eq(kind, PP_STR("service")))
        out->kind = PP_CLAIM_SERVICE;
    else if (kind.len)
        pp_claim_fail(&reader, "kind");
    out->issuer_account =
        pp_claim_text(&reader, jwt->version == 1 ? jwt->payload : jwt->nats, "issuer_account");
    if (reader.err == PIPIT_EINVAL)
        (void)snprintf(reason, PP_JWT_REASON_BYTES, "%s is of the wrong type", reader.wrong);
    return reader.err;
}

void pp_activation_claims_check(const pp_activation_claims *claims, pp_claim_issues *issues)
{
    if (claims->kind == PP_CLAIM_NO_KIND)
        pp_claim_error(issues, "invalid import type");
    pp_claim_subject_check(claims->subject, issues);
    if (claims->issuer_account.len && pp_nkey_decode(claims->issuer_account, PP_NKEY_ACCOUNT, NULL))
        pp_claim_error(issues, "account_id is not an account public key");
}

/* What needs the token and the import alone. */
static pipit_err match(const pp_activation_claims *act, pp_str importer,
                       const pp_claim_import *import, char *reason)
{
    pp_str asked =
        import->kind == PP_CLAIM_SERVICE && import->to.len ? import->to : import->subject;
    pp_claim_issues issues;
    unsigned errors;

    pp_claim_issues_init(&issues);
    pp_activation_claims_check(act, &issues);
    errors = issues.errors;
    pp_claim_issues_fini(&issues);
    if (errors)
        return fail(reason, "activation token has invalid claims");
    if (!pp_str_eq(act->jwt->issuer, import->account) &&
        !pp_str_eq(act->issuer_account, import->account))
        return fail(reason, "activation token doesn't match account of import");
    if (!pp_str_eq(act->jwt->subject, importer))
        return fail(reason, "activation token doesn't match account it is being included in");
    if (act->kind != import->kind)
        return fail(reason, "mismatch between token import type and type of import");
    if (!pp_subject_valid(asked) || !pp_subject_subset(asked, act->subject))
        return fail(reason, "activation token import subject doesn't match import");
    return PIPIT_OK;
}

static pipit_err ask_exporter(const pp_activation_claims *act, const pp_account_claims *exporter,
                              const pp_claim_revocations *revocations, int64_t now_s, char *reason)
{
    const pp_jwt *jwt = act->jwt;

    if (!pp_str_eq(jwt->issuer, exporter->jwt->subject) &&
        (!pp_str_eq(act->issuer_account, exporter->jwt->subject) ||
         !pp_account_claims_key(exporter, jwt->issuer)))
        return fail(reason, "activation token is not signed by the exporting account");
    if (jwt->expires_s > 0 && now_s >= jwt->expires_s)
        return fail(reason, "activation token is expired");
    if (jwt->not_before_s > now_s)
        return fail(reason, "activation token is not yet valid");
    if (revocations && pp_claim_revoked(revocations, jwt->subject, jwt->issued_s))
        return fail(reason, "activation token is revoked");
    return PIPIT_OK;
}

pipit_err pp_activation_verify(pp_str token, pp_str importer, const pp_claim_import *import,
                               const pp_account_claims *exporter,
                               const pp_claim_revocations *revocations, int64_t now_s,
                               int64_t *out_expires_s, char reason[PP_JWT_REASON_BYTES])
{
    pp_activation_claims act;
    pp_jwt jwt;
    pipit_err err = pp_jwt_decode(&jwt, token, reason);

    if (!err)
        err = pp_activation_claims_read(&act, &jwt, reason);
    if (!err)
        err = match(&act, importer, import, reason);
    if (!err && exporter)
        err = ask_exporter(&act, exporter, revocations, now_s, reason);
    if (!err)
        *out_expires_s = jwt.expires_s > 0 ? jwt.expires_s : 0;
    pp_jwt_fini(&jwt);
    return err;
}
