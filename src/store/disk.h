/* store/disk.h -- the only way of the store to files: one narrow table of functions.
 *
 * The real one (pp_disk_real) makes system calls. Tests put others in its place: one that makes the
 * nth call fail, and one that models a disk whose power is cut. Whatever the table does not have,
 * the store cannot do to a disk.
 *
 * Functions answer a number that is not negative, or -errno. */
#ifndef PP_STORE_DISK_H
#define PP_STORE_DISK_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct pp_disk pp_disk;

struct pp_disk_ops {
    /* flags are those of open(2): O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC. */
    int (*open)(pp_disk *disk, const char *path, int flags);
    void (*close)(pp_disk *disk, int fd);
    ssize_t (*read)(pp_disk *disk, int fd, void *out, size_t bytes, uint64_t at);
    /* The same if it need not be waited for, else -EAGAIN; NULL: that cannot be told. */
    ssize_t (*read_now)(pp_disk *disk, int fd, void *out, size_t bytes, uint64_t at);
    ssize_t (*write)(pp_disk *disk, int fd, const void *from, size_t bytes, uint64_t at);
    int (*sync)(pp_disk *disk, int fd); /* the file's bytes, and its size */
    /* These bytes will be synced: they may go to the disk from now on. What fails of that later is
     * told by the sync. NULL: all of it is left to the sync. */
    int (*hasten)(pp_disk *disk, int fd, uint64_t at, uint64_t bytes);
    int (*resize)(pp_disk *disk, int fd, uint64_t bytes);
    int (*reserve)(pp_disk *disk, int fd,
                   uint64_t bytes); /* have room, read as zeros, for so many */
    int (*punch)(pp_disk *disk, int fd, uint64_t at, uint64_t bytes); /* zeros, and no room */
    /* What the system keeps of these bytes in its memory is let go, so that the next read is one of
     * the disk. Bytes that were not synced stay. What is asked for need not happen. */
    void (*forget)(pp_disk *disk, int fd, uint64_t at, uint64_t bytes);
    int64_t (*size)(pp_disk *disk, int fd);
    int64_t (*used)(pp_disk *disk, int fd); /* bytes of the disk that the file takes */
    int (*rename)(pp_disk *disk, const char *from, const char *to);
    int (*remove)(pp_disk *disk, const char *path);
    int (*make_dir)(pp_disk *disk, const char *path);
    int (*sync_dir)(pp_disk *disk, const char *path);
    /* Call visit with the name of each file. */
    int (*list)(pp_disk *disk, const char *path, void (*visit)(void *ctx, const char *name),
                void *ctx);
    int (*lock)(pp_disk *disk, int fd); /* -EWOULDBLOCK: somebody else has it; ends with fd */
};

struct pp_disk {
    const struct pp_disk_ops *ops;
};

/* System calls. Thread: any. */
pp_disk *pp_disk_real(void);

/* Read up to so many bytes; less only where the file ends. *out_bytes tells how many. An
 * interrupted call is made again. Errors: as pp_err_from_errno(). */
pipit_err pp_disk_read(pp_disk *disk, int fd, void *out, size_t bytes, uint64_t at,
                       size_t *out_bytes);

/* Read all of it, if the disk need not be waited for. False: it would have to be. */
bool pp_disk_read_now(pp_disk *disk, int fd, void *out, size_t bytes, uint64_t at);

/* Write all of it. A call that was interrupted before it wrote anything is made again; one that
 * wrote less than it was told to is a failure, since what the disk then holds is uncertain.
 * Errors: PIPIT_EIO, PIPIT_ENOSPC. */
pipit_err pp_disk_write(pp_disk *disk, int fd, const void *from, size_t bytes, uint64_t at);

/* Write much of which is synced soon: the disk is busy with the first of it while the rest is
 * copied. Errors: as pp_disk_write(). */
pipit_err pp_disk_write_much(pp_disk *disk, int fd, const void *from, size_t bytes, uint64_t at);

/* Sync. Never made again, even when interrupted: a kernel that has once failed to write a page may
 * call it clean. */
pipit_err pp_disk_sync(pp_disk *disk, int fd);

/* Open, made again when interrupted. */
pipit_err pp_disk_open(pp_disk *disk, const char *path, int flags, int *out_fd);

/* Have room for so many bytes. A file system that cannot promise room gets the size alone.
 * Errors: PIPIT_ENOSPC. */
pipit_err pp_disk_reserve(pp_disk *disk, int fd, uint64_t bytes);

#endif
