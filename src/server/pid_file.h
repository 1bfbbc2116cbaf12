/* server/pid_file.h -- the file that tells which process the server is. */
#ifndef PP_SERVER_PID_FILE_H
#define PP_SERVER_PID_FILE_H

#include "base/err.h"

/* Write the process id, in decimal and without an end of line, for nobody else to change (0600). It
 * stays when the process ends, as in nats-server. Sets errno. */
pipit_err pp_pid_file_write(const char *path);

#endif
