/* store/keys.h -- the keys that a store is encrypted with. The first one is written with; the
 * others are for what was written before it: a new key goes in front, an old one goes when no
 * segment is of it any more. */
#ifndef PP_STORE_KEYS_H
#define PP_STORE_KEYS_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

enum { PP_STORE_KEY_BYTES = 32, PP_STORE_KEYS_MAX = 16, PP_STORE_KEYS_WHY_BYTES = 128 };

struct pp_store_keys {
    uint32_t count;
    unsigned char keys[PP_STORE_KEYS_MAX][PP_STORE_KEY_BYTES];
};

/* Read keys: 64 hexadecimal digits each, with blanks, commas or line ends between; from # to the
 * end of the line is a comment. out_why says what is wrong, and never holds a key. Owner: the
 * caller wipes them with pp_store_keys_wipe(). Errors: PIPIT_EINVAL; PIPIT_ELIMIT. */
pipit_err pp_store_keys_parse(pp_str text, struct pp_store_keys *out_keys,
                              char out_why[PP_STORE_KEYS_WHY_BYTES]);

/* The same from a file that nobody but its owner may read. Errors: PIPIT_EDENIED others may; those
 * of opening and reading. */
pipit_err pp_store_keys_read(const char *path, struct pp_store_keys *out_keys,
                             char out_why[PP_STORE_KEYS_WHY_BYTES]);

void pp_store_keys_wipe(struct pp_store_keys *keys);

#endif
