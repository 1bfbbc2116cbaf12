/* pipit context -- save, show and select connections, in the files of the nats CLI. */
#include "cli/context.h"

#include "cli/connection.h"
#include "cli/context_file.h"
#include "cli/escape.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/say.h"
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct context_options {
    const char *name, *source;
    const char *description;
    bool select, force, connect, names;
} context_options;

#define AT(member) offsetof(context_options, member)

/* --- saving ------------------------------------------------------------------------------- */

static void set_given(json_t *context, const char *member, const char *value)
{
    if (value)
        cli_json_set_text(context, member, value);
}

/* What the global flags say, into a context. */
static void set_flags(json_t *context, const cli_call *call)
{
    const context_options *o = call->options;
    const cli_globals *g = call->globals;
    bool token = g->user && !g->password;

    set_given(context, "description", o->description);
    set_given(context, "url", g->server);
    set_given(context, token ? "token" : "user", g->user);
    set_given(context, "password", g->password);
    set_given(context, "creds", g->creds);
    set_given(context, "nkey", g->nkey);
    set_given(context, "cert", g->tls_cert);
    set_given(context, "key", g->tls_key);
    set_given(context, "ca", g->tls_ca);
    set_given(context, "inbox_prefix", g->inbox_prefix);
    if (g->tls_first)
        cli_json_set_flag(context, "tls_first", true);
}

/* The members that the nats CLI writes, in its order. */
static json_t *empty_context(void)
{
    static const char *const members[] = {"description",
                                          "url",
                                          "socks_proxy",
                                          "token",
                                          "user",
                                          "password",
                                          "creds",
                                          "nkey",
                                          "cert",
                                          "key",
                                          "ca",
                                          "nsc",
                                          "jetstream_domain",
                                          "jetstream_api_prefix",
                                          "jetstream_event_prefix",
                                          "inbox_prefix",
                                          "user_jwt",
                                          "color_scheme"};
    json_t *context = cli_json_object();

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        cli_json_set_text(context, members[i], "");
    cli_json_set_text(context, "url", "nats://127.0.0.1:4222");
    cli_json_set_flag(context, "tls_first", false);
    return context;
}

static void show_value(const json_t *context, const char *label, const char *member, bool secret)
{
    const char *text = cli_context_text(context, member);
    char *shown;

    if (!text)
        return;
    shown = strcmp(member, "url") == 0 ? cli_url_shown(text) : cli_escape(text, strlen(text), 0);
    (void)printf("%13s: %s\n", label, secret ? "*" : shown);
    free(shown);
}

static int show_context(const char *name, json_t *context, bool json)
{
    char *path;

    if (json) {
        json_t *shown = cli_json_object();

        cli_json_set_text(shown, "name", name);
        if (json_object_update(shown, context) != 0)
            cli_out_of_memory();
        return cli_json_print(shown);
    }
    path = cli_context_path(name);
    (void)printf("Context \"%s\"\n\n", name);
    show_value(context, "Description", "description", false);
    show_value(context, "Server", "url", false);
    show_value(context, "User", "user", false);
    show_value(context, "Password", "password", true);
    show_value(context, "Token", "token", true);
    show_value(context, "Credentials", "creds", false);
    show_value(context, "NKey", "nkey", false);
    show_value(context, "Certificate", "cert", false);
    show_value(context, "Key", "key", false);
    show_value(context, "Authorities", "ca", false);
    show_value(context, "Inbox prefix", "inbox_prefix", false);
    if (json_is_true(json_object_get(context, "tls_first")))
        (void)printf("%13s: yes\n", "TLS first");
    (void)printf("%13s: %s\n", "File", path);
    free(path);
    return CLI_DONE;
}

static int store_and_show(const cli_call *call, const char *name, json_t *context)
{
    const context_options *o = call->options;
    int status;

    set_flags(context, call);
    status = cli_context_store(name, context);
    if (!status && o->select)
        status = cli_context_select(name);
    if (!status)
        status = show_context(name, context, call->globals->json);
    json_decref(context);
    return status;
}

static int save(const cli_call *call)
{
    const context_options *o = call->options;
    json_t *context;
    int status = CLI_DONE;

    if (cli_context_name_good(o->name) && cli_context_exists(o->name))
        status = cli_context_load(o->name, &context);
    else
        context = empty_context();
    return status ? status : store_and_show(call, o->name, context);
}

static int copy(const cli_call *call)
{
    const context_options *o = call->options;
    json_t *context;
    int status;

    if (cli_context_name_good(o->name) && cli_context_exists(o->name))
        return cli_fail(CLI_USAGE, "there is a context %s already: remove it first, or save to it",
                        o->name);
    status = cli_context_load(o->source, &context);
    return status ? status : store_and_show(call, o->name, context);
}

/* --- looking ------------------------------------------------------------------------------ */

static int list_json(char **names, size_t count)
{
    json_t *list = cli_json_array();

    for (size_t i = 0; i < count; i++) {
        json_t *context, *one;

        if (cli_context_load(names[i], &context))
            continue; /* said */
        one = cli_json_object();
        cli_json_set_text(one, "name", names[i]);
        if (json_object_update(one, context) != 0)
            cli_out_of_memory();
        cli_json_append(list, one);
        json_decref(context);
    }
    return cli_json_print(list);
}

static void list_table(char **names, size_t count)
{
    char *selected = cli_context_selected();
    cli_table *table = cli_table_new(NULL);

    cli_table_column(table, "NAME", CLI_LEFT);
    cli_table_column(table, "SERVER", CLI_LEFT);
    cli_table_column(table, "DESCRIPTION", CLI_LEFT);
    for (size_t i = 0; i < count; i++) {
        const char *url;
        json_t *context;
        char *shown;

        if (cli_context_load(names[i], &context))
            continue; /* said */
        url = cli_context_text(context, "url");
        shown = url ? cli_url_shown(url) : NULL;
        cli_table_cellf(table, "%s%s", names[i],
                        selected && strcmp(selected, names[i]) == 0 ? "*" : "");
        cli_table_cell(table, shown);
        cli_table_cell(table, cli_context_text(context, "description"));
        free(shown);
        json_decref(context);
    }
    cli_table_print(table, stdout);
    cli_table_free(table);
    free(selected);
}

static int list(const cli_call *call)
{
    const context_options *o = call->options;
    size_t count;
    char **names = cli_context_names(&count);
    int status = CLI_DONE;

    if (o->names) {
        for (size_t i = 0; i < count; i++)
            (void)puts(names[i]);
    } else if (call->globals->json) {
        status = list_json(names, count);
    } else if (!count) {
        cli_note("no connections are saved: pipit context save NAME -s URL saves one");
    } else {
        list_table(names, count);
    }
    cli_context_names_free(names, count);
    return status;
}

/* Owner: *out_name is the caller's, for free(). */
static int name_or_selected(const char *given, char **out_name)
{
    *out_name = given ? cli_copy(given, strlen(given)) : cli_context_selected();
    return *out_name ? CLI_DONE
                     : cli_fail(CLI_USAGE,
                                "no context is selected: name one, or pipit context select NAME");
}

static int try_connection(const cli_call *call, const char *name)
{
    cli_globals globals = *call->globals;
    cli_call with = *call;
    cli_connection connection;
    int status;

    globals.context = name;
    with.globals = &globals;
    status = cli_connection_open(&connection, &with, &(cli_wish){0});
    if (!status) {
        (void)printf("%13s: connected to %s\n", "Connection", connection.url);
        cli_connection_close(&connection);
    }
    return status;
}

static int info(const cli_call *call)
{
    const context_options *o = call->options;
    json_t *context;
    char *name;
    int status = name_or_selected(o->name, &name);

    if (status)
        return status;
    status = cli_context_load(name, &context);
    if (!status) {
        status = show_context(name, context, call->globals->json);
        json_decref(context);
    }
    if (!status && o->connect)
        status = try_connection(call, name);
    free(name);
    return status;
}

/* Would a connection by this context get as far as the network? */
static int validate_one(const cli_call *call, const char *name)
{
    const context_options *o = call->options;
    cli_globals globals = {.context = name};
    cli_settings settings;
    int status = cli_settings_read(&globals, &settings);

    if (status)
        return status;
    cli_settings_free(&settings);
    (void)printf("%s: the file is good\n", name);
    return o->connect ? try_connection(call, name) : CLI_DONE;
}

static int validate(const cli_call *call)
{
    const context_options *o = call->options;
    int status = CLI_DONE;
    size_t count;
    char **names;

    if (o->name)
        return validate_one(call, o->name);
    names = cli_context_names(&count);
    for (size_t i = 0; i < count; i++) {
        if (validate_one(call, names[i]))
            status = CLI_FAILED;
    }
    cli_context_names_free(names, count);
    return status;
}

/* --- changing ----------------------------------------------------------------------------- */

static int select_one(const cli_call *call)
{
    const context_options *o = call->options;
    json_t *context;
    int status;

    status = cli_context_load(o->name, &context);
    if (status)
        return status;
    status = cli_context_select(o->name);
    if (!status)
        status = show_context(o->name, context, call->globals->json);
    json_decref(context);
    return status;
}

static int unselect(const cli_call *call)
{
    (void)call;
    return cli_context_select(NULL);
}

static int remove_one(const cli_call *call)
{
    const context_options *o = call->options;
    char answer[16] = "";

    if (!o->force) {
        if (!isatty(STDIN_FILENO))
            return cli_fail(CLI_USAGE, "add --force to remove a context without being asked");
        (void)printf("Remove context %s? [y/N] ", o->name);
        (void)fflush(stdout);
        if (!fgets(answer, sizeof(answer), stdin) || (*answer != 'y' && *answer != 'Y'))
            return cli_fail(CLI_FAILED, "not removed");
    }
    return cli_context_remove(o->name);
}

/* Returns the editor's exit status. Names of files may hold anything, so the shell gets them as an
 * argument. */
static int run_editor(const char *path)
{
    const char *editor = getenv("EDITOR");
    char *line = cli_format("%s \"$1\"", editor && *editor ? editor : "vi");
    pid_t child = fork();
    int status = -1;

    if (child == 0) {
        (void)execl("/bin/sh", "sh", "-c", line, "sh", path, (char *)NULL);
        _exit(127);
    }
    free(line);
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What the editor leaves replaces the file only if it is a context. */
static int edit(const cli_call *call)
{
    const context_options *o = call->options;
    char *draft = cli_format("%s~edit", o->name), *path;
    json_t *context;
    int status = cli_context_load(o->name, &context);

    if (!status) {
        status = cli_context_store(draft, context);
        json_decref(context);
    }
    if (status) {
        free(draft);
        return status;
    }
    path = cli_context_path(draft);
    if (run_editor(path) != 0)
        status = cli_fail(CLI_FAILED, "the editor failed: the context is as it was");
    if (!status)
        status = cli_context_load(draft, &context);
    if (!status) {
        status = cli_context_store(o->name, context);
        json_decref(context);
    }
    (void)unlink(path);
    free(path);
    free(draft);
    return status;
}

/* --- tables ------------------------------------------------------------------------------- */

static const cli_argument one_name[] = {
    {"NAME", CLI_CONTEXT, false, "The context", AT(name)},
    {NULL},
};
static const cli_argument maybe_name[] = {
    {"NAME", CLI_CONTEXT, true, "The context; without, the selected one", AT(name)},
    {NULL},
};
static const cli_argument two_names[] = {
    {"SOURCE", CLI_CONTEXT, false, "The context to copy", AT(source)},
    {"NAME", CLI_TEXT, false, "Name of the new one", AT(name)},
    {NULL},
};
static const cli_flag save_flags[] = {
    {"description", 0, CLI_TEXT, "TEXT", "What it is for", AT(description)},
    {"select", 0, CLI_SWITCH, NULL, "Select it, too", AT(select)},
    {NULL},
};
static const cli_flag list_flags[] = {
    {"names", 0, CLI_SWITCH, NULL, "Only the names", AT(names)},
    {NULL},
};
static const cli_flag connect_flags[] = {
    {"connect", 0, CLI_SWITCH, NULL, "Connect, to see whether it works", AT(connect)},
    {NULL},
};
static const cli_flag remove_flags[] = {
    {"force", 'f', CLI_SWITCH, NULL, "Do not ask", AT(force)},
    {NULL},
};

#define COMMAND(identifier, ...)                                                                   \
    static const cli_command identifier = {.options_bytes = sizeof(context_options), __VA_ARGS__}

COMMAND(save_command, .name = "save", .aliases = "add create", .run = save,
        .help = "Save a connection, or change a saved one: what the flags of every command say",
        .flags = save_flags, .arguments = one_name,
        .examples = (const cli_example[]){
            {"pipit context save shop -s nats://127.0.0.1:4222 --description 'the shop'",
             "Save where the shop's server is"},
            {NULL, NULL}});
COMMAND(copy_command, .name = "copy", .aliases = "cp", .run = copy,
        .help = "Copy a context, with what flags change", .flags = save_flags,
        .arguments = two_names);
COMMAND(edit_command, .name = "edit", .aliases = "vi", .run = edit,
        .help = "Edit a context with $EDITOR", .arguments = one_name);
COMMAND(list_command, .name = "ls", .aliases = "list", .run = list, .help = "List contexts",
        .flags = list_flags,
        .examples = (const cli_example[]){{"pipit context ls", "What is saved? * is selected"},
                                          {NULL, NULL}});
COMMAND(remove_command, .name = "rm", .aliases = "remove delete", .run = remove_one,
        .help = "Remove a context", .flags = remove_flags, .arguments = one_name);
COMMAND(select_command, .name = "select", .aliases = "switch set", .run = select_one,
        .help = "Have a context used by every command that names no other", .arguments = one_name);
COMMAND(unselect_command, .name = "unselect", .run = unselect, .help = "Have none used");
COMMAND(info_command, .name = "info", .aliases = "show", .run = info,
        .help = "Show a context, without its secrets", .flags = connect_flags,
        .arguments = maybe_name);
COMMAND(validate_command, .name = "validate", .run = validate,
        .help = "Check a context, or all of them", .flags = connect_flags, .arguments = maybe_name);

static const cli_command *const commands[] = {
    &save_command,   &copy_command,     &edit_command, &list_command,     &remove_command,
    &select_command, &unselect_command, &info_command, &validate_command, NULL,
};

const cli_command cli_context_command = {
    .name = "context",
    .aliases = "ctx",
    .help = "Saved connections, shared with the nats CLI",
    .text =
        "A context is an address with credentials, saved under a name in the files of the nats "
        "CLI: nats/context/NAME.json in $XDG_CONFIG_HOME or ~/.config. --context names one for a "
        "command; the selected one serves the others. Flags and variables win over it.",
    .commands = commands,
};
