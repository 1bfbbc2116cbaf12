/* Bytes as a client's certificate, and as what a client says first where TLS is spoken: below the
 * layer stands one that gives them away piece by piece, as sockets do. */
#include "base/alloc.h"
#include "base/assert.h"
#include "net/conn.h"
#include "tls/identity.h"
#include "tls/layer.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct source {
    pp_layer layer;
    const uint8_t *at;
    size_t left;
    size_t step; /* so much at a time */
};

static ssize_t give(pp_layer *layer, char *to, size_t len)
{
    struct source *source = (struct source *)layer;
    size_t n = source->left < source->step ? source->left : source->step;

    if (n > len)
        n = len;
    if (n == 0) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(to, source->at, n);
    source->at += n;
    source->left -= n;
    return (ssize_t)n;
}

static ssize_t take(pp_layer *layer, pp_loop *loop, const struct iovec *iov, size_t count)
{
    ssize_t taken = 0;

    (void)layer;
    (void)loop;
    for (size_t i = 0; i < count; i++)
        taken += (ssize_t)iov[i].iov_len;
    return taken;
}

static void forget(pp_layer *layer)
{
    pp_layer_fini(layer);
}

static const pp_layer_ops source_ops = {
    .name = "source", .receive = give, .send = take, .free = forget};

/* A certificate of our own, in files since that is how contexts are made. */
static pp_tls_context *make_context(void)
{
    char cert_file[] = "/tmp/fuzz-cert-XXXXXX", key_file[] = "/tmp/fuzz-key-XXXXXX";
    FILE *cert_to = fdopen(mkstemp(cert_file), "w"), *key_to = fdopen(mkstemp(key_file), "w");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    pp_tls_pair pair = {cert_file, key_file};
    pp_tls_spec spec = {.pairs = &pair, .pair_count = 1, .min_version = 12};
    pp_tls_context *context = NULL;
    pp_buf error;

    PP_ASSERT(cert_to && key_to && key && cert);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 864000);
    X509_set_pubkey(cert, key);
    PP_ASSERT(X509_sign(cert, key, EVP_sha256()) > 0);
    PP_ASSERT(PEM_write_X509(cert_to, cert) && fclose(cert_to) == 0);
    PP_ASSERT(PEM_write_PrivateKey(key_to, key, NULL, NULL, 0, NULL, NULL) && fclose(key_to) == 0);
    pp_buf_init(&error, 4096);
    PP_ASSERT(pp_tls_context_new(&context, &spec, NULL, &error) == PIPIT_OK);
    (void)unlink(cert_file);
    (void)unlink(key_file);
    X509_free(cert);
    EVP_PKEY_free(key);
    return context;
}

static void shake(pp_tls_context *context, const uint8_t *data, size_t size, size_t step)
{
    pp_loop loop = {.index = 0};
    pp_conn *conn = calloc(1, sizeof(*conn));
    struct source source = {.at = data, .left = size, .step = step};
    pp_tls_places places;
    pp_layer *layer;
    char bytes[4096];

    PP_ASSERT(conn && pp_tls_places_init(&places, 1) == PIPIT_OK);
    PP_ASSERT(pp_tls_layer_new(&layer, context, &places) == PIPIT_OK);
    pp_layer_init(&source.layer, &source_ops);
    conn->loop = &loop;
    layer->conn = conn;
    layer->below = &source.layer;
    for (unsigned i = 0; i < 10000; i++) {
        ssize_t n;

        loop.now_ns++; /* a turn */
        n = pp_layers_receive(layer, bytes, sizeof(bytes));
        PP_ASSERT(n <= 0); /* nobody can have finished a handshake */
        PP_ASSERT(!layer->ready);
        if (n == 0 || errno != EAGAIN || (!source.left && !layer->more))
            break;
    }
    (void)pp_layers_send(layer, &loop, NULL, 0);
    pp_layers_free(layer);
    pp_tls_places_fini(&places);
    free(conn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static pp_tls_context *context;
    pp_tls_identity *identity;

    if (!context)
        context = make_context();
    if (size == 0)
        return 0;
    if (pp_tls_identity_new(&identity, (pp_str){(const char *)data, size}) == PIPIT_OK)
        pp_free(identity);
    shake(context, data, size, SIZE_MAX);
    shake(context, data, size, 1 + data[0] % 7);
    return 0;
}
