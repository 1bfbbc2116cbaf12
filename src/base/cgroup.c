#include "base/cgroup.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096, LINE_BYTES = 4352 };

/* What version 1 says for "no limit" is the largest number of whole pages. */
static const uint64_t no_limit = 1ULL << 60;

/* A limit read from a file; UINT64_MAX: none, or no such file. */
static uint64_t read_limit(const char *path)
{
    char text[32];
    uint64_t limit = UINT64_MAX;
    FILE *file = fopen(path, "re");

    if (!file)
        return UINT64_MAX;
    if (fgets(text, sizeof(text), file)) {
        text[strcspn(text, "\n")] = '\0';
        if (!pp_str_parse_u64(pp_str_of(text), UINT64_MAX - 1, &limit) || limit >= no_limit)
            limit = UINT64_MAX; /* "max" */
    }
    (void)fclose(file);
    return limit;
}

/* The least of the group's limit and those of the groups around it. A path that is not there is
 * one as seen from outside of the container; what is mounted at the top is the container's. */
static uint64_t least_upwards(const char *root, const char *top, char *group, const char *file)
{
    uint64_t least = UINT64_MAX;
    char path[3 * PATH_BYTES];

    for (;;) {
        uint64_t limit;
        char *slash;

        (void)snprintf(path, sizeof(path), "%s%s%s/%s", root, top, group, file);
        limit = read_limit(path);
        least = limit < least ? limit : least;
        slash = strrchr(group, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

/* Is "memory" among "cpu,memory"? */
static bool names_memory(const char *from, const char *to)
{
    while (from < to) {
        const char *comma = memchr(from, ',', (size_t)(to - from));
        const char *end = comma ? comma : to;

        if (pp_str_eq((pp_str){from, (size_t)(end - from)}, PP_STR("memory")))
            return true;
        from = end + 1;
    }
    return false;
}

/* A line "hierarchy:controllers:path"; version 2 is hierarchy 0 and names no controllers. */
static uint64_t limit_of_line(const char *root, char *line)
{
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;

    if (!path)
        return UINT64_MAX;
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    if (strcmp(line, "0:") == 0) {
        if (strcmp(path, "/") == 0)
            *path = '\0';
        return least_upwards(root, "/sys/fs/cgroup", path, "memory.max");
    }
    if (!names_memory(controllers + 1, path - 1))
        return UINT64_MAX;
    if (strcmp(path, "/") == 0)
        *path = '\0';
    return least_upwards(root, "/sys/fs/cgroup/memory", path, "memory.limit_in_bytes");
}

uint64_t pp_cgroup_memory_max(const char *root)
{
    char path[PATH_BYTES], line[LINE_BYTES];
    uint64_t least = UINT64_MAX;
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    file = fopen(path, "re");
    if (!file)
        return 0;
    while (fgets(line, sizeof(line), file)) {
        uint64_t limit = limit_of_line(root, line);

        least = limit < least ? limit : least;
    }
    (void)fclose(file);
    return least == UINT64_MAX ? 0 : least;
}
