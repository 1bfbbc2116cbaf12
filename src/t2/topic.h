/* t2/topic.h -- topics of the T2 Bus: their grammar, and which subscription hears which publish.
 *
 *   topic    = fragment *( "/" fragment )
 *   fragment = 1*( "a".."z" | "0".."9" | "_" ) | "*" | "**"
 *
 * Wildcards may stand on either side. The rules are those of the original server to the letter,
 * odd as some are: its clients apply them again to what they are sent. With S what is left of the
 * subscription, P what is left of the published topic, and D ("behind a ** of the subscription"),
 * false at first, the two match when any of these holds:
 *
 *   1. P is empty: exactly if S is.
 *   2. P begins with **: drop it, or drop the first of S; D stays as it is.
 *   3. D: drop the first of P, D stays; or, where both begin alike, drop both, D false. No further
 *      rule applies.
 *   4. P begins with *: drop the first of both, D false. No further rule applies.
 *   5. Drop the first of both if they are alike (D false), if S begins with * (D false), or if S
 *      begins with ** (D true).
 *
 * Source: t2_bus 0.1.0, as observed. */
#ifndef PP_T2_TOPIC_H
#define PP_T2_TOPIC_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PP_T2_TOPIC_MAX = 1024, /* bytes; the original knows no limit */
    PP_T2_FRAGMENTS_MAX = 63,
};

/* A topic taken apart; borrowed. */
typedef struct pp_t2_topic {
    pp_str fragments[PP_T2_FRAGMENTS_MAX];
    uint8_t count;
    bool wildcard; /* some fragment is * or ** */
} pp_t2_topic;

/* False: text is no topic, or beyond the limits. */
bool pp_t2_topic_parse(pp_t2_topic *topic, pp_str text);

static inline bool pp_t2_is_star(pp_str fragment)
{
    return fragment.len == 1 && fragment.ptr[0] == '*';
}

static inline bool pp_t2_is_double_star(pp_str fragment)
{
    return fragment.len == 2 && fragment.ptr[0] == '*';
}

/* Does a subscription hear what is published? */
bool pp_t2_topic_matches(const pp_t2_topic *subscription, const pp_t2_topic *published);

/* Write topic, which is valid and has no wildcards, as a subject behind prefix, which ends in a
 * dot: "t2.a.b". Returns its length; out has room for both. */
size_t pp_t2_topic_to_subject(pp_str prefix, pp_str topic, char *out);

/* Write the topic of a subject behind its prefix. Returns its length; 0: it is no literal topic. */
size_t pp_t2_topic_from_subject(pp_str rest, char out[PP_T2_TOPIC_MAX]);

#endif
