/* store/store.h -- a stream of messages that survives: the one header of the store.
 *
 * A store is an ordered log of messages, each with a sequence that is never given twice. The file
 * kind keeps it in a directory (docs/disk-format.md), the memory kind does the same without one.
 *
 * What a mutation (append, delete, purge, ...) has done is seen by reads at once, but it is
 * *settled* only when it is on disk: each has a ticket, pp_store_issued() right behind it, and a
 * ticket is settled once pp_store_progress() says so. Only then may anybody be told. With
 * sync_interval_ns a ticket is settled when the system has the bytes, and a crash of the system may
 * lose so much.
 *
 * When a write or a sync fails, the store is frozen: nothing more is settled, every mutation
 * answers the failure, reads of what was settled go on. Opening it anew finds out what is on disk.
 *
 * Thread: one at a time for each store, its owner's. Files are written by the threads of a pool, or
 * if there is none by the owner in pp_store_run() and pp_store_wait(). */
#ifndef PP_STORE_STORE_H
#define PP_STORE_STORE_H

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "store/disk.h"
#include "store/finding.h"
#include "store/keys.h"
#include "store/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pp_store pp_store;

typedef enum pp_store_kind { PP_STORE_FILE, PP_STORE_MEMORY } pp_store_kind;
typedef enum pp_store_discard { PP_STORE_DISCARD_OLD, PP_STORE_DISCARD_NEW } pp_store_discard;

/* What a store may hold. 0: no limit. */
struct pp_store_limits {
    uint64_t messages;
    uint64_t
        bytes; /* as counted: 30 + subject + payload, and 4 + headers if any; memory 16 + all */
    uint32_t per_subject;
    int64_t age_ns;
    pp_store_discard discard; /* at a limit: the oldest goes, or the new one is refused */
    bool discard_new_per_subject;
};

struct pp_store_options {
    pp_store_kind kind;
    const char *dir;                  /* copied */
    bool create;                      /* if there is none */
    uint64_t first_seq;               /* of one that is created; 0: 1 */
    pp_disk *disk;                    /* NULL: the real one */
    pp_store_pool *pool;              /* who writes; NULL: the owner */
    pp_store_pool *readers;           /* who reads for an owner that must not wait; NULL: nobody */
    const pp_log *log;                /* NULL: silent */
    uint64_t segment_bytes;           /* 0: 64 MiB; the first segments are smaller */
    size_t cache_bytes;               /* for reading; 0: 512 KiB */
    size_t index_bytes;               /* of sealed segments, kept in memory; 0: 256 MiB */
    size_t pending_max;               /* bytes that wait to be written; 0: 64 MiB */
    int64_t sync_interval_ns;         /* 0: settled means on disk */
    bool compress;                    /* headers and payloads that get smaller by it; files only */
    const struct pp_store_keys *keys; /* encrypt what is written to files; copied. NULL: do not */
    struct pp_store_limits limits;
    void (*on_progress)(void *ctx); /* a ticket was settled, the store froze, or something was read
                                       ahead. Thread: a pool's, or who waits */
    void *ctx;
    /* Called for what is wrong on the disk, when it is opened and read; NULL: it is only logged.
     * The store must not be called meanwhile. Thread: the owner's. */
    void (*on_finding)(void *ctx, const struct pp_finding *finding);
    void *finding_ctx;
};

struct pp_store_message {
    uint64_t seq;       /* append: 0 for the next, or one that is higher */
    int64_t time_ns;    /* since the Unix epoch */
    int64_t expires_ns; /* 0: only by the age limit; INT64_MAX: never */
    pp_str subject;
    pp_str headers;
    pp_str payload;
};

/* Open, or create. A directory in another version of the format is refused and not touched; damage
 * is fenced off, never repaired and never a reason to refuse. out_why, if not NULL, gets a text of
 * up to PP_STORE_WHY_BYTES about what is wrong. Errors: PIPIT_ENOTFOUND; PIPIT_EINUSE another
 * process has it; PIPIT_EPROTO another format; PIPIT_EDENIED a part of it is encrypted with none of
 * the keys (nothing is touched), or the system denies it; PIPIT_ENOSPC, PIPIT_EIO, PIPIT_ENOMEM,
 * PIPIT_EINVAL. */
enum { PP_STORE_WHY_BYTES = 256 };
pipit_err pp_store_open(const struct pp_store_options *options, pp_store **out_store,
                        char *out_why);

/* Settle what can be settled, and let go. NULL is fine. */
void pp_store_close(pp_store *store);

/* Append one message. Its bytes are copied. expected_last is what the newest sequence must be, or
 * PP_STORE_ANY.
 * Errors: PIPIT_EEXIST expected_last is not the newest, or seq is not above it; PIPIT_ELIMIT a
 * limit with discard new (pp_store_refusal() tells which); PIPIT_ETOOBIG; PIPIT_EINVAL no subject;
 * PIPIT_EAGAIN too much waits to be written, the next segment is being made, or what must go for it
 * is being read: after progress;
 * PIPIT_ENOSPC, and again as soon as there is room; PIPIT_EIO frozen; PIPIT_ENOMEM. */
#define PP_STORE_ANY UINT64_MAX
pipit_err pp_store_append(pp_store *store, const struct pp_store_message *message,
                          uint64_t expected_last, uint64_t *out_seq);

typedef enum pp_store_refusal {
    PP_STORE_REFUSED_MESSAGES,
    PP_STORE_REFUSED_BYTES,
    PP_STORE_REFUSED_PER_SUBJECT,
} pp_store_refusal;

/* Which limit the last PIPIT_ELIMIT of an append was about. */
pp_store_refusal pp_store_refused(const pp_store *store);

/* Take all sequences up to seq without a message. Errors: as pp_store_append(). */
pipit_err pp_store_skip(pp_store *store, uint64_t seq);

/* Read one message. Slices of it are borrowed until the next call with this store.
 * Errors: PIPIT_ENOTFOUND; PIPIT_EDAMAGED it was there; PIPIT_EIO the disk does not give it, or did
 * not a moment ago; PIPIT_ENOMEM. */
pipit_err pp_store_read(pp_store *store, uint64_t seq, struct pp_store_message *out_message);

/* Read the first message from seq on whose subject falls under filter (">" for all), or the last up
 * to seq. Damaged ones are passed over. Errors: as pp_store_read(). */
pipit_err pp_store_next(pp_store *store, pp_str filter, uint64_t seq,
                        struct pp_store_message *out_message);
pipit_err pp_store_prev(pp_store *store, pp_str filter, uint64_t seq,
                        struct pp_store_message *out_message);

/* As pp_store_read() and pp_store_next(), but with `readers` the disk is not waited for: on
 * PIPIT_EAGAIN what is needed is being read, and after progress it is worth while to try again. */
pipit_err pp_store_try_read(pp_store *store, uint64_t seq, struct pp_store_message *out_message);
pipit_err pp_store_try_next(pp_store *store, pp_str filter, uint64_t seq,
                            struct pp_store_message *out_message);

/* The sequence of the first message that is not older; the next one to come if all are. Times are
 * taken to grow with sequences. Errors: PIPIT_EIO, PIPIT_ENOMEM. */
pipit_err pp_store_at_time(pp_store *store, int64_t time_ns, uint64_t *out_seq);

struct pp_store_state {
    uint64_t messages;
    uint64_t bytes;     /* as counted for limits */
    uint64_t first_seq; /* the next one when there is none */
    uint64_t last_seq;
    int64_t first_time_ns; /* 0 when there is none */
    int64_t last_time_ns;
    uint64_t deleted;  /* sequences between first and last without a message */
    uint64_t lost;     /* of these, damaged */
    uint32_t subjects; /* some may be gone that were counted when a segment went unread */
    uint32_t segments;
    uint64_t rewritten;  /* times that segments were written anew, since it was opened */
    uint64_t disk_bytes; /* what the files take, room that is reserved ahead included */
    size_t index_bytes;  /* memory of the index */
};

void pp_store_state(pp_store *store, struct pp_store_state *out_state);

struct pp_store_subject {
    uint64_t messages;
    uint64_t first_seq;
    uint64_t last_seq;
};

/* One subject without wildcards. After a segment that could not be read went by limits all messages
 * are counted for it. Errors: PIPIT_ENOTFOUND; PIPIT_EIO, PIPIT_ENOMEM. */
pipit_err pp_store_subject(pp_store *store, pp_str subject, struct pp_store_subject *out_subject);

/* All subjects under filter, in no stated order. The store must not change meanwhile. After a
 * segment that could not be read went by limits all messages are counted for it; those of segments
 * that cannot be read then are left out. */
void pp_store_subjects(pp_store *store, pp_str filter,
                       void (*visit)(void *ctx, pp_str subject, uint64_t messages), void *ctx);

/* Sequences between the first and the last that have no message, as ranges in order. */
void pp_store_deleted(pp_store *store, void (*visit)(void *ctx, uint64_t first, uint64_t last),
                      void *ctx);

/* Ranges that are damaged, in order. */
void pp_store_lost(pp_store *store, void (*visit)(void *ctx, uint64_t first, uint64_t last),
                   void *ctx);

/* Delete one message; with erase its bytes are overwritten before the ticket is settled.
 * Errors: PIPIT_ENOTFOUND; as pp_store_append(). */
pipit_err pp_store_delete(pp_store *store, uint64_t seq, bool erase);

/* Delete what falls under filter and is below before (0: all) but for the newest keep of each call.
 * *out_count tells how many. The whole of it is settled by one ticket; after a crash, if it was not
 * settled, a part may have been done. Errors: as pp_store_append(); PIPIT_EINVAL before and keep.
 */
pipit_err pp_store_purge(pp_store *store, pp_str filter, uint64_t before, uint64_t keep,
                         uint64_t *out_count);

/* Cut off all above seq; the next message is seq + 1. Errors: PIPIT_EINVAL seq is above the newest;
 * as pp_store_append(). */
pipit_err pp_store_truncate(pp_store *store, uint64_t seq);

/* Other limits, and what is over them goes; with `readers` some of it, the rest by
 * pp_store_evict(). Errors: as pp_store_append(). */
pipit_err pp_store_limit(pp_store *store, const struct pp_store_limits *limits);

/* Let go what is over the limits. A message that is appended does so, too; but with `readers` the
 * disk is not waited for, and for a moment there may be a sixteenth and a little more than the
 * limits allow. A segment that cannot be read goes when limits of messages or bytes let go all of
 * it. Subjects of which something cannot be read are passed over, and looked at again after a
 * pause. *out_more: it was too much for one call. Errors: PIPIT_EAGAIN what is to go is being read,
 * or too much waits to be written: after progress; PIPIT_EIO, too, while a subject is passed over;
 * PIPIT_ENOMEM. */
pipit_err pp_store_evict(pp_store *store, bool *out_more);

/* When a message is due to go, by age or by its own time, or what the disk did not give is to be
 * looked at again; INT64_MAX: none. */
int64_t pp_store_next_due(pp_store *store);

/* A message that is due: the owner may want to say something about it before it deletes it.
 * Errors: PIPIT_ENOTFOUND; PIPIT_EIO one could not be looked at, and the next call goes on behind
 * it; PIPIT_ENOMEM. */
pipit_err pp_store_due(pp_store *store, int64_t now_ns, uint64_t *out_seq);

/* Delete up to max messages that are due. What the disk does not give is passed over, with as much
 * beside a bad part as that has, and looked at again after a pause, when nothing else is due.
 * Errors: as pp_store_append(); PIPIT_EIO, too, while something has been passed over, whatever
 * *out_count is; with `readers` PIPIT_EAGAIN, too, when what is needed is being read.
 */
pipit_err pp_store_expire(pp_store *store, int64_t now_ns, uint32_t max, uint32_t *out_count);

/* The ticket of the newest mutation. */
uint64_t pp_store_issued(pp_store *store);

struct pp_store_progress {
    uint64_t ticket; /* all up to this one are settled */
    uint64_t seq;    /* all messages up to this one */
    uint64_t reads;  /* that have been made ahead, or have failed */
    pipit_err err;   /* PIPIT_OK, or why it is frozen */
};

void pp_store_progress(pp_store *store, struct pp_store_progress *out_progress);

/* Write what waits, here and now. Only without a pool. */
void pp_store_run(pp_store *store);

/* Note on disk that all that was settled is: then damage to it can be told from a write that never
 * finished. A pool does so by itself when a store is idle. Only without a pool. */
void pp_store_tend(pp_store *store);

/* Wait until a ticket is settled; if no thread of the pool has begun to write, the caller does.
 * Errors: why the store is frozen. */
pipit_err pp_store_wait(pp_store *store, uint64_t ticket);

/* Check records from *seq on, of about so many bytes, and move *seq behind them: 1 begins, 0 is the
 * answer at the end. What is damaged becomes lost; *out_bad counts those that were not known to be.
 * Errors: PIPIT_EIO, PIPIT_ENOMEM. */
pipit_err pp_store_scrub(pp_store *store, uint64_t *seq, uint64_t bytes, uint64_t *out_bad);

#endif
