/* server/monitor/span.h -- spans of time as the reference's monitoring writes them. */
#ifndef PP_SERVER_MONITOR_SPAN_H
#define PP_SERVER_MONITOR_SPAN_H

#include <stddef.h>
#include <stdint.h>

enum { PP_SPAN_TEXT_BYTES = 48 };

/* "3y12d4h5m6s", "4h5m6s", "0s": from the largest unit on none is left out; a year has 365 days.
 * Returns the length. */
size_t pp_uptime_format(char out[PP_SPAN_TEXT_BYTES], int64_t ns);

/* "1.234ms", "512µs", "1m2.5s", "0s": as Go writes durations. Returns the length. */
size_t pp_span_format(char out[PP_SPAN_TEXT_BYTES], int64_t ns);

#endif
