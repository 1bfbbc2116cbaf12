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
    /* Called for each recipient in account that was tried; pattern, which is that of the account
     * that the message was published in, is empty when it went meanwhile. */
    void (*see)(struct pp_witness *witness, const pp_account *account, const pp_sub *sub,
                pp_str pattern, pp_verdict verdict);
    /* It leaves by import: from its exporter as a stream, to its exporter as a request; there its
     * subject is another. */
    void (*see_leave)(struct pp_witness *witness, const pp_import *import, pp_str from, pp_str to);
    bool dry; /* go through all of it, but stage nothing and count nothing */
    size_t seen;
} pp_witness;

/* Does a trace follow a message by this import? */
static inline bool pp_trace_follows(const pp_import *import)
{
    const pp_export *export =
        atomic_load_explicit(&((pp_import *)import)->export, memory_order_acquire);

    return import->is_service ? export && export->allow_trace : import->allow_trace;
}

/**
 * Deliver msg, whose subject is mapped and permitted already, as pp_route_deliver does.
 *
 * What leaves the account is followed as far as those in between allow; what is not allowed to be
 * followed is delivered, and counts, but is not told of. Plain recipients come first; of a queue
 * group members are tried from one chosen by chance on, until one takes it. *out_taken is how many
 * took it, or would have if this is dry.
 *
 * Errors: PIPIT_ENOMEM nothing was delivered. Thread: the router's loop, inside a turn.
 */
pipit_err pp_trace_deliver(pp_route_cache *cache, const pp_msg *msg, pp_witness *witness,
                           size_t *out_taken);

#endif
