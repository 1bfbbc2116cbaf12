#include "config/snapshot.h"

#include "base/alloc.h"
#include "config/duration.h"
#include "config/key.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLING "msg_trace.sampling"
#define FILE_HEAD "pipit-options 2 "

enum {
    SNAPSHOT_BYTES_MAX = 512 * 1024 * 1024,
    TEXT_MAX = 64 * 1024 * 1024, /* of one line: an account's permissions */
    RECORD_MAX = 5 * TEXT_MAX,   /* with what cannot be printed written out */
    HASH_BYTES = 16,
    HASH_TEXT_BYTES = 24, /* base64, closed by NUL */
    LINES_AT_START = 256,
};

/* Lines being written, one text after another in a buffer that is used again for each. */
struct writer {
    pp_snapshot *snapshot;
    size_t cap; /* of its records */
    pp_buf path;
    pp_buf text;
    pp_buf record;
    pipit_err err;
};

/* --- texts -------------------------------------------------------------------------------- */

static void add(struct writer *w, pp_buf *out, const char *text)
{
    if (!w->err)
        w->err = pp_buf_add(out, text, strlen(text));
}

/* Names may hold anything; a path has its slashes to itself and is one field of one line. */
static void add_escaped(struct writer *w, pp_buf *out, const char *text)
{
    for (; *text && !w->err; text++) {
        unsigned char c = (unsigned char)*text;

        if (c <= ' ' || c == '/' || c == '\\' || c == 0x7F)
            w->err = pp_buf_addf(out, "\\x%02x", c);
        else
            w->err = pp_buf_add(out, text, 1);
    }
}

static void hash_piece(crypto_generichash_state *state, const void *bytes, size_t len)
{
    uint64_t length = len; /* so that no two lists of pieces look alike */

    (void)crypto_generichash_update(state, (const unsigned char *)&length, sizeof(length));
    if (len)
        (void)crypto_generichash_update(state, bytes, len);
}

static void begin_hash(struct writer *w, crypto_generichash_state *state)
{
    (void)crypto_generichash_init(state, w->snapshot->salt, sizeof(w->snapshot->salt), HASH_BYTES);
}

/* Leave the hash in w->text. */
static void end_hash(struct writer *w, crypto_generichash_state *state)
{
    uint8_t hash[HASH_BYTES];
    char text[HASH_TEXT_BYTES];

    (void)crypto_generichash_final(state, hash, sizeof(hash));
    (void)sodium_bin2base64(text, sizeof(text), hash, sizeof(hash),
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    w->text.len = 0;
    add(w, &w->text, text);
}

/* A line of a file is one line, whatever was given. */
static pipit_err add_printable(pp_buf *out, const pp_buf *text)
{
    pipit_err err = PIPIT_OK;

    for (size_t i = 0; i < text->len && !err; i++) {
        unsigned char c = (unsigned char)text->ptr[i];

        err = c < ' ' || c == 0x7F ? pp_buf_addf(out, "\\x%02x", c)
                                   : pp_buf_add(out, text->ptr + i, 1);
    }
    return err;
}

static pipit_err add_record(pp_snapshot *snapshot, size_t *cap, pp_str record)
{
    pp_str copy;
    pipit_err err;

    if (snapshot->count == *cap) {
        size_t grown = *cap ? 2 * *cap : LINES_AT_START;
        const char **records = pp_realloc(snapshot->records, grown * sizeof(*records));

        if (!records)
            return PIPIT_ENOMEM;
        snapshot->records = records;
        *cap = grown;
    }
    err = pp_arena_copy(&snapshot->arena, record, &copy);
    if (!err)
        snapshot->records[snapshot->count++] = copy.ptr;
    return err;
}

/* Add the line of w->path and w->text; both begin anew afterwards. A record is a character that
 * tells whether the text is a hash, the path and the text, each of which ends with a NUL. */
static void end_line(struct writer *w, bool hashed)
{
    w->record.len = 0;
    add(w, &w->record, hashed ? "#" : "=");
    if (!w->err)
        w->err = pp_buf_add(&w->record, w->path.ptr, w->path.len);
    if (!w->err)
        w->err = pp_buf_add(&w->record, "", 1);
    if (!w->err)
        w->err = add_printable(&w->record, &w->text);
    if (!w->err)
        w->err = add_record(w->snapshot, &w->cap, pp_buf_str(&w->record));
    w->path.len = w->text.len = 0;
}

/* --- scalars ------------------------------------------------------------------------------ */

/* A URL that names a user is as secret as a password; what is no URL at all may be one. */
static bool is_secret(const pp_key *key, pp_str text)
{
    return key->type == PP_KEY_SECRET ||
           (key->type == PP_KEY_URL && text.len &&
            (memchr(text.ptr, '@', text.len) || !memchr(text.ptr, ':', text.len)));
}

static void write_key(struct writer *w, const pp_key *key, const void *base)
{
    bool hashed;

    if (!w->err)
        w->err = pp_buf_addf(&w->path, "%.*s", PP_STR_ARGS(pp_key_name(key)));
    if (!w->err)
        w->err = pp_key_format(key, base, &w->text);
    hashed = is_secret(key, pp_buf_str(&w->text));
    if (hashed && w->text.len) {
        crypto_generichash_state state;

        begin_hash(w, &state);
        hash_piece(&state, w->text.ptr, w->text.len);
        explicit_bzero(w->text.ptr, w->text.len);
        end_hash(w, &state);
    }
    end_line(w, hashed);
}

static void write_texts(struct writer *w, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add(w, &w->text, i ? " " : "");
        add_escaped(w, &w->text, texts[i]);
    }
}

/* What no type of its own says. */
static void write_tls_value(struct writer *w, const pp_key *key, const pp_tls_options *o)
{
    char text[PP_DURATION_TEXT_BYTES];

    if (key->offset == offsetof(pp_tls_options, ciphers))
        write_texts(w, o->ciphers, o->cipher_count);
    else if (key->offset == offsetof(pp_tls_options, curves))
        write_texts(w, o->curves, o->curve_count);
    else if (key->offset == offsetof(pp_tls_options, pinned))
        write_texts(w, o->pinned, o->pinned_count);
    else if (key->offset == offsetof(pp_tls_options, min_version))
        add(w, &w->text, o->min_version == 13 ? "1.3" : "1.2");
    else if (key->offset == offsetof(pp_tls_options, first_ns))
        add(w, &w->text,
            o->first_ns == PP_TLS_FIRST_OFF  ? "off"
            : o->first_ns == PP_TLS_FIRST_ON ? "on"
                                             : pp_duration_format(text, o->first_ns));
    for (size_t i = 0; i < o->pair_count && key->offset == offsetof(pp_tls_options, pairs); i++) {
        add(w, &w->text, i ? " " : "");
        add_escaped(w, &w->text, o->pairs[i].cert_file);
        add(w, &w->text, ",");
        add_escaped(w, &w->text, o->pairs[i].key_file);
    }
}

static void write_tls(struct writer *w, const char *block_name, pp_str name,
                      const pp_tls_options *o)
{
    const pp_key_block *block = pp_key_block_find("tls");
    pp_key given = {.names = "", .type = PP_KEY_SWITCH, .offset = offsetof(pp_tls_options, given)};

    for (size_t i = 0; i <= block->count; i++) {
        const pp_key *key = i < block->count ? &block->keys[i] : &given;

        if (key->offset == PP_KEY_NO_FIELD)
            continue;
        if (!w->err)
            w->err = pp_buf_addf(&w->path, "%s%s%.*s%s", block_name, *block_name ? "." : "",
                                 PP_STR_ARGS(name), *key->names ? "." : "");
        if (key->type != PP_KEY_OTHER) {
            write_key(w, key, o);
            continue;
        }
        if (!w->err)
            w->err = pp_buf_addf(&w->path, "%.*s", PP_STR_ARGS(pp_key_name(key)));
        write_tls_value(w, key, o);
        end_line(w, false);
    }
}

static void write_scalars(struct writer *w, const pp_options *options)
{
    for (size_t b = 0; b < pp_served_block_count; b++) {
        const pp_key_block *block = &pp_served_blocks[b];

        for (size_t i = 0; block->in_options && i < block->count; i++) {
            const pp_key *key = &block->keys[i];

            if (key->offset != PP_KEY_NO_FIELD && key->block && strcmp(key->block, "tls") == 0)
                write_tls(w, block->name, pp_key_name(key),
                          (const pp_tls_options *)((const char *)options + key->offset));
            if (key->type == PP_KEY_OTHER || key->offset == PP_KEY_NO_FIELD)
                continue;
            add(w, &w->path, block->name);
            add(w, &w->path, *block->name ? "." : "");
            write_key(w, key, options);
        }
    }
}

static void write_list(struct writer *w, const char *path, const char *const *texts, size_t count)
{
    add(w, &w->path, path);
    for (size_t i = 0; i < count; i++) {
        add(w, &w->text, i ? " " : "");
        add_escaped(w, &w->text, texts[i]);
    }
    end_line(w, false);
}

static void write_labels(struct writer *w, const pp_options *o)
{
    add(w, &w->path, "server_tags");
    for (size_t i = 0; i < o->server_tag_count; i++) {
        add(w, &w->text, i ? " " : "");
        add_escaped(w, &w->text, o->server_tags[i]);
    }
    end_line(w, false);
    add(w, &w->path, "server_metadata");
    for (size_t i = 0; i < o->server_metadata_count; i++) {
        add(w, &w->text, i ? " " : "");
        add_escaped(w, &w->text, o->server_metadata[i].key);
        add(w, &w->text, "=");
        add_escaped(w, &w->text, o->server_metadata[i].value);
    }
    end_line(w, false);
    write_list(w, "auth_callout.auth_users", o->callout.auth_users, o->callout.auth_user_count);
    write_list(w, "auth_callout.allowed_accounts", o->callout.allowed_accounts,
               o->callout.allowed_account_count);
    add(w, &w->path, "ocsp.mode");
    add(w, &w->text, pp_ocsp_mode_text(o->ocsp_mode));
    end_line(w, false);
    write_list(w, "ocsp.urls", o->ocsp_urls, o->ocsp_url_count);
    add(w, &w->path, "proxies.trusted");
    for (size_t i = 0; i < o->trusted_proxy_count; i++) {
        add(w, &w->text, i ? " " : "");
        add_escaped(w, &w->text, o->trusted_proxies[i]);
    }
    end_line(w, false);
}

/* --- operator mode ------------------------------------------------------------------------ */

/* A hash of texts, which may be long; nothing for none. */
static void write_hashed(struct writer *w, const char *path, const char *const *texts, size_t count)
{
    crypto_generichash_state state;

    add(w, &w->path, path);
    if (count) {
        begin_hash(w, &state);
        for (size_t i = 0; i < count; i++)
            hash_piece(&state, texts[i], strlen(texts[i]));
        end_hash(w, &state);
    }
    end_line(w, true);
}

static void write_operators(struct writer *w, const pp_options *o)
{
    crypto_generichash_state state;

    write_hashed(w, "operator", o->operators, o->operator_count);
    write_hashed(w, "trusted_keys", o->trusted_keys, o->trusted_key_count);
    write_hashed(w, "resolver_pinned_accounts", o->pinned_accounts, o->pinned_account_count);
    write_hashed(w, "resolver", &o->resolver_url, o->resolver_url ? 1 : 0);
    add(w, &w->path, "resolver_preload");
    if (o->resolver_preload_count) {
        begin_hash(w, &state);
        for (size_t i = 0; i < o->resolver_preload_count; i++) {
            const pp_pair_option *pair = &o->resolver_preload[i];

            hash_piece(&state, pair->key, strlen(pair->key));
            hash_piece(&state, pair->value, strlen(pair->value));
        }
        end_hash(w, &state);
    }
    end_line(w, true);
}

/* --- WebSocket ---------------------------------------------------------------------------- */

static void write_websocket(struct writer *w, const pp_websocket_options *o)
{
    add(w, &w->path, "websocket.advertise");
    if (o->advertise_host)
        add_escaped(w, &w->text, o->advertise_host);
    if (o->advertise_port && !w->err)
        w->err = pp_buf_addf(&w->text, ":%u", o->advertise_port);
    end_line(w, false);
    add(w, &w->path, "websocket.allowed_origins");
    for (size_t i = 0; i < o->origin_count; i++) {
        add(w, &w->text, i ? " " : "");
        add_escaped(w, &w->text, o->origins[i]);
    }
    end_line(w, false);
    add(w, &w->path, "websocket.headers");
    for (size_t i = 0; i < o->header_count; i++) {
        add(w, &w->text, i ? " " : "");
        add_escaped(w, &w->text, o->headers[i].key);
        add(w, &w->text, "=");
        add_escaped(w, &w->text, o->headers[i].value);
    }
    end_line(w, false);
}

/* --- T2 Bus ------------------------------------------------------------------------------- */

static void write_t2(struct writer *w, const pp_t2_options *o)
{
    static const char *const schemes[] = {
        [PP_T2_TCP] = "tcp", [PP_T2_UNIX] = "unix", [PP_T2_TLS] = "tls", [PP_T2_MEMORY] = "memory"};

    add(w, &w->path, "t2.listen");
    for (size_t i = 0; i < o->listen_count; i++) {
        const pp_t2_listen_option *listen = &o->listens[i];

        if (!w->err)
            w->err = pp_buf_addf(&w->text, "%s%s:", i ? " " : "", schemes[listen->by]);
        add_escaped(w, &w->text, listen->where);
        if ((listen->by == PP_T2_TCP || listen->by == PP_T2_TLS) && !w->err)
            w->err = pp_buf_addf(&w->text, ":%d", listen->port);
    }
    end_line(w, false);
}

/* --- fanout ------------------------------------------------------------------------------- */

static void write_fanout(struct writer *w, const pp_fanout_options *o)
{
    write_list(w, "fanout.allow", o->allow, o->allow_count);
}

/* --- accounts ----------------------------------------------------------------------------- */

static void begin_account_line(struct writer *w, const pp_account_options *account,
                               const char *what)
{
    add(w, &w->path, "accounts/");
    add_escaped(w, &w->path, account->name);
    add(w, &w->path, what);
}

static void write_rules(struct writer *w, const char *name, bool has, const pp_rule_option *rules,
                        size_t count)
{
    if (!has)
        return;
    add(w, &w->text, w->text.len ? " " : "");
    add(w, &w->text, name);
    for (size_t i = 0; i < count; i++) {
        add(w, &w->text, i ? "," : "=");
        add_escaped(w, &w->text, rules[i].subject.ptr);
        if (rules[i].queue.len) {
            add(w, &w->text, "/");
            add_escaped(w, &w->text, rules[i].queue.ptr);
        }
    }
}

/* Defaults are written as what they stand for, so that to spell them out is no change. */
static void write_responses(struct writer *w, const pp_responses_option *responses)
{
    char ttl[PP_DURATION_TEXT_BYTES];

    if (!responses->allowed || w->err)
        return;
    w->err = pp_buf_addf(
        &w->text, "%sresponses=%" PRId32 ",%s", w->text.len ? " " : "",
        responses->max ? responses->max : 1,
        pp_duration_format(ttl, responses->ttl_ns ? responses->ttl_ns : 120 * INT64_C(1000000000)));
}

static void write_permissions(struct writer *w, const pp_permission_options *permissions)
{
    const pp_rules_option *publish = &permissions->publish, *subscribe = &permissions->subscribe;

    write_rules(w, "publish", publish->has_allow, publish->allow, publish->allow_count);
    write_rules(w, "publish-deny", publish->deny_count, publish->deny, publish->deny_count);
    write_rules(w, "subscribe", subscribe->has_allow, subscribe->allow, subscribe->allow_count);
    write_rules(w, "subscribe-deny", subscribe->deny_count, subscribe->deny, subscribe->deny_count);
    write_responses(w, &permissions->responses);
}

/* A user is one hash of all that it is. */
static void write_user(struct writer *w, const pp_account_options *account,
                       const pp_user_options *user)
{
    const int64_t facts[] = {user->connection_types, user->slow_consumer, user->permissions != NULL,
                             user->proxy_required,   user->uid,           user->gid};
    crypto_generichash_state state;

    begin_account_line(w, account, "/users/");
    add_escaped(w, &w->path, user->nkey ? user->nkey : user->name);
    if (user->permissions)
        write_permissions(w, user->permissions);
    begin_hash(w, &state);
    hash_piece(&state, user->password, strlen(user->password));
    hash_piece(&state, facts, sizeof(facts));
    hash_piece(&state, w->text.ptr, w->text.len);
    end_hash(w, &state);
    end_line(w, true);
}

static void write_mapping(struct writer *w, const pp_account_options *account,
                          const pp_mapping_option *mapping)
{
    begin_account_line(w, account, "/mappings/");
    add_escaped(w, &w->path, mapping->source);
    for (size_t i = 0; i < mapping->destination_count && !w->err; i++) {
        const pp_destination_option *to = &mapping->destinations[i];

        add(w, &w->text, i ? " " : "");
        add_escaped(w, &w->text, to->subject);
        if (!w->err)
            w->err = pp_buf_addf(&w->text, ":%" PRIu32 "%%", to->weight);
        add(w, &w->text, to->cluster ? "@" : "");
        add_escaped(w, &w->text, to->cluster ? to->cluster : "");
    }
    end_line(w, false);
}

/* Does a key of an account say what it says of others? */
static bool is_usual(struct writer *w, const pp_key *key, const pp_account_options *account)
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

static void write_block(struct writer *w, const pp_account_options *account, const char *name)
{
    const pp_key_block *block = pp_key_block_find(name);

    for (size_t i = 0; i < block->count && !w->err; i++) {
        const pp_key *key = &block->keys[i];

        if (key->type == PP_KEY_OTHER || key->offset == PP_KEY_NO_FIELD ||
            is_usual(w, key, account))
            continue;
        begin_account_line(w, account, "/");
        add(w, &w->path, name);
        add(w, &w->path, ".");
        write_key(w, key, account);
    }
}

/* Which of two wildcards comes first matters, so the order counts beside the mappings. */
static void write_mappings(struct writer *w, const pp_account_options *account)
{
    crypto_generichash_state state;

    if (!account->mapping_count)
        return;
    begin_hash(w, &state);
    for (size_t i = 0; i < account->mapping_count; i++)
        hash_piece(&state, account->mappings[i].source, strlen(account->mappings[i].source));
    begin_account_line(w, account, "/mappings");
    end_hash(w, &state);
    end_line(w, true);
    for (size_t i = 0; i < account->mapping_count && !w->err; i++)
        write_mapping(w, account, &account->mappings[i]);
}

/* What passes between accounts is one text per account and direction: few look at it, and only at
 * whether it has changed. */
static void add_optional(struct writer *w, const char *name, const char *text)
{
    if (!text)
        return;
    add(w, &w->text, name);
    add_escaped(w, &w->text, text);
}

static void write_export(struct writer *w, const pp_export_option *export)
{
    add(w, &w->text, w->text.len ? " " : "");
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

static void write_import(struct writer *w, const pp_import_option *import)
{
    add(w, &w->text, w->text.len ? " " : "");
    add_optional(w, import->is_service ? "service=" : "stream=", import->subject);
    add_optional(w, "@", import->account);
    add_optional(w, " to=", import->local);
    add_optional(w, " prefix=", import->prefix);
    if (!w->err)
        w->err = pp_buf_addf(&w->text, ":%d:%d", import->share, import->allow_trace);
}

static void write_passages(struct writer *w, const pp_account_options *account)
{
    if (account->export_count) {
        begin_account_line(w, account, "/exports");
        for (size_t i = 0; i < account->export_count && !w->err; i++)
            write_export(w, &account->exports[i]);
        end_line(w, false);
    }
    if (account->import_count) {
        begin_account_line(w, account, "/imports");
        for (size_t i = 0; i < account->import_count && !w->err; i++)
            write_import(w, &account->imports[i]);
        end_line(w, false);
    }
}

static void write_default_permissions(struct writer *w, const pp_account_options *account)
{
    if (!account->default_permissions)
        return;
    begin_account_line(w, account, "/default_permissions");
    write_permissions(w, account->default_permissions);
    add(w, &w->text, w->text.len ? "" : "all");
    end_line(w, false);
}

static void write_sampling(struct writer *w, const pp_account_options *account)
{
    if (account->trace_sampling == PP_TRACE_SAMPLING_USUAL)
        return;
    begin_account_line(w, account, "/" SAMPLING);
    if (!w->err)
        w->err = pp_buf_addf(&w->text, "%" PRIu32, account->trace_sampling);
    end_line(w, false);
}

static void write_account(struct writer *w, const pp_account_options *account)
{
    begin_account_line(w, account, "");
    add(w, &w->text, "defined");
    end_line(w, false);
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

/* --- the whole ---------------------------------------------------------------------------- */

/* What is below a path comes before everything that only begins alike, as "A-b" does with "A". */
static int rank(char c)
{
    return c == '/' ? 1 : (unsigned char)c;
}

int pp_snapshot_compare(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return rank(*a) - rank(*b);
}

static int compare_records(const void *a, const void *b)
{
    return pp_snapshot_compare(*(const char *const *)a + 1, *(const char *const *)b + 1);
}

static pipit_err make(pp_snapshot **out)
{
    pp_snapshot *snapshot = pp_calloc(1, sizeof(*snapshot));

    if (!snapshot)
        return PIPIT_ENOMEM;
    pp_arena_init(&snapshot->arena, SNAPSHOT_BYTES_MAX);
    *out = snapshot;
    return PIPIT_OK;
}

/* All records are there: put them in order, and give back what they do not need. */
static pipit_err finish(pp_snapshot *snapshot)
{
    const char **fitting;

    if (!snapshot->count)
        return PIPIT_OK;
    qsort(snapshot->records, snapshot->count, sizeof(*snapshot->records), compare_records);
    fitting = pp_realloc(snapshot->records, snapshot->count * sizeof(*fitting));
    if (!fitting)
        return PIPIT_ENOMEM;
    snapshot->records = fitting;
    return PIPIT_OK;
}

void pp_snapshot_free(pp_snapshot *snapshot)
{
    if (!snapshot)
        return;
    pp_arena_fini(&snapshot->arena);
    pp_free(snapshot->records);
    explicit_bzero(snapshot, sizeof(*snapshot));
    pp_free(snapshot);
}

static void write_all(struct writer *w, const pp_options *options)
{
    write_scalars(w, options);
    write_labels(w, options);
    write_operators(w, options);
    write_websocket(w, &options->websocket);
    write_t2(w, &options->t2);
    write_fanout(w, &options->fanout);
    for (size_t i = 0; i < options->account_count && !w->err; i++)
        write_account(w, &options->accounts[i]);
}

pipit_err pp_snapshot_new(pp_snapshot **out_snapshot, const pp_options *options,
                          const pp_snapshot *like)
{
    struct writer w = {0};
    pipit_err err;

    if (sodium_init() < 0)
        return PIPIT_EIO;
    err = make(&w.snapshot);
    if (err)
        return err;
    if (like)
        memcpy(w.snapshot->salt, like->salt, sizeof(like->salt));
    else
        randombytes_buf(w.snapshot->salt, sizeof(w.snapshot->salt));
    pp_buf_init(&w.path, TEXT_MAX);
    pp_buf_init(&w.text, TEXT_MAX);
    pp_buf_init(&w.record, RECORD_MAX);
    write_all(&w, options);
    pp_buf_fini(&w.path);
    pp_buf_fini(&w.text);
    pp_buf_fini(&w.record);
    if (!w.err)
        w.err = finish(w.snapshot);
    if (w.err) {
        pp_snapshot_free(w.snapshot);
        return w.err;
    }
    *out_snapshot = w.snapshot;
    return PIPIT_OK;
}

/* --- lines -------------------------------------------------------------------------------- */

static pp_snapshot_line line_of(const char *record)
{
    const char *path = record + 1;

    return (pp_snapshot_line){path, path + strlen(path) + 1, *record == '#'};
}

pp_snapshot_line pp_snapshot_at(const pp_snapshot *snapshot, size_t i)
{
    return line_of(snapshot->records[i]);
}

/* --- the file ----------------------------------------------------------------------------- */

pipit_err pp_snapshot_format(const pp_snapshot *snapshot, pp_buf *out)
{
    char salt[2 * PP_SNAPSHOT_SALT_BYTES + 1];
    pipit_err err;

    (void)sodium_bin2hex(salt, sizeof(salt), snapshot->salt, sizeof(snapshot->salt));
    err = pp_buf_addf(out, FILE_HEAD "%s\n", salt);
    for (size_t i = 0; i < snapshot->count && !err; i++) {
        const pp_snapshot_line line = pp_snapshot_at(snapshot, i);

        err = pp_buf_addf(out, "%s\t%c%s\n", line.path, line.hashed ? '#' : '=', line.text);
    }
    return err;
}

/* Take a line off text, without its end. */
static pp_str take_line(pp_str *text)
{
    const char *end = text->len ? memchr(text->ptr, '\n', text->len) : NULL;
    pp_str line = {text->ptr, end ? (size_t)(end - text->ptr) : text->len};

    text->ptr += line.len + (end != NULL);
    text->len -= line.len + (end != NULL);
    return line;
}

static pipit_err parse_line(pp_snapshot *snapshot, size_t *cap, pp_str text, pp_buf *record)
{
    const char *tab = text.len ? memchr(text.ptr, '\t', text.len) : NULL;
    size_t path_len = tab ? (size_t)(tab - text.ptr) : 0;
    pipit_err err;

    if (!tab || text.len < path_len + 2 || memchr(text.ptr, '\0', text.len))
        return PIPIT_EINVAL;
    record->len = 0;
    err = pp_buf_add(record, tab[1] == '#' ? "#" : "=", 1);
    if (!err)
        err = pp_buf_add(record, text.ptr, path_len);
    if (!err)
        err = pp_buf_add(record, "", 1);
    if (!err)
        err = pp_buf_add(record, tab + 2, text.len - path_len - 2);
    return err ? err : add_record(snapshot, cap, pp_buf_str(record));
}

static pipit_err parse_head(pp_snapshot *snapshot, pp_str head)
{
    size_t salt_bytes;

    if (!pp_str_starts(head, PP_STR(FILE_HEAD)) ||
        sodium_hex2bin(snapshot->salt, sizeof(snapshot->salt), head.ptr + sizeof(FILE_HEAD) - 1,
                       head.len - (sizeof(FILE_HEAD) - 1), NULL, &salt_bytes, NULL) != 0 ||
        salt_bytes != sizeof(snapshot->salt))
        return PIPIT_EINVAL;
    return PIPIT_OK;
}

pipit_err pp_snapshot_parse(pp_snapshot **out_snapshot, pp_str text)
{
    pp_snapshot *snapshot;
    pp_buf record;
    size_t cap = 0;
    pipit_err err = make(&snapshot);

    if (err)
        return err;
    pp_buf_init(&record, RECORD_MAX);
    err = parse_head(snapshot, take_line(&text));
    while (!err && text.len)
        err = parse_line(snapshot, &cap, take_line(&text), &record);
    pp_buf_fini(&record);
    if (!err)
        err = finish(snapshot);
    if (err) {
        pp_snapshot_free(snapshot);
        return err;
    }
    *out_snapshot = snapshot;
    return PIPIT_OK;
}
