/* pipit/message.h -- a message, as it is handed to callbacks and given to publish. */
#ifndef PIPIT_MESSAGE_H
#define PIPIT_MESSAGE_H

#include "pipit/error.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Lengths count; texts need no closing NUL. */
typedef struct pipit_msg {
    const char *subject;
    size_t subject_bytes;
    const char *reply; /* NULL and 0: none */
    size_t reply_bytes;
    const void *header; /* the block from "NATS/1.0" to the empty line; NULL and 0: none */
    size_t header_bytes;
    const void *payload;
    size_t payload_bytes;
} pipit_msg;

/**
 * Find the first header of a message by name, whatever the case of its letters.
 *
 * Owner:  *out_value points into msg, without blanks around it and without a closing NUL.
 * Thread: any.
 * Errors: PIPIT_ENOTFOUND.
 */
PIPIT_API pipit_err pipit_msg_header(const pipit_msg *msg, const char *name, const char **out_value,
                                     size_t *out_bytes);

/** The status of a message of the server's ("503": nobody is there); 0: it has none. */
PIPIT_API int pipit_msg_status(const pipit_msg *msg);

/** Copy a message in one piece, for pipit_msg_free. NULL: no memory. Thread: any. */
PIPIT_API pipit_msg *pipit_msg_copy(const pipit_msg *msg);

/** Free a message that was given to the caller. NULL is fine. Thread: any. */
PIPIT_API void pipit_msg_free(pipit_msg *msg);

/* A header block in the making. */
typedef struct pipit_headers pipit_headers;

/** Begin an empty block. Errors: PIPIT_ENOMEM. Thread: one at a time per block. */
PIPIT_API pipit_err pipit_headers_new(pipit_headers **out_headers);
PIPIT_API void pipit_headers_free(pipit_headers *headers);

/** Add a header. Errors: PIPIT_EINVAL a name or value that no header can have; PIPIT_ETOOBIG the
 * block would be over 64 KiB; PIPIT_ENOMEM. */
PIPIT_API pipit_err pipit_headers_add(pipit_headers *headers, const char *name, const char *value);

/** The block, for pipit_msg.header. Owner: valid until headers is changed or freed. */
PIPIT_API const void *pipit_headers_block(const pipit_headers *headers, size_t *out_bytes);

#ifdef __cplusplus
}
#endif
#endif
