/* bus/link.h -- a stream to a server: bytes out, bytes in, with a deadline. */
#ifndef PP_BUS_LINK_H
#define PP_BUS_LINK_H

#include "base/buf.h"

/* Connect to "unix:PATH" or "tcp:HOST:PORT". Errors: PIPIT_EINVAL; PIPIT_ECLOSED; PIPIT_ETIMEOUT;
 * PIPIT_EIO. */
pipit_err pp_bus_link_open(int *out_fd, pp_str address, int64_t due_ns);

/**
 * Send what is in out and receive into in, until one of the two has moved on or the deadline has
 * come; INT64_MAX: there is none. Errors: PIPIT_ETIMEOUT; PIPIT_ECLOSED; PIPIT_ENOMEM.
 */
pipit_err pp_bus_link_move(int fd, pp_str *out, pp_buf *in, int64_t due_ns);

#endif
