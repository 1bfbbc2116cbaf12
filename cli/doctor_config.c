/* The file alone. */
#include "cli/doctor.h"

#include "cli/memory.h"

#include <stdlib.h>
#include <string.h>

static void tell_issues(cli_doctor *doctor, const pipit_config *config)
{
    char *issues = cli_copy(config->issues, strlen(config->issues)), *rest = NULL;
    size_t nth = 0;

    for (char *line = strtok_r(issues, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        bool warning = nth++ < config->warning_count; /* they come first */

        cli_doctor_find(doctor, warning ? CLI_WARN : CLI_BAD, "configuration", NULL, "%s", line);
    }
    free(issues);
}

static bool is_set(const pipit_config *config, const char *name)
{
    const char *value = cli_doctor_setting(config, name);

    return *value && strcmp(value, "0") != 0 && strcmp(value, "false") != 0;
}

static bool is_served(const pipit_config *config, const char *port)
{
    return is_set(config, port);
}

static void look_at_doors(cli_doctor *doctor, const pipit_config *config)
{
    if (is_served(config, "http_port") &&
        cli_doctor_is_open(cli_doctor_setting(config, "http_host")) && !is_set(config, "http_user"))
        cli_doctor_find(doctor, CLI_WARN, "monitoring",
                        "Set http_host to 127.0.0.1, or http_user and http_password.",
                        "Whoever reaches %s may read connections, subjects and accounts",
                        cli_doctor_setting(config, "http_host"));
    if (is_served(config, "websocket.port") && is_set(config, "websocket.no_tls") &&
        cli_doctor_is_open(cli_doctor_setting(config, "websocket.host")))
        cli_doctor_find(doctor, CLI_WARN, "websocket",
                        "Give the block a certificate, or have a proxy on this machine do it.",
                        "Browsers come without TLS: what they sign in with can be read on the way");
    if (is_set(config, "allow_non_tls"))
        cli_doctor_find(doctor, CLI_NOTE, "tls", NULL,
                        "allow_non_tls: clients may come with TLS or without");
    if (is_set(config, "trace") || is_set(config, "debug"))
        cli_doctor_find(doctor, CLI_NOTE, "log", "Fine to find something out, slow for ever.",
                        "%s is on", is_set(config, "trace") ? "trace" : "debug");
}

static void look_at_sizes(cli_doctor *doctor, const pipit_config *config)
{
    long long payload = atoll(cli_doctor_setting(config, "max_payload"));
    long long pending = atoll(cli_doctor_setting(config, "max_pending"));

    if (payload > 8 * 1024 * 1024)
        cli_doctor_find(doctor, CLI_NOTE, "limits", NULL,
                        "max_payload is %lld: each such message holds that much memory until it is "
                        "complete",
                        payload);
    if (pending > 0 && payload > 0 && pending < 2 * payload)
        cli_doctor_find(doctor, CLI_WARN, "limits", "Make max_pending several times max_payload.",
                        "max_pending (%lld) leaves no room for two messages of max_payload (%lld): "
                        "whoever gets them soon counts as slow",
                        pending, payload);
}

void cli_doctor_look_config(cli_doctor *doctor, const pipit_config *config, const char *path)
{
    tell_issues(doctor, config);
    if (config->error_count)
        return;
    cli_doctor_find(doctor, CLI_FINE, "configuration", NULL, "%s can be read, %s", path,
                    config->digest);
    if (config->plain_password_count)
        cli_doctor_find(doctor, CLI_WARN, "passwords",
                        "pipit auth password makes hashes, pipit auth nkey keys.",
                        "%zu %s in plain text in the file", config->plain_password_count,
                        config->plain_password_count == 1 ? "password stands" : "passwords stand");
    look_at_doors(doctor, config);
    look_at_sizes(doctor, config);
}
