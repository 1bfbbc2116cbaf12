/* cli/fanout_process.h -- what makes a daemon of a process, and who it runs as. */
#ifndef CLI_FANOUT_PROCESS_H
#define CLI_FANOUT_PROCESS_H

#include "cli/fanout_options.h"

#include <sys/types.h>

/* Who to become. */
typedef struct cli_fanout_identity {
    bool given;
    uid_t uid;
    gid_t gid;
} cli_fanout_identity;

/* Look up USER[:GROUP], names or numbers; the group is by default the user's. False: there is no
 * such user or group, and that is said. */
bool cli_fanout_identity_find(const char *run_as, cli_fanout_identity *out);

/* Become that, for good: no other groups, no way back. False: refused, and said. */
bool cli_fanout_identity_take(const cli_fanout_identity *identity);

/* Have as many descriptors as the clients need, and say how many clients there may be. False: there
 * are not so many, and that is said. */
bool cli_fanout_client_limit(const cli_fanout_options *options, long *out_limit);

/**
 * Go on in a child that has left the terminal; the parent waits until the child says that it
 * serves, writes the pid file and ends the process.
 *
 * Returns in the child only, with the descriptor to say it through; -1: no process, and that is
 * said.
 */
int cli_fanout_detach(const char *pid_file);

/* In the child: tell the parent that all is well, and leave its standard streams. */
void cli_fanout_detached(int fd);

#endif
