/* server/health_check.h -- "--health_check": does a server answer? For where there is no shell to
 * ask with. */
#ifndef PP_SERVER_HEALTH_CHECK_H
#define PP_SERVER_HEALTH_CHECK_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/**
 * Connect as a client and wait for the server's INFO, for two seconds at most.
 *
 * host "0.0.0.0" and "::" stand for this host. A server that turns clients away for good reason,
 * such as a limit, is alive. On failure error holds a sentence.
 *
 * Errors: PIPIT_ENOTFOUND nobody listens; PIPIT_ETIMEOUT it says nothing; PIPIT_EPROTO it says
 *         something else.
 */
pipit_err pp_health_check(const char *host, uint16_t port, char *error, size_t error_bytes);

#endif
