/* store/inside.h -- a store, as its own files see it.
 *
 * The owner's thread decides where every record goes (journal.c) and puts it into a batch; a pool's
 * thread writes batches in order (writer.c). What they share is under `lock`. All else is the
 * owner's, but for `writer`, which is of whoever serves the store. */
#ifndef PP_STORE_INSIDE_H
#define PP_STORE_INSIDE_H

#include "base/buf.h"
#include "base/list.h"
#include "store/ahead.h"
#include "store/cache.h"
#include "store/footer.h"
#include "store/identity.h"
#include "store/pool_seat.h"
#include "store/rewrite.h"
#include "store/segment.h"
#include "store/store.h"

#include <pthread.h>

enum {
    PP_SEGMENT_BYTES_MAX = 1 << 30, /* whatever the options say */
    PP_SEGMENT_BYTES_MIN = 64 * 1024,
    PP_FIRST_SEGMENT_BYTES = 1024 * 1024, /* the next is twice that, and so on */
    PP_PATH_BYTES = 4096,
    PP_RANGES_PIECE = 1024, /* that are told by one record */
};

typedef enum pp_action_kind {
    PP_ACTION_REMOVE,
    PP_ACTION_PUNCH,
    PP_ACTION_ERASE,
    PP_ACTION_COPY,    /* bytes go to the file that rewrite.c makes */
    PP_ACTION_REPLACE, /* which takes the place of the segment `number`, */
    PP_ACTION_ABANDON, /* or goes; these bytes of it are overwritten first */
} pp_action_kind;

/* What is done to files once the records that say so are on disk. */
struct pp_action {
    pp_action_kind kind;
    uint64_t number; /* of the segment */
    uint64_t at;
    uint64_t bytes;
    struct pp_record_head head; /* of what is erased: it stays, and zeros follow */
    char *copy;                 /* COPY: the action's own */
};

/* Records that are written with one write, all into one segment. */
struct pp_batch {
    pp_link link;
    pp_segment *segment;
    uint64_t at;         /* where its bytes go */
    uint64_t durable_at; /* what lies before is on disk when they are written */
    pp_buf bytes;
    bool taken;         /* it is being written: nothing is added any more */
    bool opens;         /* it is its segment's first */
    bool mark;          /* it is but a mark, and need not be synced */
    uint64_t begins;    /* opens: the next sequence then */
    pp_segment *sealed; /* opens: the segment before, which gets its footer */
    pp_buf footer;
    struct pp_action *actions;
    uint32_t action_count;
    uint32_t action_room;
    bool urgent;     /* its actions need its records on disk */
    uint64_t ticket; /* the newest of its mutations */
    uint64_t seq;    /* the newest sequence with it */
};

/* Who serves the store has this to himself. */
struct pp_writer {
    int fd;          /* of the segment that is written */
    uint64_t number; /* its number */
    int spare_fd;    /* of the next one, while it has no name */
    bool unsynced;   /* something was written since the last sync */
    bool removed;    /* a file was, and the folder was not synced since */
    int64_t sync_due_ns;
    int64_t took_ns; /* the last batch */
};

/* What is known before all that records delete has been applied. */
struct pp_opening {
    struct pp_ranges suspects; /* sequences that may be lost */
    struct pp_ranges deletes;  /* and what explains that they are missing */
};

/* What the next segment's file is like. */
typedef enum pp_spare_state { PP_SPARE_NONE, PP_SPARE_WANTED, PP_SPARE_READY } pp_spare_state;

struct pp_store {
    struct pp_store_options options; /* without dir */
    struct pp_store_limits limits;
    char *dir;
    pp_disk *disk;
    bool memory;
    int lock_fd;
    struct pp_identity id;
    pp_store_refusal refused;

    pp_segment **segments; /* in the order of the log; the last one is written to */
    uint32_t segment_count;
    uint32_t segment_room;
    pp_segment *tail;  /* the last one, under the lock: the array is the owner's */
    pp_segment *limbo; /* not there any more, but a batch knows them */
    pp_subjects subjects;
    uint64_t vague_seq; /* up to here some could not be counted: that segment was not read; 0 */
    uint64_t messages;
    uint64_t bytes;
    uint64_t first_seq;
    uint64_t last_seq;
    int64_t last_time_ns;
    uint64_t evicted_seq; /* up to here messages went by limits, and no record says so yet */
    struct pp_ranges
        cut; /* numbers of segments that a truncation has taken out; their files are there */
    uint64_t cut_lowest; /* the lowest sequence that records of them delete */
    struct pp_ranges lost;
    uint64_t truncations; /* since it was opened: sequences may have come again */
    uint64_t tick;
    bool reclaim_wanted; /* some segment is dead, or nearly so */
    bool subjects_stale; /* how many messages they have is to be counted again */
    bool subjects_held;  /* none gets the number of another: segments yet to come have them */
    struct pp_opening *opening; /* NULL: it is open */
    bool index_held;            /* nothing is unloaded meanwhile */
    size_t index_loaded;        /* bytes of indexes of sealed segments */
    uint32_t files_open;
    uint64_t next_number;
    struct pp_expiry *due; /* a heap by time of messages with their own */
    uint32_t due_count;
    uint32_t due_room;
    struct pp_expiries due_aside; /* of these, what was due and could not be looked at; it waits */
    int64_t aside_again_ns;       /* so long, on the monotonic clock */
    bool subjects_over;           /* some may have more than limits.per_subject yet, */
    uint32_t over_id;             /* from this one on */
    pipit_err over_err;           /* why some were passed over; OK: none was */
    pipit_err over_now_err;       /* the same of those before, of this pass alone */
    int64_t over_again_ns;        /* then all are looked at again, on the monotonic clock; 0 */
    uint64_t age_seq;             /* messages before were looked at for their age, and stay, */
    uint64_t age_passed_seq;      /* but for some from this one on, that wait as well; 0: none */
    int64_t age_again_ns;         /* for so long, */
    bool age_ended;               /* and until nothing else is due */
    uint32_t age_blocks;          /* that the last failure has passed over; 0: it could be read */
    int64_t age_took_ns;          /* what such failures have taken since the first one */
    struct pp_rewrite rewrite;
    uint64_t rewritten;
    pp_cache cache;
    struct pp_ahead ahead;
    bool hurried;               /* in this call the disk is not waited for */
    pp_buf scratch;             /* a record that lies nowhere in one piece */
    pp_buf opened;              /* a body that was sealed */
    pp_buf raw;                 /* headers and payload that were compressed */
    pp_buf squeezed;            /* and those that are being compressed */
    struct pp_store_keys *keys; /* NULL: nothing that is written is encrypted */
    uint64_t epoch;             /* random, of this opening */
    bool key_missing;           /* some segment is of a key that is not there */

    pp_pool_seat seat;
    struct pp_writer writer;
    pthread_mutex_t lock;
    pthread_cond_t moved;  /* settled or failed */
    pthread_cond_t more;   /* as much is in the batch as was waited for */
    uint64_t gather_at;    /* the ticket with which that is so; 0: nobody waits */
    uint64_t last_count;   /* mutations that the last batch settled */
    bool awaited;          /* the owner waits for a ticket, and does nothing else */
    pp_link batches;       /* in order; the first may be taken */
    struct pp_batch *idle; /* one that was written, with its memory */
    size_t pending_bytes;
    bool served; /* a pool's thread has been asked, or is at it */
    bool marked; /* nothing has been written since the last mark */
    uint64_t issued;
    uint64_t settled;
    uint64_t settled_seq;
    pipit_err failure;
    bool rewrite_failed; /* what rewrite.c makes could not be written */
    bool rewrite_done;   /* or has its name */
    pp_spare_state spare;
    uint64_t spare_bytes; /* wanted, or there */
    pipit_err spare_err;  /* why there was none, the last time */
    uint32_t openings;    /* batches that wait and will take the one that is there */
    uint64_t synced_end;  /* of the segment that is written: what is on disk */
};

static inline pp_segment *pp_store_active(const pp_store *store)
{
    return store->segments[store->segment_count - 1];
}

/* files.c: names and files. */
void pp_store_path(const pp_store *store, uint64_t number, char out[PP_PATH_BYTES]);
void pp_store_path_of(const pp_store *store, const char *name, char out[PP_PATH_BYTES]);
/* The number in a segment's file name; 0: it is none. */
uint64_t pp_store_number_of(const char *name);
struct pp_identity pp_store_identity_of(const pp_store *store, uint64_t number, uint64_t first_seq);
/* A file to read the segment from, at most a few of them open. Errors: as pp_disk_open(). */
pipit_err pp_store_file(pp_store *store, pp_segment *segment);
void pp_store_close_file(pp_store *store, pp_segment *segment);

/* layout.c: which segment is where. */
pipit_err pp_store_add_segment(pp_store *store, pp_segment *segment);
/* The position of the first segment whose newest sequence is not below seq; segment_count: none. */
uint32_t pp_store_segment_of(const pp_store *store, uint64_t seq);
/* Have the index of a segment in memory. Errors: PIPIT_ENOMEM, PIPIT_EIO. */
pipit_err pp_store_load(pp_store *store, pp_segment *segment);
/* When it may be tried again, on the monotonic clock, what the disk has not given; to learn that
 * took so long. */
int64_t pp_store_pause_until(int64_t took_ns);
/* Read what is in front of the index in the footer: subjects, then lists; freed by the caller.
 * Errors: PIPIT_EDAMAGED; PIPIT_EIO; PIPIT_ENOMEM. */
pipit_err pp_store_read_footer(pp_store *store, pp_segment *segment, struct pp_footer *out_footer,
                               char **out_front);
/* Find a live message. Loads its segment. Errors: PIPIT_ENOTFOUND; as pp_store_load(). */
pipit_err pp_store_find(pp_store *store, uint64_t seq, pp_segment **out_segment, uint32_t *out_nth);
/* The first live message from seq on, of any subject. */
pipit_err pp_store_find_live(pp_store *store, uint64_t seq, pp_segment **out_segment,
                             uint32_t *out_nth);
/* first_seq, after messages went. */
void pp_store_find_first(pp_store *store);

/* May a reader be asked for something of it? Readers open files by their names, and while another
 * one takes its place it is not known which file that is. What was asked for before is forgotten
 * when that has happened. */
static inline bool pp_store_may_hurry(const pp_store *store, const pp_segment *segment)
{
    return store->hurried && !(segment->rewriting && store->rewrite.state == PP_REWRITE_REPLACE);
}

/* fetch.c: bytes of records. *out_bytes is valid until the next fetch. at + bytes lies within the
 * records of the segment. Errors: PIPIT_EDAMAGED the file is shorter; PIPIT_EIO; PIPIT_ENOMEM. */
pipit_err pp_store_fetch(pp_store *store, pp_segment *segment, uint64_t at, size_t bytes,
                         const char **out_bytes);
/* Errors: PIPIT_EDAMAGED; as pp_store_fetch(). */
pipit_err pp_store_fetch_head(pp_store *store, pp_segment *segment, uint32_t nth,
                              struct pp_record_head *out_head);
/* What a message counts for, as the footer has it: its record may have become a hole. */
pipit_err pp_store_fetch_size(pp_store *store, pp_segment *segment, uint32_t nth,
                              uint32_t *out_size);
pipit_err pp_store_fetch_message(pp_store *store, pp_segment *segment, uint32_t nth,
                                 struct pp_store_message *out_message);

/* unpack.c: what is in a body. */
/* May a message go to this segment, as messages are written now? */
bool pp_store_suits(const pp_store *store, const pp_segment *segment);
void pp_store_give_key(pp_store *store, pp_segment *segment, uint32_t nth);
/* Errors: PIPIT_EDENIED none of the store's keys. */
pipit_err pp_store_find_key(pp_store *store, pp_segment *segment, uint64_t key_id);
/* Open something sealed; all keys are tried if it is not known which one it is. Errors:
 * PIPIT_EDAMAGED. */
pipit_err pp_store_open_sealed(pp_store *store, pp_segment *segment,
                               const struct pp_seal_place *place, const char *bytes, size_t len,
                               char *out);
/* Take a true body apart; parts may be of store->opened, and be squeezed. Errors: PIPIT_EDAMAGED;
 * PIPIT_ENOMEM. */
pipit_err pp_store_open_body(pp_store *store, pp_segment *segment, uint64_t at,
                             const struct pp_record_head *head, const char *body,
                             struct pp_record_parts *out_parts);
/* Make headers and payload of what is squeezed, in store->raw. Errors: the same. */
pipit_err pp_store_unsqueeze(pp_store *store, struct pp_record_parts *parts);

/* journal.c: records go into batches.
 *
 * Between begin and end the lock is held and nothing fails: begin has seen that nothing hinders the
 * mutation, that its records find room in one segment, which it may have opened, and that there is
 * memory for them and so many actions. Errors: as pp_store_append(). */
struct pp_journal_needs {
    uint64_t bytes; /* of records */
    uint32_t actions;
    uint32_t ranges;  /* for the footer: of messages that go */
    uint32_t drops;   /* and of segments */
    bool message;     /* which leaves room for what deletes messages */
    uint64_t seq;     /* of the message */
    bool expires;     /* and it does */
    bool new_segment; /* it must begin one */
    uint64_t new_seq; /* the next sequence there */
    bool fresh;       /* its batch holds nothing else: what is before it is on disk first */
};
pipit_err pp_journal_begin(pp_store *store, const struct pp_journal_needs *needs);
/* Answers where it lies. */
uint64_t pp_journal_message(pp_store *store, const struct pp_record_parts *parts, uint64_t seq,
                            int64_t time_ns);
void pp_journal_ranges(pp_store *store, pp_record_kind kind, uint64_t seq,
                       const struct pp_range *ranges, uint32_t count);
/* The same for DELETE and ERASE; the footer will say so, too. */
void pp_journal_deletes(pp_store *store, pp_record_kind kind, uint64_t seq,
                        const struct pp_range *ranges, uint32_t count);
/* Do an action once the mutation is on disk. */
void pp_journal_action(pp_store *store, struct pp_action action);
/* Give the mutation its ticket; newest is the newest sequence with it. */
void pp_journal_end(pp_store *store, uint64_t newest);
/* An empty batch. NULL: no memory. Under the lock. */
struct pp_batch *pp_batch_take(pp_store *store);
void pp_batch_free(struct pp_batch *batch);

/* action.c: do it. Only what must not fail is a failure. Thread: who serves the store. Errors:
 * PIPIT_EIO, PIPIT_ENOSPC. */
pipit_err pp_action_run(pp_store *store, const struct pp_action *action);
/* Free what they own. */
void pp_actions_forget(struct pp_action *actions, uint32_t count);

/* writer.c. */
int64_t pp_writer_serve(pp_pool_seat *seat, bool due);
/* Write a mark if nothing else is going on. */
void pp_writer_mark(pp_store *store);
/* Bytes of the disk that a segment with so much room for records asks for: its footer, too. */
static inline uint64_t pp_segment_file_bytes(uint64_t room)
{
    return room + room / 8;
}
extern const char pp_spare_name[];

/* killing.c: messages go from the index, after the records that say so are in the journal. */
/* Load what is between, and have bits for it. Errors: PIPIT_ENOMEM, PIPIT_EIO. */
pipit_err pp_store_prepare_kill(pp_store *store, uint64_t first, uint64_t last);
/* The same for one message, and all that is needed besides is in memory then. Errors: also
 * PIPIT_EAGAIN, if hurried: it is being read. */
pipit_err pp_store_prepare_one(pp_store *store, uint64_t seq, bool hurried);
/* Live messages from first to last, sequences that were prepared, go. Answers how many. */
uint64_t pp_store_kill(pp_store *store, uint64_t first, uint64_t last);
/* All that is live in a sealed segment, the first that has something, goes without its index.
 * Errors: PIPIT_ENOMEM. */
pipit_err pp_store_kill_unread(pp_store *store, pp_segment *segment);
/* Journal ranges and kill what is in them, in pieces that fit. Errors: as pp_store_append(); then
 * some may be done. */
pipit_err pp_store_delete_ranges(pp_store *store, const struct pp_ranges *ranges, bool erase,
                                 uint64_t *out_count);

/* reclaim.c. */
/* Whole dead segments go. What fails is left for later. */
void pp_store_reclaim(pp_store *store);

/* What segments that go may say of older ones, the first `end`, from the sequence lowest on: it is
 * said again. Errors: as pp_store_append(). */
pipit_err pp_store_say_again(pp_store *store, uint32_t end, uint64_t lowest);

/* The numbers up to that of the last segment that no segment has, without those at first up to but
 * not at last. Answers how many ranges; UINT32_MAX: more than PP_RANGES_PIECE, which out has room
 * for. */
uint32_t pp_store_missing_numbers(const pp_store *store, uint32_t first, uint32_t last,
                                  struct pp_range *out);

/* waste.c: segments that should be written anew, by their positions. False: there are none. */
bool pp_store_find_waste(pp_store *store, uint32_t *out_first, uint32_t *out_last);

/* Say that segments whose numbers are missing are no more. Errors: as pp_store_append(). */
pipit_err pp_store_forget_files(pp_store *store);

/* Close its file and forget it. */
void pp_store_remove_segment(pp_store *store, uint32_t at);
/* Free those that were forgotten while batches concerned them. */
void pp_store_free_limbo(pp_store *store);

/* compact.c: segments in memory that are mostly dead are copied to a smaller piece. */
void pp_store_compact_memory(pp_store *store);

/* limits.c */
/* What is over the limits goes; of an owner who does not wait for the disk, some of it. Errors: as
 * pp_store_append(). */
pipit_err pp_store_enforce(pp_store *store);
/* Before a message comes: so far beyond the limits that it has to wait? Errors: PIPIT_EAGAIN. */
pipit_err pp_store_make_way(pp_store *store);
/* As pp_store_limit(). */
pipit_err pp_store_take_limits(pp_store *store, const struct pp_store_limits *limits, bool hurried);

/* purge.c: what is behind the cut goes. The index of a segment is loaded, or all of it is dead:
 * then some that are cut off may still be counted among the dead. */
void pp_store_cut(pp_segment *segment, uint64_t seq);
/* All above seq goes from the first `end` segments; prepared, and store->cut has room for so many.
 */
void pp_store_cut_all(pp_store *store, uint32_t end, uint64_t seq);

/* read.c: as pp_store_next(), but the message is not read. */
pipit_err pp_store_next_seq(pp_store *store, pp_str filter, uint64_t seq, uint64_t *out_seq);

/* Say what limits have evicted, so that it does not depend on what they are later. */
pipit_err pp_store_say_evicted(pp_store *store);

/* due.c */
/* Have room for one more. Errors: PIPIT_ENOMEM, PIPIT_ELIMIT. */
pipit_err pp_store_reserve_due(pp_store *store);
/* Forget those above seq. */
void pp_store_cut_due(pp_store *store, uint64_t seq);
void pp_store_add_due(pp_store *store, int64_t at_ns, uint64_t seq);

/* by_subject.c: the first and last of a subject, looked up if they are stale. One that is said to
 * have messages and has none is forgotten: PIPIT_ENOTFOUND. Errors: also as pp_store_load(). */
pipit_err pp_store_first_of(pp_store *store, uint32_t id, uint64_t *out_seq);
pipit_err pp_store_last_of(pp_store *store, uint32_t id, uint64_t *out_seq);
/* If subjects are stale, count the messages of each. What then is over their limit is known again.
 * Errors: PIPIT_ENOMEM. */
pipit_err pp_store_count_subjects(pp_store *store);
/* May it have messages that could not be counted? */
static inline bool pp_store_is_vague(const pp_store *store, const struct pp_stored_subject *subject)
{
    return store->vague_seq && subject->first <= store->vague_seq;
}

/* damage.c */
/* A line in the log, if there is one. */
void pp_store_complain(const pp_store *store, pp_log_level level, const char *what,
                       uint64_t number);
/* Tell whoever wants to know. */
void pp_store_find_out(const pp_store *store, struct pp_finding finding);
void pp_store_note_lost(pp_store *store, uint64_t first, uint64_t last, const char *what);
bool pp_store_is_lost(const pp_store *store, uint64_t seq);

/* recovery.c */
pipit_err pp_store_recover(pp_store *store, char *out_why);

/* manifest.c: from the header of a file. Errors: PIPIT_ENOTFOUND there is none; PIPIT_EDAMAGED;
 * PIPIT_EPROTO, and why says more. */
pipit_err pp_store_read_identity(pp_store *store, const char *path, uint64_t magic,
                                 struct pp_identity *out_id, char *why);
/* What is written from now on is as the options say; what was may be compressed anyway. */
void pp_store_choose_features(pp_store *store);
/* A first segment under its name; then the manifest, with which a store exists. Errors: PIPIT_EIO,
 * PIPIT_ENOSPC. */
pipit_err pp_store_create(pp_store *store);
/* Write the manifest anew. Errors: the same. */
pipit_err pp_store_write_manifest(pp_store *store);
/* Make an empty segment's file. Errors: the same. */
pipit_err pp_store_make_segment(pp_store *store, uint64_t number, uint64_t first_seq);

#endif
