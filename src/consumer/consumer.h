/* consumer/consumer.h -- what one consumer of a stream has been given and not settled yet: which
 * messages are in flight and until when, which of them come again and when, and how far all is
 * done.
 *
 *                    [deliver_new]
 *   not given yet -----------------> IN FLIGHT --[ack]--> done
 *                                     ^   |   \
 *                     [deliver_again] |   |    +--[nack, or its time is over]--> WAITING
 *                                     |   |                                      |
 *                                   READY <--------[its delay is over]-----------+
 *
 * A message that has been given max_deliver times and is not acknowledged then is done, too.
 * Acknowledging it is possible in every state. Messages are given for the first time in the order
 * of their sequences; which come again are READY in the order in which their delays end.
 *
 * Pure: time is an argument, and nothing happens by itself. The owner calls pp_consumer_turn() when
 * pp_consumer_due() is over. Memory is taken by messages that are outstanding only. */
#ifndef PP_CONSUMER_CONSUMER_H
#define PP_CONSUMER_CONSUMER_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* May be changed at any time; what is under way keeps its deadline. */
typedef struct pp_consumer_rules {
    uint32_t max_deliver;     /* times; 0: no limit */
    uint32_t max_outstanding; /* messages; 0: no limit but memory */
    int64_t ack_wait_ns;      /* for an answer */
    int64_t late_delay_ns;    /* until a message that got none is READY */
} pp_consumer_rules;

typedef struct pp_consumer_entry pp_consumer_entry;

/* Zeroed and then pp_consumer_init(): owning no memory. */
typedef struct pp_consumer {
    pp_consumer_rules rules;
    uint64_t next_seq; /* none from here on has been given */
    pp_consumer_entry *entries;
    uint32_t room;
    uint32_t free;   /* plus 1, as the following: the first of a chain */
    uint32_t oldest; /* of those outstanding, by sequence */
    uint32_t newest;
    uint32_t ready_first; /* to be given again */
    uint32_t ready_last;
    uint32_t *slots; /* by sequence */
    uint32_t *heap;  /* by deadline: in flight and waiting */
    uint32_t heap_count;
    uint32_t outstanding;
    uint32_t in_flight;
} pp_consumer;

/* What has become of a message. */
typedef enum pp_consumer_event {
    PP_CONSUMER_NOTHING,
    PP_CONSUMER_LATE,    /* its time is over: it is WAITING, or READY at once */
    PP_CONSUMER_READY,   /* its delay is over */
    PP_CONSUMER_DROPPED, /* given as often as may be, the last time in vain */
} pp_consumer_event;

/* Begin at next_seq. */
void pp_consumer_init(pp_consumer *consumer, const pp_consumer_rules *rules, uint64_t next_seq);
void pp_consumer_fini(pp_consumer *consumer);

/* Give seq, which is not below next_seq; what is in between is passed over.
 * Errors: PIPIT_ELIMIT max_outstanding are; PIPIT_ENOMEM. */
pipit_err pp_consumer_deliver_new(pp_consumer *consumer, uint64_t seq, int64_t now_ns);

/* The message that is to be given again next, and how often it has been; 0: none. */
uint64_t pp_consumer_again(const pp_consumer *consumer, uint32_t *out_count);
/* Give it. */
void pp_consumer_deliver_again(pp_consumer *consumer, int64_t now_ns);

/* It is done. False: it was not outstanding. */
bool pp_consumer_ack(pp_consumer *consumer, uint64_t seq);

/* It is refused: READY after delay_ns, or dropped. PP_CONSUMER_NOTHING: it is not in flight. */
pp_consumer_event pp_consumer_nack(pp_consumer *consumer, uint64_t seq, int64_t delay_ns,
                                   int64_t now_ns);

/* Have happen what is due, one thing at a time: PP_CONSUMER_NOTHING when there is no more. */
pp_consumer_event pp_consumer_turn(pp_consumer *consumer, int64_t now_ns, uint64_t *out_seq);

/* When something is due; INT64_MAX: nothing is. */
int64_t pp_consumer_due(const pp_consumer *consumer);

/* All up to here are done, or were passed over. */
uint64_t pp_consumer_floor(const pp_consumer *consumer);

#endif
