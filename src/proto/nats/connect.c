/* Texts are packed as entries [which: 1 byte][length: 4 bytes][bytes], each at most once, closed by
 * the byte TEXTS_END. No text: no block. The block is replaced whole by a parse, so that a failed
 * one leaves the old values standing. */
#include "proto/nats/connect.h"

#include "base/alloc.h"

#include <jansson.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

enum { ENTRY_HEAD_BYTES = 1 + sizeof(uint32_t), TEXTS_END = PP_CONNECT_TEXT_COUNT };

/* An escape never stands for more bytes than it has, and U+FFFD is three bytes for one: below this
 * no text outgrows the length field. */
#define JSON_BYTES_MAX (UINT32_MAX / 3)

struct draft {
    struct pp_nats_connect connect; /* .texts still belongs to the caller's */
    pp_str texts[PP_CONNECT_TEXT_COUNT];
};

static const char *const text_keys[PP_CONNECT_TEXT_COUNT] = {
    [PP_CONNECT_AUTH_TOKEN] = "auth_token",
    [PP_CONNECT_USER] = "user",
    [PP_CONNECT_PASS] = "pass",
    [PP_CONNECT_NKEY] = "nkey",
    [PP_CONNECT_JWT] = "jwt",
    [PP_CONNECT_SIG] = "sig",
    [PP_CONNECT_PROXY_SIG] = "proxy_sig",
    [PP_CONNECT_NAME] = "name",
    [PP_CONNECT_LANG] = "lang",
    [PP_CONNECT_VERSION] = "version",
    [PP_CONNECT_ACCOUNT] = "account",
};

static const struct {
    const char *key;
    size_t offset;
} flag_keys[] = {
    {"verbose", offsetof(struct pp_nats_connect, verbose)},
    {"pedantic", offsetof(struct pp_nats_connect, pedantic)},
    {"echo", offsetof(struct pp_nats_connect, echo)},
    {"tls_required", offsetof(struct pp_nats_connect, tls_required)},
    {"headers", offsetof(struct pp_nats_connect, headers)},
    {"no_responders", offsetof(struct pp_nats_connect, no_responders)},
    {"new_account", offsetof(struct pp_nats_connect, new_account)},
};

static bool is_credential(unsigned which)
{
    return which <= PP_CONNECT_PROXY_SIG;
}

/* The user and the public key name somebody; alone they prove nothing, and logs want them. */
static bool is_secret(unsigned which)
{
    return is_credential(which) && which != PP_CONNECT_USER && which != PP_CONNECT_NKEY;
}

/* Read the entry at *at and step over it; false at the end. */
static bool next_entry(const char **at, unsigned *out_which, pp_str *out_text)
{
    const char *entry = *at;
    uint32_t len;

    if (*entry == TEXTS_END)
        return false;
    memcpy(&len, entry + 1, sizeof(len));
    *out_which = (unsigned char)*entry;
    *out_text = (pp_str){entry + ENTRY_HEAD_BYTES, len};
    *at = out_text->ptr + len;
    return true;
}

static char *put_entry(char *to, unsigned which, pp_str text)
{
    uint32_t len = (uint32_t)text.len;

    *to = (char)which;
    memcpy(to + 1, &len, sizeof(len));
    memcpy(to + ENTRY_HEAD_BYTES, text.ptr, text.len);
    return to + ENTRY_HEAD_BYTES + text.len;
}

static size_t block_bytes(const char *block)
{
    const char *at = block;
    unsigned which;
    pp_str text;

    while (next_entry(&at, &which, &text))
        ;
    return (size_t)(at - block) + 1;
}

static void wipe_and_free(char *block)
{
    if (!block)
        return;
    explicit_bzero(block, block_bytes(block));
    pp_free(block);
}

void pp_nats_connect_init(struct pp_nats_connect *connect)
{
    *connect = (struct pp_nats_connect){.verbose = true, .pedantic = true, .echo = true};
}

void pp_nats_connect_fini(struct pp_nats_connect *connect)
{
    wipe_and_free(connect->texts);
    connect->texts = NULL;
}

bool pp_nats_connect_leave_texts(struct pp_nats_connect *connect, char **out_texts)
{
    char *copy = NULL;

    if (connect->texts) {
        copy = pp_memdupz(connect->texts, block_bytes(connect->texts));
        if (!copy)
            return false;
    }
    *out_texts = connect->texts;
    connect->texts = copy;
    return true;
}

pp_str pp_nats_connect_text(const struct pp_nats_connect *connect, enum pp_nats_connect_text which)
{
    return pp_nats_text_in(connect->texts, which);
}

pp_str pp_nats_text_in(const char *texts, enum pp_nats_connect_text which)
{
    const char *at = texts;
    unsigned found;
    pp_str text;

    while (at && next_entry(&at, &found, &text)) {
        if (found == which)
            return text;
    }
    return PP_STR("");
}

void pp_nats_connect_forget_secrets(struct pp_nats_connect *connect)
{
    char *block = connect->texts;
    const char *at = block;
    size_t old_bytes, new_bytes;
    char *to = block, *shrunk;
    unsigned which;
    pp_str text;

    if (!block)
        return;
    old_bytes = block_bytes(block);
    while (next_entry(&at, &which, &text)) {
        size_t entry_bytes = ENTRY_HEAD_BYTES + text.len;

        if (is_secret(which))
            continue;
        memmove(to, text.ptr - ENTRY_HEAD_BYTES, entry_bytes); /* entries only move down */
        to += entry_bytes;
    }
    *to = TEXTS_END;
    new_bytes = (size_t)(to - block) + 1;
    explicit_bzero(block + new_bytes, old_bytes - new_bytes);
    if (new_bytes == 1) {
        pp_free(block);
        connect->texts = NULL;
    } else if (new_bytes < old_bytes) {
        shrunk = pp_realloc(block, new_bytes);
        connect->texts = shrunk ? shrunk : block; /* refused: keep the larger one */
    }
}

/* Copy json with each byte that is no UTF-8 replaced by U+FFFD. The caller frees it. */
static char *replace_bad_bytes(pp_str json, size_t *out_len)
{
    static const char replacement[3] = "\xEF\xBF\xBD";
    size_t len = 0;
    char *copy = pp_alloc(json.len * sizeof(replacement));

    if (!copy)
        return NULL;
    while (json.len) {
        size_t n = pp_str_utf8_len(json);

        memcpy(copy + len, n ? json.ptr : replacement, n ? n : sizeof(replacement));
        len += n ? n : sizeof(replacement);
        n = n ? n : 1;
        json.ptr += n;
        json.len -= n;
    }
    *out_len = len;
    return copy;
}

static json_t *load(pp_str json, enum json_error_code *out_code)
{
    json_error_t error = {0}; /* jansson leaves it alone when it runs out of memory early on */
    json_t *root = json_loadb(json.ptr, json.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

    *out_code = json_error_code(&error);
    return root;
}

/* jansson 2.14 goes on, and past the end of a buffer, when an allocation of its own fails in the
 * middle of a text. So ask first for more than it takes for what clients send: where that much was
 * free a moment ago, its small blocks do not fail. */
static bool has_room_for(pp_str json)
{
    void *room = pp_alloc(8 * json.len + 4096);

    pp_free(room);
    return room != NULL;
}

static pipit_err load_leniently(pp_str json, json_t **out_root)
{
    enum json_error_code code;
    char *clean;
    size_t clean_len = 0;

    if (!has_room_for(json))
        return PIPIT_ENOMEM;
    *out_root = load(json, &code);
    if (!*out_root && code == json_error_invalid_utf8) {
        clean = replace_bad_bytes(json, &clean_len);
        if (!clean)
            return PIPIT_ENOMEM;
        *out_root = load((pp_str){clean, clean_len}, &code);
        explicit_bzero(clean, clean_len);
        pp_free(clean);
    }
    if (*out_root)
        return PIPIT_OK;
    return code == json_error_out_of_memory || code == json_error_unknown ? PIPIT_ENOMEM
                                                                          : PIPIT_EPROTO;
}

static int clamp_to_int(json_int_t value)
{
    if (value > INT_MAX)
        return INT_MAX;
    return value < INT_MIN ? INT_MIN : (int)value;
}

static pipit_err apply_text(struct draft *draft, unsigned which, const json_t *value)
{
    if (!json_is_string(value))
        return PIPIT_EPROTO;
    draft->texts[which] = (pp_str){json_string_value(value), json_string_length(value)};
    if (is_credential(which))
        draft->connect.has_credentials = true;
    return PIPIT_OK;
}

/* Keys match whatever the case of their letters: of two spellings the later one wins, as in Go. */
static pipit_err apply(struct draft *draft, pp_str key, const json_t *value)
{
    if (json_is_null(value))
        return PIPIT_OK;
    for (size_t i = 0; i < sizeof(flag_keys) / sizeof(flag_keys[0]); i++) {
        if (!pp_str_eq_nocase(key, pp_str_of(flag_keys[i].key)))
            continue;
        if (!json_is_boolean(value))
            return PIPIT_EPROTO;
        *(bool *)((char *)&draft->connect + flag_keys[i].offset) = json_is_true(value);
        return PIPIT_OK;
    }
    for (unsigned which = 0; which < PP_CONNECT_TEXT_COUNT; which++) {
        if (pp_str_eq_nocase(key, pp_str_of(text_keys[which])))
            return apply_text(draft, which, value);
    }
    if (pp_str_eq_nocase(key, PP_STR("protocol"))) {
        if (!json_is_integer(value))
            return PIPIT_EPROTO;
        draft->connect.protocol = clamp_to_int(json_integer_value(value));
    }
    return PIPIT_OK;
}

/* Pack the draft's texts; *out_block is NULL when there are none. */
static pipit_err pack_texts(const struct draft *draft, char **out_block)
{
    size_t bytes = 0;
    char *block, *to;

    for (unsigned which = 0; which < PP_CONNECT_TEXT_COUNT; which++)
        bytes += draft->texts[which].len ? ENTRY_HEAD_BYTES + draft->texts[which].len : 0;
    *out_block = NULL;
    if (bytes == 0)
        return PIPIT_OK;
    to = block = pp_alloc(bytes + 1);
    if (!block)
        return PIPIT_ENOMEM;
    for (unsigned which = 0; which < PP_CONNECT_TEXT_COUNT; which++) {
        if (draft->texts[which].len)
            to = put_entry(to, which, draft->texts[which]);
    }
    *to = TEXTS_END;
    *out_block = block;
    return PIPIT_OK;
}

pipit_err pp_nats_connect_check_info(pp_str json)
{
    json_error_t error;
    json_t *root = NULL;
    pipit_err err = json.len > JSON_BYTES_MAX ? PIPIT_ETOOBIG : load_leniently(json, &root);

    if (!err && !json_is_null(root) &&
        (!json_is_object(root) ||
         json_unpack_ex(root, &error, JSON_VALIDATE_ONLY,
                        "{s?s, s?s, s?s, s?i, s?s, s?i, s?I, s?b, s?b, s?b, s?o}", "server_id",
                        "server_name", "version", "proto", "host", "port", "max_payload", "headers",
                        "auth_required", "tls_required", "connect_urls") != 0))
        err = PIPIT_EPROTO;
    json_decref(root);
    return err;
}

pipit_err pp_nats_connect_parse(pp_str json, struct pp_nats_connect *inout)
{
    struct draft draft = {.connect = *inout};
    json_t *root = NULL, *value;
    const char *key;
    char *block;
    pipit_err err;

    if (json.len > JSON_BYTES_MAX)
        return PIPIT_ETOOBIG;
    err = load_leniently(json, &root);
    if (err)
        goto out;
    err = json_is_object(root) || json_is_null(root) ? PIPIT_OK : PIPIT_EPROTO;
    draft.connect.has_credentials = false;
    for (unsigned which = 0; which < PP_CONNECT_TEXT_COUNT; which++)
        draft.texts[which] = pp_nats_connect_text(inout, which);
    json_object_foreach(root, key, value)
    {
        if (!err)
            err = apply(&draft, pp_str_of(key), value);
    }
    if (!err)
        err = pack_texts(&draft, &block);
    if (err)
        goto out;
    wipe_and_free(inout->texts);
    *inout = draft.connect;
    inout->texts = block;
out:
    json_decref(root);
    return err;
}
