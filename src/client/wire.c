#include "client/wire.h"

#include "base/fault.h"
#include "client/cipher.h"
#include "client/ws_end.h"
#include "net/socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void pp_wire_init(pp_wire *wire, const pp_tls_rules *rules)
{
    *wire = (pp_wire){.fd = -1, .rules = rules};
}

pipit_err pp_wire_fail(pp_wire *wire, pipit_err err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(wire->reason, sizeof(wire->reason), format, args);
    va_end(args);
    return err;
}

static pipit_err fail_errno(pp_wire *wire, int errno_value)
{
    char text[128];
    pipit_err err = pp_err_from_errno(errno_value);

    pp_errno_text(errno_value, text, sizeof(text));
    return pp_wire_fail(wire, err == PIPIT_EAGAIN ? PIPIT_EIO : err, "%s: %s", wire->remote->host,
                        text);
}

/* --- connecting --------------------------------------------------------------------------- */

bool pp_wire_begins_encrypted(const pp_wire *wire, const pp_remote *remote)
{
    return remote->kind == PP_REMOTE_WSS ||
           (wire->rules->first && (remote->kind == PP_REMOTE_TCP || remote->kind == PP_REMOTE_TLS));
}

static int open_socket(int family)
{
    return pp_fault("socket") ? (errno = EMFILE, -1)
                              : socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static pipit_err begin(pp_wire *wire, const struct sockaddr *address, socklen_t len)
{
    wire->fd = open_socket(address->sa_family);
    if (wire->fd < 0)
        return fail_errno(wire, errno);
    if (connect(wire->fd, address, len) == 0 || errno == EINPROGRESS)
        return PIPIT_OK;
    return fail_errno(wire, errno);
}

static pipit_err begin_unix(pp_wire *wire)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(wire->remote->host);
    int bytes = PP_UNIX_SEND_BYTES;
    pipit_err err;

    if (len >= sizeof(address.sun_path))
        return pp_wire_fail(wire, PIPIT_EINVAL, "the path is too long");
    memcpy(address.sun_path, wire->remote->host, len);
    err = begin(wire, (const struct sockaddr *)&address, sizeof(address));
    if (!err)
        (void)setsockopt(wire->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)); /* or slower */
    return err;
}

/* With the next address that takes a connection, or at least begins to. */
static pipit_err begin_next(pp_wire *wire)
{
    pipit_err err = PIPIT_ENOTFOUND;

    while (wire->next_address) {
        const struct addrinfo *at = wire->next_address;

        wire->next_address = at->ai_next;
        if (wire->fd >= 0)
            (void)close(wire->fd);
        wire->fd = -1;
        err = begin(wire, at->ai_addr, at->ai_addrlen);
        if (!err || err == PIPIT_ELIMIT || err == PIPIT_ENOMEM)
            break;
    }
    return err;
}

static pipit_err begin_tcp(pp_wire *wire)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    char port[8];
    int failure;

    (void)snprintf(port, sizeof(port), "%u", wire->remote->port);
    failure = getaddrinfo(wire->remote->host, port, &hints, &wire->addresses);
    if (failure) {
        wire->addresses = NULL;
        return pp_wire_fail(wire, failure == EAI_MEMORY ? PIPIT_ENOMEM : PIPIT_ENOTFOUND, "%s: %s",
                            wire->remote->host, gai_strerror(failure));
    }
    wire->next_address = wire->addresses;
    return begin_next(wire);
}

pipit_err pp_wire_open(pp_wire *wire, const pp_remote *remote)
{
    pipit_err err;

    wire->remote = remote;
    wire->reason[0] = '\0';
    wire->wants_room = wire->wants_step = true;
    err = remote->kind == PP_REMOTE_UNIX ? begin_unix(wire) : begin_tcp(wire);
    if (!err && pp_remote_framed(remote))
        err = pp_ws_end_new(&wire->framing, remote);
    return err;
}

/* Is the socket connected, or what became of it? */
static pipit_err look(pp_wire *wire)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    int failure = 0, on = 1;

    if (getpeername(wire->fd, (struct sockaddr *)&peer, &len) == 0) {
        if (wire->remote->kind != PP_REMOTE_UNIX) /* else messages may wait for each other */
            (void)setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        wire->connected = true;
        return PIPIT_OK;
    }
    len = sizeof(failure);
    if (getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &failure, &len) != 0)
        failure = errno;
    if (!failure)
        return PIPIT_EAGAIN; /* not yet */
    return wire->next_address ? begin_next(wire) : fail_errno(wire, failure);
}

pipit_err pp_wire_secure(pp_wire *wire)
{
    pipit_err err = pp_cipher_new(&wire->cipher, wire);

    wire->wants_step = !err;
    return err;
}

static pipit_err step(pp_wire *wire)
{
    pipit_err err;

    if (!wire->connected) {
        err = look(wire);
        if (err || !wire->connected)
            return err ? err : PIPIT_EAGAIN;
        if (pp_wire_begins_encrypted(wire, wire->remote)) {
            err = pp_wire_secure(wire);
            if (err)
                return err;
        }
    }
    if (wire->cipher && !wire->ciphered) {
        err = pp_cipher_shake(wire->cipher, wire);
        if (err)
            return err;
        wire->ciphered = true;
    }
    if (wire->framing && !wire->framed) {
        err = pp_ws_end_shake(wire->framing, wire);
        if (err)
            return err;
        wire->framed = true;
    }
    return PIPIT_OK;
}

pipit_err pp_wire_step(pp_wire *wire)
{
    pipit_err err;

    if (wire->connected)
        wire->wants_room = false;
    err = step(wire);
    wire->wants_step = err == PIPIT_EAGAIN;
    if (!err)
        wire->wants_room = false;
    return err;
}

/* --- bytes -------------------------------------------------------------------------------- */

static bool again(int errno_value)
{
    return errno_value == EAGAIN || errno_value == EWOULDBLOCK;
}

pipit_err pp_wire_receive_raw(pp_wire *wire, char *to, size_t len, size_t *out_got)
{
    ssize_t got;

    if (wire->cipher)
        return pp_cipher_receive(wire->cipher, wire, to, len, out_got);
    do
        got = recv(wire->fd, to, len, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return again(errno) ? PIPIT_EAGAIN : fail_errno(wire, errno);
    if (!got)
        return pp_wire_fail(wire, PIPIT_ECLOSED, "%s: the server has closed the connection",
                            wire->remote->host);
    *out_got = (size_t)got;
    return PIPIT_OK;
}

pipit_err pp_wire_send_raw(pp_wire *wire, const char *bytes, size_t len, size_t *out_sent)
{
    ssize_t sent;

    *out_sent = 0;
    if (!len) { /* nothing was left behind here */
        wire->wants_room = false;
        return PIPIT_OK;
    }
    if (wire->cipher)
        return pp_cipher_send(wire->cipher, wire, bytes, len, out_sent);
    do
        sent = send(wire->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && !again(errno))
        return fail_errno(wire, errno);
    wire->wants_room = sent < 0;
    *out_sent = sent < 0 ? 0 : (size_t)sent;
    return sent < 0 ? PIPIT_EAGAIN : PIPIT_OK;
}

pipit_err pp_wire_receive(pp_wire *wire, char *to, size_t len, size_t *out_got)
{
    return wire->framing ? pp_ws_end_receive(wire->framing, wire, to, len, out_got)
                         : pp_wire_receive_raw(wire, to, len, out_got);
}

pipit_err pp_wire_send(pp_wire *wire, const char *bytes, size_t len, size_t *out_sent)
{
    return wire->framing ? pp_ws_end_send(wire->framing, wire, bytes, len, out_sent)
                         : pp_wire_send_raw(wire, bytes, len, out_sent);
}

void pp_wire_close(pp_wire *wire)
{
    pp_cipher_free(wire->cipher);
    pp_ws_end_free(wire->framing);
    if (wire->fd >= 0)
        (void)close(wire->fd);
    if (wire->addresses)
        freeaddrinfo(wire->addresses);
    wire->cipher = NULL;
    wire->framing = NULL;
    wire->addresses = wire->next_address = NULL;
    wire->fd = -1;
    wire->connected = wire->ciphered = wire->framed = wire->wants_room = wire->wants_step = false;
}
