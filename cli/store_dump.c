/* pipit store dump, pipit store stats -- what a store holds. */
#include "cli/escape.h"
#include "cli/fields.h"
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/moment.h"
#include "cli/say.h"
#include "cli/store.h"
#include "cli/table.h"
#include "cli/value.h"

#include <inttypes.h>
#include <stdio.h>

struct dump_options {
    cli_store_place place; /* first */
    const char *filter;
    int64_t from, count;
    bool payloads;
};

static const cli_flag dump_flags[] = {
    CLI_STORE_KEYS_FLAG,
    {.name = "filter",
     .type = CLI_TEXT,
     .value = "SUBJECT",
     .help = "Only subjects that match; wildcards are allowed",
     .fallback = ">",
     .offset = offsetof(struct dump_options, filter)},
    {.name = "from",
     .type = CLI_COUNT,
     .value = "SEQ",
     .help = "From this sequence on",
     .offset = offsetof(struct dump_options, from)},
    {.name = "count",
     .type = CLI_COUNT,
     .value = "N",
     .help = "At most so many messages (default: all)",
     .min = 1,
     .offset = offsetof(struct dump_options, count)},
    {.name = "payloads",
     .type = CLI_SWITCH,
     .help = "Headers and payloads, too; with --json in base64",
     .offset = offsetof(struct dump_options, payloads)},
    {0},
};

static const cli_example dump_examples[] = {
    {"pipit store dump --filter 'mb.orders' --from 1000 --count 10 --payloads "
     "/var/lib/pipit/message_broker/topic-orders",
     "Ten messages from the thousandth on."},
    {0},
};

static const cli_example stats_examples[] = {
    {"pipit store stats --json /var/lib/pipit/message_broker/topic-orders",
     "How much there is, for a script."},
    {0},
};

/* --- dump ----------------------------------------------------------------------------------- */

static void message_line(const pipit_store_message *message, bool payloads)
{
    json_t *line = cli_json_object();
    char when[CLI_STAMP_BYTES];

    cli_moment_stamp(message->time_ns, when);
    cli_json_set_count(line, "seq", message->seq);
    cli_json_set_text(line, "time", when);
    if (message->expires_ns)
        cli_json_set(line, "expires_ns", json_integer(message->expires_ns));
    cli_json_set(line, "subject", cli_json_text(message->subject, message->subject_bytes));
    cli_json_set_count(line, "headers_bytes", message->headers_bytes);
    cli_json_set_count(line, "payload_bytes", message->payload_bytes);
    if (payloads && message->headers_bytes)
        cli_json_set(line, "headers", cli_json_base64(message->headers, message->headers_bytes));
    if (payloads)
        cli_json_set(line, "payload", cli_json_base64(message->payload, message->payload_bytes));
    (void)cli_json_line(line); /* ferror tells */
}

static void show_message(const pipit_store_message *message, bool payloads)
{
    char when[CLI_STAMP_BYTES];

    cli_moment_stamp(message->time_ns, when);
    (void)printf("%" PRIu64 "  %s  ", message->seq, when);
    cli_escape_write(stdout, message->subject, message->subject_bytes, false);
    (void)printf("  headers=%zu  payload=%zu", message->headers_bytes, message->payload_bytes);
    if (payloads) {
        (void)printf("  ");
        cli_escape_write(stdout, message->headers, message->headers_bytes, false);
        cli_escape_write(stdout, message->payload, message->payload_bytes, false);
    }
    (void)printf("\n");
}

static int run_dump(const cli_call *call)
{
    const struct dump_options *o = call->options;
    pipit_store *store = cli_store_open(&o->place);
    const pipit_store_message *message;
    const pipit_store_finding *finding;
    uint64_t seq = (uint64_t)o->from;
    int64_t count = 0;
    pipit_err err = PIPIT_OK;
    int status;

    if (!store)
        return CLI_STORE_FAILED;
    while ((!o->count || count++ < o->count) && !ferror(stdout)) {
        err = pipit_store_next(store, o->filter, seq, &message);
        if (err)
            break;
        if (call->globals->json)
            message_line(message, o->payloads);
        else
            show_message(message, o->payloads);
        seq = message->seq + 1;
    }
    for (size_t i = 0; (finding = pipit_store_finding_at(store, i)); i++)
        if (finding->damage)
            cli_note("%s", finding->text);
    if (err == PIPIT_EINVAL)
        status = cli_fail(CLI_USAGE, "--filter takes a subject, such as orders.>");
    else if (err && err != PIPIT_ENOTFOUND)
        status = cli_store_failed(&o->place, pipit_strerror(err));
    else
        status = cli_store_status(pipit_store_measure(store));
    return cli_store_close(store, status);
}

/* --- stats ---------------------------------------------------------------------------------- */

static json_t *segment_json(const pipit_store_segment *segment)
{
    json_t *object = cli_json_object();

    cli_json_set_count(object, "segment", segment->number);
    cli_json_set_count(object, "messages", segment->messages);
    cli_json_set_count(object, "dead", segment->dead);
    cli_json_set_count(object, "first_seq", segment->first_seq);
    cli_json_set_count(object, "last_seq", segment->last_seq);
    cli_json_set_count(object, "record_bytes", segment->record_bytes);
    cli_json_set_count(object, "file_bytes", segment->file_bytes);
    cli_json_set_count(object, "disk_bytes", segment->disk_bytes);
    cli_json_set_flag(object, "sealed", segment->sealed);
    cli_json_set_flag(object, "footer", segment->footer);
    return object;
}

static void add_segment(void *context, const pipit_store_segment *segment)
{
    cli_json_append(context, segment_json(segment));
}

static void print_stats(pipit_store *store, const pipit_store_facts *facts)
{
    json_t *all = cli_json_object(), *segments = cli_json_array();
    char when[CLI_STAMP_BYTES];

    cli_json_set_count(all, "messages", facts->messages);
    cli_json_set_count(all, "subjects", facts->subjects);
    cli_json_set_count(all, "bytes", facts->bytes);
    cli_json_set_count(all, "first_seq", facts->first_seq);
    cli_json_set_count(all, "last_seq", facts->last_seq);
    if (facts->messages) {
        cli_moment_stamp(facts->first_time_ns, when);
        cli_json_set_text(all, "first_time", when);
        cli_moment_stamp(facts->last_time_ns, when);
        cli_json_set_text(all, "last_time", when);
    }
    cli_json_set_count(all, "deleted", facts->deleted);
    cli_json_set_count(all, "lost", facts->lost);
    cli_json_set_count(all, "disk_bytes", facts->disk_bytes);
    pipit_store_segments(store, add_segment, segments);
    cli_json_set(all, "segments", segments);
    (void)cli_json_print(all); /* ferror tells */
}

static void show_facts(const pipit_store_facts *facts)
{
    cli_fields *fields = cli_fields_new();
    char first[CLI_STAMP_BYTES], last[CLI_STAMP_BYTES];

    cli_fields_count(fields, "Messages", facts->messages);
    cli_fields_count(fields, "Subjects", facts->subjects);
    cli_fields_size(fields, "Bytes", facts->bytes);
    cli_fieldsf(fields, "Sequences", "%" PRIu64 " to %" PRIu64, facts->first_seq, facts->last_seq);
    if (facts->messages) {
        cli_moment_stamp(facts->first_time_ns, first);
        cli_moment_stamp(facts->last_time_ns, last);
        cli_fieldsf(fields, "Times", "%s to %s", first, last);
    }
    cli_fields_count(fields, "Deleted", facts->deleted);
    cli_fields_count(fields, "Lost", facts->lost);
    cli_fields_count(fields, "Segments", facts->segments);
    cli_fields_size(fields, "On disk", facts->disk_bytes);
    cli_fields_print(fields);
}

static void add_row(void *context, const pipit_store_segment *segment)
{
    const uint64_t sizes[] = {segment->record_bytes, segment->file_bytes, segment->disk_bytes};
    cli_table *table = context;
    char text[CLI_VALUE_BYTES];

    cli_table_cellf(table, "%" PRIu64, segment->number);
    cli_table_cellf(table, "%" PRIu64, segment->messages);
    cli_table_cellf(table, "%" PRIu64, segment->dead);
    cli_table_cellf(table, "%" PRIu64, segment->first_seq);
    cli_table_cellf(table, "%" PRIu64, segment->last_seq);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        cli_size_format((double)sizes[i], text);
        cli_table_cell(table, text);
    }
    cli_table_cell(table, !segment->sealed  ? "written to"
                          : segment->footer ? "sealed"
                                            : "without footer");
}

static void show_segments(pipit_store *store)
{
    static const char *const heads[] = {"Segment", "Messages", "Dead", "First",
                                        "Last",    "Records",  "File", "On disk"};
    cli_table *table = cli_table_new("Segments");

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        cli_table_column(table, heads[i], CLI_RIGHT);
    cli_table_column(table, "State", CLI_LEFT);
    pipit_store_segments(store, add_row, table);
    cli_table_print(table, stdout);
    cli_table_free(table);
}

static int run_stats(const cli_call *call)
{
    pipit_store *store = cli_store_open(call->options);
    const pipit_store_facts *facts;
    int status;

    if (!store)
        return CLI_STORE_FAILED;
    facts = pipit_store_measure(store);
    status = cli_store_status(facts);
    if (call->globals->json) {
        print_stats(store, facts);
    } else {
        show_facts(facts);
        show_segments(store);
    }
    return cli_store_close(store, status);
}

const cli_command cli_store_dump = {
    .name = "dump",
    .help = "Print messages: sequence, time, subject, bytes of headers and of payload",
    .text = "Damaged messages are left out. Nothing is changed.\n\n" CLI_STORE_TEXT,
    .flags = dump_flags,
    .examples = dump_examples,
    CLI_STORE_COMMAND(struct dump_options),
    .run = run_dump,
};

const cli_command cli_store_stats = {
    .name = "stats",
    .help = "Tell how many messages, subjects and bytes there are, and the same of each segment",
    .text = "Nothing is changed.\n\n" CLI_STORE_TEXT,
    .flags = cli_store_flags,
    .examples = stats_examples,
    CLI_STORE_COMMAND(cli_store_place),
    .run = run_stats,
};
