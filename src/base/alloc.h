/* base/alloc.h -- the way to memory: counted, so that tests see leaks, and made to fail by them. */
#ifndef PP_BASE_ALLOC_H
#define PP_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

/* Allocate, NULL when memory is refused. pp_calloc zeroes. Fault point: "alloc". Thread: any. */
void *pp_alloc(size_t bytes) __attribute__((malloc, alloc_size(1)));
void *pp_calloc(size_t count, size_t bytes) __attribute__((malloc, alloc_size(1, 2)));
void *pp_realloc(void *ptr, size_t bytes) __attribute__((alloc_size(2)));
/* Copy len bytes and a closing NUL. */
char *pp_memdupz(const char *bytes, size_t len);
void pp_free(void *ptr);

/* Between these two, what is kept free below the ceiling may be taken, too: by what is small, given
 * back soon, and would otherwise lose a message. They do not nest. Thread: the caller's. */
void pp_alloc_urgent_begin(void);
void pp_alloc_urgent_end(void);

/* Objects allocated and not yet freed, over all threads. Exact while no thread allocates. */
int64_t pp_alloc_live(void);

#endif
