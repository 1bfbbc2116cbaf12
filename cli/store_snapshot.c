/* pipit store snapshot, pipit store restore -- a store as a stream of bytes, and back. */
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/say.h"
#include "cli/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

struct options {
    cli_store_place place; /* first */
    bool compress;
};

static const cli_flag restore_flags[] = {
    CLI_STORE_KEYS_FLAG,
    {.name = "compress",
     .type = CLI_SWITCH,
     .help = "Compress what gets smaller by it",
     .offset = offsetof(struct options, compress)},
    {0},
};

static const cli_example snapshot_examples[] = {
    {"pipit store snapshot /var/lib/pipit/message_broker/topic-orders > orders.snapshot",
     "Take it out."},
    {0},
};

static const cli_example restore_examples[] = {
    {"pipit store restore /var/lib/pipit/message_broker/topic-again < orders.snapshot",
     "Bring it back."},
    {0},
};

static bool write_out(void *context, const void *bytes, size_t count)
{
    (void)context;
    return fwrite(bytes, 1, count, stdout) == count;
}

/* Standard output is the snapshot: what there is to say goes to standard error. */
static void tell(const cli_call *call, uint64_t messages, size_t damage)
{
    if (call->globals->json)
        (void)fprintf(stderr, "{\"messages\":%" PRIu64 ",\"damage\":%zu}\n", messages, damage);
    else
        (void)fprintf(stderr, "%" PRIu64 " messages%s\n", messages,
                      damage ? "; what is damaged is not among them" : "");
}

static int run_snapshot(const cli_call *call)
{
    const struct options *o = call->options;
    const pipit_store_facts *facts;
    uint64_t messages = 0;
    pipit_store *store;
    pipit_err err;
    int status;

    if (isatty(STDOUT_FILENO))
        return cli_fail(CLI_USAGE, "standard output is a terminal: name a file for it, with >");
    store = cli_store_open(&o->place);
    if (!store)
        return CLI_STORE_FAILED;
    err = pipit_store_snapshot(store, write_out, NULL, &messages);
    facts = pipit_store_measure(store);
    status = cli_store_status(facts);
    if (!err)
        tell(call, messages, facts->damage);
    else if (!ferror(stdout)) /* else closing says so */
        status = cli_store_failed(&o->place, pipit_strerror(err));
    return cli_store_close(store, status);
}

static ptrdiff_t read_in(void *context, void *bytes, size_t count)
{
    size_t got = fread(bytes, 1, count, stdin);

    (void)context;
    return got || !ferror(stdin) ? (ptrdiff_t)got : -1;
}

static int tell_restored(const cli_store_place *place)
{
    pipit_store *store = cli_store_open(place);
    json_t *object;

    if (!store)
        return CLI_STORE_FAILED;
    object = cli_json_object();
    cli_json_set_text(object, "dir", place->dir);
    cli_json_set_count(object, "messages", pipit_store_measure(store)->messages);
    (void)cli_json_print(object); /* ferror tells */
    return cli_store_close(store, CLI_STORE_WHOLE);
}

static int run_restore(const cli_call *call)
{
    const struct options *o = call->options;
    pipit_store_options options = cli_store_options(&o->place);
    char why[PIPIT_STORE_WHY_BYTES];

    if (isatty(STDIN_FILENO))
        return cli_fail(CLI_USAGE,
                        "standard input is a terminal: name the snapshot's file, with <");
    options.compress = o->compress;
    if (pipit_store_restore(&options, read_in, NULL, why))
        return cli_store_failed(&o->place, why);
    return call->globals->json ? tell_restored(&o->place) : CLI_STORE_WHOLE;
}

const cli_command cli_store_snapshot = {
    .name = "snapshot",
    .help = "Write all messages that are whole to standard output, with checks",
    .text = "They are neither compressed nor encrypted in it, whatever the store "
            "is.\n\n" CLI_STORE_TEXT,
    .flags = cli_store_flags,
    .examples = snapshot_examples,
    CLI_STORE_COMMAND(struct options),
    .run = run_snapshot,
};

const cli_command cli_store_restore = {
    .name = "restore",
    .help = "Make a store of the snapshot on standard input",
    .text = "In a directory that is not there yet; with keys, an encrypted one. It is made in "
            "DIR.restoring, and gets its name when all of it is on disk.\n\n" CLI_STORE_TEXT,
    .flags = restore_flags,
    .examples = restore_examples,
    CLI_STORE_COMMAND(struct options),
    .run = run_restore,
};
