/* store/record.h -- the form of what a segment holds: messages, and what was done to messages.
 *
 * A record is a head of 48 bytes and a body, padded with zeros to 8 bytes. Two checks: one of the
 * head, which counts in where the record lies, so that a sector in the wrong place is not taken for
 * a record; one of the body, kept in the head. Their seed is of the store and the segment; peers do
 * not know it, so that no payload can pass for a record. Pure; docs/disk-format.md has the picture.
 */
#ifndef PP_STORE_RECORD_H
#define PP_STORE_RECORD_H

#include "base/err.h"
#include "base/str.h"
#include "store/seal.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum pp_record_kind {
    PP_RECORD_MESSAGE = 1,
    PP_RECORD_DELETE,   /* ranges of sequences that are no more */
    PP_RECORD_ERASE,    /* the same, and their bytes must be gone too */
    PP_RECORD_SKIP,     /* sequences up to seq are taken, without messages */
    PP_RECORD_TRUNCATE, /* what was logged before with a sequence above seq is no more */
    PP_RECORD_DROP,     /* numbers of segments, as ranges, that are no more */
    PP_RECORD_MARK,     /* nothing, but what was before was on disk when this was written */
} pp_record_kind;

enum {
    PP_RECORD_EXPIRES = 1,  /* flag: the body begins with 8 bytes, when the message expires */
    PP_RECORD_FLOOR = 2,    /* flag: then 8 bytes, a sequence up to which limits have evicted all */
    PP_RECORD_SQUEEZED = 4, /* flag: headers and payload are compressed; headers_bytes is what they
                             * are together, and 4 bytes before them tell how many are headers */
    PP_RECORD_SEALED = 8,   /* flag: the body is encrypted */
    PP_RECORD_HEADERS = 16, /* flag: what is squeezed has headers */
    PP_RECORD_FLAGS = 31,
};

/* Little-endian. */
struct pp_record_head {
    uint64_t head_check; /* of what follows in the head, and of where it lies */
    uint64_t body_check;
    uint64_t seq; /* of the message; for other kinds the newest sequence at the time */
    int64_t time_ns;
    uint32_t body_bytes;
    uint32_t headers_bytes;
    uint32_t durable_at; /* eighths of bytes: what lies before was on disk when this was written */
    uint16_t subject_bytes;
    uint8_t kind;
    uint8_t flags;
};
static_assert(sizeof(struct pp_record_head) == 48, "record head is 48 bytes on disk");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "heads are copied as they are");

/* From first to last, both included. On disk in the bodies of records, 16 bytes each. */
struct pp_range {
    uint64_t first;
    uint64_t last;
};

enum {
    PP_SEGMENT_HEADER_BYTES = 4096, /* where records begin */
    PP_RECORD_HEAD_BYTES = sizeof(struct pp_record_head),
    PP_RECORD_ALIGN = 8,
    PP_RECORD_RANGES_MAX = 4096,            /* in one record */
    PP_RECORD_BODY_MAX = 128 * 1024 * 1024, /* no more is believed, whatever a head says */
};

/* What a message record is made of, and what is read from it. */
struct pp_record_parts {
    int64_t expires_ns; /* 0: never said */
    uint64_t floor;     /* 0: the same */
    pp_str subject;
    pp_str headers;
    pp_str payload;
    pp_str squeezed; /* ptr not NULL: headers and payload, compressed; of headers only len holds */
    uint32_t raw_bytes; /* what they are together */
    bool sealed;
};

static inline uint64_t pp_record_bytes(uint64_t body_bytes)
{
    return (PP_RECORD_HEAD_BYTES + body_bytes + PP_RECORD_ALIGN - 1) &
           ~(uint64_t)(PP_RECORD_ALIGN - 1);
}

static inline uint64_t pp_record_body_bytes(const struct pp_record_parts *parts)
{
    uint64_t rest =
        parts->squeezed.ptr ? 4 + parts->squeezed.len : parts->headers.len + parts->payload.len;

    return (parts->expires_ns ? 8 : 0) + (parts->floor ? 8 : 0) + (uint64_t)parts->subject.len +
           rest + (parts->sealed ? PP_SEAL_BYTES : 0);
}

/* The seed of a segment's checks. */
uint64_t pp_record_seed(uint64_t salt, uint64_t segment);

/* Write a message, with its padding, to out, which has pp_record_bytes() of room. Of head, seq,
 * time_ns and durable_at are given; the rest is filled in. at is where it will lie; seal is for
 * parts that are to be sealed. */
void pp_record_encode_message(char *out, struct pp_record_head *head,
                              const struct pp_record_parts *parts, const struct pp_seal *seal,
                              uint64_t seed, uint64_t at);

/* What a head says, to be sealed with its body. Borrowed from the head. */
pp_str pp_record_said(const struct pp_record_head *head);

/* Write a record of another kind (given in head as well) with ranges for its body. */
void pp_record_encode_ranges(char *out, struct pp_record_head *head, const struct pp_range *ranges,
                             size_t count, uint64_t seed, uint64_t at);

/* Make of a head that of a record whose body was erased: it tells the same, and vouches for
 * nothing. */
void pp_record_disown_body(struct pp_record_head *head, uint64_t seed, uint64_t at);

/* Is there a true head at the front of bytes, lying at? False for less than a head of bytes. */
bool pp_record_head_read(const char *bytes, size_t len, uint64_t seed, uint64_t at,
                         struct pp_record_head *out_head);

/* Is the body that of its head? */
bool pp_record_body_true(const struct pp_record_head *head, const char *body, uint64_t seed);

/* Take a true body apart, one that is not sealed any more. False if it is not as a message's must
 * be.
 */
bool pp_record_parts_read(const struct pp_record_head *head, const char *body,
                          struct pp_record_parts *out_parts);

/* The ranges of a true body; *out_count of them. */
struct pp_range pp_record_range(const char *body, size_t nth);

static inline size_t pp_record_range_count(const struct pp_record_head *head)
{
    return head->body_bytes / sizeof(struct pp_range);
}

/* What a message counts for in a stream's bytes.
 * Source: JetStream, accounting of size: 30 and 4 for headers in files, 16 in memory. */
uint64_t pp_record_counted_bytes(bool memory, uint64_t subject, uint64_t headers, uint64_t payload);

/* The same, from a head. */
uint64_t pp_record_head_counts(bool memory, const struct pp_record_head *head);

#endif
