/* fatal.c -- see fatal.h. */
#include "fatal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void bench_fatal(const char *format, ...)
{
    va_list args;

    (void)fflush(stdout); /* what was reported before the failure comes out first */
    va_start(args, format);
    (void)fputs("pipit-bench: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    _exit(1); /* other threads may be running: no exit handlers */
}

void *bench_alloc(size_t count, size_t element_bytes)
{
    void *memory = calloc(count ? count : 1, element_bytes);

    if (!memory)
        bench_fatal("out of memory (%zu x %zu bytes)", count, element_bytes);
    return memory;
}
