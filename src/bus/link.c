#include "bus/link.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { RECEIVE_STEP = 64 * 1024, HOST_MAX = 256 };

/* How long poll may wait. */
static int left_ms(int64_t due_ns)
{
    int64_t left;

    if (due_ns == INT64_MAX)
        return -1;
    left = due_ns - pp_clock_mono_ns();
    if (left <= 0)
        return 0;
    return left / 1000000 < INT32_MAX ? (int)(left / 1000000) + 1 : INT32_MAX;
}

static pipit_err await(int fd, short events, int64_t due_ns, short *out_events)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    int n;

    do {
        n = poll(&poll_fd, 1, left_ms(due_ns));
    } while (n < 0 && errno == EINTR);
    *out_events = poll_fd.revents;
    return n > 0 ? PIPIT_OK : n == 0 ? PIPIT_ETIMEOUT : PIPIT_EIO;
}

static pipit_err dial(int fd, const struct sockaddr *address, socklen_t len, int64_t due_ns)
{
    int failure = 0;
    socklen_t failure_len = sizeof(failure);
    short events;
    pipit_err err;

    if (connect(fd, address, len) == 0)
        return PIPIT_OK;
    if (errno != EINPROGRESS && errno != EAGAIN)
        return PIPIT_ECLOSED;
    err = await(fd, POLLOUT, due_ns, &events);
    if (!err && (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &failure_len) != 0 || failure))
        err = PIPIT_ECLOSED;
    return err;
}

static pipit_err open_socket(int *out_fd, const struct sockaddr *address, socklen_t len,
                             int64_t due_ns)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    pipit_err err;

    if (fd < 0)
        return PIPIT_EIO;
    err = dial(fd, address, len, due_ns);
    if (err) {
        (void)close(fd);
        return err;
    }
    if (address->sa_family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
                         sizeof(one)); /* slower without, no more */
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)); /* the same */
    }
    *out_fd = fd;
    return PIPIT_OK;
}

static pipit_err open_unix(int *out_fd, pp_str path, int64_t due_ns)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (!path.len || path.len >= sizeof(address.sun_path))
        return PIPIT_EINVAL;
    memcpy(address.sun_path, path.ptr, path.len);
    return open_socket(out_fd, (const struct sockaddr *)&address, sizeof(address), due_ns);
}

static pipit_err open_tcp(int *out_fd, pp_str where, int64_t due_ns)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    char text[HOST_MAX], *colon, *host = text;
    pipit_err err = PIPIT_ECLOSED;

    if (where.len >= sizeof(text))
        return PIPIT_EINVAL;
    memcpy(text, where.ptr, where.len);
    text[where.len] = '\0';
    colon = strrchr(text, ':');
    if (!colon || colon == text || !colon[1])
        return PIPIT_EINVAL;
    *colon = '\0';
    if (host[0] == '[' && colon[-1] == ']') {
        host++;
        colon[-1] = '\0';
    }
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return PIPIT_EINVAL;
    for (const struct addrinfo *at = found; at && err && err != PIPIT_ETIMEOUT; at = at->ai_next)
        err = open_socket(out_fd, at->ai_addr, at->ai_addrlen, due_ns);
    freeaddrinfo(found);
    return err;
}

pipit_err pp_bus_link_open(int *out_fd, pp_str address, int64_t due_ns)
{
    if (address.len && memchr(address.ptr, '\0', address.len))
        return PIPIT_EINVAL;
    if (pp_str_starts(address, PP_STR("unix:")))
        return open_unix(out_fd, (pp_str){address.ptr + 5, address.len - 5}, due_ns);
    if (pp_str_starts(address, PP_STR("tcp:")))
        return open_tcp(out_fd, (pp_str){address.ptr + 4, address.len - 4}, due_ns);
    return PIPIT_EINVAL;
}

static pipit_err send_some(int fd, pp_str *out)
{
    ssize_t n = send(fd, out->ptr, out->len, MSG_NOSIGNAL);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? PIPIT_OK : PIPIT_ECLOSED;
    out->ptr += n;
    out->len -= (size_t)n;
    return PIPIT_OK;
}

static pipit_err receive_some(int fd, pp_buf *in)
{
    pipit_err err = pp_buf_reserve(in, RECEIVE_STEP);
    ssize_t n;

    if (err)
        return err;
    n = recv(fd, in->ptr + in->len, RECEIVE_STEP, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? PIPIT_OK : PIPIT_ECLOSED;
    in->len += (size_t)n;
    return n ? PIPIT_OK : PIPIT_ECLOSED;
}

pipit_err pp_bus_link_move(int fd, pp_str *out, pp_buf *in, int64_t due_ns)
{
    short events;
    pipit_err err;

    if (out->len) { /* there is room nearly always */
        err = send_some(fd, out);
        if (err || !out->len)
            return err;
    }
    err = await(fd, (short)(out->len ? POLLIN | POLLOUT : POLLIN), due_ns, &events);
    if (!err && events & (POLLIN | POLLHUP | POLLERR))
        err = receive_some(fd, in);
    return err;
}
