/* server/pid_file.h -- the file that tells which process the server is. */
#ifndef PP_SERVER_PID_FILE_H
#define PP_SERVER_PID_FILE_H

#include "base/err.h"
#include "base/str.h"

/* Write the process id, in decimal and without an end of line, for nobody else to change (0600). It
 * stays when the process ends, as in nats-server. Sets errno. */
pipit_err pp_pid_file_write(const char *path);

/* Write a file that is for its owner only. Sets errno. */
pipit_err pp_private_file_write(const char *path, pp_str text);

#endif
