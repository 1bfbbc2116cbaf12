#include "server/monitor/peer_certs.h"

#include "base/json.h"
#include "proto/nats/shown_certificate.h"
#include "tls/layer.h"

enum { HASH_BYTES = 32 };

static pipit_err add_hex(pp_buf *out, const void *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = bytes;
    pipit_err err = PIPIT_OK;

    for (size_t i = 0; i < len && !err; i++)
        err = pp_buf_add(out, (char[2]){digits[from[i] >> 4], digits[from[i] & 15]}, 2);
    return err;
}

/* A text in DER, as Go makes one: PrintableString if it can be. */
static pipit_err add_der_text(pp_buf *out, pp_str text)
{
    static const char printable[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                    " '()+,-./:=?";
    bool plain = true;
    uint8_t head[4] = {0};
    size_t head_len = 0;
    pipit_err err;

    for (size_t i = 0; i < text.len; i++)
        plain &= text.ptr[i] && strchr(printable, text.ptr[i]);
    head[head_len++] = plain ? 0x13 : 0x0c;
    if (text.len > 0xff)
        head[head_len++] = 0x82;
    else if (text.len > 0x7f)
        head[head_len++] = 0x81;
    if (text.len > 0xff)
        head[head_len++] = (uint8_t)(text.len >> 8);
    head[head_len++] = (uint8_t)text.len;
    err = add_hex(out, head, head_len);
    return err ? err : add_hex(out, text.ptr, text.len);
}

/* Behind the names that everybody knows come the others, the last one first, by number. */
static pipit_err add_odd_names(pp_buf *out, const pp_certificate *certificate)
{
    pipit_err err = PIPIT_OK;

    for (size_t i = certificate->subject_count; i-- > 0 && !err;) {
        const pp_certificate_attribute *name = &certificate->subject[i];

        if (pp_certificate_writes(name->oid) || !name->value.ptr || name->value.len > UINT16_MAX)
            continue;
        err = pp_buf_addf(out, "%s%.*s=#", out->len ? "," : "", PP_STR_ARGS(name->oid));
        if (!err)
            err = add_der_text(out, name->value);
    }
    return err;
}

static pipit_err write_hash(pp_json *json, const char *key, const uint8_t hash[HASH_BYTES])
{
    pipit_err err;
    pp_buf hex;

    pp_buf_init(&hex, 2 * HASH_BYTES);
    err = add_hex(&hex, hash, HASH_BYTES);
    if (!err)
        pp_json_text(json, key, pp_buf_str(&hex));
    pp_buf_fini(&hex);
    return err;
}

static pipit_err write_one(pp_json *json, const pp_nats_shown_certificate *shown)
{
    const pp_tls_identity *identity = pp_nats_shown_certificate_identity(shown);
    pipit_err err;
    pp_buf subject;

    pp_buf_init(&subject, PP_PEER_CERTS_MAX);
    err = pp_certificate_subject(pp_nats_shown_certificate_of(shown), &subject);
    if (!err)
        err = add_odd_names(&subject, pp_nats_shown_certificate_of(shown));
    if (!err && subject.len)
        pp_json_text(json, "subject", pp_buf_str(&subject));
    if (!err)
        err = write_hash(json, "spki_sha256", identity->spki_sha256);
    if (!err)
        err = write_hash(json, "cert_sha256", identity->cert_sha256);
    pp_buf_fini(&subject);
    return err;
}

pipit_err pp_peer_certs_write(pp_buf *out, const pp_conn *conn)
{
    const pp_layer *layer = pp_tls_layer_of(conn);
    size_t count = layer ? pp_tls_layer_peer_count(layer) : 0;
    pipit_err err = PIPIT_OK, done;
    pp_json json;

    if (!count)
        return PIPIT_OK;
    pp_json_init(&json, out, 0);
    pp_json_begin_array(&json, NULL);
    for (size_t i = 0; i < count && err != PIPIT_ENOMEM; i++) {
        pp_nats_shown_certificate *shown;

        err = pp_nats_shown_certificate_new(&shown, conn, i);
        pp_json_begin_object(&json, NULL);
        if (!err)
            err = write_one(&json, shown);
        pp_json_end_object(&json);
        pp_nats_shown_certificate_free(shown);
    }
    pp_json_end_array(&json);
    done = pp_json_finish(&json);
    return err == PIPIT_ENOMEM ? err : done;
}
