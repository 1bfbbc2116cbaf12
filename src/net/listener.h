/* net/listener.h -- accepting connections and giving them to loops. */
#ifndef PP_NET_LISTENER_H
#define PP_NET_LISTENER_H

#include "net/conn.h"
#include "net/loop.h"

#include <stdatomic.h>

/* Runs on one loop; gives each connection to the loop that has the fewest, or fills one loop after
 * the other. */
typedef struct pp_listener {
    pp_source source;
    pp_loop *loop;
    pp_loop *const *loops;
    unsigned loop_count;
    unsigned next_loop;
    unsigned together; /* so many are to have a loop before the next one is used; 0: spread them */
    uint64_t *given;   /* connections ever given, per loop; shared by a server's listeners */
    atomic_uint_fast64_t *next_id;
    const pp_door *door;
    pp_timer retry;
    int64_t retry_ns;
    const char *unlink_path; /* a Unix socket's file; NULL: none */
    /* When there are no descriptors left: take leave of who has been accepted instead of one that
     * was kept for this, and close fd. NULL: they wait. Thread: loop's. */
    void (*turn_away)(struct pp_listener *listener, int fd);
    int spare_fd; /* that one; -1: not now */
} pp_listener;

/* Bind and listen, without accepting yet. port 0: any that is free; *out_port tells which. On
 * failure errno says more; 0: the name leads nowhere. Errors: PIPIT_EINVAL no such host;
 * PIPIT_EINUSE; PIPIT_EDENIED; PIPIT_ENOMEM; PIPIT_EIO. */
pipit_err pp_listen_tcp(const char *host, uint16_t port, int *out_fd, uint16_t *out_port);

/* The same on a Unix socket with those permissions. A socket file that nobody answers on is
 * replaced. Errors: PIPIT_EINUSE somebody answers; PIPIT_EEXIST there is a file that is no socket;
 * PIPIT_EINVAL path too long; PIPIT_EDENIED; PIPIT_ENOTFOUND no such folder; PIPIT_EIO. */
pipit_err pp_listen_unix(const char *path, unsigned mode, int *out_fd);

/* Make a socket that listens already, opened by somebody else, ready to be accepted on.
 * *out_family: AF_INET, AF_INET6 or AF_UNIX. Errors: PIPIT_EINVAL it is no stream socket of these,
 * or does not listen. */
pipit_err pp_listen_adopt(int fd, int *out_family);

/* The port of a TCP socket that listens. */
pipit_err pp_listen_port(int fd, uint16_t *out_port);

/* Write where fd listens: "127.0.0.1:4222", "[::]:4222", "unix:/run/pipit.sock". */
void pp_listen_text(int fd, char *out, size_t out_bytes);

/* Complete a listener whose other fields are set; before its loop runs. */
void pp_listener_init(pp_listener *listener);

/* Have fd, a connected stream socket, be a connection of this listener's. Owner: fd is taken.
 * Thread: loop's. */
void pp_listener_give(pp_listener *listener, int fd);

/* Begin to accept on source.fd, which is the listener's from then on. Thread: any. */
pipit_err pp_listener_start(pp_listener *listener);

/* Thread: loop's, or after it has ended. May be called again. */
void pp_listener_stop(pp_listener *listener);

#endif
