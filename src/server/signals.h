/* server/signals.h -- which signals the process takes, and what they are called.
 *
 *   INT   shut down            USR1  open the log file anew
 *   TERM  shut down; not while USR2's lame duck is under way
 *   HUP   reload               USR2  lame duck
 *   RTMIN write all counters to the log
 *
 * QUIT and the others stay the system's. Source: NATS configuration, section 6. */
#ifndef PP_SERVER_SIGNALS_H
#define PP_SERVER_SIGNALS_H

#include "base/err.h"

/* A constant in spirit: the C library keeps the first ones for itself. */
int pp_signal_dump(void);

/* Block them for this thread and those it makes from now on, and open a descriptor to read them
 * from, one struct signalfd_siginfo each. PIPE is ignored. Errors: PIPIT_ELIMIT. */
pipit_err pp_signals_open(int *out_fd);

/* "hangup"; as Go calls them, for that is what the log of nats-server says. */
const char *pp_signal_name(int signal);

#endif
