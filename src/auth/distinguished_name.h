/* auth/distinguished_name.h -- names such as "CN=ann,OU=dev,O=acme", read and compared.
 *
 * The text form of RFC 4514: relative names separated by commas, the last one of the certificate
 * first; several attributes of one joined by plus signs. */
#ifndef PP_AUTH_DISTINGUISHED_NAME_H
#define PP_AUTH_DISTINGUISHED_NAME_H

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

enum { PP_DN_ATTRIBUTES_MAX = 64 };

typedef struct pp_dn_attribute {
    pp_str type; /* "CN" */
    pp_str value;
    size_t rdn; /* attributes with the same number are one relative name; from 0, none missing */
} pp_dn_attribute;

typedef struct pp_dn {
    pp_dn_attribute attributes[PP_DN_ATTRIBUTES_MAX];
    size_t count;
    size_t rdn_count;
} pp_dn;

/* Read text; values are unescaped into scratch, of at least text.len bytes, which must stay as long
 * as the name. False: it is none, or has too many attributes, or a value in hexadecimal. Pure. */
bool pp_dn_parse(pp_str text, char *scratch, pp_dn *out_dn);

/* The same relative names in the same order; in any order. Types do not mind the case. */
bool pp_dn_equal(const pp_dn *a, const pp_dn *b);
bool pp_dn_same_names(const pp_dn *a, const pp_dn *b);

#endif
