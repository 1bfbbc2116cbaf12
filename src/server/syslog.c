#include "server/syslog.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    FACILITY_KERNEL = 0, /* of what goes elsewhere, as in the reference */
    FACILITY_DAEMON = 3,
    CONNECT_MS = 5000,
    STUCK_MS = 10000, /* a daemon that takes nothing for so long is gone */
};

static const int64_t backoff_min_ns = 100 * PP_NS_PER_MS;
static const int64_t backoff_max_ns = 10 * PP_NS_PER_S;

enum kind { LOCAL, UNIX, UDP, TCP };

struct pp_syslog {
    enum kind kind;
    const char *scheme; /* of a URL; "" otherwise */
    char *address;      /* a path, or host:port */
    char *tag;
    char hostname[256];
    pp_syslog_form form;
    int attention_fd;
    int fd;
    bool stream;
    int64_t retry_ns, backoff_ns;
};

/* --- connecting --------------------------------------------------------------------------- */

/* True when fd is ready. False: not in time, or somebody wants attention; errno tells. */
static bool wait_for(const pp_syslog *s, int fd, short events, int ms)
{
    struct pollfd fds[2] = {{.fd = fd, .events = events},
                            {.fd = s->attention_fd, .events = POLLIN}};

    if (poll(fds, 2, ms) > 0 && fds[0].revents)
        return true;
    errno = ETIMEDOUT;
    return false;
}

static int connect_socket(const pp_syslog *s, int family, int type, const struct sockaddr *addr,
                          socklen_t len)
{
    int fd = pp_fault("syslog_connect") ? (errno = ENFILE, -1)
                                        : socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t error_len = sizeof(int);
    int error = 0;

    if (fd < 0)
        return -1;
    if (connect(fd, addr, len) == 0)
        return fd;
    error = errno;
    if (error == EINPROGRESS) {
        error = ETIMEDOUT;
        if (wait_for(s, fd, POLLOUT, CONNECT_MS))
            (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len);
    }
    if (!error)
        return fd;
    (void)close(fd);
    errno = error;
    return -1;
}

static bool connect_unix(pp_syslog *s, const char *path, int type)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(addr.sun_path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(addr.sun_path, path, strlen(path) + 1);
    s->fd = connect_socket(s, AF_UNIX, type, (const struct sockaddr *)&addr, sizeof(addr));
    s->stream = type == SOCK_STREAM;
    return s->fd >= 0;
}

static bool connect_either(pp_syslog *s, const char *path, int first, int second)
{
    return connect_unix(s, path, first) || (errno == EPROTOTYPE && connect_unix(s, path, second));
}

static bool connect_local(pp_syslog *s)
{
    static const char *const paths[] = {"/dev/log", "/var/run/syslog", "/var/run/log"};

    if (s->address)
        return connect_either(s, s->address, SOCK_DGRAM, SOCK_STREAM);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (connect_either(s, paths[i], SOCK_DGRAM, SOCK_STREAM))
            return true;
    }
    return false;
}

/* "host:port", "[v6]:port" into host and the port that stands behind it. */
static const char *split_address(const char *address, char *host, size_t host_bytes)
{
    const char *colon = strrchr(address, ':');
    bool bracketed = colon && colon > address + 1 && address[0] == '[' && colon[-1] == ']';
    size_t len = colon ? (size_t)(colon - address) : 0;

    if (!colon || !colon[1] || len >= host_bytes)
        return NULL;
    if (bracketed)
        (void)snprintf(host, host_bytes, "%.*s", (int)len - 2, address + 1);
    else
        (void)snprintf(host, host_bytes, "%.*s", (int)len, address);
    return colon + 1;
}

static bool connect_inet(pp_syslog *s)
{
    struct addrinfo hints = {.ai_socktype = s->kind == UDP ? SOCK_DGRAM : SOCK_STREAM};
    char host[256];
    const char *port = split_address(s->address, host, sizeof(host));
    struct addrinfo *addrs;

    errno = EINVAL;
    if (!port)
        return false;
    if (getaddrinfo(*host ? host : NULL, port, &hints, &addrs) != 0) {
        errno = EHOSTUNREACH;
        return false;
    }
    for (const struct addrinfo *a = addrs; a && s->fd < 0; a = a->ai_next)
        s->fd = connect_socket(s, a->ai_family, a->ai_socktype, a->ai_addr, a->ai_addrlen);
    freeaddrinfo(addrs);
    s->stream = s->kind == TCP;
    return s->fd >= 0;
}

static bool connect_now(pp_syslog *s)
{
    switch (s->kind) {
    case LOCAL:
        return connect_local(s);
    case UNIX:
        return connect_either(s, s->address, SOCK_STREAM, SOCK_DGRAM);
    case UDP:
    case TCP:
        break;
    }
    return connect_inet(s);
}

/* --- life --------------------------------------------------------------------------------- */

/* What stands behind "user:password@" of a URL. Nobody is asked for credentials, so those given are
 * passed over, as in the reference. */
static const char *skip_user(const char *address, enum kind kind)
{
    size_t host_bytes = kind == UNIX ? strcspn(address, "/") : strlen(address);
    const char *at = memrchr(address, '@', host_bytes);

    return at ? at + 1 : address;
}

/* Fill in scheme and kind, and return where the address begins; NULL: no such kind. */
static const char *parse_remote(pp_syslog *s, const char *remote)
{
    static const struct {
        const char *scheme;
        enum kind kind;
    } kinds[] = {{"udp://", UDP}, {"tcp://", TCP}, {"unix://", UNIX}, {"unix:", UNIX}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t len = strlen(kinds[i].scheme);

        if (strncmp(remote, kinds[i].scheme, len) == 0) {
            s->scheme = kinds[i].scheme;
            s->kind = kinds[i].kind;
            return skip_user(remote + len, s->kind);
        }
    }
    return NULL;
}

static pipit_err fill(pp_syslog *s, const char *remote, const char *local_path, const char *tag,
                      char *error, size_t error_bytes)
{
    const char *address = local_path;

    s->kind = LOCAL;
    s->scheme = "";
    if (remote) {
        address = parse_remote(s, remote);
        if (!address) {
            /* Without a scheme it may be anything, of which nothing is shown. */
            (void)snprintf(error, error_bytes, "error invalid network type: \"%.*s\"",
                           strstr(remote, "://") ? (int)strcspn(remote, ":") : 0, remote);
            return PIPIT_EINVAL;
        }
    }
    s->address = address ? pp_memdupz(address, strlen(address)) : NULL;
    s->tag = pp_memdupz(tag, strlen(tag));
    if ((address && !s->address) || !s->tag) {
        (void)snprintf(error, error_bytes, "out of memory");
        return PIPIT_ENOMEM;
    }
    (void)gethostname(s->hostname, sizeof(s->hostname) - 1);
    s->form = (pp_syslog_form){
        .pid = (int)getpid(),
        .facility = s->kind == LOCAL ? FACILITY_DAEMON : FACILITY_KERNEL,
        .hostname = s->kind == UDP || s->kind == TCP ? s->hostname : NULL,
        .tag = s->tag,
    };
    return PIPIT_OK;
}

pipit_err pp_syslog_open(pp_syslog **out_syslog, const char *remote, const char *local_path,
                         const char *tag, int attention_fd, char *error, size_t error_bytes)
{
    pp_syslog *s = pp_calloc(1, sizeof(*s));
    char reason[128];
    pipit_err err;

    if (!s) {
        (void)snprintf(error, error_bytes, "out of memory");
        return PIPIT_ENOMEM;
    }
    s->fd = -1;
    s->attention_fd = attention_fd;
    s->backoff_ns = backoff_min_ns;
    err = fill(s, remote, local_path, tag, error, error_bytes);
    if (err)
        goto out;
    if (!connect_now(s)) {
        pp_errno_text(errno, reason, sizeof(reason));
        (void)snprintf(error, error_bytes, "error connecting to syslog: \"%s%s: %s\"", s->scheme,
                       remote ? s->address : "local socket", reason);
        err = PIPIT_ENOTFOUND;
        goto out;
    }
    *out_syslog = s;
    s = NULL;
out:
    pp_syslog_close(s);
    return err;
}

void pp_syslog_close(pp_syslog *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        (void)close(s->fd);
    pp_free(s->address);
    pp_free(s->tag);
    pp_free(s);
}

/* --- sending ------------------------------------------------------------------------------ */

static void disconnect(pp_syslog *s)
{
    (void)close(s->fd);
    s->fd = -1;
    s->retry_ns = pp_clock_mono_ns() + s->backoff_ns;
    s->backoff_ns = s->backoff_ns * 2 < backoff_max_ns ? s->backoff_ns * 2 : backoff_max_ns;
}

static bool reconnect(pp_syslog *s)
{
    if (s->fd >= 0)
        return true;
    if (pp_clock_mono_ns() < s->retry_ns)
        return false;
    if (connect_now(s))
        return true;
    s->retry_ns = pp_clock_mono_ns() + s->backoff_ns;
    s->backoff_ns = s->backoff_ns * 2 < backoff_max_ns ? s->backoff_ns * 2 : backoff_max_ns;
    return false;
}

/* All of it or, with errno, not. */
static bool send_all(pp_syslog *s, const char *line, size_t len)
{
    bool again = !s->stream; /* a datagram may be told what became of the one before it */
    size_t done = 0;

    while (done < len) {
        ssize_t n = send(s->fd, line + done, len - done, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN) {
            if (!wait_for(s, s->fd, POLLOUT, STUCK_MS))
                return false;
        } else if (errno == ECONNREFUSED && again && s->kind == UDP) {
            again = false;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* A stream would take a line more after its peer has gone, and lose it. */
static bool peer_left(const pp_syslog *s)
{
    char said[256];
    ssize_t n;

    if (!s->stream)
        return false;
    while ((n = recv(s->fd, said, sizeof(said), MSG_DONTWAIT)) > 0)
        continue; /* a daemon has nothing to say */
    return n == 0;
}

pp_log_result pp_syslog_send(pp_syslog *s, const char *line, size_t len)
{
    if (!reconnect(s))
        return PP_LOG_LATER;
    if (peer_left(s)) {
        disconnect(s);
        return PP_LOG_LATER;
    }
    if (send_all(s, line, len)) {
        s->backoff_ns = backoff_min_ns;
        return PP_LOG_WRITTEN;
    }
    if (errno == EMSGSIZE)
        return PP_LOG_LOST;
    disconnect(s);
    return PP_LOG_LATER;
}

size_t pp_syslog_format(const pp_syslog *s, const pp_log_entry *entry, char *out)
{
    return pp_log_line_format_syslog(&s->form, entry, out);
}

int64_t pp_syslog_retry_ns(const pp_syslog *s)
{
    return s->retry_ns;
}
