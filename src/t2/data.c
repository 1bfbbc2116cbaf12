#include "t2/data.h"

#include <endian.h>

enum { LONG = 24 }; /* from here on a byte is written as two, of which this is the first */

static inline uint64_t load(const unsigned char *p)
{
    uint64_t x;

    memcpy(&x, p, sizeof(x));
    return le64toh(x);
}

/* Are the next eight bytes four long elements? */
static inline bool four_long(uint64_t x)
{
    uint64_t values = x >> 8 & UINT64_C(0x00ff00ff00ff00ff);

    return (x & UINT64_C(0x00ff00ff00ff00ff)) == UINT64_C(0x0018001800180018) &&
           ((values + UINT64_C(0x00e800e800e800e8)) & UINT64_C(0x0100010001000100)) ==
               UINT64_C(0x0100010001000100);
}

bool pp_t2_data_check(pp_str rest, uint64_t count, size_t *out_len)
{
    const unsigned char *p = (const unsigned char *)rest.ptr, *end = p + rest.len;

    if (count > rest.len)
        return false;
    while (count) {
        if (count >= 4 && end - p >= 8 && four_long(load(p))) {
            p += 8;
            count -= 4;
            continue;
        }
        if (p == end || *p > LONG)
            return false;
        if (*p == LONG) {
            if (end - p < 2 || p[1] < LONG)
                return false;
            p++;
        }
        p++;
        count--;
    }
    *out_len = (size_t)((const char *)p - rest.ptr);
    return true;
}

size_t pp_t2_data_decode(pp_str elements, char *out)
{
    const char *p = elements.ptr, *end = p + elements.len;
    char *to = out;

    while (p < end) {
        p += *p == LONG;
        *to++ = *p++;
    }
    return (size_t)(to - out);
}

size_t pp_t2_data_encoded_len(pp_str bytes)
{
    size_t len = bytes.len;

    for (size_t i = 0; i < bytes.len; i++)
        len += (unsigned char)bytes.ptr[i] >= LONG;
    return len;
}

size_t pp_t2_data_encode(pp_str bytes, char *out)
{
    char *to = out;

    for (size_t i = 0; i < bytes.len; i++) {
        if ((unsigned char)bytes.ptr[i] >= LONG)
            *to++ = LONG;
        *to++ = bytes.ptr[i];
    }
    return (size_t)(to - out);
}
