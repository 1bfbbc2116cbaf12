/* A context for each connection: a client has one or two of them in its life, and its certificate
 * may have been renewed in between. */
#include "client/cipher.h"

#include "base/alloc.h"
#include "base/openssl.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

struct pp_cipher {
    BIO_METHOD *method;
    SSL_CTX *context;
    SSL *ssl;
    int fd; /* the wire's */
};

/* --- input and output --------------------------------------------------------------------- */

/* OpenSSL's own would write(2), which raises SIGPIPE when the peer has gone: how signals are
 * handled is the program's business. */
static int bio_result(BIO *bio, ssize_t n, int retry_flag)
{
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_flags(bio, retry_flag | BIO_FLAGS_SHOULD_RETRY);
    return (int)n;
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
    const pp_cipher *cipher = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    return bio_result(bio, send(cipher->fd, bytes, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL),
                      BIO_FLAGS_WRITE);
}

static int bio_read(BIO *bio, char *to, int len)
{
    const pp_cipher *cipher = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    return bio_result(bio, recv(cipher->fd, to, (size_t)len, MSG_DONTWAIT), BIO_FLAGS_READ);
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH; /* nothing is held back; all else is not known */
}

static bool attach(pp_cipher *cipher)
{
    BIO *bio;

    cipher->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "pipit client");
    if (!cipher->method || !BIO_meth_set_write(cipher->method, bio_write) ||
        !BIO_meth_set_read(cipher->method, bio_read) ||
        !BIO_meth_set_ctrl(cipher->method, bio_control))
        return false;
    bio = BIO_new(cipher->method);
    if (!bio)
        return false;
    BIO_set_data(bio, cipher);
    BIO_set_init(bio, 1);
    SSL_set_bio(cipher->ssl, bio, bio);
    return true;
}

/* --- making ------------------------------------------------------------------------------- */

static pipit_err refuse(pp_wire *wire, pipit_err err, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return pp_wire_fail(wire, err, "tls: %s%s%s", what, why ? ": " : "", why ? why : "");
}

static pipit_err set_trust(SSL_CTX *context, pp_wire *wire)
{
    const pp_tls_rules *rules = wire->rules;

    SSL_CTX_set_verify(context, rules->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if (rules->ca_file)
        return SSL_CTX_load_verify_file(context, rules->ca_file) == 1
                   ? PIPIT_OK
                   : refuse(wire, PIPIT_EINVAL, rules->ca_file);
    return rules->insecure || SSL_CTX_set_default_verify_paths(context) == 1
               ? PIPIT_OK
               : refuse(wire, PIPIT_EINVAL, "no certificates of the system's");
}

static pipit_err set_own(SSL_CTX *context, pp_wire *wire)
{
    const pp_tls_rules *rules = wire->rules;

    if (!rules->cert_file)
        return PIPIT_OK;
    if (SSL_CTX_use_certificate_chain_file(context, rules->cert_file) != 1)
        return refuse(wire, PIPIT_EINVAL, rules->cert_file);
    if (SSL_CTX_use_PrivateKey_file(context, rules->key_file, SSL_FILETYPE_PEM) != 1)
        return refuse(wire, PIPIT_EINVAL, rules->key_file);
    return PIPIT_OK;
}

static bool is_address(const char *host)
{
    return strchr(host, ':') || host[strspn(host, "0123456789.")] == '\0';
}

/* The name that the certificate must bear, and that is asked for. */
static bool set_name(SSL *ssl, const char *name)
{
    if (is_address(name))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

static pipit_err build(pp_cipher *cipher, pp_wire *wire)
{
    const char *name = wire->rules->name ? wire->rules->name : wire->remote->host;
    pipit_err err;

    ERR_clear_error();
    cipher->context = SSL_CTX_new(TLS_client_method());
    if (!cipher->context)
        return refuse(wire, PIPIT_ENOMEM, "no memory");
    (void)SSL_CTX_set_min_proto_version(cipher->context, TLS1_2_VERSION);
    (void)SSL_CTX_set_mode(cipher->context,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_options(cipher->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    err = set_trust(cipher->context, wire);
    if (!err)
        err = set_own(cipher->context, wire);
    if (err)
        return err;
    cipher->ssl = SSL_new(cipher->context);
    cipher->fd = wire->fd;
    if (!cipher->ssl || !attach(cipher))
        return refuse(wire, PIPIT_ENOMEM, "no memory");
    if (wire->remote->kind != PP_REMOTE_UNIX && !set_name(cipher->ssl, name))
        return refuse(wire, PIPIT_EINVAL, name);
    SSL_set_connect_state(cipher->ssl);
    return PIPIT_OK;
}

pipit_err pp_cipher_new(pp_cipher **out_cipher, pp_wire *wire)
{
    pp_cipher *cipher;
    pp_buf error;
    pipit_err err;

    pp_buf_init(&error, PP_WIRE_REASON_MAX);
    err = pp_openssl_load(&error);
    if (err)
        (void)pp_wire_fail(wire, err, "%.*s", PP_STR_ARGS(pp_buf_str(&error)));
    pp_buf_fini(&error);
    if (err)
        return err;
    cipher = pp_calloc(1, sizeof(*cipher));
    err = cipher ? build(cipher, wire) : PIPIT_ENOMEM;

    if (err)
        pp_cipher_free(cipher);
    else
        *out_cipher = cipher;
    return err;
}

void pp_cipher_free(pp_cipher *cipher)
{
    if (!cipher)
        return;
    SSL_free(cipher->ssl);
    SSL_CTX_free(cipher->context);
    BIO_meth_free(cipher->method);
    pp_free(cipher);
}

/* What a call that did not do all has been waiting for, or why it failed. */
static pipit_err outcome(pp_cipher *cipher, pp_wire *wire, int result)
{
    switch (SSL_get_error(cipher->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return PIPIT_EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        wire->wants_room = true;
        return PIPIT_EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return pp_wire_fail(wire, PIPIT_ECLOSED, "the server has closed the connection");
    case SSL_ERROR_SYSCALL:
        return pp_wire_fail(wire, PIPIT_ECLOSED, "the connection is gone");
    default:
        return refuse(wire, wire->ciphered ? PIPIT_EIO : PIPIT_EAUTH, "handshake");
    }
}

pipit_err pp_cipher_shake(pp_cipher *cipher, pp_wire *wire)
{
    pipit_err err;
    int done;
    long verdict;

    ERR_clear_error();
    done = SSL_do_handshake(cipher->ssl);
    err = done == 1 ? PIPIT_OK : outcome(cipher, wire, done);
    verdict = SSL_get_verify_result(cipher->ssl);
    if (err == PIPIT_EAUTH && verdict != X509_V_OK)
        (void)pp_wire_fail(wire, err, "tls: %s", X509_verify_cert_error_string(verdict));
    return err;
}

pipit_err pp_cipher_receive(pp_cipher *cipher, pp_wire *wire, char *to, size_t len, size_t *out_got)
{
    int done;

    ERR_clear_error();
    done = SSL_read_ex(cipher->ssl, to, len, out_got);
    return done == 1 ? PIPIT_OK : outcome(cipher, wire, done);
}

pipit_err pp_cipher_send(pp_cipher *cipher, pp_wire *wire, const char *bytes, size_t len,
                         size_t *out_sent)
{
    int done;

    ERR_clear_error();
    done = SSL_write_ex(cipher->ssl, bytes, len, out_sent);
    wire->wants_room = false;
    if (done == 1)
        return PIPIT_OK;
    *out_sent = 0;
    return outcome(cipher, wire, done);
}
