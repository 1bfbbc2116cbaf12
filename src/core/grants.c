#include "core/grants.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/random.h"

#include <pthread.h>
#include <string.h>

enum {
    HEADS_AT_START = 16,
    HEADS_KEPT = 64, /* by who has nothing granted at the moment */
};

typedef struct grant {
    struct grant *older, *newer;
    struct grant *next; /* of its chain */
    uint64_t hash;
    int64_t since_ns;
    uint64_t used;
    size_t len;
    char subject[];
} grant;

struct pp_grants {
    pthread_mutex_t lock; /* guards the rest */
    grant **heads;        /* chains; NULL until used */
    size_t head_mask;
    size_t count;
    size_t bytes;
    grant *oldest, *newest;
    uint64_t seed;
    bool restarted;
};

pipit_err pp_grants_new(pp_grants **out_grants)
{
    pp_grants *grants = pp_calloc(1, sizeof(*grants));
    int failed;

    if (!grants)
        return PIPIT_ENOMEM;
    failed = pthread_mutex_init(&grants->lock, NULL);
    PP_ASSERT(!failed);
    grants->seed = pp_random_seed(); /* reply subjects are the requesters' choice */
    *out_grants = grants;
    return PIPIT_OK;
}

static void lock(pp_grants *grants)
{
    int failed = pthread_mutex_lock(&grants->lock);

    PP_ASSERT(!failed);
}

static void unlock(pp_grants *grants)
{
    int failed = pthread_mutex_unlock(&grants->lock);

    PP_ASSERT(!failed);
}

static size_t bytes_of(const grant *g)
{
    return sizeof(*g) + g->len;
}

static grant **chain_of(const pp_grants *grants, uint64_t hash)
{
    return &grants->heads[hash & grants->head_mask];
}

static grant *find_locked(const pp_grants *grants, pp_str subject, uint64_t hash)
{
    grant *g = grants->heads ? *chain_of(grants, hash) : NULL;

    while (g && (g->hash != hash || !pp_str_eq((pp_str){g->subject, g->len}, subject)))
        g = g->next;
    return g;
}

/* --- by age ------------------------------------------------------------------------------- */

static void join_ages(pp_grants *grants, grant *g)
{
    g->older = grants->newest;
    g->newer = NULL;
    *(g->older ? &g->older->newer : &grants->oldest) = g;
    grants->newest = g;
}

static void leave_ages(pp_grants *grants, grant *g)
{
    *(g->older ? &g->older->newer : &grants->oldest) = g->newer;
    *(g->newer ? &g->newer->older : &grants->newest) = g->older;
}

static void forget_locked(pp_grants *grants, grant *g)
{
    grant **at = chain_of(grants, g->hash);

    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    leave_ages(grants, g);
    grants->count--;
    grants->bytes -= bytes_of(g);
    pp_free(g);
}

/* The table stays for who goes on being asked; a large one does not. */
static void forget_heads_locked(pp_grants *grants)
{
    if (grants->count || grants->head_mask < HEADS_KEPT)
        return;
    pp_free(grants->heads);
    grants->heads = NULL;
    grants->head_mask = 0;
}

/* --- adding ------------------------------------------------------------------------------- */

/* As many chains as there are to be grants. Without memory they grow longer. */
static bool reserve_locked(pp_grants *grants)
{
    size_t count = grants->heads ? 2 * (grants->head_mask + 1) : HEADS_AT_START;
    grant **heads;

    if (grants->heads && grants->count <= grants->head_mask)
        return true;
    heads = pp_calloc(count, sizeof(grant *));
    if (!heads)
        return grants->heads != NULL;
    pp_free(grants->heads);
    grants->heads = heads;
    grants->head_mask = count - 1;
    for (grant *g = grants->oldest; g; g = g->newer) {
        g->next = *chain_of(grants, g->hash);
        *chain_of(grants, g->hash) = g;
    }
    return true;
}

static grant *make_locked(pp_grants *grants, pp_str subject, uint64_t hash)
{
    grant *g = reserve_locked(grants) ? pp_alloc(sizeof(*g) + subject.len) : NULL;

    if (!g)
        return NULL;
    g->hash = hash;
    g->len = subject.len;
    memcpy(g->subject, subject.ptr, subject.len);
    while (grants->oldest &&
           (grants->count == PP_GRANTS_MAX || grants->bytes + bytes_of(g) > PP_GRANTS_BYTES_MAX))
        forget_locked(grants, grants->oldest);
    g->next = *chain_of(grants, hash);
    *chain_of(grants, hash) = g;
    grants->count++;
    grants->bytes += bytes_of(g);
    return g;
}

bool pp_grants_add(pp_grants *grants, pp_str subject, const pp_sub *sub, int64_t now_ns)
{
    uint64_t hash = pp_hash(subject.ptr, subject.len, grants->seed);
    grant *g = NULL;

    if (subject.len > PP_GRANTS_SUBJECT_MAX)
        return false;
    lock(grants);
    if (!grants->restarted || atomic_load(&sub->remaining) != PP_SUB_ENDED) {
        g = find_locked(grants, subject, hash);
        if (g)
            leave_ages(grants, g);
        else
            g = make_locked(grants, subject, hash);
    }
    if (g) {
        g->since_ns = now_ns;
        g->used = 0;
        join_ages(grants, g);
    }
    unlock(grants);
    return g != NULL;
}

/* --- using and forgetting ----------------------------------------------------------------- */

static bool too_old(const grant *g, const pp_permission_responses *terms, int64_t now_ns)
{
    return terms->ttl_ns >= 0 && now_ns - g->since_ns > terms->ttl_ns;
}

bool pp_grants_take(pp_grants *grants, pp_str subject, const pp_permission_responses *terms,
                    int64_t now_ns)
{
    uint64_t hash = pp_hash(subject.ptr, subject.len, grants->seed);
    bool may = false;
    grant *g;

    lock(grants);
    g = find_locked(grants, subject, hash);
    if (g) {
        bool last;

        may = !too_old(g, terms, now_ns) && (terms->max < 0 || g->used < (uint64_t)terms->max);
        g->used++;
        last = !may || (terms->max >= 0 && g->used >= (uint64_t)terms->max);
        if (last)
            forget_locked(grants, g);
    }
    unlock(grants);
    return may;
}

void pp_grants_expire(pp_grants *grants, const pp_permission_responses *terms, int64_t now_ns)
{
    lock(grants);
    while (grants->oldest && too_old(grants->oldest, terms, now_ns))
        forget_locked(grants, grants->oldest);
    forget_heads_locked(grants);
    unlock(grants);
}

void pp_grants_restart(pp_grants *grants)
{
    lock(grants);
    while (grants->oldest)
        forget_locked(grants, grants->oldest);
    forget_heads_locked(grants);
    grants->restarted = true;
    unlock(grants);
}

size_t pp_grants_count(pp_grants *grants)
{
    size_t count;

    lock(grants);
    count = grants->count;
    unlock(grants);
    return count;
}

void pp_grants_free(pp_grants *grants)
{
    if (!grants)
        return;
    while (grants->oldest)
        forget_locked(grants, grants->oldest);
    pp_free(grants->heads);
    (void)pthread_mutex_destroy(&grants->lock);
    pp_free(grants);
}
