#include "server/notify.h"

#include "base/str.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TEXT_MAX = 1024 };

static const uint64_t watchdog_max_us = UINT64_C(1000000) * 3600 * 24 * 365;

static int64_t watchdog_ns(void)
{
    const char *interval = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t us, wanted;

    if (!interval || !pp_str_parse_u64(pp_str_of(interval), watchdog_max_us, &us))
        return 0;
    if (pid &&
        (!pp_str_parse_u64(pp_str_of(pid), INT32_MAX, &wanted) || wanted != (uint64_t)getpid()))
        return 0; /* meant for another process of the service */
    return (int64_t)us * 1000;
}

void pp_notify_open(pp_notify *notify)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path ? strlen(path) : 0;

    *notify = (pp_notify){.fd = -1, .addr.sun_family = AF_UNIX};
    /* "@" stands for the NUL of a name that is in no file system */
    if (len > 1 && len < sizeof(notify->addr.sun_path) && (path[0] == '/' || path[0] == '@')) {
        memcpy(notify->addr.sun_path, path, len);
        if (path[0] == '@')
            notify->addr.sun_path[0] = '\0';
        notify->addr_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
        notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    if (notify->fd >= 0)
        notify->watchdog_ns = watchdog_ns();
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

void pp_notify_close(pp_notify *notify)
{
    if (notify->fd >= 0)
        (void)close(notify->fd);
    notify->fd = -1;
}

void pp_notify_send(const pp_notify *notify, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;
    int n;

    if (notify->fd < 0)
        return;
    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n < 0 || n >= (int)sizeof(text))
        return;
    (void)sendto(notify->fd, text, (size_t)n, MSG_NOSIGNAL, (const struct sockaddr *)&notify->addr,
                 notify->addr_bytes);
}
