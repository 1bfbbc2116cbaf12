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

static uint8_t flags_of(const struct pp_record_parts *parts)
{
    return (uint8_t)((parts->expires_ns ? PP_RECORD_EXPIRES : 0) |
                     (parts->floor ? PP_RECORD_FLOOR : 0) |
                     (parts->squeezed.ptr ? PP_RECORD_SQUEEZED : 0) |
                     (parts->squeezed.ptr && parts->headers.len ? PP_RECORD_HEADERS : 0) |
                     (parts->sealed ? PP_RECORD_SEALED : 0));
}

pp_str pp_record_said(const struct pp_record_head *head)
{
    enum { FROM = offsetof(struct pp_record_head, seq) };

    return (pp_str){(const char *)head + FROM, sizeof(*head) - FROM};
}

void pp_record_encode_message(char *out, struct pp_record_head *head,
                              const struct pp_record_parts *parts, const struct pp_seal *seal,
                              uint64_t seed, uint64_t at)
{
    char *body = out + sizeof(*head);

    head->kind = PP_RECORD_MESSAGE;
    head->flags = flags_of(parts);
    head->subject_bytes = (uint16_t)parts->subject.len;
    head->headers_bytes = parts->squeezed.ptr ? parts->raw_bytes : (uint32_t)parts->headers.len;
    head->body_bytes = (uint32_t)pp_record_body_bytes(parts);
    if (parts->expires_ns) {
        memcpy(body, &parts->expires_ns, 8);
        body += 8;
    }
    if (parts->floor) {
        memcpy(body, &parts->floor, 8);
        body += 8;
    }
    body = put(body, parts->subject);
    if (parts->squeezed.ptr) {
        uint32_t headers = (uint32_t)parts->headers.len;

        memcpy(body, &headers, 4);
        body = put(body + 4, parts->squeezed);
    } else {
        body = put(put(body, parts->headers), parts->payload);
    }
    if (parts->sealed) {
        struct pp_seal_place place = {PP_SEAL_RECORD, at, pp_record_said(head)};
        char *first = out + sizeof(*head);

        pp_seal_close(seal, &place, first, (size_t)(body - first));
    }
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

/* What stands beside subject, headers and payload. */
static uint64_t extra_bytes(const struct pp_record_head *head)
{
    return (head->flags & PP_RECORD_EXPIRES ? 8 : 0) + (head->flags & PP_RECORD_FLOOR ? 8 : 0) +
           (head->flags & PP_RECORD_SQUEEZED ? 4 : 0) +
           (head->flags & PP_RECORD_SEALED ? PP_SEAL_BYTES : 0);
}

/* Could this be a head? Looked at before its check is computed, since most places hold none. */
static bool plausible(const struct pp_record_head *head)
{
    uint64_t parts = (uint64_t)head->subject_bytes + head->headers_bytes;

    if (head->kind < PP_RECORD_MESSAGE || head->kind > PP_RECORD_MARK ||
        head->body_bytes > PP_RECORD_BODY_MAX)
        return false;
    if (head->kind == PP_RECORD_MESSAGE) {
        if (head->flags & PP_RECORD_SQUEEZED)
            parts = head->subject_bytes;
        else if (head->flags & PP_RECORD_HEADERS)
            return false;
        return head->flags <= PP_RECORD_FLAGS && head->seq > 0 &&
               parts + extra_bytes(head) <= head->body_bytes;
    }
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
    size_t at = 0, end = head->body_bytes;

    if (head->kind != PP_RECORD_MESSAGE || !plausible(head))
        return false;
    if (head->flags & PP_RECORD_SEALED)
        end -= PP_SEAL_BYTES;
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
    out_parts->squeezed = (pp_str){0};
    out_parts->sealed = head->flags & PP_RECORD_SEALED;
    if (head->flags & PP_RECORD_SQUEEZED) {
        uint32_t headers;

        memcpy(&headers, body + at, 4);
        at += 4;
        out_parts->headers = (pp_str){NULL, headers};
        out_parts->payload = (pp_str){0};
        out_parts->raw_bytes = head->headers_bytes;
        out_parts->squeezed = (pp_str){body + at, end - at};
        return true;
    }
    out_parts->headers = (pp_str){body + at, head->headers_bytes};
    at += head->headers_bytes;
    out_parts->payload = (pp_str){body + at, end - at};
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
        head->body_bytes - head->subject_bytes - head->headers_bytes - extra_bytes(head);

    if (head->flags & PP_RECORD_SQUEEZED) /* in files only */
        return pp_record_counted_bytes(false, head->subject_bytes, 0, head->headers_bytes) +
               (head->flags & PP_RECORD_HEADERS ? 4 : 0);
    return pp_record_counted_bytes(memory, head->subject_bytes, head->headers_bytes, payload);
}
