/* pipit help --json -- the tables of commands, for programs: what makes wrappers, or tests. */
#include "cli/globals.h"
#include "cli/help.h"
#include "cli/json.h"

#include <string.h>

static const char *type_name(cli_type type)
{
    switch (type) {
    case CLI_SWITCH:
        return "switch";
    case CLI_CHOICE:
        return "choice";
    case CLI_FILE:
    case CLI_FILES:
        return "file";
    case CLI_FOLDER:
        return "folder";
    case CLI_CONTEXT:
        return "context";
    case CLI_COUNT:
        return "count";
    case CLI_SIZE:
        return "size";
    case CLI_DURATION:
        return "duration";
    case CLI_REAL:
        return "number";
    default:
        return "text";
    }
}

static json_t *choices_json(const char *choices)
{
    json_t *list = cli_json_array();

    while (*choices) {
        size_t len = strcspn(choices, "|");

        cli_json_append(list, cli_json_text(choices, len));
        choices += len + (choices[len] == '|');
    }
    return list;
}

/* What flags and arguments have in common. */
static json_t *taken_json(const char *name, const char *help, cli_type type, const char *choices,
                          int64_t min, int64_t max)
{
    json_t *object = cli_json_object();

    cli_json_set_text(object, "name", name);
    cli_json_set_text(object, "help", help);
    cli_json_set_text(object, "type", type_name(type));
    if (cli_type_is_many(type))
        cli_json_set_flag(object, "many", 1);
    if (choices)
        cli_json_set(object, "choices", choices_json(choices));
    if (min)
        cli_json_set(object, "min", json_integer(min));
    if (max)
        cli_json_set(object, "max", json_integer(max));
    return object;
}

static json_t *flags_json(const cli_flag *flags)
{
    json_t *list = cli_json_array();

    for (; flags && flags->name; flags++) {
        json_t *flag = taken_json(flags->name, flags->help, flags->type, flags->choices, flags->min,
                                  flags->max);

        if (flags->letter)
            cli_json_set(flag, "letter", cli_json_text(&flags->letter, 1));
        if (flags->fallback)
            cli_json_set_text(flag, "default", flags->fallback);
        if (flags->variable)
            cli_json_set_text(flag, "variable", flags->variable);
        cli_json_append(list, flag);
    }
    return list;
}

static json_t *arguments_json(const cli_argument *arguments)
{
    json_t *list = cli_json_array();

    for (; arguments && arguments->name; arguments++) {
        json_t *argument = taken_json(arguments->name, arguments->help, arguments->type,
                                      arguments->choices, arguments->min, arguments->max);

        cli_json_set_flag(argument, "optional", arguments->optional);
        cli_json_append(list, argument);
    }
    return list;
}

static json_t *examples_json(const cli_example *examples)
{
    json_t *list = cli_json_array();

    for (; examples && examples->line; examples++) {
        json_t *example = cli_json_object();

        cli_json_set_text(example, "line", examples->line);
        cli_json_set_text(example, "help", examples->help);
        cli_json_append(list, example);
    }
    return list;
}

static json_t *commands_json(const cli_command *const *commands)
{
    json_t *list = cli_json_array();

    for (; commands && *commands; commands++)
        cli_json_append(list, cli_help_json(*commands));
    return list;
}

json_t *cli_help_json(const cli_command *command)
{
    json_t *object = cli_json_object();

    cli_json_set_text(object, "name", command ? command->name : "pipit");
    if (!command) {
        cli_json_set(object, "flags", flags_json(cli_global_flags));
        cli_json_set(object, "commands", commands_json(cli_commands));
        return object;
    }
    cli_json_set_text(object, "help", command->help);
    if (command->aliases)
        cli_json_set_text(object, "aliases", command->aliases);
    if (command->text)
        cli_json_set_text(object, "text", command->text);
    cli_json_set_flag(object, "offline", command->offline);
    if (command->run_raw) { /* it reads its own command line, and says itself what it takes */
        cli_json_set_flag(object, "raw", 1);
        return object;
    }
    if (command->commands) {
        cli_json_set(object, "commands", commands_json(command->commands));
        return object;
    }
    cli_json_set(object, "flags", flags_json(command->flags));
    cli_json_set(object, "arguments", arguments_json(command->arguments));
    cli_json_set(object, "examples", examples_json(command->examples));
    return object;
}
