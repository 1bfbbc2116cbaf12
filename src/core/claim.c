#include "core/claim.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/table.h"

#include <string.h>

typedef struct claim {
    pp_table_entry entry;
    const void *owner;
    size_t len;
    char subject[];
} claim;

typedef struct pp_claims {
    pthread_mutex_t lock;
    pp_table table; /* under the lock */
} pp_claims;

void pp_claims_free(pp_claims *claims)
{
    pp_table_entry *entry;

    if (!claims)
        return;
    while ((entry = pp_table_any(&claims->table)) != NULL) {
        pp_table_remove(&claims->table, entry);
        pp_free(PP_CONTAINER(entry, claim, entry));
    }
    pp_table_fini(&claims->table);
    (void)pthread_mutex_destroy(&claims->lock);
    pp_free(claims);
}

/* The claims of an account, made on first use. NULL: no memory. */
static pp_claims *claims_of(pp_account *account)
{
    pp_claims *claims = atomic_load_explicit(&account->claims, memory_order_acquire), *made;

    if (claims)
        return claims;
    made = pp_calloc(1, sizeof(*made));
    if (!made)
        return NULL;
    (void)pthread_mutex_init(&made->lock, NULL);
    if (atomic_compare_exchange_strong(&account->claims, &claims, made))
        return made;
    pp_claims_free(made);
    return claims;
}

static claim *find_locked(const pp_claims *claims, pp_str subject, uint64_t hash)
{
    for (pp_table_entry *e = pp_table_first(&claims->table, hash); e; e = e->next) {
        claim *c = PP_CONTAINER(e, claim, entry);

        if (e->hash == hash && pp_str_eq((pp_str){c->subject, c->len}, subject))
            return c;
    }
    return NULL;
}

static pipit_err take_locked(pp_claims *claims, claim *fresh)
{
    const claim *before =
        find_locked(claims, (pp_str){fresh->subject, fresh->len}, fresh->entry.hash);

    if (before)
        return before->owner == fresh->owner ? PIPIT_EEXIST : PIPIT_EINUSE;
    return pp_table_add(&claims->table, &fresh->entry);
}

pipit_err pp_claim_take(pp_account *account, pp_str subject, const void *owner, bool *out_new)
{
    pp_claims *claims = claims_of(account);
    claim *fresh = claims ? pp_calloc(1, sizeof(*fresh) + subject.len) : NULL;
    pipit_err err;

    if (!fresh)
        return PIPIT_ENOMEM;
    fresh->owner = owner;
    fresh->len = subject.len;
    memcpy(fresh->subject, subject.ptr, subject.len);
    fresh->entry.hash = pp_hash(subject.ptr, subject.len, pp_sublist_seed(account->subs));
    (void)pthread_mutex_lock(&claims->lock);
    err = take_locked(claims, fresh);
    (void)pthread_mutex_unlock(&claims->lock);
    if (err)
        pp_free(fresh);
    if (out_new)
        *out_new = !err;
    return err == PIPIT_EEXIST ? PIPIT_OK : err;
}

bool pp_claim_release(pp_account *account, pp_str subject, const void *owner)
{
    pp_claims *claims = atomic_load_explicit(&account->claims, memory_order_acquire);
    claim *c;

    if (!claims)
        return false;
    (void)pthread_mutex_lock(&claims->lock);
    c = find_locked(claims, subject,
                    pp_hash(subject.ptr, subject.len, pp_sublist_seed(account->subs)));
    if (c && c->owner == owner)
        pp_table_remove(&claims->table, &c->entry);
    else
        c = NULL;
    (void)pthread_mutex_unlock(&claims->lock);
    pp_free(c);
    return c != NULL;
}

void pp_claim_release_all(pp_account *account, const void *owner)
{
    pp_claims *claims = atomic_load_explicit(&account->claims, memory_order_acquire);

    if (!claims)
        return;
    (void)pthread_mutex_lock(&claims->lock);
    for (size_t i = 0; claims->table.slots && i <= claims->table.mask; i++) {
        for (pp_table_entry *e = claims->table.slots[i], *next; e; e = next) {
            claim *c = PP_CONTAINER(e, claim, entry);

            next = e->next;
            if (c->owner != owner)
                continue;
            pp_table_remove(&claims->table, e);
            pp_free(c);
        }
    }
    (void)pthread_mutex_unlock(&claims->lock);
}
