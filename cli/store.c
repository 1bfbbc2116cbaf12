#include "cli/store.h"

#include "cli/escape.h"
#include "cli/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const cli_argument cli_store_arguments[] = {
    {.name = "DIR",
     .type = CLI_FOLDER,
     .help = "The store's directory",
     .offset = offsetof(cli_store_place, dir)},
    {0},
};

const cli_flag cli_store_flags[] = {CLI_STORE_KEYS_FLAG, {0}};

pipit_store_options cli_store_options(const cli_store_place *place)
{
    return (pipit_store_options){
        .struct_bytes = sizeof(pipit_store_options),
        .dir = place->dir,
        .key_file = place->key_file,
        .keys = place->key_file ? NULL : getenv("PIPIT_STORE_KEYS"),
    };
}

int cli_store_failed(const cli_store_place *place, const char *why)
{
    char *dir = cli_escape(place->dir, strlen(place->dir), 0);
    char *reason = cli_escape(why, strlen(why), 0); /* a path may be in it */

    (void)cli_fail(CLI_STORE_FAILED, "%s: %s", dir, reason);
    free(dir);
    free(reason);
    return CLI_STORE_FAILED;
}

pipit_store *cli_store_open(const cli_store_place *place)
{
    pipit_store_options options = cli_store_options(place);
    char why[PIPIT_STORE_WHY_BYTES];
    pipit_store *store;

    if (!pipit_store_open(&options, &store, why))
        return store;
    (void)cli_store_failed(place, why);
    return NULL;
}

int cli_store_status(const pipit_store_facts *facts)
{
    return facts->damage || facts->incomplete ? CLI_STORE_DAMAGED : CLI_STORE_WHOLE;
}

int cli_store_close(pipit_store *store, int status)
{
    pipit_store_close(store);
    if (fflush(stdout) != 0)
        return cli_fail(CLI_STORE_FAILED, "cannot write to standard output");
    return ferror(stdout) ? CLI_STORE_FAILED : status; /* where it was set, it was said */
}

static const cli_command *const commands[] = {&cli_store_check,
                                              &cli_store_dump,
                                              &cli_store_repair,
                                              &cli_store_stats,
                                              &cli_store_snapshot,
                                              &cli_store_restore,
                                              NULL};

const cli_command cli_store_command = {
    .name = "store",
    .help = "Check, dump, repair and measure the directory of a stopped store",
    .text = "What a stream keeps on disk (docs/disk-format.md) is looked at while no server has it "
            "open. Files are never removed, and records never overwritten. Messages that are lost "
            "stay known as lost until repair --forget-lost says otherwise. Make a copy of the "
            "directory first.\n\nThe name pipit-store stands for pipit store. " CLI_STORE_TEXT,
    .commands = commands,
    .offline = true,
};
