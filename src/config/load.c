#include "config/load.h"

#include "config/document.h"
#include "config/duration.h"
#include "config/reader.h"

#include <inttypes.h>
#include <string.h>
#include <sys/un.h>

#define MEMORY_MIN (16ULL << 20)
/* Source: fanout, wire protocol, section 7. */
#define FANOUT_IDLE_MIN_NS (360 * INT64_C(1000000000))
#define UNIX_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

static pipit_err read_document(pp_options *options, const pp_document *document, const char *name,
                               pp_diagnostics *diagnostics)
{
    pp_reader reader;
    pp_str copy;

    pp_reader_init(&reader, options, diagnostics);
    pp_reader_map(&reader, pp_key_block_find(""), pp_document_root(document), options);
    if (!reader.err)
        pp_reader_finish(&reader);
    if (!reader.err)
        reader.err = pp_arena_copy(&options->arena, pp_str_of(name), &copy);
    if (!reader.err) {
        options->config_file = copy.ptr;
        reader.err = pp_arena_copy(&options->arena, pp_str_of(pp_document_digest(document)), &copy);
    }
    if (reader.err)
        return reader.err;
    options->config_digest = copy.ptr;
    return pp_diagnostics_error_count(diagnostics) ? PIPIT_EINVAL : PIPIT_OK;
}

pipit_err pp_options_load(pp_options *options, const char *path, pp_diagnostics *diagnostics)
{
    pp_document *document;
    pipit_err err = pp_document_read_file(&document, path, diagnostics);

    if (err)
        return err;
    err = read_document(options, document, path, diagnostics);
    pp_document_free(document);
    return err;
}

pipit_err pp_options_load_text(pp_options *options, pp_str text, const char *name,
                               pp_diagnostics *diagnostics)
{
    pp_document *document;
    pipit_err err = pp_document_read_text(&document, text, name, NULL, diagnostics);

    if (err)
        return err;
    err = read_document(options, document, name, diagnostics);
    pp_document_free(document);
    return err;
}

/* --- what must go together ---------------------------------------------------------------- */

struct check {
    const pp_options *o;
    pp_diagnostics *diagnostics;
    pp_config_position at; /* the file, where there is one */
};

#define WRONG(check, ...) pp_diagnostics_error((check)->diagnostics, (check)->at, __VA_ARGS__)

static void check_memory(const struct check *check)
{
    const pp_options *o = check->o;

    if (!o->max_memory_bytes || o->max_memory_bytes == PP_OPTION_NO_LIMIT)
        return;
    if (o->max_memory_bytes < MEMORY_MIN)
        WRONG(check,
              "max_memory (%" PRIu64 " bytes) is too little to work with: give 16MB or more, or 0 "
              "for what the container allows",
              o->max_memory_bytes);
    else if (o->max_payload_bytes > o->max_memory_bytes / 4)
        WRONG(check,
              "max_payload (%" PRIu64 " bytes) is above a quarter of max_memory (%" PRIu64
              " bytes): lower the first or raise the second",
              o->max_payload_bytes, o->max_memory_bytes);
}

static void check_limits(const struct check *check)
{
    const pp_options *o = check->o;
    char grace[PP_DURATION_TEXT_BYTES], duration[PP_DURATION_TEXT_BYTES];

    if (o->lame_duck_grace_period_ns >= o->lame_duck_duration_ns)
        WRONG(check,
              "lame_duck_grace_period (%s) is not below lame_duck_duration (%s): lower the "
              "first or raise the second",
              pp_duration_format(grace, o->lame_duck_grace_period_ns),
              pp_duration_format(duration, o->lame_duck_duration_ns));
    if (o->max_payload_bytes > o->max_pending_bytes)
        WRONG(check,
              "max_payload (%" PRIu64 " bytes) is above max_pending (%" PRIu64
              " bytes): lower the first or raise the second",
              o->max_payload_bytes, o->max_pending_bytes);
    if (o->server_name && strchr(o->server_name, ' '))
        WRONG(check, "server_name cannot contain spaces: take \"%.100s\" without them",
              o->server_name);
    if (o->unix_path && strlen(o->unix_path) > UNIX_PATH_MAX)
        WRONG(check, "unix names a path of %zu bytes, but sockets take %zu: give a shorter one",
              strlen(o->unix_path), UNIX_PATH_MAX);
}

static void check_tls(const struct check *check)
{
    const pp_options *o = check->o;

    if (o->http_port && o->https_port)
        WRONG(check, "can't specify both HTTP (%d) and HTTPs (%d) ports", o->http_port,
              o->https_port);
    if (o->https_port && !o->tls.given)
        WRONG(check, "TLS cert and key required for HTTPS");
}

static bool is_user(const pp_options *o, const char *name)
{
    for (size_t a = 0; a < o->account_count; a++) {
        for (size_t i = 0; i < o->accounts[a].user_count; i++) {
            const pp_user_options *user = &o->accounts[a].users[i];

            if (strcmp(user->name, name) == 0 || (user->nkey && strcmp(user->nkey, name) == 0))
                return true;
        }
    }
    return false;
}

static void check_users(const struct check *check)
{
    const pp_options *o = check->o;

    if (o->pass && !o->user)
        WRONG(check, "a password without a user protects nothing: give both");
    if (o->user_count && (o->user || o->auth_token))
        WRONG(check, "a single user or token cannot stand beside users: leave one of them out");
    if (o->http_password && !o->http_user)
        WRONG(check, "http_password without http_user protects nothing: give both");
    if (o->http_user && !o->http_password)
        WRONG(check, "http_user has no http_password: give both");
    if (o->http_password && pp_secret_is_bcrypt(pp_str_of(o->http_password)))
        WRONG(check, "http_password is a bcrypt hash: give the password itself");
    if (o->http_user && strchr(o->http_user, ':'))
        WRONG(check, "http_user cannot hold a colon");
    if (o->no_auth_user && !o->user_count)
        WRONG(check, "no_auth_user: \"%.200s\" present, but users/nkeys are not defined",
              o->no_auth_user);
    else if (o->no_auth_user && !is_user(o, o->no_auth_user))
        WRONG(check,
              "no_auth_user: \"%.200s\" not present as user or nkey in authorization block "
              "or account configuration",
              o->no_auth_user);
}

static void check_websocket(const struct check *check)
{
    const pp_options *o = check->o;
    const pp_websocket_options *ws = &o->websocket;

    if (!ws->port)
        return;
    if (!ws->no_tls && !ws->tls.given)
        WRONG(check, "websocket requires TLS configuration");
    if (o->user_count && ws->user)
        WRONG(check,
              "websocket authentication username not compatible with presence of users/nkeys");
    if (o->user_count && ws->token)
        WRONG(check, "websocket authentication token not compatible with presence of users/nkeys");
    if (ws->pass && !ws->user)
        WRONG(check, "websocket: a password without a user protects nothing: give both");
    if (ws->no_auth_user && !is_user(o, ws->no_auth_user))
        WRONG(check,
              "websocket no_auth_user: \"%.200s\" not present as user or nkey in authorization "
              "block or account configuration",
              ws->no_auth_user);
    if (ws->jwt_cookie && !o->operator_count && !o->trusted_key_count)
        WRONG(check,
              "trusted operators or trusted keys configuration is required for JWT authentication "
              "via cookie \"%.100s\"",
              ws->jwt_cookie);
}

static bool is_account(const pp_options *o, const char *name)
{
    for (size_t i = 0; i < o->account_count; i++) {
        if (strcmp(o->accounts[i].name, name) == 0)
            return true;
    }
    return false;
}

static void check_t2(const struct check *check)
{
    const pp_t2_options *t2 = &check->o->t2;

    for (size_t i = 0; i < t2->listen_count; i++) {
        if (t2->listens[i].by != PP_T2_TLS)
            continue;
        if (!t2->tls.given)
            WRONG(check, "t2: \"tls:%.100s\" needs a tls block", t2->listens[i].where);
        else if (!t2->tls.verify)
            WRONG(check, "t2: clients by TLS must show a certificate: say verify: true in its tls");
    }
    if (t2->listen_count && !is_account(check->o, t2->account))
        WRONG(check, "t2: there is no account \"%.200s\"", t2->account);
}

static void check_fanout(const struct check *check)
{
    const pp_options *o = check->o;
    const pp_fanout_options *fanout = &o->fanout;

    if (!fanout->port)
        return;
    if (fanout->account && fanout->user)
        WRONG(check, "fanout: a user brings its account with it: leave account or user out");
    if (fanout->account && !is_account(o, fanout->account))
        WRONG(check, "fanout: there is no account \"%.200s\"", fanout->account);
    if (fanout->user && !is_user(o, fanout->user))
        WRONG(check, "fanout: there is no user \"%.200s\"", fanout->user);
    if (fanout->idle_timeout_ns && fanout->idle_timeout_ns < FANOUT_IDLE_MIN_NS)
        WRONG(check, "fanout: idle_timeout is below 6m: clients say nothing for 5m and then ping");
    if (fanout->max_channel_name >= fanout->max_line_bytes)
        WRONG(check, "fanout: no line of max_line can hold a name of max_channel_name");
}

static void check_message_broker(const struct check *check)
{
    const pp_options *o = check->o;

    if (o->message_broker.port && !is_account(o, o->message_broker.account))
        WRONG(check, "message_broker: there is no account \"%.200s\"", o->message_broker.account);
}

static void check_system_account(const struct check *check)
{
    const pp_options *o = check->o;

    if (!o->system_account || strcmp(o->system_account, "$SYS") == 0)
        return;
    if (o->operator_count || o->trusted_key_count)
        return; /* a key, which a resolver knows */
    if (!is_account(o, o->system_account))
        WRONG(check, "system_account: there is no account \"%.200s\"", o->system_account);
}

/* Source: NATS configuration, section 4. */
static void check_operators(const struct check *check)
{
    const pp_options *o = check->o;

    if (!o->operator_count && !o->trusted_key_count) {
        if (o->default_sentinel)
            WRONG(check, "default sentinel requires operators and accounts");
        return;
    }
    if (o->operator_count && o->trusted_key_count)
        WRONG(check, "conflicting options for 'TrustedKeys' and 'TrustedOperators'");
    if (o->account_count > 1)
        WRONG(check, "operators do not allow Accounts to be configured directly");
    if (o->user_count || o->user || o->auth_token)
        WRONG(check, "operators do not allow users to be configured directly");
    if (o->callout.configured)
        WRONG(check, "operators do not allow authorization callouts to be configured directly");
    if (o->no_auth_user)
        WRONG(check, "no_auth_user not compatible with Trusted Operator");
}

pipit_err pp_options_check(const pp_options *options, pp_diagnostics *diagnostics)
{
    struct check check = {options, diagnostics, {options->config_file, 0, 0}};
    size_t before = pp_diagnostics_error_count(diagnostics);

    check_limits(&check);
    check_memory(&check);
    check_tls(&check);
    check_users(&check);
    check_websocket(&check);
    check_t2(&check);
    check_fanout(&check);
    check_message_broker(&check);
    check_system_account(&check);
    check_operators(&check);
    return pp_diagnostics_error_count(diagnostics) > before ? PIPIT_EINVAL : PIPIT_OK;
}
