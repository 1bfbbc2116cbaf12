/* client/dialog.h -- a client's side of the conversation with a server, as a state machine.
 *
 * Pure: it is given bytes and the time, and says what to send and what has happened. It knows no
 * socket, no subscriptions and no threads; a hostile server can be played to it.
 *
 *            [pp_dialog_begin]
 *      +--------------------------> HELLO   INFO is awaited
 *      |                              |
 *      |   [INFO: TLS wanted]         | [INFO]
 *      |   SECURING <-----------------+--------------> WELCOME  CONNECT and PING are sent
 *      |      | [pp_dialog_secured]                      ^ |
 *      |      +------------------------------------------+ | [PONG]
 *      |                                                   v
 *      +--- any error ends it, for good <---------------- READY  messages come; keep-alive runs
 */
#ifndef PP_CLIENT_DIALOG_H
#define PP_CLIENT_DIALOG_H

#include "base/buf.h"
#include "client/credentials.h"
#include "client/feed.h"
#include "client/greeting.h"

typedef enum pp_dialog_state {
    PP_DIALOG_HELLO,
    PP_DIALOG_SECURING,
    PP_DIALOG_WELCOME,
    PP_DIALOG_READY,
    PP_DIALOG_ENDED,
} pp_dialog_state;

typedef enum pp_dialog_event {
    PP_DIALOG_QUIET,   /* nothing that concerns others */
    PP_DIALOG_SECURE,  /* encrypt, then call pp_dialog_secured; no more can be read until then */
    PP_DIALOG_OPEN,    /* messages may be sent from now on */
    PP_DIALOG_MSG,     /* op has it */
    PP_DIALOG_PONGED,  /* pongs has grown */
    PP_DIALOG_TOLD,    /* greeting is another */
    PP_DIALOG_REFUSED, /* op.text is an -ERR, after which the server may go on */
} pp_dialog_event;

/* What all conversations of a client have in common; borrowed. */
typedef struct pp_dialog_rules {
    const pp_credentials *credentials;
    const char *name; /* NULL: none */
    bool no_echo, pedantic;
    int64_t connect_timeout_ns;
    int64_t ping_interval_ns; /* negative: never */
    uint64_t pings_out_max;
} pp_dialog_rules;

typedef struct pp_dialog {
    const pp_dialog_rules *rules;
    const pp_credentials *url_credentials; /* of the server's address; win. NULL: none */
    pp_dialog_state state;
    bool secure;    /* the wire is encrypted */
    bool wants_tls; /* it is to be, whether or not the server requires it */
    pp_feed feed;
    pp_greeting greeting;
    pp_buf out;            /* to be sent before anything else; the owner empties it */
    uint64_t pings, pongs; /* sent and answered */
    int64_t deadline_ns;   /* when pp_dialog_tick has something to do */
    bool auth_failed;      /* it ended because of who the client is */
    char reason[256];      /* why it ended, for people */
} pp_dialog;

void pp_dialog_init(pp_dialog *dialog, const pp_dialog_rules *rules);
void pp_dialog_fini(pp_dialog *dialog);

/* A connection has been made; secure: its bytes are encrypted from the first on; wants_tls: they
 * are to be in any case. */
void pp_dialog_begin(pp_dialog *dialog, const pp_credentials *url_credentials, bool secure,
                     bool wants_tls, int64_t now_ns);

/**
 * Read from the front of window: one step.
 *
 * Errors: PIPIT_EAGAIN more input: *out_used as from pp_feed_read; else the conversation has ended:
 *         PIPIT_EPROTO, PIPIT_ETOOBIG; PIPIT_EAUTH; PIPIT_EDENIED refused for another reason;
 *         PIPIT_ENOMEM; of credentials PIPIT_EINVAL and those of reading a file.
 */
pipit_err pp_dialog_read(pp_dialog *dialog, pp_str window, int64_t now_ns, pp_feed_op *out_op,
                         pp_dialog_event *out_event, size_t *out_used);

/* The wire is encrypted now. Errors: as pp_dialog_read. */
pipit_err pp_dialog_secured(pp_dialog *dialog, int64_t now_ns);

/* Ask for a PONG: pongs will reach pings. Only when READY. Errors: PIPIT_ENOMEM. */
pipit_err pp_dialog_ping(pp_dialog *dialog);

/* Time has passed. Errors: PIPIT_ETIMEOUT the server does not answer; PIPIT_ENOMEM. */
pipit_err pp_dialog_tick(pp_dialog *dialog, int64_t now_ns);

#endif
