/* cli/server_cpu.h -- how much CPU time a server has used, from its monitoring or its process. */
#ifndef CLI_SERVER_CPU_H
#define CLI_SERVER_CPU_H

#include "cli/command.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct cli_server_cpu cli_server_cpu;

/* monitor: the address of a server's monitoring, http://HOST:PORT; pid: of a server on this
 * machine; NULL and 0: neither, and *out is NULL. Of pipit-server's /metrics it is exact.
 * nats-server tells a percentage of the moment, which is summed up as often as it is sampled: an
 * estimate.
 *
 * Returns the exit status; what is wrong has been said. Owner: *out is the caller's. */
int cli_server_cpu_open(const cli_call *call, const char *monitor, int64_t pid,
                        cli_server_cpu **out);
void cli_server_cpu_close(cli_server_cpu *cpu); /* NULL is fine */

/* Look now. Now and then is enough, each second if it is estimated. */
void cli_server_cpu_sample(cli_server_cpu *cpu);

/* Seconds between the first look and the last; negative: unknown. */
double cli_server_cpu_seconds(const cli_server_cpu *cpu);
bool cli_server_cpu_estimated(const cli_server_cpu *cpu);

#endif
