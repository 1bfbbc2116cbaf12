#include "server/signal_command.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum {
    PIDS_MAX = 1024,
    NAME_MAX_KERNEL = 15, /* what the kernel keeps of a process's name */
};

static const struct command {
    const char *name;
    int signal;
} commands[] = {
    {"stop", SIGKILL},   {"quit", SIGINT},   {"term", SIGTERM},
    {"reopen", SIGUSR1}, {"reload", SIGHUP}, {"ldm", SIGUSR2},
};

struct pids {
    pid_t list[PIDS_MAX];
    size_t count;
};

__attribute__((format(printf, 2, 3))) static pipit_err refuse(pp_buf *message, const char *format,
                                                              ...)
{
    char text[512];
    va_list args;
    pipit_err err;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    err = pp_buf_addf(message, "%s", text);
    return err ? err : PIPIT_EINVAL;
}

static ssize_t read_file(const char *path, char *out, size_t out_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n;

    if (fd < 0)
        return -1;
    n = read(fd, out, out_bytes - 1);
    (void)close(fd); /* read-only */
    if (n >= 0)
        out[n] = '\0';
    return n;
}

/* --- who runs ----------------------------------------------------------------------------- */

static bool is_named(const char *comm, size_t len, const char *name)
{
    size_t name_len = strlen(name);

    name_len = name_len < NAME_MAX_KERNEL ? name_len : NAME_MAX_KERNEL;
    return len == name_len && memcmp(comm, name, len) == 0;
}

/* Does the process run, under that name? */
static bool is_server(const char *pid, const char *program)
{
    char path[64], stat[512];
    const char *open, *close;

    (void)snprintf(path, sizeof(path), "/proc/%.16s/stat", pid);
    if (read_file(path, stat, sizeof(stat)) <= 0)
        return false; /* it has gone meanwhile */
    open = strchr(stat, '(');
    close = strrchr(stat, ')'); /* the name may hold brackets */
    if (!open || !close || close < open || strlen(close) < 3 || close[2] == 'Z')
        return false;
    return is_named(open + 1, (size_t)(close - open - 1), program);
}

/* All but ourselves whose ids begin with prefix. */
static pipit_err find_servers(const char *program, pp_str prefix, struct pids *out)
{
    const struct dirent *entry;
    DIR *dir = opendir("/proc");

    out->count = 0;
    if (!dir)
        return PIPIT_EIO;
    while (out->count < PIDS_MAX && (entry = readdir(dir))) {
        uint64_t pid;

        if (!pp_str_parse_u64(pp_str_of(entry->d_name), INT_MAX, &pid) || pid == 0 ||
            pid == (uint64_t)getpid() || !pp_str_starts(pp_str_of(entry->d_name), prefix))
            continue;
        if (is_server(entry->d_name, program))
            out->list[out->count++] = (pid_t)pid;
    }
    (void)closedir(dir);
    return PIPIT_OK;
}

/* --- who is meant ------------------------------------------------------------------------- */

static pipit_err find_only(const char *program, struct pids *out, pp_buf *message)
{
    pipit_err err;

    if (find_servers(program, (pp_str){NULL, 0}, out))
        return refuse(message, "unable to resolve pid, try providing one");
    if (out->count == 0)
        return refuse(message, "no %s processes running", program);
    if (out->count == 1)
        return PIPIT_OK;
    err = pp_buf_addf(message, "multiple %s processes running:", program);
    for (size_t i = 0; i < out->count && !err; i++)
        err = pp_buf_addf(message, "\n%d", (int)out->list[i]);
    return err ? err : PIPIT_EINVAL;
}

static pipit_err find_prefixed(const char *program, pp_str prefix, struct pids *out,
                               pp_buf *message)
{
    uint64_t number;

    if (prefix.len && !pp_str_parse_u64(prefix, INT_MAX, &number))
        return refuse(message, "invalid pid: %.*s", PP_STR_ARGS(prefix));
    if (find_servers(program, prefix, out))
        return refuse(message, "unable to resolve pid, try providing one");
    return out->count ? PIPIT_OK : refuse(message, "no %s processes running", program);
}

static pipit_err find_meant(const char *target, const char *program, struct pids *out,
                            pp_buf *message)
{
    char content[32];
    ssize_t n;
    uint64_t pid;

    if (!*target)
        return find_only(program, out, message);
    if (target[strlen(target) - 1] == '*')
        return find_prefixed(program, (pp_str){target, strlen(target) - 1}, out, message);
    n = read_file(target, content, sizeof(content));
    if (n >= 0)
        target = content;
    if (!pp_str_parse_u64(pp_str_of(target), INT_MAX, &pid) || pid == 0)
        return refuse(message, "invalid pid: %.200s", target);
    *out = (struct pids){.list = {(pid_t)pid}, .count = 1};
    return PIPIT_OK;
}

/* --- sending ------------------------------------------------------------------------------ */

static pipit_err send_all(const struct command *command, const struct pids *pids, pp_buf *message)
{
    pipit_err err = PIPIT_OK;
    char reason[128];

    for (size_t i = 0; i < pids->count && !err; i++) {
        if (kill(pids->list[i], command->signal) == 0)
            continue;
        pp_errno_text(errno, reason, sizeof(reason));
        err = pp_buf_addf(message, "\nsignal \"%s\" %d: %s", command->name, (int)pids->list[i],
                          reason);
    }
    return err ? err : message->len ? PIPIT_EINVAL : PIPIT_OK;
}

/* "quit=1=2=3" as the reference says it: what stands after the second '='. */
static pipit_err refuse_parameters(const char *rest, pp_buf *message)
{
    char text[128];

    (void)snprintf(text, sizeof(text), "%s", rest);
    for (char *c = text; *c; c++)
        *c = *c == '=' ? ' ' : *c;
    return refuse(message, "invalid signal parameters: [%s]", text);
}

pipit_err pp_signal_command(const char *argument, const char *program, pp_buf *message)
{
    const char *equals = strchr(argument, '=');
    pp_str name = {argument, equals ? (size_t)(equals - argument) : strlen(argument)};
    const char *target = equals ? equals + 1 : "";
    const char *more = strchr(target, '=');
    struct pids pids;
    pipit_err err;

    if (more)
        return refuse_parameters(more + 1, message);
    err = find_meant(target, program, &pids, message);
    if (err)
        return err;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (pp_str_eq(name, pp_str_of(commands[i].name)))
            return send_all(&commands[i], &pids, message);
    }
    return refuse(message, "unknown signal \"%.*s\"", name.len < 100 ? (int)name.len : 100,
                  name.ptr);
}
