/* pipit completion -- scripts that complete command lines, made from the tables of commands.
 *
 * bash and zsh share four functions that tell what may follow, by the commands so far ("context
 * save"); fish has a rule for each command and flag. */
#include "cli/completion.h"

#include "cli/globals.h"
#include "cli/help.h"

#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 64 };

typedef struct completion_options {
    const char *shell;
} completion_options;

typedef void (*visit_fn)(const cli_command *command, const char *path, const char *above);

/* --- walking ------------------------------------------------------------------------------ */

static void visit_all(const cli_command *const *commands, const char *above, visit_fn visit)
{
    for (; commands && *commands; commands++) {
        char path[PATH_BYTES];

        (void)snprintf(path, sizeof(path), "%s%s%s", above, *above ? " " : "", (*commands)->name);
        visit(*commands, path, above);
        visit_all((*commands)->commands, path, visit);
    }
}

/* What a flag or an argument takes, as the scripts know it; "": nothing. */
static const char *kind_of(cli_type type)
{
    switch (type) {
    case CLI_SWITCH:
        return "";
    case CLI_FILE:
    case CLI_FILES:
        return "file";
    case CLI_FOLDER:
        return "folder";
    case CLI_CONTEXT:
        return "context";
    case CLI_CHOICE:
        return "words";
    default:
        return "text";
    }
}

/* Choices with blanks between them. */
static void write_words(const char *choices)
{
    for (; *choices; choices++)
        (void)putchar(*choices == '|' ? ' ' : *choices);
}

/* --- bash and zsh ------------------------------------------------------------------------- */

static void write_next(const cli_command *command, const char *path, const char *above)
{
    (void)printf("    '%s/%s'", above, command->name);
    for (const char *at = command->aliases; at && *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");

        (void)printf("|'%s/%.*s'", above, (int)len, at);
        at += len;
    }
    (void)printf(") echo '%s' ;;\n", path);
}

static void write_below(const cli_command *command, const char *path, const char *above)
{
    (void)above;
    if (!command->commands)
        return;
    (void)printf("    '%s') echo '", path);
    for (const cli_command *const *c = command->commands; *c; c++)
        (void)printf("%s%s", c == command->commands ? "" : " ", (*c)->name);
    (void)printf("' ;;\n");
}

static void write_flag_names(const cli_flag *flags)
{
    for (; flags && flags->name; flags++)
        (void)printf(" --%s", flags->name);
}

static void write_flags(const cli_command *command, const char *path, const char *above)
{
    (void)above;
    if (!command->flags)
        return;
    (void)printf("    '%s') echo '", path);
    write_flag_names(command->flags);
    (void)printf("' ;;\n");
}

static void write_kind(cli_type type, const char *choices)
{
    (void)printf(") echo '%s", kind_of(type));
    if (type == CLI_CHOICE) {
        (void)putchar(' ');
        write_words(choices);
    }
    (void)printf("' ;;\n");
}

/* path "*": for every command. */
static void write_flag_values(const cli_flag *flags, const char *path)
{
    const char *quote = strcmp(path, "*") == 0 ? "" : "'";

    for (; flags && flags->name; flags++) {
        if (!*kind_of(flags->type))
            continue;
        (void)printf("    %s%s/--%s%s", quote, path, flags->name, quote);
        if (flags->letter)
            (void)printf("|%s%s/-%c%s", quote, path, flags->letter, quote);
        write_kind(flags->type, flags->choices);
    }
}

static void write_values(const cli_command *command, const char *path, const char *above)
{
    (void)above;
    write_flag_values(command->flags, path);
}

static void write_arguments(const cli_command *command, const char *path, const char *above)
{
    unsigned number = 1;

    (void)above;
    if (command == &cli_help_command) {
        (void)printf("    '%s/1') echo \"words $(_pipit_commands '')\" ;;\n", path);
        return;
    }
    if (command->run_raw)
        (void)printf("    '%s'/*) echo file ;;\n", path);
    for (const cli_argument *a = command->arguments; a && a->name; a++, number++) {
        (void)printf("    '%s/%u'", path, number);
        write_kind(a->type, a->choices);
    }
}

static void function(const char *name, const char *by, void (*special)(void), visit_fn visit)
{
    (void)printf("%s() {\n    case %s in\n", name, by);
    if (special)
        special();
    visit_all(cli_commands, "", visit);
    (void)printf("    esac\n}\n");
}

static void write_top(void)
{
    (void)printf("    '') echo '");
    for (const cli_command *const *c = cli_commands; *c; c++)
        (void)printf("%s%s", c == cli_commands ? "" : " ", (*c)->name);
    (void)printf("' ;;\n");
}

static void write_tables(void)
{
    function("_pipit_next", "\"$1/$2\"", NULL, write_next);
    function("_pipit_commands", "\"$1\"", write_top, write_below);
    function("_pipit_own_flags", "\"$1\"", NULL, write_flags);
    function("_pipit_own_value", "\"$1/$2\"", NULL, write_values);
    function("_pipit_argument", "\"$1/$2\"", NULL, write_arguments);
    (void)printf("_pipit_flags() {\n    _pipit_own_flags \"$1\"\n    echo '");
    write_flag_names(cli_global_flags);
    (void)printf("'\n}\n_pipit_value() {\n    local kind\n"
                 "    kind=$(_pipit_own_value \"$1\" \"$2\")\n"
                 "    [ -n \"$kind\" ] && echo \"$kind\" && return\n    case \"$1/$2\" in\n");
    write_flag_values(cli_global_flags, "*");
    (void)printf("    esac\n}\n");
}

/* What has been typed so far is walked through: commands make the spot, flags with a value of their
 * own take the next word along. It is $spot, since zsh has a $path of its own. */
static const char walk[] =
    "# sets spot, count and kind from the words before the one to complete\n"
    "_pipit_walk() {\n"
    "    local word next flag=''\n"
    "    spot='' count=0 kind=''\n"
    "    for word in \"$@\"; do\n"
    "        if [ -n \"$flag\" ]; then flag=''; continue; fi\n"
    "        case \"$word\" in\n"
    "        --*=*) ;;\n"
    "        -?*) [ -n \"$(_pipit_value \"$spot\" \"$word\")\" ] && flag=$word ;;\n"
    "        *)\n"
    "            next=$(_pipit_next \"$spot\" \"$word\")\n"
    "            if [ -n \"$next\" ]; then spot=$next; else count=$((count + 1)); fi ;;\n"
    "        esac\n"
    "    done\n"
    "    if [ -n \"$flag\" ]; then kind=$(_pipit_value \"$spot\" \"$flag\"); return; fi\n"
    "    kind=$(_pipit_argument \"$spot\" $((count + 1)))\n"
    "}\n"
    "# the words that may stand for a kind\n"
    "_pipit_choices() {\n"
    "    case \"$1\" in\n"
    "    words*) echo \"${1#words }\" ;;\n"
    "    context) pipit context ls --names 2>/dev/null ;;\n"
    "    esac\n"
    "}\n";

static const char bash[] =
    "_pipit() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} spot count kind i word\n"
    "    local -a before=()\n"
    "    COMPREPLY=()\n"
    "    # bash cuts --flag=value in three\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        [ \"${COMP_WORDS[i]}\" = = ] || before+=(\"${COMP_WORDS[i]}\")\n"
    "    done\n"
    "    [ \"$cur\" = = ] && cur=''\n"
    "    _pipit_walk \"${before[@]}\"\n"
    "    case \"$kind\" in\n"
    "    file) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
    "    folder) COMPREPLY=($(compgen -d -- \"$cur\")) ;;\n"
    "    words*|context) COMPREPLY=($(compgen -W \"$(_pipit_choices \"$kind\")\" -- \"$cur\")) ;;\n"
    "    esac\n"
    "    case \"$cur\" in\n"
    "    -*) COMPREPLY=($(compgen -W \"$(_pipit_flags \"$spot\")\" -- \"$cur\")) ;;\n"
    "    *) [ -z \"$kind\" ] && COMPREPLY=($(compgen -W \"$(_pipit_commands \"$spot\")\" -- "
    "\"$cur\"))"
    " ;;\n"
    "    esac\n"
    "    return 0\n"
    "}\n"
    "complete -o filenames -F _pipit pipit\n";

static const char zsh[] =
    "_pipit() {\n"
    "    emulate -L zsh\n"
    "    local spot count kind cur=${words[CURRENT]}\n"
    "    _pipit_walk \"${(@)words[2,CURRENT-1]}\"\n"
    "    if [[ $cur == --*=* ]]; then\n"
    "        kind=$(_pipit_value \"$spot\" \"${cur%%=*}\")\n"
    "        compset -P '*='\n"
    "    elif [[ $cur == -* ]]; then\n"
    "        compadd -- ${=$(_pipit_flags \"$spot\")}\n"
    "        return\n"
    "    fi\n"
    "    case $kind in\n"
    "    file) _files ;;\n"
    "    folder) _files -/ ;;\n"
    "    words*|context) compadd -- ${=$(_pipit_choices \"$kind\")} ;;\n"
    "    '') compadd -- ${=$(_pipit_commands \"$spot\")} ;;\n"
    "    esac\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _pipit ]; then _pipit \"$@\"; else compdef _pipit pipit; fi\n";

/* --- fish --------------------------------------------------------------------------------- */

static void fish_text(const char *text)
{
    (void)putchar('\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            (void)putchar('\\');
        (void)putchar(*text);
    }
    (void)putchar('\'');
}

static void fish_takes(cli_type type, const char *choices)
{
    if (type == CLI_FILE || type == CLI_FILES)
        (void)printf(" -r -F");
    else if (type == CLI_FOLDER)
        (void)printf(" -x -a '(__fish_complete_directories)'");
    else if (type == CLI_CONTEXT)
        (void)printf(" -x -a '(pipit context ls --names 2>/dev/null)'");
    else if (type == CLI_CHOICE) {
        (void)printf(" -x -a '");
        write_words(choices);
        (void)putchar('\'');
    } else if (type != CLI_SWITCH)
        (void)printf(" -x");
}

static void fish_flags(const cli_flag *flags, const char *condition)
{
    for (; flags && flags->name; flags++) {
        (void)printf("complete -c pipit%s -l %s", condition, flags->name);
        if (flags->letter)
            (void)printf(" -s %c", flags->letter);
        fish_takes(flags->type, flags->choices);
        (void)printf(" -d ");
        fish_text(flags->help);
        (void)putchar('\n');
    }
}

static void fish_command(const cli_command *command, const char *path, const char *above)
{
    char at[2 * PATH_BYTES];

    (void)printf("complete -c pipit -n '__pipit_at \"%s\"' -a %s -d ", above, command->name);
    fish_text(command->help);
    (void)putchar('\n');
    (void)snprintf(at, sizeof(at), " -n '__pipit_at \"%s\"'", path);
    fish_flags(command->flags, at);
    if (command->run_raw)
        (void)printf("complete -c pipit%s -F\n", at);
    if (command == &cli_help_command)
        for (const cli_command *const *c = cli_commands; *c; c++)
            (void)printf("complete -c pipit%s -a %s\n", at, (*c)->name);
    for (const cli_argument *a = command->arguments; a && a->name; a++) {
        if (a->type != CLI_FILE && a->type != CLI_FILES && a->type != CLI_FOLDER &&
            a->type != CLI_CONTEXT && a->type != CLI_CHOICE)
            continue;
        (void)printf("complete -c pipit%s", at);
        fish_takes(a->type, a->choices);
        (void)putchar('\n');
    }
}

/* A case for each word that names a command, by the path above it. */
static void fish_next(const cli_command *command, const char *path, const char *above)
{
    (void)printf("            case '%s/%s'", above, command->name);
    for (const char *at = command->aliases; at && *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");

        (void)printf(" '%s/%.*s'", above, (int)len, at);
        at += len;
    }
    (void)printf("\n                set path '%s'\n", path);
}

static void fish_skipped(const cli_command *command, const char *path, const char *above)
{
    (void)path;
    (void)above;
    for (const cli_flag *f = command->flags; f && f->name; f++) {
        if (f->type != CLI_SWITCH)
            (void)printf(" --%s", f->name);
        if (f->type != CLI_SWITCH && f->letter)
            (void)printf(" -%c", f->letter);
    }
}

static void write_fish(void)
{
    const cli_command globals = {.flags = cli_global_flags};

    (void)printf("function __pipit_at\n"
                 "    set -l path ''\n"
                 "    set -l skip no\n"
                 "    for word in (commandline -opc)[2..-1]\n"
                 "        if test $skip = yes\n"
                 "            set skip no\n"
                 "            continue\n"
                 "        end\n"
                 "        if contains -- $word");
    visit_all(cli_commands, "", fish_skipped);
    fish_skipped(&globals, "", "");
    (void)printf("\n            set skip yes\n"
                 "            continue\n"
                 "        end\n"
                 "        switch \"$path/$word\"\n");
    visit_all(cli_commands, "", fish_next);
    (void)printf("        end\n"
                 "    end\n"
                 "    test \"$path\" = \"$argv[1]\"\n"
                 "end\n"
                 "complete -c pipit -f\n");
    visit_all(cli_commands, "", fish_command);
    fish_flags(cli_global_flags, "");
}

/* --- the command -------------------------------------------------------------------------- */

static int completion(const cli_call *call)
{
    const completion_options *o = call->options;

    if (strcmp(o->shell, "zsh") == 0)
        (void)printf("#compdef pipit\n");
    (void)printf("# Completes command lines of pipit in %s. Made by: pipit completion %s\n",
                 o->shell, o->shell);
    if (strcmp(o->shell, "fish") == 0) {
        write_fish();
        return CLI_DONE;
    }
    write_tables();
    (void)fputs(walk, stdout);
    (void)fputs(strcmp(o->shell, "zsh") == 0 ? zsh : bash, stdout);
    return CLI_DONE;
}

static const cli_argument shell_argument[] = {
    {"SHELL", CLI_CHOICE, false, "bash, zsh or fish", offsetof(completion_options, shell),
     .choices = "bash|zsh|fish"},
    {NULL},
};

static const cli_example examples[] = {
    {"source <(pipit completion bash)", "In this shell, at once"},
    {"pipit completion fish > pipit.fish", "For fish: into ~/.config/fish/completions"},
    {"pipit completion zsh > _pipit", "For zsh: into a folder of $fpath"},
    {NULL, NULL},
};

const cli_command cli_completion_command = {
    .name = "completion",
    .help = "Print a script that completes command lines in a shell",
    .text = "Where pipit is installed with make install, the shells find these scripts by "
            "themselves.",
    .arguments = shell_argument,
    .examples = examples,
    .options_bytes = sizeof(completion_options),
    .offline = true,
    .run = completion,
};
