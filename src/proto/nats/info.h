/* proto/nats/info.h -- the INFO line: what the server says about itself to one client. */
#ifndef PP_PROTO_NATS_INFO_H
#define PP_PROTO_NATS_INFO_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* Fields in the order in which they are written. Those marked (opt) are left out when they are
 * false, zero or empty.
 * Source: NATS client protocol, section 3.1; pipit_version is our own and comes last. */
struct pp_nats_info {
    pp_str server_id;
    pp_str server_name;
    pp_str version; /* of the nats-server whose behaviour is followed: clients look at it */
    int64_t proto;
    pp_str git_commit; /* opt */
    pp_str go;
    pp_str host;
    int64_t port;
    bool headers;
    bool auth_required;  /* opt */
    bool tls_required;   /* opt */
    bool tls_verify;     /* opt */
    bool tls_available;  /* opt */
    int64_t max_payload; /* bytes, for this connection; -1: no limit */
    bool jetstream;      /* opt */
    uint64_t client_id;  /* opt */
    pp_str client_ip;    /* opt */
    pp_str nonce;        /* opt */
    pp_str cluster;      /* opt */
    pp_str domain;       /* opt */
    const pp_str *connect_urls;
    size_t connect_url_count; /* opt */
    bool ldm;                 /* opt */
    bool connect_info;        /* opt */
    pp_str remote_account;    /* opt */
    bool acc_is_sys;          /* opt */
    int64_t api_lvl;          /* opt */
    pp_str xkey;              /* opt */
    pp_str pipit_version;     /* opt */
};

/**
 * Add "INFO {json} CR LF" to out, with the space before CR LF that the reference writes.
 *
 * Text is escaped as Go does it: < > & as \u003c..., bytes that are not UTF-8 as \ufffd.
 * On failure out is as long as before.
 *
 * Errors: those of pp_buf_add.
 */
pipit_err pp_nats_info_format(const struct pp_nats_info *info, pp_buf *out);

#endif
