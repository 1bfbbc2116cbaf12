#include "server/health_check.h"

#include "base/clock.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const int64_t patience_ns = 2 * PP_NS_PER_S;

static bool wait_for(int fd, short events, int64_t deadline_ns)
{
    int64_t left_ns = deadline_ns - pp_clock_mono_ns();
    struct pollfd ready = {.fd = fd, .events = events};

    return left_ns > 0 && poll(&ready, 1, (int)(left_ns / PP_NS_PER_MS) + 1) == 1;
}

/* The errno of a connection that does not come about; 0: it does. */
static int await_connection(int fd, const struct addrinfo *addr, int64_t deadline_ns)
{
    socklen_t len = sizeof(int);
    int error = 0;

    if (connect(fd, addr->ai_addr, addr->ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    if (!wait_for(fd, POLLOUT, deadline_ns))
        return ETIMEDOUT;
    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return error;
}

static int connect_any(const struct addrinfo *addrs, int64_t deadline_ns)
{
    int error = ENOENT;

    for (const struct addrinfo *at = addrs; at; at = at->ai_next) {
        int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0) {
            error = errno;
            continue;
        }
        error = await_connection(fd, at, deadline_ns);
        if (!error)
            return fd;
        (void)close(fd);
    }
    errno = error;
    return -1;
}

static pipit_err await_info(int fd, int64_t deadline_ns)
{
    char said[5];
    size_t len = 0;

    while (len < sizeof(said)) {
        ssize_t n;

        if (!wait_for(fd, POLLIN, deadline_ns))
            return PIPIT_ETIMEOUT;
        n = recv(fd, said + len, sizeof(said) - len, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return PIPIT_EPROTO;
        len += n > 0 ? (size_t)n : 0;
    }
    return memcmp(said, "INFO ", sizeof(said)) == 0 ? PIPIT_OK : PIPIT_EPROTO;
}

pipit_err pp_health_check(const char *host, uint16_t port, char *error, size_t error_bytes)
{
    bool any = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    int64_t deadline_ns = pp_clock_mono_ns() + patience_ns;
    char service[8], reason[128];
    struct addrinfo *addrs;
    pipit_err err;
    int fd;

    (void)snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(any ? NULL : host, service, &hints, &addrs) != 0) {
        (void)snprintf(error, error_bytes, "not healthy: there is no host %.200s", host);
        return PIPIT_ENOTFOUND;
    }
    fd = connect_any(addrs, deadline_ns);
    freeaddrinfo(addrs);
    if (fd < 0) {
        pp_errno_text(errno, reason, sizeof(reason));
        (void)snprintf(error, error_bytes, "not healthy: port %u: %s", port, reason);
        return PIPIT_ENOTFOUND;
    }
    err = await_info(fd, deadline_ns);
    (void)close(fd);
    if (err)
        (void)snprintf(error, error_bytes, "not healthy: %s",
                       err == PIPIT_ETIMEOUT ? "nothing is said in 2 s" : "there is no INFO");
    return err;
}
