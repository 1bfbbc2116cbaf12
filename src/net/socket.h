/* net/socket.h -- the places that move bytes between a connection and its socket. */
#ifndef PP_NET_SOCKET_H
#define PP_NET_SOCKET_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct mmsghdr;
struct pp_conn;
struct pp_loop;

/* How much a Unix socket may hold of what has been sent, as far as the system allows it. The kernel
 * counts twice the bytes; its own setting, 208 KiB, holds two or three reads' worth, so that sender
 * and receiver wake each other for each of them. TCP finds its measure by itself. */
enum { PP_UNIX_SEND_BYTES = 512 * 1024 };

/* recv and sendmsg, not blocking, gone on with after a signal. Thread: the connection's loop; send:
 * who holds the outbox's `sending`, on loop. */
ssize_t pp_socket_receive(struct pp_conn *conn, char *to, size_t len);
ssize_t pp_socket_send(struct pp_loop *loop, struct pp_conn *conn, const struct iovec *iov,
                       size_t count);

/* The same, but each of messages, one at least, goes by itself: they do not share a segment, as far
 * as that is for the sender to say. Returns the bytes taken in all. */
ssize_t pp_socket_send_each(struct pp_loop *loop, struct pp_conn *conn, struct mmsghdr *messages,
                            unsigned count);

/* Have TCP acknowledge what has been received at once, not with what is sent next: for a peer that
 * collects small pieces until then (Nagle's algorithm). Thread: the connection's loop. */
void pp_socket_acknowledge(const struct pp_conn *conn);

#endif
