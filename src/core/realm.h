/* core/realm.h -- what the accounts of one server have in common where they deal with each other:
 * the routers that messages cross on, and what the server does for them.
 *
 * Made before there are accounts; the routers are put in before there are messages. */
#ifndef PP_CORE_REALM_H
#define PP_CORE_REALM_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct pp_account;
struct pp_client;
struct pp_latency;
struct pp_msg;
struct pp_router;

enum {
    PP_AWAITED_MAX = 262144,        /* awaited by one loop's requesters */
    PP_AWAITED_ACCOUNT_MAX = 65536, /* of one account, on all loops */
};

/* Who asks, as the account that answers is told. */
typedef struct pp_requester {
    const struct pp_client *client; /* NULL: the program that the server lives in */
    const char *account;            /* in which it asked */
    const char *via;                /* the last of the accounts in between; NULL: none */
    const struct pp_account *to;    /* the account that is told */
    bool share;                     /* all about it may be told */
    bool name_server;               /* and on which server it is */
} pp_requester;

typedef struct pp_realm_ops {
    /* Write JSON about who asks. Thread: the client's loop. */
    pipit_err (*describe)(void *context, const pp_requester *requester, pp_buf *out);

    /* The monotonic clock. */
    int64_t (*now_ns)(void *context);

    /* Responses that are awaited by a router's requesters end at that time, and at none before.
     * Thread: the router's loop. */
    void (*schedule)(void *context, struct pp_router *router, int64_t when_ns);

    /* Publish how long a response has taken. Thread: the router's loop. */
    void (*report)(void *context, struct pp_router *router, const struct pp_latency *latency);

    /* How far away a client is, as far as is known. Thread: its loop. */
    int64_t (*rtt_ns)(void *context, const struct pp_client *client);
} pp_realm_ops;

typedef struct pp_realm {
    const pp_realm_ops *ops;
    void *context;
    struct pp_router **routers; /* by index; borrowed */
    uint32_t router_count;
} pp_realm;

#endif
