/* cli/server.h -- `pipit server`: what servers say of themselves. */
#ifndef CLI_SERVER_H
#define CLI_SERVER_H

#include "cli/command.h"
#include "cli/inquiry.h"
#include "cli/table.h"

extern const cli_command cli_server_command;

/* server_list.c, _ping.c, _info.c, _report.c, _request.c, _watch.c, _account.c, _config.c,
 * server_check*.c, auth_password.c */
extern const cli_command cli_server_list, cli_server_ping, cli_server_info, cli_server_report,
    cli_server_request, cli_server_watch, cli_server_account, cli_server_config, cli_server_passwd,
    cli_server_mappings, cli_server_check, cli_server_check_connection, cli_server_check_server,
    cli_server_check_credential;

/* --- what several of them show (server_facts.c) --------------------------------------------- */

/* A server's name, or its id where it has none. Owner: answer. */
const char *cli_server_name(const json_t *answer, size_t *out_bytes);

/* Cells of a table, of members of answers: text, a number, bytes. */
void cli_server_cell_text(cli_table *table, const json_t *object, const char *path);
void cli_server_cell_count(cli_table *table, const json_t *object, const char *path);
void cli_server_cell_size(cli_table *table, const json_t *object, const char *path);

/* Which servers are to answer, of several. */
typedef struct cli_server_filter {
    const char *host, *cluster;
    cli_texts tags;
} cli_server_filter;

#define CLI_SERVER_FILTER_FLAGS(options_type, member)                                              \
    {.name = "host",                                                                               \
     .type = CLI_TEXT,                                                                             \
     .value = "HOST",                                                                              \
     .help = "Only servers of this host",                                                          \
     .offset = offsetof(options_type, member.host)},                                               \
        {.name = "cluster",                                                                        \
         .type = CLI_TEXT,                                                                         \
         .value = "CLUSTER",                                                                       \
         .help = "Only servers of this cluster",                                                   \
         .offset = offsetof(options_type, member.cluster)},                                        \
    {                                                                                              \
        .name = "tags", .type = CLI_TEXTS, .value = "TAG",                                         \
        .help = "Only servers with this tag; may be given again",                                  \
        .offset = offsetof(options_type, member.tags)                                              \
    }

/* Options of a request, with the filter in them. */
void cli_server_filter_add(const cli_server_filter *filter, json_t *with);

/* How many servers to wait for, as an argument: type's member expect. */
#define CLI_EXPECT_ARGUMENT(options_type, member)                                                  \
    {                                                                                              \
        .name = "EXPECT", .type = CLI_COUNT, .optional = true, .min = 1, .max = 4096,              \
        .help = "How many servers to wait for (default: as many as there are)",                    \
        .offset = offsetof(options_type, member)                                                   \
    }

/* One server, as an argument: type's member server. */
#define CLI_SERVER_ARGUMENT(options_type, member)                                                  \
    {                                                                                              \
        .name = "SERVER", .type = CLI_TEXT, .optional = true,                                      \
        .help = "Name or id (default: the one that we are connected to)",                          \
        .offset = offsetof(options_type, member)                                                   \
    }

/* Say so if fewer have answered than were waited for. Returns the exit status. */
int cli_server_missing(int64_t expected, int64_t came);

/* "1d2h3m4s" of monitoring, in seconds; 0: it is none. */
int64_t cli_uptime_read(const char *text);

#endif
