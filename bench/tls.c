/* tls.c -- see tls.h. One context for the whole program. */
#include "tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "client.h"
#include "fatal.h"

static SSL_CTX *context;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* What is measured is the server. The peer may be anybody, and no chain is built for it. */
static int trust_anybody(X509_STORE_CTX *store, void *arg)
{
    (void)store;
    (void)arg;
    return 1;
}

static void make_context(void)
{
    context = SSL_CTX_new(TLS_client_method());
    if (!context)
        bench_fatal("no TLS: %s", ERR_reason_error_string(ERR_peek_error()));
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_verify_callback(context, trust_anybody, NULL);
    /* As Go's clients do, so that both servers choose the same. */
    (void)SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384");
    (void)SSL_CTX_set1_groups_list(context, "X25519:P-256");
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

static void wait_for(int fd, short events)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};

    if (poll(&poll_fd, 1, BENCH_CLIENT_TIMEOUT_S * 1000) == 0)
        bench_fatal("TLS: the server does not go on");
}

/* The line that comes before the handshake and not a byte of what may follow it: looked at before
 * it is taken, since a call for each byte would cost more than all else of a handshake. */
static void read_info(int fd)
{
    char line[4096], *end = NULL;

    while (!end) {
        ssize_t n = recv(fd, line, sizeof(line), MSG_PEEK);

        if (n <= 0)
            bench_fatal("no INFO: %s", n ? strerror(errno) : "the server has closed");
        end = memchr(line, '\n', (size_t)n);
        n = recv(fd, line, end ? (size_t)(end - line) + 1 : (size_t)n, 0);
        if (n <= 0)
            bench_fatal("no INFO: %s", strerror(errno));
    }
}

SSL *bench_tls_connect(int fd)
{
    SSL *tls;
    int done;

    (void)pthread_once(&once, make_context);
    read_info(fd);
    tls = SSL_new(context);
    if (!tls || !SSL_set_fd(tls, fd) || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        bench_fatal("TLS: no memory");
    while ((done = SSL_connect(tls)) != 1) {
        int why = SSL_get_error(tls, done);

        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
            bench_fatal("TLS handshake: %s", ERR_reason_error_string(ERR_peek_error()));
        wait_for(fd, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT);
    }
    return tls;
}

void bench_tls_close(SSL *tls)
{
    SSL_free(tls);
}

ssize_t bench_tls_receive(SSL *tls, void *to, size_t len, int flags)
{
    size_t total = 0;

    while (total < len) {
        int got = SSL_read(tls, (char *)to + total, (int)(len - total));
        int why = got > 0 ? SSL_ERROR_NONE : SSL_get_error(tls, got);

        if (got > 0) {
            total += (size_t)got;
        } else if (why != SSL_ERROR_WANT_READ) {
            break; /* the end; what was before it counts */
        } else if (total || flags & MSG_DONTWAIT) {
            errno = EAGAIN;
            return total ? (ssize_t)total : -1;
        } else {
            wait_for(SSL_get_fd(tls), POLLIN);
        }
    }
    return (ssize_t)total;
}

ssize_t bench_tls_send(SSL *tls, const void *bytes, size_t len)
{
    size_t total = 0;

    while (total < len) {
        int sent = SSL_write(tls, (const char *)bytes + total, (int)(len - total));

        if (sent > 0) {
            total += (size_t)sent;
        } else if (SSL_get_error(tls, sent) == SSL_ERROR_WANT_WRITE) {
            wait_for(SSL_get_fd(tls), POLLOUT);
        } else {
            errno = ECONNRESET;
            return -1;
        }
    }
    return (ssize_t)total;
}

bool bench_tls_pending(const SSL *tls)
{
    return SSL_pending(tls) > 0;
}
