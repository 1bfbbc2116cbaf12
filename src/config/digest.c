/* The JSON goes to the hash through a small buffer: it holds every secret of the configuration, so
 * there is no whole copy of it to be wiped. */
#include "config/digest.h"

#include "base/alloc.h"
#include "config/number.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { WINDOW_BYTES = 2048 };

struct writer {
    crypto_hash_sha256_state hash;
    size_t len;
    char window[WINDOW_BYTES];
};

static void flush(struct writer *w)
{
    (void)crypto_hash_sha256_update(&w->hash, (const unsigned char *)w->window, w->len);
    w->len = 0;
}

static void put(struct writer *w, const char *bytes, size_t len)
{
    while (len) {
        size_t n = WINDOW_BYTES - w->len;

        if (n > len)
            n = len;
        memcpy(w->window + w->len, bytes, n);
        w->len += n;
        bytes += n;
        len -= n;
        if (w->len == WINDOW_BYTES)
            flush(w);
    }
}

static void put_char(struct writer *w, char c)
{
    w->window[w->len++] = c;
    if (w->len == WINDOW_BYTES)
        flush(w);
}

/* The bytes of the UTF-8 character here, 0 if it is none: overlong, a surrogate, beyond U+10FFFF
 * or cut. */
static size_t utf8_bytes(const unsigned char *s, size_t left)
{
    unsigned char low = 0x80, high = 0xBF; /* of the second byte */
    size_t bytes;

    if (s[0] < 0xC2 || s[0] > 0xF4)
        return 0;
    bytes = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (s[0] == 0xE0)
        low = 0xA0;
    else if (s[0] == 0xED)
        high = 0x9F;
    else if (s[0] == 0xF0)
        low = 0x90;
    else if (s[0] == 0xF4)
        high = 0x8F;
    if (left < bytes || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < bytes; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    }
    return bytes;
}

static void put_escaped_ascii(struct writer *w, unsigned char c)
{
    static const char named[] = "\"\"\\\\\nn\rr\tt\bb\ff"; /* pairs: character, its letter */
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < sizeof(named) - 1; i += 2) {
        if (c == (unsigned char)named[i]) {
            put_char(w, '\\');
            put_char(w, named[i + 1]);
            return;
        }
    }
    put(w, "\\u00", 4);
    put_char(w, hex[c >> 4]);
    put_char(w, hex[c & 15]);
}

static bool is_plain(unsigned char c)
{
    return c >= ' ' && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

static void put_string(struct writer *w, pp_str text)
{
    const unsigned char *s = (const unsigned char *)text.ptr;
    size_t i = 0;

    put_char(w, '"');
    while (i < text.len) {
        size_t n = 0;

        while (i + n < text.len && is_plain(s[i + n]))
            n++;
        put(w, text.ptr + i, n);
        i += n;
        if (i == text.len)
            break;
        if (s[i] < 0x80) {
            put_escaped_ascii(w, s[i++]);
            continue;
        }
        n = utf8_bytes(s + i, text.len - i);
        if (n == 0) {
            put(w, "\\ufffd", 6);
            n = 1;
        } else if (n == 3 && s[i] == 0xE2 && s[i + 1] == 0x80 && (s[i + 2] & 0xFE) == 0xA8) {
            put(w, s[i + 2] == 0xA8 ? "\\u2028" : "\\u2029", 6);
        } else {
            put(w, text.ptr + i, n);
        }
        i += n;
    }
    put_char(w, '"');
}

static int compare_keys(const void *left, const void *right)
{
    pp_str a = (*(const pp_entry *const *)left)->key, b = (*(const pp_entry *const *)right)->key;
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.ptr, b.ptr, len) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static pipit_err put_value(struct writer *w, const pp_value *value);

/* Sort pointers by key, unless they are sorted; merging needs as many again. */
static void sort_keys(const pp_entry **keys, size_t count)
{
    size_t i = 1;

    while (i < count && compare_keys(&keys[i - 1], &keys[i]) <= 0)
        i++;
    if (i < count)
        qsort(keys, count, sizeof(*keys), compare_keys);
}

static pipit_err put_map(struct writer *w, const pp_value *map)
{
    size_t count = map->map.count;
    const pp_entry **keys = pp_alloc(count * sizeof(*keys));
    pipit_err err = keys ? PIPIT_OK : PIPIT_ENOMEM;

    for (size_t i = 0; i < count && !err; i++)
        keys[i] = &map->map.entries[i];
    if (!err)
        sort_keys(keys, count);
    put_char(w, '{');
    for (size_t i = 0; i < count && !err; i++) {
        if (i)
            put_char(w, ',');
        put_string(w, keys[i]->key);
        put_char(w, ':');
        err = put_value(w, keys[i]->value);
    }
    put_char(w, '}');
    pp_free(keys);
    return err;
}

static pipit_err put_array(struct writer *w, const pp_value *array)
{
    pipit_err err = PIPIT_OK;

    put_char(w, '[');
    for (size_t i = 0; i < array->array.count && !err; i++) {
        if (i)
            put_char(w, ',');
        err = put_value(w, array->array.items[i]);
    }
    put_char(w, ']');
    return err;
}

static pipit_err put_value(struct writer *w, const pp_value *value)
{
    char text[PP_REAL_TEXT_MAX];

    switch (value->kind) {
    case PP_VALUE_MAP:
        return put_map(w, value);
    case PP_VALUE_ARRAY:
        return put_array(w, value);
    case PP_VALUE_STRING:
        put_string(w, value->string);
        break;
    case PP_VALUE_DATE:
        put_string(w, value->text);
        break;
    case PP_VALUE_INT:
        put(w, text, (size_t)snprintf(text, sizeof(text), "%" PRId64, value->integer));
        break;
    case PP_VALUE_FLOAT:
        put(w, text, pp_real_format(value->real, text));
        break;
    case PP_VALUE_BOOL:
        put(w, value->boolean ? "true" : "false", value->boolean ? 4 : 5);
        break;
    }
    return PIPIT_OK;
}

pipit_err pp_digest_compute(const pp_value *root, char out[PP_DIGEST_TEXT_BYTES])
{
    unsigned char sum[crypto_hash_sha256_BYTES];
    struct writer w = {.len = 0};
    pipit_err err;

    (void)crypto_hash_sha256_init(&w.hash);
    err = put_value(&w, root);
    if (!err) {
        put_char(&w, '\n');
        flush(&w);
        (void)crypto_hash_sha256_final(&w.hash, sum);
        memcpy(out, "sha256:", 7);
        (void)sodium_bin2hex(out + 7, PP_DIGEST_TEXT_BYTES - 7, sum, sizeof(sum));
    }
    sodium_memzero(&w, sizeof(w));
    return err;
}
