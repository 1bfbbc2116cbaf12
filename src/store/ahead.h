/* store/ahead.h -- reads that the owner does not wait for: a thread of a pool makes them.
 *
 *          [ask]             [serve]              [take, or its place is wanted]
 *   IDLE ---------> ASKED -----------> READ, DONE ------------------------------> IDLE
 *
 * There is a fixed number of places for each store. What was read and nobody came for makes room
 * for what is asked for next. A reader opens files by their names and knows nothing else of the
 * store: a file that has gone meanwhile is a failure like others, and whoever asked reads by
 * itself what could not be read ahead, and so learns why. But of an index that the disk does not
 * give nothing more is learned: all of its file has been tried.
 *
 * What was read is not taken if anything has been forgotten since it was asked for (pp_cache's
 * count). There is one count for all files, so of the others a read may be made twice, and no more
 * than that. Of the file itself none is taken that should not be:
 *   - What a name stands for changes only when segments have been written anew, since numbers are
 *     not given twice. The owner forgets these files when that begins and when it ends, and from
 *     the order to rename to its end neither asks for nor takes anything of them
 *     (pp_store_may_hurry()). What was asked for before the order and read after the rename is of
 *     the new file under the old number: it is first looked at after the end, and does not match.
 *   - An erased message is forgotten before its bytes are overwritten, so a read that is asked for
 *     in between may still have them. Nobody finds that message any more: whether one is there, is
 *     told by the owner's index alone, and the others of its block are as they were.
 *   - An index of one file may have been made of what others delete. What a file that is replaced
 *     or removed said is said again in a newer one before; the owner looks for those whose deletes
 *     it does not have yet when it takes the index (find_deletes() in holes.c). */
#ifndef PP_STORE_AHEAD_H
#define PP_STORE_AHEAD_H

#include "store/footer_file.h"
#include "store/pool_seat.h"
#include "store/rebuild.h"

enum { PP_AHEAD_PLACES = 8 };

typedef enum pp_ahead_state {
    PP_AHEAD_IDLE,
    PP_AHEAD_ASKED,
    PP_AHEAD_BEING_READ, /* it is the reader's */
    PP_AHEAD_DONE,
} pp_ahead_state;

/* `state` is under the store's lock; all else is of who may change it. */
struct pp_ahead_place {
    pp_ahead_state state;
    bool is_index;
    uint64_t number; /* of the segment */
    uint64_t at;
    size_t bytes;
    uint64_t forgotten; /* as the cache's, when it was asked for: with another one it is let be */
    uint64_t tick;
    struct pp_later later; /* for an index that has to be made again, */
    uint64_t records_end;  /* as where its records end; 0: not known */
    pipit_err err;
    int64_t took_ns; /* to read it, or to learn that it cannot be */
    char *bytes_read;
    struct pp_footer_index index;
    struct pp_rebuilt *rebuilt; /* instead, if the footer is damaged */
};

struct pp_ahead {
    pp_pool_seat seat;
    struct pp_ahead_place places[PP_AHEAD_PLACES];
    uint64_t tick;
    uint64_t reads; /* made, or failed; under the store's lock */
};

struct pp_store;

void pp_ahead_init(struct pp_ahead *ahead);
/* The pool has been left. */
void pp_ahead_fini(struct pp_ahead *ahead);

/* What has become of something that was asked for. */
typedef enum pp_ahead_answer {
    PP_AHEAD_UNKNOWN, /* nobody has, or too long ago */
    PP_AHEAD_COMING,
    PP_AHEAD_HERE,   /* it is the caller's now */
    PP_AHEAD_FAILED, /* who reads it here and now learns why */
} pp_ahead_answer;

/* The index of a segment; *out_rebuilt is not NULL if it had to be made of its records. *out_err:
 * why it FAILED, and *out_took_ns how long that took. Owner: the caller, of both. */
pp_ahead_answer pp_ahead_take_index(struct pp_store *store, const pp_segment *segment,
                                    struct pp_footer_index *out_index,
                                    struct pp_rebuilt **out_rebuilt, pipit_err *out_err,
                                    int64_t *out_took_ns);
/* So many bytes of its file, from at on. Owner: the caller frees them. */
pp_ahead_answer pp_ahead_take_bytes(struct pp_store *store, const pp_segment *segment, uint64_t at,
                                    size_t bytes, char **out_bytes);

/* Have it read; bytes have room for a whole block of the cache. With all places being read nothing
 * is asked for: one of them is told of soon, and whoever waits tries again. False: there is no
 * memory. */
bool pp_ahead_ask_index(struct pp_store *store, const pp_segment *segment);
bool pp_ahead_ask_bytes(struct pp_store *store, const pp_segment *segment, uint64_t at,
                        size_t bytes);
/* They will be asked for: have them read if there is a place to spare. */
void pp_ahead_hint(struct pp_store *store, const pp_segment *segment, uint64_t at, size_t bytes);

#endif
