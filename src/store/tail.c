/* The end of the log: what a write that never finished left there is cut off, and it goes on. */
#include "store/found.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>

/* What proved that damage is damage, and not the end of a write, may stand in what is cut off: it
 * is said again first. */
static pipit_err mark_tail(pp_store *store, pp_segment *tail)
{
    struct pp_record_head head = {.seq = store->last_seq,
                                  .time_ns = store->last_time_ns,
                                  .durable_at = (uint32_t)(tail->end / PP_RECORD_ALIGN),
                                  .kind = PP_RECORD_MARK};
    char record[PP_RECORD_HEAD_BYTES];
    pipit_err err;

    pp_record_encode_ranges(record, &head, NULL, 0, pp_record_seed(store->id.salt, tail->number),
                            tail->end);
    err = pp_disk_write(store->disk, store->writer.fd, record, sizeof(record), tail->end);
    if (!err)
        tail->end += sizeof(record);
    return err;
}

/* Write again what nothing proves to be on disk: the system may have it only in memory, and may
 * have failed to write it once already. */
static pipit_err rewrite_tail(pp_store *store, uint64_t from, uint64_t bytes)
{
    char *copy = pp_alloc((size_t)bytes);
    size_t got;
    pipit_err err;

    if (!copy)
        return PIPIT_ENOMEM;
    err = pp_disk_read(store->disk, store->writer.fd, copy, (size_t)bytes, from, &got);
    if (!err)
        err = pp_disk_write(store->disk, store->writer.fd, copy, got, from);
    if (!err)
        err = pp_disk_sync(store->disk, store->writer.fd);
    pp_free(copy);
    return err;
}

static pipit_err settle_tail(pp_store *store, const struct pp_found *found, pp_segment *tail)
{
    uint64_t unproven = tail->end - found->proven;
    pipit_err err = PIPIT_OK;

    if (unproven)
        err = rewrite_tail(store, found->proven, unproven);
    if (!err && (unproven || found->torn))
        err = mark_tail(store, tail);
    if (!err && found->torn) {
        /* Zeros, or a shorter write might later be followed by what is left of this one. */
        pp_store_complain(store, PP_LOG_WARN, "a write that never finished is cut off, bytes",
                          found->torn);
        pp_store_find_out(store, (struct pp_finding){.kind = PP_FINDING_TORN_WRITE,
                                                     .segment = tail->number,
                                                     .at = found->torn_at,
                                                     .bytes = found->torn});
        if (store->disk->ops->resize(store->disk, store->writer.fd, tail->end) < 0)
            err = PIPIT_EIO;
    }
    if (!err)
        err = pp_disk_reserve(store->disk, store->writer.fd, tail->reserved);
    return err ? err : pp_disk_sync(store->disk, store->writer.fd);
}

void pp_found_open_tail(pp_store *store, const struct pp_found *found)
{
    pp_segment *tail = pp_store_active(store);
    char path[PP_PATH_BYTES];
    int64_t size;
    pipit_err err;

    pp_store_path(store, tail->number, path);
    err = pp_disk_open(store->disk, path, O_RDWR, &store->writer.fd);
    if (err)
        store->writer.fd = -1;
    size = err ? -EIO : store->disk->ops->size(store->disk, store->writer.fd);
    if (!err && size < 0)
        err = PIPIT_EIO;
    if (!err) {
        tail->room = (uint64_t)size / 9 * 8;
        if (tail->room < tail->end + PP_SEGMENT_HEADER_BYTES) /* a mark must fit, too */
            tail->room = tail->end + PP_SEGMENT_HEADER_BYTES;
        tail->reserved = pp_segment_file_bytes(tail->room);
        err = settle_tail(store, found, tail);
    }
    store->synced_end = tail->end;
    store->writer.number = tail->number;
    if (err) {
        pp_store_complain(store, PP_LOG_ERROR, "the last segment cannot be written to",
                          tail->number);
        store->failure = err == PIPIT_ENOSPC ? err : PIPIT_EIO;
    }
}
