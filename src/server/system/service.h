/* server/system/service.h -- subjects at which the server itself answers.
 *
 * A service is an ordinary subscription in an account's index, of a client that is the server's own
 * part in that account. What is published there is copied into a request on the publisher's loop
 * and goes to the home loop; nothing is answered while a message is being delivered. */
#ifndef PP_SERVER_SYSTEM_SERVICE_H
#define PP_SERVER_SYSTEM_SERVICE_H

#include "config/options.h"
#include "core/account.h"
#include "core/client.h"
#include "net/loop.h"

#include <stdint.h>

struct pp_request;
struct pp_system;

/* Where a service is to be found. */
enum {
    PP_IN_SYSTEM = 1,
    PP_IN_OTHERS = 2,
    /* Tokens of accounts, which may be long: only in operator mode, with one of these resolvers. */
    PP_WITH_MEM = 1 << 8 << PP_RESOLVER_MEM,
    PP_WITH_FULL = 1 << 8 << PP_RESOLVER_FULL,
    PP_WITH_CACHE = 1 << 8 << PP_RESOLVER_CACHE,
    PP_WITH_URL = 1 << 8 << PP_RESOLVER_URL,
    PP_WITH_ANY_RESOLVER = PP_WITH_MEM | PP_WITH_FULL | PP_WITH_CACHE | PP_WITH_URL,
};

typedef struct pp_service {
    const char *subject; /* behind "$SYS."; %s stands for the server's id */
    unsigned where;
    bool broadcasts; /* does something also for who wants no answer */
    /* Answer, now or later. Thread: the home loop's. */
    void (*answer)(struct pp_request *request);
    unsigned detail; /* what of several things that answer knows */
} pp_service;

/* The server's part in one account. */
typedef struct pp_services {
    pp_client client;
    struct pp_system *system;
    bool is_system; /* those of the system account */
    /* NULL: they have been taken out. Guarded by the lock of accounts for who is not sure to be in
     * a turn in which a client of the account was there. */
    _Atomic(pp_account *) account;
    pp_task retire;
    size_t sub_count;
    pp_sub **subs;
    atomic_bool has_inbox; /* one of them is for answers to questions of the server's */
    /* Telling how many clients the account has; conns.c. */
    atomic_bool changed; /* count is posted */
    pp_task count;
    pp_link late_link;
    int64_t told_ns;
} pp_services;

/* Have answers come to account, on a subject with wildcards. It stays as long as the services do.
 * Errors: PIPIT_ENOTFOUND there is no system account, or the account is not listed; PIPIT_ENOMEM.
 * Thread: the home loop's. */
pipit_err pp_services_open_inbox(struct pp_system *system, pp_account *account,
                                 const char *subject);

/* How long may the payload of a request be? */
size_t pp_service_body_max(const pp_service *service);

/* Put the services of a system account, or of any other, into account, which has none. Errors:
 * PIPIT_ENOMEM. Thread: any; lock of accounts held, or nobody else is there. */
pipit_err pp_services_attach(struct pp_system *system, pp_account *account, bool is_system);

/* Take them out. Those who deliver to them meanwhile are waited for. Thread: the same. */
void pp_services_detach(pp_account *account);

#endif
