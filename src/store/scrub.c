#include "store/scrub.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "store/inside.h"

enum { TURN_BYTES = 64 * 1024 };

/* How far it has come in a turn. */
struct walk {
    uint64_t seq;
    uint64_t last;  /* the newest when the pass began: what comes meanwhile is for the next one */
    uint64_t piece; /* bytes that are wanted at seq; 0: as usual */
    uint64_t done;  /* bytes that were looked at */
    uint64_t bad;
};

/* Bytes of a segment, as they are on disk: neither we nor the system may have them in memory, where
 * they are whole. */
struct piece {
    const char *bytes;
    char *owned;
    uint64_t at;
    uint64_t len;
};

static pipit_err read_here(pp_store *store, const pp_segment *segment, struct piece *piece)
{
    size_t got = 0;
    pipit_err err;

    piece->owned = pp_alloc((size_t)piece->len + 1);
    if (!piece->owned)
        return PIPIT_ENOMEM;
    err = pp_disk_read(store->disk, segment->fd, piece->owned, (size_t)piece->len, piece->at, &got);
    if (!err)
        memset(piece->owned + got, 0, (size_t)piece->len - got); /* the file is shorter */
    return err;
}

/* Errors: PIPIT_EAGAIN it is being read; PIPIT_EIO; PIPIT_ENOMEM. */
static pipit_err have_piece(pp_store *store, pp_segment *segment, struct piece *piece)
{
    pp_ahead_answer answer = PP_AHEAD_FAILED;
    pipit_err err = pp_store_file(store, segment);

    if (err)
        return err;
    if (pp_store_may_hurry(store, segment))
        answer = pp_ahead_take_bytes(store, segment, piece->at, (size_t)piece->len, &piece->owned);
    if (answer == PP_AHEAD_COMING)
        return PIPIT_EAGAIN;
    if (answer == PP_AHEAD_HERE)
        return PIPIT_OK;
    store->disk->ops->forget(store->disk, segment->fd, piece->at, piece->len);
    if (answer == PP_AHEAD_UNKNOWN &&
        pp_ahead_ask_bytes(store, segment, piece->at, (size_t)piece->len))
        return PIPIT_EAGAIN;
    return read_here(store, segment, piece);
}

static pipit_err get_piece(pp_store *store, pp_segment *segment, struct piece *piece)
{
    pipit_err err;

    if (store->memory) {
        piece->bytes = segment->memory + piece->at;
        return PIPIT_OK;
    }
    err = have_piece(store, segment, piece);
    piece->bytes = piece->owned;
    return err;
}

/* It is not served from memory any more either. */
static void note_bad(pp_store *store, const pp_segment *segment, uint32_t nth, struct walk *walk)
{
    uint64_t seq = pp_segment_seq(segment, nth);

    walk->bad += !pp_store_is_lost(store, seq);
    pp_store_note_lost(store, seq, seq, "scrub");
    if (!store->memory)
        pp_cache_forget(&store->cache, segment->number);
}

/* Is the record of a message in the piece true? *out_bytes is how long it is. False, and more than
 * the piece has: that cannot be told yet. */
static bool is_true(const pp_store *store, const pp_segment *segment, uint32_t nth,
                    const struct piece *piece, uint64_t *out_bytes)
{
    uint64_t at = pp_segment_place(segment, nth), left = piece->at + piece->len - at;
    uint64_t seed = pp_record_seed(store->id.salt, segment->number);
    const char *bytes = piece->bytes + (at - piece->at);
    struct pp_record_head head;

    *out_bytes = PP_RECORD_HEAD_BYTES;
    if (left < PP_RECORD_HEAD_BYTES || !pp_record_head_read(bytes, left, seed, at, &head) ||
        head.kind != PP_RECORD_MESSAGE || head.seq != pp_segment_seq(segment, nth))
        return false;
    *out_bytes = pp_record_bytes(head.body_bytes);
    return *out_bytes <= left && pp_record_body_true(&head, bytes + PP_RECORD_HEAD_BYTES, seed);
}

/* Those that lie in the piece, from the nth on. end: where the segment's records do. */
static void look_at_piece(pp_store *store, const pp_segment *segment, uint32_t nth,
                          const struct piece *piece, uint64_t end, struct walk *walk)
{
    uint64_t piece_end = piece->at + piece->len;
    uint32_t first = nth;

    walk->piece = 0;
    for (; nth < segment->count; nth = pp_segment_next_live(segment, nth + 1)) {
        uint64_t at = pp_segment_place(segment, nth), bytes;

        if (at < piece->at || at >= end || /* the next piece is for this one to begin with */
            (at + PP_RECORD_HEAD_BYTES > piece_end && piece_end < end))
            break;
        if (!is_true(store, segment, nth, piece, &bytes)) {
            if (at + bytes > piece_end && piece_end < end) {
                walk->piece = nth == first ? bytes : 0;
                break;
            }
            note_bad(store, segment, nth, walk);
        }
        walk->seq = pp_segment_seq(segment, nth) + 1;
    }
    if (walk->piece == 0)
        walk->done += piece->len;
}

/* What is read of a segment in one go, from the nth message on. */
static pipit_err look_at_segment(pp_store *store, pp_segment *segment, uint32_t nth,
                                 struct walk *walk)
{
    uint64_t end = store->memory ? segment->end
                                 : atomic_load_explicit(&segment->written, memory_order_acquire);
    struct piece piece = {.at = pp_segment_place(segment, nth)};
    uint64_t wanted = walk->piece ? walk->piece : TURN_BYTES;
    pipit_err err;

    if (piece.at == 0 || (segment->sealed && piece.at >= segment->end)) {
        note_bad(store, segment, nth, walk); /* its place is not known any more */
        walk->seq = pp_segment_seq(segment, nth) + 1;
        walk->done += PP_RECORD_HEAD_BYTES;
        return PIPIT_OK;
    }
    if (piece.at >= end) { /* it is yet to be written */
        walk->seq = 0;
        return PIPIT_OK;
    }
    piece.len = end - piece.at < wanted ? end - piece.at : wanted;
    err = get_piece(store, segment, &piece);
    if (!err)
        look_at_piece(store, segment, nth, &piece, end, walk);
    else if (err == PIPIT_EAGAIN)
        walk->piece = piece.len; /* the same is to be asked for when there is more */
    else if (err != PIPIT_ENOMEM)
        walk->seq = pp_segment_seq(segment, nth) + 1; /* the next turn goes on behind it */
    pp_free(piece.owned);
    return err;
}

/* Where it goes on behind a segment that cannot even tell what is in it; 0: nowhere. */
static uint64_t seq_behind(const pp_store *store, uint64_t seq)
{
    for (uint32_t at = pp_store_segment_of(store, seq); at + 1 < store->segment_count; at++) {
        const pp_segment *segment = store->segments[at];

        if (segment->dead < segment->count && !segment->places)
            return store->segments[at + 1]->first_seq;
    }
    return 0;
}

static pipit_err read_on(pp_store *store, struct walk *walk, uint64_t bytes)
{
    pipit_err err = PIPIT_OK;

    while (walk->seq && walk->done < bytes && !err) {
        pp_segment *segment;
        uint32_t nth;

        err = pp_store_find_live(store, walk->seq, &segment, &nth);
        if (!err && pp_segment_seq(segment, nth) > walk->last)
            walk->seq = 0;
        else if (!err)
            err = look_at_segment(store, segment, nth, walk);
        else if (err == PIPIT_ENOTFOUND)
            walk->seq = 0;
        else if (err != PIPIT_EAGAIN && err != PIPIT_ENOMEM)
            walk->seq = seq_behind(store, walk->seq);
    }
    return err == PIPIT_ENOTFOUND ? PIPIT_OK : err;
}

pipit_err pp_store_scrub(pp_store *store, uint64_t *seq, uint64_t bytes, uint64_t *out_bad)
{
    struct walk walk = {.seq = *seq, .last = UINT64_MAX};
    pipit_err err = read_on(store, &walk, bytes);

    *seq = walk.seq;
    *out_bad += walk.bad;
    return err;
}

void pp_scrub_init(struct pp_scrub *scrub, uint64_t bytes_per_s, int64_t pause_ns)
{
    *scrub = (struct pp_scrub){.bytes_per_s = bytes_per_s, .pause_ns = pause_ns};
}

pipit_err pp_scrub_turn(struct pp_scrub *scrub, pp_store *store, int64_t now_ns,
                        int64_t *out_due_ns)
{
    struct walk walk = {.seq = scrub->seq ? scrub->seq : 1, .piece = scrub->piece};
    pipit_err err;

    if (scrub->seq == 0)
        scrub->last = store->last_seq;
    walk.last = scrub->last;
    *out_due_ns = scrub->bytes_per_s ? scrub->due_ns : INT64_MAX;
    if (!scrub->bytes_per_s || now_ns < scrub->due_ns)
        return PIPIT_OK;
    store->hurried = store->options.readers != NULL;
    /* One byte more: what comes next is asked for, and is there in the next turn. */
    err = read_on(store, &walk, TURN_BYTES + store->hurried);
    store->hurried = false;
    scrub->seq = walk.seq;
    scrub->piece = walk.piece;
    scrub->bad += walk.bad;
    if (walk.done < TURN_BYTES)
        walk.done = TURN_BYTES;
    scrub->due_ns =
        now_ns + (int64_t)((double)walk.done * (double)PP_NS_PER_S / (double)scrub->bytes_per_s);
    if (scrub->seq == 0) { /* also when what came last could not be read */
        scrub->piece = 0;
        scrub->passes++;
        scrub->due_ns += scrub->pause_ns;
    }
    *out_due_ns = scrub->due_ns;
    return err;
}
