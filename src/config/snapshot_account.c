#include "config/snapshot_inside.h"

#include "config/duration.h"

#include <inttypes.h>
#include <string.h>

#define SAMPLING "msg_trace.sampling"

static void begin_account_line(pp_snapshot_writer *w, const pp_account_options *account,
                               const char *what)
{
    pp_snapshot_add(w, &w->path, "accounts/");
    pp_snapshot_add_escaped(w, &w->path, account->name);
    pp_snapshot_add(w, &w->path, what);
}

static void write_rules(pp_snapshot_writer *w, const char *name, bool has,
                        const pp_rule_option *rules, size_t count)
{
    if (!has)
        return;
    pp_snapshot_add(w, &w->text, w->text.len ? " " : "");
    pp_snapshot_add(w, &w->text, name);
    for (size_t i = 0; i < count; i++) {
        pp_snapshot_add(w, &w->text, i ? "," : "=");
        pp_snapshot_add_escaped(w, &w->text, rules[i].subject.ptr);
        if (rules[i].queue.len) {
            pp_snapshot_add(w, &w->text, "/");
            pp_snapshot_add_escaped(w, &w->text, rules[i].queue.ptr);
        }
    }
}

/* Defaults are written as what they stand for, so that to spell them out is no change. */
static void write_responses(pp_snapshot_writer *w, const pp_responses_option *responses)
{
    char ttl[PP_DURATION_TEXT_BYTES];

    if (!responses->allowed || w->err)
        return;
    w->err = pp_buf_addf(
        &w->text, "%sresponses=%" PRId32 ",%s", w->text.len ? " " : "",
        responses->max ? responses->max : 1,
        pp_duration_format(ttl, responses->ttl_ns ? responses->ttl_ns : 120 * INT64_C(1000000000)));
}

static void write_permissions(pp_snapshot_writer *w, const pp_permission_options *permissions)
{
    const pp_rules_option *publish = &permissions->publish, *subscribe = &permissions->subscribe;

    write_rules(w, "publish", publish->has_allow, publish->allow, publish->allow_count);
    write_rules(w, "publish-deny", publish->deny_count, publish->deny, publish->deny_count);
    write_rules(w, "subscribe", subscribe->has_allow, subscribe->allow, subscribe->allow_count);
    write_rules(w, "subscribe-deny", subscribe->deny_count, subscribe->deny, subscribe->deny_count);
    write_responses(w, &permissions->responses);
}

/* A user is one hash of all that it is. */
static void write_user(pp_snapshot_writer *w, const pp_account_options *account,
                       const pp_user_options *user)
{
    const int64_t facts[] = {user->connection_types, user->slow_consumer, user->permissions != NULL,
                             user->proxy_required,   user->uid,           user->gid};
    crypto_auth_hmacsha512256_state state;

    begin_account_line(w, account, "/users/");
    pp_snapshot_add_escaped(w, &w->path, user->nkey ? user->nkey : user->name);
    if (user->permissions)
        write_permissions(w, user->permissions);
    pp_snapshot_begin_hash(w, &state);
    pp_snapshot_hash_piece(&state, user->password, strlen(user->password));
    pp_snapshot_hash_piece(&state, facts, sizeof(facts));
    pp_snapshot_hash_piece(&state, w->text.ptr, w->text.len);
    pp_snapshot_end_hash(w, &state);
    pp_snapshot_end_line(w, true);
}

static void write_mapping(pp_snapshot_writer *w, const pp_account_options *account,
                          const pp_mapping_option *mapping)
{
    begin_account_line(w, account, "/mappings/");
    pp_snapshot_add_escaped(w, &w->path, mapping->source);
    for (size_t i = 0; i < mapping->destination_count && !w->err; i++) {
        const pp_destination_option *to = &mapping->destinations[i];

        pp_snapshot_add(w, &w->text, i ? " " : "");
        pp_snapshot_add_escaped(w, &w->text, to->subject);
        if (!w->err)
            w->err = pp_buf_addf(&w->text, ":%" PRIu32 "%%", to->weight);
        pp_snapshot_add(w, &w->text, to->cluster ? "@" : "");
        pp_snapshot_add_escaped(w, &w->text, to->cluster ? to->cluster : "");
    }
    pp_snapshot_end_line(w, false);
}

/* Does a key of an account say what it says of others? */
static bool is_usual(pp_snapshot_writer *w, const pp_key *key, const pp_account_options *account)
{
    const pp_account_options none = pp_account_options_none("");
    bool usual;

    w->record.len = w->text.len = 0;
    w->err = pp_key_format(key, account, &w->text);
    if (!w->err)
        w->err = pp_key_format(key, &none, &w->record);
    usual = pp_str_eq(pp_buf_str(&w->text), pp_buf_str(&w->record));
    w->text.len = 0;
    return usual;
}

static void write_block(pp_snapshot_writer *w, const pp_account_options *account, const char *name)
{
    const pp_key_block *block = pp_key_block_find(name);

    for (size_t i = 0; i < block->count && !w->err; i++) {
        const pp_key *key = &block->keys[i];

        if (key->type == PP_KEY_OTHER || key->offset == PP_KEY_NO_FIELD ||
            is_usual(w, key, account))
            continue;
        begin_account_line(w, account, "/");
        pp_snapshot_add(w, &w->path, name);
        pp_snapshot_add(w, &w->path, ".");
        pp_snapshot_write_key(w, key, account);
    }
}

/* Which of two wildcards comes first matters, so the order counts beside the mappings. */
static void write_mappings(pp_snapshot_writer *w, const pp_account_options *account)
{
    crypto_auth_hmacsha512256_state state;

    if (!account->mapping_count)
        return;
    pp_snapshot_begin_hash(w, &state);
    for (size_t i = 0; i < account->mapping_count; i++)
        pp_snapshot_hash_piece(&state, account->mappings[i].source,
                               strlen(account->mappings[i].source));
    begin_account_line(w, account, "/mappings");
    pp_snapshot_end_hash(w, &state);
    pp_snapshot_end_line(w, true);
    for (size_t i = 0; i < account->mapping_count && !w->err; i++)
        write_mapping(w, account, &account->mappings[i]);
}

/* What passes between accounts is one text per account and direction: few look at it, and only at
 * whether it has changed. */
static void add_optional(pp_snapshot_writer *w, const char *name, const char *text)
{
    if (!text)
        return;
    pp_snapshot_add(w, &w->text, name);
    pp_snapshot_add_escaped(w, &w->text, text);
}

static void write_export(pp_snapshot_writer *w, const pp_export_option *export)
{
    pp_snapshot_add(w, &w->text, w->text.len ? " " : "");
    add_optional(w, export->is_service ? "service=" : "stream=", export->subject);
    for (size_t i = 0; i < export->account_count; i++)
        add_optional(w, i ? "," : " for=", export->accounts[i]);
    if (export->latency_subject)
        add_optional(w, " latency=", export->latency_subject);
    if (!w->err)
        w->err = pp_buf_addf(&w->text, ":%" PRIu32 ":%d:%" PRId64 ":%" PRIu32 ":%d",
                             export->account_token_position, (int)export->response_type,
                             export->response_threshold_ns, export->latency_sampling,
                             export->allow_trace);
}

static void write_import(pp_snapshot_writer *w, const pp_import_option *import)
{
    pp_snapshot_add(w, &w->text, w->text.len ? " " : "");
    add_optional(w, import->is_service ? "service=" : "stream=", import->subject);
    add_optional(w, "@", import->account);
    add_optional(w, " to=", import->local);
    add_optional(w, " prefix=", import->prefix);
    if (!w->err)
        w->err = pp_buf_addf(&w->text, ":%d:%d", import->share, import->allow_trace);
}

static void write_passages(pp_snapshot_writer *w, const pp_account_options *account)
{
    if (account->export_count) {
        begin_account_line(w, account, "/exports");
        for (size_t i = 0; i < account->export_count && !w->err; i++)
            write_export(w, &account->exports[i]);
        pp_snapshot_end_line(w, false);
    }
    if (account->import_count) {
        begin_account_line(w, account, "/imports");
        for (size_t i = 0; i < account->import_count && !w->err; i++)
            write_import(w, &account->imports[i]);
        pp_snapshot_end_line(w, false);
    }
}

static void write_default_permissions(pp_snapshot_writer *w, const pp_account_options *account)
{
    if (!account->default_permissions)
        return;
    begin_account_line(w, account, "/default_permissions");
    write_permissions(w, account->default_permissions);
    pp_snapshot_add(w, &w->text, w->text.len ? "" : "all");
    pp_snapshot_end_line(w, false);
}

static void write_sampling(pp_snapshot_writer *w, const pp_account_options *account)
{
    if (account->trace_sampling == PP_TRACE_SAMPLING_USUAL)
        return;
    begin_account_line(w, account, "/" SAMPLING);
    if (!w->err)
        w->err = pp_buf_addf(&w->text, "%" PRIu32, account->trace_sampling);
    pp_snapshot_end_line(w, false);
}

void pp_snapshot_write_account(pp_snapshot_writer *w, const pp_account_options *account)
{
    begin_account_line(w, account, "");
    pp_snapshot_add(w, &w->text, "defined");
    pp_snapshot_end_line(w, false);
    write_default_permissions(w, account);
    write_block(w, account, "limits");
    write_block(w, account, "msg_trace");
    write_sampling(w, account);
    for (size_t i = 0; i < account->user_count && !w->err; i++)
        write_user(w, account, &account->users[i]);
    write_mappings(w, account);
    write_passages(w, account);
}

pipit_err pp_snapshot_usual(const char *path, pp_buf *out)
{
    const pp_account_options none = pp_account_options_none("");
    const char *name = strrchr(path, '/'), *dot = name ? strchr(name, '.') : NULL;
    char block_name[32];
    const pp_key_block *block;
    const pp_key *key;

    if (!dot || (size_t)(dot - name) > sizeof(block_name))
        return PIPIT_OK; /* nothing */
    if (strcmp(name + 1, SAMPLING) == 0)
        return pp_buf_addf(out, "%d", PP_TRACE_SAMPLING_USUAL);
    memcpy(block_name, name + 1, (size_t)(dot - name - 1));
    block_name[dot - name - 1] = '\0';
    block = pp_key_block_find(block_name);
    key = block ? pp_key_find(block, pp_str_of(dot + 1)) : NULL;
    return key && key->type != PP_KEY_OTHER && key->offset != PP_KEY_NO_FIELD
               ? pp_key_format(key, &none, out)
               : PIPIT_OK;
}
