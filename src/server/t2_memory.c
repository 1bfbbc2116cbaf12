/* pipit_bus_connect_memory: one end of a pair of sockets is a connection of the bus, the other the
 * caller's. So whoever is in this process keeps to the same limits as others. */
#include "base/alloc.h"
#include "base/fault.h"
#include "bus/attach.h"
#include "server/server.h"

#include <sys/socket.h>
#include <unistd.h>

/* On its way to the first loop, which gives it to one of them. */
typedef struct arrival {
    pp_task task;
    pipit_server *server;
    int fd;
} arrival;

static void arrive(pp_task *task)
{
    arrival *a = PP_CONTAINER(task, arrival, task);

    if (atomic_load(&a->server->open) && !atomic_load(&a->server->t2.stopping))
        pp_listener_give(&a->server->t2.memory, a->fd);
    else
        (void)close(a->fd); /* nothing was said on it */
    pp_free(a);
}

/* False: the server has ended. */
static bool send_there(pipit_server *server, arrival *a)
{
    bool open;

    (void)atomic_fetch_add(&server->visitors, 1);
    open = atomic_load(&server->open);
    if (open)
        pp_loop_post(server->loops[0], &a->task);
    (void)atomic_fetch_sub(&server->visitors, 1);
    return open;
}

pipit_err pipit_bus_connect_memory(pipit_bus **out_bus, pipit_server *server)
{
    int fds[2];
    arrival *a;

    if (!server->t2.bus)
        return PIPIT_ENOTFOUND;
    if (pp_fault("socketpair") ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        return PIPIT_ELIMIT;
    a = pp_alloc(sizeof(*a));
    if (a)
        *a = (arrival){{.run = arrive}, server, fds[0]};
    if (!a || !send_there(server, a)) {
        (void)close(fds[0]); /* nothing was said on either */
        (void)close(fds[1]);
        pp_free(a);
        return a ? PIPIT_ECLOSED : PIPIT_ENOMEM;
    }
    return pp_bus_attach(out_bus, fds[1]);
}
