/* store/seal.h -- bodies of records and subjects of footers, encrypted: XChaCha20-Poly1305.
 *
 * Each segment has a key of its own, made of the store's key, the store and the segment's number. A
 * nonce is the place in the file with 8 random bytes that are drawn each time a store is opened:
 * within one opening no place is written twice, and what is written to a place again after a crash
 * has other random bytes. What a record's head says is authenticated with its body. Pure. */
#ifndef PP_STORE_SEAL_H
#define PP_STORE_SEAL_H

#include "store/keys.h"

#include <stdbool.h>
#include <stddef.h>

enum { PP_SEAL_BYTES = 24 }; /* behind what is sealed: the random bytes, and a tag of 16 */

struct pp_seal {
    unsigned char key[PP_STORE_KEY_BYTES];
    uint64_t epoch; /* random: for what is sealed now */
};

typedef enum pp_seal_what { PP_SEAL_RECORD, PP_SEAL_FOOTER } pp_seal_what;

/* Where it is and what is said of it in plain. */
struct pp_seal_place {
    pp_seal_what what;
    uint64_t at;
    pp_str said;
};

/* Which key a segment is of, without telling the key. Never 0. */
uint64_t pp_seal_key_id(const unsigned char key[PP_STORE_KEY_BYTES], const uint8_t store[16]);

void pp_seal_derive(struct pp_seal *seal, const unsigned char key[PP_STORE_KEY_BYTES],
                    const uint8_t store[16], uint64_t number, uint64_t epoch);

/* Seal in place; behind the bytes there is room for PP_SEAL_BYTES more. */
void pp_seal_close(const struct pp_seal *seal, const struct pp_seal_place *place, char *bytes,
                   size_t len);

/* Open what pp_seal_close() made, of len bytes with those behind, to out, which may be the same.
 * False: it is not what was sealed there with this key. */
bool pp_seal_open(const struct pp_seal *seal, const struct pp_seal_place *place, const char *bytes,
                  size_t len, char *out);

#endif
