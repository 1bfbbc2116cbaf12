/* Objects are counted exactly, over several lines so that threads which allocate do not fight over
 * one. Bytes are counted by each thread for itself and added up now and then: a ceiling needs to
 * know them well, not exactly, and allocating must not cost more for it. */
#include "base/alloc.h"

#include "base/assert.h"
#include "base/ceiling.h"
#include "base/fault.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    COUNTER_LINES = 16,
    SETTLE_BYTES = 64 * 1024,    /* more or less than were known before they are added up */
    MEASURE_BYTES = 1024 * 1024, /* given out, however many came back, before memory is measured */
};

static struct counter_line {
    _Alignas(64) atomic_int_fast64_t live;
} counters[COUNTER_LINES];
static atomic_uint next_line;

static _Thread_local struct {
    unsigned line;  /* 0: not chosen yet */
    int64_t change; /* in bytes, not added up yet */
    int64_t given;  /* bytes, since memory was measured */
    bool urgent;
} mine;

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

static __attribute__((noinline)) void settle(void)
{
    (void)atomic_fetch_add_explicit(&pp_ceiling_gauge.counted, mine.change, memory_order_relaxed);
    mine.change = 0;
    if (mine.given < MEASURE_BYTES)
        return;
    mine.given = 0;
    pp_ceiling_measure();
}

static void settle_at_end(void *any)
{
    (void)any;
    settle();
}

static void make_key(void)
{
    if (pthread_key_create(&key, settle_at_end) != 0)
        pp_panic("no key for what threads have counted");
}

/* A thread counts for the first time: it gets a line, and settles when it ends. */
static __attribute__((noinline)) void begin(void)
{
    mine.line = 1 + atomic_fetch_add(&next_line, 1) % COUNTER_LINES;
    (void)pthread_once(&key_once, make_key);
    (void)pthread_setspecific(key, &mine); /* refused: the sum is a little wrong */
}

static void count(int change)
{
    if (mine.line == 0)
        begin();
    (void)atomic_fetch_add_explicit(&counters[mine.line - 1].live, change, memory_order_relaxed);
}

static void count_bytes(int64_t change)
{
    mine.change += change;
    if (change > 0)
        mine.given += change;
    if (mine.change > SETTLE_BYTES || mine.change < -SETTLE_BYTES || mine.given > MEASURE_BYTES)
        settle();
}

static int64_t size_of(void *ptr)
{
    return (int64_t)malloc_usable_size(ptr);
}

static bool refused(size_t bytes)
{
    return pp_ceiling_refuses(bytes) && !(mine.urgent && pp_ceiling_reserves(bytes));
}

void pp_alloc_urgent_begin(void)
{
    mine.urgent = true;
}

void pp_alloc_urgent_end(void)
{
    mine.urgent = false;
}

void *pp_alloc(size_t bytes)
{
    void *ptr;

    if (pp_fault("alloc") || refused(bytes))
        return NULL;
    ptr = malloc(bytes ? bytes : 1);
    if (ptr) {
        count(1);
        count_bytes(size_of(ptr));
    }
    return ptr;
}

void *pp_calloc(size_t n, size_t bytes)
{
    void *ptr;

    if (pp_fault("alloc") || (bytes && n > SIZE_MAX / bytes) || refused(n * bytes))
        return NULL;
    ptr = calloc(n ? n : 1, bytes ? bytes : 1);
    if (ptr) {
        count(1);
        count_bytes(size_of(ptr));
    }
    return ptr;
}

void *pp_realloc(void *old, size_t bytes)
{
    int64_t before = old ? size_of(old) : 0;
    void *ptr;

    if (pp_fault("alloc") || ((int64_t)bytes > before && refused(bytes)))
        return NULL;
    ptr = realloc(old, bytes ? bytes : 1);
    if (ptr && !old)
        count(1);
    if (ptr)
        count_bytes(size_of(ptr) - before);
    return ptr;
}

char *pp_memdupz(const char *bytes, size_t len)
{
    char *copy = pp_alloc(len + 1);

    if (!copy)
        return NULL;
    memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}

void pp_free(void *ptr)
{
    if (!ptr)
        return;
    count_bytes(-size_of(ptr));
    free(ptr);
    count(-1);
}

int64_t pp_alloc_live(void)
{
    int64_t live = 0;

    for (size_t i = 0; i < COUNTER_LINES; i++)
        live += atomic_load_explicit(&counters[i].live, memory_order_relaxed);
    return live;
}
