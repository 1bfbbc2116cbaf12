/* websocket/batch.h -- a batch of output as frames, around bytes that stay where they are. Pure. */
#ifndef PP_WEBSOCKET_BATCH_H
#define PP_WEBSOCKET_BATCH_H

#include "websocket/frame.h"

#include <sys/uio.h>

enum {
    PP_WS_BATCH_PIECES = 1024, /* as many as sendmsg takes */
    PP_WS_BATCH_FRAMES = 256,
};

/* Frames with their heads, each a message of its own. */
typedef struct pp_ws_batch {
    struct iovec pieces[PP_WS_BATCH_PIECES];
    size_t piece_count;
    char heads[PP_WS_BATCH_FRAMES][PP_WS_HEAD_UNMASKED_MAX];
    struct {
        size_t first; /* of pieces: its head */
        size_t payload;
    } frames[PP_WS_BATCH_FRAMES];
    size_t frame_count;
    size_t wire_bytes;
} pp_ws_batch;

/* Cut the front of iov into frames of at most frame_max bytes: all of it, or as much as there is
 * room for. */
void pp_ws_batch_cut(pp_ws_batch *batch, const struct iovec *iov, size_t count, size_t frame_max);

/**
 * What is left when so many bytes were sent.
 *
 * Of a frame of which something was sent all counts as taken; its rest is copied to rest, which has
 * room for any frame. Returns how many bytes of the output were taken.
 */
size_t pp_ws_batch_sent(const pp_ws_batch *batch, size_t sent, char *rest, size_t *out_rest);

#endif
