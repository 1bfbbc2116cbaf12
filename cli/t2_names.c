#include "cli/t2_names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_one_of(const char *text, const char *const *schemes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(schemes[i]);

        if (strncmp(text, schemes[i], len) == 0 && text[len])
            return true;
    }
    return false;
}

bool cli_t2_is_address(const char *text)
{
    static const char *const schemes[] = {"tcp:", "unix:", "tls:", "name:"};

    return is_one_of(text, schemes, sizeof(schemes) / sizeof(schemes[0]));
}

bool cli_t2_is_name(const char *text)
{
    return *text && text[strspn(text, "abcdefghijklmnopqrstuvwxyz_")] == '\0';
}

static char *path_of_names(void)
{
    const char *home = getenv("HOME");
    char *path;

    return home && asprintf(&path, "%s/.t2", home) >= 0 ? path : NULL;
}

/* A line of the file, cut in two; false: it is none. */
static bool split(char *line, char **out_name, char **out_address)
{
    static const char *const schemes[] = {"tcp:", "unix:", "tls:"};
    char *blank = strchr(line, ' ');

    line[strcspn(line, "\n")] = '\0';
    if (!blank || blank == line ||
        !is_one_of(blank + 1, schemes, sizeof(schemes) / sizeof(schemes[0])))
        return false;
    *blank = '\0';
    *out_name = line;
    *out_address = blank + 1;
    return true;
}

/* The address of a name; NULL name: the first. */
static char *look_up(const char *name)
{
    char *path = path_of_names(), *line = NULL, *here, *address, *found = NULL;
    FILE *file = path ? fopen(path, "re") : NULL;
    size_t room = 0;

    while (file && !found && getline(&line, &room, file) >= 0) {
        if (split(line, &here, &address) && (!name || strcmp(name, here) == 0))
            found = strdup(address);
    }
    if (file)
        (void)fclose(file); /* it was read only */
    free(line);
    free(path);
    return found;
}

char *cli_t2_resolve(const char *given, const char **out_error)
{
    static char unknown[256]; /* there is one command a process */
    char *found;

    if (given && strncmp(given, "name:", 5) != 0)
        return strdup(given);
    found = look_up(given ? given + 5 : NULL);
    if (found)
        return found;
    (void)snprintf(unknown, sizeof(unknown), "Name is not registered: %s", given ? given + 5 : "");
    *out_error = given ? unknown
                       : "No default address found in config. Use the register command to add one "
                         "or specify an address";
    return NULL;
}

/* Copy the other names. */
static void copy_others(FILE *from, FILE *to, const char *name)
{
    char *line = NULL, *here, *address;
    size_t room = 0;

    while (from && getline(&line, &room, from) >= 0) {
        if (split(line, &here, &address) && strcmp(here, name) != 0)
            (void)fprintf(to, "%s %s\n", here, address); /* fclose tells */
    }
    free(line);
}

bool cli_t2_register(const char *name, const char *address, bool first, const char **out_error)
{
    char *path = path_of_names(), *fresh = NULL;
    FILE *from = path ? fopen(path, "re") : NULL, *to = NULL;
    bool done = false;

    *out_error = "HOME environment variable not set";
    if (path && asprintf(&fresh, "%s.new", path) >= 0)
        to = fopen(fresh, "we");
    if (to) {
        if (address && first)
            (void)fprintf(to, "%s %s\n", name, address); /* fclose tells, here and below */
        copy_others(from, to, name);
        if (address && !first)
            (void)fprintf(to, "%s %s\n", name, address);
        done = fclose(to) == 0 && rename(fresh, path) == 0;
    }
    if (path && !done)
        *out_error = strerror(errno);
    if (from)
        (void)fclose(from); /* it was read only */
    free(path);
    free(fresh);
    return done;
}
