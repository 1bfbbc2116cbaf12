/* base/body.h -- a large run of bytes that several recipients share: immutable once filled. */
#ifndef PP_BASE_BODY_H
#define PP_BASE_BODY_H

#include <stdatomic.h>
#include <stddef.h>

typedef struct pp_body {
    atomic_uint refs;
    size_t len;
    char bytes[];
} pp_body;

/* A body of len bytes to be filled, with one reference. NULL: no memory. */
pp_body *pp_body_new(size_t len);
void pp_body_unref(pp_body *body);

static inline pp_body *pp_body_ref(pp_body *body)
{
    (void)atomic_fetch_add_explicit(&body->refs, 1, memory_order_relaxed);
    return body;
}

#endif
