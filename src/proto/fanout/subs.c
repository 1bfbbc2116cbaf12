#include "proto/fanout/subs.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <string.h>

void pp_fanout_subs_fini(pp_fanout_subs *subs)
{
    PP_ASSERT(subs->count == 0);
    pp_free(subs->row);
    *subs = (pp_fanout_subs){0};
}

/* Shorter ones come first. */
static int compare(pp_str a, pp_str b)
{
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return memcmp(a.ptr, b.ptr, a.len);
}

/* The first place whose channel does not come before this one. */
static uint32_t place(const pp_fanout_subs *subs, pp_str channel)
{
    uint32_t low = 0, high = subs->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (compare(pp_sub_sid(subs->row[middle]), channel) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

pp_sub *pp_fanout_subs_find(const pp_fanout_subs *subs, pp_str channel)
{
    uint32_t at = place(subs, channel);

    return at < subs->count && pp_str_eq(pp_sub_sid(subs->row[at]), channel) ? subs->row[at] : NULL;
}

pipit_err pp_fanout_subs_add(pp_fanout_subs *subs, pp_sub *sub)
{
    uint32_t at = place(subs, pp_sub_sid(sub));

    if (subs->count == subs->cap) {
        uint32_t cap = subs->cap ? 2 * subs->cap : 2; /* `all`, and one more */
        pp_sub **row = pp_realloc(subs->row, cap * sizeof(*row));

        if (!row)
            return PIPIT_ENOMEM;
        subs->row = row;
        subs->cap = cap;
    }
    memmove(&subs->row[at + 1], &subs->row[at], (subs->count - at) * sizeof(*subs->row));
    subs->row[at] = sub;
    subs->count++;
    return PIPIT_OK;
}

void pp_fanout_subs_remove(pp_fanout_subs *subs, const pp_sub *sub)
{
    uint32_t at = place(subs, pp_sub_sid(sub));

    PP_ASSERT(at < subs->count && subs->row[at] == sub);
    subs->count--;
    memmove(&subs->row[at], &subs->row[at + 1], (subs->count - at) * sizeof(*subs->row));
}
