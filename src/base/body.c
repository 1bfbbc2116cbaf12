#include "base/body.h"

#include "base/alloc.h"

pp_body *pp_body_new(size_t len)
{
    pp_body *body = pp_alloc(sizeof(*body) + len);

    if (!body)
        return NULL;
    atomic_init(&body->refs, 1);
    body->len = len;
    return body;
}

void pp_body_unref(pp_body *body)
{
    if (body && atomic_fetch_sub_explicit(&body->refs, 1, memory_order_acq_rel) == 1)
        pp_free(body);
}
