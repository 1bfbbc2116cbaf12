/* server/t2.h -- the listeners of a T2 Bus, which all lead to one bus. */
#ifndef PP_SERVER_T2_H
#define PP_SERVER_T2_H

#include "config/options.h"
#include "config/t2.h"
#include "net/listener.h"
#include "proto/t2/door.h"
#include "server/side_door.h"
#include "tls/context.h"

#include <pthread.h>

/* On its way to a loop, to close the connections of the bus. */
typedef struct pp_t2_farewell {
    pp_task task;
    struct pp_t2_bus *bus;
    struct pp_loop *loop; /* it may come among what a loop has left undone, when none runs */
} pp_t2_farewell;

/* What the server has of it. Zeroed: there is none. */
typedef struct pp_t2_front {
    struct pp_t2_bus *bus;  /* NULL: none is asked for */
    pp_door plain, secured; /* the second by TLS; the bus is the context of both */
    pp_listener listeners[PP_T2_LISTENS_MAX];
    char *paths[PP_T2_LISTENS_MAX]; /* of Unix sockets' files */
    unsigned listener_count;
    pp_listener memory; /* gives connections of the program's own; listens on nothing */
    pp_account *account;
    pthread_mutex_t lock;
    pp_tls_context *tls; /* under the lock; so is the closing of listeners */
    bool has_lock;
    atomic_bool stopping;      /* a client has ended the bus */
    pp_task stop;              /* on the first loop */
    pp_t2_farewell *farewells; /* by loop */
} pp_t2_front;

extern const pp_side_door pp_t2_side_door;

#endif
