/* tls/openssl.h -- what only files that know OpenSSL see of each other. */
#ifndef PP_TLS_OPENSSL_H
#define PP_TLS_OPENSSL_H

#include "base/openssl.h"
#include "tls/context.h"
#include "tls/inquirer.h"

/* What an error of OpenSSL's queue says. */
const char *pp_tls_error_text(unsigned long error);

/* A connection's TLS, and what it does its I/O by; NULL: no memory. */
SSL *pp_tls_context_open(const pp_tls_context *context);
BIO *pp_tls_context_bio(const pp_tls_context *context);

/* Are keys pinned? */
bool pp_tls_context_has_pins(const pp_tls_context *context);

/* Is somebody asked about the certificates of clients? Then inquire, as pp_tls_inquiry_new does. */
bool pp_tls_context_inquires(const pp_tls_context *context);
pipit_err pp_tls_context_inquire(const pp_tls_context *context, STACK_OF(X509) * chain,
                                 pp_tls_inquiry **out);
void pp_tls_context_submit(const pp_tls_context *context, pp_tls_inquiry *inquiry);

/* agreed.c: what OpenSSL tells a layer of the secrets that it derives. */
void pp_tls_on_secret(const SSL *ssl, const char *line);

/* layer.c: the I/O of layers, which contexts hold for them; NULL: no memory. */
BIO_METHOD *pp_tls_bio_method_new(void);

#endif
