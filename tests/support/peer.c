#include "support/peer.h"

#include "support/check.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { IN_AT_START = 4096, READ_MIN = 65536, IN_MAX = 64 << 20 };

/* --- sockets ------------------------------------------------------------------------------ */

static bool gone(int error)
{
    return error == ECONNRESET || error == EPIPE || error == ENOTCONN;
}

static void dial(peer *p, int fd, const struct sockaddr *addr, socklen_t len)
{
    *p = (peer){.fd = fd};
    REQUIRE(connect(fd, addr, len) == 0, "connect: %s", strerror(errno));
}

void peer_dial(peer *p, uint16_t port, int receive_bytes)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    REQUIRE(fd >= 0, "socket: %s", strerror(errno));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (receive_bytes)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
    dial(p, fd, (struct sockaddr *)&addr, sizeof(addr));
}

void peer_dial_unix(peer *p, const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    REQUIRE(fd >= 0, "socket: %s", strerror(errno));
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    dial(p, fd, (struct sockaddr *)&addr, sizeof(addr));
}

void peer_close(peer *p)
{
    if (p->fd < 0)
        return;
    (void)close(p->fd);
    free(p->in);
    *p = (peer){.fd = -1};
}

void peer_cut(peer *p)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};

    if (p->fd >= 0)
        (void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    peer_close(p);
}

static void await(const peer *p, short events, const char *what)
{
    struct pollfd pfd = {.fd = p->fd, .events = events};
    int n;

    do {
        n = poll(&pfd, 1, CHECK_WAIT_MS);
    } while (n < 0 && errno == EINTR);
    REQUIRE(n > 0, "%s within %d ms", what, CHECK_WAIT_MS);
}

bool peer_write(peer *p, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len && !p->closed) {
        ssize_t n = send(p->fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0) {
            at += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            await(p, POLLOUT, "room to send");
        } else if (errno != EINTR) {
            REQUIRE(gone(errno), "send: %s", strerror(errno));
            return false; /* what it said before may still be read */
        }
    }
    return !p->closed;
}

bool peer_printf(peer *p, const char *format, ...)
{
    char small[1024], *text = small;
    va_list args;
    bool sent;
    int n;

    va_start(args, format);
    n = vsnprintf(small, sizeof(small), format, args);
    va_end(args);
    if (n >= (int)sizeof(small)) {
        text = malloc((size_t)n + 1);
        REQUIRE(text, "memory");
        va_start(args, format);
        (void)vsnprintf(text, (size_t)n + 1, format, args);
        va_end(args);
    }
    sent = peer_write(p, text, (size_t)n);
    if (text != small)
        free(text);
    return sent;
}

bool peer_publish(peer *p, const char *subject, const void *payload, size_t len)
{
    return peer_printf(p, "PUB %s %zu\r\n", subject, len) && peer_write(p, payload, len) &&
           peer_write(p, "\r\n", 2);
}

/* --- reading ------------------------------------------------------------------------------ */

/* Read more behind what is there; room for `need` bytes from in_at on. False: closed. */
static bool fill(peer *p, size_t need)
{
    ssize_t n;

    if (p->closed)
        return false;
    if (p->in_at) {
        memmove(p->in, p->in + p->in_at, p->in_len - p->in_at);
        p->in_len -= p->in_at;
        p->in_at = 0;
    }
    if (p->in_cap < need || p->in_cap - p->in_len < 1024) {
        size_t cap = p->in_cap ? p->in_cap : IN_AT_START;

        while (cap < need || cap - p->in_len < READ_MIN)
            cap *= 2;
        REQUIRE(cap <= IN_MAX, "%zu bytes without an end to them", p->in_len);
        p->in = realloc(p->in, cap + 1);
        REQUIRE(p->in, "memory");
        p->in_cap = cap;
    }
    for (;;) {
        n = recv(p->fd, p->in + p->in_len, p->in_cap - p->in_len, MSG_DONTWAIT);
        if (n > 0) {
            p->in_len += (size_t)n;
            return true;
        }
        if (n == 0 || (n < 0 && gone(errno))) {
            p->closed = true;
            return false;
        }
        if (errno == EAGAIN)
            await(p, POLLIN, "an answer");
        else
            REQUIRE(errno == EINTR, "recv: %s", strerror(errno));
    }
}

/* The next line, cut off and closed by NUL; NULL: closed. */
static char *next_line(peer *p)
{
    size_t looked = 0;

    for (;;) {
        char *start = p->in + p->in_at;
        size_t len = p->in_len - p->in_at;
        char *lf = len > looked ? memchr(start + looked, '\n', len - looked) : NULL;

        if (lf) {
            REQUIRE(lf > start && lf[-1] == '\r', "a line that ends with LF alone: %.80s", start);
            lf[-1] = '\0';
            p->in_at = (size_t)(lf + 1 - p->in);
            return start;
        }
        looked = len;
        if (!fill(p, len + 1))
            return NULL;
    }
}

/* The frame's line stands at p->in + line_at; its body follows. Offsets: the buffer may move. */
static bool take_body(peer *p, char **line, size_t line_len, size_t body)
{
    size_t need = line_len + 2 + body + 2;

    p->in_at -= line_len + 2; /* the line moves with what follows it */
    while (p->in_len - p->in_at < need) {
        if (!fill(p, need))
            return false;
    }
    *line = p->in + p->in_at;
    p->in_at += need;
    return true;
}

static unsigned long number(const char *text, const char *line)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    REQUIRE(end != text && *end == '\0', "a number: %.200s", line);
    return value;
}

/* [H]MSG subject sid [reply] [header-size] size */
static peer_kind take_msg(peer *p, char *line, bool has_header, peer_event *out)
{
    size_t line_len = strlen(line), body, header = 0, sizes = has_header ? 2 : 1, count = 0;
    char copy[8192], *args[6], *save, *at;

    REQUIRE(line_len < sizeof(copy), "a line of %zu bytes", line_len);
    memcpy(copy, line, line_len + 1);
    for (at = strtok_r(copy, " ", &save); at && count < 6; at = strtok_r(NULL, " ", &save))
        args[count++] = at;
    REQUIRE(!at && (count == 3 + sizes || count == 4 + sizes), "a frame: %.200s", line);
    body = number(args[count - 1], line);
    if (has_header)
        header = number(args[count - 2], line);
    REQUIRE(header <= body, "a frame: %.200s", line);
    if (!take_body(p, &line, line_len, body))
        return PEER_CLOSED;
    out->line = line;
    out->subject = line + (args[1] - copy);
    out->subject[strlen(args[1])] = '\0';
    out->sid = (uint32_t)number(args[2], args[2]);
    out->reply = count == 4 + sizes ? line + (args[3] - copy) : NULL;
    if (out->reply)
        out->reply[strlen(args[3])] = '\0';
    out->header = line + line_len + 2;
    out->header_len = header;
    out->payload = out->header + header;
    out->payload_len = body - header;
    REQUIRE(memcmp(line + line_len + 2 + body, "\r\n", 2) == 0, "CR LF behind %zu bytes of %s",
            body, args[1]);
    p->msgs++;
    return PEER_MSG;
}

peer_kind peer_next(peer *p, peer_event *out)
{
    for (;;) {
        char *line = next_line(p);

        *out = (peer_event){.line = line};
        if (!line)
            out->kind = PEER_CLOSED;
        else if (strncmp(line, "MSG ", 4) == 0)
            out->kind = take_msg(p, line, false, out);
        else if (strncmp(line, "HMSG ", 5) == 0)
            out->kind = take_msg(p, line, true, out);
        else if (strcmp(line, "PONG") == 0)
            out->kind = PEER_PONG;
        else if (strcmp(line, "+OK") == 0)
            out->kind = PEER_OK;
        else if (strncmp(line, "INFO {", 6) == 0)
            out->kind = PEER_INFO;
        else if (strncmp(line, "-ERR '", 6) == 0)
            out->kind = PEER_ERR;
        else if (strcmp(line, "PING") == 0) {
            (void)peer_write(p, "PONG\r\n", 6); /* if it has closed, the next read tells */
            continue;
        } else
            check_fail(__FILE__, __LINE__, "well formed", "the server says: %.200s", line);
        return out->kind;
    }
}

bool peer_next_msg(peer *p, peer_event *out)
{
    for (;;) {
        peer_kind kind = peer_next(p, out);

        if (kind == PEER_MSG || kind == PEER_CLOSED)
            return kind == PEER_MSG;
    }
}

bool peer_barrier(peer *p)
{
    peer_event event;

    (void)peer_write(p, "PING\r\n", 6); /* when it has closed, read on: it may have said why */
    for (;;) {
        peer_kind kind = peer_next(p, &event);

        if (kind == PEER_PONG || kind == PEER_CLOSED)
            return kind == PEER_PONG;
    }
}

void peer_await_close(peer *p)
{
    peer_event event;

    while (peer_next(p, &event) != PEER_CLOSED)
        ;
}

/* --- opening ------------------------------------------------------------------------------ */

bool peer_greet(peer *p)
{
    peer_event event;

    if (peer_next(p, &event) != PEER_INFO)
        return false;
    if (!peer_write(p, PEER_CONNECT "PING\r\n", sizeof(PEER_CONNECT "PING\r\n") - 1))
        return false;
    for (;;) {
        switch (peer_next(p, &event)) {
        case PEER_CLOSED:
        case PEER_ERR:
            return false;
        case PEER_INFO: /* the second one comes right behind the PONG */
            return true;
        default:
            break;
        }
    }
}

bool peer_try_open(peer *p, uint16_t port)
{
    peer_dial(p, port, 0);
    return peer_greet(p);
}

void peer_open(peer *p, uint16_t port)
{
    peer_open_narrow(p, port, 0);
}

void peer_open_narrow(peer *p, uint16_t port, int receive_bytes)
{
    peer_dial(p, port, receive_bytes);
    REQUIRE(peer_greet(p), "the server takes a client");
}
