#include "net/listener.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "net/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,
    ACCEPTS_PER_TURN = 64,
};

static const int64_t retry_min_ns = 10 * PP_NS_PER_MS;
static const int64_t retry_max_ns = PP_NS_PER_S;

/* --- sockets ------------------------------------------------------------------------------ */

static int open_socket(int family, int protocol)
{
    if (pp_fault("socket")) {
        errno = ENFILE;
        return -1;
    }
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

static pipit_err bind_tcp(const struct addrinfo *addr, int *out_fd)
{
    int one = 1, zero = 0;
    int fd = open_socket(addr->ai_family, addr->ai_protocol);
    int error;

    if (fd < 0)
        return pp_err_from_errno(errno);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (addr->ai_family == AF_INET6) /* "::" is everybody, IPv4 too */
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    if (bind(fd, addr->ai_addr, addr->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
        error = errno;
        (void)close(fd);
        errno = error;
        return pp_err_from_errno(error);
    }
    *out_fd = fd;
    return PIPIT_OK;
}

pipit_err pp_listen_port(int fd, uint16_t *out_port)
{
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof(addr);

    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        return pp_err_from_errno(errno);
    *out_port = ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                                 : ((struct sockaddr_in *)&addr)->sin_port);
    return PIPIT_OK;
}

pipit_err pp_listen_tcp(const char *host, uint16_t port, int *out_fd, uint16_t *out_port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *addrs;
    char service[8];
    pipit_err err = PIPIT_EINVAL;
    int fd = -1, error;

    errno = 0;
    (void)snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(host, service, &hints, &addrs) != 0) {
        errno = 0;
        return PIPIT_EINVAL;
    }
    for (const struct addrinfo *addr = addrs; addr && err; addr = addr->ai_next)
        err = bind_tcp(addr, &fd);
    error = errno;
    freeaddrinfo(addrs);
    errno = error;
    if (err)
        return err;
    err = pp_listen_port(fd, out_port);
    if (err) {
        (void)close(fd);
        return err;
    }
    *out_fd = fd;
    return PIPIT_OK;
}

/* Remove a socket file left behind by a server that is gone. */
static pipit_err remove_stale(const struct sockaddr_un *addr, socklen_t len)
{
    struct stat st;
    pipit_err err = PIPIT_EINUSE;
    int fd;

    if (lstat(addr->sun_path, &st) < 0)
        return errno == ENOENT ? PIPIT_OK : pp_err_from_errno(errno);
    if (!S_ISSOCK(st.st_mode))
        return PIPIT_EEXIST;
    fd = open_socket(AF_UNIX, 0);
    if (fd < 0)
        return pp_err_from_errno(errno);
    if (connect(fd, (const struct sockaddr *)addr, len) < 0 && errno == ECONNREFUSED)
        err = unlink(addr->sun_path) < 0 && errno != ENOENT ? pp_err_from_errno(errno) : PIPIT_OK;
    (void)close(fd);
    return err;
}

pipit_err pp_listen_unix(const char *path, unsigned mode, int *out_fd)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
    pipit_err err;
    int fd;

    if (strlen(path) >= sizeof(addr.sun_path))
        return PIPIT_EINVAL;
    memcpy(addr.sun_path, path, strlen(path) + 1);
    err = remove_stale(&addr, len);
    if (err)
        return err;
    fd = open_socket(AF_UNIX, 0);
    if (fd < 0)
        return pp_err_from_errno(errno);
    /* The file gets the socket's mode (less the umask) when it is bound, so it is never open to
     * more than mode; chmod then gives what the umask took. */
    if (fchmod(fd, (mode_t)mode) < 0 || bind(fd, (const struct sockaddr *)&addr, len) < 0) {
        err = pp_err_from_errno(errno);
        (void)close(fd);
        return err;
    }
    if (chmod(path, (mode_t)mode) < 0 || listen(fd, BACKLOG) < 0) {
        err = pp_err_from_errno(errno);
        (void)close(fd);
        (void)unlink(path);
        return err;
    }
    *out_fd = fd;
    return PIPIT_OK;
}

static int socket_option(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

pipit_err pp_listen_adopt(int fd, int *out_family)
{
    int family = socket_option(fd, SO_DOMAIN), flags = fcntl(fd, F_GETFL);

    if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
        return PIPIT_EINVAL;
    if (socket_option(fd, SO_TYPE) != SOCK_STREAM || socket_option(fd, SO_ACCEPTCONN) != 1)
        return PIPIT_EINVAL;
    if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return PIPIT_EINVAL;
    *out_family = family;
    return PIPIT_OK;
}

void pp_listen_text(int fd, char *out, size_t out_bytes)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
        struct sockaddr_un local;
        struct sockaddr_storage storage;
    } addr = {0};
    socklen_t len = sizeof(addr.storage);
    char text[INET6_ADDRSTRLEN] = "";

    (void)getsockname(fd, &addr.any, &len);
    if (addr.any.sa_family == AF_UNIX) {
        (void)snprintf(out, out_bytes, "unix:%.*s", (int)sizeof(addr.local.sun_path),
                       addr.local.sun_path);
    } else if (addr.any.sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &addr.six.sin6_addr, text, sizeof(text));
        (void)snprintf(out, out_bytes, "[%s]:%u", text, ntohs(addr.six.sin6_port));
    } else {
        (void)inet_ntop(AF_INET, &addr.four.sin_addr, text, sizeof(text));
        (void)snprintf(out, out_bytes, "%s:%u", text, ntohs(addr.four.sin_port));
    }
}

/* --- accepting ---------------------------------------------------------------------------- */

/* A connection on its way to its loop. */
struct arrival {
    pp_task task;
    pp_loop *loop;
    const pp_door *door;
    uint64_t id;
    int fd;
};

static void arrive(pp_task *task)
{
    struct arrival *arrival = PP_CONTAINER(task, struct arrival, task);
    pp_conn *conn;

    (void)pp_conn_open(arrival->loop, arrival->fd, arrival->id, arrival->door,
                       &conn); /* on failure the peer sees the connection close */
    pp_free(arrival);
}

/* The loop with the fewest connections; among equals in turn, or, where they are to be together,
 * the first. */
static unsigned choose_loop(pp_listener *listener)
{
    unsigned first = listener->together ? 0 : listener->next_loop, best = 0;
    uint64_t best_load = UINT64_MAX;

    for (unsigned i = 0; i < listener->loop_count; i++) {
        unsigned at = (first + i) % listener->loop_count;
        uint64_t load = listener->given[at] -
                        atomic_load_explicit(&listener->loops[at]->counters->connections_closed,
                                             memory_order_relaxed);

        if (listener->together)
            load /= listener->together;
        if (load < best_load) {
            best = at;
            best_load = load;
        }
    }
    listener->next_loop = (best + 1) % listener->loop_count;
    return best;
}

/* Options of a socket that has been accepted: at worst it is slower without. */
static void tune(int fd)
{
    int one = 1, bytes = PP_UNIX_SEND_BYTES;

    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 && errno == EOPNOTSUPP)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)); /* a Unix socket */
}

void pp_listener_give(pp_listener *listener, int fd)
{
    struct arrival *arrival = pp_alloc(sizeof(*arrival));
    unsigned at = choose_loop(listener);

    if (!arrival) {
        (void)close(fd);
        return;
    }
    tune(fd);
    listener->given[at]++;
    *arrival = (struct arrival){
        .task.run = arrive,
        .loop = listener->loops[at],
        .door = listener->door,
        .id = atomic_fetch_add(listener->next_id, 1) + 1,
        .fd = fd,
    };
    pp_loop_post(arrival->loop, &arrival->task);
}

static void on_retry(pp_timer *timer);

static int accept_one(const pp_listener *listener)
{
    if (pp_fault("accept")) {
        errno = EMFILE;
        return -1;
    }
    return accept4(listener->source.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static void keep_spare(pp_listener *listener)
{
    if (listener->turn_away && listener->spare_fd < 0)
        listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* There are no descriptors for those who come: tell one by means of the spare one. */
static bool turn_one_away(pp_listener *listener)
{
    int fd;

    if (listener->spare_fd < 0)
        return false;
    (void)close(listener->spare_fd);
    listener->spare_fd = -1;
    fd = accept4(listener->source.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        listener->turn_away(listener, fd);
    keep_spare(listener);
    return fd >= 0;
}

static void accept_some(pp_listener *listener)
{
    pp_loop *loop = listener->loop;

    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept_one(listener);

        if (fd >= 0) {
            listener->retry_ns = retry_min_ns;
            pp_listener_give(listener, fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED && !turn_one_away(listener)) {
            /* No descriptors, no memory: others may free some. */
            pp_timer_set(&loop->timers, &listener->retry, loop->now_ns + listener->retry_ns,
                         on_retry);
            listener->retry_ns =
                listener->retry_ns * 2 < retry_max_ns ? listener->retry_ns * 2 : retry_max_ns;
            return;
        }
    }
    pp_timer_set(&loop->timers, &listener->retry, loop->now_ns + 1,
                 on_retry); /* more wait; other work first */
}

static void on_retry(pp_timer *timer)
{
    accept_some(PP_CONTAINER(timer, pp_listener, retry));
}

static void on_listener_event(pp_source *source, uint32_t events)
{
    (void)events;
    accept_some(PP_CONTAINER(source, pp_listener, source));
}

void pp_listener_init(pp_listener *listener)
{
    listener->source = (pp_source){.fd = -1, .on_event = on_listener_event};
    listener->retry_ns = retry_min_ns;
    listener->spare_fd = -1;
}

pipit_err pp_listener_start(pp_listener *listener)
{
    keep_spare(listener);
    return pp_loop_watch(listener->loop, &listener->source);
}

void pp_listener_stop(pp_listener *listener)
{
    if (listener->source.fd < 0)
        return;
    pp_timer_cancel(&listener->loop->timers, &listener->retry);
    (void)pp_loop_unwatch(listener->loop, &listener->source);
    (void)close(listener->source.fd);
    listener->source.fd = -1;
    if (listener->turn_away && listener->spare_fd >= 0) {
        (void)close(listener->spare_fd);
        listener->spare_fd = -1;
    }
    if (listener->unlink_path)
        (void)unlink(listener->unlink_path);
}
