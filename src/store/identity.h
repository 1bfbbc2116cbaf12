/* store/identity.h -- the first 80 bytes of the manifest and of every segment: which store this is,
 * and in which version of the format. The same in all versions, so that each can refuse another.
 *
 * Everything in the manifest stands in every segment too: without it a store still opens. */
#ifndef PP_STORE_IDENTITY_H
#define PP_STORE_IDENTITY_H

#include "base/err.h"

#include <assert.h>
#include <stdint.h>

enum {
    PP_STORE_VERSION = 1,
    PP_FEATURE_ENCRYPTED = 1,  /* key_id tells with which key */
    PP_FEATURE_COMPRESSED = 2, /* some messages are */
    PP_STORE_FEATURES = 3,     /* bits that this version understands */
};

#define PP_MANIFEST_MAGIC 0x0a4d746970697000u /* "\0pipitM\n" */
#define PP_SEGMENT_MAGIC 0x0a53746970697000u  /* "\0pipitS\n" */

/* Little-endian. */
struct pp_identity {
    uint64_t magic;
    uint64_t check; /* of what follows */
    uint32_t version;
    uint32_t features; /* who does not know all of these bits must not touch the store */
    uint8_t store[16]; /* random */
    uint64_t salt;     /* random; seeds the checks of records */
    int64_t created_ns;
    uint64_t number;    /* of the segment; 0 in the manifest */
    uint64_t first_seq; /* the next sequence when this was made */
    uint64_t key_id;    /* 0: it is not encrypted */
};
static_assert(sizeof(struct pp_identity) == 80, "an identity is 80 bytes on disk");

/* Fill in the check. */
void pp_identity_seal(struct pp_identity *id);

/* Errors: PIPIT_EDAMAGED not what was written; PIPIT_EPROTO whole, but of a version or with
 * features that this one does not know: not to be touched. */
pipit_err pp_identity_check(const struct pp_identity *id, uint64_t magic);

#endif
