#include "tls/records.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/openssl.h"

#include <string.h>

enum {
    VERSION_HIGH = 3, /* what all records of TLS 1.3 say of their version, for old boxes between */
    VERSION_LOW = 3,
    PLAIN_MAX = 16384,
    KEY_UPDATE = 24,
    CLOSE_NOTIFY = 0,
    UNEXPECTED_MESSAGE = 10,
    BAD_RECORD_MAC = 20,
    RECORD_OVERFLOW = 22,
    ILLEGAL_PARAMETER = 47,
    DECODE_ERROR = 50,
    INTERNAL_ERROR = 80,
    USER_CANCELED = 90,
};

struct pp_tls_suite {
    unsigned number;
    const EVP_CIPHER *(*cipher)(void);
    const char *digest;
    uint8_t key_bytes, secret_bytes;
};

/* --- suites ------------------------------------------------------------------------------- */

static const EVP_CIPHER *aes_128(void)
{
    return EVP_aes_128_gcm();
}

static const EVP_CIPHER *aes_256(void)
{
    return EVP_aes_256_gcm();
}

static const EVP_CIPHER *chacha20(void)
{
    return EVP_chacha20_poly1305();
}

static const struct pp_tls_suite suites[] = {
    {0x1301, aes_128, "SHA256", 16, 32},
    {0x1302, aes_256, "SHA384", 32, 48},
    {0x1303, chacha20, "SHA256", 32, 32},
};

static const struct pp_tls_suite *find_suite(unsigned number)
{
    for (size_t i = 0; i < sizeof(suites) / sizeof(*suites); i++) {
        if (suites[i].number == number)
            return &suites[i];
    }
    return NULL;
}

/* --- keys --------------------------------------------------------------------------------- */

/* HKDF-Expand-Label(secret, label, "", len) */
static bool expand(EVP_KDF_CTX *kdf, const struct pp_tls_suite *suite, const uint8_t *secret,
                   const char *label, uint8_t *out, size_t len)
{
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    OSSL_PARAM params[] = {
        OSSL_PARAM_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)suite->digest, 0),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, (uint8_t *)secret, suite->secret_bytes),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_PREFIX, (char *)"tls13 ", 6),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_LABEL, (char *)label, strlen(label)),
        OSSL_PARAM_END,
    };

    return EVP_KDF_derive(kdf, out, len, params) == 1;
}

static EVP_KDF_CTX *kdf_new(void)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_3_KDF, NULL);
    EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;

    EVP_KDF_free(kdf); /* the context holds it */
    return context;
}

/* The secret is set: make of it what records need, and count anew. */
static bool derive(EVP_KDF_CTX *kdf, const struct pp_tls_suite *suite, pp_tls_keys *keys)
{
    keys->count = 0;
    return expand(kdf, suite, keys->secret, "key", keys->key, suite->key_bytes) &&
           expand(kdf, suite, keys->secret, "iv", keys->iv, sizeof(keys->iv));
}

static bool renew(const struct pp_tls_suite *suite, pp_tls_keys *keys)
{
    uint8_t next[PP_TLS_SECRET_MAX];
    EVP_KDF_CTX *kdf = kdf_new();
    bool done = kdf && expand(kdf, suite, keys->secret, "traffic upd", next, suite->secret_bytes);

    if (done) {
        memcpy(keys->secret, next, suite->secret_bytes);
        done = derive(kdf, suite, keys);
    }
    explicit_bzero(next, sizeof(next));
    EVP_KDF_CTX_free(kdf);
    ERR_clear_error();
    return done;
}

pipit_err pp_tls_records_new(pp_tls_records **out, unsigned number, pp_str in_secret,
                             pp_str out_secret, uint64_t sealed)
{
    const struct pp_tls_suite *suite = find_suite(number);
    pp_tls_records *records;
    EVP_KDF_CTX *kdf;
    bool done;

    if (!suite || in_secret.len != suite->secret_bytes || out_secret.len != suite->secret_bytes)
        return PIPIT_EINVAL;
    records = pp_calloc(1, sizeof(*records));
    if (!records)
        return PIPIT_ENOMEM;
    records->suite = suite;
    memcpy(records->in.secret, in_secret.ptr, in_secret.len);
    memcpy(records->out.secret, out_secret.ptr, out_secret.len);
    kdf = kdf_new();
    done = kdf && derive(kdf, suite, &records->in) && derive(kdf, suite, &records->out);
    EVP_KDF_CTX_free(kdf);
    records->out.count = sealed;
    if (!done) {
        ERR_clear_error();
        pp_tls_records_free(records);
        return PIPIT_ENOMEM;
    }
    *out = records;
    return PIPIT_OK;
}

unsigned pp_tls_records_suite(const pp_tls_records *records)
{
    return records->suite->number;
}

void pp_tls_records_free(pp_tls_records *records)
{
    if (records)
        explicit_bzero(records, sizeof(*records));
    pp_free(records);
}

/* --- the cipher --------------------------------------------------------------------------- */

void pp_tls_cipher_context_fini(pp_tls_cipher_context *cipher)
{
    if (cipher->context)
        EVP_CIPHER_CTX_free(cipher->context);
    explicit_bzero(cipher, sizeof(*cipher));
}

/* Ready for the next record of keys. Whose key the cipher has is told by the key itself: memory of
 * a connection that has gone may be another's now. */
static bool prepare(pp_tls_cipher_context *cipher, const struct pp_tls_suite *suite,
                    pp_tls_keys *keys, bool sealing)
{
    bool other_suite = cipher->suite != suite;
    bool other_key = other_suite || memcmp(cipher->key, keys->key, suite->key_bytes) != 0;
    uint8_t nonce[sizeof(keys->iv)];

    PP_ASSERT(keys->count < UINT64_MAX);
    memcpy(nonce, keys->iv, sizeof(nonce));
    for (unsigned i = 0; i < 8; i++)
        nonce[sizeof(nonce) - 1 - i] ^= (uint8_t)(keys->count >> 8 * i);
    keys->count++; /* whatever becomes of it: no number is used twice */
    if (!cipher->context)
        cipher->context = EVP_CIPHER_CTX_new();
    cipher->suite = NULL; /* should the following fail */
    if (!cipher->context ||
        !EVP_CipherInit_ex(cipher->context, other_suite ? suite->cipher() : NULL, NULL,
                           other_key ? keys->key : NULL, nonce, sealing))
        return false;
    cipher->suite = suite;
    memcpy(cipher->key, keys->key, suite->key_bytes);
    return true;
}

static void write_head(char *to, size_t sealed_len)
{
    uint8_t head[PP_TLS_HEAD_BYTES] = {PP_TLS_DATA, VERSION_HIGH, VERSION_LOW,
                                       (uint8_t)(sealed_len >> 8), (uint8_t)sealed_len};

    memcpy(to, head, sizeof(head));
}

/* --- sealing ------------------------------------------------------------------------------ */

static size_t seal_one(pp_tls_records *records, pp_tls_cipher_context *cipher, pp_tls_kind kind,
                       pp_str bytes, char *to)
{
    size_t len = bytes.len + 1, at = PP_TLS_HEAD_BYTES;
    unsigned char last = (unsigned char)kind;
    unsigned char *out = (unsigned char *)to;
    int n = 0;

    PP_ASSERT(bytes.len <= PLAIN_MAX);
    if (!prepare(cipher, records->suite, &records->out, true))
        return 0;
    write_head(to, len + PP_TLS_TAG_BYTES);
    if (!EVP_CipherUpdate(cipher->context, NULL, &n, out, PP_TLS_HEAD_BYTES))
        return 0;
    if (bytes.len && !EVP_CipherUpdate(cipher->context, out + at, &n,
                                       (const unsigned char *)bytes.ptr, (int)bytes.len))
        return 0;
    at += bytes.len;
    if (!EVP_CipherUpdate(cipher->context, out + at, &n, &last, 1) ||
        !EVP_CipherFinal_ex(cipher->context, out + at + 1, &n) ||
        !EVP_CIPHER_CTX_ctrl(cipher->context, EVP_CTRL_AEAD_GET_TAG, PP_TLS_TAG_BYTES,
                             out + at + 1))
        return 0;
    return at + 1 + PP_TLS_TAG_BYTES;
}

const char pp_tls_key_update[] = {KEY_UPDATE, 0, 0, 1, 0};

bool pp_tls_records_next_keys(pp_tls_records *records)
{
    return renew(records->suite, &records->out);
}

size_t pp_tls_records_renew(pp_tls_records *records, pp_tls_cipher_context *cipher, char *to)
{
    pp_str update = {pp_tls_key_update, sizeof(pp_tls_key_update)};
    size_t n = seal_one(records, cipher, PP_TLS_HANDSHAKE, update, to);

    records->asked = false;
    return n && pp_tls_records_next_keys(records) ? n : 0;
}

size_t pp_tls_records_seal(pp_tls_records *records, pp_tls_cipher_context *cipher, pp_tls_kind kind,
                           pp_str bytes, char *to)
{
    size_t before = 0, n;

    if (records->out.count >= pp_tls_records_of_key) {
        before = pp_tls_records_renew(records, cipher, to);
        if (!before)
            return 0;
    }
    n = seal_one(records, cipher, kind, bytes, to + before);
    return n ? before + n : 0;
}

/* --- opening ------------------------------------------------------------------------------ */

static pipit_err fail(pp_tls_records *records, uint8_t alert, const char *wrong)
{
    records->alert = alert;
    records->wrong = wrong;
    ERR_clear_error();
    return PIPIT_EPROTO;
}

static size_t sealed_len(pp_str record)
{
    const uint8_t *head = (const uint8_t *)record.ptr;

    return (size_t)(head[3] << 8 | head[4]);
}

size_t pp_tls_records_whole(pp_str window)
{
    size_t len;

    if (window.len < PP_TLS_HEAD_BYTES)
        return 0;
    len = sealed_len(window);
    if (len > PP_TLS_SEALED_MAX)
        return PP_TLS_HEAD_BYTES;
    return window.len - PP_TLS_HEAD_BYTES >= len ? PP_TLS_HEAD_BYTES + len : 0;
}

/* Decrypt, and see that it is what the peer has sealed: before that nothing of it counts. */
static bool decrypt(pp_tls_records *records, pp_tls_cipher_context *cipher, pp_str record, char *to,
                    size_t len)
{
    const unsigned char *in = (const unsigned char *)record.ptr;
    unsigned char *out = (unsigned char *)to;
    unsigned char tag[PP_TLS_TAG_BYTES];
    int n = 0;

    memcpy(tag, in + PP_TLS_HEAD_BYTES + len, sizeof(tag));
    return prepare(cipher, records->suite, &records->in, false) &&
           EVP_CipherUpdate(cipher->context, NULL, &n, in, PP_TLS_HEAD_BYTES) &&
           EVP_CipherUpdate(cipher->context, out, &n, in + PP_TLS_HEAD_BYTES, (int)len) &&
           EVP_CIPHER_CTX_ctrl(cipher->context, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) &&
           EVP_CipherFinal_ex(cipher->context, out + n, &n) > 0;
}

/* A message about the handshake after it: other keys are the only one that a client may send. */
static pipit_err hear_handshake(pp_tls_records *records, pp_str bytes)
{
    static const uint8_t update[] = {KEY_UPDATE, 0, 0, 1};

    if (bytes.len == 0 || bytes.len > sizeof(records->heard) - records->heard_len)
        return fail(records, UNEXPECTED_MESSAGE, "unexpected message");
    memcpy(records->heard + records->heard_len, bytes.ptr, bytes.len);
    records->heard_len = (uint8_t)(records->heard_len + bytes.len);
    if (records->heard[0] != KEY_UPDATE)
        return fail(records, UNEXPECTED_MESSAGE, "unexpected message");
    if (records->heard_len < sizeof(records->heard))
        return PIPIT_OK;
    if (memcmp(records->heard, update, sizeof(update)) != 0)
        return fail(records, DECODE_ERROR, "bad key update");
    if (records->heard[4] > 1)
        return fail(records, ILLEGAL_PARAMETER, "bad key update");
    records->heard_len = 0;
    records->asked |= records->heard[4] == 1;
    return renew(records->suite, &records->in) ? PIPIT_OK
                                               : fail(records, INTERNAL_ERROR, "out of memory");
}

static pipit_err hear_alert(pp_tls_records *records, pp_str bytes)
{
    if (bytes.len != 2)
        return fail(records, DECODE_ERROR, "bad alert");
    switch (bytes.ptr[1]) {
    case CLOSE_NOTIFY:
        records->ended = true;
        return PIPIT_OK;
    case USER_CANCELED: /* the end follows */
        return PIPIT_OK;
    default:
        return fail(records, 0, "the peer has sent an alert");
    }
}

/* What does the connection itself say? */
static pipit_err hear(pp_tls_records *records, uint8_t kind, pp_str bytes)
{
    if (++records->fruitless > PP_TLS_FRUITLESS_MAX)
        return fail(records, UNEXPECTED_MESSAGE, "too many records that bring nothing");
    switch (kind) {
    case PP_TLS_HANDSHAKE:
        return hear_handshake(records, bytes);
    case PP_TLS_ALERT:
        return hear_alert(records, bytes);
    case PP_TLS_DATA:
        return PIPIT_OK;
    default:
        return fail(records, UNEXPECTED_MESSAGE, "unexpected record");
    }
}

pipit_err pp_tls_records_open(pp_tls_records *records, pp_tls_cipher_context *cipher, pp_str record,
                              char *to, size_t *out_len)
{
    size_t len = sealed_len(record);
    uint8_t kind;

    *out_len = 0;
    if (record.ptr[0] != PP_TLS_DATA || record.ptr[1] != VERSION_HIGH ||
        record.ptr[2] != VERSION_LOW)
        return fail(records, UNEXPECTED_MESSAGE, "unexpected record");
    if (len > PP_TLS_SEALED_MAX)
        return fail(records, RECORD_OVERFLOW, "encrypted length too long");
    PP_ASSERT(record.len == PP_TLS_HEAD_BYTES + len);
    if (len < PP_TLS_TAG_BYTES + 1)
        return fail(records, BAD_RECORD_MAC, "length too short");
    len -= PP_TLS_TAG_BYTES;
    if (!decrypt(records, cipher, record, to, len))
        return fail(records, BAD_RECORD_MAC, "decryption failed or bad record mac");
    /* Its kind is the last that is not zero: what is behind it hides how long it is. */
    while (len && to[len - 1] == 0)
        len--;
    if (len == 0)
        return fail(records, UNEXPECTED_MESSAGE, "bad record type");
    kind = (uint8_t)to[--len];
    if (len > PLAIN_MAX)
        return fail(records, RECORD_OVERFLOW, "data length too long");
    if (records->heard_len && kind != PP_TLS_HANDSHAKE)
        return fail(records, UNEXPECTED_MESSAGE, "unexpected record");
    if (kind != PP_TLS_DATA || len == 0)
        return hear(records, kind, (pp_str){to, len});
    records->fruitless = 0;
    *out_len = len;
    return PIPIT_OK;
}
