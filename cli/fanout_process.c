#include "cli/fanout_process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Descriptors that are not clients'. Source: fanout, wire protocol, section 6: what the original
 * keeps back, so that `info` shows the same limit. */
enum { RESERVED = 13, RESERVED_STREAMS = 3, RESERVED_LOG = 1 };

/* --- identity ----------------------------------------------------------------------------- */

static bool is_number(const char *text, unsigned *out)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    *out = (unsigned)value;
    return *text >= '0' && *text <= '9' && !*end && !errno && value < UINT32_MAX;
}

static bool find_user(const char *name, cli_fanout_identity *out)
{
    struct passwd *user = getpwnam(name);
    unsigned number;

    if (!user && is_number(name, &number)) {
        user = getpwuid(number);
        out->uid = number;
        out->gid = user ? user->pw_gid : number;
        return true;
    }
    if (!user)
        return false;
    out->uid = user->pw_uid;
    out->gid = user->pw_gid;
    return true;
}

static bool find_group(const char *name, cli_fanout_identity *out)
{
    struct group *group = getgrnam(name);
    unsigned number;

    if (group) {
        out->gid = group->gr_gid;
        return true;
    }
    if (!is_number(name, &number))
        return false;
    out->gid = number;
    return true;
}

bool cli_fanout_identity_find(const char *run_as, cli_fanout_identity *out)
{
    char user[256];
    const char *colon = run_as ? strchr(run_as, ':') : NULL;

    *out = (cli_fanout_identity){.given = run_as != NULL};
    if (!run_as)
        return true;
    (void)snprintf(user, sizeof(user), "%.*s", (int)(colon ? colon - run_as : 255), run_as);
    if (!find_user(user, out)) {
        (void)fprintf(stderr, "ERROR invalid user: %s\n", user);
        return false;
    }
    if (colon && !find_group(colon + 1, out)) {
        (void)fprintf(stderr, "ERROR invalid group: %s\n", colon + 1);
        return false;
    }
    return true;
}

/* Who is that already need not be allowed to change. */
static bool is_already(const cli_fanout_identity *identity)
{
    return geteuid() != 0 && getuid() == identity->uid && geteuid() == identity->uid &&
           getgid() == identity->gid && getegid() == identity->gid;
}

bool cli_fanout_identity_take(const cli_fanout_identity *identity)
{
    if (!identity->given || is_already(identity))
        return true;
    if (setgroups(0, NULL) == 0 && setgid(identity->gid) == 0 && setuid(identity->uid) == 0 &&
        (identity->uid == 0 || setuid(0) != 0))
        return true;
    (void)fprintf(stderr, "ERROR cannot run as that user: %s\n", strerror(errno));
    return false;
}

/* --- descriptors -------------------------------------------------------------------------- */

bool cli_fanout_client_limit(const cli_fanout_options *options, long *out_limit)
{
    rlim_t reserved = (rlim_t)(RESERVED + (options->daemon ? 0 : RESERVED_STREAMS) +
                               (options->log_file ? RESERVED_LOG : 0));
    rlim_t wanted = (rlim_t)options->client_limit + reserved;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT32_MAX)
        limit.rlim_cur = INT32_MAX;
    if (options->client_limit == 0) {
        *out_limit = limit.rlim_cur > reserved ? (long)(limit.rlim_cur - reserved) : 1;
        return true;
    }
    *out_limit = options->client_limit;
    if (wanted <= limit.rlim_cur)
        return true;
    limit.rlim_cur = wanted;
    if (limit.rlim_max < wanted)
        limit.rlim_max = wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return true;
    (void)fprintf(stderr, "ERROR cannot have descriptors for %ld clients: %s\n",
                  options->client_limit, strerror(errno));
    return false;
}

/* --- daemon ------------------------------------------------------------------------------- */

static bool write_pid(const char *path, pid_t pid)
{
    FILE *file = fopen(path, "we");
    bool written;

    if (!file) {
        (void)fprintf(stderr, "ERROR cannot open pidfile: %s: %s\n", path, strerror(errno));
        return false;
    }
    written = fprintf(file, "%d\n", (int)pid) > 0;
    if (fclose(file) == 0 && written)
        return true;
    (void)fprintf(stderr, "ERROR cannot write pidfile: %s: %s\n", path, strerror(errno));
    return false;
}

/* The child serves when it says so, and has failed when it ends without. */
static _Noreturn void attend(pid_t child, int fd, const char *pid_file)
{
    char said;
    ssize_t n;

    do {
        n = read(fd, &said, 1);
    } while (n < 0 && errno == EINTR);
    if (n == 1 && (!pid_file || write_pid(pid_file, child)))
        _exit(EXIT_SUCCESS);
    (void)kill(child, SIGTERM);
    (void)waitpid(child, NULL, 0);
    _exit(EXIT_FAILURE);
}

int cli_fanout_detach(const char *pid_file)
{
    int fds[2];
    pid_t child;

    (void)fflush(NULL);
    if (pipe2(fds, O_CLOEXEC) < 0 || (child = fork()) < 0) {
        (void)fprintf(stderr, "ERROR cannot become a daemon: %s\n", strerror(errno));
        return -1;
    }
    if (child > 0) {
        (void)close(fds[1]);
        attend(child, fds[0], pid_file);
    }
    (void)close(fds[0]);
    (void)setsid();
    (void)umask(027);
    return fds[1];
}

void cli_fanout_detached(int fd)
{
    int none = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int stream = STDIN_FILENO; none >= 0 && stream <= STDERR_FILENO; stream++)
        (void)dup2(none, stream);
    if (none > STDERR_FILENO)
        (void)close(none);
    (void)!write(fd, "", 1);
    (void)close(fd);
}
