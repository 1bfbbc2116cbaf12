/* pipit/server.h -- a whole message broker inside your program.
 *
 * No globals, no signal handlers, no output but through your log callback; several servers can
 * live in one process. */
#ifndef PIPIT_SERVER_H
#define PIPIT_SERVER_H

#include "pipit/error.h"
#include "pipit/message.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pipit_server pipit_server;

typedef enum pipit_log_level {
    PIPIT_LOG_FATAL,
    PIPIT_LOG_ERROR,
    PIPIT_LOG_WARN,
    PIPIT_LOG_INFO,
    PIPIT_LOG_DEBUG,
    PIPIT_LOG_TRACE,
} pipit_log_level;

/* Called with one line without its end, from any of the server's threads. */
typedef void (*pipit_log_fn)(void *context, pipit_log_level level, const char *text);

/* Sums over the life of the server, and what is there now. */
typedef struct pipit_server_stats {
    uint64_t in_msgs, in_bytes;   /* accepted from clients; bytes of headers and payloads */
    uint64_t out_msgs, out_bytes; /* copies sent to clients */
    uint64_t connections, total_connections;
    uint64_t subscriptions;
    uint64_t slow_consumers;
    uint64_t stalls;
    uint64_t route_hits, route_misses;
    uint64_t turns, sleeps, sends, receives;
} pipit_server_stats;

/**
 * Make a server from the options of pipit-server's command line, such as "--port=4222" or
 * "--unix=/run/app.sock"; with "--no_listen" and no "--unix" nobody can connect but clients over
 * memory (pipit/client.h) ("--help" and "--version" are not options of a server).
 *
 * log may be NULL: silent. On PIPIT_EINVAL error, if not NULL, holds a sentence about it.
 *
 * Units:  error_bytes, the size of error.
 * Owner:  options are copied; the server is the caller's, for pipit_server_free.
 * Thread: any.
 * Errors: PIPIT_EINVAL an option is wrong; PIPIT_ENOMEM; PIPIT_EIO no random numbers.
 */
PIPIT_API pipit_err pipit_server_new(pipit_server **out_server, const char *const *options,
                                     size_t option_count, pipit_log_fn log, void *log_context,
                                     char *error, size_t error_bytes);

/* Where a server's options come from. Set everything to zero first. */
typedef struct pipit_server_source {
    const char *const *options; /* of a command line; they win over the text */
    size_t option_count;
    const char *text; /* of a configuration, in the language of its files; NULL: none. It cannot
                       * include files */
    size_t text_bytes;
} pipit_server_source;

/** The same from a configuration's text, or from a text and options. Otherwise as pipit_server_new;
 * error then names lines of the text. */
PIPIT_API pipit_err pipit_server_new_from(pipit_server **out_server,
                                          const pipit_server_source *source, pipit_log_fn log,
                                          void *log_context, char *error, size_t error_bytes);

/**
 * Put another configuration in force while the server runs, whole or not at all: text, or with NULL
 * the file or text that it has, read again. Its options stay.
 *
 * Thread: any but callbacks; one at a time, others wait.
 * Errors: PIPIT_EINVAL it is wrong, or asks for what needs a restart: error, if not NULL, says so;
 *         PIPIT_ENOMEM; PIPIT_ECLOSED the server does not run.
 */
PIPIT_API pipit_err pipit_server_reload(pipit_server *server, const char *text, size_t text_bytes,
                                        char *error, size_t error_bytes);

/**
 * Listen and serve, on threads of the server's own. Returns when clients can connect. Once only.
 *
 * Thread: any, one at a time per server.
 * Errors: PIPIT_EINUSE an address is taken; PIPIT_EDENIED; PIPIT_EINVAL no such address;
 *         PIPIT_ENOMEM; PIPIT_ELIMIT no threads or descriptors; PIPIT_EIO. The log has said more.
 */
PIPIT_API pipit_err pipit_server_start(pipit_server *server);

/** The TCP port that is listened on; 0 before start, or with --no_listen. Thread: any. */
PIPIT_API uint16_t pipit_server_port(const pipit_server *server);
/** The same of WebSocket and of monitoring; 0 also where there is none. Thread: as start. */
PIPIT_API uint16_t pipit_server_websocket_port(const pipit_server *server);
PIPIT_API uint16_t pipit_server_monitor_port(const pipit_server *server);

/**
 * Begin to leave: no new connections, clients are told and then closed one by one.
 *
 * pipit_server_fd becomes readable when the last one has gone; call pipit_server_stop then.
 * Thread: as start.
 */
PIPIT_API void pipit_server_lame_duck(pipit_server *server);

/** A descriptor that polls readable when a lame duck has no clients left. Thread: any. */
PIPIT_API int pipit_server_fd(const pipit_server *server);

/** Close all connections and end the threads; returns when it is done. Thread: as start. */
PIPIT_API void pipit_server_stop(pipit_server *server);

/** Stop if need be, and free. NULL is fine. */
PIPIT_API void pipit_server_free(pipit_server *server);

typedef struct pipit_subscription pipit_subscription;

/* Called with each message of a subscription, one at a time, on a thread of the server's, which
 * serves connections too: it should be brief. msg is valid for the call. It may publish, subscribe,
 * and end subscriptions, its own too; it must not stop the server. */
typedef void (*pipit_msg_fn)(void *context, pipit_subscription *subscription, const pipit_msg *msg);

/**
 * Publish one message on the server's behalf.
 *
 * Returns when the message is queued for routing; subscribers may not have seen it yet. What one
 * thread publishes reaches each subscriber in the order published. Wildcards in subject are
 * refused. reply may be NULL.
 *
 * Units:  payload_bytes, at most the server's max_payload.
 * Owner:  everything is copied before return.
 * Thread: any, also from callbacks.
 * Errors: PIPIT_EINVAL bad subject or reply; PIPIT_ETOOBIG the payload is over max_payload or the
 *         texts are over max_control_line; PIPIT_EAGAIN messages published before still wait, as
 *         many as max_pending allows; PIPIT_ENOMEM; PIPIT_ECLOSED before start or after stop.
 * Source: NATS client protocol, "PUB" and "Protocol conventions / Subject names".
 */
PIPIT_API pipit_err pipit_server_publish(pipit_server *server, const char *subject,
                                         const char *reply, const void *payload,
                                         size_t payload_bytes);

/**
 * Publish one message that may have a header block.
 *
 * The block goes as it is to who understands headers and is cut off for others; with the payload
 * it is at most max_payload. Otherwise as pipit_server_publish.
 *
 * Errors: also PIPIT_EINVAL the block does not begin with NATS/1.0 or end with an empty line.
 * Source: NATS client protocol, "HPUB".
 */
PIPIT_API pipit_err pipit_server_publish_msg(pipit_server *server, const pipit_msg *msg);

/**
 * Have callback called with every message on subject, which may hold wildcards.
 *
 * With queue, each message goes to one subscription of that queue group, NATS clients included;
 * NULL: none. Every message whose publishing starts after this has returned is heard. A callback
 * that lags behind makes publishers wait, and beyond max_pending it misses messages.
 *
 * Owner:  texts are copied; the subscription is the server's, until pipit_subscription_end or
 *         pipit_server_free. context must live until one of the two has returned.
 * Thread: any, also from callbacks.
 * Errors: PIPIT_EINVAL bad subject or queue; PIPIT_ETOOBIG a text is too long; PIPIT_ENOMEM;
 *         PIPIT_ECLOSED before start or after stop.
 */
PIPIT_API pipit_err pipit_server_subscribe(pipit_server *server, const char *subject,
                                           const char *queue, pipit_msg_fn callback, void *context,
                                           pipit_subscription **out_subscription);

/**
 * End a subscription, once. When this returns its callback does not run and will not be called.
 *
 * From its own callback it returns at once, and that call is the last. From elsewhere it waits
 * for a call that is under way; so two callbacks must not end each other's subscription, and the
 * caller must not hold a lock that the callback takes. Messages under way to it are dropped. NULL
 * is fine.
 *
 * Thread: any, also from callbacks; also after stop, until pipit_server_free.
 */
PIPIT_API void pipit_subscription_end(pipit_subscription *subscription);

/**
 * Publish one message to every subscription that could hear a message on some subject that falls
 * under msg->subject, which may hold wildcards: to each once, to one member of each queue group.
 *
 * Recipients get the pattern as the subject. Subject mappings, imports and exports do not apply;
 * topics of a T2 Bus or of message-broker and the server's own services hear no wildcards.
 * Clients do it with pipit_client_publish_matching. Returns when the message has been given to all,
 * so it is not in order with what pipit_server_publish has queued; from a callback it does so at
 * once.
 *
 * Units:  *out_recipients, subscriptions that took it; out_recipients may be NULL.
 * Owner:  everything is copied before return.
 * Thread: any, also from callbacks.
 * Errors: as pipit_server_publish_msg, but for PIPIT_EAGAIN.
 */
PIPIT_API pipit_err pipit_server_publish_matching(pipit_server *server, const pipit_msg *msg,
                                                  size_t *out_recipients);

/**
 * Subscribe to a literal subject as the only one who claims it.
 *
 * Others may still subscribe to it, but not claim it; a client of a T2 Bus that serves a topic
 * claims its subject, too (t2rr.room.lobby for room/lobby). The claim ends with the subscription.
 * Otherwise as pipit_server_subscribe without a queue.
 *
 * Errors: also PIPIT_EINUSE somebody else has claimed it; PIPIT_EINVAL also for wildcards.
 */
PIPIT_API pipit_err pipit_server_claim(pipit_server *server, const char *subject,
                                       pipit_msg_fn callback, void *context,
                                       pipit_subscription **out_subscription);

/** Sum what the loops have counted. Thread: any. */
PIPIT_API void pipit_server_get_stats(const pipit_server *server, pipit_server_stats *out_stats);

/** Log every counter of every loop and the shape of the subscription index. Thread: any. */
PIPIT_API void pipit_server_dump(pipit_server *server);

#ifdef __cplusplus
}
#endif
#endif
