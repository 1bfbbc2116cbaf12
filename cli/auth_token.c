/* pipit auth creds, pipit auth token -- what a token says, and whether it is any good. */
#include "cli/auth.h"
#include "cli/fields.h"
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/json_path.h"
#include "cli/memory.h"
#include "cli/moment.h"
#include "cli/say.h"
#include "cli/whole_file.h"
#include "pipit/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TOKEN_FILE_MAX = 2 * 1024 * 1024, WRONG_BYTES = 256 };

struct options {
    const char *file;
};

static const cli_argument creds_arguments[] = {
    {.name = "FILE",
     .type = CLI_FILE,
     .help = "A credentials file: a token and a seed; -: standard input",
     .offset = offsetof(struct options, file)},
    {0},
};

static const cli_argument token_arguments[] = {
    {.name = "FILE",
     .type = CLI_FILE,
     .optional = true,
     .help = "Holds a token (default -, standard input)",
     .offset = offsetof(struct options, file)},
    {0},
};

/* What was found: a token, and for a credentials file the seed's public key. */
struct found {
    pipit_token *token;
    const char *seed_public; /* NULL: no credentials file; "": it has no seed */
};

static bool seed_fits(const struct found *found)
{
    return !found->seed_public || strcmp(found->seed_public, found->token->subject) == 0;
}

static bool is_bearer(const json_t *claims)
{
    return json_is_true(cli_json_at(claims, "nats.bearer_token"));
}

/* A sentence about the seed that is no good; NULL: it is fine. */
static const char *seed_wrong(const struct found *found, const json_t *claims)
{
    if (seed_fits(found) || (!*found->seed_public && is_bearer(claims)))
        return NULL;
    return *found->seed_public ? "the seed is not that of the token's user"
                               : "there is no seed, and the token is none of a bearer";
}

static void show_list(cli_fields *fields, const char *name, const json_t *list)
{
    char *text = cli_json_join(list, ", ");

    if (*text)
        cli_fields_text(fields, name, text);
    free(text);
}

static void show_limit(cli_fields *fields, const char *name, const json_t *value)
{
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        cli_fields_count(fields, name, (uint64_t)json_integer_value(value));
}

static void show_user(cli_fields *fields, const json_t *claims)
{
    cli_fields_part(fields, "Permissions");
    show_list(fields, "Publish", cli_json_at(claims, "nats.pub.allow"));
    show_list(fields, "Never publish", cli_json_at(claims, "nats.pub.deny"));
    show_list(fields, "Subscribe", cli_json_at(claims, "nats.sub.allow"));
    show_list(fields, "Never subscribe", cli_json_at(claims, "nats.sub.deny"));
    show_limit(fields, "Replies to each message", cli_json_at(claims, "nats.resp.max"));
    show_list(fields, "From", cli_json_at(claims, "nats.src"));
    show_list(fields, "By", cli_json_at(claims, "nats.allowed_connection_types"));
    if (is_bearer(claims))
        cli_fields_text(fields, "Bearer", "yes: whoever has the token is the user");
    cli_fields_part(fields, "Limits");
    show_limit(fields, "Subscriptions", cli_json_at(claims, "nats.subs"));
    show_limit(fields, "Payload", cli_json_at(claims, "nats.payload"));
    show_limit(fields, "Data", cli_json_at(claims, "nats.data"));
}

static void show_account(cli_fields *fields, const json_t *claims)
{
    cli_fields_part(fields, "Limits");
    show_limit(fields, "Connections", cli_json_at(claims, "nats.limits.conn"));
    show_limit(fields, "Subscriptions", cli_json_at(claims, "nats.limits.subs"));
    show_limit(fields, "Payload", cli_json_at(claims, "nats.limits.payload"));
    show_limit(fields, "Imports", cli_json_at(claims, "nats.limits.imports"));
    show_limit(fields, "Exports", cli_json_at(claims, "nats.limits.exports"));
}

static void show_issues(cli_fields *fields, const pipit_token *token, const char *wrong_seed)
{
    char *issues = cli_copy(token->issues, strlen(token->issues)), *rest = NULL;

    cli_fields_part(fields, "What is wrong");
    cli_fields_text(fields, "Seed", wrong_seed);
    for (char *line = strtok_r(issues, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        cli_fields_text(fields, "Token", line);
    free(issues);
}

static void show(const struct found *found, const json_t *claims, const char *wrong_seed)
{
    const pipit_token *token = found->token;
    cli_fields *fields = cli_fields_new();
    char *moment;

    cli_fields_part(fields, "Token");
    cli_fields_text(fields, "Type", token->type);
    cli_fields_text(fields, "Name", token->name);
    cli_fields_text(fields, "Subject", token->subject);
    cli_fields_text(fields, "Issuer", token->issuer);
    if (*token->account && strcmp(token->account, token->issuer) != 0)
        cli_fields_text(fields, "Account", token->account);
    moment = cli_moment_show(token->issued_s);
    cli_fields_text(fields, "Issued", token->issued_s ? moment : NULL);
    free(moment);
    moment = cli_moment_show(token->not_before_s);
    cli_fields_text(fields, "Not before", token->not_before_s ? moment : NULL);
    free(moment);
    moment = cli_moment_show(token->expires_s);
    cli_fields_text(fields, "Expires", token->expires_s ? moment : "never");
    free(moment);
    show_list(fields, "Tags", cli_json_at(claims, "nats.tags"));
    if (strcmp(token->type, "user") == 0)
        show_user(fields, claims);
    else if (strcmp(token->type, "account") == 0)
        show_account(fields, claims);
    show_issues(fields, token, wrong_seed);
    cli_fields_print(fields);
}

static json_t *issue_list(const pipit_token *token, const char *wrong_seed)
{
    char *issues = cli_copy(token->issues, strlen(token->issues)), *rest = NULL;
    json_t *list = cli_json_array();

    if (wrong_seed)
        cli_json_append(list, cli_json_text(wrong_seed, strlen(wrong_seed)));
    for (char *line = strtok_r(issues, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        cli_json_append(list, cli_json_text(line, strlen(line)));
    free(issues);
    return list;
}

/* Takes claims. */
static void show_json(const struct found *found, json_t *claims, const char *wrong_seed, bool good)
{
    json_t *all = cli_json_object();

    cli_json_set_flag(all, "valid", good);
    cli_json_set_text(all, "type", found->token->type);
    if (found->seed_public)
        cli_json_set_text(all, "seed_public", found->seed_public);
    cli_json_set(all, "issues", issue_list(found->token, wrong_seed));
    cli_json_set(all, "claims", json_incref(claims));
    (void)cli_json_print(all);
}

static int tell(const cli_call *call, const struct found *found)
{
    const pipit_token *token = found->token;
    json_t *claims = json_loads(token->claims, JSON_ALLOW_NUL, NULL);
    const char *wrong_seed;
    bool good;

    if (!claims)
        cli_out_of_memory(); /* it was written as JSON */
    wrong_seed = seed_wrong(found, claims);
    good = !token->errors && !token->time_checks && !wrong_seed;
    if (call->globals->json)
        show_json(found, claims, wrong_seed, good);
    else
        show(found, claims, wrong_seed);
    json_decref(claims);
    return good ? CLI_DONE : CLI_FAILED;
}

static int run(const cli_call *call, bool creds)
{
    const struct options *options = call->options;
    char wrong[WRONG_BYTES] = "", seed_public[PIPIT_KEY_BYTES] = "";
    struct found found = {.seed_public = creds ? seed_public : NULL};
    size_t bytes;
    char *text = cli_whole_file_read(options->file ? options->file : "-", TOKEN_FILE_MAX, &bytes);
    pipit_err err;
    int status;

    if (!text)
        return CLI_FAILED;
    if (creds)
        err = pipit_credentials_decode(text, bytes, (int64_t)time(NULL), &found.token, seed_public,
                                       wrong, sizeof(wrong));
    else
        err = pipit_token_decode(text, bytes, (int64_t)time(NULL), &found.token, wrong,
                                 sizeof(wrong));
    explicit_bzero(text, bytes);
    free(text);
    if (err)
        return cli_fail(CLI_FAILED, "this is no %s that can be used: %s",
                        creds ? "credentials file" : "token", wrong);
    status = tell(call, &found);
    pipit_token_free(found.token);
    return status;
}

static int run_creds(const cli_call *call)
{
    return run(call, true);
}

static int run_token(const cli_call *call)
{
    return run(call, false);
}

#define EXIT_TEXT                                                                                  \
    "Checks the signature, that the times allow it now, and that what it says makes sense; "       \
    "whether "                                                                                     \
    "a server trusts its issuer is the server's to say. Ends with 0 if nothing is wrong, and "     \
    "with "                                                                                        \
    "1 otherwise."

static const cli_example creds_examples[] = {
    {"pipit auth creds ann.creds", "Is this file good for signing in, until when, and for what?"},
    {0},
};

static const cli_example token_examples[] = {
    {"pipit auth token account.jwt --json", "Everything that a token says."},
    {0},
};

const cli_command cli_auth_creds = {
    .name = "creds",
    .help = "Check a credentials file",
    .text = "Also that the seed in it is that of the user in the token. " EXIT_TEXT,
    .arguments = creds_arguments,
    .examples = creds_examples,
    .options_bytes = sizeof(struct options),
    .offline = true,
    .run = run_creds,
};

const cli_command cli_auth_token = {
    .name = "token",
    .aliases = "jwt",
    .help = "Show what a token (JWT) says",
    .text = EXIT_TEXT,
    .arguments = token_arguments,
    .examples = token_examples,
    .options_bytes = sizeof(struct options),
    .offline = true,
    .run = run_token,
};
