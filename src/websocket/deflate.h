/* websocket/deflate.h -- permessage-deflate, over zlib: messages compressed each for itself.
 *
 * What a message inflates to is limited, and comes in pieces of any size, so that nobody needs
 * room for all of it. Source: RFC 7692, section 7. */
#ifndef PP_WEBSOCKET_DEFLATE_H
#define PP_WEBSOCKET_DEFLATE_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/* About 40 KiB. */
typedef struct pp_ws_inflater pp_ws_inflater;
/* About 260 KiB. */
typedef struct pp_ws_deflater pp_ws_deflater;

/* Errors: PIPIT_ENOMEM. */
pipit_err pp_ws_inflater_new(pp_ws_inflater **out_inflater);
void pp_ws_inflater_free(pp_ws_inflater *inflater);

/* Begin a message of which at most max_bytes may come out. */
void pp_ws_inflater_begin(pp_ws_inflater *inflater, size_t max_bytes);

/**
 * Inflate from the front of in, which is shortened by what was used; last: in ends the message.
 *
 * PIPIT_OK: all of in is used, and out holds all that comes of it. PIPIT_EAGAIN: out is full; call
 * again with what is left of in, and last as before.
 *
 * Units:  room, 1 at least.
 * Errors: PIPIT_EPROTO these are no deflated bytes, or not all; PIPIT_ETOOBIG more than max_bytes
 *         come out; PIPIT_ENOMEM. Then the message cannot be read on.
 */
pipit_err pp_ws_inflate(pp_ws_inflater *inflater, pp_str *in, bool last, char *out, size_t room,
                        size_t *out_len);

/* Errors: PIPIT_ENOMEM. */
pipit_err pp_ws_deflater_new(pp_ws_deflater **out_deflater);
void pp_ws_deflater_free(pp_ws_deflater *deflater);

/* Compress pieces into one message. Returns its length; 0: it would not fit. */
size_t pp_ws_deflate(pp_ws_deflater *deflater, const struct iovec *pieces, size_t count, char *out,
                     size_t room);

#endif
