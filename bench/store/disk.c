/* What the disk does without a store. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RAW_FILE_BYTES = 64 * 1024 * 1024 };

/* Room as a segment has it: reserved, and never written. */
static int make_room(unsigned number, char path[600])
{
    int fd;

    (void)snprintf(path, 600, "%s/raw.%u", folder, number);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || fallocate(fd, 0, 0, RAW_FILE_BYTES) < 0)
        fail("%s: %s", path, strerror(errno));
    return fd;
}

/* Files go at the end, as those of a store do: what the disk does then is not its writing. */
double raw_writes(size_t piece, double seconds)
{
    char path[600], *bytes = malloc(piece);
    unsigned files = 0;
    uint64_t at = 0, count = 0;
    int fd = make_room(files++, path);
    double began, took;

    if (!bytes || fsync(fd) < 0)
        fail("%s: %s", path, strerror(errno));
    memset(bytes, 'r', piece);
    began = now_s();
    while ((took = now_s() - began) < seconds) {
        if (at + piece > RAW_FILE_BYTES) {
            (void)close(fd);
            fd = make_room(files++, path);
            at = 0;
        }
        if (pwrite(fd, bytes, piece, (off_t)at) != (ssize_t)piece || fdatasync(fd) < 0)
            fail("%s: %s", path, strerror(errno));
        at += piece;
        count++;
    }
    (void)close(fd);
    while (files-- > 0) {
        (void)snprintf(path, sizeof(path), "%s/raw.%u", folder, files);
        (void)unlink(path);
    }
    free(bytes);
    return (double)count / took;
}
