/* server/ocsp.h -- asking about the certificates of clients (tls/inquirer.h): by which client of
 * HTTP, what is kept, and who is told. */
#ifndef PP_SERVER_OCSP_H
#define PP_SERVER_OCSP_H

#include "config/options.h"
#include "tls/inquirer.h"

struct pipit_server;

typedef struct pp_ocsp pp_ocsp;

/* Errors: PIPIT_ENOMEM. */
pipit_err pp_ocsp_new(pp_ocsp **out, struct pipit_server *server);
/* When no context is left; NULL is fine. */
void pp_ocsp_free(pp_ocsp *ocsp);

/* Whom contexts ask. */
pp_tls_inquirer *pp_ocsp_inquirer(pp_ocsp *ocsp);

/* Keep what is said as options have it from now on. Thread: the one that starts or reloads. */
void pp_ocsp_configure(pp_ocsp *ocsp, const pp_options *options);

/* Nobody is asked any more; what is kept is written. NULL is fine. */
void pp_ocsp_stop(pp_ocsp *ocsp);

#endif
