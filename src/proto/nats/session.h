/* proto/nats/session.h -- one NATS client connection.
 *
 *   [open]           [CONNECT accepted]             [any close]
 *  --------> GREETED -----------------> CONNECTED ---------------> gone
 *               |                           ^
 *               +--[auth not required]------+  operations are served before CONNECT too
 *
 *  GREETED    INFO sent. With authentication only CONNECT is accepted, and the auth timer runs.
 *  CONNECTED  connect holds what the client said; a second CONNECT starts over.
 *
 * A session belongs to its connection's loop. Other loops see of it: client (never changes),
 * headers and shown_texts, while they deliver to its subscriptions. */
#ifndef PP_PROTO_NATS_SESSION_H
#define PP_PROTO_NATS_SESSION_H

#include "auth/nonce.h"
#include "core/grants.h"
#include "core/route.h"
#include "net/conn.h"
#include "proto/nats/connect.h"
#include "proto/nats/door.h"
#include "proto/nats/reader.h"
#include "proto/nats/sids.h"

#include <stdatomic.h>

typedef struct pp_nats_session {
    pp_client client;
    pp_conn *conn;
    pp_nats_context *context;
    pp_route_cache *routes; /* of its scope, on this loop */
    pp_nats_reader reader;
    struct pp_nats_connect connect;
    pp_nats_sids sids;
    /* The texts of connect, if a name is among them: while they are here any loop may look at them,
     * and they do not change. */
    _Atomic(const char *) shown_texts;
    /* Where it may answer; NULL until it comes in as a user who may. Stays until the end, so that
     * any loop may look. */
    _Atomic(pp_grants *) grants;
    char *proxy_key;             /* of the trusted proxy that vouches for it; NULL: none does */
    struct pp_nats_login *login; /* a verdict is awaited; NULL: none */
    atomic_bool headers;         /* negotiated: wants header blocks */
    bool expects_layer : 1;      /* nothing can be said yet: its layer is being agreed on */
    bool expects_proxy : 1;      /* a PROXY header may come first */
    bool tls_first : 1;          /* TLS comes before INFO, or may */
    bool has_nonce : 1;          /* INFO says one, which may be signed */
    bool informed : 1;           /* INFO has been sent */
    bool connected : 1;          /* CONNECT was accepted */
    bool told : 1;               /* the first PONG and what follows it were sent */
    bool counted : 1;            /* among the door's clients */
    bool in_account : 1;         /* counted among those of its account */
    bool unsubscribed : 1;       /* since the last PONG */
    bool by_token : 1;           /* CONNECT carried a token, which nobody may be shown */
    uint8_t tls;                 /* pp_nats_tls_phase: what of TLS is awaited */
    bool authenticated;          /* operations are served */
    bool careful;                /* verbose or pedantic */
    bool line_checked;           /* of the publish whose payload is awaited */
    uint32_t proxy_skip;         /* bytes that still belong to the PROXY header */
    uint32_t pings_out;
    uint32_t rtt_us;         /* the last that was measured; first, how long CONNECT took */
    uint32_t rtt_measured_s; /* last PONG to a PING of ours, monotonic clock; 0: none */
    uint32_t let_go_at;
    atomic_int exhausted; /* of the sids: have had their last message, and are about to go */
    int64_t start_ns;     /* monotonic clock, as the following */
    int64_t op_ns;        /* last message, SUB, UNSUB or PING from the client */
    int64_t ping_sent_ns; /* the last PING of ours */
    pp_retired barrier;   /* a PONG that waits until no loop can deliver to an ended sub */
    pp_task let_go;       /* ending very many subscriptions in slices */
} pp_nats_session;

/* Of a connection that may or must have TLS, before it has or has not.
 *
 *        DUE ----------------+---------------+
 *         | [auto]           | [optional]    | [else]
 *         v                  v               v
 *       EARLY --[no bytes]-> SNIFF       HANDSHAKE --[on_layer]--> NONE
 *         |                  |  |            ^
 *         +----[bytes]-------|--+-[0x16]-----+
 *                            +-[other bytes, or none]------------> NONE */
typedef enum pp_nats_tls_phase {
    PP_NATS_TLS_NONE,
    PP_NATS_TLS_DUE,       /* a PROXY header comes before it */
    PP_NATS_TLS_EARLY,     /* it may come before INFO does */
    PP_NATS_TLS_SNIFF,     /* the first byte tells */
    PP_NATS_TLS_HANDSHAKE, /* nothing else will do */
} pp_nats_tls_phase;

extern const pp_proto_ops pp_nats_proto;

/* The session of a connection; NULL: of another door. */
static inline pp_nats_session *pp_nats_session_of(pp_conn *conn)
{
    return conn->door->proto == &pp_nats_proto ? (pp_nats_session *)conn->session : NULL;
}

/* Ask how far away the client is, unless that is known or asked already. True: a PING was staged.
 * Thread: the connection's loop. */
bool pp_nats_measure_rtt(pp_nats_session *s);

/* --- what the session's parts call of each other ------------------------------------------ */

/* Stage bytes for the client itself, after what has been staged before. */
void pp_nats_send(pp_nats_session *s, pp_str bytes);
/* Stage "-ERR 'text'". */
void pp_nats_error(pp_nats_session *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same, then close. text NULL: say nothing. */
void pp_nats_refuse(pp_nats_session *s, pp_close_reason reason, const char *text);
void pp_nats_ok(pp_nats_session *s); /* if verbose */
/* Set the timer for what is awaited now: a PROXY header, CONNECT, or the first ping. */
void pp_nats_schedule_start(pp_nats_session *s);

/* Who it came in as; whoever, while it has not. Thread: the session's loop. */
static inline const pp_user *pp_nats_user(const pp_nats_session *s)
{
    const pp_scope *scope = atomic_load_explicit(&s->client.scope, memory_order_relaxed);

    return PP_CONTAINER(scope, pp_user, scope);
}

static inline pp_account *pp_nats_account(const pp_nats_session *s)
{
    return atomic_load_explicit(&s->client.scope, memory_order_relaxed)->account;
}

/* Write what s may sign. */
static inline void pp_nats_nonce(const pp_nats_session *s, char out[PP_NONCE_BYTES])
{
    out[0] = '\0';
    if (s->has_nonce)
        pp_nonce_make(&s->context->door->nonce_secret, s->conn->id, out);
}

/* One hook of the door's observer. */
#define PP_NATS_OBSERVE(s, hook, subject)                                                          \
    do {                                                                                           \
        const pp_nats_observer *observer_ = &(s)->context->door->observer;                         \
                                                                                                   \
        if (observer_->hook)                                                                       \
            observer_->hook(observer_->context, (subject));                                        \
    } while (0)

/* admit.c: accounts, users and permissions */
/* Put s in the place of user. False: refused and closing. */
bool pp_nats_admit(pp_nats_session *s, const pp_user *user);
/* Put s, of which nothing is known yet, in the place of whoever shows nothing. False: there is
 * none, or no room in its account, and s must say who it is; or it is closing. */
bool pp_nats_admit_anybody(pp_nats_session *s);
/* It is over. */
void pp_nats_leave_account(pp_nats_session *s);
/* Leave it if it has more clients than it may have now. False: it has not, and s stays. */
bool pp_nats_leave_crowd(pp_nats_session *s);

/* excess.c: close those of the loop's sessions in account, NULL: in any, that limits do not allow
 * any more. */
void pp_nats_close_account_excess(pp_nats_context *context, const pp_account *account);

/* login.c: as whom */
/* Have it decided who s is by what its CONNECT says, then admit and enter, or refuse. While that is
 * not decided, login is set and nothing is read. */
void pp_nats_log_in(pp_nats_session *s);
/* It closes. */
void pp_nats_abandon_login(pp_nats_session *s);
/* Has it shown what it had to in time, and is the server not through with it? */
bool pp_nats_login_goes_on(const pp_nats_session *s);
/* As whom it may come in without a word; NULL: not at all. */
const pp_user *pp_nats_anybody(const pp_nats_session *s);

static inline pp_entrance pp_nats_entrance(const pp_conn *conn)
{
    const pp_nats_front *front = conn->door->context;

    return front ? front->entrance : PP_ENTRANCE_CLIENTS;
}

static inline bool pp_nats_by_websocket(const pp_conn *conn)
{
    return pp_nats_entrance(conn) == PP_ENTRANCE_WEBSOCKET;
}

static inline uint16_t pp_nats_connection_type(const pp_conn *conn)
{
    return pp_nats_by_websocket(conn) ? PP_USER_WEBSOCKET : PP_USER_STANDARD;
}

/* What conn's upgrade request said for that text of CONNECT; empty: nothing. */
static inline pp_str pp_nats_carried(pp_conn *conn, enum pp_nats_connect_text which)
{
    const pp_nats_front *front = conn->door->context;

    return front && front->carried ? front->carried(conn, which) : (pp_str){"", 0};
}

/* secure.c: TLS, before anything else */
/* Does s come in where TLS is spoken? Then it begins with it; INFO may have to wait. */
void pp_nats_expect_tls(pp_nats_session *s);
/* Are there too many of these in this second? */
bool pp_nats_throttles(pp_nats_session *s);
/* Nothing stands before TLS any more; early: what has been read behind that. */
void pp_nats_begin_tls(pp_nats_session *s, pp_str early);
/* Look at what has come while TLS was awaited. True: it is plain, and to be read as such. Otherwise
 * all of it has been used. */
bool pp_nats_hear_tls(pp_nats_session *s, pp_str window);
/* It has not come in time. */
void pp_nats_on_tls_timer(pp_nats_session *s);
/* Its layer can carry now. */
void pp_nats_on_tls(pp_nats_session *s, pp_layer *layer);
void pp_nats_log_tls_failure(pp_nats_session *s);

/* session.c: with or without TLS, s may speak now. */
void pp_nats_welcome(pp_nats_session *s);

/* hello.c: INFO, CONNECT */
void pp_nats_send_info(pp_nats_session *s, bool answers_connect);
/* Tell one client that it had better go elsewhere. False: it does not take such news (yet). Thread:
 * its loop's. */
bool pp_nats_send_away(pp_nats_session *s);
void pp_nats_on_connect(pp_nats_session *s, pp_str json);
/* It is let in: do what else CONNECT asks for. */
void pp_nats_enter(pp_nats_session *s);
void pp_nats_on_info(pp_nats_session *s, pp_str json);

/* publish.c */
/* Returns how many took the message, which has no headers. */
size_t pp_nats_on_publish(pp_nats_session *s, const pp_nats_op *op);
/* Was op, a PUB that was just published, one that nobody hears, and nobody is told of? */
bool pp_nats_unheard(const pp_nats_session *s, const pp_nats_op *op);

typedef struct pp_nats_published {
    size_t taken;
    uint64_t cost; /* in deliveries, beyond those */
} pp_nats_published;

/* One that has. */
pp_nats_published pp_nats_on_header_publish(pp_nats_session *s, const pp_nats_op *op);
/* The control line of a publish is there, its payload not yet. */
void pp_nats_on_publish_line(pp_nats_session *s, const pp_nats_op *op);

/* Where a message goes. */
typedef struct pp_nats_way {
    pp_msg msg; /* its subject is what a mapping made of it */
    pp_route_cache *cache;
    const pp_route *route; /* of cache; NULL: none, since nobody is there or there is no memory */
    bool mapped;           /* if so, and msg.subject is empty: nowhere */
    const char *refusal;   /* "to", "with Reply of"; NULL: it may go there */
    pp_str refused;        /* the subject or the reply */
} pp_nats_way;

#define PP_NATS_PUBLISH_REFUSAL "Permissions Violation for Publish %s %s"

/* Check and find; the publisher has been told what it should know. False: the message is refused,
 * or there is no memory. */
bool pp_nats_find_way(pp_nats_session *s, const pp_nats_op *op, pp_nats_way *way);
/* What pp_nats_on_publish does, by the longer way. */
size_t pp_nats_publish_by_way(pp_nats_session *s, const pp_nats_op *op);
void pp_nats_refuse_publish(pp_nats_session *s, const char *what, pp_str text);
void pp_nats_say_no_responders(pp_nats_session *s, pp_str subject, pp_str reply);
/* May only the server publish to it? */
bool pp_nats_subject_reserved(pp_str subject);

/* trace.c */
/* Publish a message with headers, and do what they say about tracing; *cost grows by what that
 * took, in deliveries. May they say anything? If not it goes as all others do. */
bool pp_nats_trace_hinted(const pp_nats_session *s, const pp_nats_op *op);
size_t pp_nats_publish_hinted(pp_nats_session *s, const pp_nats_op *op, uint64_t *cost);
/* A message is refused for its size; window holds what has arrived from its control line on. */
void pp_nats_trace_too_big(pp_nats_session *s, const pp_nats_op *op, pp_str window);

/* answer.c: who may publish where it is asked to, and nowhere else */
/* Make s ready for what user may answer. False: no memory. */
bool pp_nats_prepare_answers(pp_nats_session *s, const pp_user *user);
/* Has a message just been sent to s that is to be answered at subject? Once found that counts. */
bool pp_nats_may_answer(pp_nats_session *s, pp_str subject);
/* A message is about to be given to s by sub. Thread: loop's, which may be any, in a turn. */
void pp_nats_grant_answer(pp_nats_session *s, const pp_sub *sub, pp_str reply, pp_loop *loop);
/* Forget what may not be answered any more. */
void pp_nats_expire_answers(pp_nats_session *s);

/* name.c */
/* Let other loops see the name in connect, which is not changed from now on. */
void pp_nats_show_name(pp_nats_session *s);
/* Let them see none, so that connect may be changed. False: no memory, and they still see it. */
bool pp_nats_hide_name(pp_nats_session *s);
void pp_nats_identify(const pp_client *client, pp_client_identity *out);

/* subscribe.c */
void pp_nats_on_sub(pp_nats_session *s, const pp_nats_op *op);
/* Returns what it cost: responses, awaited from other accounts, that were looked at. */
size_t pp_nats_on_unsub(pp_nats_session *s, const pp_nats_op *op);
/* End up to count subscriptions; true when none is left. */
bool pp_nats_end_subs(pp_nats_session *s, uint32_t count);
/* Returns the same as pp_nats_on_unsub. */
size_t pp_nats_end_sub(pp_nats_session *s, pp_sub *sub);
extern const struct pp_client_ops pp_nats_client_ops;

/* keepalive.c */
void pp_nats_schedule_ping(pp_nats_session *s, bool first);
/* Is the time over for which it was let in? */
bool pp_nats_has_expired(const pp_nats_session *s);
void pp_nats_on_ping(pp_nats_session *s);
void pp_nats_on_pong(pp_nats_session *s);
void pp_nats_on_ping_timer(pp_nats_session *s);
/* How far away the client is, as far as is known when CONNECT comes: its answer to INFO. */
void pp_nats_guess_rtt(pp_nats_session *s);

#endif
