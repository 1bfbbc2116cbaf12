/* A folder for one test's files, gone with it; and what stands in them. */
#ifndef PIPIT_TESTS_UNIT_LOG_FOLDER_H
#define PIPIT_TESTS_UNIT_LOG_FOLDER_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
    char path[64];
};

static inline void folder_init(struct folder *folder)
{
    strcpy(folder->path, "/tmp/pipit-test-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
}

static inline const char *folder_file(const struct folder *folder, const char *name)
{
    static char path[4][512];
    static unsigned next;
    char *out = path[next++ % 4];

    (void)snprintf(out, sizeof(path[0]), "%s/%s", folder->path, name);
    return out;
}

/* How many files there are whose names begin so; the first by name into out, if not NULL. */
static inline unsigned folder_count(const struct folder *folder, const char *prefix, char *out)
{
    DIR *dir = opendir(folder->path);
    const struct dirent *entry;
    unsigned count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.' || strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        if (out && (count == 0 || strcmp(entry->d_name, out) < 0))
            strcpy(out, entry->d_name);
        count++;
    }
    (void)closedir(dir);
    return count;
}

/* A file's text, cut at the buffer's end; empty if there is none. */
static inline const char *folder_read(const struct folder *folder, const char *name)
{
    static char text[65536];
    FILE *file = fopen(folder_file(folder, name), "r");
    size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

    text[n] = '\0';
    if (file)
        (void)fclose(file);
    return text;
}

static inline void folder_fini(const struct folder *folder)
{
    DIR *dir = opendir(folder->path);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        (void)unlink(folder_file(folder, entry->d_name));
    (void)closedir(dir);
    (void)chmod(folder->path, 0700);
    (void)rmdir(folder->path);
}

#endif
