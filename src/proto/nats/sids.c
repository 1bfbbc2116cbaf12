#include "proto/nats/sids.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"

enum {
    SLOTS_AT_START = 4,
    SLOTS_MAX = 1 << 30,
    TAG_SHIFT = 48, /* user pointers of 64-bit Linux lie below */
    NEIGHBOURS = 64,
    NUMBER_DIGITS_MAX = 9,
};

static const uint64_t slot_empty = 0;
static const uint64_t slot_gone = 1;

static pp_sub *sub_of(uint64_t slot)
{
    return (pp_sub *)(uintptr_t)(slot & ((1ULL << TAG_SHIFT) - 1));
}

static bool is_sub(uint64_t slot)
{
    return slot != slot_empty && slot != slot_gone;
}

/* Where a sid may stand, one place after another. The table is looked at as blocks of neighbours;
 * the hash chooses the first block, the step from block to block and, for a number, how the
 * numbers of its block are turned. When all blocks have been tried it goes on one slot further, so
 * every slot is tried in the end. */
struct probe {
    uint64_t tag; /* in the upper bits */
    uint32_t block, step, blocks;
    uint32_t offset, in_block;
    uint32_t tried;
};

static struct probe probe_of(const pp_nats_sids *sids, pp_str sid, uint64_t seed)
{
    uint32_t slots = sids->mask + 1;
    uint32_t in_block = slots < NEIGHBOURS ? slots : NEIGHBOURS;
    uint64_t number, hash, within = 0;

    /* One text per number, so that no client can have more neighbours than a block has slots. */
    if (sid.len && sid.len <= NUMBER_DIGITS_MAX && sid.ptr[0] != '0' &&
        pp_str_parse_u64(sid, UINT64_MAX, &number)) {
        uint64_t block = number / NEIGHBOURS;

        within = number % NEIGHBOURS;
        hash = pp_hash(&block, sizeof(block), seed);
    } else {
        hash = pp_hash(sid.ptr, sid.len, seed);
    }
    return (struct probe){
        .tag = (hash + within * 0x9E3779B97F4A7C15u) >> TAG_SHIFT << TAG_SHIFT,
        .block = (uint32_t)hash,
        .step = (uint32_t)(hash >> 32) | 1,
        .blocks = slots / in_block,
        .offset = (uint32_t)(hash >> 26) + (uint32_t)within,
        .in_block = in_block,
    };
}

static inline uint32_t probe_at(const struct probe *p)
{
    return (p->block & (p->blocks - 1)) * p->in_block + (p->offset & (p->in_block - 1));
}

static inline void probe_on(struct probe *p)
{
    p->block += p->step;
    if (++p->tried == p->blocks) {
        p->tried = 0;
        p->offset++;
    }
}

static uint64_t seed_of(const pp_nats_sids *sids)
{
    return (uint64_t)(uintptr_t)sids; /* peers do not know where sessions lie */
}

static uint64_t slot_at(const pp_nats_sids *sids, uint32_t at)
{
    return sids->mask ? sids->slots[at] : sids->only;
}

void pp_nats_sids_fini(pp_nats_sids *sids)
{
    if (sids->mask)
        pp_free(sids->slots);
    *sids = (pp_nats_sids){0};
}

/* The slot of a sid; NULL: not there. */
static const uint64_t *find_slot(const pp_nats_sids *sids, pp_str sid)
{
    struct probe probe;
    uint64_t slot;

    if (!sids->mask)
        return is_sub(sids->only) && pp_str_eq(pp_sub_sid(sub_of(sids->only)), sid) ? &sids->only
                                                                                    : NULL;
    probe = probe_of(sids, sid, seed_of(sids));
    for (; (slot = sids->slots[probe_at(&probe)]) != slot_empty; probe_on(&probe)) {
        if ((slot ^ probe.tag) >> TAG_SHIFT == 0 && is_sub(slot) &&
            pp_str_eq(pp_sub_sid(sub_of(slot)), sid))
            return &sids->slots[probe_at(&probe)];
    }
    return NULL;
}

pp_sub *pp_nats_sids_find(const pp_nats_sids *sids, pp_str sid)
{
    const uint64_t *slot = find_slot(sids, sid);

    return slot ? sub_of(*slot) : NULL;
}

static void put(pp_nats_sids *sids, pp_sub *sub)
{
    struct probe probe = probe_of(sids, pp_sub_sid(sub), seed_of(sids));
    uint64_t *slot;

    PP_DASSERT((uintptr_t)sub >> TAG_SHIFT == 0);
    while (is_sub(sids->slots[probe_at(&probe)]))
        probe_on(&probe);
    slot = &sids->slots[probe_at(&probe)];
    sids->used += *slot == slot_empty;
    *slot = (uint64_t)(uintptr_t)sub | probe.tag;
    sids->count++;
}

static pipit_err resize(pp_nats_sids *sids, uint32_t slots)
{
    pp_nats_sids old = *sids;
    uint64_t *fresh = pp_calloc(slots, sizeof(*fresh));

    if (!fresh)
        return PIPIT_ENOMEM;
    *sids = (pp_nats_sids){.slots = fresh, .mask = slots - 1};
    for (uint32_t i = 0; i <= old.mask; i++) {
        /* Their sids are needed to place them anew and lie all over memory: ask early. */
        if (i + 8 <= old.mask)
            __builtin_prefetch(sub_of(old.slots[i + 8]));
        if (is_sub(slot_at(&old, i)))
            put(sids, sub_of(slot_at(&old, i)));
    }
    pp_nats_sids_fini(&old);
    return PIPIT_OK;
}

/* Room for one more: twice as many slots, or as many without those that are gone. */
static pipit_err make_room(pp_nats_sids *sids)
{
    uint64_t slots = (uint64_t)sids->mask + 1;

    if (sids->mask ? (uint64_t)(sids->used + 1) * 4 <= slots * 3 : sids->count == 0)
        return PIPIT_OK;
    if (!sids->mask)
        slots = SLOTS_AT_START;
    else if (sids->count >= slots / 2)
        slots *= 2;
    return slots > SLOTS_MAX ? PIPIT_ELIMIT : resize(sids, (uint32_t)slots);
}

pipit_err pp_nats_sids_add(pp_nats_sids *sids, pp_sub *sub)
{
    pipit_err err = make_room(sids);

    if (err)
        return err;
    if (sids->mask) {
        put(sids, sub);
    } else {
        sids->only = (uint64_t)(uintptr_t)sub;
        sids->count = sids->used = 1;
    }
    return PIPIT_OK;
}

void pp_nats_sids_remove(pp_nats_sids *sids, pp_sub *sub)
{
    const uint64_t *slot = find_slot(sids, pp_sub_sid(sub));

    PP_ASSERT(slot && sub_of(*slot) == sub);
    sids->count--;
    if (sids->count == 0) {
        pp_nats_sids_fini(sids);
        return;
    }
    sids->slots[slot - sids->slots] = slot_gone;
    if (sids->mask >= 64 && sids->count * 8ULL < sids->mask)
        (void)resize(sids, (sids->mask + 1) / 4); /* only smaller; staying is fine too */
}

void pp_nats_sids_each(const pp_nats_sids *sids, void (*visit)(pp_sub *sub, void *arg), void *arg)
{
    for (uint32_t i = 0; sids->count && i <= sids->mask; i++) {
        if (is_sub(slot_at(sids, i)))
            visit(sub_of(slot_at(sids, i)), arg);
    }
}

pp_sub *pp_nats_sids_any(const pp_nats_sids *sids, uint32_t *at)
{
    if (!sids->count)
        return NULL;
    for (uint32_t i = *at & sids->mask;; i = (i + 1) & sids->mask) {
        if (is_sub(slot_at(sids, i))) {
            *at = i;
            return sub_of(slot_at(sids, i));
        }
    }
}

bool pp_nats_sids_walk(const pp_nats_sids *sids, uint32_t *at, uint32_t slots,
                       void (*visit)(const pp_sub *sub, void *arg), void *arg)
{
    uint64_t end = (uint64_t)*at + slots, all = (uint64_t)sids->mask + 1;

    for (; *at < end && *at < all; ++*at) {
        if (is_sub(slot_at(sids, *at)))
            visit(sub_of(slot_at(sids, *at)), arg);
    }
    return *at < all;
}
