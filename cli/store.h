/* cli/store.h -- `pipit store`: the directory of a stopped store. Called pipit-store, the tool is
 * this command. */
#ifndef CLI_STORE_H
#define CLI_STORE_H

#include "cli/command.h"

#include "pipit/store.h"

extern const cli_command cli_store_command;

/* store_check.c, store_dump.c, store_snapshot.c */
extern const cli_command cli_store_check, cli_store_repair, cli_store_dump, cli_store_stats,
    cli_store_snapshot, cli_store_restore;

/* What these commands end with; CLI_USAGE is theirs, too. */
enum {
    CLI_STORE_WHOLE = 0,
    CLI_STORE_DAMAGED = 1, /* something is, or still is */
    CLI_STORE_FAILED = 3,  /* it could not be looked at: in use, none there, another format */
};

/* What all of them take: the first member of their options. */
typedef struct cli_store_place {
    const char *dir, *key_file;
} cli_store_place;

#define CLI_STORE_KEYS_FLAG                                                                        \
    {                                                                                              \
        .name = "key-file", .type = CLI_FILE, .value = "FILE",                                     \
        .help = "Keys of an encrypted store, in a file that only its owner may read (default: in " \
                "the variable PIPIT_STORE_KEYS, if it is set)",                                    \
        .offset = offsetof(cli_store_place, key_file)                                              \
    }

extern const cli_argument cli_store_arguments[];
/* Of those that take nothing else. */
extern const cli_flag cli_store_flags[];

/* What the tables of all of them have in common; options begin with the place. */
#define CLI_STORE_COMMAND(options)                                                                 \
    .arguments = cli_store_arguments, .options_bytes = sizeof(options), .offline = true

#define CLI_STORE_TEXT                                                                             \
    "The server must be stopped: a store that is in use is refused. Ends with 0 if the store is "  \
    "whole, 1 if something is damaged, 2 if the command line is wrong, 3 if the store cannot be "  \
    "opened or read."

pipit_store_options cli_store_options(const cli_store_place *place);

/* NULL: why not has been said. */
pipit_store *cli_store_open(const cli_store_place *place);

/* Say why it could not be done. Returns CLI_STORE_FAILED. */
int cli_store_failed(const cli_store_place *place, const char *why);

/* Whether it is whole, as an exit status. */
int cli_store_status(const pipit_store_facts *facts);

/* Let go of it. Returns status, or CLI_STORE_FAILED if what was printed has not got out, which has
 * been said. */
int cli_store_close(pipit_store *store, int status);

#endif
