/* server/notify.h -- telling the service manager how the server is.
 *
 * The protocol of sd_notify(3): lines of KEY=value in one datagram to the Unix socket that
 * NOTIFY_SOCKET names. It is stable and needs no library: libsystemd would bring four others into
 * the process for these few lines. Without a service manager all of this does nothing. */
#ifndef PP_SERVER_NOTIFY_H
#define PP_SERVER_NOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef struct pp_notify {
    int fd; /* -1: nobody wants to know */
    struct sockaddr_un addr;
    socklen_t addr_bytes;
    int64_t watchdog_ns; /* how often the manager must hear WATCHDOG=1; 0: it need not */
} pp_notify;

/* Take what the environment says out of it, so that nobody else answers. Before there are
 * threads. */
void pp_notify_open(pp_notify *notify);
void pp_notify_close(pp_notify *notify);

/* Send lines such as "READY=1\nSTATUS=...". Never waits: a manager that does not read misses
 * them. */
void pp_notify_send(const pp_notify *notify, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
