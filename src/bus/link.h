/* bus/link.h -- a stream to a server: bytes out, bytes in, with a deadline. The sockets and TLS are
 * those of NATS clients (client/wire.h). */
#ifndef PP_BUS_LINK_H
#define PP_BUS_LINK_H

#include "base/buf.h"
#include "client/remote.h"
#include "client/wire.h"
#include "pipit/bus.h"

enum { PP_BUS_HOST_MAX = 256 };

/* It must stay where it is: the wire points into it. */
typedef struct pp_bus_link {
    pp_wire wire;
    pp_remote remote;
    pp_tls_rules rules;
    char host[PP_BUS_HOST_MAX];
} pp_bus_link;

/**
 * Connect to "unix:PATH", "tcp:HOST:PORT" or "tls:HOST:PORT". The link is to be closed either way.
 *
 * Errors: PIPIT_EINVAL no such address, or files of options that cannot be used; PIPIT_ECLOSED;
 *         PIPIT_ETIMEOUT; PIPIT_EAUTH; PIPIT_ELIMIT; PIPIT_ENOMEM.
 */
pipit_err pp_bus_link_open(pp_bus_link *link, pp_str address, const pipit_bus_options *options,
                           int64_t due_ns);
/* On a stream that is connected already and does not block. Owner: fd is the link's. */
void pp_bus_link_adopt(pp_bus_link *link, int fd);
void pp_bus_link_close(pp_bus_link *link);

/**
 * Send what is in out and receive into in, until one of the two has moved on or the deadline has
 * come; INT64_MAX: there is none. Errors: PIPIT_ETIMEOUT; PIPIT_ECLOSED; PIPIT_ENOMEM.
 */
pipit_err pp_bus_link_move(pp_bus_link *link, pp_str *out, pp_buf *in, int64_t due_ns);

#endif
