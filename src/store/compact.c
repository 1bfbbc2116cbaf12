/* Segments in memory that are mostly dead are copied to a piece of memory that fits. A copy leaves
 * more live than dead behind, so what it costs has been paid for by those that died. */
#include "store/inside.h"

#include "base/alloc.h"

static bool is_worth_it(const pp_segment *segment)
{
    return segment->sealed && segment->dead > segment->count / 2 && segment->dead < segment->count;
}

static uint64_t live_record_bytes(pp_store *store, pp_segment *segment)
{
    uint64_t bytes = PP_RECORD_ALIGN;
    struct pp_record_head head;

    for (uint32_t nth = pp_segment_next_live(segment, 0); nth < segment->count;
         nth = pp_segment_next_live(segment, nth + 1)) {
        if (pp_store_fetch_head(store, segment, nth, &head))
            return 0;
        bytes += pp_record_bytes(head.body_bytes);
    }
    return bytes;
}

static pipit_err copy_live(pp_store *store, pp_segment *from, pp_segment *to)
{
    uint64_t seed = pp_record_seed(store->id.salt, to->number);
    struct pp_store_message message;
    pipit_err err = PIPIT_OK;

    for (uint32_t nth = pp_segment_next_live(from, 0); nth < from->count && !err;
         nth = pp_segment_next_live(from, nth + 1)) {
        struct pp_record_parts parts;
        struct pp_record_head head = {0};

        err = pp_store_fetch_message(store, from, nth, &message);
        if (!err)
            err = pp_segment_reserve(to, 1, message.seq);
        if (err)
            break;
        head.seq = message.seq;
        head.time_ns = message.time_ns;
        parts = (struct pp_record_parts){.expires_ns = message.expires_ns,
                                         .subject = message.subject,
                                         .headers = message.headers,
                                         .payload = message.payload};
        pp_record_encode_message(to->memory + to->end, &head, &parts, NULL, seed, to->end);
        pp_segment_push(to, message.seq, to->end, pp_segment_subject(from, nth), 0);
        to->end += pp_record_bytes(head.body_bytes);
    }
    return err;
}

static void compact(pp_store *store, uint32_t at)
{
    pp_segment *from = store->segments[at], *to = NULL;
    uint64_t bytes = live_record_bytes(store, from);

    if (!bytes || pp_segment_new(from->number, from->first_seq, &to))
        return;
    to->memory = pp_alloc(bytes);
    to->end = PP_RECORD_ALIGN;
    to->room = bytes;
    if (!to->memory || copy_live(store, from, to)) {
        pp_segment_free(to);
        return;
    }
    to->last_seq = from->last_seq;
    to->live_bytes = from->live_bytes;
    to->first_time_ns = from->first_time_ns;
    to->last_time_ns = from->last_time_ns;
    to->sealed = true;
    pp_segment_trim(to);
    store->segments[at] = to;
    pp_segment_free(from);
}

void pp_store_compact_memory(pp_store *store)
{
    for (uint32_t at = 0; at + 1 < store->segment_count; at++)
        if (is_worth_it(store->segments[at]))
            compact(store, at);
}
