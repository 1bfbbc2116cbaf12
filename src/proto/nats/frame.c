#include "proto/nats/frame.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The number that the line ends with: how many bytes follow it. */
static bool read_size(const char *line, const char *end, size_t *out_size)
{
    const char *at;
    uint64_t size;

    while (end > line && is_blank(end[-1]))
        end--;
    for (at = end; at > line && !is_blank(at[-1]); at--)
        ;
    if (!pp_str_parse_u64((pp_str){at, (size_t)(end - at)}, UINT32_MAX, &size))
        return false;
    *out_size = (size_t)size;
    return true;
}

/* "subject sid" behind the verb: what the writer puts there is separated by single spaces. */
static pp_str find_key(const char *from, const char *end)
{
    const char *sid = memchr(from, ' ', (size_t)(end - from));
    const char *behind = sid ? memchr(sid + 1, ' ', (size_t)(end - sid - 1)) : NULL;

    return (pp_str){from, (size_t)((behind ? behind : end) - from)};
}

bool pp_nats_frame(pp_str bytes, pp_frame_form *out_form)
{
    bool msg = pp_str_starts(bytes, PP_STR("MSG "));
    bool hmsg = !msg && pp_str_starts(bytes, PP_STR("HMSG "));
    const char *newline = bytes.len ? memchr(bytes.ptr, '\n', bytes.len) : NULL;
    size_t line_len, size;

    if (!newline)
        return false;
    line_len = (size_t)(newline - bytes.ptr) + 1;
    *out_form = (pp_frame_form){.len = line_len};
    if (!msg && !hmsg)
        return true;
    if (!read_size(bytes.ptr, newline, &size))
        return false;
    out_form->len = line_len + size + 2;
    out_form->message = true;
    out_form->key = find_key(bytes.ptr + (msg ? 4 : 5), newline);
    return true;
}
