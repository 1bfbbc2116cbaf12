#include "auth/nkey.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

enum {
    CRC_BYTES = 2,
    PUBLIC_BYTES = 1 + PP_NKEY_RAW_BYTES + CRC_BYTES,
    SEED_BYTES = 2 + PP_NKEY_RAW_BYTES + CRC_BYTES,
    PRIVATE_BYTES = 1 + PP_NKEY_PRIVATE_BYTES + CRC_BYTES,
    SEED_MARK = 18 << 3,
    PRIVATE_MARK = 15 << 3,
    MARK_MASK = 0xF8, /* the first letter is five bits */
};

#define TEXT_LEN(bytes) (((bytes)*8 + 4) / 5)

static_assert(crypto_sign_PUBLICKEYBYTES == PP_NKEY_RAW_BYTES &&
                  crypto_sign_SEEDBYTES == PP_NKEY_RAW_BYTES &&
                  crypto_sign_SECRETKEYBYTES == PP_NKEY_PRIVATE_BYTES &&
                  crypto_sign_BYTES == PP_NKEY_SIGNATURE_BYTES,
              "an NKey is an Ed25519 key");
static_assert(crypto_scalarmult_BYTES == PP_NKEY_RAW_BYTES, "or an X25519 key");
static_assert(TEXT_LEN(PUBLIC_BYTES) + 1 == PP_NKEY_TEXT_BYTES &&
                  TEXT_LEN(SEED_BYTES) + 1 == PP_NKEY_SEED_TEXT_BYTES &&
                  TEXT_LEN(PRIVATE_BYTES) + 1 == PP_NKEY_PRIVATE_TEXT_BYTES,
              "texts with their NUL");

/* --- base32 and the CRC ------------------------------------------------------------------- */

/* CRC-16/XMODEM: polynomial 0x1021, from zero, most significant bit first. */
static uint16_t crc16(const uint8_t *bytes, size_t len)
{
    unsigned crc = 0;

    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned)bytes[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1;
    }
    return (uint16_t)crc;
}

/* Put the CRC of all others behind them, and write all as text. */
static void format(uint8_t *bytes, size_t len, char *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint16_t crc = crc16(bytes, len - CRC_BYTES);
    unsigned bits = 0, bit_count = 0;

    bytes[len - 2] = (uint8_t)crc;
    bytes[len - 1] = (uint8_t)(crc >> 8);
    for (size_t i = 0; i < len; i++) {
        bits = (bits << 8 | bytes[i]) & 0xFFFF;
        for (bit_count += 8; bit_count >= 5; bit_count -= 5)
            *out++ = alphabet[bits >> (bit_count - 5) & 31];
    }
    if (bit_count)
        *out++ = alphabet[bits << (5 - bit_count) & 31];
    *out = '\0';
}

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

/* Read exactly len bytes, with the CRC of the others at their end. */
static bool decode(pp_str text, uint8_t *out, size_t len)
{
    unsigned bits = 0, bit_count = 0;
    size_t at = 0;

    if (text.len != TEXT_LEN(len))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int value = digit_value(text.ptr[i]);

        if (value < 0)
            return false;
        bits = (bits << 5 | (unsigned)value) & 0xFFFF;
        bit_count += 5;
        if (bit_count >= 8) {
            bit_count -= 8;
            out[at++] = (uint8_t)(bits >> bit_count);
        }
    }
    if (bits & ((1u << bit_count) - 1)) /* what is left over of the last digit */
        return false;
    return crc16(out, len - CRC_BYTES) == (out[len - 2] | out[len - 1] << 8);
}

/* --- public keys -------------------------------------------------------------------------- */

static bool is_kind(uint8_t kind)
{
    return kind == PP_NKEY_USER || kind == PP_NKEY_ACCOUNT || kind == PP_NKEY_OPERATOR ||
           kind == PP_NKEY_SERVER || kind == PP_NKEY_CLUSTER || kind == PP_NKEY_CURVE;
}

void pp_nkey_format(uint8_t kind, const uint8_t key[PP_NKEY_RAW_BYTES],
                    char out[PP_NKEY_TEXT_BYTES])
{
    uint8_t bytes[PUBLIC_BYTES];

    bytes[0] = kind;
    memcpy(bytes + 1, key, PP_NKEY_RAW_BYTES);
    format(bytes, sizeof(bytes), out);
}

pipit_err pp_nkey_decode_any(pp_str text, uint8_t *out_kind, uint8_t out_key[PP_NKEY_RAW_BYTES])
{
    uint8_t bytes[PUBLIC_BYTES];

    if (!decode(text, bytes, sizeof(bytes)) || !is_kind(bytes[0]))
        return PIPIT_EINVAL;
    *out_kind = bytes[0];
    if (out_key)
        memcpy(out_key, bytes + 1, PP_NKEY_RAW_BYTES);
    return PIPIT_OK;
}

pipit_err pp_nkey_decode(pp_str text, uint8_t kind, uint8_t out_key[PP_NKEY_RAW_BYTES])
{
    uint8_t key[PP_NKEY_RAW_BYTES], found;

    if (pp_nkey_decode_any(text, &found, key) || found != kind)
        return PIPIT_EINVAL;
    if (out_key)
        memcpy(out_key, key, sizeof(key));
    return PIPIT_OK;
}

/* --- the private half --------------------------------------------------------------------- */

void pp_nkey_seed_format(uint8_t kind, const uint8_t seed[PP_NKEY_RAW_BYTES],
                         char out[PP_NKEY_SEED_TEXT_BYTES])
{
    uint8_t bytes[SEED_BYTES];

    bytes[0] = (uint8_t)(SEED_MARK | kind >> 5);
    bytes[1] = (uint8_t)(kind << 3);
    memcpy(bytes + 2, seed, PP_NKEY_RAW_BYTES);
    format(bytes, sizeof(bytes), out);
    sodium_memzero(bytes, sizeof(bytes));
}

pipit_err pp_nkey_seed_decode(pp_str text, uint8_t *out_kind, uint8_t out_seed[PP_NKEY_RAW_BYTES])
{
    uint8_t bytes[SEED_BYTES] = {0}, kind;
    bool good = decode(text, bytes, sizeof(bytes)) && (bytes[0] & MARK_MASK) == SEED_MARK;

    kind = (uint8_t)((bytes[0] & 7) << 5 | bytes[1] >> 3);
    good = good && is_kind(kind) && (bytes[1] & 7) == 0;
    if (good) {
        *out_kind = kind;
        memcpy(out_seed, bytes + 2, PP_NKEY_RAW_BYTES);
    }
    sodium_memzero(bytes, sizeof(bytes));
    return good ? PIPIT_OK : PIPIT_EINVAL;
}

void pp_nkey_private_format(const uint8_t key[PP_NKEY_PRIVATE_BYTES],
                            char out[PP_NKEY_PRIVATE_TEXT_BYTES])
{
    uint8_t bytes[PRIVATE_BYTES];

    bytes[0] = PRIVATE_MARK;
    memcpy(bytes + 1, key, PP_NKEY_PRIVATE_BYTES);
    format(bytes, sizeof(bytes), out);
    sodium_memzero(bytes, sizeof(bytes));
}

pipit_err pp_nkey_private_decode(pp_str text, uint8_t out_key[PP_NKEY_PRIVATE_BYTES])
{
    uint8_t bytes[PRIVATE_BYTES] = {0};
    bool good = decode(text, bytes, sizeof(bytes)) && bytes[0] == PRIVATE_MARK;

    if (good)
        memcpy(out_key, bytes + 1, PP_NKEY_PRIVATE_BYTES);
    sodium_memzero(bytes, sizeof(bytes));
    return good ? PIPIT_OK : PIPIT_EINVAL;
}

void pp_nkey_public(uint8_t kind, const uint8_t seed[PP_NKEY_RAW_BYTES],
                    uint8_t out_key[PP_NKEY_RAW_BYTES])
{
    uint8_t secret_key[crypto_sign_SECRETKEYBYTES];

    if (kind == PP_NKEY_CURVE) {
        (void)crypto_scalarmult_base(out_key, seed);
        return;
    }
    (void)crypto_sign_seed_keypair(out_key, secret_key, seed);
    sodium_memzero(secret_key, sizeof(secret_key));
}

pipit_err pp_nkey_new(uint8_t kind, uint8_t *out_seed, char out[PP_NKEY_TEXT_BYTES])
{
    uint8_t seed[PP_NKEY_RAW_BYTES], key[PP_NKEY_RAW_BYTES];

    if (sodium_init() < 0) /* may be called again and again */
        return PIPIT_EIO;
    randombytes_buf(seed, sizeof(seed));
    pp_nkey_public(kind, seed, key);
    pp_nkey_format(kind, key, out);
    if (out_seed)
        memcpy(out_seed, seed, sizeof(seed));
    sodium_memzero(seed, sizeof(seed));
    return PIPIT_OK;
}

/* --- signatures --------------------------------------------------------------------------- */

void pp_nkey_sign(const uint8_t seed[PP_NKEY_RAW_BYTES], pp_str message,
                  uint8_t out_signature[PP_NKEY_SIGNATURE_BYTES])
{
    uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
    uint8_t secret_key[crypto_sign_SECRETKEYBYTES];

    (void)crypto_sign_seed_keypair(public_key, secret_key, seed);
    (void)crypto_sign_detached(out_signature, NULL, (const uint8_t *)message.ptr, message.len,
                               secret_key);
    sodium_memzero(secret_key, sizeof(secret_key));
}

bool pp_nkey_verify(const uint8_t key[PP_NKEY_RAW_BYTES], pp_str message,
                    const uint8_t signature[PP_NKEY_SIGNATURE_BYTES])
{
    return crypto_sign_verify_detached(signature, (const uint8_t *)message.ptr, message.len, key) ==
           0;
}

static bool read_base64(pp_str text, int variant, uint8_t out[PP_NKEY_SIGNATURE_BYTES])
{
    size_t len = 0;

    return sodium_base642bin(out, PP_NKEY_SIGNATURE_BYTES, text.ptr, text.len, NULL, &len, NULL,
                             variant) == 0 &&
           len == PP_NKEY_SIGNATURE_BYTES;
}

pipit_err pp_nkey_signature_decode_url(pp_str text, uint8_t out_signature[PP_NKEY_SIGNATURE_BYTES])
{
    uint8_t signature[PP_NKEY_SIGNATURE_BYTES];

    if (!read_base64(text, sodium_base64_VARIANT_URLSAFE_NO_PADDING, signature))
        return PIPIT_EINVAL;
    memcpy(out_signature, signature, sizeof(signature));
    return PIPIT_OK;
}

pipit_err pp_nkey_signature_decode(pp_str text, uint8_t out_signature[PP_NKEY_SIGNATURE_BYTES])
{
    uint8_t signature[PP_NKEY_SIGNATURE_BYTES];

    if (!pp_nkey_signature_decode_url(text, out_signature))
        return PIPIT_OK;
    if (!read_base64(text, sodium_base64_VARIANT_ORIGINAL, signature))
        return PIPIT_EINVAL;
    memcpy(out_signature, signature, sizeof(signature));
    return PIPIT_OK;
}
