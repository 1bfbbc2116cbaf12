/* server/own_requests.h -- requests that only pipit knows, for clients of the account $G.
 *
 *   $PIPIT.MATCH            publish to all that the pattern in the header Pipit-Subject meets;
 *                           answered with the number of recipients
 *   $PIPIT.CLAIM.SUBJECT    claim a literal subject for this connection; +OK, or -ERR and why
 *   $PIPIT.RELEASE.SUBJECT  give it back, as the end of the connection does; +OK
 *
 * They are there for clients of the Unix socket, and for all with `pipit_requests: true`; to others
 * it is as if nobody answered. A client may do by them what its permissions allow it to do
 * otherwise. */
#ifndef PP_SERVER_OWN_REQUESTS_H
#define PP_SERVER_OWN_REQUESTS_H

#include "core/client.h"

struct pipit_server;

#define PP_OWN_SUBJECT_HEADER "Pipit-Subject"
#define PP_OWN_MATCH "$PIPIT.MATCH"
#define PP_OWN_CLAIM "$PIPIT.CLAIM."
#define PP_OWN_RELEASE "$PIPIT.RELEASE."

typedef struct pp_own_requests {
    pp_client client; /* that hears them */
    pp_sub *sub;      /* NULL: they are not offered */
    struct pipit_server *server;
    bool remote; /* are they offered to clients of other machines, too? */
} pp_own_requests;

/* Before the loops run, when the options are known. Errors: PIPIT_ENOMEM. */
pipit_err pp_own_requests_open(struct pipit_server *server);
/* When they run no more. */
void pp_own_requests_close(struct pipit_server *server);

#endif
