/* tls/ocsp.h -- the question about one certificate, and what an answer to it says (OCSP).
 *
 * Pure: nobody is asked here, and no clock is read. An answer that the certificate's issuer has not
 * signed, nor somebody whom it has named for that, or that is about another certificate, is none;
 * whether it is in time is for who knows by which clock. Source: RFC 6960. */
#ifndef PP_TLS_OCSP_H
#define PP_TLS_OCSP_H

#include "base/openssl.h"
#include "base/str.h"

#include <stdint.h>

enum {
    PP_TLS_OCSP_ANSWER_MAX = 64 * 1024, /* bytes */
    PP_TLS_OCSP_URLS_MAX = 8 * 1024,    /* bytes of all who may be asked about a certificate */
};

typedef enum pp_tls_standing {
    PP_TLS_UNHEARD, /* nobody has said anything yet, or its time is over */
    PP_TLS_GOOD,
    PP_TLS_REVOKED,
    PP_TLS_UNKNOWN, /* to the authority */
} pp_tls_standing;

/* "unheard", "good", "revoked", "unknown". */
const char *pp_tls_standing_text(pp_tls_standing standing);

/* What an answer says. Times are seconds of the Unix epoch. */
typedef struct pp_tls_finding {
    pp_tls_standing standing;
    int64_t from_s;
    int64_t until_s;   /* 0: it does not say */
    const char *wrong; /* why it is no answer to the question; NULL: it is one */
} pp_tls_finding;

/**
 * Write the question, as the last part of a URL.
 *
 * Owner:  both are the caller's: *out_id for OCSP_CERTID_free, *out_question for pp_free.
 * Errors: PIPIT_ENOMEM.
 */
pipit_err pp_tls_ocsp_ask(X509 *certificate, X509 *issuer, OCSP_CERTID **out_id,
                          char **out_question);

/* Look at an answer to the question with that id. */
void pp_tls_ocsp_read(pp_str answer, X509 *issuer, OCSP_CERTID *id, pp_tls_finding *out);

/* Does it hold at that time? ttl_s: how long one without an end does, from its beginning on. */
bool pp_tls_finding_holds(const pp_tls_finding *finding, int64_t now_s, int64_t skew_s,
                          int64_t ttl_s);

/* Add a name as people write it (RFC 2253). Errors: those of pp_buf_add. */
pipit_err pp_tls_name_write(pp_buf *out, const X509_NAME *name);

#endif
