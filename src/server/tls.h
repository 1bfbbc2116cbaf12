/* server/tls.h -- from the options of TLS to what listeners speak it with. */
#ifndef PP_SERVER_TLS_H
#define PP_SERVER_TLS_H

#include "base/buf.h"
#include "config/diagnostics.h"
#include "config/options.h"
#include "tls/context.h"

struct pipit_server;
struct pp_worker;

/* Make what a tls block of options says, for server; the files are read now.
 * Owner: *out is the caller's, for pp_tls_context_unref; NULL if the options ask for no TLS.
 * Errors: PIPIT_EINVAL, error says why; PIPIT_ENOMEM. */
pipit_err pp_server_tls_new(pp_tls_context **out, const pp_options *options,
                            const pp_tls_options *block, const struct pipit_server *server,
                            pp_buf *error);

/* Would that work? Note where it would not. Errors: PIPIT_ENOMEM. */
pipit_err pp_server_tls_check(const pp_tls_options *options, pp_diagnostics *diagnostics);

/* The same for HTTPS, which asks nobody for a certificate. */
pipit_err pp_server_https_new(pp_tls_context **out, const pp_options *options,
                              const struct pipit_server *server, pp_buf *error);

/* Places and tickets. Errors: PIPIT_ENOMEM. */
pipit_err pp_server_tls_init(struct pipit_server *server, unsigned loops);
void pp_server_tls_fini(struct pipit_server *server);

/* Speak TLS to those who connect to the monitoring port from now on; context is the server's. */
void pp_server_install_https(struct pipit_server *server, pp_tls_context *context);

/* Close the clients of a loop whose keys are not among those pinned any more. Thread: the loop's;
 * its settings are the new ones. */
void pp_server_review_pins(struct pp_worker *worker);

/* Which ciphers and curves there are, and how it is configured. Errors: those of pp_buf_add. */
pipit_err pp_server_tls_help(pp_buf *out);

#endif
