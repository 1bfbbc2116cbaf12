#include "proto/message_broker/writer.h"

#include "base/assert.h"

enum { STATUS_ERROR = 3 };

static size_t put(char *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (char)(value >> (8 * (bytes - 1 - i)) & 0xff);
    return bytes;
}

size_t pp_mb_write_error(const char *text, char *out)
{
    pp_str said = pp_str_of(text);

    PP_ASSERT(said.len <= PP_MB_ERROR_BYTES - 4);
    (void)put(out, STATUS_ERROR, 2);
    (void)put(out + 2, said.len, 2);
    memcpy(out + 4, said.ptr, said.len);
    return 4 + said.len;
}

size_t pp_mb_write_head(pp_str topic, uint64_t data_len, char *out)
{
    char *at = out + put(out, topic.len, 2);

    if (topic.len)
        memcpy(at, topic.ptr, topic.len);
    return 2 + topic.len + put(at + topic.len, data_len, 8);
}
