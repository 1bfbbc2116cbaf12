/* core/account.h -- an account: a subject space of its own.
 *
 * Lives from the configuration that names it to one that does not, and then until its last client
 * has gone. Limits and mappings change with a reload. */
#ifndef PP_CORE_ACCOUNT_H
#define PP_CORE_ACCOUNT_H

#include "base/list.h"
#include "core/sublist.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct pp_claims;
struct pp_desk;
struct pp_exports;
struct pp_imports;
struct pp_mappings;
struct pp_realm;
struct pp_scope;
struct pp_services;

#define PP_ACCOUNT_UNLIMITED (-1)

/* What one loop has counted for an account. Written by that loop only. */
typedef struct pp_account_counters {
    _Alignas(64) atomic_uint_fast64_t in_msgs; /* from clients */
    atomic_uint_fast64_t in_bytes;
    atomic_uint_fast64_t out_msgs; /* copies to clients */
    atomic_uint_fast64_t out_bytes;
    atomic_uint_fast64_t own_msgs; /* of them to the server itself, which do not count */
    atomic_uint_fast64_t own_bytes;
    atomic_uint_fast64_t slow_consumers;
    atomic_uint_fast64_t connections_opened;
    atomic_uint_fast64_t connections_closed;
    atomic_uint_fast64_t subs_inserted;
    atomic_uint_fast64_t subs_removed;
} pp_account_counters;

/* What people are told of an account whose token says more than its name. */
typedef struct pp_account_about {
    pp_str title;
    pp_str issuer; /* key of who has signed its token */
    pp_str tags;   /* each closed by NUL */
} pp_account_about;

typedef enum pp_account_state {
    PP_ACCOUNT_FRESH,   /* made, and not to be found yet */
    PP_ACCOUNT_LISTED,  /* in the configuration */
    PP_ACCOUNT_REMOVED, /* not any more */
} pp_account_state;

typedef struct pp_account {
    char *name;
    uint32_t index;  /* small, and no other account's that is alive */
    uint64_t serial; /* tells it from others that had its index before */
    pp_sublist *subs;
    pp_account_counters *counters; /* by loop, each in lines of its own */
    void *counters_memory;
    uint32_t loop_count;
    _Atomic(const struct pp_mappings *) mappings; /* NULL: none. Borrowed */
    atomic_int_fast64_t max_connections;          /* or PP_ACCOUNT_UNLIMITED, as below */
    atomic_int_fast64_t max_subscriptions;        /* of one connection */
    atomic_int_fast64_t max_payload;              /* bytes */
    atomic_int_fast64_t clients;                  /* connected and let in */
    /* Where traces go that messages ask for by traceparent; NULL: they are not traced. Borrowed. */
    _Atomic(const char *) trace_dest;
    atomic_uint trace_sampling;              /* of 100 such messages */
    _Atomic(const pp_account_about *) about; /* NULL: its name is all. Borrowed */
    /* Everything in it is allowed from there: for the server's own part. Changes with a reload, at
     * which no turn of a loop has the old one any more when it goes. */
    _Atomic(const struct pp_scope *) root;
    /* The server's own part in it: subscriptions of its own, which do not keep it alive. */
    _Atomic(struct pp_services *) services; /* NULL: none */
    atomic_size_t own_subs;
    /* What it has to do with other accounts. */
    struct pp_realm *realm;                     /* NULL: it is alone */
    _Atomic(const struct pp_imports *) imports; /* NULL: none. Borrowed */
    _Atomic(const struct pp_exports *) exports; /* the same */
    _Atomic(pp_sublist *) importers;            /* streams that others import; owned, made once */
    _Atomic(struct pp_claims *) claims;         /* exclusive ones; owned, made once */
    _Atomic(struct pp_desk *) desk;             /* where responses come to; owned, made once */
    atomic_uint named_by;         /* imports of others that name it: it stays as long as any does */
    atomic_uint awaited;          /* responses that its clients await */
    atomic_uint response_refs;    /* of responses, from or for it, that are awaited */
    pthread_mutex_t imports_lock; /* held while imports are exchanged, or walked by
                                   * a thread that is in no turn of a loop */
    /* These are guarded by the lock of who lists accounts. */
    pp_account_state state;
    bool claimed; /* a token has given it its settings: configurations leave them alone */
    struct pp_account *name_next;
    pp_link imported_by;                  /* pp_import.link of other accounts */
    struct pp_account_settings *settings; /* what it has been given; owned. NULL: nothing */
} pp_account;

/* For loop_count loops. Errors: PIPIT_ENOMEM. */
pipit_err pp_account_new(pp_account **out_account, const char *name, uint32_t loop_count);
/* Only when it has no subscriptions left. */
void pp_account_free(pp_account *account);

/* Subscribe, unsubscribe, and tell that what is known of a subscription has changed, as
 * pp_sublist_insert, _remove and _touch do; and let the accounts know whose streams this one
 * imports. Thread: any; touch: that which inserts and removes sub. */
pipit_err pp_account_subscribe(pp_account *account, pp_sub *sub, pp_str subject);
void pp_account_unsubscribe(pp_account *account, pp_sub *sub);
void pp_account_touch(pp_account *account, const pp_sub *sub);

/* Who hears what is published in the account may have changed in all ways: so it is where its
 * streams come from. Thread: any. */
void pp_account_touch_all(pp_account *account);

/* What all loops have counted, ever. Thread: any; what is under way may be missing. */
typedef struct pp_account_totals {
    uint64_t in_msgs, in_bytes, out_msgs, out_bytes; /* out: to clients */
    uint64_t slow_consumers;
    uint64_t connections_opened;
    uint64_t subs_inserted, subs_removed;
} pp_account_totals;
void pp_account_sum(const pp_account *account, pp_account_totals *out);

/* What it is called where people read. Valid for the turn of a loop, or while the lock of who lists
 * accounts is held. */
static inline pp_str pp_account_title(const pp_account *account)
{
    const pp_account_about *about = atomic_load(&((pp_account *)account)->about);

    return about && about->title.len ? about->title : pp_str_of(account->name);
}

/* Subscriptions of others than the server itself. Thread: any. */
static inline size_t pp_account_subs(const pp_account *account)
{
    size_t own = atomic_load_explicit(&((pp_account *)account)->own_subs, memory_order_relaxed);
    size_t all = pp_sublist_count(account->subs);

    return all > own ? all - own : 0;
}

#endif
