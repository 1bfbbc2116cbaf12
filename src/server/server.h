/* server/server.h -- the assembly: loops, listeners, doors, one after another into a server. */
#ifndef PP_SERVER_SERVER_H
#define PP_SERVER_SERVER_H

#include "auth/nkey.h"
#include "base/log.h"
#include "http/door.h"
#include "net/listener.h"
#include "net/loop.h"
#include "pipit/server.h"
#include "proto/nats/door.h"
#include "server/callout/calls.h"
#include "server/directory.h"
#include "server/fanout.h"
#include "server/local.h"
#include "server/lodger.h"
#include "server/memory.h"
#include "server/message_broker.h"
#include "server/operators/operators.h"
#include "server/own_requests.h"
#include "server/realm.h"
#include "server/reload.h"
#include "server/settings.h"
#include "server/side_door.h"
#include "server/system/system.h"
#include "server/t2.h"
#include "server/websocket.h"
#include "tls/place.h"

#include <pthread.h>

enum { PP_WORKERS_MAX = 256 };

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
    pp_task task;             /* what the server wants of it now */
    pp_timer responses_timer; /* when one that is awaited from another account is late */
    pp_nuid nuid;
    pp_timer lame_timer; /* when the next client goes */
    uint64_t lame_clients;
    size_t lame_at;
    uint64_t random;
    pp_task pulse; /* it answers by running it */
    atomic_bool pulse_posted;
} pp_worker;

struct pipit_server {
    pp_arguments arguments;
    pp_options *_Atomic options;   /* in force */
    pthread_rwlock_t options_lock; /* guards options, settings, directory for who is on no loop */
    pp_snapshot *snapshot;         /* of options; NULL: nobody has wanted it yet */
    pthread_mutex_t reloading;     /* one at a time */
    const pp_reload_hook *reload_hook;
    pthread_mutex_t report_lock;
    pp_reload_report reload_report; /* under report_lock */
    uint64_t excess_closed;
    pp_log log;
    pipit_log_fn log_fn;
    void *log_context;
    char server_id[PP_NKEY_TEXT_BYTES];
    char server_xkey[PP_NKEY_TEXT_BYTES];
    uint8_t server_seed[PP_NKEY_RAW_BYTES], server_xkey_seed[PP_NKEY_RAW_BYTES]; /* secret */
    pp_user_key user_key;
    pp_realm realm;
    pp_hasher *hasher;
    pp_accounts accounts;
    pp_directory *directory;       /* in force */
    pp_directory *old_directories; /* that sessions still point to */
    pp_account *global;            /* $G; stays */
    pp_operators *operators;       /* of operator mode; NULL: it is not that */
    pp_system system;
    pp_calls calls;
    const pp_nats_settings *_Atomic settings; /* in force; loops have their own pointer to it */
    /* What in-process publishers and subscribers must keep to; they may be on any thread. */
    atomic_size_t max_line;
    atomic_int_fast64_t max_payload;
    pp_door client_door;
    pp_nats_door nats_door;
    pp_websocket websocket;
    pp_t2_front t2;
    pp_fanout fanout;
    pp_message_broker message_broker;
    pp_own_requests own_requests;
    pp_reclaim reclaim;
    pp_worker *workers;
    pp_loop **loops;
    unsigned worker_count; /* of workers that are initialised */
    uint64_t *given;
    atomic_uint_fast64_t next_conn_id;
    pp_listener tcp, local;
    char *local_path; /* of local's file, if we made it */
    /* Sockets to listen on, given before start; -1: none. */
    int adopted_tcp, adopted_local, adopted_http;
    uint16_t port;
    int64_t start_wall_ns, start_mono_ns; /* the same moment by two clocks */
    atomic_int_fast64_t config_wall_ns;   /* when the configuration in force was loaded */
    struct pp_history *history;           /* of connections that have closed */
    struct pp_monitor *monitor;           /* from start on */
    pp_http_door http_door;               /* of the monitoring port */
    pp_listener http;
    char *http_host;       /* as bound, which options that are gone by now have said */
    uint16_t http_port;    /* 0: none */
    pp_str http_base_path; /* "" or "/name" */
    uint64_t http_given;
    atomic_uint_fast64_t http_next_id;
    bool http_made; /* http_door is initialised */
    enum pp_http_ui http_ui;
    pp_tls_places tls_places;
    pp_tls_tickets *tls_tickets;
    struct pp_stapler *stapler; /* what authorities say of our certificates */
    struct pp_ocsp *ocsp;       /* what they say of those of clients */
    pthread_mutex_t https_lock;
    pp_tls_context *https; /* of the monitoring port, under https_lock; NULL: it speaks HTTP */
    bool started;
    atomic_bool open;      /* messages come in and go out in-process */
    atomic_uint next_home; /* of a subscription made in-process */
    atomic_int_fast64_t local_subs;
    pp_lodging lodging;
    atomic_uint visitors; /* threads that wait for a loop: it does not end before they are served */
    int done_fd;
    pthread_mutex_t errands; /* held by who sends workers on one; guards running, started */
    pthread_mutex_t lock;    /* guards busy: workers that have not come back */
    pthread_cond_t changed;
    unsigned busy;
    atomic_uint lame_workers;
    int64_t lame_grace_ns, lame_span_ns; /* written before loops begin to leave */
    pp_memory memory;
};

/* Who decides on logins by tokens; NULL: nobody does. */
static inline pp_authority *pp_server_authority(const pipit_server *server)
{
    return server->operators ? &server->operators->authority : NULL;
}

/* Have every worker run a task and wait until all have. */
void pp_server_on_all(pipit_server *server, void (*run)(pp_worker *worker));

/* Complete a listener for clients that come in by door; nothing is bound yet. */
void pp_server_init_listener(pipit_server *server, pp_listener *listener, const pp_door *door);

/* Bind all listeners; nobody is accepted yet. */
pipit_err pp_server_listen(pipit_server *server);

/* Accept nobody any more. Thread: the worker's loop. */
void pp_server_stop_listening(pp_worker *worker);

/* Listen on fd, a TCP or Unix socket that listens already, instead of what the options say: for
 * clients, or (TCP only) for who watches the server. Before start. Owner: fd is the server's from
 * then on, or closed. Errors: PIPIT_EINVAL it is no such socket; PIPIT_EEXIST there is one of its
 * kind. */
pipit_err pp_server_adopt(pipit_server *server, int fd, bool monitoring);

/* The same for the clients of another door. Errors: also PIPIT_EINVAL, the door takes none. */
pipit_err pp_server_adopt_for(pipit_server *server, int fd, const pp_side_door *door);

/* The sockets that clients and monitoring connect to by TCP; -1: not now. Thread: as start. */
int pp_server_client_fd(const pipit_server *server);
int pp_server_monitor_fd(const pipit_server *server);
/* The same for WebSocket, and whether it is encrypted. */
int pp_server_websocket_fd(const pipit_server *server, bool *out_tls);

/* True when every loop has turned since this was asked last. Never waits. Thread: as start. */
bool pp_server_pulse(pipit_server *server);
void pp_pulse_run(pp_task *task);
/* observer.c: learn what becomes of sessions. Before there are any. */
void pp_server_observe(pipit_server *server);

/* lame_duck.c: begin on one worker. Thread: its loop's. */
void pp_lame_duck_begin(pp_worker *worker);

#endif
