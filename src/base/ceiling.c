#include "base/ceiling.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { RESERVE_SHARE = 8, RESERVE_MAX = 256 << 20 };

/* Process-wide, as memory is. */
struct pp_ceiling_gauge pp_ceiling_gauge = {
    .pressed_at = PP_CEILING_NONE,
    .refuse_at = PP_CEILING_NONE,
};
static struct {
    pthread_mutex_t lock;     /* guards claims, base, pressed, and the moving of marks */
    pp_ceiling_claim *claims; /* all that are held */
    atomic_size_t bytes;      /* the lowest of them; 0: none */
    size_t pretended;         /* resident, for tests; 0: what really is */
    size_t base;              /* resident beyond what was counted, when the first came */
    bool pressed;
    atomic_size_t beyond; /* resident beyond what is counted, as last measured; base at least */
    atomic_size_t slack;
    atomic_int statm_fd; /* of /proc/self/statm; -1: not open */
} ceiling = {.lock = PTHREAD_MUTEX_INITIALIZER, .statm_fd = -1};

static int64_t counted_now(void)
{
    return atomic_load_explicit(&pp_ceiling_gauge.counted, memory_order_relaxed);
}

/* 0: the system does not tell. */
static size_t resident_now_locked(void)
{
    char text[128], *end;
    int fd = atomic_load(&ceiling.statm_fd);
    ssize_t n;

    if (ceiling.pretended)
        return ceiling.pretended;
    n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    (void)strtoull(text, &end, 10); /* first the size, then what of it is resident: in pages */
    return (size_t)strtoull(end, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* --- marks -------------------------------------------------------------------------------- */

/* What is kept free below the ceiling for work that is under way when memory gets short. */
static size_t reserve(size_t bytes)
{
    return bytes / RESERVE_SHARE < RESERVE_MAX ? bytes / RESERVE_SHARE : RESERVE_MAX;
}

static size_t high_mark(size_t bytes)
{
    return bytes - reserve(bytes);
}

static size_t low_mark(size_t bytes)
{
    return high_mark(bytes) - reserve(bytes) / 2;
}

static size_t refuse_mark(size_t bytes)
{
    return bytes - reserve(bytes) / 4;
}

static void set_marks_locked(size_t resident)
{
    size_t bytes = atomic_load(&ceiling.bytes);
    int64_t counted = counted_now();
    size_t known = counted > 0 ? (size_t)counted : 0;
    size_t beyond = resident > known ? resident - known : 0;
    size_t used, mark;

    atomic_store(&ceiling.slack, beyond > ceiling.base ? beyond - ceiling.base : 0);
    /* Promised memory that was not touched yet is counted and not resident. It will be. */
    if (beyond < ceiling.base)
        beyond = ceiling.base;
    atomic_store(&ceiling.beyond, beyond);
    if (!bytes) {
        ceiling.pressed = false;
        atomic_store(&pp_ceiling_gauge.pressed_at, PP_CEILING_NONE);
        atomic_store(&pp_ceiling_gauge.refuse_at, PP_CEILING_NONE);
        return;
    }
    used = known + beyond;
    ceiling.pressed = used > (ceiling.pressed ? low_mark(bytes) : high_mark(bytes));
    mark = ceiling.pressed ? low_mark(bytes) : high_mark(bytes);
    atomic_store(&pp_ceiling_gauge.pressed_at, (int64_t)mark - (int64_t)beyond);
    atomic_store(&pp_ceiling_gauge.refuse_at, (int64_t)refuse_mark(bytes) - (int64_t)beyond);
}

void pp_ceiling_pretend(size_t resident)
{
    (void)pthread_mutex_lock(&ceiling.lock);
    ceiling.pretended = resident;
    set_marks_locked(resident_now_locked());
    (void)pthread_mutex_unlock(&ceiling.lock);
}

void pp_ceiling_measure(void)
{
    if (!atomic_load_explicit(&ceiling.bytes, memory_order_relaxed) ||
        pthread_mutex_trylock(&ceiling.lock) != 0)
        return; /* somebody else is about it */
    set_marks_locked(resident_now_locked());
    (void)pthread_mutex_unlock(&ceiling.lock);
}

/* --- claims ------------------------------------------------------------------------------- */

static void lowest_holds_locked(void)
{
    size_t lowest = 0;

    for (const pp_ceiling_claim *claim = ceiling.claims; claim; claim = claim->next) {
        if (!lowest || claim->bytes < lowest)
            lowest = claim->bytes;
    }
    atomic_store(&ceiling.bytes, lowest);
}

void pp_ceiling_hold(pp_ceiling_claim *claim, size_t bytes)
{
    size_t resident;
    int64_t counted;

    (void)pthread_mutex_lock(&ceiling.lock);
    if (!ceiling.claims) {
        if (atomic_load(&ceiling.statm_fd) < 0)
            atomic_store(&ceiling.statm_fd, open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
        resident = resident_now_locked();
        counted = counted_now();
        ceiling.base = (int64_t)resident > counted ? (size_t)((int64_t)resident - counted) : 0;
    }
    claim->bytes = bytes;
    claim->next = ceiling.claims;
    ceiling.claims = claim;
    lowest_holds_locked();
    set_marks_locked(resident_now_locked());
    (void)pthread_mutex_unlock(&ceiling.lock);
}

void pp_ceiling_release(pp_ceiling_claim *claim)
{
    pp_ceiling_claim **at;
    int fd;

    (void)pthread_mutex_lock(&ceiling.lock);
    for (at = &ceiling.claims; *at && *at != claim; at = &(*at)->next)
        ;
    if (*at) {
        *at = claim->next;
        claim->bytes = 0;
        lowest_holds_locked();
        set_marks_locked(resident_now_locked());
        fd = ceiling.claims ? -1 : atomic_exchange(&ceiling.statm_fd, -1);
        if (fd >= 0)
            (void)close(fd);
    }
    (void)pthread_mutex_unlock(&ceiling.lock);
}

/* --- reading ------------------------------------------------------------------------------ */

size_t pp_ceiling_bytes(void)
{
    return atomic_load(&ceiling.bytes);
}

bool pp_ceiling_reserves(size_t bytes)
{
    size_t used = pp_ceiling_used(), most = pp_ceiling_bytes();

    return used <= most && bytes <= most - used;
}

size_t pp_ceiling_used(void)
{
    int64_t counted = counted_now();

    return (counted > 0 ? (size_t)counted : 0) + atomic_load(&ceiling.beyond);
}

size_t pp_ceiling_excess(void)
{
    size_t bytes = pp_ceiling_bytes(), used = pp_ceiling_used();

    return bytes && pp_ceiling_pressed() && used > low_mark(bytes) ? used - low_mark(bytes) : 0;
}

size_t pp_ceiling_slack(void)
{
    return atomic_load(&ceiling.slack);
}

bool pp_ceiling_half_gone(void)
{
    size_t bytes = pp_ceiling_bytes();

    return bytes && pp_ceiling_used() > bytes / 2;
}
