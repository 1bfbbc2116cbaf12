/* pipit/client.h -- a client of a message broker: one interface for every way to reach it.
 *
 *   memory:                  a server in this process (pipit/server.h), named by options.server
 *   unix:/path               a Unix socket of a server on this machine
 *   nats://host:port         TCP, encrypted if the server or options.tls_ca_file asks for it
 *   tls://host:port          TCP, always encrypted
 *   ws://host:port/path      WebSocket
 *   wss://host:port/path     WebSocket, encrypted
 *
 * A client has a thread of its own, which reads, writes, reconnects and calls callbacks, one at a
 * time. With options.own_loop it has none: the caller polls pipit_client_fd and calls
 * pipit_client_poll, and callbacks run in there.
 *
 * Callbacks may call everything here but what waits (that answers PIPIT_EINUSE) and
 * pipit_client_free. Everything that a peer or a slow reader can make grow has a limit. */
#ifndef PIPIT_CLIENT_H
#define PIPIT_CLIENT_H

#include "pipit/error.h"
#include "pipit/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pipit_server;
typedef struct pipit_client pipit_client;
typedef struct pipit_sub pipit_sub;
typedef struct pipit_request pipit_request;

typedef enum pipit_event {
    PIPIT_EVENT_CONNECTED,    /* for the first time */
    PIPIT_EVENT_DISCONNECTED, /* and the client will try again */
    PIPIT_EVENT_RECONNECTED,  /* subscriptions are there again, what waited has been sent */
    PIPIT_EVENT_CLOSED,       /* for good; the last event */
    PIPIT_EVENT_ERROR,        /* the server says so: text is its sentence */
    PIPIT_EVENT_SERVERS,      /* it told of servers that were not known */
    PIPIT_EVENT_LAME_DUCK,    /* it is about to leave; the client changes over by itself */
    PIPIT_EVENT_MISSED,       /* a subscription has begun to miss messages: it is too slow */
    PIPIT_EVENT_CLAIM_LOST, /* it was not granted again after a lost connection: text is its subject
                             */
} pipit_event;

/* Called when something has happened, maybe before pipit_client_connect has returned. Thread: the
 * client's, as any callback. text may be empty, and is valid for the call. */
typedef void (*pipit_event_fn)(void *context, pipit_client *client, pipit_event event,
                               const char *text);

/* What a client is to be. Set everything to zero first: that is the default for each. Texts are
 * copied. Times are in milliseconds, sizes in bytes; a negative number means "never" or "no limit".
 */
typedef struct pipit_client_options {
    size_t struct_bytes; /* sizeof(pipit_client_options) */
    /* Who it is. */
    const char *name; /* shown by the server's monitoring */
    const char *user, *password;
    const char *token;
    const char *nkey_seed;       /* "SU..." */
    const char *creds_file;      /* JWT and seed */
    struct pipit_server *server; /* for memory:; it must live until pipit_client_free */
    /* TLS. */
    const char *tls_ca_file;   /* NULL: the system's */
    const char *tls_cert_file; /* the client's own certificate, with */
    const char *tls_key_file;  /* its key */
    const char *tls_name;      /* that the server's certificate must bear; NULL: its host name */
    bool tls_insecure;         /* take any certificate: for tests */
    bool tls_first;            /* encrypt before the server has said anything, as servers with
                                * handshake_first expect */
    /* Behaviour. */
    bool own_loop;       /* no thread: the caller calls pipit_client_poll */
    bool no_echo;        /* its own subscriptions do not hear what it publishes */
    bool verbose_errors; /* ask the server to check subjects strictly (pedantic) */
    bool no_wait;        /* publishing answers PIPIT_EAGAIN where it would wait */
    bool no_reconnect;
    bool retry_first; /* the first connection may fail as well: connect returns, and tries on */
    bool keep_order;  /* try servers in the order given, not in a random one */
    bool ignore_discovered;     /* do not use servers that servers tell of */
    int64_t connect_timeout_ms; /* 2000: for one server, from its address to its PONG */
    int64_t ping_interval_ms;   /* 120000 */
    int64_t pings_out_max;      /* 2: as many unanswered end the connection */
    int64_t reconnect_wait_ms;  /* 100: before a server is tried again; doubles up to 20 times as
                                 * much, and is lengthened by up to half at random */
    int64_t reconnect_max;      /* rounds over all servers; 60 */
    int64_t pending_max;        /* what may wait to be sent, reconnecting too; 8 MiB */
    int64_t publish_wait_ms;    /* how long publishing waits for room in there; 2000 */
    int64_t sub_pending_max;    /* what may wait in a subscription without callback, or from a
                                 * publisher over memory:; 64 MiB, and 1 for each 128 of them
                                 * in messages */
    pipit_event_fn on_event;
    void *event_context;
    const char *inbox_prefix; /* NULL: "_INBOX"; what subjects for answers begin with, 64 at most,
                               * where permissions name such a subject for each user */
} pipit_client_options;

typedef struct pipit_client_stats {
    uint64_t in_msgs, in_bytes;   /* heard; bytes of headers and payloads */
    uint64_t out_msgs, out_bytes; /* published */
    uint64_t missed;              /* messages that subscriptions were too slow for */
    uint64_t reconnects;
    uint64_t lost_bytes; /* of what was being sent when a connection ended */
    uint64_t subscriptions;
    uint64_t pending_bytes; /* that wait to be sent */
} pipit_client_stats;

typedef enum pipit_client_state {
    PIPIT_CLIENT_CONNECTING, /* never been connected */
    PIPIT_CLIENT_CONNECTED,
    PIPIT_CLIENT_RECONNECTING,
    PIPIT_CLIENT_DRAINING,
    PIPIT_CLIENT_CLOSED,
} pipit_client_state;

/**
 * Make a client and connect it. url may be several, separated by commas; NULL:
 * nats://127.0.0.1:4222. options NULL: the defaults. "nats://user:password@host" and
 * "nats://token@host" are understood.
 *
 * Returns when the server has taken the client, or no server has. With own_loop or retry_first it
 * returns at once, and events tell.
 *
 * Owner:  the client is the caller's, for pipit_client_free.
 * Thread: any.
 * Errors: PIPIT_EINVAL url or options; PIPIT_EAUTH the server refused the credentials;
 * PIPIT_ETIMEOUT; PIPIT_EIO, PIPIT_ENOTFOUND no server can be reached; PIPIT_EPROTO what answers is
 * no such server; PIPIT_ENOMEM; PIPIT_ELIMIT no threads or descriptors.
 */
PIPIT_API pipit_err pipit_client_connect(pipit_client **out_client, const char *url,
                                         const pipit_client_options *options);

/** End everything: what waits is not sent, subscriptions and requests end, nothing is called back
 * any more but PIPIT_EVENT_CLOSED. Once closed it stays so. Thread: any, also from callbacks. */
PIPIT_API void pipit_client_close(pipit_client *client);

/** Close if need be, wait for the thread and free, subscriptions and requests too. NULL is fine.
 * Thread: any but the client's own callbacks; nobody else may use the client any more. */
PIPIT_API void pipit_client_free(pipit_client *client);

/**
 * Publish a message. reply may be NULL.
 *
 * Returns when the message is queued; what one thread publishes is sent in that order. Over memory:
 * it lies with its recipients by then. Without a connection it waits for one, up to pending_max.
 * Where there is no room it waits for publish_wait_ms at most; never in a callback.
 *
 * Over memory: a recipient that has no room for a message makes its publisher wait in the same way.
 * If it has made no room by then it misses this message and those that follow, until it has; with
 * no_wait, own_loop, or in a callback, PIPIT_EAGAIN tells that nobody got the message. When a
 * reload has brought the first mapping or import, or ended the last, it waits until recipients have
 * taken what came before: a call 2 s at most, then it may overtake that; PIPIT_EAGAIN if
 * publish_wait_ms has passed by then, and with no_wait at once. With own_loop and in callbacks it
 * may overtake at once.
 *
 * Units:  payload_bytes, at most the server's max_payload.
 * Owner:  everything is copied before return.
 * Thread: any, also from callbacks.
 * Errors: PIPIT_EINVAL bad subject or reply; PIPIT_ETOOBIG; PIPIT_EAGAIN no room; PIPIT_ENOMEM;
 *         PIPIT_ECLOSED.
 */
PIPIT_API pipit_err pipit_client_publish(pipit_client *client, const char *subject,
                                         const char *reply, const void *payload,
                                         size_t payload_bytes);

/** The same for a message with headers. Errors: also PIPIT_EINVAL a header block that is none, or
 * that the server does not take. */
PIPIT_API pipit_err pipit_client_publish_msg(pipit_client *client, const pipit_msg *msg);

/**
 * Publish messages one after another, for less than each on its own would cost: what waits, waits
 * once.
 *
 * Units:  *out_published, if not NULL, how many have been: all, or those before the one that
 * failed. Texts that messages share are best given by the same pointer: they are checked once.
 * Owner, Thread, Errors: as publish_msg.
 */
PIPIT_API pipit_err pipit_client_publish_many(pipit_client *client, const pipit_msg *msgs,
                                              size_t count, size_t *out_published);

/** Answer a message that has a reply subject. Errors: as publish; PIPIT_EINVAL it has none. */
PIPIT_API pipit_err pipit_client_respond(pipit_client *client, const pipit_msg *to,
                                         const void *payload, size_t payload_bytes);

/* Called with each message of a subscription. msg is valid for the call. */
typedef void (*pipit_sub_fn)(void *context, pipit_sub *sub, const pipit_msg *msg);

/**
 * Subscribe to subject, which may hold wildcards; queue NULL: to no queue group.
 *
 * With callback, it is called with each message. Without, messages wait for pipit_sub_next, up to
 * sub_pending_max, and further ones are missed and counted. Over memory: every message whose
 * publishing starts after this has returned is heard; else after the next pipit_client_flush.
 *
 * Owner:  the subscription is the client's until pipit_sub_end; context must live until that has
 *         returned, or pipit_client_free.
 * Thread: any, also from callbacks.
 * Errors: PIPIT_EINVAL; PIPIT_ETOOBIG; PIPIT_ELIMIT; PIPIT_ENOMEM; PIPIT_ECLOSED; PIPIT_EAGAIN no
 *         room to send it.
 */
PIPIT_API pipit_err pipit_client_subscribe(pipit_client *client, const char *subject,
                                           const char *queue, pipit_sub_fn callback, void *context,
                                           pipit_sub **out_sub);

/** Take the next message of a subscription without callback; timeout_ms 0: only if there is one,
 * negative: wait as long as it takes. Owner: *out_msg is the caller's, for pipit_msg_free. Thread:
 * any. Errors: PIPIT_ETIMEOUT; PIPIT_ENOTFOUND it has ended and is empty; PIPIT_EINVAL it has a
 * callback; PIPIT_EINUSE called from a callback with a timeout; PIPIT_ECLOSED. */
PIPIT_API pipit_err pipit_sub_next(pipit_sub *sub, int64_t timeout_ms, pipit_msg **out_msg);

/** Have a subscription end by itself when it has heard max messages since it began. Errors:
 * PIPIT_EINVAL max is 0; PIPIT_EAGAIN; PIPIT_ENOMEM; PIPIT_ECLOSED. */
PIPIT_API pipit_err pipit_sub_end_after(pipit_sub *sub, uint64_t max);

/** Hear what has been published, and no more: then the subscription ends by itself. Errors:
 * PIPIT_EAGAIN; PIPIT_ENOMEM; PIPIT_ECLOSED. */
PIPIT_API pipit_err pipit_sub_drain(pipit_sub *sub);

/** End a subscription and free it. When this returns its callback does not run, but for the call
 * that this is called from, which is its last. Nobody may be waiting in pipit_sub_next. NULL is
 * fine. Thread: any, also from callbacks. */
PIPIT_API void pipit_sub_end(pipit_sub *sub);

/** The client that a subscription is of. Thread: any. */
PIPIT_API pipit_client *pipit_sub_client(const pipit_sub *sub);

/** How many messages a subscription has missed for being too slow, and how many wait in it. Thread:
 * any. */
PIPIT_API uint64_t pipit_sub_missed(const pipit_sub *sub);
PIPIT_API size_t pipit_sub_pending(const pipit_sub *sub);

/**
 * Ask, and wait for one answer.
 *
 * Owner:  *out_reply is the caller's, for pipit_msg_free.
 * Thread: any, but not in a callback.
 * Errors: those of publish; PIPIT_ETIMEOUT; PIPIT_ENOTFOUND nobody is there to answer;
 *         PIPIT_EINUSE in a callback; PIPIT_ECLOSED.
 */
PIPIT_API pipit_err pipit_client_request(pipit_client *client, const char *subject,
                                         const void *payload, size_t payload_bytes,
                                         int64_t timeout_ms, pipit_msg **out_reply);

/* Called with each answer to a request: msg, and err PIPIT_OK. The last call has no msg: err is
 * PIPIT_OK when as many came as were asked for, or no more came for gap_ms; PIPIT_ETIMEOUT;
 * PIPIT_ENOTFOUND nobody is there; PIPIT_ECLOSED. After it the request is gone. */
typedef void (*pipit_request_fn)(void *context, pipit_request *request, pipit_err err,
                                 const pipit_msg *msg);

/**
 * Ask, and have callback called with the answers: replies_max of them at most (0: any number until
 * the time is over), for timeout_ms at most, and no longer than gap_ms after each (0: no matter).
 * msg->reply is ignored.
 *
 * Owner:  the request is the client's. *out_request, if asked for, is good for pipit_request_cancel
 *         until the last call of callback.
 * Thread: any, also from callbacks.
 * Errors: those of publish; PIPIT_ELIMIT 65536 requests wait already.
 */
PIPIT_API pipit_err pipit_client_request_start(pipit_client *client, const pipit_msg *msg,
                                               uint32_t replies_max, int64_t timeout_ms,
                                               int64_t gap_ms, pipit_request_fn callback,
                                               void *context, pipit_request **out_request);

/** Give up a request: callback is called no more. Thread: the client's callbacks, or with own_loop
 * the thread that polls. */
PIPIT_API void pipit_request_cancel(pipit_request *request);

/**
 * Publish to every subscription that could hear a message on some subject that falls under
 * msg->subject, which may hold wildcards: to each once, to one member of each queue group.
 *
 * Recipients get the pattern as the subject, and by a wire a header Pipit-Subject with it. Only
 * pipit can do this, for clients in the account $G: over memory, by its Unix socket, and, where it
 * is configured with pipit_requests, by any way. msg->reply must be empty. Over memory it is not in
 * order with what has been published before, and timeout_ms does not matter.
 *
 * Units:  *out_recipients, subscriptions that took it; out_recipients may be NULL.
 * Thread: any, but not in a callback.
 * Errors: those of publish and of pipit_client_request; PIPIT_EDENIED the server does not offer it,
 * or the client's permissions do not cover the pattern.
 */
PIPIT_API pipit_err pipit_client_publish_matching(pipit_client *client, const pipit_msg *msg,
                                                  int64_t timeout_ms, uint64_t *out_recipients);

/**
 * Claim a literal subject: of those who claim it, one has it, until it releases it or is gone.
 *
 * It keeps nobody from subscribing or publishing: it is an agreement among those who claim. Offered
 * as pipit_client_publish_matching is. After a lost connection it is claimed anew before anything
 * else is published; PIPIT_EVENT_CLAIM_LOST tells if somebody else has it meanwhile.
 *
 * Thread: any, but not in a callback.
 * Errors: those of pipit_client_request; PIPIT_EINUSE somebody else has it; PIPIT_EDENIED it is not
 *         offered, or the client may not subscribe to it; PIPIT_ELIMIT too many by one connection.
 */
PIPIT_API pipit_err pipit_client_claim(pipit_client *client, const char *subject,
                                       int64_t timeout_ms);
/** Give it back. It is no error not to have it. */
PIPIT_API pipit_err pipit_client_release(pipit_client *client, const char *subject,
                                         int64_t timeout_ms);

/** Wait until the server has seen everything that was published and subscribed before. Thread: any,
 * but not in a callback. Errors: PIPIT_ETIMEOUT; PIPIT_ECLOSED; PIPIT_EINUSE; PIPIT_ENOMEM. */
PIPIT_API pipit_err pipit_client_flush(pipit_client *client, int64_t timeout_ms);

/** Hear what has been published, send what waits, then close: PIPIT_EVENT_CLOSED tells. After
 * timeout_ms it closes in any case. Thread: any, also from callbacks. Errors: PIPIT_ECLOSED;
 * PIPIT_ENOMEM. */
PIPIT_API pipit_err pipit_client_drain(pipit_client *client, int64_t timeout_ms);

/** Write a subject of this client's own for replies, with its NUL. Errors: PIPIT_ETOOBIG 64 bytes
 * are enough, 128 with a prefix of the program's. Thread: any. */
PIPIT_API pipit_err pipit_client_inbox(pipit_client *client, char *out, size_t out_bytes);

/** A descriptor that polls readable when pipit_client_poll has something to do (own_loop). */
PIPIT_API int pipit_client_fd(const pipit_client *client);

/** Do what there is to do, callbacks too, and wait up to timeout_ms for something (own_loop). Name
 * look-ups wait for their answer. Thread: one at a time. Errors: PIPIT_ECLOSED for good;
 * PIPIT_EINUSE the client has a thread, or from a callback. */
PIPIT_API pipit_err pipit_client_poll(pipit_client *client, int64_t timeout_ms);

PIPIT_API pipit_client_state pipit_client_get_state(const pipit_client *client);
PIPIT_API void pipit_client_get_stats(const pipit_client *client, pipit_client_stats *out_stats);
/** The most bytes of headers and payload that the server takes; 0: not known yet. */
PIPIT_API int64_t pipit_client_max_payload(const pipit_client *client);
/** Copy why the last connection failed or ended, cut to fit. Thread: any. */
PIPIT_API void pipit_client_last_error(const pipit_client *client, char *out, size_t out_bytes);

#ifdef __cplusplus
}
#endif
#endif
