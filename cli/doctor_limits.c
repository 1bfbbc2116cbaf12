/* What a server lets in, and how near it is to its limits. */
#include "cli/doctor.h"

#include "cli/moment.h"
#include "cli/value.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SOON_S = 14 * 86400 };

static void look_at_certificate(cli_doctor *doctor, const json_t *varz)
{
    const char *text = cli_json_text_at(varz, "tls_cert_not_after", NULL);
    struct tm parts = {0};
    char span[CLI_SPAN_BYTES];
    time_t ends, now = time(NULL);

    if (!*text || !strptime(text, "%Y-%m-%dT%H:%M:%S", &parts))
        return;
    ends = timegm(&parts);
    cli_span_show(ends > now ? ends - now : now - ends, span);
    if (ends <= now)
        cli_doctor_find(doctor, CLI_BAD, "tls", "Put a new one in its place and reload.",
                        "the certificate has expired %s ago", span);
    else
        cli_doctor_find(doctor, ends - now < SOON_S ? CLI_WARN : CLI_FINE, "tls", NULL,
                        "the certificate is good for another %s", span);
}

void cli_doctor_look_risks(cli_doctor *doctor, const json_t *varz)
{
    const char *host = cli_json_text_at(varz, "host", NULL);
    const char *http = cli_json_text_at(varz, "http_host", NULL);
    bool open = cli_doctor_is_open(host);
    bool auth = cli_json_flag_at(varz, "auth_required");
    bool tls = cli_json_flag_at(varz, "tls_required");

    if (open && !auth)
        cli_doctor_find(doctor, CLI_WARN, "credentials",
                        "Set authorization or accounts, or listen on 127.0.0.1.",
                        "whoever reaches %s may publish and subscribe to everything", host);
    if (open && auth && !tls)
        cli_doctor_find(doctor, CLI_WARN, "tls",
                        "Give it a certificate: tls { cert_file, key_file }.",
                        "clients sign in at %s without TLS: passwords and messages can be read on "
                        "the way",
                        host);
    if ((cli_json_count_at(varz, "http_port") || cli_json_count_at(varz, "https_port")) && *http &&
        cli_doctor_is_open(http))
        cli_doctor_find(doctor, CLI_NOTE, "monitoring", NULL,
                        "the monitoring port is open to others than this machine, at %s", http);
    look_at_certificate(doctor, varz);
}

/* How much of a limit is used: nothing to say below four fifths. */
static void judge(cli_doctor *doctor, const char *what, double used, double limit, bool bytes)
{
    char used_text[CLI_VALUE_BYTES], limit_text[CLI_VALUE_BYTES];
    double part = limit > 0 ? used / limit : 0;

    if (!(limit > 0))
        return;
    if (bytes) {
        cli_size_format(used, used_text);
        cli_size_format(limit, limit_text);
    } else {
        cli_count_format((uint64_t)used, used_text);
        cli_count_format((uint64_t)limit, limit_text);
    }
    cli_doctor_find(doctor,
                    part >= 0.95  ? CLI_BAD
                    : part >= 0.8 ? CLI_WARN
                                  : CLI_FINE,
                    "limits",
                    part >= 0.8 ? "Raise the limit, or find out who takes so much." : NULL,
                    "%s: %s of %s", what, used_text, limit_text);
}

void cli_doctor_look_limits(cli_doctor *doctor, const pipit_config *config, const json_t *varz)
{
    double cores = cli_json_real_at(varz, "cores"), cpu = cli_json_real_at(varz, "cpu");
    double memory = config ? (double)atoll(cli_doctor_setting(config, "max_memory")) : 0;

    if (!(memory > 0))
        memory = cli_json_real_at(varz, "gomemlimit");
    judge(doctor, "connections", cli_json_real_at(varz, "connections"),
          cli_json_real_at(varz, "max_connections"), false);
    judge(doctor, "memory", cli_json_real_at(varz, "mem"), memory, true);
    if (cores > 0 && cpu >= 80 * cores)
        cli_doctor_find(doctor, CLI_WARN, "cpu", "pipit top --sort rate shows who is busy.",
                        "%.0f %% of %.0f cores", cpu, cores);
}
