#include "cli/manual.h"

#include "cli/globals.h"
#include "cli/help.h"

#include <ctype.h>
#include <string.h>

enum { TEXT_BYTES = 512 };

/* --- troff -------------------------------------------------------------------------------- */

static void write_char(FILE *out, char c)
{
    if (c == '\\')
        (void)fputs("\\e", out);
    else if (c == '-')
        (void)fputs("\\-", out);
    else if (c == '\'')
        (void)fputs("\\(aq", out);
    else if (c == '`')
        (void)fputs("\\(ga", out);
    else if (c == '^')
        (void)fputs("\\(ha", out);
    else if (c == '~')
        (void)fputs("\\(ti", out);
    else
        (void)fputc(c, out);
}

/* Text that begins a line: a dot there would be a request. */
static void line(FILE *out, const char *text, size_t bytes)
{
    if (bytes && *text == '.')
        (void)fputs("\\&", out);
    for (size_t i = 0; i < bytes; i++) {
        write_char(out, text[i]);
        if (text[i] == '\n' && i + 1 < bytes && text[i + 1] == '.')
            (void)fputs("\\&", out);
    }
    (void)fputc('\n', out);
}

static void sentence(FILE *out, const char *text)
{
    line(out, text, strlen(text));
}

static void verbatim(FILE *out, const char *text, size_t bytes)
{
    (void)fputs(".RS\n.nf\n", out);
    line(out, text, bytes);
    (void)fputs(".fi\n.RE\n", out);
}

/* Those that begin with a blank are shown as they are. */
static void paragraphs(FILE *out, const char *text)
{
    while (text && *text) {
        const char *end = strstr(text, "\n\n");
        size_t len = end ? (size_t)(end - text) : strlen(text);

        (void)fputs(".PP\n", out);
        if (*text == ' ')
            verbatim(out, text, len);
        else
            line(out, text, len);
        text += len + (end ? 2 : 0);
    }
}

/* --- parts of pages ----------------------------------------------------------------------- */

static void title(FILE *out, const char *name)
{
    (void)fputs(".TH PIPIT", out);
    if (*name)
        (void)fputs("\\-", out);
    for (const char *c = name; *c; c++)
        (void)fputc(toupper((unsigned char)*c), out);
    (void)fputs(" 1 \"\" \"pipit " PIPIT_VERSION "\" \"User Commands\"\n.ad l\n", out);
}

static void flags(FILE *out, const cli_flag *flag)
{
    for (; flag && flag->name; flag++) {
        char names[TEXT_BYTES], remark[TEXT_BYTES];
        const char *from;

        cli_help_flag(flag, names, sizeof(names));
        cli_help_remark(flag, remark, sizeof(remark));
        from = names + strspn(names, " ");
        (void)fputs(".TP\n.B ", out);
        sentence(out, from);
        line(out, flag->help, strlen(flag->help));
        if (*remark)
            sentence(out, remark + strspn(remark, ": "));
    }
}

static void arguments(FILE *out, const cli_argument *argument)
{
    for (; argument && argument->name; argument++) {
        (void)fputs(".TP\n.I ", out);
        sentence(out, argument->name);
        sentence(out, argument->help);
    }
}

static void examples(FILE *out, const cli_example *example)
{
    for (; example && example->line; example++) {
        (void)fputs(".PP\n", out);
        sentence(out, example->help);
        verbatim(out, example->line, strlen(example->line));
    }
}

static void synopsis(FILE *out, const cli_command *command, const char *name)
{
    char text[TEXT_BYTES];
    FILE *memory = fmemopen(text, sizeof(text), "w");

    if (!memory)
        return;
    cli_help_synopsis(memory, command, name);
    (void)fclose(memory); /* what did not fit would be seen on the page */
    (void)fputs(".B pipit\n", out);
    sentence(out, text);
}

static void see_also(FILE *out, const char *text)
{
    (void)fputs(".SH SEE ALSO\n", out);
    (void)fputs(text, out);
}

/* What a page says of a command; those below it follow as sections of their own. */
static void body(FILE *out, const cli_command *command, const char *name, bool below)
{
    if (below) {
        (void)fputs(".SS ", out);
        sentence(out, command->name);
        synopsis(out, command, name);
        (void)fputs(".PP\n", out);
        sentence(out, command->help);
        if (command->aliases) {
            (void)fputs(".br\nAlso: ", out);
            sentence(out, command->aliases);
        }
    }
    paragraphs(out, command->text);
    arguments(out, command->arguments);
    flags(out, command->flags);
    examples(out, command->examples);
}

static void commands_below(FILE *out, const cli_command *command, const char *name)
{
    for (const cli_command *const *c = command->commands; c && *c; c++) {
        char inner[TEXT_BYTES];

        (void)snprintf(inner, sizeof(inner), "%s %s", name, (*c)->name);
        body(out, *c, inner, true);
        commands_below(out, *c, inner);
    }
}

/* --- pages -------------------------------------------------------------------------------- */

static void tool_page(FILE *out)
{
    title(out, "");
    (void)fputs(".SH NAME\npipit \\- the command\\-line tool of a message broker\n"
                ".SH SYNOPSIS\n.B pipit\n.I COMMAND\n[FLAGS] [ARGUMENTS]\n"
                ".SH DESCRIPTION\nTalks to pipit\\-server and to nats\\-server, with the flags and "
                "the saved connections of the nats CLI. Each command has a page of its own: "
                "pipit\\-pub(1).\n.SH COMMANDS\n",
                out);
    for (const cli_command *const *c = cli_commands; *c; c++) {
        (void)fputs(".TP\n.B ", out);
        sentence(out, (*c)->name);
        sentence(out, (*c)->help);
    }
    (void)fputs(".SH FLAGS\nThese are for every command that connects; they may stand before its "
                "name or behind it.\n",
                out);
    flags(out, cli_global_flags);
    (void)fputs(
        ".SH EXIT STATUS\n.TP\n.B 0\nDone.\n.TP\n.B 1\nWhat was asked for went wrong.\n.TP\n.B 2\n"
        "The command line is wrong.\n.TP\n.B 3\nNobody answered: no responders, or the time was "
        "over.\n.TP\n.B 4\nNo server could be reached, or it refused the credentials.\n"
        ".SH FILES\n.TP\n.I ~/.config/nats/context/NAME.json\nSaved connections, shared with the "
        "nats CLI; $XDG_CONFIG_HOME stands in for ~/.config.\n.TP\n"
        ".I ~/.config/nats/context.txt\nThe name of the selected one.\n"
        ".SH ENVIRONMENT\nVariables in brackets above stand in for their flags. NO_COLOR, if set, "
        "keeps output plain; COLUMNS is the width where there is no terminal.\n",
        out);
    see_also(out, "pipit\\-server(1)\n");
}

static void command_page(FILE *out, const cli_command *command)
{
    const char *page = command->page ? command->page : command->name;

    title(out, page);
    (void)fputs(".SH NAME\npipit\\-", out);
    for (const char *c = page; *c; c++)
        write_char(out, *c);
    (void)fputs(" \\- ", out);
    sentence(out, command->help);
    (void)fputs(".SH SYNOPSIS\n", out);
    synopsis(out, command, command->name);
    (void)fputs(".SH DESCRIPTION\n", out);
    sentence(out, command->help);
    if (command->aliases) {
        (void)fputs(".br\nAlso: ", out);
        sentence(out, command->aliases);
    }
    body(out, command, command->name, false);
    if (command->commands) {
        (void)fputs(".SH COMMANDS\n", out);
        commands_below(out, command, command->name);
    }
    see_also(out, "pipit(1), with the flags of every command and what exit statuses mean\n");
}

void cli_manual_write(FILE *out, const cli_command *command)
{
    if (command)
        command_page(out, command);
    else
        tool_page(out);
}
