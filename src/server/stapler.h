/* server/stapler.h -- asks authorities about the server's own certificates (OCSP), on a thread of
 * its own: before the server listens, half-way to the end of each answer, and at each reload.
 *
 * A certificate that must be good and is not ends the server, as nats-server does. */
#ifndef PP_SERVER_STAPLER_H
#define PP_SERVER_STAPLER_H

#include "base/buf.h"
#include "tls/staple.h"

struct pipit_server;

typedef struct pp_stapler pp_stapler;

/* Errors: PIPIT_ENOMEM. */
pipit_err pp_stapler_new(pp_stapler **out, struct pipit_server *server);
/* When it is stopped and no context is left; NULL is fine. */
void pp_stapler_free(pp_stapler *stapler);

/* Where contexts find their staples. */
pp_tls_staples *pp_stapler_staples(pp_stapler *stapler);

/* Ask for the first time, and wait for the answers; then go on doing so.
 * Errors: PIPIT_EINVAL one cannot be had, or is not good; error says so. PIPIT_ELIMIT no thread. */
pipit_err pp_stapler_start(pp_stapler *stapler, pp_buf *error);
/* Contexts are new, and not in use yet: wait for what has never been asked about, so that nobody is
 * shown a certificate without it; then ask anew about the others, without waiting. Thread: the one
 * that reloads. */
void pp_stapler_hurry(pp_stapler *stapler);
/* Nobody is waited for any more: what hurries returns soon, and pp_stapler_stop comes next.
 * Thread: any. */
void pp_stapler_abandon(pp_stapler *stapler);
void pp_stapler_stop(pp_stapler *stapler);

#endif
