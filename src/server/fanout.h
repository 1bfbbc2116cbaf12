/* server/fanout.h -- the listener for fanout clients, and what its sessions are told. */
#ifndef PP_SERVER_FANOUT_H
#define PP_SERVER_FANOUT_H

#include "net/listener.h"
#include "proto/fanout/door.h"
#include "server/side_door.h"

struct pp_fanout_made;

typedef struct pp_fanout {
    pp_door door;
    pp_fanout_door shared; /* the door's context */
    pp_listener listener;
    int adopted;                /* a socket to listen on, given before start; -1: none */
    uint16_t port;              /* that is listened on; 0: none */
    int64_t client_limit;       /* what descriptors allow */
    struct pp_fanout_made *now; /* in force; NULL: there is no such door */
    struct pp_fanout_made *old; /* until all loops have come round */
} pp_fanout;

extern const pp_side_door pp_fanout_side_door;

#endif
