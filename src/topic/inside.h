/* topic/inside.h -- topics, as their own files see them. */
#ifndef PP_TOPIC_INSIDE_H
#define PP_TOPIC_INSIDE_H

#include "store/scrub.h"
#include "topic/topic.h"

#include <pthread.h>

enum {
    PP_TOPIC_PATH_BYTES = 4096,
    PP_TOPIC_OPENERS_MAX = 8,
};

/* One topic after another is looked through. */
struct pp_topics_walk {
    struct pp_scrub scrub;
    pp_link *at;      /* the topic; the list's end: none */
    int64_t begin_ns; /* of the next time; 0: not known yet */
    uint64_t passes;
};

struct pp_topics {
    struct pp_topics_host host;
    struct pp_topics_limits limits;
    struct pp_topics_files files;
    struct pp_store_keys keys; /* that files points to, or none */
    char *dir;                 /* NULL: in memory */
    pp_disk *disk;
    pp_store_pool *pool;
    pp_store_pool *readers;
    pp_table table;
    uint64_t seed;
    pthread_mutex_t naming; /* held by the opener that looks for or writes a long name */
    pthread_mutex_t lock;
    pthread_cond_t work;
    pp_topic *to_open_first, *to_open_last; /* under the lock, as the following */
    pp_topic *moved_first, *moved_last;
    bool woken;                    /* the owner is about to come */
    struct pp_store_limits stream; /* for openers */
    bool stopping;
    pthread_t openers[PP_TOPIC_OPENERS_MAX];
    unsigned opener_count, openers_idle;
    /* The owner's: */
    int64_t until_ns;   /* when this turn has done enough; 0: never */
    size_t expire_slot; /* where it was left off */
    pp_link all;
    struct pp_topics_walk walk;
};

/* Something about it is to be told to the owner. Thread: any. */
void pp_topic_move(pp_topic *topic);
/* Has this turn done enough? */
bool pp_topics_turn_is_over(const pp_topics *topics);
/* Have an opener open it. */
void pp_topic_open_soon(pp_topic *topic);
/* Open it here and now. */
void pp_topic_open_now(pp_topic *topic);
/* Enter one into the table. */
pipit_err pp_topics_add(pp_topics *topics, pp_str name, pp_topic **out_topic);

/* opener.c. Errors: what is wrong with the directory. */
pipit_err pp_topics_find_all(pp_topics *topics);
pipit_err pp_topics_start_openers(pp_topics *topics);
void pp_topics_stop_openers(pp_topics *topics);

/* publish.c. Note that a message of publisher is about to come. Errors: PIPIT_ENOMEM. */
pipit_err pp_topic_reserve_run(pp_topic *topic, uint64_t publisher);
/* Tell of what has been settled or lost since the last time. False: there is more to tell. */
bool pp_topic_settle(pp_topic *topic);
/* Append what waits, as far as it can be. False: more could be. */
bool pp_topic_drain(pp_topic *topic);
/* What waits is lost. */
void pp_topic_drop_backlog(pp_topic *topic, bool tell);

#endif
