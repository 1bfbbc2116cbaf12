#include "cli/memory.h"

#include "cli/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void cli_out_of_memory(void)
{
    (void)fputs("pipit: out of memory\n", stderr);
    exit(CLI_FAILED);
}

void *cli_alloc(size_t bytes)
{
    void *memory = calloc(1, bytes ? bytes : 1);

    if (!memory)
        cli_out_of_memory();
    return memory;
}

void *cli_realloc(void *memory, size_t bytes)
{
    memory = realloc(memory, bytes ? bytes : 1);
    if (!memory)
        cli_out_of_memory();
    return memory;
}

char *cli_copy(const void *text, size_t bytes)
{
    char *copy = cli_alloc(bytes + 1);

    if (bytes)
        memcpy(copy, text, bytes);
    return copy;
}

char *cli_vformat(const char *format, va_list arguments)
{
    char *text = NULL;

    if (vasprintf(&text, format, arguments) < 0)
        cli_out_of_memory();
    return text;
}

char *cli_format(const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = cli_vformat(format, arguments);
    va_end(arguments);
    return text;
}
