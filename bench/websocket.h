/* websocket.h -- the least of WebSocket that load can be made with: ask for it, frame what is
 * written, take frames off what is read. */
#ifndef BENCH_WEBSOCKET_H
#define BENCH_WEBSOCKET_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_WEBSOCKET_HEAD_MAX 14

/* What a connection's input is in the middle of. */
typedef struct bench_websocket {
    uint64_t left; /* bytes of the frame that have not come */
    unsigned char head[BENCH_WEBSOCKET_HEAD_MAX];
    size_t head_bytes; /* of the next one's head, that have come */
} bench_websocket;

/* Send a request on fd and read the answer, to its last byte and no further. */
void bench_websocket_ask(int fd, const char *host);

/* How long the head of a frame with len bytes is. */
size_t bench_websocket_head_bytes(size_t len);
/* Write a whole frame, masked by a key that is always the same; returns its length. */
size_t bench_websocket_frame(char *out, const void *bytes, size_t len);

/* Move what frames hold together; returns how many bytes of it there are. */
size_t bench_websocket_strip(bench_websocket *self, char *bytes, size_t len);

#endif
