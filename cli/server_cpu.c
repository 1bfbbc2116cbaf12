#include "cli/server_cpu.h"

#include "cli/fetch.h"
#include "cli/globals.h"
#include "cli/memory.h"
#include "cli/say.h"
#include "cli/turn.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 1024 };

struct cli_server_cpu {
    cli_fetch *fetch; /* NULL: the process is looked at */
    char *metrics, *varz;
    int64_t pid;
    bool estimated, begun;
    double first, last; /* seconds; estimated: last is the sum */
    double percent;     /* at the last look */
    int64_t looked_ns;
};

/* --- looking ------------------------------------------------------------------------------ */

/* Of /proc/PID/stat: the 14th and 15th field, behind a name that may hold anything. */
static bool of_process(int64_t pid, double *out)
{
    char path[64], line[LINE_BYTES], *at;
    unsigned long long user, kernel;
    FILE *file;
    bool read;

    (void)snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
    file = fopen(path, "re");
    if (!file)
        return false;
    read = fgets(line, sizeof(line), file) != NULL;
    (void)fclose(file);
    at = read ? strrchr(line, ')') : NULL;
    if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                      &kernel) != 2)
        return false;
    *out = (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
    return true;
}

/* A counter of a page of metrics, by the name at the begin of its line. */
static bool find_metric(const char *page, const char *name, double *out)
{
    size_t len = strlen(name);

    for (const char *line = page; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) == 0 && (line[len] == ' ' || line[len] == '{')) {
            const char *value = strchr(line, ' ');

            *out = value ? strtod(value, NULL) : 0;
            return value != NULL;
        }
    }
    return false;
}

static bool of_metrics(cli_server_cpu *cpu, double *out)
{
    char wrong[CLI_FETCH_WRONG_BYTES];
    size_t bytes;
    long status;
    const char *page = cli_fetch_get(cpu->fetch, cpu->metrics, &bytes, &status, wrong);
    char *text;
    bool found;

    if (!page || status != 200)
        return false;
    text = cli_copy(page, bytes);
    found = find_metric(text, "pipit_cpu_seconds_total", out) ||
            find_metric(text, "process_cpu_seconds_total", out);
    free(text);
    return found;
}

static bool of_varz(cli_server_cpu *cpu, double *out_percent)
{
    char wrong[CLI_FETCH_WRONG_BYTES];
    size_t bytes;
    long status;
    const char *page = cli_fetch_get(cpu->fetch, cpu->varz, &bytes, &status, wrong);
    json_t *json = page ? json_loadb(page, bytes, JSON_ALLOW_NUL, NULL) : NULL;
    json_t *member = json_object_get(json, "cpu");
    bool found = json_is_number(member);

    if (found)
        *out_percent = json_number_value(member);
    json_decref(json);
    return found;
}

void cli_server_cpu_sample(cli_server_cpu *cpu)
{
    int64_t now = cli_now_ns();
    double value;

    if (cpu->estimated) {
        if (!of_varz(cpu, &value))
            return;
        /* The percentage is of the second before. */
        if (cpu->begun)
            cpu->last += value / 100 * (double)(now - cpu->looked_ns) / 1e9;
        cpu->begun = true;
        cpu->looked_ns = now;
        return;
    }
    if (!(cpu->fetch ? of_metrics(cpu, &value) : of_process(cpu->pid, &value)))
        return;
    if (!cpu->begun)
        cpu->first = value;
    cpu->begun = true;
    cpu->last = value;
}

/* --- the whole ---------------------------------------------------------------------------- */

/* Which of its pages tells? */
static int find_page(cli_server_cpu *cpu, const char *monitor)
{
    double value;

    if (of_metrics(cpu, &value))
        return CLI_DONE;
    cpu->estimated = true;
    return of_varz(cpu, &value) ? CLI_DONE
                                : cli_fail(CLI_USAGE,
                                           "%s does not tell what CPU the server uses: --monitor "
                                           "takes the address of its monitoring, http://HOST:8222",
                                           monitor);
}

int cli_server_cpu_open(const cli_call *call, const char *monitor, int64_t pid,
                        cli_server_cpu **out)
{
    cli_server_cpu *cpu;
    size_t len = monitor ? strlen(monitor) : 0;
    double value;
    int status = CLI_DONE;

    *out = NULL;
    if (!monitor && !pid)
        return CLI_DONE;
    cpu = cli_alloc(sizeof(*cpu));
    cpu->pid = pid;
    if (monitor) {
        while (len && monitor[len - 1] == '/')
            len--;
        cpu->metrics = cli_format("%.*s/metrics", (int)len, monitor);
        cpu->varz = cli_format("%.*s/varz", (int)len, monitor);
        cpu->fetch = cli_fetch_new(call->globals->timeout_ns, call->globals->tls_ca);
        status = cpu->fetch ? find_page(cpu, monitor) : CLI_FAILED;
    } else if (!of_process(pid, &value)) {
        status = cli_fail(CLI_USAGE, "there is no process %lld", (long long)pid);
    }
    if (status)
        cli_server_cpu_close(cpu);
    else
        *out = cpu;
    return status;
}

void cli_server_cpu_close(cli_server_cpu *cpu)
{
    if (!cpu)
        return;
    cli_fetch_free(cpu->fetch);
    free(cpu->metrics);
    free(cpu->varz);
    free(cpu);
}

double cli_server_cpu_seconds(const cli_server_cpu *cpu)
{
    return cpu && cpu->begun ? cpu->last - cpu->first : -1;
}

bool cli_server_cpu_estimated(const cli_server_cpu *cpu)
{
    return cpu && cpu->estimated;
}
