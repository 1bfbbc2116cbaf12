#include "bus/link.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* A record of TLS is taken out whole, so that nothing lies in OpenSSL while the socket is silent.
 */
enum { RECEIVE_STEP = 64 * 1024 };

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

static pipit_err await(const pp_bus_link *link, bool room, int64_t due_ns, short *out_events)
{
    struct pollfd poll_fd = {.fd = link->wire.fd,
                             .events = (short)(room ? POLLIN | POLLOUT : POLLIN)};
    int n;

    do {
        n = poll(&poll_fd, 1, left_ms(due_ns));
    } while (n < 0 && errno == EINTR);
    *out_events = poll_fd.revents;
    return n > 0 ? PIPIT_OK : n == 0 ? PIPIT_ETIMEOUT : PIPIT_ECLOSED;
}

/* --- addresses ---------------------------------------------------------------------------- */

static bool take_scheme(pp_str *where, pp_str scheme)
{
    if (!pp_str_starts(*where, scheme))
        return false;
    *where = (pp_str){where->ptr + scheme.len, where->len - scheme.len};
    return true;
}

/* HOST:PORT, "[HOST]:PORT" where the host has colons itself. */
static bool take_port(pp_str *where, uint16_t *out_port)
{
    size_t at = where->len;
    uint64_t port;

    while (at && where->ptr[at - 1] != ':')
        at--;
    if (at < 2 || !pp_str_parse_u64((pp_str){where->ptr + at, where->len - at}, UINT16_MAX, &port))
        return false;
    *out_port = (uint16_t)port;
    where->len = at - 1;
    if (where->len > 2 && where->ptr[0] == '[' && where->ptr[where->len - 1] == ']')
        *where = (pp_str){where->ptr + 1, where->len - 2};
    return true;
}

static pipit_err parse(pp_bus_link *link, pp_str address)
{
    pp_remote *remote = &link->remote;
    pp_str where = address;

    if (take_scheme(&where, PP_STR("unix:")))
        remote->kind = PP_REMOTE_UNIX;
    else if (take_scheme(&where, PP_STR("tcp:")))
        remote->kind = PP_REMOTE_TCP;
    else if (take_scheme(&where, PP_STR("tls:")))
        remote->kind = PP_REMOTE_TLS;
    else
        return PIPIT_EINVAL;
    if (remote->kind != PP_REMOTE_UNIX && !take_port(&where, &remote->port))
        return PIPIT_EINVAL;
    if (!where.len || where.len >= sizeof(link->host))
        return PIPIT_EINVAL;
    memcpy(link->host, where.ptr, where.len);
    return PIPIT_OK;
}

/* --- life --------------------------------------------------------------------------------- */

static void begin(pp_bus_link *link)
{
    *link = (pp_bus_link){0};
    link->remote.host = link->host;
    pp_wire_init(&link->wire, &link->rules);
}

static pipit_err connect_wire(pp_bus_link *link, int64_t due_ns)
{
    pipit_err err = pp_wire_open(&link->wire, &link->remote);
    short events;

    while (!err && (err = pp_wire_step(&link->wire)) == PIPIT_EAGAIN)
        err = await(link, link->wire.wants_room, due_ns, &events);
    return err;
}

pipit_err pp_bus_link_open(pp_bus_link *link, pp_str address, const pipit_bus_options *options,
                           int64_t due_ns)
{
    int one = 1;
    pipit_err err;

    begin(link);
    err = parse(link, address);
    if (err)
        return err;
    link->rules = (pp_tls_rules){
        .ca_file = options->tls_ca_file,
        .cert_file = options->tls_cert_file,
        .key_file = options->tls_key_file,
        .name = options->tls_name,
        .insecure = options->tls_insecure,
        .first = link->remote.kind == PP_REMOTE_TLS,
    };
    err = connect_wire(link, due_ns);
    link->rules = (pp_tls_rules){0}; /* the texts are not ours */
    switch (err) {
    case PIPIT_OK:
        if (link->remote.kind != PP_REMOTE_UNIX) /* without, a peer that vanishes is not noticed */
            (void)setsockopt(link->wire.fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
        return PIPIT_OK;
    case PIPIT_EINVAL:
    case PIPIT_ETIMEOUT:
    case PIPIT_EAUTH:
    case PIPIT_ELIMIT:
    case PIPIT_ENOMEM:
        return err;
    default: /* no such file, no such host, nobody listens */
        return PIPIT_ECLOSED;
    }
}

void pp_bus_link_adopt(pp_bus_link *link, int fd)
{
    begin(link);
    link->remote.kind = PP_REMOTE_UNIX;
    link->wire.remote = &link->remote;
    link->wire.fd = fd;
    link->wire.connected = true;
}

void pp_bus_link_close(pp_bus_link *link)
{
    pp_wire_close(&link->wire);
}

/* --- bytes -------------------------------------------------------------------------------- */

static pipit_err send_some(pp_bus_link *link, pp_str *out)
{
    size_t sent = 0;
    pipit_err err = pp_wire_send(&link->wire, out->ptr, out->len, &sent);

    if (err)
        return err == PIPIT_EAGAIN || err == PIPIT_ENOMEM ? err : PIPIT_ECLOSED;
    out->ptr += sent;
    out->len -= sent;
    return PIPIT_OK;
}

static pipit_err receive_some(pp_bus_link *link, pp_buf *in)
{
    pipit_err err = pp_buf_reserve(in, RECEIVE_STEP);
    size_t got;

    if (err)
        return err;
    err = pp_wire_receive(&link->wire, in->ptr + in->len, RECEIVE_STEP, &got);
    if (!err)
        in->len += got;
    return !err || err == PIPIT_EAGAIN ? PIPIT_OK : err == PIPIT_ENOMEM ? err : PIPIT_ECLOSED;
}

pipit_err pp_bus_link_move(pp_bus_link *link, pp_str *out, pp_buf *in, int64_t due_ns)
{
    short events;
    pipit_err err;

    if (out->len) { /* there is room nearly always */
        err = send_some(link, out);
        if (err != PIPIT_EAGAIN && (err || !out->len))
            return err;
    }
    err = await(link, out->len, due_ns, &events);
    if (!err && events & (POLLIN | POLLHUP | POLLERR))
        err = receive_some(link, in);
    return err;
}
