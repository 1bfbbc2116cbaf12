#include "auth/secret.h"

#include <assert.h>
#include <crypt.h>
#include <sodium.h>
#include <stdio.h>

enum { VERSION_AT = 2, COST_AT = 4, HASH_LEN = PP_BCRYPT_HASH_BYTES - 1, SALT_BYTES = 16 };

static_assert(PP_SECRET_HASH_BYTES == crypto_generichash_BYTES, "hash length of libsodium");
static_assert(PP_SECRET_HASH_BYTES == crypto_generichash_KEYBYTES, "key length of libsodium");

pipit_err pp_user_key_new(pp_user_key *out_key)
{
    if (sodium_init() < 0)
        return PIPIT_EIO;
    randombytes_buf(out_key->bytes, sizeof(out_key->bytes));
    return PIPIT_OK;
}

/* --- plain -------------------------------------------------------------------------------- */

static void hash(const pp_user_key *key, pp_str text, uint8_t out[PP_SECRET_HASH_BYTES])
{
    /* It can only fail for lengths other than the ones asserted above. */
    (void)crypto_generichash(out, PP_SECRET_HASH_BYTES, (const uint8_t *)text.ptr, text.len,
                             key->bytes, sizeof(key->bytes));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Source: NATS authentication, section 2: ^\$2[abxy]\$\d{2}\$.* */
bool pp_secret_is_hashed(pp_str text)
{
    return text.len >= 7 && pp_str_starts(text, PP_STR("$2")) && text.ptr[VERSION_AT] != '\0' &&
           strchr("abxy", text.ptr[VERSION_AT]) && text.ptr[3] == '$' &&
           is_digit(text.ptr[COST_AT]) && is_digit(text.ptr[COST_AT + 1]) && text.ptr[6] == '$';
}

pp_secret pp_secret_of(const pp_user_key *key, pp_str text)
{
    pp_secret secret = {.bcrypt = pp_secret_is_hashed(text) ? text.ptr : NULL};

    hash(key, text, secret.hash); /* of a hash, too: so that two can be compared */
    return secret;
}

bool pp_secret_fits(const pp_secret *secret, const pp_user_key *key, pp_str shown)
{
    uint8_t shown_hash[PP_SECRET_HASH_BYTES];
    bool same;

    hash(key, shown, shown_hash);
    same = sodium_memcmp(shown_hash, secret->hash, sizeof(shown_hash)) == 0;
    sodium_memzero(shown_hash, sizeof(shown_hash));
    return same && !secret->bcrypt;
}

bool pp_secret_equal(const pp_secret *a, const pp_secret *b)
{
    return sodium_memcmp(a->hash, b->hash, sizeof(a->hash)) == 0;
}

/* --- bcrypt ------------------------------------------------------------------------------- */

size_t pp_bcrypt_scratch_bytes(void)
{
    return sizeof(struct crypt_data);
}

unsigned pp_bcrypt_cost(const char *text)
{
    return (unsigned)(text[COST_AT] - '0') * 10 + (unsigned)(text[COST_AT + 1] - '0');
}

void pp_bcrypt_dummy(unsigned cost, char out[PP_BCRYPT_SETTING_BYTES])
{
    cost = cost < PP_BCRYPT_COST_MIN   ? PP_BCRYPT_COST_MIN
           : cost > PP_BCRYPT_COST_MAX ? PP_BCRYPT_COST_MAX
                                       : cost;
    (void)snprintf(out, PP_BCRYPT_SETTING_BYTES, "$2b$%02u$......................", cost);
}

/* Versions a, x and y each stand for a mistake that some library once made and for the ways around
 * it; Go's bcrypt, which nats-server uses, reads all as what is now called b. */
bool pp_bcrypt_fits(const char *text, pp_str shown, void *scratch)
{
    char password[PP_BCRYPT_PASSWORD_MAX + 1], setting[HASH_LEN + 1];
    size_t len = shown.len < PP_BCRYPT_PASSWORD_MAX ? shown.len : PP_BCRYPT_PASSWORD_MAX;
    bool whole = strlen(text) == HASH_LEN;
    const char *made;
    bool fits;

    (void)snprintf(setting, sizeof(setting), "%s", text);
    setting[VERSION_AT] = 'b';
    if (len)
        memcpy(password, shown.ptr, len);
    password[len] = '\0';
    memset(scratch, 0, pp_bcrypt_scratch_bytes());
    made = crypt_r(password, setting, scratch);
    /* libxcrypt reads up to a NUL, so who shows one shows something else than was hashed. */
    fits = made && whole && strlen(made) == HASH_LEN && !memchr(password, '\0', len) &&
           sodium_memcmp(made, setting, HASH_LEN) == 0;
    sodium_memzero(password, sizeof(password));
    return fits;
}

/* Version a is what other makers of configurations write; all readers take it. */
pipit_err pp_bcrypt_make(const char *password, unsigned cost, void *scratch,
                         char out[PP_BCRYPT_HASH_BYTES])
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    char salt[SALT_BYTES];
    const char *made;

    if (cost < PP_BCRYPT_COST_MIN || cost > PP_BCRYPT_COST_MAX)
        return PIPIT_EINVAL;
    if (sodium_init() < 0)
        return PIPIT_EIO;
    randombytes_buf(salt, sizeof(salt));
    if (!crypt_gensalt_rn("$2a$", cost, salt, sizeof(salt), setting, sizeof(setting)))
        return PIPIT_EIO;
    memset(scratch, 0, pp_bcrypt_scratch_bytes());
    made = crypt_r(password, setting, scratch);
    if (!made || strlen(made) != HASH_LEN)
        return PIPIT_EIO;
    memcpy(out, made, PP_BCRYPT_HASH_BYTES);
    return PIPIT_OK;
}
