/* server/activation.h -- sockets that the service manager has opened already.
 *
 * The protocol of sd_listen_fds(3): LISTEN_FDS descriptors from 3 on, for the process LISTEN_PID,
 * with names in LISTEN_FDNAMES. */
#ifndef PP_SERVER_ACTIVATION_H
#define PP_SERVER_ACTIVATION_H

#include "base/err.h"

#include <stddef.h>

enum { PP_ACTIVATION_MAX = 16, PP_ACTIVATION_NAME_BYTES = 256 };

typedef struct pp_activation {
    size_t count;
    struct {
        int fd;
        char name[PP_ACTIVATION_NAME_BYTES]; /* empty: it has none */
    } sockets[PP_ACTIVATION_MAX];
} pp_activation;

/* Take what the environment says out of it; the descriptors are the caller's. Before there are
 * threads. Errors: PIPIT_ELIMIT more than PP_ACTIVATION_MAX. */
pipit_err pp_activation_take(pp_activation *out_activation);

#endif
