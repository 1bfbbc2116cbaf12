/* pipit server account info -- what a server knows of any account. */
#include "cli/fields.h"
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/say.h"
#include "cli/server.h"

#include <stdlib.h>
#include <string.h>

struct options {
    const char *account;
};

static const cli_argument arguments[] = {
    {.name = "ACCOUNT",
     .type = CLI_TEXT,
     .help = "Its name, or of accounts with tokens its public key",
     .offset = offsetof(struct options, account)},
    {0},
};

static const cli_example examples[] = {
    {"pipit server account info APP", "What is exported, imported and mapped there."},
    {0},
};

static void put_flag(cli_fields *fields, const char *name, const json_t *data, const char *path)
{
    cli_fields_text(fields, name, cli_json_flag_at(data, path) ? "yes" : "no");
}

/* A line for each export or import. */
static void put_shares(cli_fields *fields, const char *title, const json_t *list)
{
    json_t *share;
    size_t i;

    cli_fields_part(fields, title);
    json_array_foreach(list, i, share)
    {
        const char *type = cli_json_text_at(share, "type", NULL);
        const char *from = cli_json_text_at(share, "account", NULL);
        char *text = cli_format("%s%s%s", cli_json_text_at(share, "subject", NULL),
                                *from ? " of " : "", from);

        cli_fields_text(fields, strcmp(type, "service") == 0 ? "Service" : "Stream", text);
        free(text);
    }
}

static void put_mappings(cli_fields *fields, const json_t *mappings)
{
    const char *source;
    json_t *list, *to;
    size_t i;

    cli_fields_part(fields, "Mappings");
    json_object_foreach((json_t *)(uintptr_t)mappings, source, list)
    {
        json_array_foreach(list, i, to)
        {
            char *text =
                cli_format("%s to %s, %llu %%", source, cli_json_text_at(to, "subject", NULL),
                           (unsigned long long)cli_json_count_at(to, "weight"));

            cli_fields_text(fields, "Mapping", text);
            free(text);
        }
    }
}

static void show(const json_t *data)
{
    cli_fields *fields = cli_fields_new();

    cli_fields_part(fields, "Account");
    cli_fields_at(fields, "Name", data, "account_name");
    cli_fields_at(fields, "Called", data, "name_tag");
    cli_fields_at(fields, "Issuer", data, "issuer_key");
    cli_fields_at(fields, "Updated", data, "update_time");
    put_flag(fields, "System account", data, "is_system");
    put_flag(fields, "Expired", data, "expired");
    put_flag(fields, "JetStream", data, "jetstream_enabled");
    cli_fields_count(fields, "Connections", cli_json_count_at(data, "client_connections"));
    cli_fields_count(fields, "Leaf nodes", cli_json_count_at(data, "leafnode_connections"));
    cli_fields_count(fields, "Subscriptions", cli_json_count_at(data, "subscriptions"));
    put_shares(fields, "Exports", cli_json_at(data, "exports"));
    put_shares(fields, "Imports", cli_json_at(data, "imports"));
    put_mappings(fields, cli_json_at(data, "mappings"));
    cli_fields_print(fields);
}

static int run(const cli_call *call)
{
    const struct options *options = call->options;
    cli_inquiry *inquiry;
    json_t *answer;
    char *subject;
    int status;

    if (!*options->account || strpbrk(options->account, " \t\r\n.*>"))
        return cli_fail(CLI_USAGE, "accounts are asked for by one token of a subject: no blanks, "
                                   "dots or wildcards");
    inquiry = cli_inquiry_open(call, NULL, &status);
    if (!inquiry)
        return status;
    subject = cli_format("$SYS.REQ.ACCOUNT.%s.INFO", options->account);
    answer = cli_inquiry_send(inquiry, subject, NULL, &status);
    free(subject);
    cli_inquiry_close(inquiry);
    if (!answer)
        return status;
    if (call->globals->json)
        (void)cli_json_print(json_incref(json_object_get(answer, "data")));
    else
        show(cli_json_at(answer, "data"));
    json_decref(answer);
    return CLI_DONE;
}

static const cli_command info = {
    .name = "info",
    .help = "What a server knows of an account",
    .text = "Takes a user of the system account. Who we are ourselves: pipit account info.",
    .arguments = arguments,
    .examples = examples,
    .options_bytes = sizeof(struct options),
    .run = run,
};

static const cli_command *const commands[] = {&info, NULL};

const cli_command cli_server_account = {
    .name = "account",
    .aliases = "acct",
    .help = "Accounts, as servers know them",
    .commands = commands,
};
