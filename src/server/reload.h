/* server/reload.h -- another configuration for a server that runs.
 *
 *   read -> check -> compare -> make -> hook -> install -> loops change over, one after another ->
 * free
 *
 * Until "install" nothing has changed and everything can be refused; after it nothing can fail.
 * Each loop changes over in a turn of its own: it takes the new settings, forgets its routes and
 * puts its sessions under the new users. When the last has done so, and all have come round once
 * more, nobody can see the old ones any more. */
#ifndef PP_SERVER_RELOAD_H
#define PP_SERVER_RELOAD_H

#include "base/buf.h"
#include "config/change.h"
#include "config/options.h"
#include "pipit/server.h"

/* What else hangs on a configuration: the program's log and its files. */
typedef struct pp_reload_hook {
    /* Do what options ask for, or say in error why it cannot be. Called when everything else is
     * ready: after it the reload cannot fail any more. */
    pipit_err (*apply)(void *context, const pp_options *options, pp_buf *error);
    void (*done)(void *context); /* the options are in force */
    void *context;
} pp_reload_hook;

/* The last reload, for who asks later. */
typedef struct pp_reload_report {
    bool done;           /* there has been one */
    bool applied;        /* false: it was refused */
    int64_t time_ns;     /* wall clock */
    pp_changes *changes; /* NULL: the file could not be read */
    char *error;         /* NULL when applied */
} pp_reload_report;

/**
 * Read the configuration file again and put it in force, whole or not at all.
 *
 * What came of it is logged and kept as the server's report. error gets one sentence, or several
 * lines, on failure.
 *
 * Thread: any but a loop's; one at a time, others wait.
 * Errors: PIPIT_EINVAL the file is wrong, or a key has changed that needs a restart; PIPIT_ENOMEM;
 *         PIPIT_ECLOSED the server does not run.
 */
pipit_err pp_server_reload(pipit_server *server, pp_buf *error);

/* Whom to ask, from the next reload on. hook is borrowed; NULL: nobody. */
void pp_server_set_reload_hook(pipit_server *server, const pp_reload_hook *hook);

#endif
