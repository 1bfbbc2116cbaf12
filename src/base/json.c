#include "base/json.h"

#include "base/assert.h"
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { FLOAT_BYTES = 340 };

/* --- strings ------------------------------------------------------------------------------ */

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

/* Escape the character at the front of text, which is not plain. *out_len: its length there. */
static pipit_err add_special(pp_buf *out, pp_str text, size_t *out_len)
{
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                   ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    static const char hex[] = "0123456789abcdef";
    unsigned char c = (unsigned char)text.ptr[0];
    size_t len = pp_str_utf8_len(text);

    *out_len = len ? len : 1;
    if (c < sizeof(letters) && letters[c])
        return pp_buf_add(out, (const char[]){'\\', letters[c]}, 2);
    if (len == 1)
        return pp_buf_add(out, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
    if (len == 0)
        return pp_buf_add(out, "\\ufffd", 6);
    if (len == 3 && memcmp(text.ptr, "\xE2\x80\xA8", 3) == 0)
        return pp_buf_add(out, "\\u2028", 6); /* JavaScript once took these two for line ends */
    if (len == 3 && memcmp(text.ptr, "\xE2\x80\xA9", 3) == 0)
        return pp_buf_add(out, "\\u2029", 6);
    return pp_buf_add(out, text.ptr, len);
}

pipit_err pp_json_quote(pp_buf *out, pp_str text)
{
    pipit_err err = pp_buf_add(out, "\"", 1);

    while (text.len && !err) {
        size_t n = 0, special = 0;

        while (n < text.len && is_plain((unsigned char)text.ptr[n]))
            n++;
        err = pp_buf_add(out, text.ptr, n);
        if (!err && n < text.len)
            err = add_special(out, (pp_str){text.ptr + n, text.len - n}, &special);
        text.ptr += n + special;
        text.len -= n + special;
    }
    return err ? err : pp_buf_add(out, "\"", 1);
}

/* --- structure ---------------------------------------------------------------------------- */

void pp_json_init(pp_json *json, pp_buf *out, unsigned indent)
{
    *json = (pp_json){.out = out, .indent = indent};
}

pipit_err pp_json_finish(pp_json *json)
{
    PP_ASSERT(json->depth == 0);
    return json->err;
}

static void add(pp_json *json, pp_str bytes)
{
    if (!json->err)
        json->err = pp_buf_add(json->out, bytes.ptr, bytes.len);
}

static void break_line(pp_json *json)
{
    size_t blanks = (size_t)json->indent * json->depth;

    if (!json->indent || json->err)
        return;
    json->err = pp_buf_reserve(json->out, blanks + 1);
    if (json->err)
        return;
    json->out->ptr[json->out->len++] = '\n';
    memset(json->out->ptr + json->out->len, ' ', blanks);
    json->out->len += blanks;
}

/* What stands between a value and the one before it. */
static void separate(pp_json *json)
{
    uint64_t level = UINT64_C(1) << json->depth;

    if (json->used & level)
        add(json, PP_STR(","));
    json->used |= level;
    if (json->depth)
        break_line(json);
}

static void begin_value(pp_json *json, const char *key)
{
    separate(json);
    if (!key)
        return;
    add(json, PP_STR("\""));
    add(json, pp_str_of(key));
    add(json, json->indent ? PP_STR("\": ") : PP_STR("\":"));
}

static void descend(pp_json *json, pp_str bracket)
{
    PP_ASSERT(json->depth < PP_JSON_DEPTH_MAX);
    add(json, bracket);
    json->depth++;
    json->used &= ~(UINT64_C(1) << json->depth);
}

static void ascend(pp_json *json, pp_str bracket)
{
    bool empty = !(json->used & UINT64_C(1) << json->depth);

    PP_ASSERT(json->depth > 0);
    json->depth--;
    if (!empty)
        break_line(json);
    add(json, bracket);
}

void pp_json_begin_object(pp_json *json, const char *key)
{
    begin_value(json, key);
    descend(json, PP_STR("{"));
}

static void begin_value_at(pp_json *json, pp_str key)
{
    separate(json);
    if (!json->err)
        json->err = pp_json_quote(json->out, key);
    add(json, json->indent ? PP_STR(": ") : PP_STR(":"));
}

void pp_json_begin_object_at(pp_json *json, pp_str key)
{
    begin_value_at(json, key);
    descend(json, PP_STR("{"));
}

void pp_json_text_at(pp_json *json, pp_str key, pp_str value)
{
    begin_value_at(json, key);
    if (!json->err)
        json->err = pp_json_quote(json->out, value);
}

void pp_json_begin_array_at(pp_json *json, pp_str key)
{
    begin_value_at(json, key);
    descend(json, PP_STR("["));
}

void pp_json_end_object(pp_json *json)
{
    ascend(json, PP_STR("}"));
}

void pp_json_begin_array(pp_json *json, const char *key)
{
    begin_value(json, key);
    descend(json, PP_STR("["));
}

void pp_json_end_array(pp_json *json)
{
    ascend(json, PP_STR("]"));
}

/* --- values ------------------------------------------------------------------------------- */

void pp_json_text(pp_json *json, const char *key, pp_str value)
{
    begin_value(json, key);
    if (!json->err)
        json->err = pp_json_quote(json->out, value);
}

void pp_json_u64(pp_json *json, const char *key, uint64_t value)
{
    char digits[20];

    begin_value(json, key);
    add(json, (pp_str){digits, pp_u64_format(digits, value)});
}

void pp_json_i64(pp_json *json, const char *key, int64_t value)
{
    char digits[21] = "-";
    size_t sign = value < 0;

    begin_value(json, key);
    add(json, (pp_str){digits, sign + pp_u64_format(digits + sign,
                                                    sign ? 0 - (uint64_t)value : (uint64_t)value)});
}

/* The fewest digits that read back as the same number, without an exponent between 1e-6 and 1e21
 * as Go has it. */
void pp_json_f64(pp_json *json, const char *key, double value)
{
    char text[FLOAT_BYTES];
    int digits = 1, exponent, n;

    PP_ASSERT(isfinite(value));
    while (digits < 17 &&
           (snprintf(text, sizeof(text), "%.*e", digits - 1, value), strtod(text, NULL) != value))
        digits++;
    n = snprintf(text, sizeof(text), "%.*e", digits - 1, value);
    exponent = atoi(strchr(text, 'e') + 1);
    if (value == 0 || (fabs(value) >= 1e-6 && fabs(value) < 1e21))
        n = snprintf(text, sizeof(text), "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 0,
                     value);
    else if (text[n - 2] == '0' && text[n - 4] == 'e') { /* Go writes 1e-7 where C writes 1e-07 */
        text[n - 2] = text[n - 1];
        n--;
    }
    begin_value(json, key);
    add(json, (pp_str){text, (size_t)n});
}

void pp_json_bool(pp_json *json, const char *key, bool value)
{
    begin_value(json, key);
    add(json, value ? PP_STR("true") : PP_STR("false"));
}

void pp_json_null(pp_json *json, const char *key)
{
    begin_value(json, key);
    add(json, PP_STR("null"));
}

void pp_json_raw(pp_json *json, const char *key, pp_str text)
{
    begin_value(json, key);
    add(json, text);
}

size_t pp_time_format(char out[PP_TIME_TEXT_BYTES], int64_t wall_ns)
{
    int64_t fraction = wall_ns % PP_NS_PER_S;
    time_t seconds = (time_t)(wall_ns / PP_NS_PER_S);
    struct tm tm;
    int n;

    if (fraction < 0) {
        fraction += PP_NS_PER_S;
        seconds--;
    }
    (void)gmtime_r(&seconds, &tm);
    n = snprintf(out, PP_TIME_TEXT_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d.%09d", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)fraction);
    while (out[n - 1] == '0')
        n--;
    if (out[n - 1] == '.')
        n--;
    out[n++] = 'Z';
    out[n] = '\0';
    return (size_t)n;
}

void pp_json_time(pp_json *json, const char *key, int64_t wall_ns)
{
    char text[PP_TIME_TEXT_BYTES];
    size_t len = pp_time_format(text, wall_ns);

    begin_value(json, key);
    add(json, PP_STR("\""));
    add(json, (pp_str){text, len});
    add(json, PP_STR("\""));
}
