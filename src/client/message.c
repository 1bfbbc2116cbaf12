/* What pipit/message.h offers: messages that outlive a callback, and header blocks. */
#include "pipit/message.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "core/header.h"

#include <string.h>

enum { BLOCK_MAX = 64 * 1024 };

static const char first_line[] = "NATS/1.0";

pipit_err pipit_msg_header(const pipit_msg *msg, const char *name, const char **out_value,
                           size_t *out_bytes)
{
    pp_str block = {msg->header, msg->header_bytes}, wanted = pp_str_of(name);
    pp_field field;
    size_t at = 0;

    while (block.len && pp_field_next(block, &at, &field)) {
        if (pp_str_eq_nocase(field.name, wanted)) {
            *out_value = field.value.ptr;
            *out_bytes = field.value.len;
            return PIPIT_OK;
        }
    }
    return PIPIT_ENOTFOUND;
}

int pipit_msg_status(const pipit_msg *msg)
{
    const char *text = msg->header;
    size_t at = sizeof(first_line) - 1;
    uint64_t value;

    if (msg->header_bytes < at + 4 || memcmp(text, first_line, at) != 0 || text[at] != ' ' ||
        !pp_str_parse_u64((pp_str){text + at + 1, 3}, 999, &value))
        return 0;
    return (int)value;
}

static const char *place(char **to, const void *bytes, size_t len)
{
    char *at = *to;

    if (len)
        memcpy(at, bytes, len);
    at[len] = '\0'; /* texts are easier to print so */
    *to = at + len + 1;
    return at;
}

pipit_msg *pipit_msg_copy(const pipit_msg *msg)
{
    size_t bytes = msg->subject_bytes + msg->reply_bytes + msg->header_bytes + msg->payload_bytes;
    pipit_msg *copy = pp_alloc(sizeof(*copy) + bytes + 4);
    char *to;

    if (!copy)
        return NULL;
    *copy = *msg;
    to = (char *)(copy + 1);
    copy->subject = place(&to, msg->subject, msg->subject_bytes);
    copy->payload = place(&to, msg->payload, msg->payload_bytes);
    copy->reply = msg->reply_bytes ? place(&to, msg->reply, msg->reply_bytes) : NULL;
    copy->header = msg->header_bytes ? place(&to, msg->header, msg->header_bytes) : NULL;
    return copy;
}

void pipit_msg_free(pipit_msg *msg)
{
    pp_free(msg);
}

/* --- header blocks ------------------------------------------------------------------------ */

struct pipit_headers {
    pp_buf block; /* whole at any time */
};

pipit_err pipit_headers_new(pipit_headers **out_headers)
{
    pipit_headers *headers = pp_alloc(sizeof(*headers));
    pipit_err err;

    if (!headers)
        return PIPIT_ENOMEM;
    pp_buf_init(&headers->block, BLOCK_MAX);
    err = pp_buf_addf(&headers->block, "%s\r\n\r\n", first_line);
    if (err) {
        pipit_headers_free(headers);
        return err;
    }
    *out_headers = headers;
    return PIPIT_OK;
}

void pipit_headers_free(pipit_headers *headers)
{
    if (headers)
        pp_buf_fini(&headers->block);
    pp_free(headers);
}

static bool name_valid(const char *name)
{
    for (const char *c = name; *c; c++) {
        if (*c <= ' ' || *c >= 0x7f || *c == ':')
            return false;
    }
    return *name;
}

pipit_err pipit_headers_add(pipit_headers *headers, const char *name, const char *value)
{
    pp_buf *block = &headers->block;
    pipit_err err;

    if (!name || !value || !name_valid(name) || strpbrk(value, "\r\n"))
        return PIPIT_EINVAL;
    err = pp_buf_reserve(block, strlen(name) + strlen(value) + 8);
    if (err)
        return err;
    block->len -= 2; /* the empty line comes behind the new one */
    return pp_buf_addf(block, "%s: %s\r\n\r\n", name, value);
}

const void *pipit_headers_block(const pipit_headers *headers, size_t *out_bytes)
{
    *out_bytes = headers->block.len;
    return headers->block.ptr;
}
