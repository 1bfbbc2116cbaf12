#include "config/snapshot_inside.h"

#include "config/duration.h"

#include <stdio.h>
#include <string.h>

/* A URL that names a user is as secret as a password; what is no URL at all may be one. */
static bool is_secret(const pp_key *key, pp_str text)
{
    return key->type == PP_KEY_SECRET ||
           (key->type == PP_KEY_URL && text.len &&
            (memchr(text.ptr, '@', text.len) || !memchr(text.ptr, ':', text.len)));
}

void pp_snapshot_write_key(pp_snapshot_writer *w, const pp_key *key, const void *base)
{
    bool hashed;

    if (!w->err)
        w->err = pp_buf_addf(&w->path, "%.*s", PP_STR_ARGS(pp_key_name(key)));
    if (!w->err)
        w->err = pp_key_format(key, base, &w->text);
    hashed = is_secret(key, pp_buf_str(&w->text));
    if (hashed && w->text.len) {
        crypto_auth_hmacsha512256_state state;

        pp_snapshot_begin_hash(w, &state);
        pp_snapshot_hash_piece(&state, w->text.ptr, w->text.len);
        explicit_bzero(w->text.ptr, w->text.len);
        pp_snapshot_end_hash(w, &state);
    }
    pp_snapshot_end_line(w, hashed);
}

static void write_texts(pp_snapshot_writer *w, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pp_snapshot_add(w, &w->text, i ? " " : "");
        pp_snapshot_add_escaped(w, &w->text, texts[i]);
    }
}

/* What no type of its own says. */
static void write_tls_value(pp_snapshot_writer *w, const pp_key *key, const pp_tls_options *o)
{
    char text[PP_DURATION_TEXT_BYTES];

    if (key->offset == offsetof(pp_tls_options, ciphers))
        write_texts(w, o->ciphers, o->cipher_count);
    else if (key->offset == offsetof(pp_tls_options, curves))
        write_texts(w, o->curves, o->curve_count);
    else if (key->offset == offsetof(pp_tls_options, pinned))
        write_texts(w, o->pinned, o->pinned_count);
    else if (key->offset == offsetof(pp_tls_options, min_version))
        pp_snapshot_add(w, &w->text, o->min_version == 13 ? "1.3" : "1.2");
    else if (key->offset == offsetof(pp_tls_options, first_ns))
        pp_snapshot_add(w, &w->text,
                        o->first_ns == PP_TLS_FIRST_OFF  ? "off"
                        : o->first_ns == PP_TLS_FIRST_ON ? "on"
                                                         : pp_duration_format(text, o->first_ns));
    for (size_t i = 0; i < o->pair_count && key->offset == offsetof(pp_tls_options, pairs); i++) {
        pp_snapshot_add(w, &w->text, i ? " " : "");
        pp_snapshot_add_escaped(w, &w->text, o->pairs[i].cert_file);
        pp_snapshot_add(w, &w->text, ",");
        pp_snapshot_add_escaped(w, &w->text, o->pairs[i].key_file);
    }
}

/* What stands before the block's name is in path. */
static void write_ocsp_peer(pp_snapshot_writer *w, const pp_tls_options *o)
{
    const pp_key_block *block = pp_key_block_find("ocsp_peer");
    char before[64];

    (void)snprintf(before, sizeof(before), "%.*s", PP_STR_ARGS(pp_buf_str(&w->path)));
    for (size_t i = 0; i < block->count; i++) {
        if (i)
            pp_snapshot_add(w, &w->path, before);
        pp_snapshot_add(w, &w->path, "ocsp_peer.");
        pp_snapshot_write_key(w, &block->keys[i], o);
    }
}

static void write_tls(pp_snapshot_writer *w, const char *block_name, pp_str name,
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
            pp_snapshot_write_key(w, key, o);
            continue;
        }
        if (key->offset == offsetof(pp_tls_options, ocsp_peer)) {
            write_ocsp_peer(w, o);
            continue;
        }
        if (!w->err)
            w->err = pp_buf_addf(&w->path, "%.*s", PP_STR_ARGS(pp_key_name(key)));
        write_tls_value(w, key, o);
        pp_snapshot_end_line(w, false);
    }
}

static void write_scalars(pp_snapshot_writer *w, const pp_options *options)
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
            pp_snapshot_add(w, &w->path, block->name);
            pp_snapshot_add(w, &w->path, *block->name ? "." : "");
            pp_snapshot_write_key(w, key, options);
        }
    }
}

static void write_list(pp_snapshot_writer *w, const char *path, const char *const *texts,
                       size_t count)
{
    pp_snapshot_add(w, &w->path, path);
    write_texts(w, texts, count);
    pp_snapshot_end_line(w, false);
}

static void write_pairs(pp_snapshot_writer *w, const char *path, const pp_pair_option *pairs,
                        size_t count)
{
    pp_snapshot_add(w, &w->path, path);
    for (size_t i = 0; i < count; i++) {
        pp_snapshot_add(w, &w->text, i ? " " : "");
        pp_snapshot_add_escaped(w, &w->text, pairs[i].key);
        pp_snapshot_add(w, &w->text, "=");
        pp_snapshot_add_escaped(w, &w->text, pairs[i].value);
    }
    pp_snapshot_end_line(w, false);
}

static void write_labels(pp_snapshot_writer *w, const pp_options *o)
{
    write_list(w, "server_tags", o->server_tags, o->server_tag_count);
    write_pairs(w, "server_metadata", o->server_metadata, o->server_metadata_count);
    write_list(w, "auth_callout.auth_users", o->callout.auth_users, o->callout.auth_user_count);
    write_list(w, "auth_callout.allowed_accounts", o->callout.allowed_accounts,
               o->callout.allowed_account_count);
    pp_snapshot_add(w, &w->path, "ocsp.mode");
    pp_snapshot_add(w, &w->text, pp_ocsp_mode_text(o->ocsp_mode));
    pp_snapshot_end_line(w, false);
    write_list(w, "ocsp.urls", o->ocsp_urls, o->ocsp_url_count);
    pp_snapshot_add(w, &w->path, "ocsp_cache.type");
    pp_snapshot_add(w, &w->text, pp_ocsp_cache_text(o->ocsp_cache.type));
    pp_snapshot_end_line(w, false);
    write_list(w, "proxies.trusted", o->trusted_proxies, o->trusted_proxy_count);
}

/* A hash of texts, which may be long; nothing for none. */
static void write_hashed(pp_snapshot_writer *w, const char *path, const char *const *texts,
                         size_t count)
{
    crypto_auth_hmacsha512256_state state;

    pp_snapshot_add(w, &w->path, path);
    if (count) {
        pp_snapshot_begin_hash(w, &state);
        for (size_t i = 0; i < count; i++)
            pp_snapshot_hash_piece(&state, texts[i], strlen(texts[i]));
        pp_snapshot_end_hash(w, &state);
    }
    pp_snapshot_end_line(w, true);
}

static void write_operators(pp_snapshot_writer *w, const pp_options *o)
{
    crypto_auth_hmacsha512256_state state;

    write_hashed(w, "operator", o->operators, o->operator_count);
    write_hashed(w, "trusted_keys", o->trusted_keys, o->trusted_key_count);
    write_hashed(w, "resolver_pinned_accounts", o->pinned_accounts, o->pinned_account_count);
    write_hashed(w, "resolver", &o->resolver_url, o->resolver_url ? 1 : 0);
    pp_snapshot_add(w, &w->path, "resolver_preload");
    if (o->resolver_preload_count) {
        pp_snapshot_begin_hash(w, &state);
        for (size_t i = 0; i < o->resolver_preload_count; i++) {
            const pp_pair_option *pair = &o->resolver_preload[i];

            pp_snapshot_hash_piece(&state, pair->key, strlen(pair->key));
            pp_snapshot_hash_piece(&state, pair->value, strlen(pair->value));
        }
        pp_snapshot_end_hash(w, &state);
    }
    pp_snapshot_end_line(w, true);
}

static void write_websocket(pp_snapshot_writer *w, const pp_websocket_options *o)
{
    pp_snapshot_add(w, &w->path, "websocket.advertise");
    if (o->advertise_host)
        pp_snapshot_add_escaped(w, &w->text, o->advertise_host);
    if (o->advertise_port && !w->err)
        w->err = pp_buf_addf(&w->text, ":%u", o->advertise_port);
    pp_snapshot_end_line(w, false);
    write_list(w, "websocket.allowed_origins", o->origins, o->origin_count);
    write_pairs(w, "websocket.headers", o->headers, o->header_count);
}

static void write_t2(pp_snapshot_writer *w, const pp_t2_options *o)
{
    static const char *const schemes[] = {
        [PP_T2_TCP] = "tcp", [PP_T2_UNIX] = "unix", [PP_T2_TLS] = "tls", [PP_T2_MEMORY] = "memory"};

    pp_snapshot_add(w, &w->path, "t2.listen");
    for (size_t i = 0; i < o->listen_count; i++) {
        const pp_t2_listen_option *listen = &o->listens[i];

        if (!w->err)
            w->err = pp_buf_addf(&w->text, "%s%s:", i ? " " : "", schemes[listen->by]);
        pp_snapshot_add_escaped(w, &w->text, listen->where);
        if ((listen->by == PP_T2_TCP || listen->by == PP_T2_TLS) && !w->err)
            w->err = pp_buf_addf(&w->text, ":%d", listen->port);
    }
    pp_snapshot_end_line(w, false);
}

static void write_fanout(pp_snapshot_writer *w, const pp_fanout_options *o)
{
    write_list(w, "fanout.allow", o->allow, o->allow_count);
}

void pp_snapshot_write_options(pp_snapshot_writer *w, const pp_options *options)
{
    write_scalars(w, options);
    write_labels(w, options);
    write_operators(w, options);
    write_websocket(w, &options->websocket);
    write_t2(w, &options->t2);
    write_fanout(w, &options->fanout);
    for (size_t i = 0; i < options->account_count && !w->err; i++)
        pp_snapshot_write_account(w, &options->accounts[i]);
}
