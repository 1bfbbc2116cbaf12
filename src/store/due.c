/* Messages that go by time: those with their own are in a heap; by age the oldest is the first.
 *
 * What the disk does not give keeps nothing else from going. A message of the heap of which it is
 * not known whether it is there is put aside when it is due, and those that age may let go are
 * passed over; when the pause is over that such a failure brings they are looked at again. What age
 * has passed over waits until all that it lets go has gone, too, however much of a disk is bad:
 * else the same failures would come again and again, and nobody would get behind them. */
#include "store/inside.h"

#include "base/alloc.h"
#include "base/clock.h"

enum { ASIDE_AT_ONCE = 4096 }; /* so many are put aside, or come back, with one call */

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

static void cut_aside(struct pp_expiries *aside, uint64_t seq)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < aside->count; i++)
        if (aside->items[i].seq <= seq)
            aside->items[kept++] = aside->items[i];
    aside->count = kept;
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
    cut_aside(&store->due_aside, seq);
    if (store->age_seq > seq)
        store->age_seq = store->age_passed_seq = 0;
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

/* --- what the disk does not give ----------------------------------------------------------- */

static bool is_unread(pipit_err err)
{
    return err == PIPIT_EIO || err == PIPIT_EDENIED || err == PIPIT_ETIMEOUT;
}

/* When something of that is looked at again, on the monotonic clock; INT64_MAX: there is nothing.
 */
static int64_t find_again_ns(const pp_store *store)
{
    int64_t again_ns = store->due_aside.count ? store->aside_again_ns : INT64_MAX;

    if (store->age_passed_seq && store->age_again_ns < again_ns)
        again_ns = store->age_again_ns;
    return again_ns;
}

/* The same for an index that the disk has not given, and that a reader tries again: that may take
 * as long as it did before, and others go meanwhile. */
static bool is_unread_again(const pp_segment *segment, pipit_err err)
{
    return is_unread(err) || (err == PIPIT_EAGAIN && segment->unread_ns);
}

/* When its index is asked for again. */
static int64_t pause_of(const pp_segment *segment)
{
    int64_t least_ns = pp_store_pause_until(0);

    return segment->unread_ns > least_ns ? segment->unread_ns : least_ns;
}

/* The first in the heap waits, unless it will never be known: its segment goes as a whole then.
 * Errors: PIPIT_ENOMEM. */
static pipit_err put_aside(pp_store *store)
{
    struct pp_expiry first = store->due[0];
    const pp_segment *segment = store->segments[pp_store_segment_of(store, first.seq)];
    pipit_err err = pp_expiries_reserve(&store->due_aside);

    if (err)
        return err;
    pop(store);
    if (segment->index_lost)
        return PIPIT_OK;
    pp_expiries_push(&store->due_aside, first.at_ns, first.seq);
    if (store->due_aside.count == 1 || pause_of(segment) < store->aside_again_ns)
        store->aside_again_ns = pause_of(segment);
    return PIPIT_OK;
}

/* Age goes on behind them. */
static void pass_over(pp_store *store, uint64_t seq, uint64_t next, int64_t until_ns)
{
    if (!store->age_passed_seq) {
        store->age_passed_seq = seq;
        store->age_again_ns = store->age_took_ns = 0;
    }
    store->age_seq = next;
    store->age_ended = false;
    if (store->age_again_ns < until_ns)
        store->age_again_ns = until_ns;
}

/* The same for a segment without an index. */
static void pass_segment(pp_store *store, const pp_segment *segment, uint64_t seq)
{
    if (segment->index_lost)
        store->age_seq = segment->last_seq + 1;
    else
        pass_over(store, seq, segment->last_seq + 1, pause_of(segment));
}

/* The same for a message and those that lie in the same block: the others of its segment may be
 * read. Each attempt may take long, so with each one that fails behind another as much again is
 * passed as with that one: what waits beside a bad part is no more than that part. */
static void pass_blocks(pp_store *store, const pp_segment *segment, uint32_t nth, int64_t took_ns)
{
    uint64_t at = pp_segment_place(segment, nth), seq = pp_segment_seq(segment, nth);
    uint64_t end = at - at % PP_CACHE_BLOCK_BYTES;

    store->age_blocks = store->age_blocks ? 2 * store->age_blocks : 1;
    end += (uint64_t)store->age_blocks * PP_CACHE_BLOCK_BYTES;
    while (nth < segment->count && pp_segment_place(segment, nth) < end)
        nth++;
    if (nth == segment->count)
        store->age_blocks = 0;
    if (store->age_passed_seq)
        took_ns += store->age_took_ns;
    pass_over(store, seq,
              nth < segment->count ? pp_segment_seq(segment, nth) : segment->last_seq + 1,
              pp_store_pause_until(took_ns));
    store->age_took_ns = took_ns;
}

/* The pause is over: some come back. */
static void bring_back(pp_store *store)
{
    struct pp_expiries *aside = &store->due_aside;
    uint32_t back = 0;

    for (; back < aside->count && back < ASIDE_AT_ONCE && !pp_store_reserve_due(store); back++)
        pp_store_add_due(store, aside->items[back].at_ns, aside->items[back].seq);
    aside->count -= back;
    memmove(aside->items, aside->items + back, aside->count * sizeof(*aside->items));
    store->aside_again_ns = pp_store_pause_until(0);
}

static void look_again(pp_store *store)
{
    int64_t now_ns = find_again_ns(store) < INT64_MAX ? pp_clock_mono_ns() : 0;

    if (store->due_aside.count && now_ns >= store->aside_again_ns)
        bring_back(store);
    if (store->age_passed_seq && store->age_ended && now_ns >= store->age_again_ns) {
        store->age_seq = store->age_passed_seq;
        store->age_passed_seq = 0;
        store->age_blocks = 0;
    }
}

/* --- what is due --------------------------------------------------------------------------- */

/* The first in the heap that is still there; NULL: none. Of one that cannot be looked at it is
 * asked when it is due whether it is there. */
static pipit_err first_timed(pp_store *store, int64_t now_ns, const struct pp_expiry **out_first)
{
    uint32_t aside = 0;

    *out_first = NULL;
    while (store->due_count) {
        uint64_t seq = store->due[0].seq;
        pp_segment *segment;
        uint32_t nth;
        pipit_err err = pp_store_find(store, seq, &segment, &nth);
        bool unread = false;

        if (err && err != PIPIT_ENOTFOUND)
            unread = is_unread_again(store->segments[pp_store_segment_of(store, seq)], err);
        if (!err || (unread && store->due[0].at_ns > now_ns)) {
            *out_first = &store->due[0];
            return PIPIT_OK;
        }
        if (err == PIPIT_ENOTFOUND) {
            pop(store);
            continue;
        }
        if (!unread || aside++ == ASIDE_AT_ONCE)
            return err;
        err = put_aside(store);
        if (err)
            return err;
    }
    return PIPIT_OK;
}

/* When age lets a message of that time go. */
static int64_t aged_at(const pp_store *store, int64_t time_ns)
{
    return time_ns > INT64_MAX - store->limits.age_ns ? INT64_MAX : time_ns + store->limits.age_ns;
}

/* Errors: PIPIT_EDAMAGED; PIPIT_ENOTFOUND age does not let it go; as pp_store_fetch_head(). */
static pipit_err find_aged_at(pp_store *store, pp_segment *segment, uint32_t nth,
                              int64_t *out_at_ns)
{
    struct pp_store_message message = {0};
    struct pp_record_head head;
    pipit_err err = pp_store_fetch_head(store, segment, nth, &head);

    if (!err && head.flags & PP_RECORD_EXPIRES)
        err = pp_store_fetch_message(store, segment, nth, &message);
    if (!err && message.expires_ns == INT64_MAX)
        err = PIPIT_ENOTFOUND;
    if (!err)
        *out_at_ns = aged_at(store, head.time_ns);
    return err;
}

static bool has_none_from(const pp_segment *segment, uint64_t seq)
{
    return segment->dead == segment->count ||
           (segment->places &&
            pp_segment_next_live(segment, pp_segment_lower(segment, seq)) == segment->count);
}

/* The first segment that may have something from seq on; NULL: none. */
static const pp_segment *segment_from(const pp_store *store, uint64_t seq)
{
    uint32_t at = pp_store_segment_of(store, seq);

    while (at < store->segment_count && has_none_from(store->segments[at], seq))
        at++;
    return at < store->segment_count ? store->segments[at] : NULL;
}

/* The oldest message that age lets go, and when; of one that is not due yet maybe an earlier time,
 * if it cannot be read. PIPIT_ENOTFOUND: none. After a read that has failed the next call goes on
 * behind it. */
static pipit_err first_aged(pp_store *store, int64_t now_ns, int64_t *out_at_ns, uint64_t *out_seq)
{
    uint64_t seq = store->age_seq > store->first_seq ? store->age_seq : store->first_seq;

    if (!store->limits.age_ns)
        return PIPIT_ENOTFOUND;
    for (;; seq = store->age_seq) {
        int64_t began_ns;
        pp_segment *segment;
        uint32_t nth;
        pipit_err err = pp_store_find_live(store, seq, &segment, &nth);

        if (err && err != PIPIT_ENOTFOUND) {
            const pp_segment *unread = segment_from(store, seq);

            if (!unread || !is_unread_again(unread, err))
                return err;
            *out_at_ns = aged_at(store, unread->first_time_ns);
            *out_seq = seq;
            if (*out_at_ns > now_ns)
                return PIPIT_OK;
            pass_segment(store, unread, seq);
            continue;
        }
        if (err)
            return err;
        *out_seq = pp_segment_seq(segment, nth);
        began_ns = pp_clock_mono_ns();
        err = find_aged_at(store, segment, nth, out_at_ns);
        if (is_unread(err) && aged_at(store, segment->first_time_ns) > now_ns) {
            *out_at_ns = aged_at(store, segment->first_time_ns);
            return PIPIT_OK;
        }
        if (is_unread(err))
            pass_blocks(store, segment, nth, pp_clock_mono_ns() - began_ns);
        else if (err != PIPIT_EAGAIN)
            store->age_blocks = 0;
        if (err != PIPIT_EDAMAGED && err != PIPIT_ENOTFOUND)
            return err;
        store->age_seq = *out_seq + 1; /* it stays; damage is for people to look at */
    }
}

/* Which goes first, and when. PIPIT_ENOTFOUND: none does. */
static pipit_err first_due(pp_store *store, int64_t now_ns, int64_t *out_at_ns, uint64_t *out_seq)
{
    const struct pp_expiry *timed;
    pipit_err err;

    look_again(store);
    err = first_timed(store, now_ns, &timed);
    if (!err)
        err = first_aged(store, now_ns, out_at_ns, out_seq);
    if (timed &&
        (err == PIPIT_ENOTFOUND || is_unread(err) || (!err && timed->at_ns < *out_at_ns))) {
        *out_at_ns = timed->at_ns;
        *out_seq = timed->seq;
        err = PIPIT_OK;
    }
    return err;
}

int64_t pp_store_next_due(pp_store *store)
{
    uint64_t seq;
    int64_t at_ns, again_ns;

    if (first_due(store, INT64_MIN, &at_ns, &seq))
        at_ns = INT64_MAX;
    again_ns = find_again_ns(store);
    if (again_ns == INT64_MAX)
        return at_ns;
    again_ns += pp_clock_wall_ns() - pp_clock_mono_ns();
    return again_ns < at_ns ? again_ns : at_ns;
}

pipit_err pp_store_due(pp_store *store, int64_t now_ns, uint64_t *out_seq)
{
    uint64_t seq;
    int64_t at_ns;
    pipit_err err = first_due(store, now_ns, &at_ns, &seq);

    if (!err && at_ns > now_ns)
        err = PIPIT_ENOTFOUND;
    if (!err)
        *out_seq = seq;
    else if (err == PIPIT_ENOTFOUND)
        store->age_ended = true;
    return err;
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
    if (!err || err == PIPIT_ENOTFOUND)
        err = find_again_ns(store) < INT64_MAX ? PIPIT_EIO : PIPIT_OK;
    return err;
}
