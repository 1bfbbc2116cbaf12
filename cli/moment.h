/* cli/moment.h -- moments and how long ago they were. */
#ifndef CLI_MOMENT_H
#define CLI_MOMENT_H

#include <stdint.h>

/* "2026-11-21 12:00:00 (3h5m ago)", in the time zone of who reads. Owner: the caller, for free().
 */
char *cli_moment_show(int64_t unix_s);

/* "3d4h", "2h5m", "1m30s", "12s": the two largest units. */
enum { CLI_SPAN_BYTES = 48 };
void cli_span_show(int64_t seconds, char out[CLI_SPAN_BYTES]);

/* "2026-11-21T12:00:00.25Z", of nanoseconds since the Unix epoch. */
enum { CLI_STAMP_BYTES = 48 };
void cli_moment_stamp(int64_t unix_ns, char out[CLI_STAMP_BYTES]);

#endif
