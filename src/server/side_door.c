#include "server/side_door.h"

#include "base/alloc.h"
#include "net/listener.h"
#include "server/fanout.h"
#include "server/message_broker.h"
#include "server/monitor/history.h"
#include "server/server.h"
#include "server/t2.h"

#include <errno.h>
#include <string.h>

const pp_side_door *const pp_side_doors[] = {&pp_fanout_side_door, &pp_t2_side_door,
                                             &pp_message_broker_side_door, NULL};

static_assert(sizeof(pp_side_doors) / sizeof(pp_side_doors[0]) <= PP_SIDE_DOOR_MAX + 1,
              "fresh settings have a place for each");

const pp_side_door *pp_side_door_of(const pp_conn *conn)
{
    for (const pp_side_door *const *at = pp_side_doors; *at; at++) {
        if ((*at)->proto == conn->door->proto)
            return *at;
    }
    return NULL;
}

const pp_side_door *pp_side_door_find(const char *name)
{
    for (const pp_side_door *const *at = pp_side_doors; *at; at++) {
        if (strcmp((*at)->name, name) == 0)
            return *at;
    }
    return NULL;
}

static pipit_err bind_address(const pp_side_listen *where, int *out_fd, uint16_t *out_port)
{
    uint16_t port = where->port < 0 ? 0 : (uint16_t)where->port;
    pipit_err err;

    if (strcmp(where->host, PP_ALL_ADDRESSES) != 0)
        return pp_listen_tcp(where->host, port, out_fd, out_port);
    err = pp_listen_tcp("::", port, out_fd, out_port);
    if (err && errno == EAFNOSUPPORT)
        err = pp_listen_tcp("0.0.0.0", port, out_fd, out_port);
    return err;
}

pipit_err pp_side_door_listen(const pipit_server *server, const pp_side_listen *where, int *out_fd,
                              uint16_t *out_port)
{
    char reason[128];
    pipit_err err;

    if (*where->adopted >= 0) {
        *out_fd = *where->adopted;
        *where->adopted = -1;
        return pp_listen_port(*out_fd, out_port);
    }
    err = bind_address(where, out_fd, out_port);
    if (!err)
        return PIPIT_OK;
    pp_errno_text(errno, reason, sizeof(reason));
    pp_log_write(&server->log, PP_LOG_FATAL, "Unable to listen for %s clients: %s:%d: %s",
                 where->whose, where->host, where->port, errno ? reason : "no such host");
    return err;
}

pipit_err pp_side_door_adopt(int *adopted, int fd)
{
    if (*adopted >= 0)
        return PIPIT_EEXIST;
    *adopted = fd;
    return PIPIT_OK;
}

pp_account *pp_side_door_name_account(pipit_server *server, const char *name)
{
    pp_account *account = strcmp(name, "$G") == 0
                              ? server->global
                              : pp_accounts_find(&server->accounts, pp_str_of(name));

    if (account)
        (void)atomic_fetch_add(&account->named_by, 1);
    return account;
}

void pp_side_door_leave_account(pp_account *account)
{
    if (account)
        (void)atomic_fetch_sub(&account->named_by, 1);
}

pp_router **pp_side_door_routers(pipit_server *server)
{
    pp_router **routers = pp_calloc(server->worker_count, sizeof(pp_router *));

    for (unsigned i = 0; routers && i < server->worker_count; i++)
        routers[i] = &server->workers[i].router;
    return routers;
}

void pp_side_door_limit(pp_door *door, size_t pending_max, int64_t write_deadline_ns)
{
    atomic_store(&door->limits.pending_max, pending_max);
    atomic_store(&door->limits.write_deadline_ns, write_deadline_ns);
}

void pp_side_door_closed(void *server, pp_conn *conn)
{
    pp_history_note(((pipit_server *)server)->history, conn);
}

pipit_err pp_side_doors_init(struct pipit_server *server)
{
    pipit_err err = PIPIT_OK;

    for (const pp_side_door *const *at = pp_side_doors; *at && !err; at++)
        err = (*at)->init ? (*at)->init(server) : PIPIT_OK;
    return err;
}

void pp_side_doors_fini(struct pipit_server *server)
{
    for (const pp_side_door *const *at = pp_side_doors; *at; at++) {
        if ((*at)->fini)
            (*at)->fini(server);
    }
}

pipit_err pp_side_doors_listen(struct pipit_server *server)
{
    pipit_err err = PIPIT_OK;

    for (const pp_side_door *const *at = pp_side_doors; *at && !err; at++)
        err = (*at)->listen ? (*at)->listen(server) : PIPIT_OK;
    return err;
}

pipit_err pp_side_doors_start(struct pipit_server *server)
{
    pipit_err err = PIPIT_OK;

    for (const pp_side_door *const *at = pp_side_doors; *at && !err; at++)
        err = (*at)->start ? (*at)->start(server) : PIPIT_OK;
    return err;
}

void pp_side_doors_stop_listening(struct pipit_server *server)
{
    for (const pp_side_door *const *at = pp_side_doors; *at; at++) {
        if ((*at)->stop_listening)
            (*at)->stop_listening(server);
    }
}

void pp_side_doors_adapt(struct pp_worker *worker)
{
    for (const pp_side_door *const *at = pp_side_doors; *at; at++) {
        if ((*at)->adapt)
            (*at)->adapt(worker);
    }
}

void pp_side_doors_settle(struct pipit_server *server)
{
    for (const pp_side_door *const *at = pp_side_doors; *at; at++) {
        if ((*at)->settle)
            (*at)->settle(server);
    }
}

size_t pp_side_doors_sockets(const struct pipit_server *server, pp_ports_entry *out, size_t max)
{
    size_t count = 0;

    for (const pp_side_door *const *at = pp_side_doors; *at; at++) {
        if ((*at)->sockets && max - count >= PP_SIDE_SOCKETS_MAX)
            count += (*at)->sockets(server, out + count);
    }
    return count;
}

/* --- settings ----------------------------------------------------------------------------- */

pipit_err pp_side_doors_prepare(struct pipit_server *server, const pp_options *options,
                                const pp_directory *directory, pp_side_fresh *out, pp_buf *error)
{
    pipit_err err = PIPIT_OK;

    for (size_t i = 0; pp_side_doors[i] && !err; i++) {
        if (pp_side_doors[i]->prepare)
            err = pp_side_doors[i]->prepare(server, options, directory, &out->of[i], error);
    }
    return err;
}

void pp_side_doors_install(struct pipit_server *server, pp_side_fresh *fresh)
{
    for (size_t i = 0; pp_side_doors[i]; i++) {
        if (fresh->of[i])
            pp_side_doors[i]->install(server, fresh->of[i]);
        fresh->of[i] = NULL;
    }
}

void pp_side_doors_drop(pp_side_fresh *fresh)
{
    for (size_t i = 0; pp_side_doors[i]; i++) {
        if (fresh->of[i])
            pp_side_doors[i]->drop(fresh->of[i]);
        fresh->of[i] = NULL;
    }
}
