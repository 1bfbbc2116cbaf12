#include "cli/verdict.h"

#include "cli/escape.h"
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/say.h"
#include "cli/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FINDINGS_MAX = 32, VALUES_MAX = 16 };

struct finding {
    cli_grade grade;
    char *text; /* as it came */
};

struct value {
    const char *name, *unit, *help;
    double value, warning, critical;
};

struct cli_verdict {
    const char *suite;
    char *name;
    struct finding findings[FINDINGS_MAX];
    size_t finding_count;
    struct value values[VALUES_MAX];
    size_t value_count;
};

static const char *const grade_names[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

cli_verdict *cli_verdict_new(const char *suite, const char *name)
{
    cli_verdict *verdict = cli_alloc(sizeof(*verdict));

    verdict->suite = suite;
    verdict->name = cli_copy(name, strlen(name));
    return verdict;
}

void cli_verdict_add(cli_verdict *verdict, cli_grade grade, const char *format, ...)
{
    struct finding *finding = &verdict->findings[verdict->finding_count];
    va_list args;

    if (verdict->finding_count == FINDINGS_MAX)
        return; /* no check has as many */
    va_start(args, format);
    finding->text = cli_vformat(format, args);
    va_end(args);
    finding->grade = grade;
    verdict->finding_count++;
}

void cli_verdict_value(cli_verdict *verdict, const char *name, const char *unit, const char *help,
                       double value)
{
    if (verdict->value_count < VALUES_MAX)
        verdict->values[verdict->value_count++] =
            (struct value){.name = name, .unit = unit, .help = help, .value = value};
}

static bool beyond(double value, double limit, bool small_is_bad)
{
    return limit > 0 && (small_is_bad ? value <= limit : value >= limit);
}

static void judge(cli_verdict *verdict, const char *title, double warning, double critical,
                  bool small_is_bad)
{
    struct value *value = &verdict->values[verdict->value_count - 1];
    cli_grade grade = CLI_GOOD;

    value->warning = warning;
    value->critical = critical;
    if (!(warning > 0) && !(critical > 0))
        return;
    if (beyond(value->value, critical, small_is_bad))
        grade = CLI_CRITICAL;
    else if (beyond(value->value, warning, small_is_bad))
        grade = CLI_WARNING;
    cli_verdict_add(verdict, grade, "%s %.6g%s", title, value->value, value->unit);
}

void cli_verdict_judge(cli_verdict *verdict, const char *title, double warning, double critical)
{
    judge(verdict, title, warning, critical, false);
}

void cli_verdict_judge_few(cli_verdict *verdict, const char *title, double warning, double critical)
{
    judge(verdict, title, warning, critical, warning > 0 && critical > 0 && critical < warning);
}

/* The worst: what is unknown counts for less than what is known to be critical. */
static cli_grade grade_of(const cli_verdict *verdict)
{
    static const int weight[] = {0, 1, 3, 2};
    cli_grade worst = CLI_GOOD;

    for (size_t i = 0; i < verdict->finding_count; i++) {
        if (weight[verdict->findings[i].grade] > weight[worst])
            worst = verdict->findings[i].grade;
    }
    return worst;
}

/* --- forms ----------------------------------------------------------------------------------- */

static void show_nagios(const cli_verdict *verdict, FILE *out)
{
    static const char *const marks[] = {"OK:", "Warn:", "Crit:", "Unknown:"};
    static const cli_grade order[] = {CLI_CRITICAL, CLI_WARNING, CLI_UNKNOWN, CLI_GOOD};

    (void)fprintf(out, "%s ", grade_names[grade_of(verdict)]);
    cli_escape_write(out, verdict->name, strlen(verdict->name), false);
    for (size_t k = 0; k < 4; k++) {
        for (size_t i = 0; i < verdict->finding_count; i++) {
            const struct finding *finding = &verdict->findings[i];

            if (finding->grade != order[k])
                continue;
            (void)fprintf(out, " %s", marks[order[k]]);
            for (char *c = finding->text; *c; c++) { /* a bar begins the numbers */
                if (*c == '|')
                    *c = '/';
            }
            cli_escape_write(out, finding->text, strlen(finding->text), false);
        }
    }
    for (size_t i = 0; i < verdict->value_count; i++) {
        const struct value *v = &verdict->values[i];

        (void)fprintf(out, "%s%s=%.10g%s", i ? " " : " | ", v->name, v->value, v->unit);
        if (v->warning > 0 || v->critical > 0)
            (void)fprintf(out, ";%.6g", v->warning);
        if (v->critical > 0)
            (void)fprintf(out, ";%.6g", v->critical);
    }
    (void)fprintf(out, "\n");
}

static json_t *json_of(const cli_verdict *verdict)
{
    static const char *const lists[] = {"ok", "warning", "critical", "unknown"};
    json_t *all = cli_json_object(), *values = cli_json_array();

    cli_json_set_text(all, "status", grade_names[grade_of(verdict)]);
    cli_json_set_text(all, "check_suite", verdict->suite);
    cli_json_set(all, "check_name", cli_json_text(verdict->name, strlen(verdict->name)));
    for (size_t i = 0; i < verdict->finding_count; i++) {
        const struct finding *finding = &verdict->findings[i];

        if (!json_object_get(all, lists[finding->grade]))
            cli_json_set(all, lists[finding->grade], cli_json_array());
        cli_json_append(json_object_get(all, lists[finding->grade]),
                        cli_json_text(finding->text, strlen(finding->text)));
    }
    for (size_t i = 0; i < verdict->value_count; i++) {
        const struct value *v = &verdict->values[i];
        json_t *value = cli_json_object();

        cli_json_set_text(value, "name", v->name);
        cli_json_set_real(value, "value", v->value);
        cli_json_set_real(value, "warning", v->warning);
        cli_json_set_real(value, "critical", v->critical);
        if (*v->unit)
            cli_json_set_text(value, "unit", v->unit);
        cli_json_append(values, value);
    }
    cli_json_set(all, "perf_data", values);
    return all;
}

static void show_json(const cli_verdict *verdict, FILE *out)
{
    json_t *all = json_of(verdict);

    (void)json_dumpf(all, out, JSON_INDENT(2) | JSON_REAL_PRECISION(10)); /* ferror tells */
    (void)fprintf(out, "\n");
    json_decref(all);
}

/* The name as the value of a label. */
static char *label_of(const cli_verdict *verdict)
{
    char *safe = cli_escape(verdict->name, strlen(verdict->name), 0);
    char *label = cli_alloc(2 * strlen(safe) + 1), *to = label;

    for (const char *c = safe; *c; c++) {
        if (*c == '"' || *c == '\\')
            *to++ = '\\';
        *to++ = *c;
    }
    free(safe);
    return label;
}

static void show_prometheus(const cli_verdict *verdict, const char *space, FILE *out)
{
    char *label = label_of(verdict);

    for (size_t i = 0; i < verdict->value_count; i++) {
        const struct value *v = &verdict->values[i];

        (void)fprintf(out,
                      "# HELP %s_%s_%s %s\n# TYPE %s_%s_%s gauge\n%s_%s_%s{item=\"%s\"} %.10g\n",
                      space, verdict->suite, v->name, v->help, space, verdict->suite, v->name,
                      space, verdict->suite, v->name, label, v->value);
    }
    (void)fprintf(out,
                  "# HELP %s_%s_status_code 0 good, 1 warning, 2 critical, 3 unknown\n"
                  "# TYPE %s_%s_status_code gauge\n"
                  "%s_%s_status_code{item=\"%s\",status=\"%s\"} %d\n",
                  space, verdict->suite, space, verdict->suite, space, verdict->suite, label,
                  grade_names[grade_of(verdict)], (int)grade_of(verdict));
    free(label);
}

static void cell_limit(cli_table *table, double limit)
{
    if (limit > 0)
        cli_table_cellf(table, "%.6g", limit);
    else
        cli_table_cell(table, NULL);
}

static void show_text(const cli_verdict *verdict, FILE *out)
{
    cli_table *table = cli_table_new(NULL);

    cli_escape_write(out, verdict->name, strlen(verdict->name), false);
    (void)fprintf(out, ": %s\n\n", grade_names[grade_of(verdict)]);
    cli_table_column(table, "Status", CLI_LEFT);
    cli_table_column(table, "Finding", CLI_LEFT);
    for (size_t i = 0; i < verdict->finding_count; i++) {
        cli_table_cell(table, grade_names[verdict->findings[i].grade]);
        cli_table_cell(table, verdict->findings[i].text);
    }
    if (cli_table_rows(table))
        cli_table_print(table, out);
    cli_table_free(table);
    if (!verdict->value_count)
        return;
    (void)fprintf(out, "\n");
    table = cli_table_new(NULL);
    cli_table_column(table, "Number", CLI_LEFT);
    cli_table_column(table, "Value", CLI_RIGHT);
    cli_table_column(table, "Warning", CLI_RIGHT);
    cli_table_column(table, "Critical", CLI_RIGHT);
    cli_table_column(table, "What it is", CLI_LEFT);
    for (size_t i = 0; i < verdict->value_count; i++) {
        const struct value *v = &verdict->values[i];

        cli_table_cell(table, v->name);
        cli_table_cellf(table, "%.10g%s", v->value, v->unit);
        cell_limit(table, v->warning);
        cell_limit(table, v->critical);
        cli_table_cell(table, v->help);
    }
    cli_table_print(table, out);
    cli_table_free(table);
}

static void show(const cli_verdict *verdict, const char *format, const char *space, FILE *out)
{
    if (strcmp(format, "json") == 0)
        show_json(verdict, out);
    else if (strcmp(format, "prometheus") == 0)
        show_prometheus(verdict, space, out);
    else if (strcmp(format, "text") == 0)
        show_text(verdict, out);
    else
        show_nagios(verdict, out);
}

/* By way of another file, so that who reads it finds the old or the new. */
static bool show_in_file(const cli_verdict *verdict, const char *format, const char *space,
                         const char *path)
{
    char *next = cli_format("%s.%ld", path, (long)getpid());
    FILE *out = fopen(next, "we");
    bool good = out != NULL;

    if (out) {
        show(verdict, format, space, out);
        good = !ferror(out);
        good = fclose(out) == 0 && good && rename(next, path) == 0;
    }
    if (!good)
        (void)cli_fail(CLI_UNKNOWN, "cannot write %s: %s", path, strerror(errno));
    if (!good && out)
        (void)unlink(next); /* nothing else to be done */
    free(next);
    return good;
}

int cli_verdict_finish(cli_verdict *verdict, const cli_call *call)
{
    const cli_verdict_form *form = call->options;
    const char *format = call->globals->json ? "json" : form->format;
    int status = (int)grade_of(verdict);

    if (strcmp(format, "prometheus") == 0)
        status = 0;
    if (!form->out)
        show(verdict, format, form->space, stdout);
    else if (!show_in_file(verdict, format, form->space, form->out))
        status = CLI_UNKNOWN;
    for (size_t i = 0; i < verdict->finding_count; i++)
        free(verdict->findings[i].text);
    free(verdict->name);
    free(verdict);
    return status;
}
