/* fatal.h -- a benchmark that cannot go on has nothing to report: it says why and ends. */
#ifndef BENCH_FATAL_H
#define BENCH_FATAL_H

#include <stddef.h>

/* Print a printf-style message as one line on stderr and exit with status 1. Thread: any. */
_Noreturn void bench_fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Memory of count elements, zeroed. Never NULL: running out ends the program. */
void *bench_alloc(size_t count, size_t element_bytes);

#endif
