/* core/pattern.h -- one distinct text that is subscribed to, and who subscribes to it.
 *
 * Made by the trie for the first subscription and freed with the last; its text never changes.
 * Guarded by the index's lock. */
#ifndef PP_CORE_PATTERN_H
#define PP_CORE_PATTERN_H

#include "base/str.h"

#include <stdint.h>

enum { PP_PATTERN_LEN_MAX = INT32_MAX };

typedef struct pp_pattern {
    struct pp_sub *subs; /* one of its ring; NULL only while none has been put in yet */
    uint32_t len : 31;
    uint32_t wildcard : 1; /* some token is one */
    char text[];
} pp_pattern;

static inline pp_str pp_pattern_text(const pp_pattern *pattern)
{
    return (pp_str){pattern->text, pattern->len};
}

#endif
