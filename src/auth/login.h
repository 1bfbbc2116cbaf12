/* auth/login.h -- one client's try to come in: all that it shows, and the verdict.
 *
 *   [pp_gate_ask]                                  [verdict at once]
 *  --------------> asked -----------------------------------------------> decided
 *                    |                                                      ^
 *                    | [PIPIT_EAGAIN]              [wake, then pp_gate_go_on]
 *                    +--------------> waiting -----------------------------+
 *
 *  waiting  somebody works on it: a thread that hashes, a resolver, a callout. Texts must stay
 * where they are. Whoever works on it calls pp_login_wake exactly once, on any thread, even when
 *           the client has gone meanwhile (abandoned), which is only a reason to hurry.
 *
 * It belongs to whoever asks, a session of a door. */
#ifndef PP_AUTH_LOGIN_H
#define PP_AUTH_LOGIN_H

#include "auth/entrance.h"
#include "auth/user.h"
#include "base/str.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pp_certificate; /* auth/certificate.h */
struct pp_gate;

/* What TLS has agreed on with a client, for who passes it on. */
typedef struct pp_login_tls {
    pp_str version, cipher; /* "1.3"; the name in IANA's registry */
    const pp_str *chain;    /* by which its certificate was verified, in DER, its own first */
    size_t chain_count;
} pp_login_tls;

/* What a client shows. Texts are borrowed until the verdict, and empty where nothing was shown. */
typedef struct pp_login_shown {
    pp_entrance entrance;
    uint16_t connection_type; /* one of PP_USER_STANDARD, ... */
    /* Of CONNECT, or its like. */
    pp_str user, pass, token;
    pp_str nkey, sig, jwt, proxy_sig;
    pp_str name, lang, version; /* of the client: for who passes them on */
    int protocol;
    /* Of the connection. */
    pp_str nonce; /* what it was told to sign; empty: nothing */
    pp_str host;  /* its address as text */
    uint16_t port;
    uint64_t connection_id;
    int64_t start_ns;                         /* since when it is there; monotonic clock */
    const struct pp_certificate *certificate; /* as TLS has verified it; NULL: none */
    const pp_login_tls *tls;                  /* NULL: it does not speak TLS */
    bool has_peer;                            /* a Unix socket whose peer the kernel has named: */
    uid_t uid;
    gid_t gid;
} pp_login_shown;

/* Why somebody was refused, for those who run the server. */
typedef enum pp_login_fault {
    PP_LOGIN_DENIED,
    PP_LOGIN_PROXY_NOT_TRUSTED,
    PP_LOGIN_PROXY_REQUIRED,
    PP_LOGIN_BUSY, /* too many at a time */
    PP_LOGIN_NO_MEMORY,
} pp_login_fault;

typedef struct pp_login_verdict {
    const pp_user *user; /* held for whoever takes the verdict; NULL: refused */
    pp_login_fault fault;
    const char *why; /* a sentence for the log, without secrets; static. NULL: nothing to add */
} pp_login_verdict;

typedef struct pp_login {
    pp_login_shown shown;
    pp_login_verdict verdict;
    /* Somebody has finished: go on with pp_gate_go_on, on the thread that asked. Set by who asks.
     * Called on any thread. */
    void (*wake)(struct pp_login *login);
    atomic_bool abandoned; /* nobody waits for the verdict any more */
    /* The rest is the gate's, and whoever's it has given the login to. */
    const struct pp_gate *gate;
    unsigned step;
    const pp_user *candidate; /* not held: of the gate's table */
    const char *proxy; /* key of the trusted proxy that vouches for it; the gate's. NULL: none */
    bool timed;        /* whoever works on it gives up by itself, in time */
    bool hashing;      /* a password is compared: that may take long, and is our doing */
    void *work;        /* of who works on it */
} pp_login;

/* Say that what the login was waiting for has been done. */
static inline void pp_login_wake(pp_login *login)
{
    login->wake(login);
}

static inline bool pp_login_is_abandoned(const pp_login *login)
{
    return atomic_load_explicit(&((pp_login *)login)->abandoned, memory_order_relaxed);
}

/* The two ends of a verdict. Owner: user is held by the caller for the verdict. */
static inline void pp_login_admit(pp_login *login, const pp_user *user)
{
    login->verdict = (pp_login_verdict){.user = user};
}

static inline void pp_login_refuse(pp_login *login, pp_login_fault fault, const char *why)
{
    login->verdict = (pp_login_verdict){.fault = fault, .why = why};
}

/* Why somebody who is in may not stay. */
typedef enum pp_departure {
    PP_DEPARTURE_DENIED,
    PP_DEPARTURE_GONE,      /* its place is not there any more: it is told nothing */
    PP_DEPARTURE_UNTRUSTED, /* who vouched for it is not trusted any more: the same */
    PP_DEPARTURE_REVOKED,
    PP_DEPARTURE_EXPIRED,
    PP_DEPARTURE_ACCOUNT_EXPIRED,
} pp_departure;

/**
 * Somebody beside the table of users who decides on logins: operator mode, a callout.
 *
 * ask gives a verdict at once (PIPIT_OK: see pp_login_admit, pp_login_refuse), or works on
 * (PIPIT_EAGAIN), writes the verdict later, and wakes the login. A verdict that is there already,
 * of who was asked before, is replaced or left; the hold in it must be let go when it is replaced.
 * renew tells who a guest of this authority is after a reload, or after a change of its account:
 * itself, another, or NULL, nobody, and why. What it returns is held.
 *
 * Thread: ask, renew: any loop's.
 */
typedef struct pp_authority {
    pipit_err (*ask)(struct pp_authority *authority, pp_login *login);
    const pp_user *(*renew)(struct pp_authority *authority, const pp_user *old,
                            pp_departure *out_why);
} pp_authority;

#endif
