/* cli/server.h -- `pipit server`: what servers say of themselves. */
#ifndef CLI_SERVER_H
#define CLI_SERVER_H

#include "cli/command.h"
#include "cli/inquiry.h"
#include "cli/table.h"

extern const cli_command cli_server_command;

/* server_list.c, _ping.c, _info.c, _report.c, _request.c, _watch.c, server_check*.c */
extern const cli_command cli_server_list, cli_server_ping, cli_server_info, cli_server_report,
    cli_server_request, cli_server_watch, cli_server_check, cli_server_check_connection,
    cli_server_check_server, cli_server_check_credential;

/* --- what several of them show (server_facts.c) --------------------------------------------- */

/* A server's name, or its id where it has none. Owner: answer. */
const char *cli_server_name(const json_t *answer, size_t *out_bytes);

/* Cells of a table, of members of answers: text, a number, bytes. */
void cli_server_cell_text(cli_table *table, const json_t *object, const char *path);
void cli_server_cell_count(cli_table *table, const json_t *object, const char *path);
void cli_server_cell_size(cli_table *table, const json_t *object, const char *path);

/* How many servers to wait for, as an argument: type's member expect. */
#define CLI_EXPECT_ARGUMENT(options_type, member)                                                  \
    {                                                                                              \
        .name = "EXPECT", .type = CLI_COUNT, .optional = true, .min = 1, .max = 4096,              \
        .help = "How many servers to wait for (default: as many as there are)",                    \
        .offset = offsetof(options_type, member)                                                   \
    }

/* Say so if fewer have answered than were waited for. Returns the exit status. */
int cli_server_missing(int64_t expected, int64_t came);

/* "1d2h3m4s" of monitoring, in seconds; 0: it is none. */
int64_t cli_uptime_read(const char *text);

#endif
