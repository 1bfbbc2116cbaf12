/* losing_disk -- a file system (FUSE) that loses what was not synced, when it is told that the
 * power went: sim_disk.c, for processes that can be killed.
 *
 *   losing_disk -f -s FOLDER
 *
 * It has one directory, s. To make a directory crash.N in FOLDER cuts the power with seed N, and is
 * answered with ECANCELED. Writes go past the cache of the system, so nothing else remembers them.
 */
#define FUSE_USE_VERSION 31

#include "sim_disk.h"

#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { ROOT = 1 }; /* an open directory: the upper one */

static struct sim_disk sim;

static bool is_dir(const char *path)
{
    return strcmp(path, "/") == 0 || strcmp(path, "/s") == 0;
}

/* The system must not remember what a power cut changes, nor rename what is removed. */
static void *on_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
    (void)connection;
    config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
    config->direct_io = 1;
    config->hard_remove = 1;
    config->nullpath_ok = 1;
    return NULL;
}

static int on_getattr(const char *path, struct stat *out, struct fuse_file_info *info)
{
    bool dir = path && is_dir(path);
    struct sim_file *file = dir ? NULL : info ? sim.fds[info->fh] : sim_find(&sim, path + 1);

    memset(out, 0, sizeof(*out));
    out->st_nlink = 1;
    if (dir) {
        out->st_mode = S_IFDIR | 0700;
        return 0;
    }
    if (!file)
        return -ENOENT;
    out->st_mode = S_IFREG | 0600;
    out->st_size = (off_t)file->size_now;
    out->st_blocks = (blkcnt_t)(file->size_now + 511) / 512;
    return 0;
}

static int on_open(const char *path, struct fuse_file_info *info)
{
    int fd = sim.disk.ops->open(&sim.disk, path + 1, info->flags & ~(O_CREAT | O_TRUNC));

    if (fd < 0)
        return fd;
    info->fh = (uint64_t)fd;
    info->direct_io = 1;
    return 0;
}

static int on_create(const char *path, mode_t mode, struct fuse_file_info *info)
{
    int fd = sim.disk.ops->open(&sim.disk, path + 1, O_RDWR | O_CREAT);

    (void)mode;
    if (fd < 0)
        return fd;
    info->fh = (uint64_t)fd;
    info->direct_io = 1;
    return 0;
}

/* What else is done to directories comes without their names. */
static int on_opendir(const char *path, struct fuse_file_info *info)
{
    info->fh = strcmp(path, "/") == 0 ? ROOT : 0;
    return is_dir(path) ? 0 : -ENOTDIR;
}

static int on_release(const char *path, struct fuse_file_info *info)
{
    (void)path;
    sim.disk.ops->close(&sim.disk, (int)info->fh);
    return 0;
}

static int on_read(const char *path, char *out, size_t bytes, off_t at, struct fuse_file_info *info)
{
    (void)path;
    return (int)sim.disk.ops->read(&sim.disk, (int)info->fh, out, bytes, (uint64_t)at);
}

static int on_write(const char *path, const char *from, size_t bytes, off_t at,
                    struct fuse_file_info *info)
{
    (void)path;
    return (int)sim.disk.ops->write(&sim.disk, (int)info->fh, from, bytes, (uint64_t)at);
}

static int on_fsync(const char *path, int only_data, struct fuse_file_info *info)
{
    (void)path;
    (void)only_data;
    return sim.disk.ops->sync(&sim.disk, (int)info->fh);
}

static int on_fsyncdir(const char *path, int only_data, struct fuse_file_info *info)
{
    (void)path;
    (void)only_data;
    return info->fh == ROOT ? 0 : sim.disk.ops->sync_dir(&sim.disk, "s");
}

static int on_truncate(const char *path, off_t size, struct fuse_file_info *info)
{
    int fd = info ? (int)info->fh : sim.disk.ops->open(&sim.disk, path + 1, O_RDWR), err;

    if (fd < 0)
        return fd;
    err = sim.disk.ops->resize(&sim.disk, fd, (uint64_t)size);
    if (!info)
        sim.disk.ops->close(&sim.disk, fd);
    return err;
}

static int on_fallocate(const char *path, int mode, off_t at, off_t bytes,
                        struct fuse_file_info *info)
{
    (void)path;
    if (mode & FALLOC_FL_PUNCH_HOLE)
        return sim.disk.ops->punch(&sim.disk, (int)info->fh, (uint64_t)at, (uint64_t)bytes);
    return mode ? -EOPNOTSUPP
                : sim.disk.ops->reserve(&sim.disk, (int)info->fh, (uint64_t)(at + bytes));
}

static int on_rename(const char *from, const char *to, unsigned flags)
{
    return flags ? -EINVAL : sim.disk.ops->rename(&sim.disk, from + 1, to + 1);
}

static int on_unlink(const char *path)
{
    return sim.disk.ops->remove(&sim.disk, path + 1);
}

static int on_mkdir(const char *path, mode_t mode)
{
    (void)mode;
    if (strncmp(path, "/crash.", 7) != 0)
        return is_dir(path) ? -EEXIST : -EACCES;
    sim_power_on(&sim, strtoull(path + 7, NULL, 10), 2);
    return -ECANCELED;
}

struct listing {
    void *out;
    fuse_fill_dir_t fill;
};

static void list_name(void *ctx, const char *name)
{
    struct listing *listing = ctx;

    (void)listing->fill(listing->out, name, NULL, 0, 0);
}

static int on_readdir(const char *path, void *out, fuse_fill_dir_t fill, off_t at,
                      struct fuse_file_info *info, enum fuse_readdir_flags flags)
{
    struct listing listing = {out, fill};

    (void)path;
    (void)at;
    (void)flags;
    if (info->fh == ROOT) {
        list_name(&listing, "s");
        return 0;
    }
    return sim.disk.ops->list(&sim.disk, "s", list_name, &listing);
}

int main(int argc, char **argv)
{
    static const struct fuse_operations ops = {
        .init = on_init,
        .getattr = on_getattr,
        .mkdir = on_mkdir,
        .unlink = on_unlink,
        .rename = on_rename,
        .truncate = on_truncate,
        .open = on_open,
        .read = on_read,
        .write = on_write,
        .release = on_release,
        .fsync = on_fsync,
        .opendir = on_opendir,
        .readdir = on_readdir,
        .fsyncdir = on_fsyncdir,
        .create = on_create,
        .fallocate = on_fallocate,
    };

    sim_init(&sim);
    return fuse_main(argc, argv, &ops, NULL);
}
