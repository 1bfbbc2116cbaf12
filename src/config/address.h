/* config/address.h -- "host:port" in its forms. Pure. */
#ifndef PP_CONFIG_ADDRESS_H
#define PP_CONFIG_ADDRESS_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* Split "host", "host:port", "[v6]" or "[v6]:port"; *out_port.ptr is NULL where there is none. host
 * may be empty. False: there are colons too many, or brackets that do not match. */
bool pp_address_split(pp_str text, pp_str *out_host, pp_str *out_port);

/* Read a port from 0 to 65535, or -1. */
bool pp_port_parse(pp_str text, int32_t *out_port);

#endif
