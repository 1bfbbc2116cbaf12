/* websocket/mask.h -- what clients scramble their frames with, so that no proxy mistakes them for
 * something else.
 *
 * A key is four bytes as they stand in the frame, in one word. Source: RFC 6455, section 5.3. */
#ifndef PP_WEBSOCKET_MASK_H
#define PP_WEBSOCKET_MASK_H

#include <stddef.h>
#include <stdint.h>

/* Mask, or unmask, len bytes. to and from are apart, the same, or to lies before from. Returns the
 * key for the byte that comes next. */
uint32_t pp_ws_mask(char *to, const char *from, size_t len, uint32_t key);

/* The key as it is len bytes further on. */
uint32_t pp_ws_key_after(uint32_t key, size_t len);

#endif
