/* Counting is spread over lines so that threads which allocate do not fight over one. */
#include "base/alloc.h"

#include "base/fault.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { COUNTER_LINES = 16 };

static struct counter_line {
    _Alignas(64) atomic_int_fast64_t live;
} counters[COUNTER_LINES];
static atomic_uint next_line;
static _Thread_local unsigned my_line; /* 0: not chosen yet */

static void count(int change)
{
    if (my_line == 0)
        my_line = 1 + atomic_fetch_add(&next_line, 1) % COUNTER_LINES;
    (void)atomic_fetch_add_explicit(&counters[my_line - 1].live, change, memory_order_relaxed);
}

void *pp_alloc(size_t bytes)
{
    void *ptr;

    if (pp_fault("alloc"))
        return NULL;
    ptr = malloc(bytes ? bytes : 1);
    if (ptr)
        count(1);
    return ptr;
}

void *pp_calloc(size_t n, size_t bytes)
{
    void *ptr;

    if (pp_fault("alloc"))
        return NULL;
    ptr = calloc(n ? n : 1, bytes ? bytes : 1);
    if (ptr)
        count(1);
    return ptr;
}

void *pp_realloc(void *old, size_t bytes)
{
    void *ptr;

    if (pp_fault("alloc"))
        return NULL;
    ptr = realloc(old, bytes ? bytes : 1);
    if (ptr && !old)
        count(1);
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
