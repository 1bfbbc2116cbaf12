/* pipit server mappings -- what a mapping of subjects would do. No server is asked. */
#include "cli/escape.h"
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/say.h"
#include "cli/server.h"
#include "pipit/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUBJECT_BYTES = 64 * 1024 + 1 };

struct options {
    const char *source, *destination, *subject;
};

static const cli_argument arguments[] = {
    {.name = "SOURCE",
     .type = CLI_TEXT,
     .help = "Pattern of the subjects that are mapped",
     .offset = offsetof(struct options, source)},
    {.name = "DESTINATION",
     .type = CLI_TEXT,
     .help = "What they become: $1, {{wildcard(1)}}, {{partition(10,1)}} ...",
     .offset = offsetof(struct options, destination)},
    {.name = "SUBJECT",
     .type = CLI_TEXT,
     .help = "The subject to map",
     .offset = offsetof(struct options, subject)},
    {0},
};

static const cli_example examples[] = {
    {"pipit server mappings 'orders.*.*' 'shop.{{wildcard(2)}}.{{partition(3,1)}}' orders.eu.tea",
     "Where does it go?"},
    {0},
};

static int complain(const struct options *options, pipit_err err, const char *wrong)
{
    bool elsewhere = err == PIPIT_ENOTFOUND;
    const char *text = elsewhere ? options->subject : *wrong ? wrong : pipit_strerror(err);
    char *shown = cli_escape(text, strlen(text), 400);
    int status = elsewhere ? CLI_FAILED : CLI_USAGE;

    (void)cli_fail(status, elsewhere ? "the mapping is not for %s" : "that is no mapping: %s",
                   shown);
    free(shown);
    return status;
}

static int run(const cli_call *call)
{
    const struct options *options = call->options;
    char mapped[SUBJECT_BYTES];
    pipit_err err = pipit_mapping_try(options->source, options->destination, options->subject,
                                      mapped, sizeof(mapped));
    json_t *object;

    if (err)
        return complain(options, err, mapped);
    if (!call->globals->json) {
        cli_escape_write(stdout, mapped, strlen(mapped), false);
        (void)printf("\n");
        return CLI_DONE;
    }
    object = cli_json_object();
    cli_json_set_text(object, "subject", options->subject);
    cli_json_set_text(object, "mapped", mapped);
    return cli_json_print(object);
}

const cli_command cli_server_mappings = {
    .name = "mappings",
    .aliases = "mapping",
    .help = "What a mapping of subjects would do",
    .text = "Takes source and destination as the key mappings of a configuration has them. No "
            "server is asked.",
    .arguments = arguments,
    .examples = examples,
    .options_bytes = sizeof(struct options),
    .offline = true,
    .run = run,
};
