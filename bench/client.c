/* client.c -- see client.h. One buffer per connection, frames are parsed in place. */
#include "client.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "fatal.h"
#include "tls.h"

#define BUFFER_BYTES_FIRST 8192
#define FIELDS_MAX 6

const char bench_client_hello[] =
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"name\":\"pipit-bench\","
    "\"lang\":\"c\",\"version\":\"1.0.0\",\"protocol\":1,\"echo\":true,\"headers\":true,"
    "\"no_responders\":true}\r\n";

static int dial_unix(const char *path, bool nonblocking)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);

    if (fd < 0)
        bench_fatal("socket: %s", strerror(errno));
    if (strlen(path) >= sizeof address.sun_path)
        bench_fatal("socket path is too long: %s", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (errno != EAGAIN)
        bench_fatal("connect to %s: %s", path, strerror(errno));
    (void)close(fd); /* never connected */
    errno = EAGAIN;
    return -1;
}

static int dial_tcp(const char *host, const char *port, bool nonblocking)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int one = 1;
    int error = getaddrinfo(host, port, &hints, &found);
    int fd;

    if (error)
        bench_fatal("%s:%s: %s", host, port, gai_strerror(error));
    fd =
        socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);
    if (fd < 0)
        bench_fatal("socket: %s", strerror(errno));
    /* A failure only costs latency, and the figures would show it. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS)
        bench_fatal("connect to %s:%s: %s", host, port, strerror(errno));
    freeaddrinfo(found);
    return fd;
}

int bench_client_dial(const bench_target *target, bool nonblocking)
{
    if (target->unix_path)
        return dial_unix(target->unix_path, nonblocking);
    return dial_tcp(target->host, target->port, nonblocking);
}

void bench_client_open(bench_client *client, const bench_target *target)
{
    const struct timeval limit = {.tv_sec = BENCH_CLIENT_TIMEOUT_S};

    *client = (bench_client){.fd = bench_client_dial(target, false)};
    client->buffer_bytes = BUFFER_BYTES_FIRST;
    client->buffer = bench_alloc(1, client->buffer_bytes);
    if (setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
        bench_fatal("setsockopt: %s", strerror(errno));
    if (target->tls)
        client->tls = bench_tls_connect(client->fd);
    if (target->websocket)
        bench_websocket_ask(client->fd, target->host);
    client->by_websocket = target->websocket;
    bench_client_send(client, bench_client_hello, strlen(bench_client_hello));
    bench_client_flush(client);
}

void bench_client_close(bench_client *client)
{
    bench_tls_close(client->tls);
    if (client->buffer)
        (void)close(client->fd); /* nothing waits to be written */
    free(client->buffer);
    *client = (bench_client){.fd = -1, .closed = true};
}

ssize_t bench_client_receive(bench_client *client, void *to, size_t len, int flags)
{
    return client->tls ? bench_tls_receive(client->tls, to, len, flags)
                       : recv(client->fd, to, len, flags);
}

ssize_t bench_client_write(bench_client *client, const void *bytes, size_t len, int flags)
{
    return client->tls ? bench_tls_send(client->tls, bytes, len)
                       : send(client->fd, bytes, len, flags);
}

bool bench_client_pending(const bench_client *client)
{
    return client->tls && bench_tls_pending(client->tls);
}

static void send_all(bench_client *client, const char *at, size_t len)
{
    while (len > 0) {
        ssize_t sent = bench_client_write(client, at, len, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            bench_fatal("send: %s", errno == EAGAIN ? "the server does not read" : strerror(errno));
        at += sent;
        len -= (size_t)sent;
    }
}

void bench_client_send(bench_client *client, const void *bytes, size_t len)
{
    char *frame;

    if (!client->by_websocket) {
        send_all(client, bytes, len);
        return;
    }
    frame = bench_alloc(1, len + BENCH_WEBSOCKET_HEAD_MAX);
    send_all(client, frame, bench_websocket_frame(frame, bytes, len));
    free(frame);
}

void bench_client_flush(bench_client *client)
{
    bench_client_send(client, "PING\r\n", 6);
    for (;;) {
        bench_frame frame = bench_client_next(client);

        if (frame.kind == BENCH_FRAME_PONG)
            return;
        if (frame.kind == BENCH_FRAME_PING)
            bench_client_send(client, "PONG\r\n", 6);
        if (frame.kind == BENCH_FRAME_NONE && !bench_client_fill(client, 0))
            bench_fatal("no PONG: %s", !client->closed    ? "the server did not answer in time"
                                       : client->error[0] ? client->error
                                                          : "the server closed the connection");
    }
}

static void make_room(bench_client *client)
{
    size_t held = client->end - client->start;

    if (client->start > 0) {
        memmove(client->buffer, client->buffer + client->start, held);
        client->start = 0;
        client->end = held;
    }
    if (held < client->buffer_bytes / 2)
        return;
    client->buffer_bytes *= 2;
    client->buffer = realloc(client->buffer, client->buffer_bytes);
    if (!client->buffer)
        bench_fatal("out of memory");
}

bool bench_client_fill(bench_client *client, int flags)
{
    ssize_t got;

    make_room(client);
    do
        got = bench_client_receive(client, client->buffer + client->end,
                                   client->buffer_bytes - client->end, flags);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        client->end += bench_client_unframe(client, client->buffer + client->end, (size_t)got);
        return true;
    }
    if (got == 0 || errno != EAGAIN)
        client->closed = true;
    return false;
}

/* Split a control line, without its line end, at runs of blanks. */
static unsigned split(bench_slice line, bench_slice *fields)
{
    unsigned count = 0;
    size_t at = 0;

    while (count < FIELDS_MAX) {
        size_t from;

        while (at < line.len && line.ptr[at] == ' ')
            at++;
        if (at == line.len)
            break;
        from = at;
        while (at < line.len && line.ptr[at] != ' ')
            at++;
        fields[count++] = (bench_slice){line.ptr + from, at - from};
    }
    return count;
}

static size_t parse_size(bench_slice digits)
{
    size_t value = 0;

    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            bench_fatal("the server sent a bad size: %.*s", (int)digits.len, digits.ptr);
        value = value * 10 + (size_t)(digits.ptr[i] - '0');
    }
    return value;
}

/* MSG subject sid [reply] size, or HMSG subject sid [reply] header_size size. */
static void parse_message(bench_frame *frame, bench_slice line, bool has_headers)
{
    bench_slice fields[FIELDS_MAX];
    unsigned count = split(line, fields);
    unsigned least = has_headers ? 5 : 4;

    if (count != least && count != least + 1)
        bench_fatal("the server sent a malformed line: %.*s", (int)line.len, line.ptr);
    frame->kind = has_headers ? BENCH_FRAME_HMSG : BENCH_FRAME_MSG;
    frame->subject = fields[1];
    frame->sid = fields[2];
    if (count == least + 1)
        frame->reply = fields[3];
    frame->payload.ptr = line.ptr + line.len + 2;
    frame->payload.len = parse_size(fields[count - 1]);
}

static bool begins(bench_slice line, const char *verb)
{
    return line.len >= strlen(verb) && memcmp(line.ptr, verb, strlen(verb)) == 0;
}

static bench_frame parse_line(bench_client *client, bench_slice line)
{
    bench_frame frame = {.kind = BENCH_FRAME_OTHER};

    if (begins(line, "MSG "))
        parse_message(&frame, line, false);
    else if (begins(line, "HMSG "))
        parse_message(&frame, line, true);
    else if (begins(line, "PING"))
        frame.kind = BENCH_FRAME_PING;
    else if (begins(line, "PONG"))
        frame.kind = BENCH_FRAME_PONG;
    else if (begins(line, "-ERR")) {
        frame.kind = BENCH_FRAME_ERR;
        (void)snprintf(client->error, sizeof client->error, "%.*s", (int)line.len, line.ptr);
    } else if (!begins(line, "INFO") && !begins(line, "+OK"))
        bench_fatal("the server sent an unknown line: %.*s", (int)line.len, line.ptr);
    return frame;
}

bench_frame bench_client_next(bench_client *client)
{
    const bench_frame none = {.kind = BENCH_FRAME_NONE};
    const char *from = client->buffer + client->start;
    size_t held = client->end - client->start;
    const char *line_end = memchr(from, '\n', held);
    bench_frame frame;

    if (!line_end)
        return none;
    if (line_end == from || line_end[-1] != '\r')
        bench_fatal("the server sent a line without CR");
    frame = parse_line(client, (bench_slice){from, (size_t)(line_end - from) - 1});
    frame.frame_bytes = (size_t)(line_end - from) + 1;
    if (frame.kind == BENCH_FRAME_MSG || frame.kind == BENCH_FRAME_HMSG) {
        frame.frame_bytes += frame.payload.len + 2;
        if (frame.frame_bytes > held)
            return none;
        if (memcmp(from + frame.frame_bytes - 2, "\r\n", 2) != 0)
            bench_fatal("the server sent a payload without CR LF at its end");
    }
    client->start += frame.frame_bytes;
    return frame;
}
