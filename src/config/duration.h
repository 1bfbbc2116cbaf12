/* config/duration.h -- lengths of time as people write them: "1h30m", "500ms", "1.5s".
 *
 * Source: Go's time.ParseDuration and Duration.String, which nats-server uses for its files and its
 * answers. Pure. */
#ifndef PP_CONFIG_DURATION_H
#define PP_CONFIG_DURATION_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { PP_DURATION_TEXT_BYTES = 32 };

/* A sign, then numbers with units ns us ms s m h, or 0 alone. False: not one, or beyond 64 bits. */
bool pp_duration_parse(pp_str text, int64_t *out_ns);

/* "2m0s", "1.5s", "500ms". Returns out, closed by NUL. */
const char *pp_duration_format(char out[PP_DURATION_TEXT_BYTES], int64_t ns);

#endif
