#include "store/still_disk.h"

#include <errno.h>
#include <fcntl.h>

enum { NO_FILE = 1 << 28 }; /* stands for one that would have been made */

static pp_disk *below(pp_disk *disk)
{
    return ((struct pp_still_disk *)disk)->below;
}

static int still_open(pp_disk *disk, const char *path, int flags)
{
    int fd = below(disk)->ops->open(below(disk), path, O_RDONLY);

    return fd == -ENOENT && flags & O_CREAT ? NO_FILE : fd;
}

static void still_close(pp_disk *disk, int fd)
{
    if (fd != NO_FILE)
        below(disk)->ops->close(below(disk), fd);
}

static ssize_t still_read(pp_disk *disk, int fd, void *out, size_t bytes, uint64_t at)
{
    return fd == NO_FILE ? 0 : below(disk)->ops->read(below(disk), fd, out, bytes, at);
}

static ssize_t still_write(pp_disk *disk, int fd, const void *from, size_t bytes, uint64_t at)
{
    (void)disk;
    (void)fd;
    (void)from;
    (void)at;
    return (ssize_t)bytes;
}

static int still_sync(pp_disk *disk, int fd)
{
    (void)disk;
    (void)fd;
    return 0;
}

static int still_resize(pp_disk *disk, int fd, uint64_t bytes)
{
    (void)disk;
    (void)fd;
    (void)bytes;
    return 0;
}

static int still_punch(pp_disk *disk, int fd, uint64_t at, uint64_t bytes)
{
    (void)disk;
    (void)fd;
    (void)at;
    (void)bytes;
    return 0;
}

static void still_forget(pp_disk *disk, int fd, uint64_t at, uint64_t bytes)
{
    if (fd != NO_FILE)
        below(disk)->ops->forget(below(disk), fd, at, bytes);
}

static int64_t still_size(pp_disk *disk, int fd)
{
    return fd == NO_FILE ? 0 : below(disk)->ops->size(below(disk), fd);
}

static int64_t still_used(pp_disk *disk, int fd)
{
    return fd == NO_FILE ? 0 : below(disk)->ops->used(below(disk), fd);
}

static int still_rename(pp_disk *disk, const char *from, const char *to)
{
    (void)disk;
    (void)from;
    (void)to;
    return 0;
}

static int still_path(pp_disk *disk, const char *path)
{
    (void)disk;
    (void)path;
    return 0;
}

static int still_list(pp_disk *disk, const char *path, void (*visit)(void *ctx, const char *name),
                      void *ctx)
{
    return below(disk)->ops->list(below(disk), path, visit, ctx);
}

static int still_lock(pp_disk *disk, int fd)
{
    return fd == NO_FILE ? 0 : below(disk)->ops->lock(below(disk), fd);
}

void pp_still_disk_init(struct pp_still_disk *still, pp_disk *disk)
{
    static const struct pp_disk_ops ops = {
        .open = still_open,
        .close = still_close,
        .read = still_read,
        .write = still_write,
        .sync = still_sync,
        .resize = still_resize,
        .reserve = still_resize,
        .punch = still_punch,
        .forget = still_forget,
        .size = still_size,
        .used = still_used,
        .rename = still_rename,
        .remove = still_path,
        .make_dir = still_path,
        .sync_dir = still_path,
        .list = still_list,
        .lock = still_lock,
    };

    *still = (struct pp_still_disk){{&ops}, disk};
}
