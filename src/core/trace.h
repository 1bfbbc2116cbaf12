/* core/trace.h -- delivering one message while somebody watches: what becomes of it at each
 * recipient that its subject has.
 *
 * The ordinary way goes by routes, which leave out whoever cannot hear a message before it comes.
 * This one asks the index anew for each message and tells of everybody; it is for the few messages
 * that want to be traced. What is staged for whom is the same in both, in the same order. */
#ifndef PP_CORE_TRACE_H
#define PP_CORE_TRACE_H

#include "core/route.h"

typedef enum pp_verdict {
    PP_VERDICT_DELIVERED,
    PP_VERDICT_ECHO,      /* it is the publisher's own, who wants no echo */
    PP_VERDICT_FORBIDDEN, /* permissions do not let it hear this subject */
    PP_VERDICT_EXHAUSTED, /* it has had all that it asked for */
    PP_VERDICT_CLOSED,    /* its client is going */
    PP_VERDICT_REFUSED,   /* the client lags behind, or there is no memory */
} pp_verdict;

typedef struct pp_witness {
    /* Called for each recipient that was tried; pattern is empty when it went meanwhile. */
    void (*see)(struct pp_witness *witness, const pp_sub *sub, pp_str pattern, pp_verdict verdict);
    bool dry; /* go through all of it, but stage nothing and count nothing */
    size_t seen;
} pp_witness;

/**
 * Deliver msg, whose subject is mapped and permitted already, as pp_route_deliver does.
 *
 * Plain recipients come first; of a queue group members are tried from one chosen by chance on,
 * until one takes it. *out_taken is how many took it, or would have if this is dry.
 *
 * Errors: PIPIT_ENOMEM nothing was delivered. Thread: the router's loop, inside a turn.
 */
pipit_err pp_trace_deliver(pp_route_cache *cache, const pp_msg *msg, pp_witness *witness,
                           size_t *out_taken);

#endif
