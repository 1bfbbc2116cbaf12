/* server/monitor/monitor.h -- what the server tells about itself, asked over HTTP or over $SYS.
 *
 * One thread per server answers all questions. Whoever asks posts a *job*: which endpoint, with
 * which options, and where the answer goes. The thread reads counters (relaxed atomics), has each
 * loop copy what belongs to it, a slice at a time so that no loop is held up, writes JSON or text,
 * and hands it to the reply function.
 *
 *   pp_monitor_ask --> [queue, at most 64] --> thread: gather, sort, write --> reply
 *                          | full                         | stop
 *                          v                              v
 *                     PIPIT_EAGAIN              reply with status 503
 *
 * Every job that was taken is answered exactly once. */
#ifndef PP_SERVER_MONITOR_MONITOR_H
#define PP_SERVER_MONITOR_MONITOR_H

#include "base/body.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct pipit_server;
struct pp_page;
typedef struct pp_monitor pp_monitor;

enum {
    PP_MONITOR_JOBS_MAX = 64,
    PP_MONITOR_LIMIT_DEFAULT = 1024, /* entries on a page */
};

/* Name in the enumeration, path below the base path, path it is counted under in /varz (NULL: not
 * counted), file-local noun of who answers. A new endpoint is a line here and a
 * pp_monitor_write_<noun> (page.h). */
#define PP_MONITOR_ENDPOINTS(X)                                                                    \
    X(PP_MONITOR_ROOT, "/", "/", root)                                                             \
    X(PP_MONITOR_VARZ, "/varz", "/varz", varz)                                                     \
    X(PP_MONITOR_CONNZ, "/connz", "/connz", connz)                                                 \
    X(PP_MONITOR_ROUTEZ, "/routez", "/routez", routez)                                             \
    X(PP_MONITOR_GATEWAYZ, "/gatewayz", "/gatewayz", gatewayz)                                     \
    X(PP_MONITOR_LEAFZ, "/leafz", "/leafz", leafz)                                                 \
    X(PP_MONITOR_SUBSZ, "/subsz", "/subsz", subsz)                                                 \
    X(PP_MONITOR_SUBSCRIPTIONSZ, "/subscriptionsz", "/subsz", subsz)                               \
    X(PP_MONITOR_ACCOUNTZ, "/accountz", "/accountz", accountz)                                     \
    X(PP_MONITOR_ACCSTATZ, "/accstatz", "/accstatz", accstatz)                                     \
    X(PP_MONITOR_JSZ, "/jsz", "/jsz", jsz)                                                         \
    X(PP_MONITOR_HEALTHZ, "/healthz", "/healthz", healthz)                                         \
    X(PP_MONITOR_IPQUEUESZ, "/ipqueuesz", NULL, ipqueuesz)                                         \
    X(PP_MONITOR_RAFTZ, "/raftz", NULL, raftz)                                                     \
    X(PP_MONITOR_STACKSZ, "/stacksz", NULL, stacksz)                                               \
    X(PP_MONITOR_DEBUG_VARS, "/debug/vars", NULL, debug_vars)                                      \
    X(PP_MONITOR_METRICS, "/metrics", NULL, metrics)                                               \
    X(PP_MONITOR_RELOADZ, "/reloadz", NULL, reloadz)

typedef enum pp_monitor_endpoint {
#define PP_MONITOR_ENUM(name, path, counted, noun) name,
    PP_MONITOR_ENDPOINTS(PP_MONITOR_ENUM)
#undef PP_MONITOR_ENUM
        PP_MONITOR_ENDPOINT_COUNT
} pp_monitor_endpoint;

/* By what /connz orders; what a "sort" parameter may say. */
#define PP_MONITOR_SORTS(X)                                                                        \
    X(PP_SORT_CID, "cid")                                                                          \
    X(PP_SORT_START, "start")                                                                      \
    X(PP_SORT_SUBS, "subs")                                                                        \
    X(PP_SORT_PENDING, "pending")                                                                  \
    X(PP_SORT_MSGS_TO, "msgs_to")                                                                  \
    X(PP_SORT_MSGS_FROM, "msgs_from")                                                              \
    X(PP_SORT_BYTES_TO, "bytes_to")                                                                \
    X(PP_SORT_BYTES_FROM, "bytes_from")                                                            \
    X(PP_SORT_LAST, "last")                                                                        \
    X(PP_SORT_IDLE, "idle")                                                                        \
    X(PP_SORT_UPTIME, "uptime")                                                                    \
    X(PP_SORT_STOP, "stop")                                                                        \
    X(PP_SORT_REASON, "reason")                                                                    \
    X(PP_SORT_RTT, "rtt")

typedef enum pp_monitor_sort {
#define PP_SORT_ENUM(name, text) name,
    PP_MONITOR_SORTS(PP_SORT_ENUM)
#undef PP_SORT_ENUM
} pp_monitor_sort;

/* Numbers as the "state" option of $SYS requests has them. */
typedef enum pp_monitor_state { PP_STATE_OPEN, PP_STATE_CLOSED, PP_STATE_ALL } pp_monitor_state;

typedef enum pp_monitor_subs { PP_SUBS_NONE, PP_SUBS_LIST, PP_SUBS_DETAIL } pp_monitor_subs;

/* What can be asked, of all endpoints together; each looks at its own. Zeroed: the defaults. Texts
 * are borrowed for the call and copied by pp_monitor_ask; empty: not given.
 * Source: NATS monitoring, the parameters of each endpoint. */
typedef struct pp_monitor_options {
    pp_monitor_sort sort;   /* connz */
    pp_monitor_state state; /* connz */
    pp_monitor_subs subs;   /* connz, subsz, routez, gatewayz, leafz */
    int64_t offset;         /* connz, subsz, jsz; negative: 0 */
    int64_t limit;          /* the same; not above 0: PP_MONITOR_LIMIT_DEFAULT */
    uint64_t cid;           /* connz; 0: all */
    bool auth;              /* connz */
    bool accounts;          /* gatewayz, jsz */
    bool unused;            /* accstatz */
    bool streams, consumers, direct_consumers, config, leader_only, raft, stream_leader_only;
    bool js_enabled_only, js_server_only, js_meta_only, details; /* healthz */
    bool all;                                                    /* ipqueuesz */
    bool open_metrics; /* metrics: OpenMetrics 1.0 rather than the text format 0.0.4 */
    bool compact;      /* JSON without line ends and blanks */
    bool tell_status;  /* healthz: the status is in the body, too */
    bool only_account; /* see and count account alone: requests of an ordinary account */
    pp_str account;    /* connz, subsz, leafz, accountz, accstatz, jsz, healthz, raftz */
    pp_str user, mqtt_client, filter_subject; /* connz */
    pp_str test;                              /* subsz */
    pp_str gateway;                           /* gatewayz */
    pp_str stream, consumer;                  /* healthz */
    pp_str queues;                            /* ipqueuesz */
    pp_str group;                             /* raftz */
    pp_str among;                             /* accstatz: names, each closed by NUL; empty: all */
} pp_monitor_options;

/* status is that of HTTP; from 400 on body is a text that says what is wrong (healthz: JSON all the
 * same). body may be NULL when memory was refused; body_bytes counts. */
typedef struct pp_monitor_answer {
    int status;
    const char *content_type; /* static */
    bool open_to_all;         /* other origins may read it: Access-Control-Allow-Origin */
    pp_body *body;
    size_t body_bytes;
} pp_monitor_answer;

/* Owner: answer->body's reference is the callee's. Thread: the monitor's, which holds
 * options_lock for reading, or that of stop. It must not wait for a loop. */
typedef void (*pp_monitor_reply_fn)(void *context, const pp_monitor_answer *answer);

/* Its thread starts with the first question. server outlives the monitor. Errors: PIPIT_ENOMEM. */
pipit_err pp_monitor_new(pp_monitor **out_monitor, struct pipit_server *server);
/* Answer what waits with 503, end the thread; from then on nothing can be asked. Loops must still
 * run. May be called again; NULL is fine. */
void pp_monitor_stop(pp_monitor *monitor);
/* When nobody can ask any more. NULL is fine. */
void pp_monitor_free(pp_monitor *monitor);

/* Ask. Errors, and reply is not called: PIPIT_EAGAIN too many wait; PIPIT_ECLOSED stopping;
 * PIPIT_ETOOBIG texts of more than 64 KiB together; PIPIT_ELIMIT no thread; PIPIT_ENOMEM. Thread:
 * any. */
pipit_err pp_monitor_ask(pp_monitor *monitor, pp_monitor_endpoint endpoint,
                         const pp_monitor_options *options, pp_monitor_reply_fn reply,
                         void *context);

/* The same for an answer that is at no path; who writes it knows what the options mean to it.
 * Thread: write's is the monitor's. */
typedef pipit_err (*pp_monitor_write_fn)(struct pp_page *page);
pipit_err pp_monitor_run(pp_monitor *monitor, pp_monitor_write_fn write,
                         const pp_monitor_options *options, pp_monitor_reply_fn reply,
                         void *context);

/* The endpoint of a path below the base path ("/varz"); PP_MONITOR_ENDPOINT_COUNT: none. */
pp_monitor_endpoint pp_monitor_find(pp_str path);

/* Count a request for /varz's http_req_stats. Thread: any. */
void pp_monitor_count_request(pp_monitor *monitor, pp_monitor_endpoint endpoint);

/* Read what a "sort" may say; empty is cid. False: no such order. */
bool pp_monitor_sort_parse(pp_str text, pp_monitor_sort *out_sort);

#endif
