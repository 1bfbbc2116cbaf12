#include "tls/names.h"

#include "base/openssl.h"

/* Source: NATS configuration, section 3.5, and which names nats-server 2.15.1 takes and calls
 * insecure. */
const pp_tls_cipher pp_tls_ciphers[] = {
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", false, true},
    {"TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", false, true},
    {"TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256", false, true},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", false, false},
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256", false, false},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384", false, false},
    {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384", false, false},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", false,
     false},
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305", false, false},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "ECDHE-ECDSA-AES128-SHA", false, false},
    {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES128-SHA", false, false},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "ECDHE-ECDSA-AES256-SHA", false, false},
    {"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA-AES256-SHA", false, false},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "ECDHE-ECDSA-AES128-SHA256", true, false},
    {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "ECDHE-RSA-AES128-SHA256", true, false},
    {"TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256", true, false},
    {"TLS_RSA_WITH_AES_256_GCM_SHA384", "AES256-GCM-SHA384", true, false},
    {"TLS_RSA_WITH_AES_128_CBC_SHA256", "AES128-SHA256", true, false},
    {"TLS_RSA_WITH_AES_128_CBC_SHA", "AES128-SHA", true, false},
    {"TLS_RSA_WITH_AES_256_CBC_SHA", "AES256-SHA", true, false},
    {"TLS_RSA_WITH_3DES_EDE_CBC_SHA", NULL, true, false},
    {"TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", NULL, true, false},
    {"TLS_RSA_WITH_RC4_128_SHA", NULL, true, false},
    {"TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", NULL, true, false},
    {"TLS_ECDHE_RSA_WITH_RC4_128_SHA", NULL, true, false},
    {NULL, NULL, false, false},
};

const pp_tls_curve pp_tls_curves[] = {
    {"X25519MLKEM768", "X25519MLKEM768"},
    {"SecP384r1MLKEM1024", "SecP384r1MLKEM1024"},
    {"SecP256r1MLKEM768", "SecP256r1MLKEM768"},
    {"X25519", "X25519"},
    {"CurveP256", "P-256"},
    {"CurveP384", "P-384"},
    {"CurveP521", "P-521"},
    {NULL, NULL},
};

const pp_tls_cipher *pp_tls_cipher_find(pp_str name)
{
    for (const pp_tls_cipher *cipher = pp_tls_ciphers; cipher->name; cipher++) {
        if (pp_str_eq(pp_str_of(cipher->name), name))
            return cipher;
    }
    return NULL;
}

const pp_tls_curve *pp_tls_curve_find(pp_str name)
{
    for (const pp_tls_curve *curve = pp_tls_curves; curve->name; curve++) {
        if (pp_str_eq(pp_str_of(curve->name), name))
            return curve;
    }
    return NULL;
}

const char *pp_tls_version_text(int version)
{
    return version == TLS1_3_VERSION ? "1.3" : version == TLS1_2_VERSION ? "1.2" : "";
}
