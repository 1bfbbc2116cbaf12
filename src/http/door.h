/* http/door.h -- HTTP/1.1 on our own connections.
 *
 * A door hands each request to `handle` and sends what comes back by pp_http_answer_send, at once
 * or later and from any thread. While one request of a connection is being answered the next is
 * not read, so a connection never has more than one request and one answer in memory.
 *
 *   [open]            [request complete]           [pp_http_answer_send]
 *  --------> READING --------------------> WAITING ----------------------> SENDING
 *             ^  |                                                          ^ |  |
 *             |  +--[refused: 400, 401, 408, 413, 414, 417, 431, 503, 505]--+ |  |
 *             +-------------[all is sent, and the connection is kept]---------+  |
 *                                                                                |
 *                gone <--[the peer closes, or a second is over]-- LINGERING <----+
 *
 *  READING    a request must be complete in head_timeout_ns from its first byte on, the first one
 *             from the opening on; between requests there may be idle_timeout_ns.
 *  WAITING    nothing is read. The answer may take its time.
 *  SENDING    in pieces, the next when the one before is sent, so the write deadline is one for
 *             each piece, not for an answer of any length.
 *  LINGERING  our side is shut. What still comes is dropped, since closing a socket with input
 *             in it would take the answer away from the peer. */
#ifndef PP_HTTP_DOOR_H
#define PP_HTTP_DOOR_H

#include "base/body.h"
#include "base/log.h"
#include "http/credentials.h"
#include "http/reader.h"
#include "http/request.h"
#include "net/conn.h"

#include <stdatomic.h>

enum { PP_HTTP_ANSWER_HEADERS_MAX = 640 }; /* bytes of content type and extra headers together */

struct pp_http_reply;

/* Where an answer goes: plain data, may be kept after the connection has gone. */
typedef struct pp_http_ticket {
    pp_loop *loop;
    uint64_t conn_id;
    uint32_t serial;             /* of the request, on its connection */
    struct pp_http_reply *reply; /* what carries the answer: made with the request, so that sending
                                  * an answer cannot fail */
} pp_http_ticket;

typedef struct pp_http_answer {
    int status;
    const char *content_type;  /* NULL: none is sent */
    const char *extra_headers; /* "Name: value\r\n..." or NULL */
    pp_body *body;             /* NULL: empty */
    size_t body_bytes;         /* of body, from its beginning */
} pp_http_answer;

typedef struct pp_http_door {
    pp_door door; /* its context points to this struct */
    const pp_log *log;
    /* Called on the connection's loop; request is valid for the call. path is "/" for the base path
     * itself, "/name" below it, and empty for what is not below it. True: pp_http_answer_send must
     * follow once for the ticket, from any thread, in this call or later. False: too busy, which
     * is answered with 503 here. */
    bool (*handle)(void *context, const pp_http_request *request, pp_http_ticket ticket);
    void *context;
    pp_http_credentials credentials; /* set them by pp_http_credentials_set */
    pp_http_limits limits;           /* of what is read */
    bool keep_bodies;                /* else they are read and dropped */
    int64_t head_timeout_ns;
    int64_t idle_timeout_ns;
    uint32_t connections_max; /* more get 503 */
    int64_t answer_bytes_max; /* being sent, of all connections; requests beyond it get 503 */
    pp_str base_path;         /* "" or "/name"; borrowed */
    atomic_int_fast64_t connections;
    atomic_int_fast64_t answer_bytes;
    atomic_int_fast64_t refusal_log_ns; /* when a refusal may be logged again */
    atomic_uint_fast64_t refusals_left_out;
} pp_http_door;

/* Set everything to its default; log and handle, and what else is wanted, are then the caller's to
 * set. A door outlives its connections and stays where it is. */
void pp_http_door_init(pp_http_door *door);
void pp_http_door_fini(pp_http_door *door);

/* Its context is a pp_http_door. */
extern const pp_proto_ops pp_http_proto;

/**
 * Send the answer for a ticket; if the connection has gone it is dropped.
 *
 * The texts are copied. Headers longer than PP_HTTP_ANSWER_HEADERS_MAX make it an empty 500.
 *
 * Owner:  takes over one reference of answer->body, and the ticket: once for each.
 * Thread: any, while the ticket's loop has not ended for good (pp_loop_fini).
 */
void pp_http_answer_send(pp_http_ticket ticket, const pp_http_answer *answer);

#endif
