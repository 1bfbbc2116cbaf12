/* websocket/upgrade.h -- may this HTTP request become a WebSocket connection? Pure.
 *
 * Source: RFC 6455, section 4.2; NATS over WebSocket, section 2, and nats-server 2.15.2 as
 * observed: it takes HTTP/1.0 as well. */
#ifndef PP_WEBSOCKET_UPGRADE_H
#define PP_WEBSOCKET_UPGRADE_H

#include "base/buf.h"
#include "base/origin.h"
#include "http/request.h"

#include <stddef.h>

enum {
    PP_WS_ACCEPT_BYTES = 28, /* base64 of a SHA-1 */
    PP_WS_REASON_MAX = 512,
};

/* What a listener asks of requests. Plain data, which does not change. */
typedef struct pp_ws_rules {
    bool tls; /* the listener's connections are encrypted */
    bool same_origin;
    bool compression;
    const pp_origin *origins; /* none: any */
    size_t origin_count;
    pp_str headers; /* "Name: value\r\n..." to add to the answer */
} pp_ws_rules;

/* Who is asked for, by the path. */
typedef enum pp_ws_kind { PP_WS_CLIENT, PP_WS_LEAFNODE, PP_WS_MQTT } pp_ws_kind;

typedef struct pp_ws_upgrade {
    int status;                    /* 101, or with what it is refused */
    char reason[PP_WS_REASON_MAX]; /* the words for the log, if it is */
    pp_ws_kind kind;
    bool deflates;   /* compression was agreed on */
    bool no_masking; /* the same for frames without a key */
    bool browser;    /* wants small frames */
    bool safari;     /* wants compressed messages whole */
    pp_str real_ip;  /* who a proxy says is behind it; a slice of the request, maybe empty */
    char accept[PP_WS_ACCEPT_BYTES];
} pp_ws_upgrade;

/* Judge a request. */
void pp_ws_upgrade_check(const pp_ws_rules *rules, const pp_http_request *request,
                         pp_ws_upgrade *out);

/* Refuse what is no request at all, or more than one: the words are borrowed. */
void pp_ws_upgrade_refuse(pp_ws_upgrade *out, int status, const char *reason);

/* Add the answer. Errors: those of pp_buf_add. */
pipit_err pp_ws_upgrade_answer(const pp_ws_rules *rules, const pp_ws_upgrade *upgrade, pp_buf *out);

/* What answers a client's key, of 24 characters. False: no memory. */
bool pp_ws_accept_make(pp_str key, char out[PP_WS_ACCEPT_BYTES]);

/* The value of a cookie; NULL slice: there is none. */
pp_str pp_ws_cookie(pp_str cookies, pp_str name);

#endif
