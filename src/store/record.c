#include "store/record.h"

#include "base/assert.h"
#include "base/hash.h"

enum { CHECKED_FROM = offsetof(struct pp_record_head, body_check) };

uint64_t pp_record_seed(uint64_t salt, uint64_t segment)
{
    return pp_hash(&segment, sizeof(segment), salt);
}

static uint64_t head_check(const struct pp_record_head *head, uint64_t seed, uint64_t at)
{
    return pp_hash((const char *)head + CHECKED_FROM, sizeof(*head) - CHECKED_FROM, seed ^ at);
}

/* Body and padding stand; the head goes before them. */
static void finish(char *out, struct pp_record_head *head, uint64_t seed, uint64_t at)
{
    char *body = out + sizeof(*head);
    size_t padded = (size_t)pp_record_bytes(head->body_bytes) - sizeof(*head);

    memset(body + head->body_bytes, 0, padded - head->body_bytes);
    head->body_check = pp_hash(body, head->body_bytes, seed);
    head->head_check = head_check(head, seed, at);
    memcpy(out, head, sizeof(*head));
}

void pp_record_disown_body(struct pp_record_head *head, uint64_t seed, uint64_t at)
{
    head->body_check = 0;
    head->head_check = head_check(head, seed, at);
}

static char *put(char *out, pp_str bytes)
{
    if (bytes.len)
        memcpy(out, bytes.ptr, bytes.len);
    return out + bytes.len;
}

void pp_record_encode_message(char *out, struct pp_record_head *head,
                              const struct pp_record_parts *parts, uint64_t seed, uint64_t at)
{
    char *body = out + sizeof(*head);

    head->kind = PP_RECORD_MESSAGE;
    head->flags = (uint8_t)((parts->expires_ns ? PP_RECORD_EXPIRES : 0) |
                            (parts->floor ? PP_RECORD_FLOOR : 0));
    head->subject_bytes = (uint16_t)parts->subject.len;
    head->headers_bytes = (uint32_t)parts->headers.len;
    head->body_bytes = (uint32_t)pp_record_body_bytes(parts);
    if (parts->expires_ns) {
        memcpy(body, &parts->expires_ns, 8);
        body += 8;
    }
    if (parts->floor) {
        memcpy(body, &parts->floor, 8);
        body += 8;
    }
    (void)put(put(put(body, parts->subject), parts->headers), parts->payload);
    finish(out, head, seed, at);
}

void pp_record_encode_ranges(char *out, struct pp_record_head *head, const struct pp_range *ranges,
                             size_t count, uint64_t seed, uint64_t at)
{
    PP_ASSERT(count <= PP_RECORD_RANGES_MAX);
    head->flags = 0;
    head->subject_bytes = 0;
    head->headers_bytes = 0;
    head->body_bytes = (uint32_t)(count * sizeof(*ranges));
    if (count)
        memcpy(out + sizeof(*head), ranges, count * sizeof(*ranges));
    finish(out, head, seed, at);
}

/* What stands before the subject. */
static uint64_t prefix_bytes(const struct pp_record_head *head)
{
    return (head->flags & PP_RECORD_EXPIRES ? 8 : 0) + (head->flags & PP_RECORD_FLOOR ? 8 : 0);
}

/* Could this be a head? Looked at before its check is computed, since most places hold none. */
static bool plausible(const struct pp_record_head *head)
{
    uint64_t parts = (uint64_t)head->subject_bytes + head->headers_bytes;

    if (head->kind < PP_RECORD_MESSAGE || head->kind > PP_RECORD_MARK ||
        head->body_bytes > PP_RECORD_BODY_MAX)
        return false;
    if (head->kind == PP_RECORD_MESSAGE)
        return head->flags <= (PP_RECORD_EXPIRES | PP_RECORD_FLOOR) && head->seq > 0 &&
               parts + prefix_bytes(head) <= head->body_bytes;
    return head->flags == 0 && parts == 0 && head->body_bytes % sizeof(struct pp_range) == 0 &&
           pp_record_range_count(head) <= PP_RECORD_RANGES_MAX;
}

bool pp_record_head_read(const char *bytes, size_t len, uint64_t seed, uint64_t at,
                         struct pp_record_head *out_head)
{
    struct pp_record_head head;

    if (len < sizeof(head))
        return false;
    memcpy(&head, bytes, sizeof(head));
    if (!plausible(&head) || head.head_check != head_check(&head, seed, at))
        return false;
    *out_head = head;
    return true;
}

bool pp_record_body_true(const struct pp_record_head *head, const char *body, uint64_t seed)
{
    return head->body_check == pp_hash(body, head->body_bytes, seed);
}

bool pp_record_parts_read(const struct pp_record_head *head, const char *body,
                          struct pp_record_parts *out_parts)
{
    size_t at = 0;

    if (head->kind != PP_RECORD_MESSAGE || !plausible(head))
        return false;
    out_parts->expires_ns = 0;
    if (head->flags & PP_RECORD_EXPIRES) {
        memcpy(&out_parts->expires_ns, body, 8);
        at = 8;
    }
    out_parts->floor = 0;
    if (head->flags & PP_RECORD_FLOOR) {
        memcpy(&out_parts->floor, body + at, 8);
        at += 8;
    }
    out_parts->subject = (pp_str){body + at, head->subject_bytes};
    at += head->subject_bytes;
    out_parts->headers = (pp_str){body + at, head->headers_bytes};
    at += head->headers_bytes;
    out_parts->payload = (pp_str){body + at, head->body_bytes - at};
    return true;
}

struct pp_range pp_record_range(const char *body, size_t nth)
{
    struct pp_range range;

    memcpy(&range, body + nth * sizeof(range), sizeof(range));
    return range;
}

uint64_t pp_record_counted_bytes(bool memory, uint64_t subject, uint64_t headers, uint64_t payload)
{
    if (memory)
        return 16 + subject + headers + payload;
    return 30 + subject + payload + (headers ? 4 + headers : 0);
}

uint64_t pp_record_head_counts(bool memory, const struct pp_record_head *head)
{
    uint64_t payload =
        head->body_bytes - head->subject_bytes - head->headers_bytes - prefix_bytes(head);

    return pp_record_counted_bytes(memory, head->subject_bytes, head->headers_bytes, payload);
}
