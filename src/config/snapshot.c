#include "config/snapshot_inside.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

enum { SNAPSHOT_BYTES_MAX = 512 * 1024 * 1024 };

/* What is below a path comes before everything that only begins alike, as "A-b" does with "A". */
static int rank(char c)
{
    return c == '/' ? 1 : (unsigned char)c;
}

int pp_snapshot_compare(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return rank(*a) - rank(*b);
}

static int compare_records(const void *a, const void *b)
{
    return pp_snapshot_compare(*(const char *const *)a + 1, *(const char *const *)b + 1);
}

pipit_err pp_snapshot_make(pp_snapshot **out)
{
    pp_snapshot *snapshot = pp_calloc(1, sizeof(*snapshot));

    if (!snapshot)
        return PIPIT_ENOMEM;
    pp_arena_init(&snapshot->arena, SNAPSHOT_BYTES_MAX);
    *out = snapshot;
    return PIPIT_OK;
}

pipit_err pp_snapshot_finish(pp_snapshot *snapshot)
{
    const char **fitting;

    if (!snapshot->count)
        return PIPIT_OK;
    qsort(snapshot->records, snapshot->count, sizeof(*snapshot->records), compare_records);
    fitting = pp_realloc(snapshot->records, snapshot->count * sizeof(*fitting));
    if (!fitting)
        return PIPIT_ENOMEM;
    snapshot->records = fitting;
    return PIPIT_OK;
}

void pp_snapshot_free(pp_snapshot *snapshot)
{
    if (!snapshot)
        return;
    pp_arena_fini(&snapshot->arena);
    pp_free(snapshot->records);
    explicit_bzero(snapshot, sizeof(*snapshot));
    pp_free(snapshot);
}

pipit_err pp_snapshot_new(pp_snapshot **out_snapshot, const pp_options *options,
                          const pp_snapshot *like)
{
    pp_snapshot_writer w = {0};
    pipit_err err;

    if (sodium_init() < 0)
        return PIPIT_EIO;
    err = pp_snapshot_make(&w.snapshot);
    if (err)
        return err;
    if (like)
        memcpy(w.snapshot->salt, like->salt, sizeof(like->salt));
    else
        randombytes_buf(w.snapshot->salt, sizeof(w.snapshot->salt));
    pp_buf_init(&w.path, PP_SNAPSHOT_LINE_MAX);
    pp_buf_init(&w.text, PP_SNAPSHOT_LINE_MAX);
    pp_buf_init(&w.record, PP_SNAPSHOT_RECORD_MAX);
    pp_snapshot_write_options(&w, options);
    pp_buf_fini(&w.path);
    pp_buf_fini(&w.text);
    pp_buf_fini(&w.record);
    if (!w.err)
        w.err = pp_snapshot_finish(w.snapshot);
    if (w.err) {
        pp_snapshot_free(w.snapshot);
        return w.err;
    }
    *out_snapshot = w.snapshot;
    return PIPIT_OK;
}

static pp_snapshot_line line_of(const char *record)
{
    const char *path = record + 1;

    return (pp_snapshot_line){path, path + strlen(path) + 1, *record == '#'};
}

pp_snapshot_line pp_snapshot_at(const pp_snapshot *snapshot, size_t i)
{
    return line_of(snapshot->records[i]);
}
