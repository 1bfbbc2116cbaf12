/* proto/fanout/subs.h -- the subscriptions of one client, by channel: few, so a sorted row of
 * pointers; the channel's name is the subscription's sid. */
#ifndef PP_PROTO_FANOUT_SUBS_H
#define PP_PROTO_FANOUT_SUBS_H

#include "base/err.h"
#include "core/sub.h"

#include <stddef.h>
#include <stdint.h>

/* Subscriptions are borrowed. Zeroed: empty, owning no memory. */
typedef struct pp_fanout_subs {
    pp_sub **row;
    uint32_t count, cap;
} pp_fanout_subs;

/* Only when empty. */
void pp_fanout_subs_fini(pp_fanout_subs *subs);
pp_sub *pp_fanout_subs_find(const pp_fanout_subs *subs, pp_str channel);
/* Its channel must not be there yet. Errors: PIPIT_ENOMEM. */
pipit_err pp_fanout_subs_add(pp_fanout_subs *subs, pp_sub *sub);
/* Must be there. */
void pp_fanout_subs_remove(pp_fanout_subs *subs, const pp_sub *sub);

#endif
