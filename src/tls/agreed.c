/* What a handshake has agreed on, kept when it has ended: versions and the like for monitoring, who
 * the peer is, and the keys of records, which make OpenSSL's object superfluous. */
#include "tls/inside.h"

#include "base/alloc.h"
#include "tls/names.h"

#include <string.h>

/* --- secrets ------------------------------------------------------------------------------ */

struct pp_tls_secrets {
    uint8_t in[PP_TLS_SECRET_MAX], out[PP_TLS_SECRET_MAX];
    size_t in_len, out_len;
};

static size_t read_hex(const char *hex, uint8_t out[PP_TLS_SECRET_MAX])
{
    size_t len = 0;

    for (; hex[0] && hex[1]; hex += 2) {
        int high = OPENSSL_hexchar2int((unsigned char)hex[0]);
        int low = OPENSSL_hexchar2int((unsigned char)hex[1]);

        if (high < 0 || low < 0 || len == PP_TLS_SECRET_MAX)
            return 0;
        out[len++] = (uint8_t)(high * 16 + low);
    }
    return len;
}

/* OpenSSL has derived a secret, and says so in a line "WHICH CLIENT_RANDOM SECRET". */
void pp_tls_on_secret(const SSL *ssl, const char *line)
{
    static const char in[] = "CLIENT_TRAFFIC_SECRET_0 ", out[] = "SERVER_TRAFFIC_SECRET_0 ";
    bool is_in = strncmp(line, in, sizeof(in) - 1) == 0;
    const char *hex = strrchr(line, ' ');
    pp_tls_layer *t;

    if (!hex || (!is_in && strncmp(line, out, sizeof(out) - 1) != 0))
        return;
    t = BIO_get_data(SSL_get_rbio(ssl));
    if (!t->secrets)
        t->secrets = pp_calloc(1, sizeof(*t->secrets));
    if (!t->secrets)
        return; /* OpenSSL's object stays */
    if (is_in)
        t->secrets->in_len = read_hex(hex + 1, t->secrets->in);
    else
        t->secrets->out_len = read_hex(hex + 1, t->secrets->out);
}

void pp_tls_forget_secrets(pp_tls_layer *t)
{
    if (t->secrets)
        explicit_bzero(t->secrets, sizeof(*t->secrets));
    pp_free(t->secrets);
    t->secrets = NULL;
}

/* --- from OpenSSL's object to records ----------------------------------------------------- */

/* How many records are said? What a handshake says when it has heard the client's last word is
 * sealed with the keys of what follows: tickets. False: that is not what it is. */
static bool count_records(pp_str said, uint64_t *out_count)
{
    *out_count = 0;
    while (said.len) {
        size_t whole = pp_tls_records_whole(said);

        if (!whole || said.ptr[0] != PP_TLS_DATA)
            return false;
        said.ptr += whole;
        said.len -= whole;
        (*out_count)++;
    }
    return true;
}

/* TLS 1.3, nothing half read, and records of any length may go. */
static bool needs_openssl(SSL *ssl)
{
    const SSL_SESSION *session = SSL_get_session(ssl);
    unsigned wanted = session ? SSL_SESSION_get_max_fragment_length(session) : 0;

    return SSL_version(ssl) != TLS1_3_VERSION || SSL_has_pending(ssl) ||
           (wanted >= TLSEXT_max_fragment_length_512 && wanted <= TLSEXT_max_fragment_length_4096);
}

/* OpenSSL's object stays where it is not known how to do without. */
static void move_to_records(pp_tls_layer *t, pp_str said)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);
    const struct pp_tls_secrets *secrets = t->secrets;
    uint64_t sealed;

    if (!secrets || !cipher || needs_openssl(t->ssl) || !count_records(said, &sealed))
        return;
    if (pp_tls_records_new(&t->records, SSL_CIPHER_get_protocol_id(cipher),
                           (pp_str){(const char *)secrets->in, secrets->in_len},
                           (pp_str){(const char *)secrets->out, secrets->out_len}, sealed))
        return;
    SSL_free(t->ssl);
    t->ssl = NULL;
    t->kernel_in = pp_tls_kernel_begins(t);
}

/* NULL: there is none, or no memory, and less of it is shown. */
static STACK_OF(X509) * ref_all(STACK_OF(X509) * certificates)
{
    return certificates ? X509_chain_up_ref(certificates) : NULL;
}

void pp_tls_settle(pp_tls_layer *t, pp_str said)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);

    t->version = pp_tls_version_text(SSL_version(t->ssl));
    t->cipher = cipher ? SSL_CIPHER_standard_name(cipher) : "";
    t->resumed = SSL_session_reused(t->ssl);
    t->peer = SSL_get0_peer_certificate(t->ssl);
    if (t->peer) {
        (void)X509_up_ref(t->peer);
        t->shown = ref_all(SSL_get_peer_cert_chain(t->ssl));
        t->verified = SSL_get_verify_result(t->ssl) == X509_V_OK;
        t->chain = ref_all(SSL_get0_verified_chain(t->ssl));
    }
    ERR_clear_error();
    move_to_records(t, said);
    pp_tls_forget_secrets(t);
}

void pp_tls_forget_peer(pp_tls_layer *t)
{
    if (!t->peer)
        return;
    sk_X509_pop_free(t->shown, X509_free);
    sk_X509_pop_free(t->chain, X509_free);
    X509_free(t->peer);
}

/* --- what monitoring asks for ------------------------------------------------------------- */

const char *pp_tls_layer_version(const pp_layer *layer)
{
    const pp_tls_layer *t = pp_tls_of(layer);

    return t->open ? t->version : "";
}

const char *pp_tls_layer_cipher(const pp_layer *layer)
{
    const pp_tls_layer *t = pp_tls_of(layer);

    return t->open ? t->cipher : "";
}

bool pp_tls_layer_resumed(const pp_layer *layer)
{
    const pp_tls_layer *t = pp_tls_of(layer);

    return t->open && t->resumed;
}

/* A server's chain does not begin with the peer's own. */
static X509 *peer_certificate(const pp_tls_layer *t, size_t i)
{
    if (!t->open)
        return NULL;
    return i ? sk_X509_value(t->shown, (int)i - 1) : t->peer;
}

size_t pp_tls_layer_peer_count(const pp_layer *layer)
{
    const pp_tls_layer *t = pp_tls_of(layer);
    int above;

    if (!peer_certificate(t, 0))
        return 0;
    above = sk_X509_num(t->shown); /* -1: there is none */
    return above > 0 ? (size_t)above + 1 : 1;
}

static void *der_of(X509 *certificate, size_t *out_len)
{
    int len = certificate ? i2d_X509(certificate, NULL) : -1;
    unsigned char *der, *at;

    if (len <= 0)
        return NULL;
    der = at = pp_alloc((size_t)len);
    if (!der)
        return NULL;
    *out_len = (size_t)i2d_X509(certificate, &at);
    return der;
}

void *pp_tls_layer_peer_der(const pp_layer *layer, size_t i, size_t *out_len)
{
    return der_of(peer_certificate(pp_tls_of(layer), i), out_len);
}

size_t pp_tls_layer_chain_count(const pp_layer *layer)
{
    const pp_tls_layer *t = pp_tls_of(layer);
    int count;

    if (!peer_certificate(t, 0) || !t->verified)
        return 0;
    count = sk_X509_num(t->chain); /* -1: there is none */
    return count > 0 ? (size_t)count : 1;
}

void *pp_tls_layer_chain_der(const pp_layer *layer, size_t i, size_t *out_len)
{
    const pp_tls_layer *t = pp_tls_of(layer);

    if (i >= pp_tls_layer_chain_count(layer))
        return NULL;
    return der_of(t->chain ? sk_X509_value(t->chain, (int)i) : t->peer, out_len);
}
