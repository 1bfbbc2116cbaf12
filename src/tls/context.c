/* A context is one SSL_CTX for each pair of certificate and key; the first one is asked, and gives
 * way to the one whose certificate is for the name that the client wants. */
#include "tls/context.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "tls/inquirer.h"
#include "tls/names.h"
#include "tls/openssl.h"
#include "tls/staple.h"
#include "tls/tickets.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PINNED_BYTES = 32, LIST_MAX = 4096 };

struct pp_tls_context {
    atomic_uint refs;
    SSL_CTX **pairs;         /* the first one is what connections are made of */
    pp_tls_staple **staples; /* of each pair; NULL: none */
    size_t pair_count;
    pp_tls_tickets *tickets; /* NULL: none are given */
    uint8_t (*pinned)[PINNED_BYTES];
    size_t pinned_count;
    int64_t not_after;
    BIO_METHOD *bio_method;
    unsigned kernel_suites;
    pp_tls_inquirer *inquirer; /* NULL: nobody is asked about clients' certificates */
    pp_tls_peer_rules peer_rules;
};

/* --- saying what is wrong ----------------------------------------------------------------- */

const char *pp_tls_error_text(unsigned long error)
{
    const char *text = error ? ERR_reason_error_string(error) : NULL;

    if (error && ERR_SYSTEM_ERROR(error))
        return strerror(ERR_GET_REASON(error));
    return text ? text : "unknown error";
}

static pipit_err refuse(pp_buf *error, const char *what, const char *file)
{
    unsigned long code = ERR_peek_error();
    pipit_err err = ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE ? PIPIT_ENOMEM : PIPIT_EINVAL;

    (void)pp_buf_addf(error, "%s", what);
    if (file)
        (void)pp_buf_addf(error, " '%s'", file);
    if (code)
        (void)pp_buf_addf(error, ": %s", pp_tls_error_text(code));
    ERR_clear_error();
    return err;
}

/* --- tickets ------------------------------------------------------------------------------ */

static int set_mac(EVP_MAC_CTX *mac, pp_tls_ticket_key *key)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
        OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_END,
    };

    return EVP_MAC_CTX_set_params(mac, params);
}

/* OpenSSL asks for a key: to seal a ticket, or to open the one of that name. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int sealing)
{
    pp_tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    pp_tls_ticket_key key;
    int done;

    if (sealing) {
        pp_tls_tickets_seal(context->tickets, pp_clock_mono_ns(), &key);
        memcpy(name, key.name, sizeof(key.name));
        pp_random_bytes(iv, (size_t)EVP_CIPHER_get_iv_length(EVP_aes_256_cbc()));
        done = EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv) &&
               set_mac(mac, &key);
    } else if (pp_tls_tickets_open(context->tickets, pp_clock_mono_ns(), name, &key)) {
        return 0; /* a whole handshake */
    } else {
        done = EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv) &&
               set_mac(mac, &key);
    }
    explicit_bzero(&key, sizeof(key));
    return done ? 1 : -1;
}

/* A ticket costs a tenth of what a handshake with a P-256 key does, beside the key agreement and
 * the signature. Who does not say how it would resume a session has no use for one (RFC
 * 8446, 4.2.9); Go's clients without a cache of sessions are such. */
static int on_hello(SSL *ssl, int *alert, void *arg)
{
    const unsigned char *modes;
    size_t len;

    (void)alert;
    (void)arg;
    if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk_kex_modes, &modes, &len))
        (void)SSL_set_num_tickets(ssl, 0);
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* A session may be resumed only where whoever began it was looked at in the same way: the same
 * authorities, the same demands. */
static pipit_err set_session_scope(SSL_CTX *ssl, const pp_tls_spec *spec)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    STACK_OF(X509_OBJECT) *trusted = X509_STORE_get0_objects(SSL_CTX_get_cert_store(ssl));
    unsigned len = 0;
    bool done = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) &&
                EVP_DigestUpdate(md, &spec->verify, sizeof(spec->verify));

    for (int i = 0; done && spec->verify && i < sk_X509_OBJECT_num(trusted); i++) {
        X509 *cert = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));
        unsigned char one[EVP_MAX_MD_SIZE];

        if (cert)
            done = X509_digest(cert, EVP_sha256(), one, &len) && EVP_DigestUpdate(md, one, len);
    }
    done = done && EVP_DigestFinal_ex(md, digest, &len) &&
           SSL_CTX_set_session_id_context(ssl, digest, len < 32 ? len : 32);
    EVP_MD_CTX_free(md);
    return done ? PIPIT_OK : PIPIT_ENOMEM;
}

/* --- which certificate -------------------------------------------------------------------- */

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    const pp_tls_context *context = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    (void)alert;
    for (size_t i = 0; name && i < context->pair_count; i++) {
        X509 *cert = SSL_CTX_get0_certificate(context->pairs[i]);

        if (X509_check_host(cert, name, 0, 0, NULL) != 1)
            continue;
        if (i > 0)
            (void)SSL_set_SSL_CTX(ssl, context->pairs[i]);
        break;
    }
    return SSL_TLSEXT_ERR_OK; /* whoever asks for a stranger gets the first */
}

/* --- settings ----------------------------------------------------------------------------- */

struct list {
    char text[LIST_MAX];
    size_t len;
};

static void add(struct list *list, const char *name)
{
    size_t len = strlen(name);

    if (len + 2 > sizeof(list->text) - list->len)
        return;
    if (list->len)
        list->text[list->len++] = ':';
    memcpy(list->text + list->len, name, len + 1);
    list->len += len;
}

static pipit_err gather_ciphers(const pp_tls_spec *spec, struct list *v12, struct list *v13,
                                pp_buf *error)
{
    for (const pp_tls_cipher *c = pp_tls_ciphers; c->name && !spec->cipher_count; c++) {
        if (!c->insecure && c->openssl)
            add(c->v13 ? v13 : v12, c->openssl);
    }
    for (size_t i = 0; i < spec->cipher_count; i++) {
        const pp_tls_cipher *c = pp_tls_cipher_find(pp_str_of(spec->ciphers[i]));

        if (!c) {
            (void)pp_buf_addf(error, "unrecognized cipher %s", spec->ciphers[i]);
            return PIPIT_EINVAL;
        }
        if (c->insecure && !spec->insecure_ciphers) {
            (void)pp_buf_addf(error,
                              "insecure cipher suites configured without "
                              "'allow_insecure_cipher_suites' option set: %s",
                              c->name);
            return PIPIT_EINVAL;
        }
        if (!c->openssl) {
            (void)pp_buf_addf(error, "cipher %s is not offered by %s", c->name,
                              OpenSSL_version(OPENSSL_VERSION));
            return PIPIT_EINVAL;
        }
        add(c->v13 ? v13 : v12, c->openssl);
    }
    return PIPIT_OK;
}

static pipit_err set_ciphers(SSL_CTX *ssl, const pp_tls_spec *spec, pp_buf *error)
{
    struct list v12 = {.len = 0}, v13 = {.len = 0};
    pipit_err err = gather_ciphers(spec, &v12, &v13, error);

    if (err)
        return err;
    /* Naming some of one version says nothing about the other. */
    if ((v12.len && !SSL_CTX_set_cipher_list(ssl, v12.text)) ||
        (v13.len && !SSL_CTX_set_ciphersuites(ssl, v13.text)))
        return refuse(error, "cipher suites are not to be had", NULL);
    return PIPIT_OK;
}

/* Newer curves than this OpenSSL has are left out, as long as others remain. */
static pipit_err set_curves(SSL_CTX *ssl, const pp_tls_spec *spec, pp_buf *error)
{
    struct list had = {.len = 0};
    const char *lacking = "none";

    for (size_t i = 0; i < spec->curve_count; i++) {
        const pp_tls_curve *curve = pp_tls_curve_find(pp_str_of(spec->curves[i]));

        if (!curve) {
            (void)pp_buf_addf(error, "unrecognized curve preference %s", spec->curves[i]);
            return PIPIT_EINVAL;
        }
        if (SSL_CTX_set1_groups_list(ssl, curve->openssl))
            add(&had, curve->openssl);
        else
            lacking = curve->name;
    }
    for (const pp_tls_curve *c = pp_tls_curves; c->name && !spec->curve_count; c++) {
        if (SSL_CTX_set1_groups_list(ssl, c->openssl))
            add(&had, c->openssl);
    }
    ERR_clear_error();
    if (had.len && SSL_CTX_set1_groups_list(ssl, had.text))
        return PIPIT_OK;
    (void)pp_buf_addf(error, "curve preference %s is not offered by %s", lacking,
                      OpenSSL_version(OPENSSL_VERSION));
    return PIPIT_EINVAL;
}

static pipit_err set_authorities(SSL_CTX *ssl, const pp_tls_spec *spec, pp_buf *error)
{
    STACK_OF(X509_NAME) * names;

    if (spec->ca_file) {
        if (!SSL_CTX_load_verify_file(ssl, spec->ca_file))
            return refuse(error, "failed to parse root ca certificate", spec->ca_file);
        names = SSL_load_client_CA_file(spec->ca_file);
        if (!names)
            return refuse(error, "failed to parse root ca certificate", spec->ca_file);
        SSL_CTX_set_client_CA_list(ssl, names);
    } else if (spec->verify && !SSL_CTX_set_default_verify_paths(ssl)) {
        return refuse(error, "the system's authorities are not to be had", NULL);
    }
    if (spec->verify)
        SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return PIPIT_OK;
}

/* A key that a password protects cannot be read: nobody is there to be asked. */
static int on_password(char *to, int size, int writing, void *arg)
{
    (void)to;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static pipit_err load_pair(SSL_CTX *ssl, const pp_tls_pair *pair, pp_buf *error)
{
    if (access(pair->cert_file, R_OK) < 0 || access(pair->key_file, R_OK) < 0) {
        const char *file = access(pair->cert_file, R_OK) < 0 ? pair->cert_file : pair->key_file;

        (void)pp_buf_addf(error, "error parsing X509 certificate/key pair: '%s': %s", file,
                          strerror(errno));
        return PIPIT_EINVAL;
    }
    SSL_CTX_set_default_passwd_cb(ssl, on_password);
    if (SSL_CTX_use_certificate_chain_file(ssl, pair->cert_file) != 1)
        return refuse(error, "error parsing X509 certificate/key pair: certificate",
                      pair->cert_file);
    if (SSL_CTX_use_PrivateKey_file(ssl, pair->key_file, SSL_FILETYPE_PEM) != 1)
        return refuse(error, "error parsing X509 certificate/key pair: key", pair->key_file);
    if (SSL_CTX_check_private_key(ssl) != 1) {
        ERR_clear_error();
        (void)pp_buf_addf(
            error,
            "error parsing X509 certificate/key pair: the key '%s' does not belong to "
            "the certificate '%s'",
            pair->key_file, pair->cert_file);
        return PIPIT_EINVAL;
    }
    return PIPIT_OK;
}

static void note_end(pp_tls_context *context, SSL_CTX *ssl)
{
    struct tm tm;
    time_t end;

    if (!ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(ssl)), &tm))
        return;
    end = timegm(&tm);
    if (!context->not_after || end < context->not_after)
        context->not_after = end;
}

static void set_behaviour(pp_tls_context *context, SSL_CTX *ssl, const pp_tls_spec *spec)
{
    SSL_CTX_set_app_data(ssl, context);
    (void)SSL_CTX_set_min_proto_version(ssl,
                                        spec->min_version >= 13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    /* Renegotiation would let a client have a handshake for a few bytes; nobody needs it. */
    (void)SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* What is shown is what the file holds, as nats-server does it; else a chain would be built of
     * the authorities in each handshake. */
    (void)SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                    SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_keylog_callback(ssl, pp_tls_on_secret);            /* it is written nowhere */
    (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF); /* clients keep them */
    (void)SSL_CTX_set_timeout(ssl, (long)(2 * PP_TLS_TICKET_KEY_NS / PP_NS_PER_S));
    if (context->tickets) {
        (void)SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, on_ticket);
        (void)SSL_CTX_set_num_tickets(ssl, 1);
        SSL_CTX_set_client_hello_cb(ssl, on_hello, NULL);
    } else {
        (void)SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
        (void)SSL_CTX_set_num_tickets(ssl, 0);
    }
}

static pipit_err add_pair(pp_tls_context *context, const pp_tls_spec *spec, size_t i, pp_buf *error)
{
    SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
    pipit_err err;

    if (!ssl)
        return PIPIT_ENOMEM;
    context->pairs[context->pair_count++] = ssl;
    set_behaviour(context, ssl, spec);
    err = load_pair(ssl, &spec->pairs[i], error);
    if (!err)
        err = set_authorities(ssl, spec, error);
    if (!err)
        err = set_ciphers(ssl, spec, error);
    if (!err)
        err = set_curves(ssl, spec, error);
    if (!err)
        err = set_session_scope(ssl, spec);
    if (!err && spec->staples)
        err = pp_tls_staples_get(spec->staples, ssl, spec->pairs[i].cert_file, spec->staple,
                                 &context->staples[i], error);
    if (!err)
        note_end(context, ssl);
    return err;
}

/* --- pinned keys -------------------------------------------------------------------------- */

static bool read_pin(const char *hex, uint8_t out[PINNED_BYTES])
{
    if (strlen(hex) != 2 * PINNED_BYTES)
        return false;
    for (size_t i = 0; i < PINNED_BYTES; i++) {
        int high = OPENSSL_hexchar2int((unsigned char)hex[2 * i]);
        int low = OPENSSL_hexchar2int((unsigned char)hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

static pipit_err read_pins(pp_tls_context *context, const pp_tls_spec *spec, pp_buf *error)
{
    if (spec->pinned_count == 0)
        return PIPIT_OK;
    context->pinned = pp_calloc(spec->pinned_count, PINNED_BYTES);
    if (!context->pinned)
        return PIPIT_ENOMEM;
    for (size_t i = 0; i < spec->pinned_count; i++) {
        if (!read_pin(spec->pinned[i], context->pinned[i])) {
            (void)pp_buf_addf(error, "error parsing 'pinned_certs': key %s is not a SHA-256 in hex",
                              spec->pinned[i]);
            return PIPIT_EINVAL;
        }
    }
    context->pinned_count = spec->pinned_count;
    return PIPIT_OK;
}

bool pp_tls_context_pins(const pp_tls_context *context, const uint8_t spki_sha256[32])
{
    for (size_t i = 0; i < context->pinned_count; i++) {
        if (memcmp(context->pinned[i], spki_sha256, PINNED_BYTES) == 0)
            return true;
    }
    return context->pinned_count == 0;
}

/* --- life --------------------------------------------------------------------------------- */

pipit_err pp_tls_context_new(pp_tls_context **out, const pp_tls_spec *spec, pp_tls_tickets *tickets,
                             pp_buf *error)
{
    pp_tls_context *context;
    pipit_err err = PIPIT_ENOMEM;

    if (pp_openssl_load(error))
        return PIPIT_EINVAL;
    context = pp_calloc(1, sizeof(*context));
    if (!context)
        return err;
    atomic_store(&context->refs, 1);
    context->tickets = spec->inquirer ? NULL : tickets;
    context->inquirer = spec->inquirer;
    if (spec->inquirer)
        context->peer_rules = *spec->peer_rules;
    context->kernel_suites = spec->kernel_suites;
    context->pairs = pp_calloc(spec->pair_count, sizeof(SSL_CTX *));
    context->staples = pp_calloc(spec->pair_count, sizeof(pp_tls_staple *));
    context->bio_method = pp_tls_bio_method_new();
    if (context->pairs && context->staples && context->bio_method)
        err = read_pins(context, spec, error);
    for (size_t i = 0; i < spec->pair_count && !err; i++)
        err = add_pair(context, spec, i, error);
    if (err) {
        pp_tls_context_unref(context);
        return err;
    }
    if (context->pair_count > 1) {
        (void)SSL_CTX_set_tlsext_servername_callback(context->pairs[0], on_server_name);
        (void)SSL_CTX_set_tlsext_servername_arg(context->pairs[0], context);
    }
    *out = context;
    return PIPIT_OK;
}

pp_tls_context *pp_tls_context_ref(pp_tls_context *context)
{
    (void)atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
    return context;
}

void pp_tls_context_unref(pp_tls_context *context)
{
    if (!context || atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; context->pairs && i < context->pair_count; i++)
        SSL_CTX_free(context->pairs[i]);
    for (size_t i = 0; context->staples && i < context->pair_count; i++)
        pp_tls_staple_unref(context->staples[i]);
    BIO_meth_free(context->bio_method);
    pp_free(context->staples);
    pp_free(context->pairs);
    pp_free(context->pinned);
    pp_free(context);
}

int64_t pp_tls_context_not_after(const pp_tls_context *context)
{
    return context->not_after;
}

unsigned pp_tls_context_kernel_suites(const pp_tls_context *context)
{
    return context->kernel_suites;
}

pipit_err pp_tls_context_inquire(const pp_tls_context *context, STACK_OF(X509) * chain,
                                 pp_tls_inquiry **out)
{
    return pp_tls_inquiry_new(out, context->inquirer, &context->peer_rules, chain);
}

void pp_tls_context_submit(const pp_tls_context *context, pp_tls_inquiry *inquiry)
{
    pp_tls_inquirer_submit(context->inquirer, inquiry);
}

bool pp_tls_context_inquires(const pp_tls_context *context)
{
    return context->inquirer;
}

SSL *pp_tls_context_open(const pp_tls_context *context)
{
    return SSL_new(context->pairs[0]);
}

BIO *pp_tls_context_bio(const pp_tls_context *context)
{
    return BIO_new(context->bio_method);
}

bool pp_tls_context_has_pins(const pp_tls_context *context)
{
    return context->pinned_count > 0;
}
