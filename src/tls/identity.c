/* The certificate is gone through twice: once to count, once to copy into one piece of memory. */
#include "tls/identity.h"

#include "base/alloc.h"
#include "base/openssl.h"

#include <string.h>

enum { TEXT_MAX = 64 * 1024, OID_MAX = 128 };

/* Where texts go: nowhere while they are counted. */
struct pen {
    char *at;
    size_t bytes;
};

static pp_str write_text(struct pen *pen, const char *text, size_t len)
{
    pp_str written = {pen->at, len};

    if (pen->at) {
        memcpy(pen->at, text, len);
        pen->at += len;
    }
    pen->bytes += len;
    return written;
}

/* --- alternative names -------------------------------------------------------------------- */

static bool is_plain(const ASN1_IA5STRING *text)
{
    const unsigned char *bytes = ASN1_STRING_get0_data(text);

    for (int i = 0; i < ASN1_STRING_length(text); i++) {
        if (bytes[i] == 0 || bytes[i] > 0x7f)
            return false;
    }
    return ASN1_STRING_length(text) > 0;
}

/* Returns how many there are of the kind. to: NULL while they are counted. */
static size_t write_names(struct pen *pen, const GENERAL_NAMES *names, int kind, pp_str *to)
{
    size_t count = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        const ASN1_IA5STRING *text;
        pp_str written;

        if (name->type != kind)
            continue;
        text = name->d.ia5; /* the same member for all three kinds */
        if (!is_plain(text))
            continue;
        written = write_text(pen, (const char *)ASN1_STRING_get0_data(text),
                             (size_t)ASN1_STRING_length(text));
        if (to)
            to[count] = written;
        count++;
    }
    return count;
}

/* --- the subject -------------------------------------------------------------------------- */

static bool is_text(int type)
{
    return type == V_ASN1_UTF8STRING || type == V_ASN1_PRINTABLESTRING ||
           type == V_ASN1_T61STRING || type == V_ASN1_IA5STRING || type == V_ASN1_NUMERICSTRING ||
           type == V_ASN1_BMPSTRING;
}

static size_t write_subject(struct pen *pen, const X509_NAME *subject, pp_tls_attribute *to)
{
    int count = X509_NAME_entry_count(subject);

    for (int i = 0; i < count; i++) {
        X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, i);
        const ASN1_STRING *value = X509_NAME_ENTRY_get_data(entry);
        char oid[OID_MAX];
        int oid_len = OBJ_obj2txt(oid, sizeof(oid), X509_NAME_ENTRY_get_object(entry), 1);
        unsigned char *utf8 = NULL;
        int len = is_text(ASN1_STRING_type(value)) ? ASN1_STRING_to_UTF8(&utf8, value) : -1;
        pp_tls_attribute attribute = {.rdn = (size_t)X509_NAME_ENTRY_set(entry)};

        if (oid_len < 0 || oid_len >= OID_MAX)
            oid_len = 0; /* nothing that anybody has a name for */
        attribute.oid = write_text(pen, oid, (size_t)oid_len);
        if (len >= 0)
            attribute.value = write_text(pen, len ? (const char *)utf8 : "", (size_t)len);
        OPENSSL_free(utf8);
        if (to)
            to[i] = attribute;
    }
    return (size_t)count;
}

/* --- the whole ---------------------------------------------------------------------------- */

struct counts {
    size_t emails, dns_names, uris, attributes, text_bytes;
};

static struct counts count_all(const X509_NAME *subject, const GENERAL_NAMES *names)
{
    struct pen pen = {NULL, 0};
    struct counts c = {
        .emails = write_names(&pen, names, GEN_EMAIL, NULL),
        .dns_names = write_names(&pen, names, GEN_DNS, NULL),
        .uris = write_names(&pen, names, GEN_URI, NULL),
        .attributes = write_subject(&pen, subject, NULL),
    };

    c.text_bytes = pen.bytes;
    return c;
}

static pp_tls_identity *copy_all(const X509_NAME *subject, const GENERAL_NAMES *names,
                                 const struct counts *c)
{
    size_t names_bytes = (c->emails + c->dns_names + c->uris) * sizeof(pp_str);
    pp_tls_identity *identity =
        pp_calloc(1, sizeof(*identity) + c->attributes * sizeof(pp_tls_attribute) + names_bytes +
                         c->text_bytes + 1);
    pp_tls_attribute *attributes;
    pp_str *texts;
    struct pen pen = {NULL, 0};

    if (!identity)
        return NULL;
    attributes = (pp_tls_attribute *)(identity + 1);
    texts = (pp_str *)(attributes + c->attributes);
    pen.at = (char *)(texts + c->emails + c->dns_names + c->uris);
    identity->emails = texts;
    identity->email_count = write_names(&pen, names, GEN_EMAIL, texts);
    texts += c->emails;
    identity->dns_names = texts;
    identity->dns_name_count = write_names(&pen, names, GEN_DNS, texts);
    texts += c->dns_names;
    identity->uris = texts;
    identity->uri_count = write_names(&pen, names, GEN_URI, texts);
    identity->subject = attributes;
    identity->subject_count = write_subject(&pen, subject, attributes);
    return identity;
}

static bool fill_hashes(pp_tls_identity *identity, X509 *cert)
{
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    bool done = len > 0 &&
                EVP_Digest(der, (size_t)len, identity->spki_sha256, NULL, EVP_sha256(), NULL) &&
                X509_digest(cert, EVP_sha256(), identity->cert_sha256, NULL);

    OPENSSL_free(der);
    return done;
}

pipit_err pp_tls_identity_new(pp_tls_identity **out, pp_str der)
{
    const unsigned char *at = (const unsigned char *)der.ptr;
    X509 *cert;
    pp_tls_identity *identity = NULL;
    GENERAL_NAMES *names = NULL;
    pipit_err err;
    struct counts counts;
    size_t ends;

    err = pp_openssl_load(NULL);
    if (err)
        return err;
    cert = der.len <= INT32_MAX ? d2i_X509(NULL, &at, (long)der.len) : NULL;
    err = PIPIT_EPROTO;
    if (!cert || at != (const unsigned char *)der.ptr + der.len)
        goto out;
    names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    counts = count_all(X509_get_subject_name(cert), names);
    ends = counts.emails + counts.dns_names + counts.uris + counts.attributes;
    err = PIPIT_ELIMIT;
    if (counts.text_bytes > TEXT_MAX || ends > TEXT_MAX / 4)
        goto out;
    err = PIPIT_ENOMEM;
    identity = copy_all(X509_get_subject_name(cert), names, &counts);
    if (!identity || !fill_hashes(identity, cert))
        goto out;
    *out = identity;
    identity = NULL;
    err = PIPIT_OK;
out:
    pp_free(identity);
    GENERAL_NAMES_free(names);
    X509_free(cert);
    ERR_clear_error();
    return err;
}
