/* tests/support/token.h -- keys and signed tokens, made without the code under test. */
#ifndef PP_TESTS_TOKEN_H
#define PP_TESTS_TOKEN_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

typedef struct test_key {
    char text[57]; /* the public key */
    uint8_t secret[64];
} test_key;

/* A key of that kind (the first letter of its text) from a seed of equal bytes. */
void test_key_make(test_key *key, char kind, uint8_t seed);

/* A token of payload, whose "iss" is set to the key. version 1 signs the payload alone and says so
 * in its header. The caller frees it. */
char *test_token(json_t *payload, const test_key *key, int version);
/* Of bytes that may be anything, with whatever issuer they name. */
char *test_token_sealed(const char *json, size_t len, const test_key *key, int version);
/* The same of JSON text. */
char *test_token_of(const char *json, const test_key *key);

/* Sign bytes; base64url into out. */
void test_sign(const char *text, const test_key *key, char out[88]);

#endif
