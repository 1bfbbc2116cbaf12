/* pipit bench -- load on a server, and what it does with it. */
#include "cli/bench.h"

#include "cli/escape.h"
#include "cli/say.h"
#include "cli/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS_MAX = 4096, SIZE_MOST = 64 * 1024 * 1024, STAMP_BYTES = 16 };

typedef struct bench_options {
    const char *subject;
    int64_t clients, pubs, subs;
    int64_t msgs, size, sleep_ns, subjects_max, outstanding, server_pid;
    double rate;
    bool multisubject, no_progress;
    const char *queue, *csv, *plot, *monitor;
} bench_options;

/* --- running ------------------------------------------------------------------------------ */

static void announce(const cli_call *call, const bench_plan *plan)
{
    char msgs[CLI_VALUE_BYTES], size[CLI_VALUE_BYTES], *subject;

    if (call->globals->json)
        return;
    subject = cli_escape(plan->subject, strlen(plan->subject), 100);
    cli_count_format((uint64_t)plan->msgs, msgs);
    cli_size_format((double)plan->size, size);
    (void)fprintf(stderr, "pipit bench %s on %s: %s messages of %s\n", plan->what, subject,
                  plan->msgs ? msgs : "all", size);
    free(subject);
}

static int report(const cli_call *call, const bench_result *result)
{
    const bench_options *o = call->options;
    int status = CLI_DONE, more;

    if (call->globals->json)
        status = bench_report_json(result);
    else
        bench_report_show(result);
    if (o->csv) {
        more = bench_report_csv(result, o->csv);
        status = status ? status : more;
    }
    if (o->plot) {
        more = bench_plot_store(result, o->plot);
        status = status ? status : more;
    }
    return status;
}

static int run(const cli_call *call, bench_plan plan)
{
    const bench_options *o = call->options;
    bench_result result;
    int status, reported = CLI_DONE;

    plan.subject = o->subject;
    plan.msgs = o->msgs;
    plan.size = o->size;
    plan.rate = o->rate;
    plan.sleep_ns = o->sleep_ns;
    plan.subjects = o->multisubject ? o->subjects_max : 0;
    plan.outstanding = o->outstanding ? o->outstanding : 1;
    plan.queue = o->queue;
    plan.progress = !o->no_progress && !call->globals->json;
    plan.monitor = o->monitor;
    plan.server_pid = o->server_pid;
    if (plan.rate > 0 && plan.clients[BENCH_SUB] && plan.size < STAMP_BYTES)
        return cli_fail(CLI_USAGE,
                        "with --rate latencies are measured, for which messages need "
                        "--size %d at least",
                        STAMP_BYTES);
    announce(call, &plan);
    status = bench_run(call, &plan, &result);
    if (!status || result.interrupted)
        reported = report(call, &result);
    bench_result_free(&result);
    return status ? status : reported;
}

static int pub(const cli_call *call)
{
    const bench_options *o = call->options;

    return run(call, (bench_plan){.what = "pub", .clients[BENCH_PUB] = o->clients});
}

static int sub(const cli_call *call)
{
    const bench_options *o = call->options;

    return run(call, (bench_plan){.what = "sub", .clients[BENCH_SUB] = o->clients});
}

static int pubsub(const cli_call *call)
{
    const bench_options *o = call->options;

    return run(call, (bench_plan){.what = "pubsub",
                                  .clients[BENCH_PUB] = o->pubs,
                                  .clients[BENCH_SUB] = o->subs});
}

static int request(const cli_call *call)
{
    const bench_options *o = call->options;

    return run(call, (bench_plan){.what = "request",
                                  .clients[BENCH_REQUEST] = o->clients,
                                  .clients[BENCH_SERVICE] = o->subs});
}

static int service(const cli_call *call)
{
    const bench_options *o = call->options;

    return run(call, (bench_plan){.what = "service", .clients[BENCH_SERVICE] = o->clients});
}

/* --- tables ------------------------------------------------------------------------------- */

#define AT(member) offsetof(bench_options, member)

static const cli_argument arguments[] = {
    {"SUBJECT", CLI_TEXT, false, "Subject of the messages", AT(subject)},
    {NULL},
};

#define CLIENTS_FLAG                                                                               \
    {                                                                                              \
        "clients", 0, CLI_COUNT, "N", "Clients, each with a connection and a thread", AT(clients), \
            .fallback = "1", .min = 1, .max = CLIENTS_MAX                                          \
    }
#define MSGS_FLAG                                                                                  \
    {                                                                                              \
        "msgs", 0, CLI_COUNT, "N", "Messages, of all clients together", AT(msgs),                  \
            .fallback = "100000", .min = 1                                                         \
    }
#define SIZE_FLAG                                                                                  \
    {                                                                                              \
        "size", 0, CLI_SIZE, "SIZE", "Size of a message", AT(size), .fallback = "128",             \
                                                                    .max = SIZE_MOST               \
    }
#define RATE_FLAG                                                                                  \
    {                                                                                              \
        "rate", 0, CLI_REAL, "N", "Messages per second, of all clients together: open loop",       \
            AT(rate)                                                                               \
    }
#define SLEEP_FLAG                                                                                 \
    {                                                                                              \
        "sleep", 0, CLI_DURATION, "DURATION", "Wait between messages of a client", AT(sleep_ns),   \
            .max = INT64_C(3600000000000)                                                          \
    }
#define SUBJECTS_FLAGS                                                                             \
    {"multisubject",  0, CLI_SWITCH, NULL, "Use many subjects, SUBJECT with a number behind",      \
     AT(multisubject)},                                                                            \
    {                                                                                              \
        "multisubjectmax", 0, CLI_COUNT, "N", "How many of them", AT(subjects_max),                \
            .fallback = "100000", .min = 1                                                         \
    }
#define OUTPUT_FLAGS                                                                               \
    {"csv", 0, CLI_FILE, "FILE", "Write a line for each client", AT(csv)},                         \
        {"plot", 0, CLI_FILE, "FILE", "Draw rates and latencies, as SVG", AT(plot)},               \
        {"monitor",  0, CLI_TEXT, "URL", "Monitoring of the server, to learn what CPU it uses",    \
         AT(monitor)},                                                                             \
        {"server-pid",  0, CLI_COUNT, "PID", "The same for a server on this machine, by process",  \
         AT(server_pid)},                                                                          \
    {                                                                                              \
        "no-progress", 0, CLI_SWITCH, NULL, "Show no bar", AT(no_progress)                         \
    }

static const cli_flag pub_flags[] = {CLIENTS_FLAG, MSGS_FLAG,      SIZE_FLAG,    RATE_FLAG,
                                     SLEEP_FLAG,   SUBJECTS_FLAGS, OUTPUT_FLAGS, {NULL}};
static const cli_flag sub_flags[] = {
    CLIENTS_FLAG,
    {"msgs", 0, CLI_COUNT, "N", "Messages that each client waits for; 0: until Ctrl-C", AT(msgs),
     .fallback = "100000"},
    {"queue", 'q', CLI_TEXT, "GROUP", "Queue group; ends by Ctrl-C", AT(queue)},
    SUBJECTS_FLAGS,
    OUTPUT_FLAGS,
    {NULL},
};
static const cli_flag pubsub_flags[] = {
    {"pub", 0, CLI_COUNT, "N", "Publishers", AT(pubs), .fallback = "1", .min = 1,
     .max = CLIENTS_MAX},
    {"sub", 0, CLI_COUNT, "N", "Subscribers", AT(subs), .fallback = "1", .min = 1,
     .max = CLIENTS_MAX},
    MSGS_FLAG,
    SIZE_FLAG,
    RATE_FLAG,
    SLEEP_FLAG,
    SUBJECTS_FLAGS,
    OUTPUT_FLAGS,
    {NULL},
};
static const cli_flag request_flags[] = {
    CLIENTS_FLAG,
    {"service", 0, CLI_COUNT, "N", "Clients that answer, beside those that ask", AT(subs),
     .max = CLIENTS_MAX},
    MSGS_FLAG,
    SIZE_FLAG,
    RATE_FLAG,
    {"outstanding", 0, CLI_COUNT, "N", "Requests that a client has under way, without --rate",
     AT(outstanding), .fallback = "1", .min = 1, .max = 65536},
    SLEEP_FLAG,
    {"queue", 'q', CLI_TEXT, "GROUP", "Queue group of those that answer", AT(queue),
     .fallback = "bench"},
    OUTPUT_FLAGS,
    {NULL},
};
static const cli_flag service_flags[] = {
    CLIENTS_FLAG,
    SIZE_FLAG,
    {"sleep", 0, CLI_DURATION, "DURATION", "Think before each answer", AT(sleep_ns),
     .max = INT64_C(3600000000000)},
    {"queue", 'q', CLI_TEXT, "GROUP", "Queue group", AT(queue), .fallback = "bench"},
    OUTPUT_FLAGS,
    {NULL},
};

#define COMMAND(identifier, ...)                                                                   \
    static const cli_command identifier = {                                                        \
        .arguments = arguments, .options_bytes = sizeof(bench_options), __VA_ARGS__}

COMMAND(pub_command, .name = "pub", .run = pub, .help = "Publish", .flags = pub_flags,
        .examples = (const cli_example[]){
            {"pipit bench pub load --msgs 1M --size 16", "How fast can a client publish?"},
            {"pipit bench pub load --clients 4 --msgs 1M --csv load.csv",
             "Four of them, with a line for each in a file"},
            {NULL, NULL}});
COMMAND(sub_command, .name = "sub", .run = sub, .help = "Hear what is published",
        .flags = sub_flags,
        .examples = (const cli_example[]){
            {"pipit bench sub load --clients 2 --msgs 1M", "Wait for a million messages each"},
            {NULL, NULL}});
COMMAND(pubsub_command, .name = "pubsub", .run = pubsub,
        .help = "Publish, and hear what is published", .flags = pubsub_flags,
        .text = "With --rate each message has its time, and latencies are measured from then until "
                "a subscriber has it: what a stalled server delays counts in full.",
        .examples = (const cli_example[]){
            {"pipit bench pubsub load --pub 1 --sub 10 --msgs 200k", "One to ten"},
            {"pipit bench pubsub load --rate 20k --msgs 20k --plot load.svg",
             "Latencies at 20,000 messages a second, with a picture"},
            {NULL, NULL}});
COMMAND(request_command, .name = "request", .run = request, .help = "Ask, and wait for answers",
        .flags = request_flags,
        .text = "Somebody must answer: pipit bench service on the same subject, or --service here.",
        .examples = (const cli_example[]){
            {"pipit bench request svc --service 1 --msgs 20k", "One request at a time"},
            {"pipit bench request svc --service 2 --clients 4 --outstanding 100 --msgs 50k",
             "Many at a time"},
            {NULL, NULL}});
COMMAND(service_command, .name = "service", .run = service, .help = "Answer requests until Ctrl-C",
        .flags = service_flags,
        .examples = (const cli_example[]){
            {"pipit bench service svc --clients 2", "Two that answer, in one queue group"},
            {NULL, NULL}});

static const cli_command *const commands[] = {&pub_command,     &sub_command,     &pubsub_command,
                                              &request_command, &service_command, NULL};

const cli_command cli_bench_command = {
    .name = "bench",
    .help = "Put load on a server, and measure what it does with it",
    .text =
        "Rates are from the first message to the moment that the server has the last one, or a "
        "subscriber has heard it. Without --rate clients publish as fast as the server takes it "
        "(closed loop); with it, at that rate whatever the server does (open loop), and "
        "latencies are told. With --monitor or --server-pid, also the server's CPU time for a "
        "million messages: for nats-server's monitoring an estimate, else exact.",
    .commands = commands,
};
