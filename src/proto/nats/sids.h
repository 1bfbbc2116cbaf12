/* proto/nats/sids.h -- the subscriptions of one connection, by the id the client gave them.
 *
 * Open addressing. A slot is a pointer with 16 bits of the sid's hash above it, so that another
 * subscription is seldom looked at in vain. Clients count their sids up: consecutive numbers get
 * neighbouring slots, so that very many subscriptions are made and ended without a cache miss for
 * each; which neighbourhood is decided by a keyed hash, so that a client cannot aim. */
#ifndef PP_PROTO_NATS_SIDS_H
#define PP_PROTO_NATS_SIDS_H

#include "base/err.h"
#include "core/sub.h"

#include <stddef.h>

/* Subscriptions are borrowed. Zeroed: empty. Most connections have one or none: no table is made
 * for those. */
typedef struct pp_nats_sids {
    union {
        uint64_t *slots;
        uint64_t only; /* the one slot there is, while mask is 0 */
    };
    uint32_t count;
    uint32_t used; /* count, and slots whose subscription has gone */
    uint32_t mask; /* slots - 1 */
} pp_nats_sids;

void pp_nats_sids_fini(pp_nats_sids *sids);
pp_sub *pp_nats_sids_find(const pp_nats_sids *sids, pp_str sid);
/* Its sid must not be there yet. Errors: PIPIT_ENOMEM; PIPIT_ELIMIT beyond 2^30. */
pipit_err pp_nats_sids_add(pp_nats_sids *sids, pp_sub *sub);
/* Must be there. Gives memory back as it empties. */
void pp_nats_sids_remove(pp_nats_sids *sids, pp_sub *sub);
/* Call visit for each; nothing is added or removed meanwhile. */
void pp_nats_sids_each(const pp_nats_sids *sids, void (*visit)(pp_sub *sub, void *arg), void *arg);
/* Visit those in the next slots, from *at on, which is moved; false: that was the end. While
 * slots and mask stay the same a subscription that stays is visited once in a walk from 0. */
bool pp_nats_sids_walk(const pp_nats_sids *sids, uint32_t *at, uint32_t slots,
                       void (*visit)(const pp_sub *sub, void *arg), void *arg);
/* Any one of them; NULL when empty. at is where to look first and is moved on. */
pp_sub *pp_nats_sids_any(const pp_nats_sids *sids, uint32_t *at);

#endif
