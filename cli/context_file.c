#include "cli/context_file.h"

#include "cli/command.h"
#include "cli/escape.h"
#include "cli/memory.h"
#include "cli/say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 128, FILE_MAX_BYTES = 1024 * 1024 };

static const char suffix[] = ".json";

/* --- names and paths ---------------------------------------------------------------------- */

bool cli_context_name_good(const char *name)
{
    size_t len = strlen(name);
    char *shown;
    bool safe;

    if (!len || len > NAME_MAX_BYTES || name[0] == '.' || strpbrk(name, " /\\"))
        return false;
    shown = cli_escape(name, len, 0); /* so names need no escaping anywhere */
    safe = strcmp(shown, name) == 0;
    free(shown);
    return safe;
}

/* The folder "nats" of the user's configuration. */
static char *folder(void)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    const struct passwd *who;

    if (config && *config)
        return cli_format("%s/nats", config);
    if (!home || !*home) {
        who = getpwuid(getuid());
        home = who ? who->pw_dir : "/";
    }
    return cli_format("%s/.config/nats", home);
}

static char *path_below(const char *rest)
{
    char *base = folder(), *path = cli_format("%s/%s", base, rest);

    free(base);
    return path;
}

char *cli_context_path(const char *name)
{
    char *rest = cli_format("context/%s%s", name, suffix), *path = path_below(rest);

    free(rest);
    return path;
}

bool cli_context_exists(const char *name)
{
    char *path = cli_context_path(name);
    bool there = access(path, F_OK) == 0;

    free(path);
    return there;
}

/* --- the selected one --------------------------------------------------------------------- */

char *cli_context_selected(void)
{
    char *path = path_below("context.txt"), line[NAME_MAX_BYTES + 2] = "";
    FILE *file = fopen(path, "re");

    free(path);
    if (!file)
        return NULL;
    if (!fgets(line, sizeof(line), file))
        *line = '\0';
    (void)fclose(file);
    line[strcspn(line, "\r\n")] = '\0';
    return cli_context_name_good(line) ? cli_copy(line, strlen(line)) : NULL;
}

/* All folders on the way to a file, for nobody but the user. */
static void make_folders(const char *path)
{
    char *copy = cli_copy(path, strlen(path));

    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(copy, 0700); /* writing the file tells if this did not do */
        *slash = '/';
    }
    free(copy);
}

/* In one step: a file of that name is the old one or the new one, whole. */
static int write_file(const char *path, const char *text)
{
    char *fresh = cli_format("%s.%ld", path, (long)getpid());
    int fd, status = CLI_DONE;
    FILE *file;

    make_folders(path);
    fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file || fputs(text, file) < 0 || fflush(file) != 0 || rename(fresh, path) != 0) {
        status = cli_fail(CLI_FAILED, "cannot write %s: %s", path, strerror(errno));
        (void)unlink(fresh);
    }
    if (file)
        (void)fclose(file); /* flushed */
    else if (fd >= 0)
        (void)close(fd);
    free(fresh);
    return status;
}

int cli_context_select(const char *name)
{
    char *path = path_below("context.txt");
    int status = CLI_DONE;

    if (name)
        status = write_file(path, name);
    else if (unlink(path) != 0 && errno != ENOENT)
        status = cli_fail(CLI_FAILED, "cannot remove %s: %s", path, strerror(errno));
    free(path);
    return status;
}

/* --- files -------------------------------------------------------------------------------- */

static int bad_name(const char *name)
{
    char *shown = cli_escape(name, strlen(name), 60);
    int status = cli_fail(CLI_USAGE, "\"%s\" cannot be the name of a context", shown);

    free(shown);
    return status;
}

int cli_context_load(const char *name, json_t **out)
{
    json_error_t error;
    struct stat about;
    int status = CLI_DONE;
    json_t *context;
    char *path;

    if (!cli_context_name_good(name))
        return bad_name(name);
    path = cli_context_path(name);
    if (stat(path, &about) != 0)
        status = cli_fail(CLI_USAGE, "there is no context %s: see pipit context ls", name);
    else if (about.st_size > FILE_MAX_BYTES)
        status = cli_fail(CLI_FAILED, "%s is too large to be a context", path);
    if (status) {
        free(path);
        return status;
    }
    context = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!context || !json_is_object(context)) {
        char *shown = cli_escape(error.text, strlen(error.text), 80);

        status = cli_fail(CLI_FAILED, "%s is no context: line %d: %s", path,
                          context ? 1 : error.line, context ? "it is no object" : shown);
        free(shown);
        json_decref(context);
    } else {
        *out = context;
    }
    free(path);
    return status;
}

int cli_context_store(const char *name, const json_t *context)
{
    char *text, *path;
    int status;

    if (!cli_context_name_good(name))
        return bad_name(name);
    text = json_dumps(context, JSON_INDENT(2));
    if (!text)
        cli_out_of_memory();
    path = cli_context_path(name);
    status = write_file(path, text);
    free(path);
    free(text);
    return status;
}

int cli_context_remove(const char *name)
{
    char *path, *selected;
    int status = CLI_DONE;

    if (!cli_context_name_good(name))
        return bad_name(name);
    path = cli_context_path(name);
    selected = cli_context_selected();
    if (unlink(path) != 0)
        status = errno == ENOENT
                     ? cli_fail(CLI_USAGE, "there is no context %s: see pipit context ls", name)
                     : cli_fail(CLI_FAILED, "cannot remove %s: %s", path, strerror(errno));
    else if (selected && strcmp(selected, name) == 0)
        status = cli_context_select(NULL);
    free(selected);
    free(path);
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **cli_context_names(size_t *out_count)
{
    char *path = path_below("context"), **names = NULL;
    DIR *dir = opendir(path);
    struct dirent *entry;
    size_t count = 0;

    free(path);
    while (dir && (entry = readdir(dir))) {
        size_t len = strlen(entry->d_name), end = sizeof(suffix) - 1;

        if (len <= end || strcmp(entry->d_name + len - end, suffix) != 0)
            continue;
        names = cli_realloc(names, (count + 1) * sizeof(*names));
        names[count] = cli_copy(entry->d_name, len - end);
        if (cli_context_name_good(names[count]))
            count++;
        else
            free(names[count]);
    }
    if (dir)
        (void)closedir(dir);
    if (count)
        qsort(names, count, sizeof(*names), by_name);
    *out_count = count;
    return names;
}

void cli_context_names_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

const char *cli_context_text(const json_t *context, const char *member)
{
    const char *text = json_string_value(json_object_get(context, member));

    return text && *text ? text : NULL;
}
