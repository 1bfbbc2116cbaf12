/* The file beside what runs. */
#include "cli/doctor.h"

#include <stdlib.h>
#include <string.h>

/* Settings that monitoring shows as well. */
static const char *const both[] = {"max_connections",  "max_payload", "max_pending",
                                   "max_control_line", "ping_max",    "max_subscriptions",
                                   "server_name"};

static void compare_setting(cli_doctor *doctor, const pipit_config *config, const json_t *varz,
                            const char *name, bool in_force)
{
    const char *file = cli_doctor_setting(config, name);
    const char *runs = cli_json_text_at(varz, name, NULL);
    bool is_text = json_is_string(cli_json_at(varz, name));

    if (is_text ? !*file || strcmp(file, runs) == 0
                : (uint64_t)atoll(file) == cli_json_count_at(varz, name))
        return;
    if (is_text)
        cli_doctor_find(doctor, CLI_NOTE, name,
                        in_force ? "Then a flag says otherwise, and wins." : NULL,
                        "the file says %s, the server runs with %s", file, runs);
    else
        cli_doctor_find(doctor, CLI_NOTE, name,
                        in_force ? "Then a flag says otherwise, and wins." : NULL,
                        "the file says %s, the server runs with %llu", file,
                        (unsigned long long)cli_json_count_at(varz, name));
}

static void compare(cli_doctor *doctor, const pipit_config *config, const json_t *varz)
{
    const char *digest = cli_json_text_at(varz, "config_digest", NULL);
    bool same = strcmp(digest, config->digest) == 0;

    if (!*digest)
        cli_doctor_find(doctor, CLI_WARN, "reload", "Start it with --config.",
                        "the server runs without a configuration file");
    else if (same)
        cli_doctor_find(doctor, CLI_FINE, "reload", NULL, "the file is what was loaded at %s",
                        cli_json_text_at(varz, "config_load_time", NULL));
    else
        cli_doctor_find(
            doctor, CLI_WARN, "reload",
            "pipit-server --signal reload puts it in force, as far as that goes "
            "without a restart.",
            "the file is not what was loaded at %s: it has changed since, or is another",
            cli_json_text_at(varz, "config_load_time", NULL));
    for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++)
        compare_setting(doctor, config, varz, both[i], same);
}

/* What became of each key in the last reload. */
static void tell_changes(cli_doctor *doctor, const json_t *report)
{
    json_t *change;
    size_t i;

    json_array_foreach(json_object_get(report, "changes"), i, change)
    {
        const char *outcome = cli_json_text_at(change, "outcome", NULL);
        const char *reason = cli_json_text_at(change, "reason", NULL);

        cli_doctor_find(
            doctor, strcmp(outcome, "applied") == 0 ? CLI_FINE : CLI_WARN, "reload",
            strcmp(outcome, "needs restart") == 0 ? "Restart the server, or take the change back."
                                                  : NULL,
            "%s from %s to %s: %s%s%s", cli_json_text_at(change, "key", NULL),
            cli_json_text_at(change, "old", NULL), cli_json_text_at(change, "new", NULL), outcome,
            *reason ? ", " : "", reason);
    }
}

static void tell_reload(cli_doctor *doctor, cli_inquiry *inquiry)
{
    json_t *answers = cli_inquiry_client(inquiry) ? NULL /* no request tells of it */
                                                  : cli_inquiry_try(inquiry, NULL, "RELOADZ", NULL);
    const json_t *report = cli_json_at(json_array_get(answers, 0), "data");

    if (cli_json_flag_at(report, "reloaded") && !cli_json_flag_at(report, "applied"))
        cli_doctor_find(doctor, CLI_BAD, "reload", "The server runs with what it had before.",
                        "the last one, at %s, was refused: %s",
                        cli_json_text_at(report, "time", NULL),
                        cli_json_text_at(report, "error", NULL));
    else if (cli_json_flag_at(report, "reloaded"))
        cli_doctor_find(doctor, CLI_FINE, "reload", NULL, "the last one, at %s, took effect",
                        cli_json_text_at(report, "time", NULL));
    tell_changes(doctor, report);
    json_decref(answers);
}

void cli_doctor_look_reload(cli_doctor *doctor, const pipit_config *config, const json_t *varz,
                            cli_inquiry *inquiry)
{
    if (config && !config->error_count)
        compare(doctor, config, varz);
    tell_reload(doctor, inquiry);
}
