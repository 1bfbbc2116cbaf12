/* The payload of tokens that are properly signed: an account's owner may put anything into them. */
#include "auth/claims.h"
#include "auth/token_login.h"
#include "token.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(pp_token *token, const pp_jwt *account)
{
    static const pp_token_visit visit = {.known = true, .now_s = 1000};
    pp_account_claims claims = {.jwt = account};
    pp_trust trust = {0};
    pp_token_grant grant;
    pp_permissions *permissions;
    const char *why;

    (void)pp_trust_add_key(&trust, account->issuer);
    if (!pp_token_judge(token, &claims, &trust, &visit, &grant, &why) &&
        !pp_token_permissions(&grant, &claims, &permissions))
        pp_permissions_free(permissions);
    pp_trust_fini(&trust);
}

static void read_all(pp_jwt *jwt, char *reason)
{
    pp_claim_issues issues;
    pp_operator_claims operator;
    pp_account_claims account;
    pp_activation_claims activation;
    pp_authorization_claims answer;
    pp_deletion_claims deletion;
    pp_token token;

    pp_claim_issues_init(&issues);
    if (!pp_operator_claims_read(&operator, jwt, reason))
        pp_operator_claims_check(&operator, 1000, &issues);
    if (!pp_account_claims_read(&account, jwt, reason))
        pp_account_claims_check(&account, 1000, &issues);
    if (!pp_activation_claims_read(&activation, jwt, reason))
        pp_activation_claims_check(&activation, &issues);
    if (!pp_authorization_claims_read(&answer, jwt, reason))
        pp_authorization_claims_check(&answer, 1000, &issues);
    (void)pp_deletion_claims_read(&deletion, jwt, reason);
    token.jwt = *jwt; /* which has all the memory so far */
    if (!pp_user_claims_read(&token.claims, &token.jwt, reason)) {
        pp_user_claims_check(&token.claims, 1000, &issues);
        judge(&token, jwt);
    }
    *jwt = token.jwt;
    pp_claim_issues_fini(&issues);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kinds = "OAN";
    char reason[PP_JWT_REASON_BYTES];

    for (unsigned i = 0; i < 3; i++) {
        test_key key;
        char *token, *json, *at;
        pp_jwt jwt;

        test_key_make(&key, kinds[i], 5);
        json = calloc(1, size + 57);
        if (!json)
            return 0;
        memcpy(json, data, size);
        /* 56 times the same letter stands for the issuer, which the fuzzer could not guess. */
        at = size ? memmem(json, size, "IIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIIII",
                           56)
                  : NULL;
        if (at)
            memcpy(at, key.text, 56);
        token = test_token_sealed(json, size, &key, 2);
        if (!pp_jwt_decode(&jwt, pp_str_of(token), reason))
            read_all(&jwt, reason);
        pp_jwt_fini(&jwt);
        free(token);
        free(json);
    }
    return 0;
}
