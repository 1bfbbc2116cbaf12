#include "proto/fanout/reader.h"

#include <string.h>

/* --- a line ------------------------------------------------------------------------------- */

static void skip_blanks(pp_str *rest)
{
    while (rest->len && *rest->ptr == ' ') {
        rest->ptr++;
        rest->len--;
    }
}

/* Take the next word off rest, which then begins with the blank behind it. Only SP is one. */
static pp_str take_word(pp_str *rest)
{
    const char *end;
    pp_str word;

    skip_blanks(rest);
    end = rest->len ? memchr(rest->ptr, ' ', rest->len) : NULL;
    word = (pp_str){rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
    rest->ptr += word.len;
    rest->len -= word.len;
    return word;
}

static pp_fanout_verb verb_of(pp_str action)
{
    if (pp_str_eq(action, PP_STR("announce")))
        return PP_FANOUT_ANNOUNCE;
    if (pp_str_eq(action, PP_STR("subscribe")))
        return PP_FANOUT_SUBSCRIBE;
    if (pp_str_eq(action, PP_STR("unsubscribe")))
        return PP_FANOUT_UNSUBSCRIBE;
    return PP_FANOUT_NOTHING;
}

/* Exactly one blank parts a message from its channel: more of them belong to it. */
static pp_str message_of(pp_str rest)
{
    return rest.len ? (pp_str){rest.ptr + 1, rest.len - 1} : rest;
}

void pp_fanout_parse(pp_str line, pp_fanout_op *out_op)
{
    pp_str rest = line, action, channel;
    pp_fanout_verb verb;

    *out_op = (pp_fanout_op){.verb = PP_FANOUT_NOTHING};
    if (line.len == 0 || memchr(line.ptr, '\0', line.len))
        return;
    if (pp_str_eq(line, PP_STR("ping"))) {
        out_op->verb = PP_FANOUT_PING;
        return;
    }
    if (pp_str_eq(line, PP_STR("info"))) {
        out_op->verb = PP_FANOUT_INFO;
        return;
    }
    action = take_word(&rest);
    verb = verb_of(action);
    if (verb == PP_FANOUT_NOTHING)
        return;
    channel = take_word(&rest);
    if (channel.len == 0 || memchr(channel.ptr, '!', channel.len))
        return;
    if (verb == PP_FANOUT_ANNOUNCE && message_of(rest).len == 0)
        return;
    *out_op = (pp_fanout_op){verb, channel, message_of(rest)};
}

/* --- lines -------------------------------------------------------------------------------- */

static void parse_trimmed(const pp_fanout_reader *reader, pp_str line, pp_fanout_op *out_op)
{
    if (reader->crlf && line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    pp_fanout_parse(line, out_op);
}

/* Keep the beginning of a line, or what follows it. */
static pipit_err keep(pp_fanout_reader *reader, pp_str bytes)
{
    pipit_err err;

    reader->kept.max = reader->line_max + PP_FANOUT_LINE_SLACK;
    err = pp_buf_reserve(&reader->kept, bytes.len + PP_FANOUT_LINE_SLACK);
    return err ? err : pp_buf_add(&reader->kept, bytes.ptr, bytes.len);
}

pipit_err pp_fanout_read(pp_fanout_reader *reader, pp_str window, pp_fanout_op *out_op,
                         size_t *out_used)
{
    const char *end = window.len ? memchr(window.ptr, '\n', window.len) : NULL;
    pp_str line = {window.ptr, end ? (size_t)(end - window.ptr) : window.len};
    pipit_err err;

    pp_fanout_reader_trim(reader);
    if (line.len + reader->kept.len > reader->line_max)
        return PIPIT_ETOOBIG;
    *out_used = line.len + (end != NULL);
    if (end && reader->kept.len == 0) {
        parse_trimmed(reader, line, out_op);
        return PIPIT_OK;
    }
    err = line.len ? keep(reader, line) : PIPIT_OK;
    if (err)
        return err;
    if (!end)
        return PIPIT_EAGAIN;
    reader->whole = true;
    parse_trimmed(reader, pp_buf_str(&reader->kept), out_op);
    return PIPIT_OK;
}

void pp_fanout_reader_trim(pp_fanout_reader *reader)
{
    if (reader->whole)
        pp_fanout_reader_fini(reader);
}

void pp_fanout_reader_fini(pp_fanout_reader *reader)
{
    pp_buf_fini(&reader->kept);
    reader->whole = false;
}
