/* tls/standings_inside.h -- what standings.c and standings_file.c share. */
#ifndef PP_TLS_STANDINGS_INSIDE_H
#define PP_TLS_STANDINGS_INSIDE_H

#include "base/list.h"
#include "base/table.h"
#include "tls/standings.h"

#include <pthread.h>

typedef struct pp_tls_entry {
    pp_table_entry link;
    pp_link age;
    pp_tls_standing_key key;
    pp_tls_known known;
    char *answer; /* in DER */
    size_t answer_len;
} pp_tls_entry;

struct pp_tls_standings {
    pthread_mutex_t lock; /* guards the rest; nothing is read or written under it */
    pp_table table;
    pp_link by_age; /* the oldest first */
    uint64_t seed;
    size_t bytes;                        /* of all answers */
    uint64_t counts[PP_TLS_UNKNOWN + 1]; /* by standing */
    uint64_t hits, misses;
    bool on, preserves_revoked;
    char *dir; /* NULL: there is no file */
    int64_t save_ns;
    int64_t due_ns; /* INT64_MAX: the file says all that is known */
};

/* The lock is held, in all of these. */
void pp_tls_standings_forget_locked(pp_tls_standings *standings);
bool pp_tls_standings_has_locked(const pp_tls_standings *standings, const pp_tls_standing_key *key);
void pp_tls_standings_add_locked(pp_tls_standings *standings, const pp_tls_standing_key *key,
                                 const pp_tls_known *known, pp_str answer);
/* There is something that the file does not say. */
void pp_tls_standings_touch_locked(pp_tls_standings *standings);

#endif
