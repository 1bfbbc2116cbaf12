#include "http/credentials.h"

#include <assert.h>
#include <sodium.h>

static_assert(PP_HTTP_HASH_BYTES == crypto_generichash_BYTES, "hash length of libsodium");
static_assert(PP_HTTP_HASH_BYTES == crypto_generichash_KEYBYTES, "key length of libsodium");

/* Of "user:password", in which the first colon ends the user. */
static void hash(const uint8_t key[PP_HTTP_HASH_BYTES], const char *secret, size_t len,
                 uint8_t out[PP_HTTP_HASH_BYTES])
{
    /* It can only fail for lengths other than the ones asserted above. */
    (void)crypto_generichash(out, PP_HTTP_HASH_BYTES, (const uint8_t *)secret, len, key,
                             PP_HTTP_HASH_BYTES);
}

void pp_http_credentials_init(pp_http_credentials *credentials)
{
    *credentials = (pp_http_credentials){0};
    (void)pthread_mutex_init(&credentials->lock, NULL);
}

void pp_http_credentials_fini(pp_http_credentials *credentials)
{
    sodium_memzero(credentials->key, sizeof(credentials->key));
    sodium_memzero(credentials->hash, sizeof(credentials->hash));
    (void)pthread_mutex_destroy(&credentials->lock);
}

pipit_err pp_http_credentials_set(pp_http_credentials *credentials, pp_str user, pp_str password)
{
    uint8_t key[PP_HTTP_HASH_BYTES], hashed[PP_HTTP_HASH_BYTES];
    char secret[PP_HTTP_SECRET_MAX];
    size_t len = user.len + 1 + password.len;

    if ((user.len && memchr(user.ptr, ':', user.len)) || (password.len && !user.len))
        return PIPIT_EINVAL;
    if (user.len > sizeof(secret) || password.len > sizeof(secret) || len > sizeof(secret))
        return PIPIT_ETOOBIG;
    if (sodium_init() < 0)
        return PIPIT_EIO;
    if (user.len)
        memcpy(secret, user.ptr, user.len);
    secret[user.len] = ':';
    if (password.len)
        memcpy(secret + user.len + 1, password.ptr, password.len);
    randombytes_buf(key, sizeof(key));
    hash(key, secret, len, hashed);
    sodium_memzero(secret, sizeof(secret));
    (void)pthread_mutex_lock(&credentials->lock);
    credentials->has_credentials = user.len > 0;
    memcpy(credentials->key, key, sizeof(key));
    memcpy(credentials->hash, hashed, sizeof(hashed));
    (void)pthread_mutex_unlock(&credentials->lock);
    return PIPIT_OK;
}

/* Decode "Basic dXNlcjpwYXNz", with or without padding. Source: RFC 7617. */
static bool decode_basic(pp_str authorization, char secret[PP_HTTP_SECRET_MAX], size_t *out_len)
{
    static const pp_str scheme = {"Basic ", 6};
    pp_str text = authorization;

    if (text.len < scheme.len || !pp_str_eq_nocase((pp_str){text.ptr, scheme.len}, scheme))
        return false;
    text.ptr += scheme.len;
    text.len -= scheme.len;
    while (text.len && text.ptr[0] == ' ') {
        text.ptr++;
        text.len--;
    }
    while (text.len && text.ptr[text.len - 1] == '=')
        text.len--;
    return sodium_base642bin((unsigned char *)secret, PP_HTTP_SECRET_MAX, text.ptr, text.len, NULL,
                             out_len, NULL, sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0;
}

bool pp_http_credentials_check(pp_http_credentials *credentials, pp_str authorization)
{
    uint8_t key[PP_HTTP_HASH_BYTES], expected[PP_HTTP_HASH_BYTES], actual[PP_HTTP_HASH_BYTES];
    char secret[PP_HTTP_SECRET_MAX];
    size_t len = 0;
    bool asked, decoded;

    (void)pthread_mutex_lock(&credentials->lock);
    asked = credentials->has_credentials;
    memcpy(key, credentials->key, sizeof(key));
    memcpy(expected, credentials->hash, sizeof(expected));
    (void)pthread_mutex_unlock(&credentials->lock);
    if (!asked)
        return true;
    decoded = decode_basic(authorization, secret, &len);
    hash(key, secret, decoded ? len : 0, actual);
    sodium_memzero(secret, sizeof(secret));
    return decoded & (sodium_memcmp(actual, expected, sizeof(actual)) == 0);
}
