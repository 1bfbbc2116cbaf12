/* core/grants.h -- what one client may publish to for a while because it was asked there.
 *
 * Permissions may let a client answer: the reply subject of each message that it is given is then
 * granted to it, so often and for so long. Any loop that delivers to the client adds; only the
 * client's own loop takes. Both are rare beside other messages, so one lock will do.
 *
 * A requester decides what is remembered and a responder may never answer, so there is an end: of
 * PP_GRANTS_MAX, or PP_GRANTS_BYTES_MAX of memory, the oldest is forgotten for the newest. */
#ifndef PP_CORE_GRANTS_H
#define PP_CORE_GRANTS_H

#include "base/err.h"
#include "base/str.h"
#include "core/permission.h"
#include "core/sub.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PP_GRANTS_MAX = 16 * 1024,
    PP_GRANTS_BYTES_MAX = 2 << 20,
    PP_GRANTS_SUBJECT_MAX = 32 * 1024, /* bytes; a longer reply subject is not remembered */
};

typedef struct pp_grants pp_grants;

/* Errors: PIPIT_ENOMEM. */
pipit_err pp_grants_new(pp_grants **out_grants);
void pp_grants_free(pp_grants *grants);

/* The client is given a message by sub, to be answered at subject. Once more for the same subject
 * begins anew. False: it is not remembered, for want of memory or since sub is of a time before
 * pp_grants_restart. Thread: any loop, in a turn. */
bool pp_grants_add(pp_grants *grants, pp_str subject, const pp_sub *sub, int64_t now_ns);

/* May the client publish to subject once (more)? Thread: the client's loop. */
bool pp_grants_take(pp_grants *grants, pp_str subject, const pp_permission_responses *terms,
                    int64_t now_ns);

/* Forget what is too old. Thread: the client's loop. */
void pp_grants_expire(pp_grants *grants, const pp_permission_responses *terms, int64_t now_ns);

/* Forget everything: the client has become somebody else, after all its subscriptions were ended.
 * What other loops deliver to those grants nothing. Thread: the client's loop. */
void pp_grants_restart(pp_grants *grants);

size_t pp_grants_count(pp_grants *grants);

#endif
