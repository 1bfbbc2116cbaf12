/* server/system/system.h -- the system account: what the server tells about itself in messages.
 *
 * Three parts. *Services* (service.h) are subscriptions of the server's own, in the system account
 * and, a few, in every other: whoever publishes there puts a request. *Requests* (request.h) are
 * copied where they are published and answered on the home loop, or on the monitor's thread when
 * there is much to gather. *Events* tell of clients, accounts and the server; they are written
 * where somebody listens, and cost a comparison where nobody does.
 *
 *   publisher's loop           home loop                   monitor's thread
 *   [deliver] --request--> [answer] --job--> ...... [gather, write, compress]
 *   [hook] ----event-----> [publish] <---------answer-----------+
 *
 * All state is the home loop's (the first one) but what says otherwise. A message of the server's
 * is routed on the home loop, from the root of the account that it is for. */
#ifndef PP_SERVER_SYSTEM_SYSTEM_H
#define PP_SERVER_SYSTEM_SYSTEM_H

#include "auth/users.h"
#include "base/body.h"
#include "base/list.h"
#include "config/options.h"
#include "core/route.h"
#include "net/loop.h"
#include "proto/nats/door.h"
#include "server/monitor/vitals.h"
#include "server/system/nuid.h"

#include <pthread.h>

struct pipit_server;
struct pp_nats_session;
struct pp_worker;

enum {
    PP_SYSTEM_REQUESTS_MAX = 256,   /* taken and not answered; more are not taken: no responders */
    PP_SYSTEM_RESERVED = 64,        /* of them for the system account alone */
    PP_SYSTEM_TENANTS_MAX = 16,     /* of them by ordinary accounts and with the monitor; more are
                                     * refused */
    PP_SYSTEM_BODY_MAX = 64 * 1024, /* bytes of a request's payload; more are refused */
    PP_SYSTEM_EVENTS_MAX = 4096,    /* under way to the home loop; more are dropped */
};

typedef struct pp_system {
    struct pipit_server *server;
    struct pp_worker *home;
    bool running; /* loops run: what they may look at is retired, not freed */
    /* The system account; NULL: there is none. Changes with a directory. Thread: any. */
    _Atomic(pp_account *) account;
    /* What the server is called, for messages. Its own lock, since loops ask: the server's
     * options_lock is held by who waits for loops. */
    pthread_mutex_t names_lock;
    const pp_nats_settings *settings; /* under names_lock; NULL: not started */
    const pp_options *options;        /* under names_lock */
    const pp_user *root;              /* of account; held, so that account stays */
    atomic_uint_fast64_t seq;         /* of messages, as they say */
    atomic_uint requests;             /* taken and not answered */
    atomic_uint tenants;              /* of ordinary accounts with the monitor */
    atomic_uint events;               /* under way */
    atomic_uint_fast64_t dropped;     /* requests and events that were too many */
    pp_nuid nuid;
    pp_cpu_meter cpu;
    atomic_bool awake; /* timers are set, or about to be: the system account has clients */
    pp_task wake;
    pp_timer stats_timer;
    int64_t stats_interval_ns;
    int64_t stats_sent_ns;
    pp_timer beat_timer;
    pp_timer late_timer;
    pp_link late; /* services whose account is to be told of */
} pp_system;

/* Thread: the one that makes, starts and stops the server. */
void pp_system_init(pp_system *system, struct pipit_server *server);
/* Put services into the accounts of the directory in force, which has just been installed, and take
 * them from where they do not belong any more. Errors: PIPIT_ENOMEM; some accounts lack services.
 */
pipit_err pp_system_install(pp_system *system);
/* Loops are about to run. */
void pp_system_start(pp_system *system);
/* An account has a client more or less. With its first it gets its services; and what is told at
 * intervals is told only while the system account has clients, so that nothing wakes an idle
 * server. Thread: any loop's. */
void pp_system_note_count(pp_system *system, pp_account *account);
/* Are there still any? If not the timers may end; they are set anew when one comes. Thread: the
 * home loop's. */
bool pp_system_stays_awake(pp_system *system);
/* Say that the server stops. Loops run, and connections are still open. */
void pp_system_say_shutdown(pp_system *system);
void pp_system_say_lame_duck(pp_system *system);
/* Loops have ended, and what was left to them is done. */
void pp_system_stop(pp_system *system);
/* When the accounts have gone. */
void pp_system_fini(pp_system *system);

/* For pp_accounts: take the server's own subscriptions out. */
void pp_system_leave(pp_account *account);

/* Does anybody but the server listen in the system account? Thread: any. */
bool pp_system_is_heard(const pp_system *system);

#endif
