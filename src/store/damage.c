/* What is known to be lost. Kept in order; beyond a few thousand ranges only their end is. */
#include "store/inside.h"

enum { RANGES_MAX = 4096 };

/* Where in the list is the first range that ends at seq or later? */
static uint32_t find_range(const struct pp_ranges *lost, uint64_t seq)
{
    uint32_t low = 0, high = lost->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (lost->items[middle].last < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool pp_store_is_lost(const pp_store *store, uint64_t seq)
{
    uint32_t at = find_range(&store->lost, seq);

    return at < store->lost.count && store->lost.items[at].first <= seq;
}

void pp_store_complain(const pp_store *store, pp_log_level level, const char *what, uint64_t number)
{
    if (store->options.log)
        pp_log_write(store->options.log, level, "store: %s dir=%s n=%llu", what, store->dir,
                     (unsigned long long)number);
}

void pp_store_find_out(const pp_store *store, struct pp_finding finding)
{
    if (store->options.on_finding)
        store->options.on_finding(store->options.finding_ctx, &finding);
}

void pp_store_note_lost(pp_store *store, uint64_t first, uint64_t last, const char *what)
{
    struct pp_ranges *lost = &store->lost;
    uint32_t from = find_range(lost, first ? first - 1 : 0), to = from;

    if (from < lost->count && lost->items[from].first <= first && lost->items[from].last >= last)
        return; /* known */
    if (store->options.log)
        pp_log_write(store->options.log, PP_LOG_ERROR,
                     "store: damaged, not served dir=%s first=%llu last=%llu what=%s",
                     store->dir ? store->dir : "", (unsigned long long)first,
                     (unsigned long long)last, what);
    pp_store_find_out(
        store, (struct pp_finding){.kind = PP_FINDING_MESSAGES, .first = first, .last = last});
    for (; to < lost->count && lost->items[to].first <= last + 1; to++) {
        first = lost->items[to].first < first ? lost->items[to].first : first;
        last = lost->items[to].last > last ? lost->items[to].last : last;
    }
    if (from == to) {
        if (lost->count >= RANGES_MAX || pp_ranges_reserve(lost, 1))
            return; /* it is still not served, but called not there */
        memmove(lost->items + from + 1, lost->items + from,
                (lost->count - from) * sizeof(*lost->items));
        lost->count++;
    } else {
        memmove(lost->items + from + 1, lost->items + to,
                (lost->count - to) * sizeof(*lost->items));
        lost->count -= to - from - 1;
    }
    lost->items[from] = (struct pp_range){first, last};
}
