/* tests/unit/tls_peer.h -- certificates made on the spot, and a client that speaks TLS on a socket.
 */
#ifndef PIPIT_TESTS_UNIT_TLS_PEER_H
#define PIPIT_TESTS_UNIT_TLS_PEER_H

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Files of a certificate and its key, in a folder of the test's own. */
struct tls_files {
    char folder[64];
    char cert[128], key[128], ca[128], client_cert[128], client_key[128];
};

static inline EVP_PKEY *tls_make_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    assert_non_null(key);
    return key;
}

/* A certificate for key, signed by issuer_key; days: from now, may be negative. */
static inline X509 *tls_make_cert(EVP_PKEY *key, const char *name, const char *san, X509 *issuer,
                                  EVP_PKEY *issuer_key, int days)
{
    static long serial = 1;
    X509 *cert = X509_new();
    X509_NAME *subject = X509_get_subject_name(cert);

    assert_true(X509_set_version(cert, 2));
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(cert), -2 * 86400);
    X509_gmtime_adj(X509_getm_notAfter(cert), days * 86400L);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1,
                               0);
    X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : subject);
    X509_set_pubkey(cert, key);
    if (!issuer) {
        X509_EXTENSION *ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "CA:TRUE");

        X509_add_ext(cert, ca, -1);
        X509_EXTENSION_free(ca);
    }
    if (san) {
        X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);

        assert_non_null(ext);
        X509_add_ext(cert, ext, -1);
        X509_EXTENSION_free(ext);
    }
    assert_true(X509_sign(cert, issuer_key ? issuer_key : key, EVP_sha256()) > 0);
    return cert;
}

static inline void tls_write_cert(const char *path, X509 *cert)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(PEM_write_X509(file, cert));
    assert_int_equal(fclose(file), 0);
}

static inline void tls_write_key(const char *path, EVP_PKEY *key)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
    assert_int_equal(fclose(file), 0);
}

static inline void tls_files_init(struct tls_files *f)
{
    EVP_PKEY *ca_key = tls_make_key(), *key = tls_make_key(), *client_key = tls_make_key();
    X509 *ca = tls_make_cert(ca_key, "test authority", NULL, NULL, NULL, 10);
    X509 *cert = tls_make_cert(key, "localhost", "DNS:localhost,IP:127.0.0.1", ca, ca_key, 10);
    X509 *client = tls_make_cert(client_key, "client", "email:bob@example.org", ca, ca_key, 10);

    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/pipit-tls-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->cert, sizeof(f->cert), "%s/cert.pem", f->folder);
    (void)snprintf(f->key, sizeof(f->key), "%s/key.pem", f->folder);
    (void)snprintf(f->ca, sizeof(f->ca), "%s/ca.pem", f->folder);
    (void)snprintf(f->client_cert, sizeof(f->client_cert), "%s/client.pem", f->folder);
    (void)snprintf(f->client_key, sizeof(f->client_key), "%s/client-key.pem", f->folder);
    tls_write_cert(f->cert, cert);
    tls_write_key(f->key, key);
    tls_write_cert(f->ca, ca);
    tls_write_cert(f->client_cert, client);
    tls_write_key(f->client_key, client_key);
    X509_free(ca);
    X509_free(cert);
    X509_free(client);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
    EVP_PKEY_free(client_key);
}

static inline void tls_files_fini(struct tls_files *f)
{
    (void)unlink(f->cert);
    (void)unlink(f->key);
    (void)unlink(f->ca);
    (void)unlink(f->client_cert);
    (void)unlink(f->client_key);
    (void)rmdir(f->folder);
}

/* Options of a client's side. */
struct tls_peer_how {
    int max_version; /* 0: any */
    const struct tls_files *shows;
    SSL_SESSION *resumes;
    const char *name; /* asked for */
};

/* On fd, which stays the caller's. */
static inline SSL *tls_peer_new(SSL_CTX *context, int fd, const struct tls_peer_how *how)
{
    SSL *ssl = SSL_new(context);

    assert_non_null(ssl);
    SSL_set_fd(ssl, fd);
    SSL_set_connect_state(ssl);
    if (how && how->max_version)
        SSL_set_max_proto_version(ssl, how->max_version);
    if (how && how->shows) {
        assert_int_equal(SSL_use_certificate_file(ssl, how->shows->client_cert, SSL_FILETYPE_PEM),
                         1);
        assert_int_equal(SSL_use_PrivateKey_file(ssl, how->shows->client_key, SSL_FILETYPE_PEM), 1);
    }
    if (how && how->resumes)
        assert_int_equal(SSL_set_session(ssl, how->resumes), 1);
    if (how && how->name)
        SSL_set_tlsext_host_name(ssl, how->name);
    return ssl;
}

#endif
