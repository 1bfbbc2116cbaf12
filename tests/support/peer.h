/* tests/support/peer.h -- the other side of a NATS connection, under the test's control.
 *
 * Blocking, with deadlines: whatever is awaited must come within CHECK_WAIT_MS, or the scenario
 * fails. That the server closes the connection is an answer, not a failure. What it sends is
 * checked to be well formed: bytes lost or out of place in a stream show here. */
#ifndef PIPIT_TESTS_SUPPORT_PEER_H
#define PIPIT_TESTS_SUPPORT_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum peer_kind {
    PEER_CLOSED, /* the server closed, or reset */
    PEER_MSG,    /* MSG or HMSG */
    PEER_PONG,
    PEER_OK,
    PEER_INFO,
    PEER_ERR,
} peer_kind;

/* Text and bytes lie in the peer's buffer: good until the next call on it. */
typedef struct peer_event {
    peer_kind kind;
    const char *line; /* without CR LF, closed by NUL */
    char *subject;    /* MSG */
    uint32_t sid;
    char *reply; /* NULL: none */
    const char *header;
    size_t header_len;
    const char *payload;
    size_t payload_len;
} peer_event;

typedef struct peer {
    int fd;      /* -1: not connected */
    bool closed; /* by the server */
    char *in;
    size_t in_at, in_len, in_cap;
    uint64_t msgs; /* heard so far */
} peer;

/* What a peer says first. */
#define PEER_CONNECT                                                                               \
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,"       \
    "\"protocol\":1,\"lang\":\"c\",\"version\":\"1\",\"name\":\"peer\"}\r\n"

/* A connection, nothing said yet. receive_bytes: SO_RCVBUF before connecting; 0: the system's. */
void peer_dial(peer *p, uint16_t port, int receive_bytes);
void peer_dial_unix(peer *p, const char *path);

/* Dial, read INFO, say CONNECT and PING, await PONG (and the INFO behind it). False: closed. */
bool peer_try_open(peer *p, uint16_t port);
/* The same; being closed is a failure. */
void peer_open(peer *p, uint16_t port);
void peer_open_narrow(peer *p, uint16_t port, int receive_bytes);
/* CONNECT and PING on a dialled connection. */
bool peer_greet(peer *p);

/* False: the server has closed. */
bool peer_write(peer *p, const void *bytes, size_t len);
bool peer_printf(peer *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool peer_publish(peer *p, const char *subject, const void *payload, size_t len);

/* The next thing the server says. PINGs are answered, not reported. */
peer_kind peer_next(peer *p, peer_event *out);
/* The next MSG; other things are passed over. False: closed. */
bool peer_next_msg(peer *p, peer_event *out);
/* PING, then everything up to its PONG; messages are counted only. False: closed. */
bool peer_barrier(peer *p);
/* Wait until the server has closed; what it says before is passed over. */
void peer_await_close(peer *p);

/* Close in good order (FIN), or cut (RST). A peer that is not connected is fine. */
void peer_close(peer *p);
void peer_cut(peer *p);

#endif
