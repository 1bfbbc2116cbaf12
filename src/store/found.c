/* One segment's file: its footer if that is whole, else every record of it. */
#include "store/found.h"

#include "base/alloc.h"
#include "store/scan.h"

#include <fcntl.h>

enum { SECTOR_BYTES = 4096 };

static void note_unread(struct pp_found *found, uint64_t at, size_t bytes)
{
    if (found->records_end && at >= found->records_end)
        found->footer_unread = true;
    else
        found->unread += bytes;
}

/* Read a piece; what cannot be read is zeros, and will be seen as a hole. */
static pipit_err read_in_pieces(pp_store *store, struct pp_found *found, char *out, uint64_t bytes)
{
    int fd = found->segment->fd;

    for (uint64_t at = 0; at < bytes; at += SECTOR_BYTES) {
        size_t part = bytes - at < SECTOR_BYTES ? (size_t)(bytes - at) : SECTOR_BYTES, got;
        pipit_err err = pp_disk_read(store->disk, fd, out + at, part, at, &got);

        if (err && err != PIPIT_EIO)
            return err;
        if (err) {
            memset(out + at, 0, part);
            note_unread(found, at, part);
        }
    }
    return PIPIT_OK;
}

static pipit_err read_file(pp_store *store, struct pp_found *found, char **out_bytes,
                           uint64_t *out_len)
{
    int fd = found->segment->fd;
    int64_t size = store->disk->ops->size(store->disk, fd);
    char *bytes;
    size_t got;
    pipit_err err;

    if (size < 0)
        return PIPIT_EIO;
    if (size > 2 * (int64_t)PP_SEGMENT_BYTES_MAX)
        size = 2 * (int64_t)PP_SEGMENT_BYTES_MAX;
    bytes = pp_calloc(1, (size_t)size + 1);
    if (!bytes)
        return PIPIT_ENOMEM;
    err = pp_disk_read(store->disk, fd, bytes, (size_t)size, 0, &got);
    if (err == PIPIT_EIO)
        err = read_in_pieces(store, found, bytes, (uint64_t)size);
    if (err) {
        pp_free(bytes);
        return err;
    }
    *out_bytes = bytes;
    *out_len = (uint64_t)size;
    return PIPIT_OK;
}

static pipit_err suspect(struct pp_ranges *suspects, uint64_t first, uint64_t last)
{
    pipit_err err;

    if (first > last)
        return PIPIT_OK;
    err = pp_ranges_reserve(suspects, 1);
    if (!err)
        pp_ranges_push(suspects, first, last);
    return err;
}

static pipit_err take_ranges(struct pp_ranges *ranges, const struct pp_scan_item *item)
{
    uint32_t count = (uint32_t)pp_record_range_count(&item->head);
    pipit_err err = pp_ranges_reserve(ranges, count);

    for (uint32_t i = 0; i < count && !err; i++) {
        struct pp_range range = pp_record_range(item->body, i);

        if (range.first <= range.last && range.last < UINT64_MAX)
            pp_ranges_push(ranges, range.first, range.last);
    }
    return err;
}

static pipit_err take_deletes(pp_segment *segment, const struct pp_scan_item *item)
{
    uint32_t before = segment->deletes.count;
    pipit_err err = take_ranges(&segment->deletes, item);

    for (uint32_t i = before; i < segment->deletes.count; i++)
        if (segment->deletes.items[i].first < segment->lowest_delete)
            segment->lowest_delete = segment->deletes.items[i].first;
    return err;
}

static pipit_err take_message(pp_store *store, pp_segment *segment, const struct pp_scan_item *item)
{
    struct pp_record_parts parts;
    uint64_t size;
    uint32_t id;
    pipit_err err;

    err = pp_store_open_body(store, segment, item->at, &item->head, item->body, &parts);
    if (err)
        return err;
    if (parts.subject.len == 0)
        return PIPIT_EDAMAGED;
    err = pp_segment_reserve(segment, 1, item->head.seq);
    if (!err)
        err = pp_expiries_reserve(&segment->expiries);
    if (!err)
        err = pp_ranges_reserve(&segment->deletes, 1);
    if (!err)
        err = pp_subjects_add(&store->subjects, parts.subject, &id);
    if (err)
        return err == PIPIT_ETOOBIG ? PIPIT_EDAMAGED : err;
    if (segment->count == 0)
        segment->first_time_ns = item->head.time_ns;
    segment->last_time_ns = item->head.time_ns;
    size = pp_record_head_counts(false, &item->head);
    segment->live_bytes += size;
    pp_segment_push(segment, item->head.seq, item->at, id, (uint32_t)size);
    if (parts.floor && parts.floor < item->head.seq)
        pp_segment_note_floor(segment, parts.floor);
    if (parts.expires_ns && parts.expires_ns != INT64_MAX)
        pp_expiries_push(&segment->expiries, parts.expires_ns, item->head.seq);
    return PIPIT_OK;
}

static pipit_err take_other(pp_segment *segment, const struct pp_scan_item *item)
{
    segment->has_ops |= item->head.kind != PP_RECORD_MARK;
    /* Each tells the newest sequence of its time, which is not given again though its message and
     * the segment with it are no more. */
    if (item->head.kind != PP_RECORD_TRUNCATE && item->head.seq > segment->last_seq &&
        item->head.seq <= UINT64_MAX / 2)
        segment->last_seq = item->head.seq;
    switch ((pp_record_kind)item->head.kind) {
    case PP_RECORD_DELETE:
    case PP_RECORD_ERASE:
        return take_deletes(segment, item);
    case PP_RECORD_DROP: /* complete each time */
        segment->drops.count = 0;
        return take_ranges(&segment->drops, item);
    case PP_RECORD_TRUNCATE:
        segment->truncate = item->head.seq;
        return PIPIT_OK;
    case PP_RECORD_SKIP:
    case PP_RECORD_MARK:
    case PP_RECORD_MESSAGE:
        break;
    }
    return PIPIT_OK;
}

static void note_hole(struct pp_found *found, const struct pp_scan_item *item)
{
    if (!found->holes)
        found->hole_at = item->at;
    found->holes += item->end - item->at;
}

/* What is told by a record whose head is whole. Behind a hole, sequences up to this one are
 * missing. */
static pipit_err take_item(pp_store *store, struct pp_found *found, const struct pp_scan_item *item,
                           struct pp_ranges *suspects)
{
    pp_segment *segment = found->segment;
    bool message = item->head.kind == PP_RECORD_MESSAGE;
    uint64_t last = segment->last_seq, seq = item->head.seq;
    pipit_err err = PIPIT_OK;

    if (message && (seq <= last || seq > UINT64_MAX / 2))
        return PIPIT_OK; /* never written so: left where it is */
    if (found->ends_in_hole && item->head.kind != PP_RECORD_SKIP && seq > last)
        err = suspect(suspects, last + 1, message ? seq - 1 : seq);
    found->ends_in_hole = false;
    if (item->kind == PP_SCAN_ERASED) {
        segment->last_seq = message ? seq : last;
        return !err && message && found->erased_too ? suspect(suspects, seq, seq) : err;
    }
    if (!err && item->kind == PP_SCAN_RECORD)
        err = message ? take_message(store, segment, item) : take_other(segment, item);
    else if (!err)
        err = PIPIT_EDAMAGED;
    if (err != PIPIT_EDAMAGED)
        return err;
    if (!message) {
        note_hole(found, item);
        return PIPIT_OK; /* what it said is not known; messages that it deleted may be back */
    }
    segment->last_seq = seq; /* lost, unless it is being erased */
    return suspect(suspects, seq, seq);
}

/* Take all records up to end. */
static pipit_err take_records(pp_store *store, struct pp_found *found, const char *bytes,
                              uint64_t len, uint64_t end, struct pp_ranges *suspects)
{
    struct pp_scan_item item;
    struct pp_scan scan;
    pipit_err err = PIPIT_OK;

    found->segment->end = PP_SEGMENT_HEADER_BYTES;
    pp_scan_init(&scan, bytes, len, pp_record_seed(store->id.salt, found->number));
    for (pp_scan_next(&scan, &item); !err && item.kind != PP_SCAN_END && item.at < end;
         pp_scan_next(&scan, &item)) {
        if (item.kind == PP_SCAN_HOLE) {
            found->ends_in_hole = true;
            found->tail_hole = item.end - item.at;
            note_hole(found, &item);
            continue;
        }
        found->tail_hole = 0;
        err = take_item(store, found, &item, suspects);
        found->segment->end = item.end;
    }
    return err;
}

static pipit_err take_footer(struct pp_found *found)
{
    const struct pp_footer *footer = &found->footer;
    pp_segment *segment = found->segment;
    const char *lists = found->front + footer->subjects_bytes;
    pipit_err err = pp_ranges_reserve(&segment->deletes, footer->delete_count);

    if (!err)
        err = pp_ranges_reserve(&segment->drops, footer->drop_count);
    if (err)
        return err;
    for (uint32_t i = 0; i < footer->delete_count; i++, lists += sizeof(struct pp_range)) {
        struct pp_range range = pp_record_range(lists, 0);

        if (range.first <= range.last && range.last < UINT64_MAX)
            pp_ranges_push(&segment->deletes, range.first, range.last);
    }
    for (uint32_t i = 0; i < footer->drop_count; i++, lists += sizeof(struct pp_range)) {
        struct pp_range range = pp_record_range(lists, 0);

        pp_ranges_push(&segment->drops, range.first, range.last);
    }
    segment->first_seq = footer->first_seq;
    segment->last_seq = footer->last_seq;
    segment->first_time_ns = footer->first_time_ns;
    segment->last_time_ns = footer->last_time_ns;
    segment->live_bytes = footer->live_bytes;
    segment->truncate = footer->truncate;
    segment->lowest_delete = footer->lowest_delete;
    segment->count = footer->count;
    segment->dense = footer->flags & PP_FOOTER_DENSE;
    segment->has_ops = footer->flags & PP_FOOTER_OPS;
    segment->end = footer->at;
    segment->footer_at = footer->at;
    segment->sizes_at = pp_footer_sizes_at(footer);
    segment->sealed = true;
    return PIPIT_OK;
}

/* Which segment of which store is it? PIPIT_ENOTFOUND: none of this one. */
static pipit_err read_header(pp_store *store, struct pp_found *found)
{
    struct pp_identity id = {0};
    size_t got;
    pipit_err err = pp_store_file(store, found->segment);

    if (!err)
        err = pp_disk_read(store->disk, found->segment->fd, &id, sizeof(id), 0, &got);
    if (err == PIPIT_EIO)
        return PIPIT_OK;
    if (err)
        return err;
    err = got < sizeof(id) ? PIPIT_EDAMAGED : pp_identity_check(&id, PP_SEGMENT_MAGIC);
    if (err == PIPIT_EDAMAGED)
        return PIPIT_OK; /* its name says which it is, and its records whether that is so */
    if (err)
        return err;
    if (id.number != found->number || memcmp(id.store, store->id.store, sizeof(id.store)) != 0)
        return PIPIT_ENOTFOUND;
    found->segment->features = id.features;
    if (id.key_id) {
        err = pp_store_find_key(store, found->segment, id.key_id);
        if (err)
            return err;
    }
    found->begins = id.first_seq;
    found->segment->first_seq = id.first_seq;
    found->segment->last_seq = id.first_seq - 1;
    return PIPIT_OK;
}

static pipit_err read_records(pp_store *store, struct pp_found *found, bool last,
                              struct pp_ranges *suspects)
{
    uint64_t len = 0, end = UINT64_MAX;
    char *bytes = NULL;
    pipit_err err = read_file(store, found, &bytes, &len);

    if (err)
        return err;
    if (last) {
        struct pp_scan scan;

        pp_scan_init(&scan, bytes, len, 0);
        end = pp_scan_tail_end(bytes, len, pp_record_seed(store->id.salt, found->number),
                               &found->proven);
        found->torn_at = end;
        found->torn = scan.data_end > end ? scan.data_end - end : 0;
    }
    found->segment->sized |= last;
    err = take_records(store, found, bytes, len, end, suspects);
    if (!err && last)
        found->segment->end = end > PP_SEGMENT_HEADER_BYTES ? end : PP_SEGMENT_HEADER_BYTES;
    found->segment->sealed = !last;
    found->segment->vague_end = !last;
    pp_free(bytes);
    return err;
}

pipit_err pp_found_read(pp_store *store, struct pp_found *found, bool last,
                        struct pp_ranges *suspects)
{
    pipit_err err = pp_segment_new(found->number, 1, &found->segment);

    if (err)
        return err;
    err = read_header(store, found);
    if (err == PIPIT_ENOTFOUND) {
        pp_store_close_file(store, found->segment);
        pp_segment_free(found->segment);
        found->segment = NULL;
        return PIPIT_OK;
    }
    if (err)
        return err;
    err = pp_store_read_footer(store, found->segment, &found->footer, &found->front);
    if (!err)
        err = take_footer(found);
    else if (pp_footer_is_lost(err))
        err = read_records(store, found, last, suspects);
    return err;
}

pipit_err pp_found_read_records(pp_store *store, struct pp_found *found, bool sized,
                                struct pp_ranges *suspects)
{
    pipit_err err = pp_segment_new(found->number, 1, &found->segment);

    if (!err)
        err = read_header(store, found);
    if (err == PIPIT_ENOTFOUND)
        err = PIPIT_EIO;
    if (!err)
        found->segment->sized = sized;
    return err ? err : read_records(store, found, false, suspects);
}
