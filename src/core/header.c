#include "core/header.h"

static const pp_str first_line = {"NATS/1.0\r\n", 10};

/* Take a line with its end off rest. */
static pp_str take_line(pp_str *rest)
{
    pp_str line = {rest->ptr, 0};

    while (line.len < rest->len && rest->ptr[line.len] != '\r' && rest->ptr[line.len] != '\n')
        line.len++;
    if (line.len < rest->len && rest->ptr[line.len] == '\r')
        line.len++;
    if (line.len < rest->len && rest->ptr[line.len] == '\n')
        line.len++;
    rest->ptr += line.len;
    rest->len -= line.len;
    return line;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f' || c == '\0';
}

static pp_str trim(pp_str text)
{
    while (text.len && is_blank(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

static bool goes_on(pp_str rest)
{
    return rest.len && (rest.ptr[0] == ' ' || rest.ptr[0] == '\t');
}

bool pp_field_next(pp_str block, size_t *at, pp_field *out)
{
    pp_str rest = {block.ptr + *at, block.len - *at};
    const char *colon;
    pp_str line;

    if (*at == 0)
        (void)take_line(&rest);
    if (!rest.len)
        return false;
    line = take_line(&rest);
    colon = memchr(line.ptr, ':', line.len);
    out->name = trim(colon ? (pp_str){line.ptr, (size_t)(colon - line.ptr)} : line);
    out->value = colon ? trim((pp_str){colon + 1, line.len - (size_t)(colon - line.ptr) - 1})
                       : (pp_str){line.ptr, 0};
    out->line = line;
    while (goes_on(rest))
        out->line.len += take_line(&rest).len;
    *at = (size_t)(rest.ptr - block.ptr);
    return true;
}

bool pp_header_has(pp_str block, pp_str name)
{
    size_t at = 0;
    pp_field field;

    while (pp_field_next(block, &at, &field)) {
        if (pp_str_eq_nocase(field.name, name))
            return true;
    }
    return false;
}

static char *put(char *at, pp_str text)
{
    memcpy(at, text.ptr, text.len);
    return at + text.len;
}

static bool is_among(pp_str name, const pp_str *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (pp_str_eq_nocase(name, names[i]))
            return true;
    }
    return false;
}

size_t pp_header_copy_without(pp_str block, const pp_str *names, size_t name_count, char *out)
{
    pp_str rest = block;
    char *at = out;
    size_t next = 0;
    pp_field field;

    if (!block.len)
        return (size_t)(put(out, first_line) - out);
    at = put(at, take_line(&rest)); /* it may hold a status */
    while (pp_field_next(block, &next, &field)) {
        if (!field.name.len && trim(field.line).len == 0)
            continue; /* the empty line, which comes last */
        if (!is_among(field.name, names, name_count))
            at = put(at, field.line);
    }
    if (at[-1] != '\n') /* the block is not empty */
        at = put(at, PP_STR("\r\n"));
    return (size_t)(at - out);
}
