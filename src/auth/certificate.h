/* auth/certificate.h -- which user a client's certificate stands for (verify_and_map).
 *
 * What TLS has verified is handed over as plain texts; nothing here knows X.509 or a TLS library.
 */
#ifndef PP_AUTH_CERTIFICATE_H
#define PP_AUTH_CERTIFICATE_H

#include "auth/users.h"
#include "base/buf.h"
#include "base/str.h"

#include <stddef.h>

enum { PP_CERTIFICATE_SUBJECT_MAX = 16 * 1024 }; /* bytes of its text */

/* One attribute of a distinguished name. */
typedef struct pp_certificate_attribute {
    pp_str oid;   /* dotted: "2.5.4.3" */
    pp_str value; /* UTF-8; ptr is NULL where the certificate has no text there */
    size_t rdn;   /* attributes with the same number, which rises, are one relative name */
} pp_certificate_attribute;

/* The first certificate of the peer. Texts are borrowed; nothing closes them. */
typedef struct pp_certificate {
    const pp_str *emails; /* subject alternative names: rfc822Name */
    size_t email_count;
    const pp_str *dns_names; /* dNSName */
    size_t dns_name_count;
    const pp_str *uris;
    size_t uri_count;
    const pp_certificate_attribute *subject; /* in the certificate's own order */
    size_t subject_count;
} pp_certificate;

/**
 * The user of the table that the certificate stands for and that may come by this kind of
 * connection; NULL: none, or no memory to find out. The first of these that is a user decides: its
 * e-mail addresses, DNS names, URIs; the user name that is its subject as RFC 4514 writes it, with
 * the relative names in order, or in any; its subject as text with domain components, or without.
 *
 * Source: NATS authentication, section 7. Stricter than nats-server where several relative names
 * are the same: they must be as many.
 */
const pp_user *pp_certificate_find_user(const pp_certificate *certificate, const pp_users *users,
                                        uint16_t connection_type);

/* Append the subject as text: not the certificate's own names but those that Go keeps, in Go's
 * order. Errors: those of pp_buf_add. */
pipit_err pp_certificate_subject(const pp_certificate *certificate, pp_buf *out);

/* Is an attribute of that kind among what it writes? */
bool pp_certificate_writes(pp_str oid);

#endif
