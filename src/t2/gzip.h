/* t2/gzip.h -- compressed payloads: one gzip member each. */
#ifndef PP_T2_GZIP_H
#define PP_T2_GZIP_H

#include "base/buf.h"

/* Append what a member holds, as far as the buffer's max allows. Errors: PIPIT_ETOOBIG it holds
 * more; PIPIT_EPROTO it is none, or incomplete; PIPIT_ENOMEM. */
pipit_err pp_t2_inflate(pp_str in, pp_buf *out);

/* Append a member that holds plain. Errors: PIPIT_ENOMEM; PIPIT_ETOOBIG. */
pipit_err pp_t2_deflate(pp_str plain, pp_buf *out);

#endif
