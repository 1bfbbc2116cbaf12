#include "config/snapshot_inside.h"

#include "base/alloc.h"

#include <string.h>

enum {
    HASH_BYTES = 16,
    HASH_TEXT_BYTES = 24, /* base64, closed by NUL */
    LINES_AT_START = 256,
};

void pp_snapshot_add(pp_snapshot_writer *w, pp_buf *out, const char *text)
{
    if (!w->err)
        w->err = pp_buf_add(out, text, strlen(text));
}

void pp_snapshot_add_escaped(pp_snapshot_writer *w, pp_buf *out, const char *text)
{
    for (; *text && !w->err; text++) {
        unsigned char c = (unsigned char)*text;

        if (c <= ' ' || c == '/' || c == '\\' || c == 0x7F)
            w->err = pp_buf_addf(out, "\\x%02x", c);
        else
            w->err = pp_buf_add(out, text, 1);
    }
}

/* By a hash that the start of a server needs in any case, for its key: each one more is code that
 * becomes resident in the programs it is part of. */
void pp_snapshot_hash_piece(crypto_auth_hmacsha512256_state *state, const void *bytes, size_t len)
{
    uint64_t length = len; /* so that no two lists of pieces look alike */

    (void)crypto_auth_hmacsha512256_update(state, (const unsigned char *)&length, sizeof(length));
    if (len)
        (void)crypto_auth_hmacsha512256_update(state, bytes, len);
}

void pp_snapshot_begin_hash(pp_snapshot_writer *w, crypto_auth_hmacsha512256_state *state)
{
    (void)crypto_auth_hmacsha512256_init(state, w->snapshot->salt, sizeof(w->snapshot->salt));
}

void pp_snapshot_end_hash(pp_snapshot_writer *w, crypto_auth_hmacsha512256_state *state)
{
    uint8_t hash[crypto_auth_hmacsha512256_BYTES];
    char text[HASH_TEXT_BYTES];

    (void)crypto_auth_hmacsha512256_final(state, hash);
    (void)sodium_bin2base64(text, sizeof(text), hash, HASH_BYTES,
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    w->text.len = 0;
    pp_snapshot_add(w, &w->text, text);
}

/* A line of a file is one line, whatever was given. */
static pipit_err add_printable(pp_buf *out, const pp_buf *text)
{
    pipit_err err = PIPIT_OK;

    for (size_t i = 0; i < text->len && !err; i++) {
        unsigned char c = (unsigned char)text->ptr[i];

        err = c < ' ' || c == 0x7F ? pp_buf_addf(out, "\\x%02x", c)
                                   : pp_buf_add(out, text->ptr + i, 1);
    }
    return err;
}

pipit_err pp_snapshot_add_record(pp_snapshot *snapshot, size_t *cap, pp_str record)
{
    pp_str copy;
    pipit_err err;

    if (snapshot->count == *cap) {
        size_t grown = *cap ? 2 * *cap : LINES_AT_START;
        const char **records = pp_realloc(snapshot->records, grown * sizeof(*records));

        if (!records)
            return PIPIT_ENOMEM;
        snapshot->records = records;
        *cap = grown;
    }
    err = pp_arena_copy(&snapshot->arena, record, &copy);
    if (!err)
        snapshot->records[snapshot->count++] = copy.ptr;
    return err;
}

void pp_snapshot_end_line(pp_snapshot_writer *w, bool hashed)
{
    w->record.len = 0;
    pp_snapshot_add(w, &w->record, hashed ? "#" : "=");
    if (!w->err)
        w->err = pp_buf_add(&w->record, w->path.ptr, w->path.len);
    if (!w->err)
        w->err = pp_buf_add(&w->record, "", 1);
    if (!w->err)
        w->err = add_printable(&w->record, &w->text);
    if (!w->err)
        w->err = pp_snapshot_add_record(w->snapshot, &w->cap, pp_buf_str(&w->record));
    w->path.len = w->text.len = 0;
}
