/* store/snapshot.h -- all messages of a store as a stream of bytes, and a store made of such a
 * stream.
 *
 * The stream is a head and frames, each with a check that counts in all before it: what is missing,
 * doubled, in another order or changed is noticed, the end too. What is in it is as messages were
 * given, neither compressed nor encrypted; sequences stay as they are. docs/disk-format.md. */
#ifndef PP_STORE_SNAPSHOT_H
#define PP_STORE_SNAPSHOT_H

#include "base/buf.h"
#include "store/store.h"

#include <assert.h>

typedef struct pp_store_snapshot pp_store_snapshot;

/* Begin. It will hold the messages up to the newest one now; those that are deleted before it has
 * got to them are not in it. The store may be changed meanwhile, but for truncation: then what
 * follows is refused. Damaged messages are left out, and told as findings. Owner:
 * pp_store_snapshot_free(); the store is borrowed. Thread: the store's owner. Errors: PIPIT_ENOMEM.
 */
pipit_err pp_store_snapshot_new(pp_store *store, pp_store_snapshot **out_snapshot);
void pp_store_snapshot_free(pp_store_snapshot *snapshot);

/* Add about so many bytes to out, or one message if that is larger. *out_end: that was all.
 * Errors: PIPIT_ECLOSED the store was truncated meanwhile; PIPIT_ETOOBIG out has no room;
 * PIPIT_EIO, PIPIT_ENOMEM. */
pipit_err pp_store_snapshot_next(pp_store_snapshot *snapshot, size_t bytes, pp_buf *out,
                                 bool *out_end);

/* How many messages are in it so far. */
uint64_t pp_store_snapshot_messages(const pp_store_snapshot *snapshot);

typedef struct pp_restore pp_restore;

/* Begin to make a store in options->dir, which is not there yet. It is made beside it, and has its
 * name when all of it is on disk. options: as for pp_store_open(), of the file kind; limits are for
 * later. out_why as there. Errors: PIPIT_EEXIST the directory, or one of a restore that did not
 * end, is there; as pp_store_open(). */
pipit_err pp_restore_new(const struct pp_store_options *options, pp_restore **out_restore,
                         char *out_why);

/* Take the next bytes of the stream, however they are cut. Errors: PIPIT_EDAMAGED it is not a
 * snapshot, or not as it was made; PIPIT_EPROTO of another version; those of pp_store_append().
 * After an error only pp_restore_free() may be called. */
pipit_err pp_restore_add(pp_restore *restore, pp_str bytes);

/* The stream has ended: settle all, and give it its name. Errors: PIPIT_EDAMAGED it was not all;
 * PIPIT_EIO, PIPIT_ENOSPC. */
pipit_err pp_restore_finish(pp_restore *restore);

/* What was not finished stays where it was made. NULL is fine. */
void pp_restore_free(pp_restore *restore);

/* --- the form ------------------------------------------------------------------------------- */

#define PP_STORE_SNAPSHOT_MAGIC 0x0a4e746970697000u /* "\0pipitN\n" */

enum {
    PP_STORE_SNAPSHOT_VERSION = 1,
    PP_STORE_SNAPSHOT_MESSAGES = 1, /* frames */
    PP_STORE_SNAPSHOT_END = 2,
    PP_STORE_SNAPSHOT_FRAME_MAX = 160 * 1024 * 1024,
};

/* Little-endian. */
struct pp_store_snapshot_head {
    uint64_t magic;
    uint64_t check; /* of what follows */
    uint32_t version;
    uint32_t features; /* zero */
    uint64_t first_seq;
    uint64_t last_seq; /* the newest sequence, with or without a message */
    int64_t made_ns;
};
static_assert(sizeof(struct pp_store_snapshot_head) == 48, "as in the stream");

struct pp_store_snapshot_frame {
    uint64_t check; /* of the next 8 bytes and the body; its seed is the check before */
    uint32_t bytes; /* of the body */
    uint32_t kind;
};
static_assert(sizeof(struct pp_store_snapshot_frame) == 16, "as in the stream");

/* In a body of messages, followed by subject, headers and payload. The body of the end is one, with
 * the number of messages for its sequence. */
struct pp_store_snapshot_message {
    uint64_t seq;
    int64_t time_ns;
    int64_t expires_ns;
    uint32_t headers_bytes;
    uint32_t payload_bytes;
    uint16_t subject_bytes;
    uint16_t unused[3];
};
static_assert(sizeof(struct pp_store_snapshot_message) == 40, "as in the stream");

#endif
