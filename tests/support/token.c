#include "token.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned crc16(const uint8_t *bytes, size_t len)
{
    unsigned crc = 0;

    for (size_t bit = 0; bit < 8 * len; bit++) {
        unsigned top = crc >> 15 ^ (bytes[bit / 8] >> (7 - bit % 8) & 1u);

        crc = (crc << 1 & 0xFFFF) ^ (top ? 0x1021 : 0);
    }
    return crc;
}

void test_key_make(test_key *key, char kind, uint8_t seed)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t bytes[36] = {0}, seeds[32];
    unsigned crc;

    if (sodium_init() < 0)
        abort();
    memset(seeds, seed, sizeof(seeds));
    bytes[0] = (uint8_t)((strchr(alphabet, kind) - alphabet) << 3);
    (void)crypto_sign_seed_keypair(bytes + 1, key->secret, seeds);
    crc = crc16(bytes, 33);
    bytes[33] = (uint8_t)crc;
    bytes[34] = (uint8_t)(crc >> 8);
    for (unsigned i = 0; i < 56; i++) {
        unsigned bit = 5 * i, two = (unsigned)bytes[bit / 8] << 8 | bytes[bit / 8 + 1];

        key->text[i] = alphabet[two >> (11 - bit % 8) & 31];
    }
    key->text[56] = '\0';
}

static size_t encode(char *out, const void *bytes, size_t len)
{
    size_t room = sodium_base64_encoded_len(len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);

    (void)sodium_bin2base64(out, room, bytes, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return strlen(out);
}

void test_sign(const char *text, const test_key *key, char out[88])
{
    uint8_t signature[64];

    (void)crypto_sign_detached(signature, NULL, (const uint8_t *)text, strlen(text), key->secret);
    (void)encode(out, signature, sizeof(signature));
}

char *test_token_sealed(const char *json, size_t json_len, const test_key *key, int version)
{
    const char *header = version == 1 ? "{\"typ\":\"jwt\",\"alg\":\"ed25519\"}"
                                      : "{\"typ\":\"JWT\",\"alg\":\"ed25519-nkey\"}";
    char *token = malloc(2 * (json_len + strlen(header)) + 200);
    size_t len, payload;

    if (!token)
        abort();
    len = encode(token, header, strlen(header));
    token[len++] = '.';
    payload = len;
    len += encode(token + len, json, json_len);
    test_sign(version == 1 ? token + payload : token, key, token + len + 1);
    token[len] = '.';
    return token;
}

char *test_token(json_t *payload, const test_key *key, int version)
{
    char *json, *token;

    (void)json_object_set_new(payload, "iss", json_string(key->text));
    json = json_dumps(payload, JSON_COMPACT);
    if (!json)
        abort();
    token = test_token_sealed(json, strlen(json), key, version);
    free(json);
    return token;
}

char *test_token_of(const char *json, const test_key *key)
{
    json_error_t error;
    json_t *payload = json_loads(json, 0, &error);
    char *token;

    if (!payload) {
        (void)fprintf(stderr, "%s: %s\n", error.text, json);
        abort();
    }
    token = test_token(payload, key, 2);
    json_decref(payload);
    return token;
}
