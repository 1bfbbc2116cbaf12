/* cli/turn.h -- commands that go on until they are interrupted: one thread that waits for Ctrl-C,
 * for the time, and for messages of connections with a loop of their own (cli_wish), at once. */
#ifndef CLI_TURN_H
#define CLI_TURN_H

#include "cli/connection.h"

#include <stdbool.h>
#include <stdint.h>

/* Have SIGINT and SIGTERM end turns instead of the tool. Before threads are made. */
void cli_turn_catch(void);

typedef enum cli_turn_end {
    CLI_TURN_WORKED,      /* something may have happened, or the time is over */
    CLI_TURN_INTERRUPTED, /* SIGINT or SIGTERM: once and for all */
    CLI_TURN_CLOSED,      /* the connection has ended for good */
} cli_turn_end;

/* Let the client work; wait for something to do until deadline_ns of cli_now_ns, INT64_MAX: without
 * end. connection NULL: only the time, and interruptions. */
cli_turn_end cli_turn(cli_connection *connection, int64_t deadline_ns);

/* The same while waiting for an input without end; *out_ready says whether there is some. */
cli_turn_end cli_turn_input(cli_connection *connection, int fd, bool *out_ready);

/* Wait for as long, or not at all with 0. True: interrupted, once and for all. */
bool cli_turn_wait(int64_t ns);

/* The clock that never goes back. */
int64_t cli_now_ns(void);

/* "12:33:07", for lines on standard error. */
void cli_clock_text(char out[16]);

#endif
