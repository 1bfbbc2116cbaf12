/* tests/store/folder.h -- stores on the real disk, in a folder that a test program has to itself.
 *
 * There is one for each program, made and removed with its group of tests. */
#ifndef PIPIT_TESTS_STORE_FOLDER_H
#define PIPIT_TESTS_STORE_FOLDER_H

#include "store/store.h"

enum { FOLDER_PATH_BYTES = 128 };

/* For cmocka_run_group_tests(). */
int folder_make(void **state);
int folder_remove(void **state);

/* The path of something in it. */
void folder_path(const char *name, char out[FOLDER_PATH_BYTES]);

/* Open or create the store of that name; a test fails if that does. options->dir is not looked at.
 */
pp_store *folder_open(const char *name, const struct pp_store_options *options);

/* Call visit with the path of each of its segments' files. */
void folder_each_segment(const char *name, void (*visit)(void *ctx, const char *path), void *ctx);

#endif
