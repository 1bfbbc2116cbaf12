#include "bad_disk.h"

#include "folder.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

enum { WAIT_S = 60 };

static struct bad_disk bad;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static bool is_shut, is_full;
static ino_t held;
static unsigned reserved, told_reserved; /* calls; and those before the last progress */

static bool is_bad(ino_t file, uint64_t at, uint64_t end)
{
    bool is = file == bad.files[0] || file == bad.files[1];

    for (unsigned i = 0; i < 2; i++)
        is |= file == bad.parts[i].file && at < bad.parts[i].end && end > bad.parts[i].at;
    return is;
}

/* Under the lock. */
static void wait_a_moment(void)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    if (pthread_cond_timedwait(&moved, &lock, &until))
        abort(); /* a thread of the pool cannot fail a test */
}

static ssize_t read_noted(pp_disk *disk, int fd, void *out, size_t bytes, uint64_t at)
{
    struct stat about;
    bool is;

    (void)disk;
    if (fstat(fd, &about) < 0)
        return -errno;
    (void)pthread_mutex_lock(&lock); /* there may be readers */
    while (held && held == about.st_ino)
        wait_a_moment();
    is = is_bad(about.st_ino, at, at + bytes);
    bad.reads += !is;
    bad.bad_reads += is;
    bad.whole_reads += !is && at == 0 && bytes == (size_t)about.st_size;
    (void)pthread_mutex_unlock(&lock);
    if (is)
        return -bad.why;
    return pp_disk_real()->ops->read(pp_disk_real(), fd, out, bytes, at);
}

/* Those of the pool's thread wait, too. */
static ssize_t write_gated(pp_disk *disk, int fd, const void *from, size_t bytes, uint64_t at)
{
    (void)disk;
    (void)pthread_mutex_lock(&lock);
    while (is_shut)
        wait_a_moment();
    (void)pthread_mutex_unlock(&lock);
    return pp_disk_real()->ops->write(pp_disk_real(), fd, from, bytes, at);
}

static int reserve_noted(pp_disk *disk, int fd, uint64_t bytes)
{
    int err;

    (void)disk;
    (void)pthread_mutex_lock(&lock);
    err = is_full ? -ENOSPC : pp_disk_real()->ops->reserve(pp_disk_real(), fd, bytes);
    reserved++;
    (void)pthread_mutex_unlock(&lock);
    return err;
}

int bad_disk_make(void **state)
{
    bad.ops = *pp_disk_real()->ops;
    bad.ops.read = read_noted;
    bad.ops.write = write_gated;
    bad.ops.reserve = reserve_noted;
    bad.disk.ops = &bad.ops;
    bad.why = EIO;
    return folder_make(state);
}

struct bad_disk *bad_disk(void)
{
    return &bad;
}

void bad_disk_lose(unsigned nth, ino_t file)
{
    (void)pthread_mutex_lock(&lock);
    bad.files[nth] = file;
    (void)pthread_mutex_unlock(&lock);
}

void bad_disk_hold(ino_t file)
{
    (void)pthread_mutex_lock(&lock);
    held = file;
    (void)pthread_cond_broadcast(&moved);
    (void)pthread_mutex_unlock(&lock);
}

void bad_disk_shut(bool shut)
{
    (void)pthread_mutex_lock(&lock);
    is_shut = shut;
    (void)pthread_cond_broadcast(&moved);
    (void)pthread_mutex_unlock(&lock);
}

void bad_disk_fill(bool full)
{
    (void)pthread_mutex_lock(&lock);
    is_full = full;
    (void)pthread_mutex_unlock(&lock);
}

unsigned bad_disk_reservations(void)
{
    unsigned so_far;

    (void)pthread_mutex_lock(&lock);
    so_far = reserved;
    (void)pthread_mutex_unlock(&lock);
    return so_far;
}

void bad_disk_await_reservation(unsigned before)
{
    (void)pthread_mutex_lock(&lock);
    while (reserved == before || told_reserved != reserved)
        wait_a_moment();
    (void)pthread_mutex_unlock(&lock);
}

void bad_disk_await_read(pp_store *store, uint64_t before)
{
    struct pp_store_progress progress;

    (void)pthread_mutex_lock(&lock);
    pp_store_progress(store, &progress);
    while (progress.reads == before) {
        wait_a_moment();
        pp_store_progress(store, &progress);
    }
    (void)pthread_mutex_unlock(&lock);
}

void bad_disk_on_progress(void *ctx)
{
    (void)ctx;
    (void)pthread_mutex_lock(&lock);
    told_reserved = reserved;
    (void)pthread_cond_broadcast(&moved);
    (void)pthread_mutex_unlock(&lock);
}
