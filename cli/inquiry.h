/* cli/inquiry.h -- asking servers about themselves: by requests from the system account, which all
 * servers answer, or by HTTP at the monitoring port of one or several.
 *
 * Either way answers look the same: objects with "server" (name, id, host, ver, ... as far as it is
 * known), "data" (the page) or "error" ({code, description}), and "rtt_ns". */
#ifndef CLI_INQUIRY_H
#define CLI_INQUIRY_H

#include "cli/command.h"
#include "cli/json_path.h"

#include "pipit/client.h"

typedef struct cli_inquiry cli_inquiry;

/* The flag of all commands that ask servers. */
#define CLI_MONITOR_FLAG(options_type, member)                                                     \
    {                                                                                              \
        .name = "monitor", .letter = 'm', .type = CLI_TEXT, .value = "URL",                        \
        .help =                                                                                    \
            "ask by HTTP at this monitoring address, or several, separated by commas, instead "    \
            "of by requests from the system account",                                              \
        .variable = "PIPIT_MONITOR", .offset = offsetof(options_type, member)                      \
    }

/* How the text of a command that asks servers ends. */
#define CLI_INQUIRY_TEXT                                                                           \
    "Servers are asked by requests, which takes a user of the system account, or with --monitor "  \
    "by HTTP at their monitoring ports."

/* monitor NULL: connect as the call says. NULL: why not has been said, *out_status is what the
 * command ends with. Owner: the caller, for cli_inquiry_close. */
cli_inquiry *cli_inquiry_open(const cli_call *call, const char *monitor, int *out_status);
/* The same, for who asks again and again: it connects again when the connection is lost. */
cli_inquiry *cli_inquiry_open_lasting(const cli_call *call, const char *monitor, int *out_status);
void cli_inquiry_close(cli_inquiry *inquiry);

/* NULL: by HTTP. */
pipit_client *cli_inquiry_client(const cli_inquiry *inquiry);

/* Of how many servers to wait for answers; 0: of as many as they themselves say there are. */
void cli_inquiry_expect(cli_inquiry *inquiry, int64_t servers);

/**
 * Ask all for a page: "VARZ", "CONNZ" ... options are as requests have them, filters for servers
 * too, and are taken; NULL: none.
 *
 * Returns an array of at least one answer, for json_decref; NULL: nobody has answered, or all with
 * errors, which has been said, and *out_status is what the command ends with.
 */
json_t *cli_inquiry_ask(cli_inquiry *inquiry, const char *page, json_t *options, int *out_status);

/* The same, connected for this one question: expect as in cli_inquiry_expect. */
json_t *cli_inquiry_once(const cli_call *call, const char *monitor, int64_t expect,
                         const char *page, json_t *options, int *out_status);

/* The same of one: by name or id; NULL: of the one that we are connected to, or the first address.
 */
json_t *cli_inquiry_ask_one(cli_inquiry *inquiry, const char *server, const char *page,
                            json_t *options, int *out_status);

/* The same, connected for this one question. */
json_t *cli_inquiry_once_one(const cli_call *call, const char *monitor, const char *server,
                             const char *page, json_t *options, int *out_status);

/**
 * Have one server do something: "RELOAD", "KICK". server is a name or an id; NULL: the one that we
 * are connected to. options are taken.
 *
 * Returns what it has answered, for json_decref; NULL: nobody has, or it has refused, which has
 * been said, and *out_status is what the command ends with. Only by requests.
 */
json_t *cli_inquiry_order(cli_inquiry *inquiry, const char *server, const char *what,
                          json_t *options, int *out_status);

/* The answer to a request on a subject of the system's, with the same rules. */
json_t *cli_inquiry_send(cli_inquiry *inquiry, const char *subject, json_t *options,
                         int *out_status);

/* Ask without a word about what goes wrong: NULL then. */
json_t *cli_inquiry_try(cli_inquiry *inquiry, const char *server, const char *page,
                        json_t *options);

#endif
