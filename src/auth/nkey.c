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
