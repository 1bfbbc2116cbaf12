#include "auth/jwt.h"

#include "auth/nkey.h"
#include "base/alloc.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

struct pp_jwt_block {
    struct pp_jwt_block *next;
    _Alignas(16) char bytes[];
};

static const struct type {
    const char *name;
    pp_jwt_type type;
    uint8_t issuers[2]; /* kinds of key that may sign it */
} types[] = {
    {"operator", PP_JWT_OPERATOR, {PP_NKEY_OPERATOR, PP_NKEY_OPERATOR}},
    {"account", PP_JWT_ACCOUNT, {PP_NKEY_ACCOUNT, PP_NKEY_OPERATOR}},
    {"user", PP_JWT_USER, {PP_NKEY_ACCOUNT, PP_NKEY_ACCOUNT}},
    {"activation", PP_JWT_ACTIVATION, {PP_NKEY_ACCOUNT, PP_NKEY_OPERATOR}},
    {"authorization_request", PP_JWT_AUTHORIZATION_REQUEST, {PP_NKEY_SERVER, PP_NKEY_SERVER}},
    {"authorization_response", PP_JWT_AUTHORIZATION_RESPONSE, {PP_NKEY_ACCOUNT, PP_NKEY_ACCOUNT}},
};
enum { TYPE_COUNT = sizeof(types) / sizeof(types[0]) };

/* --- memory -------------------------------------------------------------------------------- */

void *pp_jwt_alloc(pp_jwt *jwt, size_t count, size_t bytes)
{
    struct pp_jwt_block *block;

    /* Both come from the length of a token, which is limited; zero is asked for, too. */
    block = pp_calloc(1, sizeof(*block) + count * bytes + 1);
    if (!block)
        return NULL;
    block->next = jwt->blocks;
    jwt->blocks = block;
    return block->bytes;
}

void pp_jwt_fini(pp_jwt *jwt)
{
    while (jwt->blocks) {
        struct pp_jwt_block *block = jwt->blocks;

        jwt->blocks = block->next;
        pp_free(block);
    }
    json_decref(jwt->payload);
    *jwt = (pp_jwt){0};
}

/* --- the envelope -------------------------------------------------------------------------- */

static pipit_err fail(char *reason, const char *text)
{
    (void)snprintf(reason, PP_JWT_REASON_BYTES, "%s", text);
    return PIPIT_EINVAL;
}

/* Strictly: no padding, no other alphabet, no bits left over. */
static pipit_err decode_part(pp_str part, uint8_t **out, size_t *out_len, char *reason)
{
    size_t cap = part.len / 4 * 3 + 3;
    uint8_t *bytes = pp_alloc(cap + 1);

    if (!bytes)
        return PIPIT_ENOMEM;
    if (sodium_base642bin(bytes, cap, part.ptr, part.len, NULL, out_len, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0) {
        pp_free(bytes);
        return fail(reason, "illegal base64 data");
    }
    *out = bytes;
    return PIPIT_OK;
}

/* Read JSON. jansson 2.14 goes on when an allocation of its own fails in the middle, so memory is
 * asked for before: more than it takes for texts, and for values about as much. */
static pipit_err load(json_t **out, const uint8_t *bytes, size_t len, char *reason)
{
    void *room = pp_alloc(16 * len + 4096);
    json_error_t error = {0};

    if (!room)
        return PIPIT_ENOMEM;
    pp_free(room);
    *out = json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, &error);
    if (*out && json_is_object(*out))
        return PIPIT_OK;
    if (!*out && json_error_code(&error) == json_error_out_of_memory)
        return PIPIT_ENOMEM;
    json_decref(*out);
    *out = NULL;
    return fail(reason, "not a JSON object");
}

static pipit_err load_part(json_t **out, pp_str part, char *reason)
{
    uint8_t *bytes;
    size_t len;
    pipit_err err = decode_part(part, &bytes, &len, reason);

    if (err)
        return err;
    err = load(out, bytes, len, reason);
    pp_free(bytes);
    return err;
}

/* *out_old: the older algorithm, which signs the payload alone. */
static pipit_err check_header(pp_str part, bool *out_old, char *reason)
{
    pp_claim_reader reader = {0};
    json_t *header;
    pipit_err err = load_part(&header, part, reason);
    pp_str type, algorithm;

    if (err)
        return err;
    type = pp_claim_text(&reader, header, "typ");
    algorithm = pp_claim_text(&reader, header, "alg");
    *out_old = pp_str_eq_nocase(algorithm, PP_STR("ed25519"));
    if (reader.err)
        err = fail(reason, "header is not that of a token");
    else if (!pp_str_eq_nocase(type, PP_STR("JWT")))
        err = fail(reason, "not supported type");
    else if (!*out_old && !pp_str_eq_nocase(algorithm, PP_STR("ed25519-nkey")))
        err = fail(reason, "unexpected algorithm");
    json_decref(header);
    return err;
}

/* Cut in three. signed_len is that of all before the signature, without the dot. */
static bool cut(pp_str token, pp_str part[3], size_t *out_signed_len)
{
    const char *first = memchr(token.ptr, '.', token.len), *second, *end = token.ptr + token.len;

    second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
    if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
        return false;
    part[0] = (pp_str){token.ptr, (size_t)(first - token.ptr)};
    part[1] = (pp_str){first + 1, (size_t)(second - first - 1)};
    part[2] = (pp_str){second + 1, (size_t)(end - second - 1)};
    *out_signed_len = (size_t)(second - token.ptr);
    return true;
}

/* --- what all payloads have ---------------------------------------------------------------- */

static const struct type *find_type(pp_str name)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (pp_str_eq(name, pp_str_of(types[i].name)))
            return &types[i];
    }
    return NULL;
}

static pipit_err read_common(pp_jwt *jwt, char *reason)
{
    pp_claim_reader reader = {.jwt = jwt};
    const json_t *all = jwt->payload, *fields;
    pp_str type;
    int64_t version;

    jwt->nats = pp_claim_object(&reader, all, "nats");
    /* A token of version 1 has its type where one of version 2 has the issuer. */
    type = pp_claim_text(&reader, all, "type");
    fields = type.len ? all : jwt->nats;
    version = type.len ? 1 : pp_claim_int(&reader, fields, "version", 0);
    if (!type.len)
        type = pp_claim_text(&reader, fields, "type");
    jwt->issuer = pp_claim_text(&reader, all, "iss");
    jwt->subject = pp_claim_text(&reader, all, "sub");
    jwt->audience = pp_claim_text(&reader, all, "aud");
    jwt->id = pp_claim_text(&reader, all, "jti");
    jwt->name = pp_claim_text(&reader, all, "name");
    jwt->issued_s = pp_claim_int(&reader, all, "iat", 0);
    jwt->expires_s = pp_claim_int(&reader, all, "exp", 0);
    jwt->not_before_s = pp_claim_int(&reader, all, "nbf", 0);
    jwt->tags = pp_claim_texts(&reader, fields, "tags", NULL);
    if (reader.err == PIPIT_EINVAL)
        (void)snprintf(reason, PP_JWT_REASON_BYTES, "%s is of the wrong type", reader.wrong);
    if (reader.err)
        return reader.err;
    if (version > PP_JWT_VERSION_MAX)
        return fail(reason, "JWT was generated by a newer version");
    if (find_type(type)) {
        jwt->type = find_type(type)->type;
        if (version < 1)
            return fail(reason, "a version that is not known");
    } else if (pp_str_eq(type, PP_STR("cluster")) || pp_str_eq(type, PP_STR("server"))) {
        return fail(reason, "a type that is not supported any more");
    }
    jwt->version = (int)version;
    return PIPIT_OK;
}

/* --- the signature ------------------------------------------------------------------------- */

static bool may_issue(const pp_jwt *jwt)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (types[i].type == jwt->type)
            return !pp_nkey_decode(jwt->issuer, types[i].issuers[0], NULL) ||
                   !pp_nkey_decode(jwt->issuer, types[i].issuers[1], NULL);
    }
    return true; /* whoever likes may sign what is of no type */
}

static pipit_err verify(const pp_jwt *jwt, pp_str text, pp_str signature, char *reason)
{
    uint8_t key[PP_NKEY_RAW_BYTES], kind, *bytes;
    size_t len;
    bool fits;
    pipit_err err = decode_part(signature, &bytes, &len, reason);

    if (err)
        return err;
    fits = len == crypto_sign_BYTES && !pp_nkey_decode_any(jwt->issuer, &kind, key) &&
           kind != PP_NKEY_CURVE &&
           crypto_sign_verify_detached(bytes, (const uint8_t *)text.ptr, text.len, key) == 0;
    pp_free(bytes);
    if (!fits)
        return fail(reason, "claim failed signature verification");
    if (!may_issue(jwt))
        return fail(reason, "unable to validate expected prefixes");
    return PIPIT_OK;
}

pipit_err pp_jwt_decode(pp_jwt *out_jwt, pp_str token, char reason[PP_JWT_REASON_BYTES])
{
    size_t signed_len;
    bool old, payload_only;
    pp_str part[3];
    pipit_err err;

    *out_jwt = (pp_jwt){0};
    reason[0] = '\0';
    if (sodium_init() < 0)
        return fail(reason, "libsodium does not start");
    if (token.len > PP_JWT_BYTES_MAX) {
        (void)snprintf(reason, PP_JWT_REASON_BYTES,
                       "token size %zu exceeds maximum of %d bytes: token too large", token.len,
                       (int)PP_JWT_BYTES_MAX);
        return PIPIT_EINVAL;
    }
    if (!token.len || !cut(token, part, &signed_len))
        return fail(reason, "expected 3 chunks");
    err = check_header(part[0], &old, reason);
    if (!err)
        err = load_part(&out_jwt->payload, part[1], reason);
    if (!err)
        err = read_common(out_jwt, reason);
    if (err)
        return err;
    /* Of a token without a known type only the header says how it is signed. */
    payload_only = out_jwt->type == PP_JWT_GENERIC ? old : out_jwt->version <= 1;
    return verify(out_jwt, payload_only ? part[1] : (pp_str){token.ptr, signed_len}, part[2],
                  reason);
}

bool pp_jwt_looks_like(pp_str text)
{
    return pp_str_starts(text, PP_STR("eyJ"));
}

/* --- reading claims ------------------------------------------------------------------------ */

void pp_claim_fail(pp_claim_reader *reader, const char *name)
{
    if (reader->err)
        return;
    reader->err = PIPIT_EINVAL;
    reader->wrong = name;
}

void *pp_claim_alloc(pp_claim_reader *reader, size_t count, size_t bytes)
{
    void *memory = reader->err ? NULL : pp_jwt_alloc(reader->jwt, count, bytes);

    if (!memory && !reader->err)
        reader->err = PIPIT_ENOMEM;
    return memory;
}

const json_t *pp_claim_find(pp_claim_reader *reader, const json_t *object, const char *name)
{
    const json_t *found = NULL;
    json_t *value;
    const char *key;

    if (reader->err || !object)
        return NULL;
    json_object_foreach((json_t *)object, key, value)
    {
        if (!pp_str_eq_nocase(pp_str_of(key), pp_str_of(name)))
            continue;
        if (found) {
            pp_claim_fail(reader, name);
            return NULL;
        }
        found = value;
    }
    return json_is_null(found) ? NULL : found;
}

pp_str pp_claim_text(pp_claim_reader *reader, const json_t *object, const char *name)
{
    const json_t *value = pp_claim_find(reader, object, name);

    if (value && json_is_string(value))
        return (pp_str){json_string_value(value), json_string_length(value)};
    if (value)
        pp_claim_fail(reader, name);
    return PP_STR("");
}

int64_t pp_claim_int(pp_claim_reader *reader, const json_t *object, const char *name,
                     int64_t absent)
{
    const json_t *value = pp_claim_find(reader, object, name);

    if (value && json_is_integer(value))
        return json_integer_value(value);
    if (value)
        pp_claim_fail(reader, name);
    return absent;
}

bool pp_claim_bool(pp_claim_reader *reader, const json_t *object, const char *name)
{
    const json_t *value = pp_claim_find(reader, object, name);

    if (value && !json_is_boolean(value))
        pp_claim_fail(reader, name);
    return value && json_is_true(value);
}

const json_t *pp_claim_object(pp_claim_reader *reader, const json_t *object, const char *name)
{
    const json_t *value = pp_claim_find(reader, object, name);

    if (value && !json_is_object(value)) {
        pp_claim_fail(reader, name);
        return NULL;
    }
    return value;
}

const json_t *pp_claim_array(pp_claim_reader *reader, const json_t *object, const char *name)
{
    const json_t *value = pp_claim_find(reader, object, name);

    if (value && !json_is_array(value)) {
        pp_claim_fail(reader, name);
        return NULL;
    }
    return value;
}

pp_claim_list pp_claim_texts(pp_claim_reader *reader, const json_t *object, const char *name,
                             bool *out_given)
{
    const json_t *array = pp_claim_array(reader, object, name);
    size_t count = json_array_size(array);
    pp_str *texts = count ? pp_claim_alloc(reader, count, sizeof(*texts)) : NULL;

    if (out_given)
        *out_given = array != NULL;
    for (size_t i = 0; texts && i < count; i++) {
        const json_t *value = json_array_get(array, i);

        if (!json_is_string(value)) {
            pp_claim_fail(reader, name);
            return (pp_claim_list){0};
        }
        texts[i] = (pp_str){json_string_value(value), json_string_length(value)};
    }
    return (pp_claim_list){texts, texts ? count : 0};
}
