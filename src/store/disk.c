/* What goes through the table, and the table of system calls. */
#include "store/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    INTERRUPTIONS_MAX = 100, /* then it is taken for a failure */
    HASTENED_BYTES = 4 * 1024 * 1024,
};

pipit_err pp_disk_open(pp_disk *disk, const char *path, int flags, int *out_fd)
{
    int fd = -EINTR;

    for (int tries = 0; fd == -EINTR && tries < INTERRUPTIONS_MAX; tries++)
        fd = disk->ops->open(disk, path, flags);
    if (fd == -EINTR)
        return PIPIT_EIO;
    if (fd < 0)
        return pp_err_from_errno(-fd);
    *out_fd = fd;
    return PIPIT_OK;
}

pipit_err pp_disk_read(pp_disk *disk, int fd, void *out, size_t bytes, uint64_t at,
                       size_t *out_bytes)
{
    size_t done = 0;
    int interruptions = 0;

    while (done < bytes) {
        ssize_t got = disk->ops->read(disk, fd, (char *)out + done, bytes - done, at + done);

        if (got == -EINTR && interruptions++ < INTERRUPTIONS_MAX)
            continue;
        if (got < 0)
            return got == -EINTR ? PIPIT_EIO : pp_err_from_errno((int)-got);
        if (got == 0)
            break;
        done += (size_t)got;
    }
    *out_bytes = done;
    return PIPIT_OK;
}

bool pp_disk_read_now(pp_disk *disk, int fd, void *out, size_t bytes, uint64_t at)
{
    return disk->ops->read_now && disk->ops->read_now(disk, fd, out, bytes, at) == (ssize_t)bytes;
}

pipit_err pp_disk_write(pp_disk *disk, int fd, const void *from, size_t bytes, uint64_t at)
{
    ssize_t put = -EINTR;

    for (int tries = 0; put == -EINTR && tries < INTERRUPTIONS_MAX; tries++)
        put = disk->ops->write(disk, fd, from, bytes, at);
    if (put == -ENOSPC || put == -EDQUOT)
        return PIPIT_ENOSPC;
    return put >= 0 && (size_t)put == bytes ? PIPIT_OK : PIPIT_EIO;
}

pipit_err pp_disk_write_much(pp_disk *disk, int fd, const void *from, size_t bytes, uint64_t at)
{
    size_t done = 0;
    pipit_err err = PIPIT_OK;

    for (; disk->ops->hasten && bytes - done > HASTENED_BYTES && !err; done += HASTENED_BYTES) {
        err = pp_disk_write(disk, fd, (const char *)from + done, HASTENED_BYTES, at + done);
        if (!err && disk->ops->hasten(disk, fd, at + done, HASTENED_BYTES) < 0)
            err = PIPIT_EIO;
    }
    return err ? err : pp_disk_write(disk, fd, (const char *)from + done, bytes - done, at + done);
}

pipit_err pp_disk_sync(pp_disk *disk, int fd)
{
    int err = disk->ops->sync(disk, fd);

    if (err == -ENOSPC || err == -EDQUOT)
        return PIPIT_ENOSPC;
    return err < 0 ? PIPIT_EIO : PIPIT_OK;
}

pipit_err pp_disk_reserve(pp_disk *disk, int fd, uint64_t bytes)
{
    int err = -EINTR;

    for (int tries = 0; err == -EINTR && tries < INTERRUPTIONS_MAX; tries++)
        err = disk->ops->reserve(disk, fd, bytes);
    if (err == -EOPNOTSUPP || err == -ENOSYS)
        err = disk->ops->resize(disk, fd, bytes);
    if (err >= 0)
        return PIPIT_OK;
    return err == -ENOSPC || err == -EDQUOT ? PIPIT_ENOSPC : PIPIT_EIO;
}

static int answer(int result)
{
    return result < 0 ? -errno : result;
}

static int real_open(pp_disk *disk, const char *path, int flags)
{
    (void)disk;
    return answer(open(path, flags | O_CLOEXEC, 0600));
}

static void real_close(pp_disk *disk, int fd)
{
    (void)disk;
    (void)close(fd); /* what mattered was synced */
}

static ssize_t real_read(pp_disk *disk, int fd, void *out, size_t bytes, uint64_t at)
{
    ssize_t got = pread(fd, out, bytes, (off_t)at);

    (void)disk;
    return got < 0 ? -errno : got;
}

static ssize_t real_read_now(pp_disk *disk, int fd, void *out, size_t bytes, uint64_t at)
{
    const struct iovec to = {out, bytes};
    ssize_t got = preadv2(fd, &to, 1, (off_t)at, RWF_NOWAIT);

    (void)disk;
    return got < 0 ? -errno : got;
}

static ssize_t real_write(pp_disk *disk, int fd, const void *from, size_t bytes, uint64_t at)
{
    ssize_t put = pwrite(fd, from, bytes, (off_t)at);

    (void)disk;
    return put < 0 ? -errno : put;
}

static int real_sync(pp_disk *disk, int fd)
{
    (void)disk;
    return answer(fdatasync(fd)); /* a size that changed is synced as well */
}

static int real_hasten(pp_disk *disk, int fd, uint64_t at, uint64_t bytes)
{
    (void)disk;
    /* This only begins: it does not take the news of a failure from fdatasync. A system that does
     * not know how, or that forbids it, syncs all the same. */
    if (sync_file_range(fd, (off_t)at, (off_t)bytes, SYNC_FILE_RANGE_WRITE) == 0 ||
        (errno != EIO && errno != ENOSPC && errno != EDQUOT))
        return 0;
    return -errno;
}

static int real_resize(pp_disk *disk, int fd, uint64_t bytes)
{
    (void)disk;
    return answer(ftruncate(fd, (off_t)bytes));
}

static int real_reserve(pp_disk *disk, int fd, uint64_t bytes)
{
    (void)disk;
    return answer(fallocate(fd, 0, 0, (off_t)bytes));
}

static int real_punch(pp_disk *disk, int fd, uint64_t at, uint64_t bytes)
{
    (void)disk;
    return answer(
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)bytes));
}

static void real_forget(pp_disk *disk, int fd, uint64_t at, uint64_t bytes)
{
    (void)disk;
    (void)posix_fadvise(fd, (off_t)at, (off_t)bytes, POSIX_FADV_DONTNEED); /* advice */
}

static int64_t real_size(pp_disk *disk, int fd)
{
    struct stat info;

    (void)disk;
    return fstat(fd, &info) < 0 ? -errno : (int64_t)info.st_size;
}

static int64_t real_used(pp_disk *disk, int fd)
{
    struct stat info;

    (void)disk;
    return fstat(fd, &info) < 0 ? -errno : (int64_t)info.st_blocks * 512;
}

static int real_rename(pp_disk *disk, const char *from, const char *to)
{
    (void)disk;
    return answer(rename(from, to));
}

static int real_remove(pp_disk *disk, const char *path)
{
    (void)disk;
    return answer(unlink(path));
}

static int real_make_dir(pp_disk *disk, const char *path)
{
    (void)disk;
    return answer(mkdir(path, 0700));
}

static int real_sync_dir(pp_disk *disk, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err;

    (void)disk;
    if (fd < 0)
        return -errno;
    err = answer(fsync(fd));
    (void)close(fd); /* it was only read */
    return err;
}

static int real_list(pp_disk *disk, const char *path, void (*visit)(void *ctx, const char *name),
                     void *ctx)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int err;

    (void)disk;
    if (!dir)
        return -errno;
    for (errno = 0; (entry = readdir(dir)); errno = 0)
        if (entry->d_name[0] != '.')
            visit(ctx, entry->d_name);
    err = -errno;
    (void)closedir(dir); /* it was only read */
    return err;
}

static int real_lock(pp_disk *disk, int fd)
{
    (void)disk;
    return answer(flock(fd, LOCK_EX | LOCK_NB));
}

pp_disk *pp_disk_real(void)
{
    static const struct pp_disk_ops ops = {
        .open = real_open,
        .close = real_close,
        .read = real_read,
        .read_now = real_read_now,
        .write = real_write,
        .sync = real_sync,
        .hasten = real_hasten,
        .resize = real_resize,
        .reserve = real_reserve,
        .punch = real_punch,
        .forget = real_forget,
        .size = real_size,
        .used = real_used,
        .rename = real_rename,
        .remove = real_remove,
        .make_dir = real_make_dir,
        .sync_dir = real_sync_dir,
        .list = real_list,
        .lock = real_lock,
    };
    static pp_disk real = {&ops}; /* nothing in it ever changes */

    return &real;
}
