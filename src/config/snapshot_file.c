#include "config/snapshot_inside.h"

#include <string.h>

#define FILE_HEAD "pipit-options 3 "

pipit_err pp_snapshot_format(const pp_snapshot *snapshot, pp_buf *out)
{
    char salt[2 * PP_SNAPSHOT_SALT_BYTES + 1];
    pipit_err err;

    (void)sodium_bin2hex(salt, sizeof(salt), snapshot->salt, sizeof(snapshot->salt));
    err = pp_buf_addf(out, FILE_HEAD "%s\n", salt);
    for (size_t i = 0; i < snapshot->count && !err; i++) {
        const pp_snapshot_line line = pp_snapshot_at(snapshot, i);

        err = pp_buf_addf(out, "%s\t%c%s\n", line.path, line.hashed ? '#' : '=', line.text);
    }
    return err;
}

/* Take a line off text, without its end. */
static pp_str take_line(pp_str *text)
{
    const char *end = text->len ? memchr(text->ptr, '\n', text->len) : NULL;
    pp_str line = {text->ptr, end ? (size_t)(end - text->ptr) : text->len};

    text->ptr += line.len + (end != NULL);
    text->len -= line.len + (end != NULL);
    return line;
}

static pipit_err parse_line(pp_snapshot *snapshot, size_t *cap, pp_str text, pp_buf *record)
{
    const char *tab = text.len ? memchr(text.ptr, '\t', text.len) : NULL;
    size_t path_len = tab ? (size_t)(tab - text.ptr) : 0;
    pipit_err err;

    if (!tab || text.len < path_len + 2 || memchr(text.ptr, '\0', text.len))
        return PIPIT_EINVAL;
    record->len = 0;
    err = pp_buf_add(record, tab[1] == '#' ? "#" : "=", 1);
    if (!err)
        err = pp_buf_add(record, text.ptr, path_len);
    if (!err)
        err = pp_buf_add(record, "", 1);
    if (!err)
        err = pp_buf_add(record, tab + 2, text.len - path_len - 2);
    return err ? err : pp_snapshot_add_record(snapshot, cap, pp_buf_str(record));
}

static pipit_err parse_head(pp_snapshot *snapshot, pp_str head)
{
    size_t salt_bytes;

    if (!pp_str_starts(head, PP_STR(FILE_HEAD)) ||
        sodium_hex2bin(snapshot->salt, sizeof(snapshot->salt), head.ptr + sizeof(FILE_HEAD) - 1,
                       head.len - (sizeof(FILE_HEAD) - 1), NULL, &salt_bytes, NULL) != 0 ||
        salt_bytes != sizeof(snapshot->salt))
        return PIPIT_EINVAL;
    return PIPIT_OK;
}

pipit_err pp_snapshot_parse(pp_snapshot **out_snapshot, pp_str text)
{
    pp_snapshot *snapshot;
    pp_buf record;
    size_t cap = 0;
    pipit_err err = pp_snapshot_make(&snapshot);

    if (err)
        return err;
    pp_buf_init(&record, PP_SNAPSHOT_RECORD_MAX);
    err = parse_head(snapshot, take_line(&text));
    while (!err && text.len)
        err = parse_line(snapshot, &cap, take_line(&text), &record);
    pp_buf_fini(&record);
    if (!err)
        err = pp_snapshot_finish(snapshot);
    if (err) {
        pp_snapshot_free(snapshot);
        return err;
    }
    *out_snapshot = snapshot;
    return PIPIT_OK;
}
