/* net/chunk.h -- pieces of a connection's output: bytes of their own, or a view of a shared body.
 *
 * A loop keeps a few free chunks, so that staging output allocates nothing in the steady state. A
 * chunk may be freed by another loop than the one that took it. */
#ifndef PP_NET_CHUNK_H
#define PP_NET_CHUNK_H

#include "base/body.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PP_CHUNK_BYTES = 16384,      /* allocation of a pooled chunk */
    PP_CHUNK_SMALL_BYTES = 1024, /* of a small one */
    PP_CHUNK_SLACK = 32,         /* writable bytes behind its capacity, for copies in whole steps */
    PP_CHUNK_POOL_MAX = 128,     /* of either */
};

typedef struct pp_chunk {
    struct pp_chunk *next;
    const char *ptr; /* what is still to be sent */
    size_t len;
    pp_body *body; /* ptr points into it, one reference held; NULL: into bytes */
    size_t cap;    /* of bytes; 0 for a view */
    char bytes[];
} pp_chunk;

/* A chain of them on its way; bytes: what they hold. */
typedef struct pp_chunk_list {
    pp_chunk *first, *last;
    size_t bytes;
} pp_chunk_list;

typedef struct pp_chunk_pool {
    pp_chunk *free, *free_small;
    unsigned count, small_count;
} pp_chunk_pool;

/* An empty chunk with room for len bytes at least: a pooled one, or one made for that length.
 * NULL: no memory. Thread: the pool's loop. */
pp_chunk *pp_chunk_take(pp_chunk_pool *pool, size_t len);

/* The same, small if len bytes fit into a small one: for who may have little to say. */
pp_chunk *pp_chunk_take_small(pp_chunk_pool *pool, size_t len);

/* One with room for len bytes more than chunk has, which holds the same and is not a view; chunk is
 * given back. NULL: no memory, chunk is as it was. Thread: the pool's loop. */
pp_chunk *pp_chunk_grow(pp_chunk_pool *pool, pp_chunk *chunk, size_t len);

/* What the pool keeps. */
size_t pp_chunk_pool_bytes(const pp_chunk_pool *pool);

/* A chunk of exactly len bytes holding a copy; a view of a body. NULL: no memory. Thread: any. */
pp_chunk *pp_chunk_copy(const char *bytes, size_t len);
pp_chunk *pp_chunk_view(pp_body *body, const char *ptr, size_t len);

/* The same bytes in a chunk that is not much larger than they are, with room for as many again; the
 * chunk itself if that gains nothing, or without memory. pool is the calling loop's. */
pp_chunk *pp_chunk_fit(pp_chunk_pool *pool, pp_chunk *chunk);

/* Give back. pool is the calling loop's, or NULL: to the allocator. */
void pp_chunk_give(pp_chunk_pool *pool, pp_chunk *chunk);

/* Add at the end. False: chunk is NULL, which is what there is without memory. */
bool pp_chunk_list_add(pp_chunk_list *list, pp_chunk *chunk);

/* Give back all of them. pool as above. */
void pp_chunk_list_free(pp_chunk_pool *pool, pp_chunk_list *list);

void pp_chunk_pool_fini(pp_chunk_pool *pool);

#endif
