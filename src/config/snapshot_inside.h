/* config/snapshot_inside.h -- what the files that make up a snapshot say to each other.
 *
 * snapshot.c          the whole: taking it, its order
 * snapshot_line.c     one line: texts, hashes
 * snapshot_options.c  what a server has once
 * snapshot_account.c  accounts and what is in them
 * snapshot_file.c     its text in a file */
#ifndef PP_CONFIG_SNAPSHOT_INSIDE_H
#define PP_CONFIG_SNAPSHOT_INSIDE_H

#include "config/key.h"
#include "config/snapshot.h"

#include <sodium.h>

enum {
    PP_SNAPSHOT_LINE_MAX = 64 * 1024 * 1024,           /* its text: an account's permissions */
    PP_SNAPSHOT_RECORD_MAX = 5 * PP_SNAPSHOT_LINE_MAX, /* with what cannot be printed written out */
};

/* Lines being written, one text after another in a buffer that is used again for each. Once there
 * is an error nothing more is written. */
typedef struct pp_snapshot_writer {
    pp_snapshot *snapshot;
    size_t cap; /* of its records */
    pp_buf path;
    pp_buf text;
    pp_buf record;
    pipit_err err;
} pp_snapshot_writer;

void pp_snapshot_add(pp_snapshot_writer *w, pp_buf *out, const char *text);

/* Names may hold anything; a path has its slashes to itself and is one field of one line. */
void pp_snapshot_add_escaped(pp_snapshot_writer *w, pp_buf *out, const char *text);

/* A hash of pieces under the snapshot's salt; end leaves it in w->text. */
void pp_snapshot_begin_hash(pp_snapshot_writer *w, crypto_auth_hmacsha512256_state *state);
void pp_snapshot_hash_piece(crypto_auth_hmacsha512256_state *state, const void *bytes, size_t len);
void pp_snapshot_end_hash(pp_snapshot_writer *w, crypto_auth_hmacsha512256_state *state);

/* Add the line of w->path and w->text; both begin anew afterwards. */
void pp_snapshot_end_line(pp_snapshot_writer *w, bool hashed);

/* A record is a character that tells whether the text is a hash, the path and the text, each of
 * which ends with a NUL. cap: of the snapshot's records. */
pipit_err pp_snapshot_add_record(pp_snapshot *snapshot, size_t *cap, pp_str record);

/* End the line of w->path with what a key of base is set to. */
void pp_snapshot_write_key(pp_snapshot_writer *w, const pp_key *key, const void *base);

void pp_snapshot_write_options(pp_snapshot_writer *w, const pp_options *options);
void pp_snapshot_write_account(pp_snapshot_writer *w, const pp_account_options *account);

/* An empty one; and when all records are there, put them in order and give back what they do not
 * need. */
pipit_err pp_snapshot_make(pp_snapshot **out);
pipit_err pp_snapshot_finish(pp_snapshot *snapshot);

#endif
