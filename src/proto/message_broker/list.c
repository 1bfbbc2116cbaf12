#include "proto/message_broker/list.h"

#include <string.h>

enum { LIST_BYTES_MAX = 1024 * 1024 }; /* more than any request may have */

struct cursor {
    const char *at, *end;
};

/* --- texts -------------------------------------------------------------------------------- */

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

static bool take(struct cursor *c, char wanted)
{
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool take_word(struct cursor *c, pp_str word)
{
    if (!pp_str_starts((pp_str){c->at, (size_t)(c->end - c->at)}, word))
        return false;
    c->at += word.len;
    return true;
}

/* Room for it was made: a text is never longer than what stands for it, but for U+FFFD. */
static void put_character(pp_buf *out, uint32_t code)
{
    char *to = out->ptr + out->len;

    if (code < 0x80) {
        to[0] = (char)code;
        out->len += 1;
    } else if (code < 0x800) {
        to[0] = (char)(0xc0 | code >> 6);
        to[1] = (char)(0x80 | (code & 63));
        out->len += 2;
    } else if (code < 0x10000) {
        to[0] = (char)(0xe0 | code >> 12);
        to[1] = (char)(0x80 | (code >> 6 & 63));
        to[2] = (char)(0x80 | (code & 63));
        out->len += 3;
    } else {
        to[0] = (char)(0xf0 | code >> 18);
        to[1] = (char)(0x80 | (code >> 12 & 63));
        to[2] = (char)(0x80 | (code >> 6 & 63));
        to[3] = (char)(0x80 | (code & 63));
        out->len += 4;
    }
}

static bool take_hex(struct cursor *c, uint32_t *out_code)
{
    *out_code = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char h = c->at < c->end ? (unsigned char)*c->at : 0;
        int digit = h >= '0' && h <= '9'   ? h - '0'
                    : h >= 'a' && h <= 'f' ? h - 'a' + 10
                    : h >= 'A' && h <= 'F' ? h - 'A' + 10
                                           : -1;

        if (digit < 0)
            return false;
        *out_code = *out_code << 4 | (uint32_t)digit;
        c->at++;
    }
    return true;
}

/* Behind "\u". Half of a pair stands for U+FFFD, and what follows it for itself. */
static bool take_unicode(struct cursor *c, pp_buf *out)
{
    uint32_t code, low;
    struct cursor ahead;

    if (!take_hex(c, &code))
        return false;
    if (code >= 0xd800 && code < 0xdc00) {
        ahead = *c;
        if (take_word(&ahead, PP_STR("\\u")) && take_hex(&ahead, &low) && low >= 0xdc00 &&
            low < 0xe000) {
            *c = ahead;
            put_character(out, 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00)));
            return true;
        }
    }
    put_character(out, code >= 0xd800 && code < 0xe000 ? 0xfffd : code);
    return true;
}

static bool take_escape(struct cursor *c, pp_buf *out)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char letter = c->at < c->end ? *c->at++ : '\0';
    const char *found = letter ? strchr(letters, letter) : NULL;

    if (letter == 'u')
        return take_unicode(c, out);
    if (!found)
        return false;
    out->ptr[out->len++] = meanings[found - letters];
    return true;
}

/* Behind the opening quote. */
static bool take_string(struct cursor *c, pp_buf *out)
{
    while (c->at < c->end && *c->at != '"') {
        size_t len = pp_str_utf8_len((pp_str){c->at, (size_t)(c->end - c->at)});

        if ((unsigned char)*c->at < ' ')
            return false;
        if (*c->at == '\\') {
            c->at++;
            if (!take_escape(c, out))
                return false;
            continue;
        }
        if (len) {
            memcpy(out->ptr + out->len, c->at, len);
            out->len += len;
        } else {
            put_character(out, 0xfffd);
        }
        c->at += len ? len : 1;
    }
    return take(c, '"');
}

/* --- lists -------------------------------------------------------------------------------- */

static pipit_err take_name(struct cursor *c, pp_mb_list *list)
{
    pp_buf *packed = &list->packed;
    /* The most that what is left can become: three bytes for one that is no UTF-8. */
    pipit_err err = pp_buf_reserve(packed, sizeof(uint32_t) + 3 * (size_t)(c->end - c->at));
    size_t begin = packed->len;
    uint32_t len;

    if (err)
        return err == PIPIT_ENOMEM ? err : PIPIT_EPROTO;
    packed->len += sizeof(len);
    if (!take_word(c, PP_STR("null")) && (!take(c, '"') || !take_string(c, packed)))
        return PIPIT_EPROTO;
    len = (uint32_t)(packed->len - begin - sizeof(len));
    memcpy(packed->ptr + begin, &len, sizeof(len));
    list->count++;
    return PIPIT_OK;
}

static pipit_err take_names(struct cursor *c, pp_mb_list *list)
{
    pipit_err err = PIPIT_OK;

    skip_blanks(c);
    if (take(c, ']'))
        return PIPIT_OK;
    for (;;) {
        skip_blanks(c);
        err = take_name(c, list);
        if (err)
            return err;
        skip_blanks(c);
        if (take(c, ']'))
            return PIPIT_OK;
        if (!take(c, ','))
            return PIPIT_EPROTO;
    }
}

pipit_err pp_mb_list_read(pp_mb_list *list, pp_str json)
{
    struct cursor c = {json.ptr, json.ptr + json.len};
    pipit_err err = PIPIT_EPROTO;

    pp_mb_list_fini(list);
    pp_buf_init(&list->packed, LIST_BYTES_MAX);
    skip_blanks(&c);
    if (take_word(&c, PP_STR("null")))
        err = PIPIT_OK;
    else if (take(&c, '['))
        err = take_names(&c, list);
    skip_blanks(&c);
    if (!err && c.at != c.end)
        err = PIPIT_EPROTO;
    if (err)
        pp_mb_list_fini(list);
    return err;
}

bool pp_mb_list_next(const pp_mb_list *list, size_t *at, pp_str *out_name)
{
    uint32_t len;

    if (*at >= list->packed.len)
        return false;
    memcpy(&len, list->packed.ptr + *at, sizeof(len));
    *out_name = (pp_str){list->packed.ptr + *at + sizeof(len), len};
    *at += sizeof(len) + len;
    return true;
}

void pp_mb_list_fini(pp_mb_list *list)
{
    pp_buf_fini(&list->packed);
    *list = (pp_mb_list){0};
}
