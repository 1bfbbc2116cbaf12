#include "cli/server.h"

#include "cli/events.h"

static const cli_command *const commands[] = {&cli_server_list,
                                              &cli_server_info,
                                              &cli_server_ping,
                                              &cli_server_check,
                                              &cli_server_report,
                                              &cli_server_watch,
                                              &cli_events_command,
                                              &cli_server_request,
                                              &cli_server_account,
                                              &cli_server_config,
                                              &cli_server_passwd,
                                              &cli_server_mappings,
                                              NULL};

const cli_command cli_server_command = {
    .name = "server",
    .page = "server-tool", /* pipit-server is the broker */
    .aliases = "srv",
    .help = "What servers say of themselves",
    .text = CLI_INQUIRY_TEXT,
    .commands = commands,
};
