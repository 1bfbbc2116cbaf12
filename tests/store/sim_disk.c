#include "sim_disk.h"

#include "base/assert.h"
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIM(d) ((struct sim_disk *)(d))

void sim_fini(struct sim_disk *sim)
{
    for (unsigned i = 0; i < sim->file_count; i++) {
        free(sim->files[i]->now);
        free(sim->files[i]->disk);
        free(sim->files[i]->dirty);
        free(sim->files[i]);
    }
}

static void grow(struct sim_file *file, uint64_t size)
{
    enum { PIECE = 4096 };
    uint64_t cap = (size + PIECE - 1) / PIECE * PIECE;

    if (size <= file->cap)
        return;
    file->now = realloc(file->now, cap);
    file->disk = realloc(file->disk, cap);
    file->dirty = realloc(file->dirty, cap / SIM_SECTOR);
    PP_ASSERT(file->now && file->disk && file->dirty);
    memset(file->now + file->cap, 0, cap - file->cap);
    memset(file->disk + file->cap, 0, cap - file->cap);
    memset(file->dirty + file->cap / SIM_SECTOR, 0, (cap - file->cap) / SIM_SECTOR);
    file->cap = cap;
}

static struct sim_name *name_of(struct sim_disk *sim, const char *path, bool make)
{
    struct sim_name *name;

    for (unsigned i = 0; i < sim->name_count; i++)
        if (strcmp(sim->names[i].path, path) == 0)
            return &sim->names[i];
    if (!make)
        return NULL;
    for (unsigned i = 0; i < sim->name_count; i++)
        if (!sim->names[i].now && !sim->names[i].disk) { /* nobody's any more */
            name = &sim->names[i];
            goto found;
        }
    PP_ASSERT(sim->name_count < SIM_FILES_MAX);
    name = &sim->names[sim->name_count++];
found:
    memset(name, 0, sizeof(*name));
    PP_ASSERT(strlen(path) < sizeof(name->path));
    strcpy(name->path, path);
    return name;
}

struct sim_file *sim_find(struct sim_disk *sim, const char *path)
{
    struct sim_name *name = name_of(sim, path, false);

    return name ? name->now : NULL;
}

void sim_set(struct sim_file *file, const char *bytes, uint64_t size)
{
    grow(file, size);
    memset(file->now, 0, file->cap);
    memcpy(file->now, bytes, size);
    memcpy(file->disk, file->now, file->cap);
    memset(file->dirty, 0, file->cap / SIM_SECTOR);
    file->size_now = file->size_disk = size;
}

/* Does this call fail? changes: it is one at which the power may go. 0: it does not. */
static int trouble(struct sim_disk *sim, bool changes, bool *out_half)
{
    if (out_half)
        *out_half = false;
    if (changes && !sim->dead && ++sim->ops == sim->cut_at)
        sim->dead = true;
    if (sim->dead)
        return -EIO;
    if (++sim->calls != sim->fail_at)
        return 0;
    sim->failed = true;
    if (sim->fail_with)
        return -sim->fail_with;
    if (out_half)
        *out_half = true;
    return 0;
}

static int sim_open(pp_disk *disk, const char *path, int flags)
{
    struct sim_disk *sim = SIM(disk);
    struct sim_name *name;
    int err = trouble(sim, flags & O_CREAT, NULL), fd = 0;

    if (err)
        return err;
    name = name_of(sim, path, flags & O_CREAT);
    if (!name || (!name->now && !(flags & O_CREAT)))
        return -ENOENT;
    if (!name->now) {
        PP_ASSERT(sim->file_count < SIM_FILES_MAX);
        name->now = calloc(1, sizeof(*name->now));
        PP_ASSERT(name->now);
        sim->files[sim->file_count++] = name->now;
    } else if (flags & O_TRUNC && name->now->cap) {
        memset(name->now->now, 0, name->now->cap);
        memset(name->now->dirty, 1, name->now->cap / SIM_SECTOR);
        name->now->size_now = 0;
    }
    while (sim->fds[fd])
        fd++;
    PP_ASSERT(fd < SIM_FDS_MAX);
    sim->fds[fd] = name->now;
    sim->fds_open++;
    return fd;
}

static void sim_close(pp_disk *disk, int fd)
{
    PP_ASSERT(fd >= 0 && SIM(disk)->fds[fd]);
    SIM(disk)->fds[fd] = NULL;
    SIM(disk)->fds_open--;
}

static ssize_t sim_read(pp_disk *disk, int fd, void *out, size_t bytes, uint64_t at)
{
    struct sim_file *file = SIM(disk)->fds[fd];
    bool half;
    int err = trouble(SIM(disk), false, &half);

    if (err)
        return err;
    if (at >= file->size_now)
        return 0;
    if (bytes > file->size_now - at)
        bytes = (size_t)(file->size_now - at);
    if (half && bytes > 1)
        bytes /= 2;
    memcpy(out, file->now + at, bytes);
    return (ssize_t)bytes;
}

static uint64_t all_bytes(const struct sim_disk *sim)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < sim->name_count; i++)
        if (sim->names[i].now)
            bytes += sim->names[i].now->size_now;
    return bytes;
}

static bool is_full(const struct sim_disk *sim, const struct sim_file *file, uint64_t size)
{
    return sim->limit && size > file->size_now &&
           all_bytes(sim) + size - file->size_now > sim->limit;
}

static void touch(struct sim_file *file, uint64_t at, uint64_t bytes)
{
    if (bytes)
        for (uint64_t i = at / SIM_SECTOR; i <= (at + bytes - 1) / SIM_SECTOR; i++)
            file->dirty[i] = 1;
}

static ssize_t sim_write(pp_disk *disk, int fd, const void *from, size_t bytes, uint64_t at)
{
    struct sim_file *file = SIM(disk)->fds[fd];
    bool half;
    int err = trouble(SIM(disk), true, &half);

    if (err && !SIM(disk)->dead)
        return err;
    if (is_full(SIM(disk), file, at + bytes))
        return -ENOSPC;
    if (half)
        bytes /= 2;
    if (at + bytes > file->size_now) {
        grow(file, at + bytes);
        file->size_now = at + bytes;
    }
    memcpy(file->now + at, from, bytes); /* also when the power goes meanwhile */
    touch(file, at, bytes);
    return err ? err : (ssize_t)bytes;
}

static int sim_sync(pp_disk *disk, int fd)
{
    struct sim_file *file = SIM(disk)->fds[fd];
    int err = trouble(SIM(disk), true, NULL);

    if (SIM(disk)->dead)
        return err;
    for (uint64_t i = 0; i < file->cap / SIM_SECTOR; i++)
        if (file->dirty[i]) {
            /* One that fails leaves them clean and not on the disk, as systems do: later ones do
             * not make up for it. */
            if (!err)
                memcpy(file->disk + i * SIM_SECTOR, file->now + i * SIM_SECTOR, SIM_SECTOR);
            file->dirty[i] = 0;
        }
    if (!err)
        file->size_disk = file->size_now;
    return err;
}

static int sim_resize(pp_disk *disk, int fd, uint64_t bytes)
{
    struct sim_file *file = SIM(disk)->fds[fd];
    int err = trouble(SIM(disk), true, NULL);

    if (err)
        return err;
    if (is_full(SIM(disk), file, bytes))
        return -ENOSPC;
    grow(file, bytes);
    if (bytes < file->size_now) {
        memset(file->now + bytes, 0, file->cap - bytes);
        touch(file, bytes, file->cap - bytes);
    }
    file->size_now = bytes;
    return 0;
}

static int sim_reserve(pp_disk *disk, int fd, uint64_t bytes)
{
    struct sim_file *file = SIM(disk)->fds[fd];
    int err = trouble(SIM(disk), true, NULL);

    if (err)
        return err;
    if (is_full(SIM(disk), file, bytes))
        return -ENOSPC;
    grow(file, bytes);
    if (bytes > file->size_now)
        file->size_now = bytes;
    return 0;
}

static int sim_punch(pp_disk *disk, int fd, uint64_t at, uint64_t bytes)
{
    struct sim_file *file = SIM(disk)->fds[fd];
    int err = trouble(SIM(disk), true, NULL);

    if (err)
        return err;
    PP_ASSERT(at + bytes <= file->size_now && at % 4096 == 0 && bytes % 4096 == 0);
    memset(file->now + at, 0, bytes);
    touch(file, at, bytes);
    return 0;
}

static void sim_forget(pp_disk *disk, int fd, uint64_t at, uint64_t bytes)
{
    struct sim_file *file = SIM(disk)->fds[fd];

    PP_ASSERT(file && at + bytes >= at); /* it reads what the disk has, always */
}

static int64_t sim_size(pp_disk *disk, int fd)
{
    int err = trouble(SIM(disk), false, NULL);

    return err ? err : (int64_t)SIM(disk)->fds[fd]->size_now;
}

static int sim_rename(pp_disk *disk, const char *from, const char *to)
{
    struct sim_file *file;
    int err = trouble(SIM(disk), true, NULL);

    if (err)
        return err;
    file = sim_find(SIM(disk), from);
    if (!file)
        return -ENOENT;
    name_of(SIM(disk), to, true)->now = file;
    name_of(SIM(disk), from, true)->now = NULL;
    return 0;
}

static int sim_remove(pp_disk *disk, const char *path)
{
    struct sim_name *name;
    int err = trouble(SIM(disk), true, NULL);

    if (err)
        return err;
    name = name_of(SIM(disk), path, false);
    if (!name || !name->now)
        return -ENOENT;
    name->now = NULL;
    return 0;
}

static int sim_make_dir(pp_disk *disk, const char *path)
{
    (void)path; /* there is one */
    return trouble(SIM(disk), true, NULL);
}

static int sim_sync_dir(pp_disk *disk, const char *path)
{
    int err = trouble(SIM(disk), true, NULL);

    if (err)
        return err;
    for (unsigned i = 0; i < SIM(disk)->name_count; i++)
        if (strncmp(SIM(disk)->names[i].path, path, strlen(path)) == 0)
            SIM(disk)->names[i].disk = SIM(disk)->names[i].now;
    return 0;
}

static int sim_list(pp_disk *disk, const char *path, void (*visit)(void *ctx, const char *name),
                    void *ctx)
{
    size_t len = strlen(path);
    int err = trouble(SIM(disk), false, NULL);

    if (err)
        return err;
    for (unsigned i = 0; i < SIM(disk)->name_count; i++)
        if (SIM(disk)->names[i].now && strncmp(SIM(disk)->names[i].path, path, len) == 0 &&
            SIM(disk)->names[i].path[len] == '/')
            visit(ctx, SIM(disk)->names[i].path + len + 1);
    return 0;
}

static int sim_lock(pp_disk *disk, int fd)
{
    (void)fd;
    return trouble(SIM(disk), false, NULL);
}

void sim_init(struct sim_disk *sim)
{
    static const struct pp_disk_ops ops = {
        .open = sim_open,
        .close = sim_close,
        .read = sim_read,
        .write = sim_write,
        .sync = sim_sync,
        .resize = sim_resize,
        .reserve = sim_reserve,
        .punch = sim_punch,
        .forget = sim_forget,
        .size = sim_size,
        .used = sim_size,
        .rename = sim_rename,
        .remove = sim_remove,
        .make_dir = sim_make_dir,
        .sync_dir = sim_sync_dir,
        .list = sim_list,
        .lock = sim_lock,
    };

    memset(sim, 0, sizeof(*sim));
    sim->disk.ops = &ops;
}

/* By chance, or as it is told. */
static bool survives(uint64_t *random, unsigned how)
{
    return how < 2 ? how : pp_random_below(random, 2);
}

static void settle_file(struct sim_file *file, uint64_t *random, unsigned how)
{
    for (uint64_t i = 0; i < file->cap / SIM_SECTOR; i++) {
        if (file->dirty[i] && survives(random, how))
            memcpy(file->disk + i * SIM_SECTOR, file->now + i * SIM_SECTOR, SIM_SECTOR);
        file->dirty[i] = 0;
    }
    if (file->size_now != file->size_disk && survives(random, how))
        file->size_disk = file->size_now;
    memset(file->disk + file->size_disk, 0, file->cap - file->size_disk);
    memcpy(file->now, file->disk, file->cap);
    file->size_now = file->size_disk;
}

void sim_power_on(struct sim_disk *sim, uint64_t seed, unsigned how)
{
    uint64_t random = seed * 2 + 1;

    (void)pp_random_next(&random);
    for (unsigned i = 0; i < sim->file_count; i++)
        if (sim->files[i]->cap)
            settle_file(sim->files[i], &random, how);
    for (unsigned i = 0; i < sim->name_count; i++) {
        if (sim->names[i].now != sim->names[i].disk && survives(&random, how))
            sim->names[i].disk = sim->names[i].now;
        sim->names[i].now = sim->names[i].disk;
    }
    sim->dead = false;
    sim->cut_at = sim->fail_at = 0;
}
