/* tls/staple.h -- what an authority says of our own certificates, shown with them (OCSP stapling).
 *
 *   [pp_tls_staples_get]              [pp_tls_staple_take]
 *  ---------------------> wanted ------------------------> shown, until its time is over
 *    with a context          ^                               |
 *                            +-------------------------------+
 *
 * A staple belongs to a certificate, and outlives contexts: a reload that makes new ones finds what
 * is known already. It asks nobody itself: it has the question, and looks at answers. An answer
 * that the authority has not signed, that is about another certificate or whose time is over is
 * none. */
#ifndef PP_TLS_STAPLE_H
#define PP_TLS_STAPLE_H

#include "base/buf.h"
#include "base/err.h"
#include "tls/ocsp.h"
#include "tls/openssl.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* For which certificates. */
typedef enum pp_tls_stapling {
    PP_TLS_STAPLING_AUTO,   /* those that demand it; whatever is said of them */
    PP_TLS_STAPLING_ALWAYS, /* all, and only if they are good */
    PP_TLS_STAPLING_MUST,   /* those that demand it, and only if they are good */
    PP_TLS_STAPLING_NEVER,
} pp_tls_stapling;

typedef struct pp_tls_staple pp_tls_staple;

/* All of a server. */
typedef struct pp_tls_staples {
    pthread_mutex_t lock;
    pp_tls_staple *first;
} pp_tls_staples;

void pp_tls_staples_init(pp_tls_staples *staples);
/* When no context is left. */
void pp_tls_staples_fini(pp_tls_staples *staples);

/* How the configuration wants it. */
typedef struct pp_tls_staple_spec {
    pp_tls_stapling mode;
    const char *const *urls; /* whom to ask instead of those that a certificate names */
    size_t url_count;
} pp_tls_staple_spec;

/**
 * The staple for ssl's certificate, which ssl shows from now on. *out NULL: none is wanted.
 *
 * Owner:  *out is the caller's, for _unref, and outlives ssl.
 * Errors: PIPIT_EINVAL, error says why; PIPIT_ENOMEM.
 */
pipit_err pp_tls_staples_get(pp_tls_staples *staples, SSL_CTX *ssl, const char *cert_file,
                             const pp_tls_staple_spec *spec, pp_tls_staple **out, pp_buf *error);

pp_tls_staple *pp_tls_staple_ref(pp_tls_staple *staple);
void pp_tls_staple_unref(pp_tls_staple *staple);

/* One of which nothing has been said yet and that is due at that time; the caller's reference.
 * NULL: there is none. */
pp_tls_staple *pp_tls_staples_unheard(pp_tls_staples *staples, int64_t now_ns);

/* The next one that is due at now_ns (monotonic), with a reference; those that no context shows any
 * more are forgotten. NULL: none is, and *out_due_ns is when one will be, INT64_MAX: there are
 * none. Thread: any, here and below. */
pp_tls_staple *pp_tls_staples_due(pp_tls_staples *staples, int64_t now_ns, int64_t *out_due_ns);
/* All of them are due. */
void pp_tls_staples_hurry(pp_tls_staples *staples);

/* Constant: the certificate's file; the question as the last part of a URL; the i-th who may be
 * asked, NULL behind the last; whether the server may go on with a certificate that is not good. */
const char *pp_tls_staple_file(const pp_tls_staple *staple);
const char *pp_tls_staple_question(const pp_tls_staple *staple);
const char *pp_tls_staple_url(const pp_tls_staple *staple, size_t i);
bool pp_tls_staple_must_be_good(const pp_tls_staple *staple);

/**
 * Look at an answer, and show it from now on.
 *
 * Errors: PIPIT_EPROTO it is none that counts, and error says why; PIPIT_ENOMEM. What was shown
 * before goes on being shown then.
 */
pipit_err pp_tls_staple_take(pp_tls_staple *staple, pp_str answer, pp_buf *error);

pp_tls_standing pp_tls_staple_standing(pp_tls_staple *staple);

/* Set when it is due next. Half of the time for which the answer holds, or, after a failure, soon.
 */
void pp_tls_staple_schedule(pp_tls_staple *staple, int64_t now_ns, bool failed);

#endif
