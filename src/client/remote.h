/* client/remote.h -- the address of a server: a URL taken apart. */
#ifndef PP_CLIENT_REMOTE_H
#define PP_CLIENT_REMOTE_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum pp_remote_kind {
    PP_REMOTE_MEMORY,
    PP_REMOTE_UNIX,
    PP_REMOTE_TCP,
    PP_REMOTE_TLS,
    PP_REMOTE_WS,
    PP_REMOTE_WSS,
} pp_remote_kind;

enum { PP_REMOTE_URL_MAX = 1024 };

typedef struct pp_remote {
    pp_remote_kind kind;
    uint16_t port;
    char *host;            /* the path of a Unix socket; points behind the struct, as the others */
    char *path;            /* WebSocket: what is asked for; "/" */
    char *user, *password; /* NULL: none; a user without password is a token */
} pp_remote;

/* Take a URL apart, percent signs in user and password too. Without "scheme://" it is nats://, or
 * with the kind of like (NULL: none). The caller frees it.
 * Errors: PIPIT_EINVAL; PIPIT_ETOOBIG; PIPIT_ENOMEM. */
pipit_err pp_remote_new(pp_remote **out_remote, pp_str url, const pp_remote *like);
void pp_remote_free(pp_remote *remote);

/* The same place? */
bool pp_remote_same(const pp_remote *a, const pp_remote *b);

static inline bool pp_remote_framed(const pp_remote *remote)
{
    return remote->kind == PP_REMOTE_WS || remote->kind == PP_REMOTE_WSS;
}

#endif
