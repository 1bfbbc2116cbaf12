/* cli/memory.h -- memory of the tool. A command that can get none can do nothing, and leaves
 * nothing behind that the system does not clear: the tool says so and ends. */
#ifndef CLI_MEMORY_H
#define CLI_MEMORY_H

#include <stdarg.h>
#include <stddef.h>

/* Zeroed. Owner: the caller, for free(). None of these returns NULL. */
void *cli_alloc(size_t bytes);
void *cli_realloc(void *memory, size_t bytes);
char *cli_copy(const void *text, size_t bytes); /* with a NUL behind */
char *cli_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *cli_vformat(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

/* Say that there is no memory, and end. */
_Noreturn void cli_out_of_memory(void);

#endif
