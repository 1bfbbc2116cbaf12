/* auth/time_zone.h -- how far the clocks of a place are from UTC.
 *
 * Reads the system's time zone files itself, since the C library knows one zone at a time and keeps
 * it for the whole process. */
#ifndef PP_AUTH_TIME_ZONE_H
#define PP_AUTH_TIME_ZONE_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

/* Offset in seconds, east of UTC, of a zone such as "Europe/Oslo" at a moment in seconds since the
 * Unix epoch. An empty name and "Local" are the server's own zone. Reads a small file.
 *
 * Errors: PIPIT_EINVAL there is no such zone on this system, or its file is damaged; PIPIT_ENOMEM.
 * Source: RFC 8536. */
pipit_err pp_time_zone_offset(pp_str name, int64_t at_s, int32_t *out_offset_s);

bool pp_time_zone_exists(pp_str name);

/* The same with a file's content. Pure. */
pipit_err pp_time_zone_read(const uint8_t *file, size_t len, int64_t at_s, int32_t *out_offset_s);

/* The rule at the end of such a file: "CET-1CEST,M3.5.0,M10.5.0/3". Pure. */
pipit_err pp_time_rule_read(pp_str rule, int64_t at_s, int32_t *out_offset_s);

#endif
