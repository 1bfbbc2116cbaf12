/* Keys and hashes of passwords for who signs in with them. */
#include "pipit/keys.h"

#include "auth/nkey.h"
#include "auth/secret.h"
#include "base/alloc.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

static_assert((int)PIPIT_KEY_BYTES >= (int)PP_NKEY_SEED_TEXT_BYTES &&
                  (int)PIPIT_PASSWORD_MAX == (int)PP_BCRYPT_PASSWORD_MAX &&
                  (int)PIPIT_PASSWORD_HASH_BYTES >= (int)PP_BCRYPT_HASH_BYTES,
              "what is said in public");

static bool find_kind(char letter, uint8_t *out)
{
    static const struct {
        char letter;
        uint8_t kind;
    } kinds[] = {{'N', PP_NKEY_SERVER}, {'O', PP_NKEY_OPERATOR}, {'A', PP_NKEY_ACCOUNT},
                 {'U', PP_NKEY_USER},   {'C', PP_NKEY_CLUSTER},  {'X', PP_NKEY_CURVE}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].letter == letter) {
            *out = kinds[i].kind;
            return true;
        }
    }
    return false;
}

pipit_err pipit_key_new(char kind, char out_public[PIPIT_KEY_BYTES], char out_seed[PIPIT_KEY_BYTES])
{
    uint8_t seed[PP_NKEY_RAW_BYTES], kind_byte;
    pipit_err err;

    if (!find_kind(kind, &kind_byte))
        return PIPIT_EINVAL;
    err = pp_nkey_new(kind_byte, seed, out_public);
    if (!err)
        pp_nkey_seed_format(kind_byte, seed, out_seed);
    explicit_bzero(seed, sizeof(seed));
    return err;
}

static pp_str trimmed(const char *text)
{
    static const char blanks[] = " \t\r\n";
    size_t len;

    text += strspn(text, blanks);
    len = strlen(text);
    while (len && strchr(blanks, text[len - 1]))
        len--;
    return (pp_str){text, len};
}

pipit_err pipit_key_public(const char *text, char out_public[PIPIT_KEY_BYTES], bool *out_seed)
{
    uint8_t seed[PP_NKEY_RAW_BYTES], key[PP_NKEY_RAW_BYTES], kind;
    pp_str given = trimmed(text);
    bool is_seed;

    if (sodium_init() < 0)
        return PIPIT_EIO;
    is_seed = pp_nkey_seed_decode(given, &kind, seed) == PIPIT_OK;
    if (is_seed)
        pp_nkey_public(kind, seed, key);
    explicit_bzero(seed, sizeof(seed));
    if (!is_seed && pp_nkey_decode_any(given, &kind, key))
        return PIPIT_EINVAL;
    pp_nkey_format(kind, key, out_public);
    if (out_seed)
        *out_seed = is_seed;
    return PIPIT_OK;
}

pipit_err pipit_password_hash(const char *password, unsigned cost,
                              char out_hash[PIPIT_PASSWORD_HASH_BYTES])
{
    void *scratch;
    pipit_err err;

    if (strlen(password) > PIPIT_PASSWORD_MAX)
        return PIPIT_ETOOBIG;
    if (cost < PP_BCRYPT_COST_MIN || cost > PP_BCRYPT_COST_MAX)
        return PIPIT_EINVAL;
    scratch = pp_alloc(pp_bcrypt_scratch_bytes());
    if (!scratch)
        return PIPIT_ENOMEM;
    err = pp_bcrypt_make(password, cost, scratch, out_hash);
    explicit_bzero(scratch, pp_bcrypt_scratch_bytes());
    pp_free(scratch);
    return err;
}

pipit_err pipit_password_check(const char *hash, const char *password)
{
    void *scratch;
    bool fits;

    if (!pp_secret_is_hashed(pp_str_of(hash)) || strlen(hash) != PP_BCRYPT_HASH_BYTES - 1)
        return PIPIT_EINVAL;
    scratch = pp_alloc(pp_bcrypt_scratch_bytes());
    if (!scratch)
        return PIPIT_ENOMEM;
    fits = pp_bcrypt_fits(hash, pp_str_of(password), scratch);
    explicit_bzero(scratch, pp_bcrypt_scratch_bytes());
    pp_free(scratch);
    return fits ? PIPIT_OK : PIPIT_EAUTH;
}
