#include "server/activation.h"

#include "base/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST_FD = 3 };

/* Is the environment meant for this process, and not left over from its parent? */
static uint64_t socket_count(void)
{
    const char *pid_text = getenv("LISTEN_PID"), *count_text = getenv("LISTEN_FDS");
    uint64_t pid, count;

    if (!pid_text || !count_text || !pp_str_parse_u64(pp_str_of(pid_text), INT32_MAX, &pid) ||
        pid != (uint64_t)getpid() || !pp_str_parse_u64(pp_str_of(count_text), INT32_MAX, &count))
        return 0;
    return count;
}

static void take(pp_activation *out, uint64_t count)
{
    const char *names = getenv("LISTEN_FDNAMES");

    for (uint64_t i = 0; i < count; i++) {
        size_t len = names ? strcspn(names, ":") : 0;
        int fd = FIRST_FD + (int)i;

        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
        out->sockets[i].fd = fd;
        (void)snprintf(out->sockets[i].name, PP_ACTIVATION_NAME_BYTES, "%.*s", (int)len,
                       names ? names : "");
        names = names && names[len] ? names + len + 1 : NULL;
    }
    out->count = count;
}

pipit_err pp_activation_take(pp_activation *out)
{
    uint64_t count = socket_count();

    *out = (pp_activation){0};
    if (count <= PP_ACTIVATION_MAX)
        take(out, count);
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    return count <= PP_ACTIVATION_MAX ? PIPIT_OK : PIPIT_ELIMIT;
}
