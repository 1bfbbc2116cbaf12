#include "auth/callout_request.h"

#include "auth/xkey.h"
#include "base/json.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { BASE64 = sodium_base64_VARIANT_URLSAFE_NO_PADDING, ID_BYTES = 20 };

/* --- what the server knows ----------------------------------------------------------------- */

/* What is empty is not said. */
static void put(pp_json *json, const char *key, pp_str value)
{
    if (value.len)
        pp_json_text(json, key, value);
}

static void put_server(pp_json *json, const pp_callout_request *request)
{
    const pp_callout_server *server = request->server;

    pp_json_begin_object(json, "server_id");
    pp_json_text(json, "name", pp_str_of(server->name));
    pp_json_text(json, "host", pp_str_of(server->host));
    pp_json_text(json, "id", pp_str_of(server->id));
    put(json, "version", pp_str_of(server->version));
    put(json, "cluster", pp_str_of(server->cluster));
    if (server->tag_count) {
        pp_json_begin_array(json, "tags");
        for (size_t i = 0; i < server->tag_count; i++)
            pp_json_text(json, NULL, pp_str_of(server->tags[i]));
        pp_json_end_array(json);
    }
    if (request->service_xkey)
        put(json, "xkey", pp_str_of(server->xkey));
    pp_json_end_object(json);
}

static pp_str name_of(const pp_callout_request *request)
{
    return request->user.len ? request->user : request->shown->user;
}

/* Who it says it is. A token is a secret, and is said elsewhere. */
static pp_str user_of(const pp_callout_request *request)
{
    const pp_login_shown *shown = request->shown;

    if (shown->nkey.len)
        return shown->nkey;
    if (name_of(request).len)
        return name_of(request);
    if (request->jwt.len)
        return request->user_key;
    return shown->token.len ? PP_STR("[REDACTED]") : PP_STR("");
}

static pp_str type_of(const pp_login_shown *shown)
{
    static const pp_str types[PP_ENTRANCE_COUNT] = {
        [PP_ENTRANCE_CLIENTS] = {"nats", 4},
        [PP_ENTRANCE_WEBSOCKET] = {"websocket", 9},
        [PP_ENTRANCE_MQTT] = {"mqtt", 4},
    };

    return types[shown->entrance];
}

static void put_client(pp_json *json, const pp_callout_request *request)
{
    const pp_login_shown *shown = request->shown;

    pp_json_begin_object(json, "client_info");
    put(json, "host", shown->host);
    pp_json_u64(json, "id", shown->connection_id);
    put(json, "user", user_of(request));
    put(json, "name", shown->name);
    if (request->user_tag_count) {
        pp_json_begin_array(json, "tags");
        for (size_t i = 0; i < request->user_tag_count; i++)
            pp_json_text(json, NULL, request->user_tags[i]);
        pp_json_end_array(json);
    }
    put(json, "name_tag", request->user_name);
    put(json, "kind",
        shown->entrance == PP_ENTRANCE_LEAFNODES ? PP_STR("Leafnode") : PP_STR("Client"));
    put(json, "type", type_of(shown));
    if (shown->sig.len)
        put(json, "nonce", shown->nonce);
    pp_json_end_object(json);
}

static void put_options(pp_json *json, const pp_callout_request *request)
{
    const pp_login_shown *shown = request->shown;

    pp_json_begin_object(json, "connect_opts");
    put(json, "jwt", request->jwt);
    put(json, "nkey", shown->nkey);
    put(json, "sig", shown->sig);
    put(json, "auth_token", shown->token);
    put(json, "user", name_of(request));
    put(json, "pass", shown->pass);
    put(json, "name", shown->name);
    put(json, "lang", shown->lang);
    put(json, "version", shown->version);
    pp_json_i64(json, "protocol", shown->protocol);
    pp_json_end_object(json);
}

/* A certificate in DER as one in PEM. */
static pipit_err add_pem(pp_str der, pp_buf *out)
{
    enum { LINE_BYTES = 48 }; /* 64 characters */
    pipit_err err = pp_buf_addf(out, "-----BEGIN CERTIFICATE-----\n");

    for (size_t at = 0; at < der.len && !err; at += LINE_BYTES) {
        char line[LINE_BYTES / 3 * 4 + 1];
        size_t len = der.len - at < LINE_BYTES ? der.len - at : LINE_BYTES;

        (void)sodium_bin2base64(line, sizeof(line), (const uint8_t *)der.ptr + at, len,
                                sodium_base64_VARIANT_ORIGINAL);
        err = pp_buf_addf(out, "%s\n", line);
    }
    return err ? err : pp_buf_addf(out, "-----END CERTIFICATE-----\n");
}

static pipit_err put_tls(pp_json *json, const pp_login_tls *tls, size_t max)
{
    pipit_err err = PIPIT_OK;
    pp_buf pem;

    if (!tls)
        return PIPIT_OK;
    pp_json_begin_object(json, "client_tls");
    put(json, "version", tls->version);
    put(json, "cipher", tls->cipher);
    if (tls->chain_count) {
        pp_json_begin_array(json, "verified_chains");
        pp_json_begin_array(json, NULL);
        for (size_t i = 0; i < tls->chain_count && !err; i++) {
            pp_buf_init(&pem, max);
            err = add_pem(tls->chain[i], &pem);
            pp_json_text(json, NULL, pp_buf_str(&pem));
            pp_buf_fini(&pem);
        }
        pp_json_end_array(json);
        pp_json_end_array(json);
    }
    pp_json_end_object(json);
    return err;
}

static pipit_err write_payload(const pp_callout_request *request, pp_buf *out)
{
    uint8_t id[ID_BYTES];
    char id_text[2 * ID_BYTES + 1];
    pipit_err err, tls_err;
    pp_json json;

    randombytes_buf(id, sizeof(id));
    pp_json_init(&json, out, 0);
    pp_json_begin_object(&json, NULL);
    pp_json_text(&json, "aud", PP_STR(PP_CALLOUT_AUDIENCE));
    pp_json_i64(&json, "exp", request->expires_s);
    pp_json_text(&json, "jti", pp_str_of(sodium_bin2hex(id_text, sizeof(id_text), id, sizeof(id))));
    pp_json_i64(&json, "iat", request->now_s);
    pp_json_text(&json, "iss", pp_str_of(request->server->id));
    pp_json_text(&json, "sub", request->issuer);
    pp_json_begin_object(&json, "nats");
    put_server(&json, request);
    pp_json_text(&json, "user_nkey", request->user_nkey);
    put_client(&json, request);
    put_options(&json, request);
    tls_err = put_tls(&json, request->shown->tls, out->max);
    pp_json_text(&json, "type", PP_STR("authorization_request"));
    pp_json_i64(&json, "version", 2);
    pp_json_end_object(&json);
    pp_json_end_object(&json);
    err = pp_json_finish(&json);
    return err ? err : tls_err;
}

/* --- the token ----------------------------------------------------------------------------- */

static pipit_err add_base64(pp_buf *out, const void *bytes, size_t len)
{
    size_t room = sodium_base64_encoded_len(len, BASE64); /* with a NUL */
    pipit_err err = pp_buf_reserve(out, room);

    if (err)
        return err;
    (void)sodium_bin2base64(out->ptr + out->len, room, bytes, len, BASE64);
    out->len += room - 1;
    return PIPIT_OK;
}

/* Source: section 4.1. */
static pipit_err add_token(const pp_callout_server *server, pp_str payload, pp_buf *out)
{
    static const char header[] = "{\"typ\":\"JWT\",\"alg\":\"ed25519-nkey\"}";
    uint8_t signature[PP_NKEY_SIGNATURE_BYTES];
    size_t start = out->len;
    pipit_err err = add_base64(out, header, strlen(header));

    if (!err)
        err = pp_buf_add(out, ".", 1);
    if (!err)
        err = add_base64(out, payload.ptr, payload.len);
    if (err)
        return err;
    pp_nkey_sign(server->seed, (pp_str){out->ptr + start, out->len - start}, signature);
    err = pp_buf_add(out, ".", 1);
    return err ? err : add_base64(out, signature, sizeof(signature));
}

static void wipe(pp_buf *buf)
{
    if (buf->len)
        sodium_memzero(buf->ptr, buf->len);
    pp_buf_fini(buf);
}

pipit_err pp_callout_request_write(const pp_callout_request *request, pp_buf *out)
{
    pp_buf payload, token;
    pipit_err err;

    pp_buf_init(&payload, out->max);
    pp_buf_init(&token, out->max);
    err = write_payload(request, &payload);
    if (!err)
        err =
            add_token(request->server, pp_buf_str(&payload), request->service_xkey ? &token : out);
    if (!err && request->service_xkey)
        err = pp_xkey_seal(request->server->xkey_seed, request->service_xkey, pp_buf_str(&token),
                           out);
    wipe(&payload);
    wipe(&token);
    return err;
}
