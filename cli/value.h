/* cli/value.h -- numbers, sizes and times, as people write and read them. */
#ifndef CLI_VALUE_H
#define CLI_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False: it is none, or too large. */
bool cli_count_parse(const char *text, int64_t *out);    /* 100000, 100k, 2M, 1G: thousands */
bool cli_size_parse(const char *text, int64_t *out);     /* 128, 4K, 4KB, 4KiB, 1M: of 1024 */
bool cli_duration_parse(const char *text, int64_t *out); /* 1h30m, 250ms, 1.5s, 2d, 0 */
bool cli_real_parse(const char *text, double *out);      /* 0.5, 20k */

enum { CLI_VALUE_BYTES = 32 }; /* that the following need, at most */

/* Shown: "1,234,567"; "1.2 MiB"; "83.1 us". */
void cli_count_format(uint64_t value, char out[CLI_VALUE_BYTES]);
void cli_size_format(double bytes, char out[CLI_VALUE_BYTES]);
void cli_duration_format(int64_t ns, char out[CLI_VALUE_BYTES]);

#endif
