/* server/process.h -- the life of pipit-server as a process.
 *
 *   [pp_process_run]  log, server, files ... READY --[INT, TERM, lame duck over]--> STOPPING, exit
 *                                              |  ^
 *                                              +--+ HUP, USR1, USR2, counters
 *
 * The main thread does all of this; the server has threads of its own. */
#ifndef PP_SERVER_PROCESS_H
#define PP_SERVER_PROCESS_H

#include "base/log.h"
#include "pipit/server.h"
#include "server/logger.h"
#include "server/notify.h"
#include "server/options.h"
#include "server/ports_file.h"
#include "server/reload.h"

typedef struct pp_process {
    const pp_options *options;
    const char *program; /* what it was called as, without folders */
    pp_logger *logger;
    pp_log log; /* the same, for what the process says itself */
    pipit_server *server;
    int signal_fd;
    pp_reload_hook reload_hook;
    pp_notify notify;
    pp_ports_file ports;
    int64_t pulse_ns; /* when to look at the loops for the watchdog; 0: there is none */
    bool lame;        /* leaves when its last client has gone */
} pp_process;

/* The last part of a path, as messages and files call the program. */
const char *pp_process_name(const char *path);

/* Be the server until it is to end; argv is what the server parses its options from. Returns what
 * the process should exit with. */
int pp_process_run(const pp_options *options, const char *program, int argc,
                   const char *const *argv);

/* Read the configuration anew; the log tells what came of it. */
void pp_process_reload(pp_process *process);

#endif
