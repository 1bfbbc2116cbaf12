#include "auth/credentials.h"

#include <assert.h>
#include <sodium.h>

static_assert(PP_CREDENTIAL_HASH_BYTES == crypto_generichash_BYTES, "hash length of libsodium");
static_assert(PP_CREDENTIAL_HASH_BYTES == crypto_generichash_KEYBYTES, "key length of libsodium");

static void hash(const struct pp_credentials *credentials, pp_str text,
                 uint8_t out[PP_CREDENTIAL_HASH_BYTES])
{
    /* It can only fail for lengths other than the ones asserted above. */
    (void)crypto_generichash(out, PP_CREDENTIAL_HASH_BYTES, (const uint8_t *)text.ptr, text.len,
                             credentials->key, sizeof(credentials->key));
}

static bool matches(const struct pp_credentials *credentials, pp_str presented,
                    const uint8_t expected[PP_CREDENTIAL_HASH_BYTES])
{
    uint8_t actual[PP_CREDENTIAL_HASH_BYTES];

    hash(credentials, presented, actual);
    return sodium_memcmp(actual, expected, sizeof(actual)) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Source: NATS authentication, section 2: ^\$2[abxy]\$\d{2}\$.* */
bool pp_credentials_is_bcrypt(pp_str text)
{
    return text.len >= 7 && pp_str_starts(text, PP_STR("$2")) && text.ptr[2] != '\0' &&
           strchr("abxy", text.ptr[2]) && text.ptr[3] == '$' && is_digit(text.ptr[4]) &&
           is_digit(text.ptr[5]) && text.ptr[6] == '$';
}

pipit_err pp_credentials_init(struct pp_credentials *credentials, pp_str user, pp_str pass,
                              pp_str token)
{
    struct pp_credentials fresh = {.has_user = user.len > 0, .has_token = token.len > 0};

    if (pass.len && !user.len)
        return PIPIT_EINVAL;
    if (pp_credentials_is_bcrypt(pass) || pp_credentials_is_bcrypt(token))
        return PIPIT_EINVAL;
    if (sodium_init() < 0)
        return PIPIT_EIO;
    randombytes_buf(fresh.key, sizeof(fresh.key));
    hash(&fresh, user, fresh.user_hash);
    hash(&fresh, pass, fresh.pass_hash);
    hash(&fresh, token, fresh.token_hash);
    *credentials = fresh;
    sodium_memzero(&fresh, sizeof(fresh));
    return PIPIT_OK;
}

void pp_credentials_fini(struct pp_credentials *credentials)
{
    sodium_memzero(credentials, sizeof(*credentials));
}

bool pp_credentials_check(const struct pp_credentials *credentials, pp_str user, pp_str pass,
                          pp_str token)
{
    bool user_matches, pass_matches;

    if (credentials->has_token)
        return matches(credentials, token, credentials->token_hash);
    if (!credentials->has_user)
        return true;
    user_matches = matches(credentials, user, credentials->user_hash);
    pass_matches = matches(credentials, pass, credentials->pass_hash);
    return user_matches & pass_matches; /* both are always computed */
}
