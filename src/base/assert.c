#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void pp_panic(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)fputs("pipit: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    abort();
}
