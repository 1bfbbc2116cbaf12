/* base/buf.h -- a byte buffer that grows up to a stated maximum. */
#ifndef PP_BASE_BUF_H
#define PP_BASE_BUF_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>

typedef struct pp_buf {
    char *ptr;
    size_t len;
    size_t cap;
    size_t max; /* never longer than this */
} pp_buf;

void pp_buf_init(pp_buf *buf, size_t max);
void pp_buf_fini(pp_buf *buf);

/* Make room for more bytes. Errors: PIPIT_ETOOBIG over max, checked first; PIPIT_ENOMEM. */
pipit_err pp_buf_reserve(pp_buf *buf, size_t more);
pipit_err pp_buf_add(pp_buf *buf, const void *bytes, size_t len);
pipit_err pp_buf_addf(pp_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline pp_str pp_buf_str(const pp_buf *buf)
{
    return (pp_str){buf->ptr, buf->len};
}

#endif
