#include "cli/account.h"

#include "cli/connection.h"
#include "cli/fields.h"
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/json_path.h"
#include "cli/memory.h"
#include "cli/say.h"
#include "cli/turn.h"
#include "cli/value.h"

#include <stdlib.h>
#include <string.h>

enum { ASIDE_MS = 1000 };

/* Ask the server about ourselves: what it answers, without what that is wrapped in. NULL: nothing.
 * out_server may be NULL: who has answered. */
static json_t *ask(pipit_client *client, const char *subject, int64_t timeout_ms,
                   json_t **out_server)
{
    pipit_msg *msg = NULL;
    json_t *answer = NULL, *data = NULL;

    if (pipit_client_request(client, subject, NULL, 0, timeout_ms, &msg))
        return NULL;
    answer = cli_json_read(msg->payload, msg->payload_bytes);
    data = json_incref(json_object_get(answer, "data"));
    if (data && out_server)
        *out_server = json_incref(json_object_get(answer, "server"));
    json_decref(answer);
    pipit_msg_free(msg);
    return data;
}

static int64_t time_ping(pipit_client *client, int64_t timeout_ms)
{
    int64_t start = cli_now_ns();

    return pipit_client_flush(client, timeout_ms) ? 0 : cli_now_ns() - start;
}

/* What is known of the account that we are in. All may be NULL but user. */
struct found {
    json_t *user, *server, *numbers;
    int64_t rtt_ns, max_payload;
    const char *url;
};

static void put_list(cli_fields *fields, const char *name, const json_t *from, const char *path)
{
    char *text = cli_json_join(cli_json_at(from, path), ", ");

    if (*text)
        cli_fields_text(fields, name, text);
    free(text);
}

static void show_user(cli_fields *fields, const struct found *found)
{
    char text[CLI_VALUE_BYTES];
    int64_t left_ns = (int64_t)cli_json_count_at(found->user, "expires");

    cli_fields_part(fields, "User");
    cli_fields_at(fields, "User", found->user, "user");
    cli_fields_at(fields, "Name", found->user, "user_name");
    cli_fields_at(fields, "Account", found->user, "account");
    if (strcmp(cli_json_text_at(found->user, "account", NULL),
               cli_json_text_at(found->user, "account_name", NULL)) != 0)
        cli_fields_at(fields, "Name of the account", found->user, "account_name");
    cli_duration_format(left_ns, text);
    cli_fieldsf(fields, "Expires", left_ns ? "in %s" : "never", text);
    cli_fields_part(fields, "Permissions");
    put_list(fields, "Publish", found->user, "permissions.publish.allow");
    put_list(fields, "Never publish", found->user, "permissions.publish.deny");
    put_list(fields, "Subscribe", found->user, "permissions.subscribe.allow");
    put_list(fields, "Never subscribe", found->user, "permissions.subscribe.deny");
}

static void show_server(cli_fields *fields, const struct found *found)
{
    char text[CLI_VALUE_BYTES];

    cli_fields_part(fields, "Server");
    cli_fields_text(fields, "Address", found->url);
    cli_fields_at(fields, "Name", found->server, "name");
    cli_fields_at(fields, "Id", found->server, "id");
    cli_fields_at(fields, "Version", found->server, "ver");
    cli_fields_at(fields, "Cluster", found->server, "cluster");
    cli_duration_format(found->rtt_ns, text);
    cli_fields_text(fields, "RTT", found->rtt_ns ? text : NULL);
    if (found->max_payload > 0)
        cli_fields_size(fields, "Largest payload", (uint64_t)found->max_payload);
    cli_fields_text(fields, "JetStream",
                    cli_json_flag_at(found->server, "jetstream") ? "yes" : "no");
}

static void show_numbers(cli_fields *fields, const json_t *numbers)
{
    const json_t *n = json_array_get(cli_json_at(numbers, "account_statz"), 0);

    cli_fields_part(fields, "The account on this server");
    if (!n)
        return;
    cli_fields_count(fields, "Connections", cli_json_count_at(n, "conns"));
    cli_fields_count(fields, "Leaf nodes", cli_json_count_at(n, "leafnodes"));
    cli_fields_count(fields, "Subscriptions", cli_json_count_at(n, "num_subscriptions"));
    cli_fields_count(fields, "Messages in", cli_json_count_at(n, "received.msgs"));
    cli_fields_count(fields, "Messages out", cli_json_count_at(n, "sent.msgs"));
    cli_fields_size(fields, "Bytes in", cli_json_count_at(n, "received.bytes"));
    cli_fields_size(fields, "Bytes out", cli_json_count_at(n, "sent.bytes"));
    cli_fields_count(fields, "Slow consumers", cli_json_count_at(n, "slow_consumers"));
}

static int show(const cli_call *call, const struct found *found)
{
    cli_fields *fields;
    json_t *all;

    if (!call->globals->json) {
        fields = cli_fields_new();
        show_user(fields, found);
        show_server(fields, found);
        show_numbers(fields, found->numbers);
        cli_fields_print(fields);
        return CLI_DONE;
    }
    all = cli_json_object();
    cli_json_set(all, "user", json_incref(found->user));
    cli_json_set(all, "server", found->server ? json_incref(found->server) : json_null());
    cli_json_set(all, "account", found->numbers ? json_incref(found->numbers) : json_null());
    cli_json_set_count(all, "rtt_ns", (uint64_t)found->rtt_ns);
    cli_json_set_count(all, "max_payload", (uint64_t)found->max_payload);
    return cli_json_print(all);
}

/* The numbers of all that we may see are those of our own account; in the system account all. */
static void keep_own(json_t *numbers, const json_t *user)
{
    json_t *list = json_object_get(numbers, "account_statz");
    const char *own = cli_json_text_at(user, "account", NULL);

    for (size_t i = json_array_size(list); i-- > 0;) {
        if (strcmp(cli_json_text_at(json_array_get(list, i), "acc", NULL), own) != 0)
            (void)json_array_remove(list, i); /* it is there */
    }
}

static int run_info(const cli_call *call)
{
    static const cli_wish wish = {.name = "pipit account"};
    cli_connection connection = {0};
    struct found found = {0};
    int status = cli_connection_open(&connection, call, &wish);

    if (status)
        return status;
    found.rtt_ns = time_ping(connection.client, cli_timeout_ms(call));
    found.max_payload = pipit_client_max_payload(connection.client);
    found.url = connection.url;
    found.user = ask(connection.client, "$SYS.REQ.USER.INFO", cli_timeout_ms(call), &found.server);
    if (found.user) {
        found.numbers = ask(connection.client, "$SYS.REQ.ACCOUNT.PING.STATZ", ASIDE_MS, NULL);
        keep_own(found.numbers, found.user);
        status = show(call, &found);
    } else {
        status = cli_fail(CLI_NO_ANSWER, "the server does not tell its users about themselves, or "
                                         "this one may not ask it ($SYS.REQ.USER.INFO)");
    }
    json_decref(found.user);
    json_decref(found.server);
    json_decref(found.numbers);
    cli_connection_close(&connection);
    return status;
}

static const cli_example examples[] = {
    {"pipit account info", "Who am I here, and what may I do?"},
    {0},
};

static const cli_command info = {
    .name = "info",
    .aliases = "show",
    .help = "Who we are to the server, and what we may do",
    .examples = examples,
    .run = run_info,
};

static const cli_command *const commands[] = {&info, NULL};

const cli_command cli_account_command = {
    .name = "account",
    .aliases = "a",
    .help = "The account that we are in",
    .commands = commands,
};
