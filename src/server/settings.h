/* server/settings.h -- from options to what the parts of a running server work with. */
#ifndef PP_SERVER_SETTINGS_H
#define PP_SERVER_SETTINGS_H

#include "base/buf.h"
#include "config/options.h"
#include "pipit/server.h"
#include "proto/nats/door.h"
#include "server/directory.h"

/* The arguments a server was made with, kept for reloads; some are secret. */
typedef struct pp_arguments {
    char **items; /* the program's name first */
    int count;
    char *text; /* of a configuration; NULL: none */
    size_t text_len;
} pp_arguments;

/* Owner: texts are copied. Errors: PIPIT_ENOMEM. */
pipit_err pp_arguments_init(pp_arguments *arguments, const char *const *options, size_t count);
/* Take a configuration's text, which is copied, in the place of what there was. NULL: none. Errors:
 * PIPIT_ENOMEM. */
pipit_err pp_arguments_set_text(pp_arguments *arguments, const char *text, size_t text_len);
/* Wipe and free. */
void pp_arguments_fini(pp_arguments *arguments);

/**
 * Read flags and file anew.
 *
 * Owner:  *out_options is the caller's, for pp_server_options_free.
 * Errors: PIPIT_EINVAL, error says why; PIPIT_ENOMEM.
 */
pipit_err pp_server_options_new(pp_options **out_options, const pp_arguments *arguments,
                                pp_buf *error);
void pp_server_options_free(pp_options *options);

/* What NATS sessions go by. It borrows texts of options and server, and the users of directory; the
 * caller's, for pp_server_settings_free. Errors: PIPIT_EINVAL, error says why; PIPIT_ENOMEM. */
pipit_err pp_server_settings_new(pp_nats_settings **out_settings, pipit_server *server,
                                 const pp_options *options, const pp_directory *directory,
                                 pp_buf *error);
void pp_server_settings_free(pp_nats_settings *settings);

/* The settings in force for who asks: on a loop its own, elsewhere the server's. Thread: a loop's,
 * or one that holds options_lock. */
const pp_nats_settings *pp_server_settings(const pipit_server *server);

/* What is logged. Thread: any. */
void pp_server_install_log_flags(pipit_server *server, const pp_options *options);

/* Put in force what has no snapshot and is read wherever it is needed. Thread: any. */
void pp_server_install_limits(pipit_server *server, const pp_options *options);

#endif
