#include "client/feed.h"

#include "base/assert.h"

#include <string.h>

enum { ARGUMENTS_MAX = 5, DIGITS_MAX = 9 };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Take the next word off the front of line; empty: nothing is left. */
static pp_str next_word(pp_str *line)
{
    pp_str word;

    while (line->len && is_blank(*line->ptr)) {
        line->ptr++;
        line->len--;
    }
    word = (pp_str){line->ptr, 0};
    while (word.len < line->len && !is_blank(word.ptr[word.len]))
        word.len++;
    line->ptr += word.len;
    line->len -= word.len;
    return word;
}

static pp_str trim(pp_str s)
{
    while (s.len && is_blank(*s.ptr)) {
        s.ptr++;
        s.len--;
    }
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static bool parse_size(pp_str digits, size_t *out)
{
    uint64_t value;

    if (digits.len > DIGITS_MAX || !pp_str_parse_u64(digits, PP_FEED_DATA_MAX, &value))
        return false;
    *out = (size_t)value;
    return true;
}

/* "subject sid [reply] [header_size] size"; the data behind the line is for the caller. */
static pipit_err parse_msg(pp_str line, bool headers, pp_feed_op *op, size_t *out_header,
                           size_t *out_total)
{
    pp_str words[ARGUMENTS_MAX + 1];
    size_t count = 0, fixed = headers ? 4 : 3;

    while (count <= ARGUMENTS_MAX && (words[count] = next_word(&line)).len)
        count++;
    if (count != fixed && count != fixed + 1)
        return PIPIT_EPROTO;
    op->subject = words[0];
    op->reply = count == fixed + 1 ? words[2] : (pp_str){NULL, 0};
    *out_header = 0;
    if (!pp_str_parse_u64(words[1], UINT64_MAX, &op->sid))
        return PIPIT_EPROTO;
    if (words[count - 1].len > DIGITS_MAX)
        return PIPIT_ETOOBIG;
    if (!parse_size(words[count - 1], out_total))
        return pp_str_parse_u64(words[count - 1], UINT64_MAX, &(uint64_t){0}) ? PIPIT_ETOOBIG
                                                                              : PIPIT_EPROTO;
    if (headers && (!parse_size(words[count - 2], out_header) || *out_header > *out_total))
        return PIPIT_EPROTO;
    return PIPIT_OK;
}

static pipit_err read_data(pp_feed_op *op, pp_str window, size_t line_bytes, size_t header,
                           size_t total, size_t *out_used)
{
    const char *data = window.ptr + line_bytes;

    *out_used = line_bytes + total + 2;
    if (window.len < *out_used)
        return PIPIT_EAGAIN;
    if (memcmp(data + total, "\r\n", 2) != 0)
        return PIPIT_EPROTO;
    op->header = (pp_str){data, header};
    op->payload = (pp_str){data + header, total - header};
    return PIPIT_OK;
}

static pp_str unquote(pp_str text)
{
    text = trim(text);
    if (text.len >= 2 && text.ptr[0] == '\'' && text.ptr[text.len - 1] == '\'')
        return (pp_str){text.ptr + 1, text.len - 2};
    return text;
}

/* A whole line, line_bytes of the window with its end. */
static pipit_err parse_line(pp_str line, pp_str window, size_t line_bytes, pp_feed_op *op,
                            size_t *out_used)
{
    pp_str verb = next_word(&line);
    size_t header, total;
    pipit_err err;
    bool headers;

    *out_used = line_bytes;
    headers = pp_str_eq_nocase(verb, PP_STR("HMSG"));
    if (headers || pp_str_eq_nocase(verb, PP_STR("MSG"))) {
        op->verb = PP_FEED_MSG;
        err = parse_msg(line, headers, op, &header, &total);
        return err ? err : read_data(op, window, line_bytes, header, total, out_used);
    }
    op->text = trim(line);
    if (pp_str_eq_nocase(verb, PP_STR("PING")))
        op->verb = PP_FEED_PING;
    else if (pp_str_eq_nocase(verb, PP_STR("PONG")))
        op->verb = PP_FEED_PONG;
    else if (pp_str_eq_nocase(verb, PP_STR("+OK")))
        op->verb = PP_FEED_OK;
    else if (pp_str_eq_nocase(verb, PP_STR("INFO")))
        op->verb = PP_FEED_INFO;
    else if (pp_str_eq_nocase(verb, PP_STR("-ERR")))
        op->verb = PP_FEED_ERR;
    else
        return PIPIT_EPROTO;
    if (op->verb == PP_FEED_ERR)
        op->text = unquote(op->text);
    return PIPIT_OK;
}

pipit_err pp_feed_read(pp_feed *feed, pp_str window, pp_feed_op *out_op, size_t *out_used)
{
    const char *end;
    pp_feed_op op = {0};
    pipit_err err;
    size_t len;

    PP_DASSERT(feed->scanned <= window.len);
    *out_used = 0;
    end = window.len > feed->scanned
              ? memchr(window.ptr + feed->scanned, '\n', window.len - feed->scanned)
              : NULL;
    len = end ? (size_t)(end - window.ptr) : window.len;
    if (len > PP_FEED_LINE_MAX)
        return PIPIT_ETOOBIG;
    if (!end) {
        feed->scanned = window.len;
        return PIPIT_EAGAIN;
    }
    err = parse_line((pp_str){window.ptr, len && end[-1] == '\r' ? len - 1 : len}, window, len + 1,
                     &op, out_used);
    if (err == PIPIT_EAGAIN)
        feed->scanned = len; /* the line is found at once next time */
    if (err)
        return err;
    feed->scanned = 0;
    *out_op = op;
    return PIPIT_OK;
}
