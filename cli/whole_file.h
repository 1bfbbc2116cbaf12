/* cli/whole_file.h -- files of keys, tokens and the like, which are read as a whole. */
#ifndef CLI_WHOLE_FILE_H
#define CLI_WHOLE_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Read a file, or standard input for "-", with a NUL behind. NULL: why not has been said. Owner:
 * the caller, for free(). */
char *cli_whole_file_read(const char *path, size_t bytes_max, size_t *out_bytes);

/* Write a file that must not be there yet, for its owner's eyes only. False: why not has been
 * said. */
bool cli_whole_file_write(const char *path, const char *text);

#endif
