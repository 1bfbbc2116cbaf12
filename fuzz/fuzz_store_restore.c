/* fuzz_store_restore -- any stream that says it is a snapshot: a store is made of it, or it is
 * refused. The first byte says which parts get true checks and how the store keeps what comes, the
 * second in what pieces it comes; then the head, of which zeros leave what is usual, and frames:
 * kind, bytes of the body (2), body. */
#include "store_world.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "store/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SEAL_HEAD = 1,
    SEAL_FRAMES = 2,
    ENCRYPT = 4,
    COMPRESS = 8,
    STREAM_MAX = 1 << 20,
    FRAME_HEAD = 3, /* bytes of the input */
};

static const char made[] = "s.restoring";

/* The simulated disk knows no folders: the one that is asked for is not there, and files of the
 * other one are renamed with it. */
static int list_none(pp_disk *disk, const char *path, void (*visit)(void *ctx, const char *name),
                     void *ctx)
{
    struct sim_disk *sim = (struct sim_disk *)disk;
    size_t len = strlen(path);

    if (strcmp(path, "s") == 0)
        return -ENOENT;
    for (unsigned i = 0; i < sim->name_count; i++)
        if (sim->names[i].now && strncmp(sim->names[i].path, path, len) == 0 &&
            sim->names[i].path[len] == '/')
            visit(ctx, sim->names[i].path + len + 1);
    return 0;
}

static int (*rename_file)(pp_disk *disk, const char *from, const char *to);

static int rename_any(pp_disk *disk, const char *from, const char *to)
{
    struct sim_disk *sim = (struct sim_disk *)disk;
    size_t len = strlen(from);

    if (strcmp(from, made) != 0)
        return rename_file(disk, from, to);
    for (unsigned i = 0; i < sim->name_count; i++) {
        struct sim_name *name = &sim->names[i];
        char path[sizeof(name->path)];

        if (strncmp(name->path, from, len) != 0 || name->path[len] != '/')
            continue;
        (void)snprintf(path, sizeof(path), "%s%s", to, name->path + len);
        memcpy(name->path, path, sizeof(path));
    }
    return 0;
}

static void add_head(pp_buf *stream, const uint8_t **data, size_t *size, bool seal)
{
    struct pp_store_snapshot_head head = {.magic = PP_STORE_SNAPSHOT_MAGIC,
                                          .version = PP_STORE_SNAPSHOT_VERSION,
                                          .first_seq = 1,
                                          .last_seq = 1000,
                                          .made_ns = 1};
    size_t len = *size < sizeof(head) ? *size : sizeof(head);
    uint8_t *bytes = (uint8_t *)&head;

    for (size_t i = 0; i < len; i++)
        bytes[i] ^= (*data)[i];
    *data += len;
    *size -= len;
    if (seal)
        head.check = pp_hash((char *)&head + 16, sizeof(head) - 16, head.magic);
    PP_ASSERT(pp_buf_add(stream, &head, sizeof(head)) == PIPIT_OK);
}

/* Its check counts in the one before, which is that of the head at first. */
static void add_frame(pp_buf *stream, uint64_t *check, const uint8_t **data, size_t *size,
                      bool seal)
{
    struct pp_store_snapshot_frame frame = {.kind = (*data)[0]};
    size_t from = stream->len + sizeof(frame.check), len;

    frame.bytes = (uint32_t)((*data)[1] | (*data)[2] << 8);
    *data += FRAME_HEAD;
    *size -= FRAME_HEAD;
    len = frame.bytes < *size ? frame.bytes : *size;
    if (seal)
        frame.bytes = (uint32_t)len;
    PP_ASSERT(pp_buf_add(stream, &frame, sizeof(frame)) == PIPIT_OK);
    PP_ASSERT(pp_buf_add(stream, *data, len) == PIPIT_OK);
    *data += len;
    *size -= len;
    if (seal) {
        *check = pp_hash(stream->ptr + from, stream->len - from, *check);
        memcpy(stream->ptr + from - sizeof(frame.check), check, sizeof(*check));
    }
}

static void make_stream(pp_buf *stream, uint8_t mode, const uint8_t *data, size_t size)
{
    uint64_t check;

    add_head(stream, &data, &size, mode & SEAL_HEAD);
    memcpy(&check, stream->ptr + 8, sizeof(check));
    while (size >= FRAME_HEAD)
        add_frame(stream, &check, &data, &size, mode & SEAL_FRAMES);
}

static pipit_err restore_all(const struct pp_store_options *options, pp_str stream, size_t piece)
{
    char why[PP_STORE_WHY_BYTES];
    pp_restore *restore = NULL;
    pipit_err err = pp_restore_new(options, &restore, why);

    PP_ASSERT(err == PIPIT_OK);
    while (!err && stream.len) {
        size_t len = stream.len < piece ? stream.len : piece;

        err = pp_restore_add(restore, (pp_str){stream.ptr, len});
        stream.ptr += len;
        stream.len -= len;
    }
    if (!err)
        err = pp_restore_finish(restore);
    pp_restore_free(restore);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pp_store_options options = {.dir = "s", .segment_bytes = 64 * 1024};
    const struct pp_disk_ops *usual;
    static struct sim_disk sim;
    struct pp_disk_ops ops;
    int64_t live = pp_alloc_live();
    pp_buf stream;
    pipit_err err;

    if (size < 2)
        return 0;
    sim_init(&sim);
    usual = sim.disk.ops;
    ops = *usual;
    rename_file = usual->rename;
    ops.list = list_none;
    ops.rename = rename_any;
    sim.disk.ops = &ops;
    options.disk = &sim.disk;
    options.keys = data[0] & ENCRYPT ? &world_keys : NULL;
    options.compress = data[0] & COMPRESS;
    pp_buf_init(&stream, STREAM_MAX);
    make_stream(&stream, data[0], data + 2, size - 2);
    err = restore_all(&options, pp_buf_str(&stream), 1 + (size_t)data[1] * 8);
    sim.disk.ops = usual;
    if (err)
        PP_ASSERT(!sim_find(&sim, "s/manifest")); /* nothing has the name */
    else
        world_look(&sim);
    pp_buf_fini(&stream);
    PP_ASSERT(sim.fds_open == 0 && pp_alloc_live() == live);
    sim_fini(&sim);
    return 0;
}
