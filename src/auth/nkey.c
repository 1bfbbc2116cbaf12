#include "auth/nkey.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

enum { CRC_BYTES = 2, ENCODED_BYTES = 1 + PP_NKEY_RAW_BYTES + CRC_BYTES };

static_assert(crypto_sign_PUBLICKEYBYTES == PP_NKEY_RAW_BYTES, "an NKey is an Ed25519 key");
static_assert(ENCODED_BYTES * 8 % 5 == 0, "base32 comes out even, so that nothing is padded");
static_assert(ENCODED_BYTES * 8 / 5 + 1 == PP_NKEY_TEXT_BYTES, "text with its NUL");

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

static void format_base32(const uint8_t *bytes, size_t len, char *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    unsigned bits = 0, bit_count = 0;

    for (size_t i = 0; i < len; i++) {
        bits = (bits << 8 | bytes[i]) & 0xFFFF;
        for (bit_count += 8; bit_count >= 5; bit_count -= 5)
            *out++ = alphabet[bits >> (bit_count - 5) & 31];
    }
    *out = '\0';
}

void pp_nkey_format(uint8_t kind, const uint8_t key[PP_NKEY_RAW_BYTES],
                    char out[PP_NKEY_TEXT_BYTES])
{
    uint8_t encoded[ENCODED_BYTES];
    uint16_t crc;

    encoded[0] = kind;
    memcpy(encoded + 1, key, PP_NKEY_RAW_BYTES);
    crc = crc16(encoded, 1 + PP_NKEY_RAW_BYTES);
    encoded[1 + PP_NKEY_RAW_BYTES] = (uint8_t)crc;
    encoded[2 + PP_NKEY_RAW_BYTES] = (uint8_t)(crc >> 8);
    format_base32(encoded, sizeof(encoded), out);
}

static int base32_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

pipit_err pp_nkey_decode(pp_str text, uint8_t kind, uint8_t out_key[PP_NKEY_RAW_BYTES])
{
    uint8_t encoded[ENCODED_BYTES];
    unsigned bits = 0, bit_count = 0;
    size_t len = 0;

    if (text.len != PP_NKEY_TEXT_BYTES - 1)
        return PIPIT_EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        int value = base32_value(text.ptr[i]);

        if (value < 0)
            return PIPIT_EINVAL;
        bits = (bits << 5 | (unsigned)value) & 0xFFFF;
        bit_count += 5;
        if (bit_count >= 8) {
            bit_count -= 8;
            encoded[len++] = (uint8_t)(bits >> bit_count);
        }
    }
    if (encoded[0] != kind ||
        crc16(encoded, 1 + PP_NKEY_RAW_BYTES) !=
            (encoded[1 + PP_NKEY_RAW_BYTES] | encoded[2 + PP_NKEY_RAW_BYTES] << 8))
        return PIPIT_EINVAL;
    if (out_key)
        memcpy(out_key, encoded + 1, PP_NKEY_RAW_BYTES);
    return PIPIT_OK;
}

pipit_err pp_nkey_new_server(char out[PP_NKEY_TEXT_BYTES])
{
    uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
    uint8_t secret_key[crypto_sign_SECRETKEYBYTES];

    if (sodium_init() < 0) /* may be called again and again */
        return PIPIT_EIO;
    if (crypto_sign_keypair(public_key, secret_key) != 0)
        return PIPIT_EIO;
    sodium_memzero(secret_key, sizeof(secret_key));
    pp_nkey_format(PP_NKEY_SERVER, public_key, out);
    return PIPIT_OK;
}
