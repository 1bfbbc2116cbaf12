#include "proto/fanout/subject.h"

#include "core/token.h"

#include <string.h>

size_t pp_fanout_subject(pp_str channel, char *out)
{
    size_t prefix = sizeof(PP_FANOUT_SUBJECT_PREFIX) - 1;

    memcpy(out, PP_FANOUT_SUBJECT_PREFIX, prefix);
    return prefix + pp_token_escape(channel, out + prefix);
}
