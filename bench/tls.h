/* tls.h -- the client's side of TLS, on a connected socket. */
#ifndef BENCH_TLS_H
#define BENCH_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct ssl_st;

/* Read INFO, shake hands; the socket does not block from then on. Ends the program if that fails.
 */
struct ssl_st *bench_tls_connect(int fd);
/* NULL is fine. The socket stays the caller's. */
void bench_tls_close(struct ssl_st *tls);

/* Like recv: as much as there is, up to len. Without MSG_DONTWAIT it waits for something, but not
 * for ever: EAGAIN. */
ssize_t bench_tls_receive(struct ssl_st *tls, void *to, size_t len, int flags);
/* Like send, but all of it is: a record cannot be taken back. */
ssize_t bench_tls_send(struct ssl_st *tls, const void *bytes, size_t len);

bool bench_tls_pending(const struct ssl_st *tls);

#endif
