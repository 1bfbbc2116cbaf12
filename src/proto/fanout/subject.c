#include "proto/fanout/subject.h"

#include <stdbool.h>
#include <string.h>

static bool stands_for_itself(unsigned char c)
{
    return c > ' ' && c < 0x7f && c != '.' && c != '*' && c != '>' && c != '%';
}

size_t pp_fanout_subject(pp_str channel, char *out)
{
    static const char digits[] = "0123456789ABCDEF";
    char *at = out + sizeof(PP_FANOUT_SUBJECT_PREFIX) - 1;

    memcpy(out, PP_FANOUT_SUBJECT_PREFIX, sizeof(PP_FANOUT_SUBJECT_PREFIX) - 1);
    for (size_t i = 0; i < channel.len; i++) {
        unsigned char c = (unsigned char)channel.ptr[i];

        if (stands_for_itself(c)) {
            *at++ = (char)c;
        } else {
            *at++ = '%';
            *at++ = digits[c >> 4];
            *at++ = digits[c & 15];
        }
    }
    return (size_t)(at - out);
}
