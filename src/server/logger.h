/* server/logger.h -- the writer behind the server's log.
 *
 *   [pp_logger_write]  ring --[writer thread]--> sink: stderr, file, syslog
 *   any thread         under the lock            nobody waits for it
 *
 * Who logs copies a line into a ring of 1 MiB and goes on; a thread of its own formats and writes.
 * A sink that is slow or gone costs nobody anything: when the ring is full lines are counted
 * instead, and one line tells how many were left out when there is room again. Errors have a piece
 * of the ring that other lines do not get. */
#ifndef PP_SERVER_LOGGER_H
#define PP_SERVER_LOGGER_H

#include "pipit/server.h"
#include "server/log_sink.h"

typedef struct pp_logger pp_logger;

/* Open what options name and begin to write. Texts are copied. On failure error holds a sentence.
 * Errors: PIPIT_ENOMEM; PIPIT_ELIMIT no thread or descriptor; as pp_log_sink_open. */
pipit_err pp_logger_new(pp_logger **out_logger, const pp_logger_options *options, char *error,
                        size_t error_bytes);

/* Write what waits, for two seconds at most, then end. Nobody may write any more. NULL is fine. */
void pp_logger_free(pp_logger *logger);

/* Take a line. Never blocks but for PIPIT_LOG_FATAL: after that one the process may be gone, so it
 * is written before this returns, within two seconds. context is the logger: this is a
 * pipit_log_fn. Thread: any. */
void pp_logger_write(void *context, pipit_log_level level, const char *text);

/* Open the log file anew, as after somebody moved it away; the log tells what came of it. Returns
 * at once. Thread: any. */
void pp_logger_reopen(pp_logger *logger);

/* Write elsewhere or otherwise from now on; lines given before go the old way. On failure all stays
 * as it is. Thread: any. Errors: as pp_logger_new. */
pipit_err pp_logger_configure(pp_logger *logger, const pp_logger_options *options, char *error,
                              size_t error_bytes);

/* Wait until all lines given before have been written. False: not within ms. Thread: any. */
bool pp_logger_flush(pp_logger *logger, unsigned ms);

#endif
