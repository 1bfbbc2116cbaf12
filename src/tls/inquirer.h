/* tls/inquirer.h -- are the certificates that a client has shown still good, in the eyes of who has
 * signed them (OCSP)?
 *
 *   [pp_tls_inquiry_new]          [pp_tls_inquirer_submit]       [an answer, or none in time]
 *  --------------------> at once? ------------------------> asked ---------------------------> done
 *
 * Each certificate of the chain by which the client was verified that names somebody to ask is
 * asked about, from the client's own upwards; the first that is not good ends it. What is known
 * already (tls/standings.h) is told at once, on whatever thread. Everybody else is asked by threads
 * of the inquirer: few, made when there is something to ask, so that only so many questions are out
 * at a time; the newest question first, and who has been asked is heard even if the client has left
 * meanwhile, since the next one to come may be the same. */
#ifndef PP_TLS_INQUIRER_H
#define PP_TLS_INQUIRER_H

#include "base/list.h"
#include "base/log.h"
#include "net/loop.h"
#include "tls/standings.h"

#include <stdatomic.h>

enum {
    PP_TLS_INQUIRIES_MAX = 4096, /* that wait for a thread; beyond, nobody comes in */
    PP_TLS_INQUIRER_THREADS = 16,
};

/* Of a listener. */
typedef struct pp_tls_peer_rules {
    int64_t timeout_ns; /* for each who is asked */
    int64_t skew_s;     /* how far clocks may be apart */
    int64_t ttl_s;      /* how long an answer without an end holds */
    bool warn_only;     /* nobody is refused */
    bool unknown_is_good, unreachable_is_good;
} pp_tls_peer_rules;

/* The world around it. */
typedef struct pp_tls_inquirer_hooks {
    void *context;
    const pp_log *log;
    /* Get url/question, within that time, or until hurry is set. Errors: PIPIT_EIO,
     * PIPIT_ENOTFOUND, PIPIT_ETIMEOUT, PIPIT_ETOOBIG nobody answers; all others: he could not be
     * asked, for want of something here. Thread: the inquirer's. */
    pipit_err (*fetch)(void *context, const char *url, const char *question, int64_t timeout_ns,
                       const atomic_bool *hurry, pp_buf *out);
    /* link, one of the certificates of a peer, is not good; or NULL: so the peer does not come in.
     * All borrowed for the call. Thread: any. */
    void (*on_refusal)(void *context, X509 *peer, X509 *link, const char *reason);
} pp_tls_inquirer_hooks;

typedef struct pp_tls_inquirer pp_tls_inquirer;

/* About one chain. */
typedef struct pp_tls_inquiry {
    atomic_uint refs;
    atomic_bool abandoned; /* nobody wants to know any more */
    pp_tls_inquirer *inquirer;
    pp_tls_peer_rules rules;
    STACK_OF(X509) * chain; /* the client's own first; NULL: it was not verified */
    size_t at;              /* what comes before has been found good */
    const char *refused;    /* when it is done; NULL: it may come in. Constant */
    pp_link link;           /* of the inquirer, with queued */
    bool queued;            /* it waits for a thread */
    /* Of who has submitted it: */
    pp_task task;
    pp_loop *loop;
    uint64_t conn_id;
} pp_tls_inquiry;

/* Owner: hooks are copied, what they point to outlives it. Errors: PIPIT_ENOMEM. */
pipit_err pp_tls_inquirer_new(pp_tls_inquirer **out, const pp_tls_inquirer_hooks *hooks);
/* Take nothing more, abandon what is under way, and end the threads; what is known is written. */
void pp_tls_inquirer_stop(pp_tls_inquirer *inquirer);
/* Stop, and free. NULL is fine. */
void pp_tls_inquirer_free(pp_tls_inquirer *inquirer);

/* Keep what is known like that from now on, as pp_tls_standings_keep does; what is not in the file
 * yet is written before, where it was kept until now. Thread: the one that starts or reloads. */
pipit_err pp_tls_inquirer_keep(pp_tls_inquirer *inquirer, const pp_tls_standings_spec *spec,
                               pp_buf *error);

/* What is known. Thread: any. */
pp_tls_standings *pp_tls_inquirer_standings(pp_tls_inquirer *inquirer);

/**
 * Inquire about a chain, as far as that needs no waiting.
 *
 * PIPIT_OK: it is done, and refused tells how. PIPIT_EAGAIN: somebody has to be asked.
 *
 * Owner:  *out is the caller's, for _unref; on PIPIT_ENOMEM there is none.
 * Thread: any.
 */
pipit_err pp_tls_inquiry_new(pp_tls_inquiry **out, pp_tls_inquirer *inquirer,
                             const pp_tls_peer_rules *rules, STACK_OF(X509) * chain);
pp_tls_inquiry *pp_tls_inquiry_ref(pp_tls_inquiry *inquiry);
void pp_tls_inquiry_unref(pp_tls_inquiry *inquiry);

/* Go on with it elsewhere. When it is done task, which is set, is posted to loop; whoever runs it
 * has the inquiry's reference that was given with it. It always comes, unless it is abandoned
 * before. If there is no room or no thread that is no reason to let somebody in. Thread: any. */
void pp_tls_inquirer_submit(pp_tls_inquirer *inquirer, pp_tls_inquiry *inquiry);

/* Nobody wants to know any more: it does not wait for a thread any more, if it did, and the
 * reference that was given with it is dropped. Else its task may still come. Thread: any. */
void pp_tls_inquirer_abandon(pp_tls_inquirer *inquirer, pp_tls_inquiry *inquiry);

/* Go on to the end. inquiry.c, for the inquirer's threads. can_ask: else there is no room for the
 * question, or no thread. */
void pp_tls_inquiry_finish(pp_tls_inquiry *inquiry, bool can_ask);

/* inquirer.c: what inquiries need of it. */
const pp_tls_inquirer_hooks *pp_tls_inquirer_hooks_of(const pp_tls_inquirer *inquirer);
/* Set when nobody is to wait any more. */
const atomic_bool *pp_tls_inquirer_stopped(const pp_tls_inquirer *inquirer);
/* A line that peers can cause at will; at most one a second. */
void pp_tls_inquirer_log(pp_tls_inquirer *inquirer, pp_log_level level, X509 *certificate,
                         const char *text);

#endif
