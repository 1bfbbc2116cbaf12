#include "store/scan.h"

void pp_scan_init(struct pp_scan *scan, const char *bytes, uint64_t len, uint64_t seed)
{
    static const char zeros[1024];
    uint64_t end = len;

    while (end >= sizeof(zeros) && memcmp(bytes + end - sizeof(zeros), zeros, sizeof(zeros)) == 0)
        end -= sizeof(zeros); /* most of a segment that was begun are zeros */
    while (end >= 8 && memcmp(bytes + end - 8, "\0\0\0\0\0\0\0\0", 8) == 0)
        end -= 8;
    while (end > 0 && bytes[end - 1] == 0)
        end--;
    *scan = (struct pp_scan){
        .bytes = bytes, .len = len, .data_end = end, .seed = seed, .at = PP_SEGMENT_HEADER_BYTES};
}

static bool head_at(const struct pp_scan *scan, uint64_t at, struct pp_record_head *out_head)
{
    if (at >= scan->len)
        return false;
    return pp_record_head_read(scan->bytes + at, scan->len - at, scan->seed, at, out_head);
}

/* Where does a head stand again, or does the data end? Records begin at multiples of 8. */
static uint64_t find_head(const struct pp_scan *scan, uint64_t at)
{
    struct pp_record_head head;

    for (; at < scan->data_end; at += PP_RECORD_ALIGN)
        if (head_at(scan, at, &head))
            return at;
    return scan->data_end;
}

void pp_scan_next(struct pp_scan *scan, struct pp_scan_item *out_item)
{
    struct pp_scan_item item = {.kind = PP_SCAN_END, .at = scan->at, .end = scan->at};

    if (scan->at < scan->data_end) {
        if (!head_at(scan, scan->at, &item.head)) {
            item.kind = PP_SCAN_HOLE;
            item.end = find_head(scan, scan->at + PP_RECORD_ALIGN);
        } else {
            item.body = scan->bytes + scan->at + PP_RECORD_HEAD_BYTES;
            item.end = scan->at + pp_record_bytes(item.head.body_bytes);
            item.kind = PP_SCAN_RECORD;
            if (item.end > scan->len || !pp_record_body_true(&item.head, item.body, scan->seed)) {
                item.kind = item.head.body_check ? PP_SCAN_BAD_BODY : PP_SCAN_ERASED;
                item.body = NULL;
            }
        }
    }
    scan->at = item.end;
    *out_item = item;
}

static uint64_t proven_end(const char *bytes, uint64_t len, uint64_t seed)
{
    uint64_t proven = PP_SEGMENT_HEADER_BYTES;
    struct pp_scan_item item;
    struct pp_scan scan;

    pp_scan_init(&scan, bytes, len, seed);
    for (pp_scan_next(&scan, &item); item.kind != PP_SCAN_END; pp_scan_next(&scan, &item)) {
        uint64_t durable = (uint64_t)item.head.durable_at * PP_RECORD_ALIGN;

        if (item.kind == PP_SCAN_RECORD && durable <= item.at && durable > proven)
            proven = durable;
    }
    return proven;
}

uint64_t pp_scan_tail_end(const char *bytes, uint64_t len, uint64_t seed, uint64_t *out_proven)
{
    struct pp_scan_item item;
    struct pp_scan scan;

    *out_proven = proven_end(bytes, len, seed);
    pp_scan_init(&scan, bytes, len, seed);
    for (pp_scan_next(&scan, &item); item.kind != PP_SCAN_END; pp_scan_next(&scan, &item))
        if (item.kind >= PP_SCAN_BAD_BODY && item.end > *out_proven)
            return item.at > *out_proven ? item.at : *out_proven;
    return item.at;
}
