/* server/system/ocsp_events.h -- what is told of certificates that are not good (tls/inquirer.h).
 */
#ifndef PP_SERVER_SYSTEM_OCSP_EVENTS_H
#define PP_SERVER_SYSTEM_OCSP_EVENTS_H

#include "base/openssl.h"

struct pp_system;

/* link, which is one of those that peer has shown or that vouch for it, is not good; or NULL: peer
 * is not let in. All are borrowed for the call. Thread: any. */
void pp_ocsp_events_refused(struct pp_system *system, X509 *peer, X509 *link, const char *reason);

#endif
