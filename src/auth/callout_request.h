/* auth/callout_request.h -- what a callout service is asked: a token of the server's that says who
 * wants to come in.
 *
 * Pure. The token holds what the client has shown, secrets too, since the service is to judge them:
 * it goes to nobody else, and is wiped when it has been sent. Source: NATS authentication, section
 * 8; ADR-26. */
#ifndef PP_AUTH_CALLOUT_REQUEST_H
#define PP_AUTH_CALLOUT_REQUEST_H

#include "auth/login.h"
#include "auth/nkey.h"
#include "base/buf.h"

#define PP_CALLOUT_SUBJECT "$SYS.REQ.USER.AUTH"
#define PP_CALLOUT_AUDIENCE "nats-authorization-request"
#define PP_CALLOUT_XKEY_HEADER "Nats-Server-Xkey"

/* The server that asks. */
typedef struct pp_callout_server {
    const char *id; /* its public key */
    const uint8_t *seed;
    const char *name, *host, *version;
    const char *cluster; /* NULL: none */
    const char *const *tags;
    size_t tag_count;
    const char *xkey; /* its public curve key */
    const uint8_t *xkey_seed;
} pp_callout_server;

typedef struct pp_callout_request {
    const pp_callout_server *server;
    const uint8_t *service_xkey; /* the service's curve key; NULL: nothing is sealed */
    pp_str issuer;               /* who is to answer: the token's subject */
    pp_str user_nkey;            /* made for this question */
    const pp_login_shown *shown;
    pp_str user;                /* whom the server takes it for, if it has not said so itself */
    pp_str jwt;                 /* in operator mode, what it came with */
    pp_str user_key, user_name; /* that token's subject and name */
    const pp_str *user_tags;    /* and tags */
    size_t user_tag_count;
    int64_t now_s, expires_s; /* since the Unix epoch */
} pp_callout_request;

/**
 * Append the payload of the request to out: a token, in a sealed box if there is a key for it.
 *
 * Errors: PIPIT_EINVAL service_xkey is no point that a secret can be shared with; those of
 * pp_buf_add.
 */
pipit_err pp_callout_request_write(const pp_callout_request *request, pp_buf *out);

#endif
