/* topic/topic.h -- topics of the message broker: each is a stream of the store, with one subject.
 *
 *            [opener]                     [a write fails]
 *   OPENING ----------> OPEN, settling --------------------> OPEN, frozen
 *      |  ^
 *      v  | [used again, a second later]
 *     FAILED
 *
 * Offsets of the protocol are sequences less one. A message exists for others when it is settled;
 * until then it is known who published it, so that a failure can be told. What cannot be appended
 * at once, because the topic is being opened or too much waits to be written, is kept in the
 * topic's backlog, in order, up to a limit.
 *
 * Thread: all but `wake` belongs to one thread, the owner's; whoever opens and writes tells it by
 * wake() to come to pp_topics_turn(). */
#ifndef PP_TOPIC_TOPIC_H
#define PP_TOPIC_TOPIC_H

#include "base/list.h"
#include "base/log.h"
#include "base/table.h"
#include "store/store.h"

typedef struct pp_topics pp_topics;

typedef enum pp_topic_state { PP_TOPIC_OPENING, PP_TOPIC_OPEN, PP_TOPIC_FAILED } pp_topic_state;

/* Messages of one publisher that are not settled, in a row. */
struct pp_topic_run {
    uint64_t publisher;
    uint64_t last_seq;
};

/* Its fields are for reading, but for the lists at the end. */
typedef struct pp_topic {
    pp_table_entry entry;
    pp_topics *topics;
    pp_topic_state state;
    bool frozen; /* nothing can be published any more; reading goes on */
    bool grown;  /* and who owns it has not yet told all */
    bool aging;  /* messages are too old that are yet to be read */
    /* Why what is over the limits, or too old, does not go; told when it changes. */
    pipit_err evict_err, expire_err;
    pp_store *store;
    uint64_t last_seq;    /* the newest */
    uint64_t settled_seq; /* all up to here may be seen */
    uint64_t reads;       /* that were made ahead; with others it is worth while to try again */
    struct pp_topic_run *runs; /* a ring */
    uint32_t run_room, run_first, run_count;
    pp_link backlog;
    size_t backlog_bytes;
    pipit_err open_err; /* FAILED: why */
    int64_t retry_ns;   /* and not opened again before */
    /* Under the lock of topics: */
    struct pp_topic *next_moved, *next_to_open;
    bool moved;
    bool tried; /* it has been opened, or could not be */
    pp_store *opened;
    pipit_err tried_err;
    pp_link next; /* in the order that they came to be */
    /* The owner's own: who waits for the topic. */
    pp_link tail;
    pp_link stalled;
    pp_link reading;
    pp_str name;    /* behind this */
    pp_str subject; /* the same */
} pp_topic;

/* How topics are kept on disk. */
struct pp_topics_files {
    int64_t sync_interval_ns; /* 0: settled means on disk */
    bool compress;
    const struct pp_store_keys *keys; /* NULL: not encrypted */
};

/* Who owns topics. */
struct pp_topics_host {
    const pp_log *log;
    void *ctx;
    /* Have pp_topics_turn() called. Thread: any. */
    void (*wake)(void *ctx);
    /* It is open, or could not be opened; or there is room in it again. */
    void (*on_ready)(void *ctx, pp_topic *topic);
    /* Messages of one publisher (0: NATS) have been settled. */
    void (*on_settled)(void *ctx, pp_topic *topic, uint64_t publisher, uint64_t first,
                       uint64_t last);
    /* Something was read, or a read has failed: who got PIPIT_EAGAIN may try again. False: as the
     * following. */
    bool (*on_read)(void *ctx, pp_topic *topic);
    /* All that was settled in this turn has been told: the topic has grown. False: there is too
     * much to do for one turn, have it called again in the next. */
    bool (*on_grown)(void *ctx, pp_topic *topic);
    /* A message of that publisher that was accepted is lost. */
    void (*on_lost)(void *ctx, pp_topic *topic, uint64_t publisher);
};

/* What a reload may change. */
struct pp_topics_limits {
    uint32_t topics;
    size_t backlog_bytes; /* of each */
    struct pp_store_limits stream;
    int64_t scrub_interval_ns; /* how often all that is on disk is looked through; 0: never */
    uint64_t scrub_rate;       /* bytes a second */
};

/* dir: where topics are kept, as files says; NULL: in memory. Topics that are there are opened, one
 * after another, by a thread. pp_topics_start() comes first of all calls. Errors: PIPIT_ENOMEM;
 * PIPIT_ELIMIT; PIPIT_EDENIED, PIPIT_EIO and the like: what is wrong with dir. */
pipit_err pp_topics_new(pp_topics **out_topics, const struct pp_topics_host *host, const char *dir,
                        const struct pp_topics_files *files, const struct pp_topics_limits *limits,
                        pp_disk *disk);
pipit_err pp_topics_start(pp_topics *topics);
/* Settle what can be settled and close all; nothing is woken any more. */
void pp_topics_stop(pp_topics *topics);
/* NULL is fine. */
void pp_topics_free(pp_topics *topics);

/* Do what wake() has asked for. What takes too long for one turn goes on in the next, for which
 * wake() is called. */
void pp_topics_turn(pp_topics *topics);

void pp_topics_limit(pp_topics *topics, const struct pp_topics_limits *limits);

/* Have messages expire that are over the age limit, for a bounded time. True: there are more. */
bool pp_topics_expire(pp_topics *topics, int64_t wall_ns);

/* Look through what is on disk for damage, a little of it. Answers when to go on, on the monotonic
 * clock; INT64_MAX: not until the limits are others. */
int64_t pp_topics_scrub(pp_topics *topics, int64_t now_ns);

struct pp_topics_scrubbed {
    uint64_t passes; /* through all topics */
    uint64_t bad;    /* messages that were found to be damaged */
};
struct pp_topics_scrubbed pp_topics_scrubbed(const pp_topics *topics);

/* The topic of that name, made if there is none. It may not be open yet.
 * Errors: PIPIT_ELIMIT there are too many; PIPIT_ETOOBIG; PIPIT_ENOMEM. */
pipit_err pp_topics_get(pp_topics *topics, pp_str name, int64_t now_ns, pp_topic **out_topic);

/* The topic of that name; NULL: there is none. */
pp_topic *pp_topics_find(const pp_topics *topics, pp_str name);

uint32_t pp_topics_count(const pp_topics *topics);

/* Publish. PIPIT_EAGAIN: accepted, but the publisher better waits until on_ready. Errors: the store
 * refuses it; PIPIT_ELIMIT too much waits. */
pipit_err pp_topic_publish(pp_topic *topic, uint64_t publisher, pp_str data, int64_t wall_ns);

/* The first settled message from seq on; borrowed until the next call with topic.
 * Errors: PIPIT_ENOTFOUND; PIPIT_EAGAIN it is being read from the disk, until on_read; PIPIT_EIO;
 * PIPIT_ENOMEM. */
pipit_err pp_topic_next(pp_topic *topic, uint64_t seq, struct pp_store_message *out_message);
/* One settled message. Errors: also PIPIT_EDAMAGED. */
pipit_err pp_topic_at(pp_topic *topic, uint64_t seq, struct pp_store_message *out_message);
/* The same for one that was settled a moment ago, from the disk if it must be. */
pipit_err pp_topic_read(pp_topic *topic, uint64_t seq, struct pp_store_message *out_message);

#endif
