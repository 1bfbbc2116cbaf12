/* cli/await.h -- commands that run until they are told to stop: SIGINT or SIGTERM. */
#ifndef CLI_AWAIT_H
#define CLI_AWAIT_H

#include <stdbool.h>
#include <stdint.h>

/* Keep the signals that end a command for cli_await: before anything makes a thread. */
void cli_await_init(void);

/* Wait for as long. True: the command is to end. */
bool cli_await(int64_t ns);

#endif
