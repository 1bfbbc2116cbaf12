/* server/side_door.h -- doors beside those of NATS: what a protocol with listeners of its own
 * supplies, and the one list by which the server takes all of them through its life.
 *
 *   init       listen      prepare, install     start           stop_listening     fini
 *   -----------------------------------------------------------------------------------> time
 *                            ^ at the start, and then at each reload, when every loop adapts and
 *                              settle lets go of what was in force before
 *
 * A door keeps its state in a member of the server. No hook is called while one of the same door
 * runs, but for those of monitoring. */
#ifndef PP_SERVER_SIDE_DOOR_H
#define PP_SERVER_SIDE_DOOR_H

#include "base/buf.h"
#include "base/json.h"
#include "config/options.h"
#include "core/route.h"
#include "core/sub.h"
#include "net/conn.h"
#include "server/directory.h"
#include "server/monitor/exposition.h"
#include "server/ports_file.h"

struct pipit_server;
struct pp_worker;

enum { PP_SIDE_SOCKETS_MAX = 16 }; /* of one door in the ports file */

/* What monitoring shows of a connection that its outbox does not know. Times are those of the
 * monotonic clock; texts are valid for the turn. */
typedef struct pp_side_session {
    int64_t start_ns, active_ns;
    uint32_t subs;
    pp_str account;
    pp_str name; /* empty: it says none */
} pp_side_session;

/* Any hook but proto may be NULL: there is nothing to do. */
typedef struct pp_side_door {
    const char *name;          /* in configuration, logs, monitoring; of sockets handed over */
    const pp_proto_ops *proto; /* of its connections */

    /* Take from the options what does not change while the server lives. The loops are made and do
     * not run. fini is called in any case, when the connections are gone. */
    pipit_err (*init)(struct pipit_server *server);
    void (*fini)(struct pipit_server *server);

    /* Listen on fd, which listens already, instead of what the options say. Before listen.
     * Owner: fd is the door's; on an error the caller's. */
    pipit_err (*adopt)(struct pipit_server *server, int fd);

    /* Bind what the options ask for, and say so in the log; nobody is accepted yet. */
    pipit_err (*listen)(struct pipit_server *server);
    /* Begin to accept: the loops run. */
    pipit_err (*start)(struct pipit_server *server);
    /* Accept nobody any more. Called more than once, also without start. Thread: the first loop's,
     * or any when the loops have ended. */
    void (*stop_listening)(struct pipit_server *server);

    /* Make of options what would be in force, with directory, which has their accounts and users
     * and is old when settle is called the next time. *out_fresh goes to install or to drop.
     * Errors: PIPIT_EINVAL, error says why; PIPIT_ENOMEM. */
    pipit_err (*prepare)(struct pipit_server *server, const pp_options *options,
                         const pp_directory *directory, void **out_fresh, pp_buf *error);
    void (*install)(struct pipit_server *server, void *fresh);
    void (*drop)(void *fresh);
    /* Put the sessions of one loop under what is in force. Thread: its loop's. */
    void (*adapt)(struct pp_worker *worker);
    /* All loops have, and have come round: nobody looks at what was before. */
    void (*settle)(struct pipit_server *server);

    /* What it listens on now; returns how many, at most PP_SIDE_SOCKETS_MAX. Thread: as start. */
    size_t (*sockets)(const struct pipit_server *server, pp_ports_entry *out);
    /* An object under its name, if it is served. Thread: the monitor's. */
    void (*varz)(struct pipit_server *server, pp_json *json);
    void (*metrics)(struct pipit_server *server, pp_exposition *e);
    /* Thread: conn's loop, as of the next. */
    void (*describe)(const pp_conn *conn, pp_side_session *out);
    /* Call visit for each of its subscriptions, in one go. */
    void (*each_sub)(const pp_conn *conn, void (*visit)(const pp_sub *sub, void *arg), void *arg);
} pp_side_door;

/* Closed by NULL. */
extern const pp_side_door *const pp_side_doors[];
enum { PP_SIDE_DOOR_MAX = 8 };

/* The one that conn came in by, or of that name; NULL: none. */
const pp_side_door *pp_side_door_of(const pp_conn *conn);
const pp_side_door *pp_side_door_find(const char *name);

/* Where a door with one TCP listener listens, and whose clients those are. */
typedef struct pp_side_listen {
    const char *whose; /* in the log */
    const char *host;  /* PP_ALL_ADDRESSES: IPv6 with IPv4, or that alone where there is no IPv6 */
    int32_t port;      /* -1: any that is free */
    int *adopted;      /* a socket that listens already, which is taken instead; -1: none */
} pp_side_listen;

/* Bind and listen; why it cannot be is logged. Errors: as pp_listen_tcp(). */
pipit_err pp_side_door_listen(const struct pipit_server *server, const pp_side_listen *where,
                              int *out_fd, uint16_t *out_port);

/* Take fd for *adopted, once. Errors: PIPIT_EEXIST there is one already. */
pipit_err pp_side_door_adopt(int *adopted, int fd);

/* The account of that name, which is named by a door from now on; NULL: there is none. */
pp_account *pp_side_door_name_account(struct pipit_server *server, const char *name);
/* It is not any more. NULL is fine. */
void pp_side_door_leave_account(pp_account *account);

/* The routers of all loops, by loop. Owner: the caller frees them. NULL: no memory. */
pp_router **pp_side_door_routers(struct pipit_server *server);

/* Put a door's connections under other limits. */
void pp_side_door_limit(pp_door *door, size_t pending_max, int64_t write_deadline_ns);

/* A connection has ended: monitoring remembers it. server is a pipit_server. Thread: its loop's. */
void pp_side_door_closed(void *server, pp_conn *conn);

/* The hooks of all of them, in turn. */
pipit_err pp_side_doors_init(struct pipit_server *server);
void pp_side_doors_fini(struct pipit_server *server);
pipit_err pp_side_doors_listen(struct pipit_server *server);
pipit_err pp_side_doors_start(struct pipit_server *server);
void pp_side_doors_stop_listening(struct pipit_server *server);
void pp_side_doors_adapt(struct pp_worker *worker);
void pp_side_doors_settle(struct pipit_server *server);
size_t pp_side_doors_sockets(const struct pipit_server *server, pp_ports_entry *out, size_t max);

/* What a configuration means for each of them, by their place; zeroed it holds nothing. */
typedef struct pp_side_fresh {
    void *of[PP_SIDE_DOOR_MAX];
} pp_side_fresh;

/* Errors: PIPIT_EINVAL, error says why; PIPIT_ENOMEM; what was made until then is for drop. */
pipit_err pp_side_doors_prepare(struct pipit_server *server, const pp_options *options,
                                const pp_directory *directory, pp_side_fresh *out, pp_buf *error);
void pp_side_doors_install(struct pipit_server *server, pp_side_fresh *fresh);
void pp_side_doors_drop(pp_side_fresh *fresh);

#endif
