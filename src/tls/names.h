/* tls/names.h -- ciphers and curves as configuration files name them. */
#ifndef PP_TLS_NAMES_H
#define PP_TLS_NAMES_H

#include "base/str.h"

#include <stdbool.h>

typedef struct pp_tls_cipher {
    const char *name;    /* as the registry of IANA has it */
    const char *openssl; /* NULL: not to be had */
    bool insecure;       /* no forward secrecy, or broken */
    bool v13;            /* of TLS 1.3 */
} pp_tls_cipher;

typedef struct pp_tls_curve {
    const char *name;    /* as nats-server names it */
    const char *openssl; /* as far as this one has it */
} pp_tls_curve;

/* In the order of preference; the last one has no name. */
extern const pp_tls_cipher pp_tls_ciphers[];
extern const pp_tls_curve pp_tls_curves[];

/* NULL: there is none of that name. */
const pp_tls_cipher *pp_tls_cipher_find(pp_str name);
const pp_tls_curve *pp_tls_curve_find(pp_str name);

/* "1.3"; empty: none of those that are spoken here. */
const char *pp_tls_version_text(int openssl_version);

#endif
