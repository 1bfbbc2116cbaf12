/* config/snapshot.h -- options as lines of text: what a server runs with, to be compared with what
 * it is asked to run with next, now or by another process later.
 *
 * A line is a path and a text. Scalars have the path of their key ("max_payload", "unix.mode");
 * accounts, users and mappings have one line each ("accounts/A/users/bob"); of accounts only what
 * is unusual has one, since there may be very many of them. Secrets, and users as
 * a whole, are hashes under the snapshot's own salt: equal hashes mean equal values, and no value
 * can be read from one. */
#ifndef PP_CONFIG_SNAPSHOT_H
#define PP_CONFIG_SNAPSHOT_H

#include "base/buf.h"
#include "base/err.h"
#include "config/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PP_SNAPSHOT_SALT_BYTES = 32,
    PP_SNAPSHOT_TEXT_MAX = 256 * 1024 * 1024, /* how long a file may be */
};

/* Behind the name of the pid file it names the file that a server keeps its snapshot in. */
#define PP_SNAPSHOT_SUFFIX ".config"

typedef struct pp_snapshot_line {
    const char *path;
    const char *text; /* empty: nothing was given */
    bool hashed;      /* text is a hash */
} pp_snapshot_line;

typedef struct pp_snapshot {
    pp_arena arena;
    uint8_t salt[PP_SNAPSHOT_SALT_BYTES];
    const char **records; /* lines by path, see pp_snapshot_compare; as pp_snapshot_at reads them */
    size_t count;
} pp_snapshot;

/**
 * Take a snapshot, under the salt of another one or, like being NULL, under a fresh one.
 *
 * Errors: PIPIT_ENOMEM; PIPIT_ETOOBIG; PIPIT_EIO libsodium does not start.
 */
pipit_err pp_snapshot_new(pp_snapshot **out_snapshot, const pp_options *options,
                          const pp_snapshot *like);
void pp_snapshot_free(pp_snapshot *snapshot);

/* The order of lines: as strcmp, but what is below a path follows it at once. */
int pp_snapshot_compare(const char *a, const char *b);

/* One of its lines, borrowed. */
pp_snapshot_line pp_snapshot_at(const pp_snapshot *snapshot, size_t i);

/* What the line of an account would say that is not there, since it is nothing unusual. */
pipit_err pp_snapshot_usual(const char *path, pp_buf *out);

/* Write and read the text of a file. It holds no secret, but hashes that somebody could try
 * passwords against: the file is for its owner only.
 * Errors: of parse, PIPIT_EINVAL no snapshot, or one of another version; PIPIT_ENOMEM. */
pipit_err pp_snapshot_format(const pp_snapshot *snapshot, pp_buf *out);
pipit_err pp_snapshot_parse(pp_snapshot **out_snapshot, pp_str text);

#endif
