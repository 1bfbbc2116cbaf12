/* cli/verdict.h -- what a check finds, in the forms that programs which watch others read.
 *
 * The worst finding is the verdict. Numbers come with their limits; a limit of 0 is none. */
#ifndef CLI_VERDICT_H
#define CLI_VERDICT_H

#include "cli/command.h"

typedef enum cli_grade { CLI_GOOD, CLI_WARNING, CLI_CRITICAL, CLI_UNKNOWN } cli_grade;

typedef struct cli_verdict cli_verdict;

/* How it is to be shown; the first member of the options of each check. */
typedef struct cli_verdict_form {
    const char *format, *space, *out;
} cli_verdict_form;

#define CLI_VERDICT_FLAGS                                                                          \
    {.name = "format",                                                                             \
     .type = CLI_CHOICE,                                                                           \
     .value = "FORMAT",                                                                            \
     .choices = "nagios|json|prometheus|text",                                                     \
     .help = "How to show what was found",                                                         \
     .fallback = "nagios",                                                                         \
     .offset = offsetof(cli_verdict_form, format)},                                                \
        {.name = "namespace",                                                                      \
         .type = CLI_TEXT,                                                                         \
         .value = "NAME",                                                                          \
         .help = "What names of Prometheus metrics begin with",                                    \
         .fallback = "nats_server_check",                                                          \
         .offset = offsetof(cli_verdict_form, space)},                                             \
    {                                                                                              \
        .name = "outfile", .type = CLI_FILE, .value = "FILE",                                      \
        .help = "Write it there, whole or not at all, not to standard output",                     \
        .offset = offsetof(cli_verdict_form, out)                                                  \
    }

#define CLI_VERDICT_TEXT                                                                           \
    "Ends with 0 if all is well, 1 for a warning, 2 if it is critical, 3 if that cannot be found " \
    "out; as a Prometheus metric, which says it itself, with 0."

/* suite: the kind of check, name: what was checked. Owner: the caller, for cli_verdict_finish. */
cli_verdict *cli_verdict_new(const char *suite, const char *name);

void cli_verdict_add(cli_verdict *verdict, cli_grade grade, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A number, with its unit ("s", "%", "") and what it is; then, if it is to be judged, its limits
 * and how it is called. With few, small numbers are the bad ones if the critical limit is below the
 * one of warnings. */
void cli_verdict_value(cli_verdict *verdict, const char *name, const char *unit, const char *help,
                       double value);
void cli_verdict_judge(cli_verdict *verdict, const char *title, double warning, double critical);
void cli_verdict_judge_few(cli_verdict *verdict, const char *title, double warning,
                           double critical);

/* Show, and free. Returns the exit status. */
int cli_verdict_finish(cli_verdict *verdict, const cli_call *call);

#endif
