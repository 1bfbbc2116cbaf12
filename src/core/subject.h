/* core/subject.h -- the grammar of subjects: tokens between dots, * for one, > for the rest.
 *
 * Source: NATS client protocol, "Subjects". A wildcard is one only as a whole token, and > only as
 * the last. Pure functions over slices. Thread: any. */
#ifndef PP_CORE_SUBJECT_H
#define PP_CORE_SUBJECT_H

#include "base/str.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* How many bytes come before the first dot; len when there is none. Tokens are short, so eight
 * bytes are looked at in a step and no function is called. */
static inline size_t pp_subject_dot(const char *bytes, size_t len)
{
    size_t i = 0;

    for (; len - i >= 8; i += 8) {
        uint64_t word, dots;

        memcpy(&word, bytes + i, 8);
        word ^= 0x2e2e2e2e2e2e2e2e; /* dots become zero */
        /* The top bits of bytes that are zero; a borrow may add some, but above the lowest. */
        dots = (word - 0x0101010101010101) & ~word & 0x8080808080808080;
        if (dots)
            return i + (size_t)__builtin_ctzll(dots) / 8;
    }
    while (i < len && bytes[i] != '.')
        i++;
    return i;
}
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest");

/* Take the next token off *rest (which may hold no more afterwards: ptr NULL). An empty token is
 * returned as such. Call while rest->ptr is not NULL. */
static inline pp_str pp_subject_next_token(pp_str *rest)
{
    pp_str token = {rest->ptr, pp_subject_dot(rest->ptr, rest->len)};

    if (token.len < rest->len)
        *rest = (pp_str){rest->ptr + token.len + 1, rest->len - token.len - 1};
    else
        *rest = (pp_str){NULL, 0};
    return token;
}

size_t pp_subject_token_count(pp_str subject);

typedef enum pp_subject_kind {
    PP_SUBJECT_INVALID,
    PP_SUBJECT_LITERAL,
    PP_SUBJECT_WILDCARD, /* has a token that is * or, as the last, > */
} pp_subject_kind;

/* All that the three questions below ask, in one pass. */
pp_subject_kind pp_subject_classify(pp_str subject);

/* May this be subscribed to? No empty token, > only last; other bytes are free. */
static inline bool pp_subject_valid(pp_str subject)
{
    return pp_subject_classify(subject) != PP_SUBJECT_INVALID;
}

/* Valid, and no token is a wildcard: what may be published to in pedantic mode. */
static inline bool pp_subject_literal(pp_str subject)
{
    return pp_subject_classify(subject) == PP_SUBJECT_LITERAL;
}

/* Has a token that is * or, as the last, >. False for invalid subjects. */
static inline bool pp_subject_has_wildcard(pp_str subject)
{
    return pp_subject_classify(subject) == PP_SUBJECT_WILDCARD;
}

/* Does the literal subject (its tokens taken as text, wildcards too) fall under pattern? Empty
 * tokens in the subject match nothing. */
bool pp_subject_matches(pp_str subject, pp_str pattern);

/* Is every subject that falls under inner also under outer? Both valid. */
bool pp_subject_subset(pp_str inner, pp_str outer);

/* Is there a subject that falls under both? Both valid. */
bool pp_subject_overlaps(pp_str a, pp_str b);

#endif
