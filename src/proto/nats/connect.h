/* proto/nats/connect.h -- what a client says about itself in CONNECT.
 *
 * A connection keeps this for life, and there may be very many of them idle, so the texts lie
 * packed in one allocation (none when all are empty) and credentials can be dropped once they have
 * been checked. */
#ifndef PP_PROTO_NATS_CONNECT_H
#define PP_PROTO_NATS_CONNECT_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

enum pp_nats_connect_text {
    PP_CONNECT_AUTH_TOKEN,
    PP_CONNECT_USER,
    PP_CONNECT_PASS,
    PP_CONNECT_NKEY,
    PP_CONNECT_JWT,
    PP_CONNECT_SIG,
    PP_CONNECT_PROXY_SIG,
    PP_CONNECT_NAME,
    PP_CONNECT_LANG,
    PP_CONNECT_VERSION,
    PP_CONNECT_ACCOUNT,
    PP_CONNECT_TEXT_COUNT
};

struct pp_nats_connect {
    char *texts;  /* private; pp_nats_connect_text() and pp_nats_text_in() read it */
    int protocol; /* as sent, cut to what an int holds: 0 and 1 have a meaning */
    bool verbose;
    bool pedantic;
    bool echo;
    bool tls_required;
    bool headers;
    bool no_responders;
    bool new_account;
    bool has_credentials; /* the latest CONNECT carried some, so they must be checked (again) */
};

/* The state before CONNECT: verbose, pedantic and echo are true. */
void pp_nats_connect_init(struct pp_nats_connect *connect);
/* Wipe and free the texts. */
void pp_nats_connect_fini(struct pp_nats_connect *connect);

/**
 * Read the JSON of one CONNECT over the values that are there; keys it does not name keep theirs.
 *
 * Text may hold any byte, NUL too. Bytes that are not UTF-8 become U+FFFD, one for each byte,
 * since there are clients that send names as the user typed them. On failure *inout is unchanged.
 *
 * Errors: PIPIT_EPROTO not JSON, not an object, or a known key with a value of another type;
 *         PIPIT_ETOOBIG beyond 1 GiB; PIPIT_ENOMEM.
 * Source: NATS client protocol, section 4, and nats-server 2.15.2 as observed. Where it differs:
 *         of a key written twice only the last value is looked at; lone surrogates, NUL in a key
 *         and numbers beyond 64 bits are refused. No client is known to send any of these.
 */
pipit_err pp_nats_connect_parse(pp_str json, struct pp_nats_connect *inout);

/* Is this the JSON of an INFO, or null? Nothing in it matters to a server.
 * Errors: PIPIT_EPROTO; PIPIT_ENOMEM. */
pipit_err pp_nats_connect_check_info(pp_str json);

/* One text, empty when it was not sent. Borrowed until the next parse, forget_secrets or fini. */
pp_str pp_nats_connect_text(const struct pp_nats_connect *connect, enum pp_nats_connect_text which);

/* The same of texts that may have outlived connect; NULL: there are none. Thread: any, if they do
 * not change. */
pp_str pp_nats_text_in(const char *texts, enum pp_nats_connect_text which);

/* Go on with a copy of the texts, and leave what others still look at to the caller, who frees it
 * with pp_free. False: no memory, nothing has changed. */
bool pp_nats_connect_leave_texts(struct pp_nats_connect *connect, char **out_texts);

/* Wipe auth_token, pass, jwt, sig and proxy_sig, and give their memory back. A later CONNECT that
 * brings none of them finds them empty: has_credentials tells the session that it need not ask. */
void pp_nats_connect_forget_secrets(struct pp_nats_connect *connect);

#endif
