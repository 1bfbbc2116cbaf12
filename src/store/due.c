/* Messages that go by time: those with their own are in a heap; by age the oldest is the first. */
#include "store/inside.h"

#include "base/alloc.h"

pipit_err pp_store_reserve_due(pp_store *store)
{
    uint32_t room = store->due_room + store->due_room / 2 + 16;
    struct pp_expiry *due;

    if (store->due_count < store->due_room)
        return PIPIT_OK;
    if (store->due_room > UINT32_MAX / 4)
        return PIPIT_ELIMIT;
    due = pp_realloc(store->due, room * sizeof(*due));
    if (!due)
        return PIPIT_ENOMEM;
    store->due = due;
    store->due_room = room;
    return PIPIT_OK;
}

static void swap(struct pp_expiry *a, struct pp_expiry *b)
{
    struct pp_expiry kept = *a;

    *a = *b;
    *b = kept;
}

void pp_store_add_due(pp_store *store, int64_t at_ns, uint64_t seq)
{
    struct pp_expiry *due = store->due;
    uint32_t at = store->due_count++;

    due[at] = (struct pp_expiry){at_ns, seq};
    for (; at > 0 && due[at].at_ns < due[(at - 1) / 2].at_ns; at = (at - 1) / 2)
        swap(&due[at], &due[(at - 1) / 2]);
}

void pp_store_cut_due(pp_store *store, uint64_t seq)
{
    uint32_t count = store->due_count;

    store->due_count = 0;
    for (uint32_t i = 0; i < count; i++) { /* added again, no further than where it is read */
        struct pp_expiry due = store->due[i];

        if (due.seq <= seq)
            pp_store_add_due(store, due.at_ns, due.seq);
    }
    if (store->age_seq > seq)
        store->age_seq = 0;
}

static void pop(pp_store *store)
{
    struct pp_expiry *due = store->due;
    uint32_t at = 0;

    due[0] = due[--store->due_count];
    for (;;) {
        uint32_t least = at;

        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++)
            if (child < store->due_count && due[child].at_ns < due[least].at_ns)
                least = child;
        if (least == at)
            return;
        swap(&due[at], &due[least]);
        at = least;
    }
}

/* The first in the heap that is still there; NULL: none. */
static pipit_err first_timed(pp_store *store, const struct pp_expiry **out_first)
{
    *out_first = NULL;
    while (store->due_count) {
        pp_segment *segment;
        uint32_t nth;
        pipit_err err = pp_store_find(store, store->due[0].seq, &segment, &nth);

        if (err != PIPIT_ENOTFOUND) {
            *out_first = err ? NULL : &store->due[0];
            return err;
        }
        pop(store);
    }
    return PIPIT_OK;
}

/* The oldest message that age lets go, and when. PIPIT_ENOTFOUND: none. */
static pipit_err first_aged(pp_store *store, int64_t *out_at_ns, uint64_t *out_seq)
{
    uint64_t seq = store->age_seq > store->first_seq ? store->age_seq : store->first_seq;

    if (!store->limits.age_ns)
        return PIPIT_ENOTFOUND;
    for (;; seq++) {
        struct pp_store_message message;
        struct pp_record_head head;
        pp_segment *segment;
        uint32_t nth;
        pipit_err err = pp_store_find_live(store, seq, &segment, &nth);

        if (err)
            return err;
        seq = pp_segment_seq(segment, nth);
        err = pp_store_fetch_head(store, segment, nth, &head);
        if (!err && head.flags & PP_RECORD_EXPIRES)
            err = pp_store_fetch_message(store, segment, nth, &message);
        if (err && err != PIPIT_EDAMAGED)
            return err;
        if (err || (head.flags & PP_RECORD_EXPIRES && message.expires_ns == INT64_MAX)) {
            store->age_seq = seq + 1; /* it stays; damage is for people to look at */
            continue;
        }
        *out_at_ns = head.time_ns > INT64_MAX - store->limits.age_ns
                         ? INT64_MAX
                         : head.time_ns + store->limits.age_ns;
        *out_seq = seq;
        return PIPIT_OK;
    }
}

/* Which goes first, and when. PIPIT_ENOTFOUND: none does. */
static pipit_err first_due(pp_store *store, int64_t *out_at_ns, uint64_t *out_seq)
{
    const struct pp_expiry *timed;
    pipit_err err = first_timed(store, &timed);

    if (!err)
        err = first_aged(store, out_at_ns, out_seq);
    if (err && err != PIPIT_ENOTFOUND)
        return err;
    if (timed && (err || timed->at_ns < *out_at_ns)) {
        *out_at_ns = timed->at_ns;
        *out_seq = timed->seq;
        err = PIPIT_OK;
    }
    return err;
}

int64_t pp_store_next_due(pp_store *store)
{
    uint64_t seq;
    int64_t at_ns;

    return first_due(store, &at_ns, &seq) == PIPIT_OK ? at_ns : INT64_MAX;
}

pipit_err pp_store_due(pp_store *store, int64_t now_ns, uint64_t *out_seq)
{
    uint64_t seq;
    int64_t at_ns;
    pipit_err err = first_due(store, &at_ns, &seq);

    if (err)
        return err;
    if (at_ns > now_ns)
        return PIPIT_ENOTFOUND;
    *out_seq = seq;
    return PIPIT_OK;
}

pipit_err pp_store_expire(pp_store *store, int64_t now_ns, uint32_t max, uint32_t *out_count)
{
    bool hurried = store->options.readers != NULL;
    uint64_t seq;
    pipit_err err = PIPIT_OK;

    for (*out_count = 0; *out_count < max && !err; (*out_count)++) {
        store->hurried = hurried;
        err = pp_store_due(store, now_ns, &seq);
        store->hurried = false;
        if (!err)
            err = pp_store_prepare_one(store, seq, hurried);
        if (!err)
            err = pp_store_delete(store, seq, false);
        if (err)
            break;
    }
    return err == PIPIT_ENOTFOUND ? PIPIT_OK : err;
}
