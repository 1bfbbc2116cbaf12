/* base/origin.h -- where a page of the web comes from: scheme, host and port. Pure. */
#ifndef PP_BASE_ORIGIN_H
#define PP_BASE_ORIGIN_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* Slices of the text it was read from. */
typedef struct pp_origin {
    pp_str scheme;
    pp_str host; /* of an IPv6 address, without brackets */
    uint16_t port;
} pp_origin;

/* Read "scheme://host[:port]", whatever path follows. The port is 443 for https and 80 for all
 * others where none is given. False: it is none. */
bool pp_origin_parse(pp_str text, pp_origin *out);

/* Schemes and hosts are the same in capitals. */
bool pp_origin_equal(const pp_origin *a, const pp_origin *b);

/* Is a page of that origin one of the host that a request names in its Host header? */
bool pp_origin_is_host(const pp_origin *origin, pp_str host, bool tls);

#endif
