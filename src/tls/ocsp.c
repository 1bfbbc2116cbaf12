#include "tls/ocsp.h"

#include "base/alloc.h"

#include <string.h>
#include <time.h>

const char *pp_tls_standing_text(pp_tls_standing standing)
{
    static const char *const texts[] = {
        [PP_TLS_UNHEARD] = "unheard",
        [PP_TLS_GOOD] = "good",
        [PP_TLS_REVOKED] = "revoked",
        [PP_TLS_UNKNOWN] = "unknown",
    };

    return texts[standing];
}

/* --- the question --------------------------------------------------------------------------- */

/* Base64 with what means something in a URL escaped. Source: RFC 6960, appendix A.1. */
static char *escape(const unsigned char *der, int len)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t room = ((size_t)len + 2) / 3 * 4 + 1;
    unsigned char *text = pp_alloc(room);
    char *out = pp_alloc(3 * room), *to = out;

    if (text && out) {
        (void)EVP_EncodeBlock(text, der, len);
        for (const unsigned char *at = text; *at; at++) {
            if (*at == '+' || *at == '/' || *at == '=') {
                *to++ = '%';
                *to++ = digits[*at >> 4];
                *to++ = digits[*at & 15];
            } else {
                *to++ = (char)*at;
            }
        }
        *to = '\0';
    } else {
        pp_free(out);
        out = NULL;
    }
    pp_free(text);
    return out;
}

pipit_err pp_tls_ocsp_ask(X509 *certificate, X509 *issuer, OCSP_CERTID **out_id,
                          char **out_question)
{
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, certificate, issuer);
    OCSP_CERTID *asked = id ? OCSP_CERTID_dup(id) : NULL;
    unsigned char *der = NULL;
    char *question = NULL;
    int len = 0;

    if (request && asked && OCSP_request_add0_id(request, asked)) {
        asked = NULL; /* the request's now */
        len = i2d_OCSP_REQUEST(request, &der);
    }
    if (len > 0)
        question = escape(der, len);
    OPENSSL_free(der);
    OCSP_CERTID_free(asked);
    OCSP_REQUEST_free(request);
    ERR_clear_error();
    if (!question) {
        OCSP_CERTID_free(id);
        return PIPIT_ENOMEM;
    }
    *out_id = id;
    *out_question = question;
    return PIPIT_OK;
}

/* --- answers -------------------------------------------------------------------------------- */

/* Has the issuer signed it, or somebody whom it has named for that? */
static bool is_signed(OCSP_BASICRESP *basic, X509 *issuer)
{
    STACK_OF(X509) *others = sk_X509_new_null();
    X509_STORE *store = X509_STORE_new();
    bool good = others && store && X509_STORE_add_cert(store, issuer) &&
                X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) &&
                sk_X509_push(others, issuer) > 0 && OCSP_basic_verify(basic, others, store, 0) == 1;

    sk_X509_free(others);
    X509_STORE_free(store);
    return good;
}

/* 0: it is no time. */
static int64_t seconds_of(const ASN1_GENERALIZEDTIME *time)
{
    struct tm tm;

    return time && ASN1_TIME_to_tm(time, &tm) ? (int64_t)timegm(&tm) : 0;
}

static void examine(OCSP_BASICRESP *basic, X509 *issuer, OCSP_CERTID *id, pp_tls_finding *out)
{
    ASN1_GENERALIZEDTIME *revoked = NULL, *from = NULL, *until = NULL;
    int status, reason;

    if (!is_signed(basic, issuer)) {
        out->wrong = "it is not signed by the issuer of the certificate";
        return;
    }
    if (!OCSP_resp_find_status(basic, id, &status, &reason, &revoked, &from, &until)) {
        out->wrong = "it is about another certificate";
        return;
    }
    out->from_s = seconds_of(from);
    out->until_s = seconds_of(until);
    if (out->from_s <= 0 || (until && out->until_s < out->from_s))
        out->wrong = "it is not valid at any time";
    else
        out->standing = status == V_OCSP_CERTSTATUS_GOOD      ? PP_TLS_GOOD
                        : status == V_OCSP_CERTSTATUS_REVOKED ? PP_TLS_REVOKED
                                                              : PP_TLS_UNKNOWN;
}

void pp_tls_ocsp_read(pp_str answer, X509 *issuer, OCSP_CERTID *id, pp_tls_finding *out)
{
    const unsigned char *at = (const unsigned char *)answer.ptr;
    OCSP_RESPONSE *response = NULL;
    OCSP_BASICRESP *basic = NULL;

    *out = (pp_tls_finding){.standing = PP_TLS_UNHEARD};
    if (answer.len > PP_TLS_OCSP_ANSWER_MAX) {
        out->wrong = "it is too long";
        return;
    }
    response = d2i_OCSP_RESPONSE(NULL, &at, (long)answer.len);
    if (!response || at != (const unsigned char *)answer.ptr + answer.len)
        out->wrong = "it is no OCSP response";
    else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        out->wrong = "the responder says that it cannot tell";
    else
        basic = OCSP_response_get1_basic(response);
    if (basic)
        examine(basic, issuer, id, out);
    else if (!out->wrong)
        out->wrong = "it is no basic OCSP response";
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
}

bool pp_tls_finding_holds(const pp_tls_finding *finding, int64_t now_s, int64_t skew_s,
                          int64_t ttl_s)
{
    int64_t until_s = finding->until_s ? finding->until_s : finding->from_s + ttl_s;

    return finding->from_s <= now_s + skew_s && until_s >= now_s - skew_s;
}

/* --- names ---------------------------------------------------------------------------------- */

pipit_err pp_tls_name_write(pp_buf *out, const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    pipit_err err = PIPIT_ENOMEM;
    char *text = NULL;
    long len;

    if (!bio)
        return err;
    /* What is not ASCII stays as it is. */
    if (X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >=
        0) {
        len = BIO_get_mem_data(bio, &text);
        err = len > 0 ? pp_buf_add(out, text, (size_t)len) : PIPIT_OK;
    }
    (void)BIO_free(bio);
    ERR_clear_error();
    return err;
}
