/* auth/address_range.h -- ranges of addresses, as "10.0.0.0/8" names one. */
#ifndef PP_AUTH_ADDRESS_RANGE_H
#define PP_AUTH_ADDRESS_RANGE_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

typedef struct pp_address_range {
    uint8_t bytes[16]; /* IPv4 as IPv4-mapped IPv6 */
    unsigned bits;     /* of 128 */
} pp_address_range;

/* Read one; out may be NULL. Errors: PIPIT_EINVAL. */
pipit_err pp_address_range_parse(pp_str text, pp_address_range *out);

/* address is text without a port; false for what is none, too. An IPv4 address that came by IPv6 is
 * one all the same. */
bool pp_address_range_has(const pp_address_range *range, pp_str address);

#endif
