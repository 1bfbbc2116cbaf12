#include "store/scrub.h"

#include "base/clock.h"
#include "store/inside.h"

enum { TURN_BYTES = 64 * 1024 };

/* The last message may be large: *out_done tells how many bytes it were. */
static pipit_err read_on(pp_store *store, uint64_t *seq, uint64_t bytes, uint64_t *out_bad,
                         uint64_t *out_done)
{
    while (*out_done < bytes) {
        struct pp_store_message message;
        pp_segment *segment;
        uint32_t nth;
        pipit_err err = pp_store_find_live(store, *seq, &segment, &nth);

        if (err == PIPIT_ENOTFOUND) {
            *seq = 0;
            return PIPIT_OK;
        }
        if (err)
            return err;
        *seq = pp_segment_seq(segment, nth) + 1;
        err = pp_store_fetch_message(store, segment, nth, &message);
        *out_done += PP_RECORD_HEAD_BYTES;
        if (err == PIPIT_EDAMAGED) {
            *out_bad += !pp_store_is_lost(store, *seq - 1);
            pp_store_note_lost(store, *seq - 1, *seq - 1, "scrub");
        } else if (err) {
            return err;
        } else {
            *out_done += message.subject.len + message.headers.len + message.payload.len;
        }
    }
    return PIPIT_OK;
}

pipit_err pp_store_scrub(pp_store *store, uint64_t *seq, uint64_t bytes, uint64_t *out_bad)
{
    uint64_t done = 0;

    return read_on(store, seq, bytes, out_bad, &done);
}

void pp_scrub_init(struct pp_scrub *scrub, uint64_t bytes_per_s, int64_t pause_ns)
{
    *scrub = (struct pp_scrub){.bytes_per_s = bytes_per_s, .pause_ns = pause_ns};
}

pipit_err pp_scrub_turn(struct pp_scrub *scrub, pp_store *store, int64_t now_ns,
                        int64_t *out_due_ns)
{
    uint64_t done = 0;
    pipit_err err;

    *out_due_ns = scrub->bytes_per_s ? scrub->due_ns : INT64_MAX;
    if (!scrub->bytes_per_s || now_ns < scrub->due_ns)
        return PIPIT_OK;
    if (scrub->seq == 0)
        scrub->seq = 1;
    err = read_on(store, &scrub->seq, TURN_BYTES, &scrub->bad, &done);
    if (done < TURN_BYTES)
        done = TURN_BYTES;
    scrub->due_ns =
        now_ns + (int64_t)((double)done * (double)PP_NS_PER_S / (double)scrub->bytes_per_s);
    if (!err && scrub->seq == 0) {
        scrub->passes++;
        scrub->due_ns += scrub->pause_ns;
    }
    *out_due_ns = scrub->due_ns;
    return err;
}
