#include "folder.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char folder[] = "/tmp/pipit-store-XXXXXX";

int folder_make(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

int folder_remove(void **state)
{
    char command[FOLDER_PATH_BYTES];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

void folder_path(const char *name, char out[FOLDER_PATH_BYTES])
{
    (void)snprintf(out, FOLDER_PATH_BYTES, "%s/%s", folder, name);
}

pp_store *folder_open(const char *name, const struct pp_store_options *options)
{
    struct pp_store_options here = *options;
    char dir[FOLDER_PATH_BYTES], why[PP_STORE_WHY_BYTES] = "";
    pp_store *store = NULL;

    folder_path(name, dir);
    here.dir = dir;
    here.create = true;
    if (pp_store_open(&here, &store, why))
        fail_msg("open: %s", why);
    return store;
}

void folder_each_segment(const char *name, void (*visit)(void *ctx, const char *path), void *ctx)
{
    char dir[FOLDER_PATH_BYTES], path[FOLDER_PATH_BYTES + 256];
    struct dirent *entry;
    DIR *files;

    folder_path(name, dir);
    files = opendir(dir);
    assert_non_null(files);
    while ((entry = readdir(files))) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        if (strstr(entry->d_name, ".seg"))
            visit(ctx, path);
    }
    (void)closedir(files);
}
