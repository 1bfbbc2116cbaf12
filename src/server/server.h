/* server/server.h -- the assembly: loops, listeners, doors, one after another into a server. */
#ifndef PP_SERVER_SERVER_H
#define PP_SERVER_SERVER_H

#include "auth/credentials.h"
#include "auth/nkey.h"
#include "base/log.h"
#include "net/listener.h"
#include "net/loop.h"
#include "pipit/server.h"
#include "proto/nats/door.h"
#include "server/local.h"
#include "server/memory.h"
#include "server/options.h"

#include <pthread.h>

/* One loop with what lives on it. */
typedef struct pp_worker {
    pp_loop loop;
    pp_counters counters;
    pp_router router;
    pp_nats_context nats;
    pp_local local;
    pthread_t thread;
    bool running;
    struct pipit_server *server;
    pp_task task;        /* what the server wants of it now */
    pp_timer lame_timer; /* when the next client goes */
    uint64_t lame_clients;
    size_t lame_at;
    uint64_t random;
} pp_worker;

struct pipit_server {
    pp_options options;
    pp_log log;
    pipit_log_fn log_fn;
    void *log_context;
    char server_id[PP_NKEY_TEXT_BYTES];
    struct pp_credentials credentials;
    pp_nats_settings nats_settings;
    pp_door client_door;
    pp_nats_door nats_door;
    pp_reclaim reclaim;
    pp_worker *workers;
    pp_loop **loops;
    unsigned worker_count; /* of workers that are initialised */
    uint64_t *given;
    atomic_uint_fast64_t next_conn_id;
    pp_listener tcp, local;
    uint16_t port;
    bool started;
    atomic_bool open;      /* messages come in and go out in-process */
    atomic_uint next_home; /* of a subscription made in-process */
    atomic_int_fast64_t local_subs;
    int done_fd;
    pthread_mutex_t errands; /* held by who sends workers on one; guards running, started */
    pthread_mutex_t lock;    /* guards busy: workers that have not come back */
    pthread_cond_t changed;
    unsigned busy;
    atomic_uint lame_workers;
    pp_memory memory;
};

/* Have every worker run a task and wait until all have. */
void pp_server_on_all(pipit_server *server, void (*run)(pp_worker *worker));

/* Accept nobody any more. Thread: the worker's loop. */
void pp_server_stop_listening(pp_worker *worker);

/* lame_duck.c: begin on one worker. Thread: its loop's. */
void pp_lame_duck_begin(pp_worker *worker);

#endif
