/* tls/context.h -- a listener's TLS: its certificates, whom it trusts, what it agrees to.
 *
 * Immutable once made; a reload makes another for connections yet to come. Connections hold a
 * reference to the one they were made with. */
#ifndef PP_TLS_CONTEXT_H
#define PP_TLS_CONTEXT_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pp_tls_context pp_tls_context;
typedef struct pp_tls_tickets pp_tls_tickets;
struct pp_tls_staples;
struct pp_tls_staple_spec;
struct pp_tls_inquirer;
struct pp_tls_peer_rules;

typedef struct pp_tls_pair {
    const char *cert_file; /* PEM: the certificate, then what leads to a root */
    const char *key_file;
} pp_tls_pair;

/* All texts are borrowed for the call. Lists with no items: the default. */
typedef struct pp_tls_spec {
    const pp_tls_pair *pairs; /* one at least; which one a client gets is by the name it asks for */
    size_t pair_count;
    const char *ca_file;       /* NULL: the system's */
    bool verify;               /* clients must show a certificate that ca_file vouches for */
    const char *const *pinned; /* SHA-256 of public keys, in hex: no others may come in */
    size_t pinned_count;
    const char *const *ciphers; /* see tls/names.h */
    size_t cipher_count;
    bool insecure_ciphers; /* may be among them */
    const char *const *curves;
    size_t curve_count;
    uint16_t min_version; /* 12 or 13 */
    /* What authorities say of the certificates is shown with them, and kept here, which outlives
     * the context; NULL: it is not. */
    struct pp_tls_staples *staples;
    const struct pp_tls_staple_spec *staple;
    /* With verify: those who have signed what a client shows are asked about it (tls/inquirer.h),
     * by one who outlives the context; rules are copied. Sessions are not resumed then: in what a
     * ticket holds the chain is not. NULL: nobody is asked. */
    struct pp_tls_inquirer *inquirer;
    const struct pp_tls_peer_rules *peer_rules;
    unsigned kernel_suites; /* of pp_tls_kernel_suites: by which the kernel may seal what is sent */
} pp_tls_spec;

/**
 * Read certificates and keys and check that they fit.
 *
 * tickets may be NULL: sessions are not resumed.
 *
 * Owner:  *out is the caller's, for pp_tls_context_unref; tickets outlives it.
 * Errors: PIPIT_EINVAL, error says why; PIPIT_ENOMEM.
 */
pipit_err pp_tls_context_new(pp_tls_context **out, const pp_tls_spec *spec, pp_tls_tickets *tickets,
                             pp_buf *error);
pp_tls_context *pp_tls_context_ref(pp_tls_context *context);
void pp_tls_context_unref(pp_tls_context *context);

/* As its spec has them. */
unsigned pp_tls_context_kernel_suites(const pp_tls_context *context);

/* When the first of its certificates ends, in seconds of the Unix epoch. */
int64_t pp_tls_context_not_after(const pp_tls_context *context);

/* May who shows a public key with that hash come in? */
bool pp_tls_context_pins(const pp_tls_context *context, const uint8_t spki_sha256[32]);

#endif
