/* What a callout service answers: any bytes as a message; any claims signed by who is believed, as
 * the answer and as the user's token in it; and the same in a box. */
#include "auth/callout_answer.h"
#include "auth/nkey.h"
#include "auth/xkey.h"
#include "token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOW_S = 1000, KEY_LEN = 56 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Everything that is the same from run to run. */
struct world {
    test_key issuer;
    test_key user;
    uint8_t server_seed[PP_NKEY_RAW_BYTES], server_public[PP_NKEY_RAW_BYTES];
    uint8_t service_seed[PP_NKEY_RAW_BYTES], service_public[PP_NKEY_RAW_BYTES];
};

static void world_make(struct world *w)
{
    test_key_make(&w->issuer, 'A', 1);
    test_key_make(&w->user, 'U', 2);
    pp_xkey_new(w->server_seed, w->server_public);
    pp_xkey_new(w->service_seed, w->service_public);
}

static void take(const struct world *w, pp_str message)
{
    const pp_callout_question question = {
        .user_nkey = pp_str_of(w->user.text),
        .server_id = PP_STR("NSERVER"),
        .account = PP_STR("A"),
        .server_xkey_seed = w->server_seed,
        .service_xkey = w->service_public,
        .now_s = NOW_S,
    };
    static const pp_token_visit visit = {.known = true, .now_s = NOW_S};
    char reason[PP_CALLOUT_REASON_BYTES] = "";
    pp_callout_answer answer = {0};

    if (!pp_callout_answer_open(&answer, &question, message, reason) &&
        !pp_callout_answer_user(&answer, &question, reason)) {
        pp_token_grant grant = {.limits = answer.user.claims.limits};
        pp_permissions *permissions = NULL;

        (void)pp_callout_answer_terms(&answer, &question, &visit, &grant, reason);
        if (!pp_claim_permissions_make_closed(&grant.limits.permissions, PP_STR("closed"),
                                              &permissions))
            pp_permissions_free(permissions);
    }
    pp_callout_answer_fini(&answer);
}

static void take_sealed(const struct world *w, pp_str message)
{
    pp_buf box;

    pp_buf_init(&box, PP_CALLOUT_ANSWER_MAX + 256);
    if (!pp_xkey_seal(w->service_seed, w->server_public, message, &box))
        take(w, pp_buf_str(&box));
    pp_buf_fini(&box);
}

/* 56 times a letter stands for a key, which the fuzzer could not guess. */
static void put_key(char *json, size_t size, char letter, const char *key)
{
    char wanted[KEY_LEN];
    char *at;

    memset(wanted, letter, sizeof(wanted));
    at = size ? memmem(json, size, wanted, sizeof(wanted)) : NULL;
    if (at)
        memcpy(at, key, KEY_LEN);
}

static char *sign(const struct world *w, const uint8_t *data, size_t size)
{
    char *json = calloc(1, size + KEY_LEN + 1), *token;

    if (!json)
        return NULL;
    if (size)
        memcpy(json, data, size);
    put_key(json, size, 'I', w->issuer.text);
    put_key(json, size, 'U', w->user.text);
    token = test_token_sealed(json, size, &w->issuer, 2);
    free(json);
    return token;
}

/* The data as claims of the user; the answer around it is right. */
static char *wrap(const struct world *w, const char *user)
{
    static const char form[] =
        "{\"iss\":\"%s\",\"sub\":\"%s\",\"aud\":\"NSERVER\",\"iat\":1,\"jti\":\"x\",\"nats\":"
        "{\"type\":\"authorization_response\",\"version\":2,\"jwt\":\"%s\"}}";
    size_t bytes = sizeof(form) + 2 * KEY_LEN + strlen(user);
    char *json = malloc(bytes), *token;

    if (!json)
        return NULL;
    (void)snprintf(json, bytes, form, w->issuer.text, w->user.text, user);
    token = test_token_sealed(json, strlen(json), &w->issuer, 2);
    free(json);
    return token;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w; /* the same for all runs */
    char *signed_by_issuer, *answer;

    if (!*w.issuer.text)
        world_make(&w);
    take(&w, (pp_str){(const char *)data, size});
    take_sealed(&w, (pp_str){(const char *)data, size});
    signed_by_issuer = sign(&w, data, size);
    if (!signed_by_issuer)
        return 0;
    take(&w, pp_str_of(signed_by_issuer));
    answer = wrap(&w, signed_by_issuer);
    if (answer) {
        take(&w, pp_str_of(answer));
        take_sealed(&w, pp_str_of(answer));
    }
    free(answer);
    free(signed_by_issuer);
    return 0;
}
