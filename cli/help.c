#include "cli/help.h"

#include "cli/globals.h"
#include "cli/json.h"
#include "cli/manual.h"
#include "cli/say.h"
#include "cli/terminal.h"

#include <string.h>

enum { INDENT = 2, NAMES_WIDTH = 28, WIDEST = 100, LINE_BYTES = 256 };

static unsigned width_of(FILE *out)
{
    unsigned columns = cli_terminal_columns(out);

    return columns > WIDEST ? WIDEST : columns;
}

/* The length of the next word, or of a piece of one that is too long: choices, cut behind a bar. */
static size_t word_len(const char *text, size_t room)
{
    size_t len = strcspn(text, " \n"), piece = len > room ? room : len;

    while (len > room && piece && text[piece - 1] != '|')
        piece--;
    return piece ? piece : len;
}

/* Words, wrapped; the first line begins at column at, further ones at indent. Lines that begin with
 * a blank stay as they are. */
static void wrap(FILE *out, const char *text, unsigned indent)
{
    unsigned width = width_of(out), at = indent;
    bool first = true;

    while (*text) {
        size_t word = word_len(text, width - indent);
        bool whole = text[word] == '\0' || strchr(" \n", text[word]);

        if (!first && at + 1 + word > width) {
            (void)fprintf(out, "\n%*s", (int)indent, "");
            at = indent;
            first = true;
        }
        (void)fprintf(out, "%s%.*s", first ? "" : " ", (int)word, text);
        at = whole ? at + (unsigned)word + !first : width; /* a piece is the last of its line */
        first = false;
        text += word;
        text += strspn(text, " \n");
    }
    (void)fputc('\n', out);
}

static void paragraphs(FILE *out, const char *text)
{
    while (*text) {
        const char *end = strstr(text, "\n\n");
        size_t len = end ? (size_t)(end - text) : strlen(text);

        (void)fputc('\n', out);
        if (*text == ' ') {
            (void)fprintf(out, "%.*s\n", (int)len, text);
        } else {
            char paragraph[4096];

            (void)snprintf(paragraph, sizeof(paragraph), "%.*s", (int)len, text);
            wrap(out, paragraph, 0);
        }
        text += len + (end ? 2 : 0);
    }
}

static void heading(FILE *out, const char *text)
{
    (void)fprintf(out, "\n%s%s%s\n", cli_style_text(out, CLI_BOLD), text,
                  cli_style_text(out, CLI_PLAIN));
}

static void entry(FILE *out, const char *names, const char *help)
{
    size_t len = strlen(names);

    (void)fprintf(out, "%*s%s", INDENT, "", names);
    if (len + 2 > NAMES_WIDTH)
        (void)fprintf(out, "\n%*s", INDENT + NAMES_WIDTH, "");
    else
        (void)fprintf(out, "%*s", (int)(NAMES_WIDTH - len), "");
    wrap(out, help, INDENT + NAMES_WIDTH);
}

void cli_help_flag(const cli_flag *flag, char *out, size_t out_bytes)
{
    char letter[8] = "    ";

    if (flag->letter)
        (void)snprintf(letter, sizeof(letter), "-%c, ", flag->letter);
    if (flag->value)
        (void)snprintf(out, out_bytes, "%s--%s=%s%s", letter, flag->name, flag->value,
                       cli_type_is_many(flag->type) ? " ..." : "");
    else
        (void)snprintf(out, out_bytes, "%s--%s", letter, flag->name);
}

void cli_help_remark(const cli_flag *flag, char *out, size_t out_bytes)
{
    size_t len;

    *out = '\0';
    if (flag->choices)
        (void)snprintf(out, out_bytes, ": %s", flag->choices);
    len = strlen(out);
    if (flag->fallback)
        (void)snprintf(out + len, out_bytes - len, " (default %s)", flag->fallback);
    len = strlen(out);
    if (flag->variable)
        (void)snprintf(out + len, out_bytes - len, " ($%s)", flag->variable);
}

static void show_flags(FILE *out, const char *title, const cli_flag *flags)
{
    heading(out, title);
    for (; flags->name; flags++) {
        char names[LINE_BYTES], remark[LINE_BYTES], help[2 * LINE_BYTES];

        cli_help_flag(flags, names, sizeof(names));
        cli_help_remark(flags, remark, sizeof(remark));
        (void)snprintf(help, sizeof(help), "%s%s", flags->help, remark);
        entry(out, names, help);
    }
}

static void show_commands(FILE *out, const cli_command *const *commands)
{
    heading(out, "Commands:");
    for (; *commands; commands++)
        entry(out, (*commands)->name, (*commands)->help);
}

static void show_examples(FILE *out, const cli_example *examples)
{
    heading(out, "Examples:");
    for (const cli_example *e = examples; e->line; e++) {
        (void)fprintf(out, "%s%*s# %s\n", e == examples ? "" : "\n", INDENT, "", e->help);
        (void)fprintf(out, "%*s%s\n", INDENT, "", e->line);
    }
}

void cli_help_synopsis(FILE *out, const cli_command *command, const char *name)
{
    (void)fprintf(out, "%s%s", name, command->flags || !command->commands ? " [FLAGS]" : "");
    if (command->commands)
        (void)fputs(" COMMAND", out);
    for (const cli_argument *a = command->arguments; a && a->name; a++)
        (void)fprintf(out, a->optional ? " [%s%s]" : " %s%s", a->name,
                      cli_type_is_many(a->type) ? "..." : "");
}

static void show_arguments(FILE *out, const cli_argument *arguments)
{
    heading(out, "Arguments:");
    for (; arguments->name; arguments++)
        entry(out, arguments->name, arguments->help);
}

static void show_tool(FILE *out)
{
    (void)fputs("usage: pipit COMMAND [FLAGS] [ARGUMENTS]\n\n"
                "The command-line tool of pipit, a message broker. It talks to pipit-server and\n"
                "to nats-server.\n",
                out);
    show_commands(out, cli_commands);
    show_flags(out, "Flags of every command:", cli_global_flags);
    heading(out, "Exit status:");
    entry(out, "0", "done");
    entry(out, "1", "what was asked for went wrong");
    entry(out, "2", "the command line is wrong");
    entry(out, "3", "nobody answered: no responders, or the time was over");
    entry(out, "4", "no server could be reached, or it refused the credentials");
    (void)fputs("\nSee pipit help COMMAND for what a command takes.\n", out);
}

void cli_help_show(FILE *out, const cli_command *command, const char *name)
{
    if (!command) {
        show_tool(out);
        return;
    }
    (void)fputs("usage: pipit ", out);
    cli_help_synopsis(out, command, name);
    (void)fputs("\n\n", out);
    wrap(out, command->help, 0);
    if (command->text)
        paragraphs(out, command->text);
    if (command->commands)
        show_commands(out, command->commands);
    if (command->arguments)
        show_arguments(out, command->arguments);
    if (command->flags)
        show_flags(out, "Flags:", command->flags);
    if (command->examples)
        show_examples(out, command->examples);
    if (!command->offline)
        show_flags(out, "Flags of every command:", cli_global_flags);
}

/* --- the command -------------------------------------------------------------------------- */

typedef struct help_options {
    cli_texts words;
    bool manual;
} help_options;

static int run_raw_help(const cli_command *command)
{
    char shown[64], flag[] = "--help";
    char *argv[] = {shown, flag, NULL};

    (void)snprintf(shown, sizeof(shown), "pipit %s", command->name);
    return command->run_raw(2, argv);
}

static int help(const cli_call *call)
{
    const help_options *o = call->options;
    const cli_command *const *among = cli_commands;
    const cli_command *command = NULL;
    char name[64] = "";

    for (size_t i = 0; i < o->words.count; i++) {
        size_t len = strlen(name);

        command = among ? cli_command_find(among, o->words.items[i]) : NULL;
        if (!command)
            return cli_fail(CLI_USAGE, "there is no such command: see pipit help");
        (void)snprintf(name + len, sizeof(name) - len, "%s%s", len ? " " : "", command->name);
        among = command->commands;
    }
    if (o->manual && o->words.count > 1)
        return cli_fail(CLI_USAGE, "the page of %s has all commands below it", o->words.items[0]);
    if (o->manual) {
        cli_manual_write(stdout, command);
        return CLI_DONE;
    }
    if (call->globals->json)
        return cli_json_print(cli_help_json(command));
    if (command && command->run_raw)
        return run_raw_help(command);
    cli_help_show(stdout, command, name);
    return CLI_DONE;
}

static const cli_argument arguments[] = {
    {"COMMAND", CLI_TEXTS, true, "What to explain", offsetof(help_options, words)},
    {NULL},
};
static const cli_flag flags[] = {
    {"man", 0, CLI_SWITCH, NULL, "Print the manual page, in troff", offsetof(help_options, manual)},
    {NULL},
};
static const cli_example examples[] = {
    {"pipit help pub", "What does pub take?"},
    {"pipit help context save", "And a command below another?"},
    {"pipit help --json", "All commands and their flags, for a program."},
    {NULL, NULL},
};

const cli_command cli_help_command = {
    .name = "help",
    .help = "Show what the tool or a command takes",
    .flags = flags,
    .arguments = arguments,
    .examples = examples,
    .options_bytes = sizeof(help_options),
    .offline = true,
    .run = help,
};
