/* core/client.h -- whoever subscribes and publishes, as the core sees it: a table of operations.
 *
 * A client belongs to one loop. Other loops reach it only through outlets: an outlet is one loop's
 * way to one client, which only that loop uses. What it is only the client's door knows: the core
 * passes it from outlet() to deliver(). */
#ifndef PP_CORE_CLIENT_H
#define PP_CORE_CLIENT_H

#include "base/str.h"
#include "core/message.h"
#include "core/sub.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pp_client pp_client;

/* Who a client is, for people who read about it. */
typedef struct pp_client_identity {
    uint64_t id; /* 0: none */
    pp_str name; /* valid until the loop's turn ends */
    bool nearby; /* it is on this machine, by a Unix socket */
} pp_client_identity;

struct pp_scope;

struct pp_client_ops {
    /* The outlet of the router's loop to client, made on first use. NULL: the client is closing,
     * or no memory. Thread: the router's loop. */
    void *(*outlet)(pp_client *client, uint32_t router_index);

    /* Asked when outlet gave NULL: is the client closing, so that its subscriptions are about to
     * go? Then it is not asked again. May be NULL: it never is. Thread: the router's loop. */
    bool (*closing)(pp_client *client, uint32_t router_index);

    /* Bytes with which each message on subject to sub begins at this door; kept with the route so
     * that they are made once. Returns their length; writes them if out is not NULL. Thread: the
     * router's loop. */
    size_t (*head)(const pp_sub *sub, pp_str subject, char *out);

    /* Stage msg. head is what head() wrote; 32 bytes beyond it may be read. False: not taken (a
     * queue group asks its next member). Thread: the outlet's loop. */
    bool (*deliver)(void *outlet, const pp_sub *sub, pp_str head, const pp_msg *msg);

    /* The same for a client that may answer what it is given: msg->reply, if it has one, is granted
     * to it first. NULL: nobody at this door needs to be. */
    bool (*deliver_granting)(void *outlet, const pp_sub *sub, pp_str head, const pp_msg *msg);

    /* The last delivery that sub's limit allows has been made: take it out. NULL: no subscription
     * at this door has a limit. Thread: the loop that delivered, which need not be the client's. */
    void (*exhausted)(pp_sub *sub, uint32_t router_index);

    /* Fill in who client is. May be NULL: there is nothing to tell. Thread: any loop, in a turn. */
    void (*identify)(const pp_client *client, pp_client_identity *out);

    /* It hears what is published in its own account, and no streams that are imported. */
    bool hears_no_imports;
    /* It takes subjects apart, so it hears none with wildcards (core/matching.h): those need not
     * begin as its subscriptions do. */
    bool hears_no_wildcards;
    /* It stands for no recipient, but passes on to another account. */
    bool passes_on;
};

struct pp_client {
    const struct pp_client_ops *ops;
    /* Where it is at home, and what it may hear. Changes only together with the generations of its
     * account's index. NULL: permitted everything. */
    _Atomic(const struct pp_scope *) scope;
    /* Responses that it awaits from other accounts (core/response.h); under their lock. */
    _Atomic(struct pp_response *) responses;
    /* Subjects that it may have claimed, and where (core/claim.h). Its loop's. */
    uint32_t claims;
    struct pp_account *claims_in; /* NULL: none */
};

/* As head of a door that does not write messages to a wire from there: they begin with nothing. */
static inline size_t pp_client_no_head(const pp_sub *sub, pp_str subject, char *out)
{
    (void)sub;
    (void)subject;
    (void)out;
    return 0;
}

#endif
