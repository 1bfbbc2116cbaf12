/* tls/identity.h -- what a certificate says about who shows it, as plain texts.
 *
 * Pure: bytes of a certificate in, texts out. Whether it may be believed is for TLS to find out. */
#ifndef PP_TLS_IDENTITY_H
#define PP_TLS_IDENTITY_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

/* One attribute of the subject. */
typedef struct pp_tls_attribute {
    pp_str oid;   /* dotted: "2.5.4.3" */
    pp_str value; /* UTF-8; ptr is NULL where the certificate has no text there */
    size_t rdn;   /* attributes with the same number, which rises, are one relative name */
} pp_tls_attribute;

typedef struct pp_tls_identity {
    const pp_str *emails; /* subject alternative names */
    size_t email_count;
    const pp_str *dns_names;
    size_t dns_name_count;
    const pp_str *uris;
    size_t uri_count;
    const pp_tls_attribute *subject; /* in the certificate's own order */
    size_t subject_count;
    uint8_t spki_sha256[32]; /* of its public key, in DER */
    uint8_t cert_sha256[32];
} pp_tls_identity;

/**
 * Read a certificate in DER, all of der.
 *
 * Alternative names that hold NUL or anything but ASCII are left out: nobody may be taken for whose
 * name one only begins with.
 *
 * Owner:  *out, one piece of memory, is the caller's, for pp_free.
 * Errors: PIPIT_EPROTO it is no certificate; PIPIT_ELIMIT more than 64 KiB of texts; PIPIT_ENOMEM.
 */
pipit_err pp_tls_identity_new(pp_tls_identity **out, pp_str der);

#endif
