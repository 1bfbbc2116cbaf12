#include "proto/nats/sids.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"

enum {
    SLOTS_AT_START = 4,
    SLOTS_MAX = 1 << 30,
};

/* A client can only aim at its own table; the address of the table makes the aim bad enough that
 * long runs of collisions cannot be prepared. */
static uint32_t place_of(const pp_nats_sids *sids, pp_str sid)
{
    return (uint32_t)pp_hash(sid.ptr, sid.len, (uint64_t)(uintptr_t)sids) & sids->mask;
}

void pp_nats_sids_fini(pp_nats_sids *sids)
{
    pp_free(sids->slots);
    *sids = (pp_nats_sids){0};
}

pp_sub *pp_nats_sids_find(const pp_nats_sids *sids, pp_str sid)
{
    if (!sids->slots)
        return NULL;
    for (uint32_t i = place_of(sids, sid); sids->slots[i]; i = (i + 1) & sids->mask) {
        if (pp_str_eq(pp_sub_sid(sids->slots[i]), sid))
            return sids->slots[i];
    }
    return NULL;
}

static void put(pp_nats_sids *sids, pp_sub *sub)
{
    uint32_t i = place_of(sids, pp_sub_sid(sub));

    while (sids->slots[i])
        i = (i + 1) & sids->mask;
    sids->slots[i] = sub;
}

static pipit_err resize(pp_nats_sids *sids, uint32_t slots)
{
    pp_nats_sids old = *sids;
    pp_sub **grown = pp_calloc(slots, sizeof(*grown));
    uint32_t old_slots = old.slots ? old.mask + 1 : 0;

    if (!grown)
        return PIPIT_ENOMEM;
    sids->slots = grown;
    sids->mask = slots - 1;
    for (uint32_t i = 0; i < old_slots; i++) {
        /* Their sids are needed to place them anew and lie all over memory: ask early. */
        if (i + 8 < old_slots)
            __builtin_prefetch(old.slots[i + 8]);
        if (old.slots[i])
            put(sids, old.slots[i]);
    }
    pp_free(old.slots);
    return PIPIT_OK;
}

pipit_err pp_nats_sids_add(pp_nats_sids *sids, pp_sub *sub)
{
    if (!sids->slots) {
        pipit_err err = resize(sids, SLOTS_AT_START);

        if (err)
            return err;
    } else if ((uint64_t)(sids->count + 1) * 8 > (uint64_t)(sids->mask + 1) * 7) {
        pipit_err err = sids->mask >= SLOTS_MAX - 1 ? PIPIT_ELIMIT : resize(sids, (sids->mask + 1) * 2);

        if (err)
            return err;
    }
    put(sids, sub);
    sids->count++;
    return PIPIT_OK;
}

void pp_nats_sids_remove(pp_nats_sids *sids, pp_sub *sub)
{
    uint32_t hole = place_of(sids, pp_sub_sid(sub));

    while (sids->slots[hole] != sub) {
        PP_ASSERT(sids->slots[hole]);
        hole = (hole + 1) & sids->mask;
    }
    sids->slots[hole] = NULL;
    sids->count--;
    /* Close the gap: whoever would no longer be found moves into it. */
    for (uint32_t i = (hole + 1) & sids->mask; sids->slots[i]; i = (i + 1) & sids->mask) {
        uint32_t home = place_of(sids, pp_sub_sid(sids->slots[i]));

        if (((i - home) & sids->mask) >= ((i - hole) & sids->mask)) {
            sids->slots[hole] = sids->slots[i];
            sids->slots[i] = NULL;
            hole = i;
        }
    }
    if (sids->count == 0)
        pp_nats_sids_fini(sids);
    else if (sids->mask >= 64 && sids->count * 8 < sids->mask)
        (void)resize(sids, (sids->mask + 1) / 4); /* only smaller; staying is fine too */
}

pp_sub *pp_nats_sids_any(const pp_nats_sids *sids, uint32_t *at)
{
    if (!sids->count)
        return NULL;
    for (uint32_t i = *at & sids->mask;; i = (i + 1) & sids->mask) {
        if (sids->slots[i]) {
            *at = i;
            return sids->slots[i];
        }
    }
}
