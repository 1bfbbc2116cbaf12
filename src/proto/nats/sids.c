#include "proto/nats/sids.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"

enum {
    SLOTS_AT_START = 2,
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

/* The low bits choose the slot, the upper 16 are the tag. */
static uint64_t hash_of(pp_str sid, uint64_t seed)
{
    uint64_t number, block;

    if (sid.len > NUMBER_DIGITS_MAX || sid.ptr[0] == '0' ||
        !pp_str_parse_u64(sid, UINT64_MAX, &number))
        return pp_hash(sid.ptr, sid.len, seed);
    /* One text per number: what a client can put side by side is NEIGHBOURS at most. */
    block = number / NEIGHBOURS;
    block = pp_hash(&block, sizeof(block), seed);
    return (block & ~(uint64_t)(NEIGHBOURS - 1)) ^ (block << TAG_SHIFT) ^
           (number * 0x9E3779B97F4A7C15u & ~((1ULL << TAG_SHIFT) - 1)) ^ number % NEIGHBOURS;
}

static uint64_t seed_of(const pp_nats_sids *sids)
{
    return (uint64_t)(uintptr_t)sids; /* peers do not know where sessions lie */
}

void pp_nats_sids_fini(pp_nats_sids *sids)
{
    pp_free(sids->slots);
    *sids = (pp_nats_sids){0};
}

/* The slot of a sid; NULL: not there. */
static uint64_t *find_slot(const pp_nats_sids *sids, pp_str sid)
{
    uint64_t hash;

    if (!sids->slots)
        return NULL;
    hash = hash_of(sid, seed_of(sids));
    for (uint32_t i = (uint32_t)hash & sids->mask; sids->slots[i] != slot_empty;
         i = (i + 1) & sids->mask) {
        uint64_t slot = sids->slots[i];

        if ((slot ^ hash) >> TAG_SHIFT == 0 && is_sub(slot) &&
            pp_str_eq(pp_sub_sid(sub_of(slot)), sid))
            return &sids->slots[i];
    }
    return NULL;
}

pp_sub *pp_nats_sids_find(const pp_nats_sids *sids, pp_str sid)
{
    uint64_t *slot = find_slot(sids, sid);

    return slot ? sub_of(*slot) : NULL;
}

static void put(pp_nats_sids *sids, pp_sub *sub)
{
    uint64_t hash = hash_of(pp_sub_sid(sub), seed_of(sids));
    uint32_t i = (uint32_t)hash & sids->mask;

    PP_DASSERT((uintptr_t)sub >> TAG_SHIFT == 0);
    while (is_sub(sids->slots[i]))
        i = (i + 1) & sids->mask;
    sids->used += sids->slots[i] == slot_empty;
    sids->slots[i] = (uint64_t)(uintptr_t)sub | (hash >> TAG_SHIFT << TAG_SHIFT);
    sids->count++;
}

static pipit_err resize(pp_nats_sids *sids, uint32_t slots)
{
    pp_nats_sids old = *sids;
    uint64_t *fresh = pp_calloc(slots, sizeof(*fresh));
    uint32_t old_slots = old.slots ? old.mask + 1 : 0;

    if (!fresh)
        return PIPIT_ENOMEM;
    *sids = (pp_nats_sids){.slots = fresh, .mask = slots - 1};
    for (uint32_t i = 0; i < old_slots; i++) {
        /* Their sids are needed to place them anew and lie all over memory: ask early. */
        if (i + 8 < old_slots)
            __builtin_prefetch(sub_of(old.slots[i + 8]));
        if (is_sub(old.slots[i]))
            put(sids, sub_of(old.slots[i]));
    }
    pp_free(old.slots);
    return PIPIT_OK;
}

/* Room for one more: twice as many slots, or as many without those that are gone. */
static pipit_err make_room(pp_nats_sids *sids)
{
    uint64_t slots = sids->slots ? (uint64_t)sids->mask + 1 : 0;

    if (slots && (uint64_t)(sids->used + 1) * 8 <= slots * 7)
        return PIPIT_OK;
    if (!slots)
        slots = SLOTS_AT_START;
    else if (sids->count >= slots / 2)
        slots *= 2;
    return slots > SLOTS_MAX ? PIPIT_ELIMIT : resize(sids, (uint32_t)slots);
}

pipit_err pp_nats_sids_add(pp_nats_sids *sids, pp_sub *sub)
{
    pipit_err err = make_room(sids);

    if (!err)
        put(sids, sub);
    return err;
}

void pp_nats_sids_remove(pp_nats_sids *sids, pp_sub *sub)
{
    uint64_t *slot = find_slot(sids, pp_sub_sid(sub));
    uint32_t at;

    PP_ASSERT(slot && sub_of(*slot) == sub);
    *slot = slot_gone;
    sids->count--;
    if (sids->count == 0) {
        pp_nats_sids_fini(sids);
        return;
    }
    /* At the end of a run nobody looks further: those that are gone can be empty again. */
    at = (uint32_t)(slot - sids->slots);
    if (sids->slots[(at + 1) & sids->mask] == slot_empty) {
        while (sids->slots[at] == slot_gone) {
            sids->slots[at] = slot_empty;
            sids->used--;
            at = (at - 1) & sids->mask;
        }
    }
    if (sids->mask >= 64 && sids->count * 8ULL < sids->mask)
        (void)resize(sids, (sids->mask + 1) / 4); /* only smaller; staying is fine too */
}

pp_sub *pp_nats_sids_any(const pp_nats_sids *sids, uint32_t *at)
{
    if (!sids->count)
        return NULL;
    for (uint32_t i = *at & sids->mask;; i = (i + 1) & sids->mask) {
        if (is_sub(sids->slots[i])) {
            *at = i;
            return sub_of(sids->slots[i]);
        }
    }
}
