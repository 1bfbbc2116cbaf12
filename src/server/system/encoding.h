/* server/system/encoding.h -- answers in the form that the asker can read. */
#ifndef PP_SERVER_SYSTEM_ENCODING_H
#define PP_SERVER_SYSTEM_ENCODING_H

#include "base/body.h"
#include "base/err.h"
#include "base/str.h"

#include <stddef.h>

typedef enum pp_encoding {
    PP_ENCODING_UNASKED, /* as it is, and nothing is said of it */
    PP_ENCODING_IDENTITY,
    PP_ENCODING_GZIP,
} pp_encoding;

/* What an Accept-Encoding in a header block of a request asks for. Snappy is not among what this
 * server writes; who asks for that alone is told that the answer is as it is. */
pp_encoding pp_encoding_wanted(pp_str header);

/* Make the body of a message: the header block that names the encoding, if any, and text in it. Two
 * bytes more than *out_len are there, a line end. Errors: PIPIT_ENOMEM. */
pipit_err pp_encoding_apply(pp_encoding encoding, pp_str text, pp_body **out_body, size_t *out_len,
                            size_t *out_header_len);

#endif
