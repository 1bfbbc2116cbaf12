#include "cli/doctor.h"

#include "cli/escape.h"
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/say.h"
#include "cli/terminal.h"
#include "cli/turn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FINDINGS_MAX = 500 };

struct finding {
    cli_level level;
    const char *topic, *advice;
    char *text; /* as it came */
};

struct cli_doctor {
    struct finding items[FINDINGS_MAX];
    size_t count;
    size_t counts[CLI_BAD + 1];
};

static const char *const level_names[] = {"fine", "note", "warning", "bad"};

void cli_doctor_find(cli_doctor *doctor, cli_level level, const char *topic, const char *advice,
                     const char *format, ...)
{
    struct finding *finding;
    va_list args;

    doctor->counts[level]++;
    if (doctor->count == FINDINGS_MAX)
        return; /* enough to be busy with; they are counted */
    finding = &doctor->items[doctor->count++];
    *finding = (struct finding){.level = level, .topic = topic, .advice = advice};
    va_start(args, format);
    finding->text = cli_vformat(format, args);
    va_end(args);
}

const char *cli_doctor_setting(const pipit_config *config, const char *name)
{
    for (size_t i = 0; config && i < config->setting_count; i++) {
        if (strcmp(config->settings[i].name, name) == 0)
            return config->settings[i].value;
    }
    return "";
}

bool cli_doctor_is_open(const char *host)
{
    return strncmp(host, "127.", 4) != 0 && strcmp(host, "localhost") != 0 &&
           strcmp(host, "::1") != 0;
}

/* --- the command ------------------------------------------------------------------------------ */

struct options {
    const char *monitor, *config;
    int64_t interval_ns;
    bool offline;
};

static const cli_flag flags[] = {
    CLI_MONITOR_FLAG(struct options, monitor),
    {.name = "config",
     .letter = 'c',
     .type = CLI_FILE,
     .value = "FILE",
     .help = "The configuration file that the server runs with, or is to run with",
     .offset = offsetof(struct options, config)},
    {.name = "offline",
     .type = CLI_SWITCH,
     .help = "Look at the file only, ask no server",
     .offset = offsetof(struct options, offline)},
    {.name = "interval",
     .type = CLI_DURATION,
     .value = "DURATION",
     .help = "Time between two looks at those who are slow",
     .fallback = "500ms",
     .min = 1000000,
     .max = 3600000000000,
     .offset = offsetof(struct options, interval_ns)},
    {0},
};

static const cli_example examples[] = {
    {"pipit doctor", "What about the server that we are connected to?"},
    {"pipit doctor --json", "The same for a script."},
    {0},
};

static void show(const cli_doctor *doctor)
{
    static const cli_style styles[] = {CLI_GREEN, CLI_BLUE, CLI_YELLOW, CLI_RED};

    for (int level = CLI_BAD; level >= CLI_FINE; level--) {
        for (size_t i = 0; i < doctor->count; i++) {
            const struct finding *finding = &doctor->items[i];
            char *safe;

            if ((int)finding->level != level)
                continue;
            safe = cli_escape(finding->text, strlen(finding->text), 0);
            (void)printf("%s%-7s%s  %s: %s\n", cli_style_text(stdout, styles[level]),
                         level_names[level], cli_style_text(stdout, CLI_PLAIN), finding->topic,
                         safe);
            if (finding->advice)
                (void)printf("         %s\n", finding->advice);
            free(safe);
        }
    }
    (void)printf("\n%zu bad, %zu %s, %zu %s\n", doctor->counts[CLI_BAD], doctor->counts[CLI_WARN],
                 doctor->counts[CLI_WARN] == 1 ? "warning" : "warnings", doctor->counts[CLI_NOTE],
                 doctor->counts[CLI_NOTE] == 1 ? "note" : "notes");
}

static void show_json(const cli_doctor *doctor)
{
    json_t *all = cli_json_object(), *findings = cli_json_array();

    for (size_t i = 0; i < doctor->count; i++) {
        const struct finding *finding = &doctor->items[i];
        json_t *one = cli_json_object();

        cli_json_set_text(one, "level", level_names[finding->level]);
        cli_json_set_text(one, "topic", finding->topic);
        cli_json_set(one, "text", cli_json_text(finding->text, strlen(finding->text)));
        if (finding->advice)
            cli_json_set_text(one, "advice", finding->advice);
        cli_json_append(findings, one);
    }
    for (int level = CLI_FINE; level <= CLI_BAD; level++)
        cli_json_set_count(all, level_names[level], doctor->counts[level]);
    cli_json_set(all, "findings", findings);
    (void)cli_json_print(all);
}

/* Takes doctor. */
static int finish(cli_doctor *doctor, const cli_call *call)
{
    int status = doctor->counts[CLI_BAD] + doctor->counts[CLI_WARN] ? CLI_FAILED : CLI_DONE;

    if (call->globals->json)
        show_json(doctor);
    else
        show(doctor);
    for (size_t i = 0; i < doctor->count; i++)
        free(doctor->items[i].text);
    free(doctor);
    return status;
}

/* Returns the exit status: not CLI_DONE where there is no server to look at. */
static int look_server(cli_doctor *doctor, const pipit_config *config, const cli_call *call)
{
    const struct options *options = call->options;
    int status;
    cli_inquiry *inquiry = cli_inquiry_open(call, options->monitor, &status);
    json_t *answers, *varz;

    if (!inquiry)
        return status;
    answers = cli_inquiry_ask_one(inquiry, NULL, "VARZ", NULL, &status);
    varz = json_object_get(json_array_get(answers, 0), "data");
    if (varz) {
        cli_doctor_find(doctor, CLI_FINE, "server", NULL, "%s, version %s, up %s",
                        cli_json_text_at(varz, "server_name", NULL),
                        cli_json_text_at(varz, "version", NULL),
                        cli_json_text_at(varz, "uptime", NULL));
        cli_doctor_look_reload(doctor, config, varz, inquiry);
        cli_doctor_look_risks(doctor, varz);
        cli_doctor_look_limits(doctor, config, varz);
        cli_doctor_look_slow(doctor, varz, inquiry, options->interval_ns);
        cli_doctor_look_closed(doctor, inquiry);
    }
    json_decref(answers);
    cli_inquiry_close(inquiry);
    return status;
}

static int run(const cli_call *call)
{
    const struct options *options = call->options;
    cli_doctor *doctor;
    pipit_config *config = NULL;
    pipit_err err = options->config ? pipit_config_read(&config, options->config) : PIPIT_OK;
    int status = CLI_DONE;

    if (err)
        return cli_fail(CLI_FAILED, "the file cannot be read: %s", pipit_strerror(err));
    if (options->offline && !config)
        return cli_fail(CLI_USAGE, "--offline looks at a file: name it with --config");
    doctor = cli_alloc(sizeof(*doctor));
    cli_turn_catch();
    if (config)
        cli_doctor_look_config(doctor, config, options->config);
    if (!options->offline)
        status = look_server(doctor, config, call);
    pipit_config_free(config);
    if (!status)
        return finish(doctor, call);
    if (options->config) /* what is known of the file is worth something */
        (void)finish(doctor, call);
    else
        free(doctor);
    return status;
}

const cli_command cli_doctor_command = {
    .name = "doctor",
    .help = "What is wrong with a server and its configuration, or soon will be",
    .text = "Reads the configuration file, asks the running server, and tells: whether the file is "
            "in force, what the last reload did (with --monitor, of pipit-server), who is slow and "
            "why, who was closed for what, which limits are near, and which settings let in more "
            "than they should. Ends with 0 if there is nothing worse than a note, and with 1 "
            "otherwise. " CLI_INQUIRY_TEXT,
    .flags = flags,
    .examples = examples,
    .options_bytes = sizeof(struct options),
    .run = run,
};
