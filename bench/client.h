/* client.h -- the least of a NATS client that load can be made with: connect, write, read frames.
 *
 * The descriptor is in blocking mode; who serves many connections from one thread passes
 * MSG_DONTWAIT or asks with poll first. Anything that a real client would treat as the end of its
 * connection ends the program through bench_fatal, except where a function says otherwise. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "websocket.h"

/* How long a blocking write or an awaited PONG may take before the server counts as hung. */
#define BENCH_CLIENT_TIMEOUT_S 60

/* Where the server is: a Unix socket if unix_path is set, else host and port. */
typedef struct bench_target {
    const char *host;
    const char *port;
    const char *unix_path;
    bool websocket;
    bool tls; /* after INFO; whose certificate it is does not matter */
} bench_target;

typedef struct bench_slice {
    const char *ptr;
    size_t len;
} bench_slice;

struct ssl_st; /* OpenSSL's SSL */

typedef struct bench_client {
    int fd;
    bool by_websocket;
    bench_websocket websocket;
    struct ssl_st *tls; /* NULL: plain */
    bool closed;        /* the server ended the connection; error says why if it said so */
    char error[128];    /* text of the last -ERR, else empty */
    char *buffer;       /* bytes read and not yet used lie in [start, end) */
    size_t buffer_bytes;
    size_t start;
    size_t end;
} bench_client;

typedef enum bench_frame_kind {
    BENCH_FRAME_NONE, /* no whole frame in the buffer: fill and try again */
    BENCH_FRAME_MSG,
    BENCH_FRAME_HMSG, /* here always a status, such as "no responders" */
    BENCH_FRAME_PING,
    BENCH_FRAME_PONG,
    BENCH_FRAME_ERR,
    BENCH_FRAME_OTHER, /* INFO and +OK */
} bench_frame_kind;

/* Slices point into the client's buffer and last until the next fill. */
typedef struct bench_frame {
    bench_frame_kind kind;
    size_t frame_bytes;
    bench_slice subject;
    bench_slice sid;
    bench_slice reply; /* len 0 when there is none */
    bench_slice payload;
} bench_frame;

/* Begin a connection to target and return its descriptor; with nonblocking it may still be in
 * progress, and errno is EAGAIN and the result -1 when the listen queue of a Unix socket is full.
 */
int bench_client_dial(const bench_target *target, bool nonblocking);

/* The operations that open a conversation; no PING among them. */
extern const char bench_client_hello[];

/* Connect, and return when the server has answered the first PING.
 * Owner: the caller closes the client, also when the server did. */
void bench_client_open(bench_client *client, const bench_target *target);
/* recv and send of what the protocol says, whatever lies below. */
ssize_t bench_client_receive(bench_client *client, void *to, size_t len, int flags);
ssize_t bench_client_write(bench_client *client, const void *bytes, size_t len, int flags);

/* Is there more to receive that the socket does not tell of? */
bool bench_client_pending(const bench_client *client);

void bench_client_close(bench_client *client);

/* Write all bytes, as one frame where they go by WebSocket, waiting as long as needed. */
void bench_client_send(bench_client *client, const void *bytes, size_t len);

/* Send PING and return when its PONG came: what was sent before has been processed. Frames in
 * between are dropped, messages among them, so flush a subscriber only before it gets any. */
void bench_client_flush(bench_client *client);

/* Read once into the buffer, which grows if a frame needs it. True if bytes came; false if there
 * are none now (MSG_DONTWAIT in flags) or the connection is closed, which client->closed tells. */
bool bench_client_fill(bench_client *client, int flags);

/* Of so many bytes just read from fd: those that the protocol is, moved to the front. */
static inline size_t bench_client_unframe(bench_client *client, char *bytes, size_t len)
{
    return client->by_websocket ? bench_websocket_strip(&client->websocket, bytes, len) : len;
}

/* Take the next whole frame off the buffer. A PING is returned, not answered. */
bench_frame bench_client_next(bench_client *client);

#endif
