/* Names of files, and files to read from. */
#include "store/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum { FILES_OPEN_MAX = 8 }; /* for reading, of one store */

void pp_store_path_of(const pp_store *store, const char *name, char out[PP_PATH_BYTES])
{
    (void)snprintf(out, PP_PATH_BYTES, "%s/%s", store->dir, name);
}

void pp_store_path(const pp_store *store, uint64_t number, char out[PP_PATH_BYTES])
{
    (void)snprintf(out, PP_PATH_BYTES, "%s/%010llu.seg", store->dir, (unsigned long long)number);
}

uint64_t pp_store_number_of(const char *name)
{
    size_t len = strlen(name);
    uint64_t number;

    if (len < 14 || strcmp(name + len - 4, ".seg") != 0 ||
        !pp_str_parse_u64((pp_str){name, len - 4}, UINT64_MAX / 2, &number))
        return 0;
    return len == 14 || name[0] != '0' ? number : 0;
}

struct pp_identity pp_store_identity_of(const pp_store *store, uint64_t number, uint64_t first_seq)
{
    struct pp_identity id = store->id;

    id.magic = number ? PP_SEGMENT_MAGIC : PP_MANIFEST_MAGIC;
    id.number = number;
    id.first_seq = first_seq;
    pp_identity_seal(&id);
    return id;
}

void pp_store_close_file(pp_store *store, pp_segment *segment)
{
    if (segment->fd < 0)
        return;
    store->disk->ops->close(store->disk, segment->fd);
    segment->fd = -1;
    store->files_open--;
}

/* Close the file that was not used for the longest time. */
static void close_one(pp_store *store)
{
    pp_segment *oldest = NULL;

    for (uint32_t i = 0; i < store->segment_count; i++) {
        pp_segment *segment = store->segments[i];

        if (segment->fd >= 0 && !segment->rewriting &&
            (!oldest || segment->used_tick < oldest->used_tick))
            oldest = segment;
    }
    if (oldest)
        pp_store_close_file(store, oldest);
}

pipit_err pp_store_file(pp_store *store, pp_segment *segment)
{
    char path[PP_PATH_BYTES];
    pipit_err err;

    segment->used_tick = ++store->tick;
    if (segment->fd >= 0)
        return PIPIT_OK;
    if (store->files_open >= FILES_OPEN_MAX)
        close_one(store);
    pp_store_path(store, segment->number, path);
    err = pp_disk_open(store->disk, path, O_RDONLY, &segment->fd);
    if (err) {
        segment->fd = -1;
        return err;
    }
    store->files_open++;
    return PIPIT_OK;
}
