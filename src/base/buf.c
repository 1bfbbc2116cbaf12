#include "base/buf.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>

void pp_buf_init(pp_buf *buf, size_t max)
{
    *buf = (pp_buf){.max = max};
}

void pp_buf_fini(pp_buf *buf)
{
    pp_free(buf->ptr);
    *buf = (pp_buf){.max = buf->max};
}

pipit_err pp_buf_reserve(pp_buf *buf, size_t more)
{
    size_t need, cap;
    char *grown;

    if (more > buf->max - buf->len)
        return PIPIT_ETOOBIG;
    need = buf->len + more;
    if (need <= buf->cap)
        return PIPIT_OK;
    cap = buf->cap ? buf->cap : 256;
    while (cap < need)
        cap = cap > buf->max / 2 ? buf->max : cap * 2;
    grown = pp_realloc(buf->ptr, cap);
    if (!grown)
        return PIPIT_ENOMEM;
    buf->ptr = grown;
    buf->cap = cap;
    return PIPIT_OK;
}

pipit_err pp_buf_add(pp_buf *buf, const void *bytes, size_t len)
{
    pipit_err err = pp_buf_reserve(buf, len);

    if (err)
        return err;
    if (len)
        memcpy(buf->ptr + buf->len, bytes, len);
    buf->len += len;
    return PIPIT_OK;
}

pipit_err pp_buf_addf(pp_buf *buf, const char *format, ...)
{
    va_list args, again;
    pipit_err err = PIPIT_OK;
    int len;

    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, args);
    if (len < 0)
        err = PIPIT_EINVAL;
    else
        err = pp_buf_reserve(buf, (size_t)len + 1); /* vsnprintf wants its NUL */
    if (!err) {
        (void)vsnprintf(buf->ptr + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
    va_end(args);
    return err;
}
