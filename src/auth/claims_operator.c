#include "auth/claims.h"

#include "auth/nkey.h"

#include <jansson.h>
#include <stdio.h>

pipit_err pp_operator_claims_read(pp_operator_claims *out, pp_jwt *jwt,
                                  char reason[PP_JWT_REASON_BYTES])
{
    pp_claim_reader reader = {.jwt = jwt};

    if (jwt->type != PP_JWT_OPERATOR) {
        (void)snprintf(reason, PP_JWT_REASON_BYTES, "not operator claim");
        return PIPIT_EINVAL;
    }
    *out = (pp_operator_claims){.jwt = jwt};
    out->signing_keys = pp_claim_texts(&reader, jwt->nats, "signing_keys", NULL);
    if (jwt->version > 1) {
        out->service_urls = pp_claim_texts(&reader, jwt->nats, "operator_service_urls", NULL);
        out->account_server_url = pp_claim_text(&reader, jwt->nats, "account_server_url");
        out->system_account = pp_claim_text(&reader, jwt->nats, "system_account");
        out->assert_server_version = pp_claim_text(&reader, jwt->nats, "assert_server_version");
        out->strict = pp_claim_bool(&reader, jwt->nats, "strict_signing_key_usage");
    }
    if (reader.err == PIPIT_EINVAL)
        (void)snprintf(reason, PP_JWT_REASON_BYTES, "%s is of the wrong type", reader.wrong);
    return reader.err;
}

/* "x.y.z" */
static bool is_version(pp_str text)
{
    for (unsigned i = 0; i < 3; i++) {
        const char *dot = memchr(text.ptr, '.', text.len);
        size_t len = i < 2 && dot ? (size_t)(dot - text.ptr) : text.len;
        uint64_t number;

        if (!pp_str_parse_u64((pp_str){text.ptr, len}, INT32_MAX, &number))
            return false;
        text.ptr += len;
        text.len -= len;
        if (i < 2) {
            if (!text.len)
                return false;
            text.ptr++;
            text.len--;
        }
    }
    return true;
}

void pp_operator_claims_check(const pp_operator_claims *claims, int64_t now_s,
                              pp_claim_issues *issues)
{
    pp_jwt_check_time(claims->jwt, now_s, issues);
    for (size_t i = 0; i < claims->signing_keys.count; i++) {
        if (pp_nkey_decode(claims->signing_keys.items[i], PP_NKEY_OPERATOR, NULL))
            pp_claim_error(issues, "%.*s is not an operator public key",
                           PP_STR_ARGS(claims->signing_keys.items[i]));
    }
    if (claims->system_account.len && pp_nkey_decode(claims->system_account, PP_NKEY_ACCOUNT, NULL))
        pp_claim_error(issues, "%.*s is not an account public key",
                       PP_STR_ARGS(claims->system_account));
    if (claims->assert_server_version.len && !is_version(claims->assert_server_version))
        pp_claim_error(issues, "assert server version error: asserted server version must be of "
                               "the form <major>.<minor>.<update>");
}
