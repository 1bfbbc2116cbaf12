/* tls/standings.h -- what authorities have said of certificates of clients, kept so that nobody is
 * asked twice: in memory, and if that is wanted in a file, too.
 *
 *   [pp_tls_standings_put]            [its time is over, or there are too many]
 *  -----------------------> kept ------------------------------------------------> gone
 *
 * An answer from a file has not been looked at by us: who is to believe it looks at its signature
 * first (pp_tls_known.checked). Certificates that were revoked may stay known as such when the time
 * of the answer is over: it counts for nothing then but that somebody who cannot be asked about is
 * not let in. */
#ifndef PP_TLS_STANDINGS_H
#define PP_TLS_STANDINGS_H

#include "base/buf.h"
#include "tls/ocsp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PP_TLS_STANDINGS_MAX = 16384,                  /* answers; the oldest goes */
    PP_TLS_STANDINGS_BYTES_MAX = 32 * 1024 * 1024, /* of all of them */
    PP_TLS_STANDING_KEY_BYTES = 32,
};

typedef struct pp_tls_standings pp_tls_standings;

/* SHA-256 of the certificate. */
typedef struct pp_tls_standing_key {
    uint8_t bytes[PP_TLS_STANDING_KEY_BYTES];
} pp_tls_standing_key;

/* How they are kept. */
typedef struct pp_tls_standings_spec {
    bool on;                /* else nothing is known, ever */
    const char *dir;        /* where the file is; NULL: in memory only */
    bool preserves_revoked; /* when its time is over */
    int64_t save_ns;        /* how long what is new may be in memory only; a year at most */
} pp_tls_standings_spec;

typedef struct pp_tls_known {
    pp_tls_finding finding;
    bool checked; /* else its signature has not been looked at */
} pp_tls_known;

typedef struct pp_tls_standings_stats {
    bool on, in_file;
    uint64_t hits, misses;
    uint64_t count, good, revoked, unknown; /* that are kept now */
} pp_tls_standings_stats;

/* Errors: PIPIT_ENOMEM. */
pipit_err pp_tls_standings_new(pp_tls_standings **out);
void pp_tls_standings_free(pp_tls_standings *standings);

/**
 * Keep them like that from now on: what is known stays known, unless they are switched off. With a
 * directory that is another than before, what its file holds is known, too, unless something is
 * known of that certificate already.
 *
 * Owner:  spec is borrowed for the call.
 * Thread: any; it reads the file.
 * Errors: PIPIT_ENOMEM; PIPIT_EIO the file cannot be read or is damaged, and error says so: they
 * are kept all the same, and the file is written anew.
 */
pipit_err pp_tls_standings_keep(pp_tls_standings *standings, const pp_tls_standings_spec *spec,
                                pp_buf *error);

/* What is known; out_answer may be NULL, else the answer is added to it. False: nothing. Thread:
 * any, here and below. */
bool pp_tls_standings_find(pp_tls_standings *standings, const pp_tls_standing_key *key,
                           pp_tls_known *out, pp_buf *out_answer);

/* Somebody has been helped by what was found, or not. */
void pp_tls_standings_count(pp_tls_standings *standings, bool hit);

/* Keep an answer that has been looked at. If there is no memory it is not kept. */
void pp_tls_standings_put(pp_tls_standings *standings, const pp_tls_standing_key *key,
                          const pp_tls_finding *finding, pp_str answer);

/* The signature of what is kept has been found good. */
void pp_tls_standings_check(pp_tls_standings *standings, const pp_tls_standing_key *key,
                            const pp_tls_finding *finding);

/* It is of no use any more. over: its time is over; else it never was. */
void pp_tls_standings_drop(pp_tls_standings *standings, const pp_tls_standing_key *key, bool over);

void pp_tls_standings_look(pp_tls_standings *standings, pp_tls_standings_stats *out);

/* When the file is to be written, by the monotonic clock; INT64_MAX: it says all that is known. */
int64_t pp_tls_standings_due(pp_tls_standings *standings);

/* Write it, in one piece: there is the old one or the new one. Waits for the disk. Errors:
 * PIPIT_EIO, error says why; PIPIT_ENOMEM. It is tried again after save_ns. */
pipit_err pp_tls_standings_save(pp_tls_standings *standings, pp_buf *error);

#endif
