/* auth/entrance.h -- the kinds of listeners whose clients a configuration may treat differently. */
#ifndef PP_AUTH_ENTRANCE_H
#define PP_AUTH_ENTRANCE_H

#include <stdbool.h>

typedef enum pp_entrance {
    PP_ENTRANCE_CLIENTS, /* TCP, Unix, in-process; and what is said for all */
    PP_ENTRANCE_WEBSOCKET,
    PP_ENTRANCE_MQTT,
    PP_ENTRANCE_LEAFNODES,
    PP_ENTRANCE_COUNT
} pp_entrance;

/* What is said for one kind. Beside PP_ENTRANCE_CLIENTS the first four count where one of user,
 * token and no_auth_user is set, and then those for all do not; verify_and_map always counts.
 * Source: NATS authentication, section 1.3, 3. */
typedef struct pp_entrance_setup {
    const char *user, *pass;  /* the one user where there are no others; NULL: none */
    const char *token;        /* what clients may show instead; NULL: none */
    const char *no_auth_user; /* name or key of who shows nothing; NULL: none */
    bool verify_and_map;      /* the certificate says who it is */
} pp_entrance_setup;

#endif
