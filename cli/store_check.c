/* pipit store check, pipit store repair -- what is wrong, and what is done about it. */
#include "cli/escape.h"
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct options {
    cli_store_place place; /* first */
    bool dry_run, forget_lost;
};

static const cli_flag check_flags[] = {CLI_STORE_KEYS_FLAG, {0}};

static const cli_flag repair_flags[] = {
    CLI_STORE_KEYS_FLAG,
    {.name = "dry-run",
     .type = CLI_SWITCH,
     .help = "Only tell what would be done",
     .offset = offsetof(struct options, dry_run)},
    {.name = "forget-lost",
     .type = CLI_SWITCH,
     .help = "Take messages and segments that are lost for deleted; their sequences are not given "
             "again",
     .offset = offsetof(struct options, forget_lost)},
    {0},
};

static const cli_example check_examples[] = {
    {"pipit store check /var/lib/pipit/message_broker/topic-orders", "Is it whole?"},
    {0},
};

static const cli_example repair_examples[] = {
    {"pipit store repair --dry-run /var/lib/pipit/message_broker/topic-orders",
     "What would be done."},
    {0},
};

static void finding_line(const pipit_store_finding *finding, const char *step)
{
    json_t *line = cli_json_object();

    cli_json_set_text(line, "finding", finding->name);
    cli_json_set_flag(line, "damage", finding->damage);
    if (finding->segment)
        cli_json_set_count(line, "segment", finding->segment);
    if (finding->bytes) {
        cli_json_set_count(line, "at", finding->at);
        cli_json_set_count(line, "bytes", finding->bytes);
    }
    if (finding->last) {
        cli_json_set_count(line, "first", finding->first);
        cli_json_set_count(line, "last", finding->last);
    }
    if (step)
        cli_json_set_text(line, "step", step);
    (void)cli_json_line(line); /* ferror tells */
}

/* step: NULL, or what is done about it. */
static void show_finding(const cli_call *call, const pipit_store_finding *finding, const char *step)
{
    const struct options *o = call->options;

    if (call->globals->json) {
        finding_line(finding, step);
        return;
    }
    if (finding->segment)
        (void)printf("segment %" PRIu64 ": ", finding->segment);
    (void)printf("%s", finding->text);
    if (finding->bytes)
        (void)printf(", %" PRIu64 " bytes from %" PRIu64 " on", finding->bytes, finding->at);
    if (finding->last)
        (void)printf(", %" PRIu64 " to %" PRIu64, finding->first, finding->last);
    if (step)
        (void)printf(": %s%s", o->dry_run ? "would " : "", step);
    (void)printf("\n");
}

static void verdict_line(const char *dir, const pipit_store_facts *facts)
{
    json_t *line = cli_json_object();

    cli_json_set_text(line, "dir", dir);
    cli_json_set_count(line, "messages", facts->messages);
    cli_json_set_count(line, "lost", facts->lost);
    cli_json_set_count(line, "segments", facts->segments);
    cli_json_set_count(line, "findings", facts->findings);
    cli_json_set_count(line, "damage", facts->damage);
    cli_json_set_flag(line, "whole", facts->damage == 0);
    (void)cli_json_line(line); /* ferror tells */
}

static void show_verdict(const cli_call *call, const pipit_store_facts *facts)
{
    const struct options *o = call->options;

    if (call->globals->json) {
        verdict_line(o->place.dir, facts);
        return;
    }
    cli_escape_write(stdout, o->place.dir, strlen(o->place.dir), false);
    (void)printf(": %" PRIu64 " messages, %" PRIu64 " lost, %" PRIu64 " %s: %s%s\n",
                 facts->messages, facts->lost, facts->segments,
                 facts->segments == 1 ? "segment" : "segments", facts->damage ? "damaged" : "whole",
                 facts->incomplete ? " (there is more than is shown)" : "");
}

static int run_check(const cli_call *call)
{
    const struct options *o = call->options;
    pipit_store *store = cli_store_open(&o->place);
    const pipit_store_finding *finding;
    const pipit_store_facts *facts;
    int status;
    pipit_err err;

    if (!store)
        return CLI_STORE_FAILED;
    err = pipit_store_check(store);
    for (size_t i = 0; (finding = pipit_store_finding_at(store, i)); i++)
        show_finding(call, finding, NULL);
    facts = pipit_store_measure(store);
    status = err ? cli_store_failed(&o->place, pipit_strerror(err)) : cli_store_status(facts);
    if (!err)
        show_verdict(call, facts);
    return cli_store_close(store, status);
}

static void show_step(void *context, const pipit_store_finding *finding, const char *what)
{
    show_finding(context, finding, what);
}

/* Repair, then check: what the check says is the answer. */
static int run_repair(const cli_call *call)
{
    const struct options *o = call->options;
    pipit_store_options options = cli_store_options(&o->place);
    pipit_store_repair_options repair = {
        .struct_bytes = sizeof(repair),
        .dry_run = o->dry_run,
        .forget_lost = o->forget_lost,
        .on_step = show_step,
        .context = (void *)call,
    };
    char why[PIPIT_STORE_WHY_BYTES];

    if (pipit_store_repair(&options, &repair, why))
        return cli_store_failed(&o->place, why);
    return run_check(call);
}

const cli_command cli_store_check = {
    .name = "check",
    .help = "Read all of it and tell what is not as it was written; nothing is changed",
    .text =
        "With --json each line is an object; the last is the verdict. What is found has the names "
        "manifest, header, index, bytes, messages, files, foreign, newest; and torn, unsealed and "
        "footer, which a crash, too, leaves behind and are no damage: nothing is lost with "
        "them.\n\n" CLI_STORE_TEXT,
    .flags = check_flags,
    .examples = check_examples,
    CLI_STORE_COMMAND(struct options),
    .run = run_check,
};

const cli_command cli_store_repair = {
    .name = "repair",
    .help = "Make again what the records tell, then check",
    .text = "Writes manifest, headers and footers again. A file that is not the segment that it is "
            "called gets the name NAME.foreign.N. Where the newest segment is missing, a new one "
            "is begun.\n\n" CLI_STORE_TEXT,
    .flags = repair_flags,
    .examples = repair_examples,
    CLI_STORE_COMMAND(struct options),
    .run = run_repair,
};
