/* server/signal_command.h -- "--signal CMD[=PID]": one server process tells another something. */
#ifndef PP_SERVER_SIGNAL_COMMAND_H
#define PP_SERVER_SIGNAL_COMMAND_H

#include "base/buf.h"

/**
 * Send what argument says, such as "reload", "ldm=/run/pipit.pid", "quit=1234" or "term=12*".
 *
 * Commands are stop (KILL), quit (INT), term (TERM), reopen (USR1), reload (HUP) and ldm (USR2).
 * Without a process id the only process that runs under program's name is meant; a star after the
 * first digits means all of those whose ids begin so. On PIPIT_EINVAL
 * message holds what is wrong, without an end of line.
 *
 * Errors: PIPIT_EINVAL; PIPIT_ENOMEM; PIPIT_ETOOBIG if message may not grow.
 * Source: NATS configuration, section 1.4, and nats-server 2.15.2 as observed. Ids below 1, which
 *         mean whole groups of processes to the system, are refused.
 */
pipit_err pp_signal_command(const char *argument, const char *program, pp_buf *message);

#endif
