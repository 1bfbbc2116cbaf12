/* Who hears a subject, as a lodger remembers it: by the generations of the index, as loops do with
 * routes, and with a passage to each lodger that is among them. */
#include "server/lodger_inside.h"

#include "base/alloc.h"

#include <string.h>

enum {
    ROUTES = 1024, /* remembered, at most one for each place */
    LANES_SWEPT_FROM = 64,
};

static void forget_routes(pp_lodger *lodger)
{
    for (size_t i = 0; lodger->routes && i < ROUTES; i++) {
        pp_free(lodger->routes[i]);
        lodger->routes[i] = NULL;
    }
    lodger->recent = NULL;
}

static void drop_passage(struct pp_passage_to *passage)
{
    pp_lane_leave(passage->lane);
    pp_lodger_unref(passage->to);
    pp_free(passage);
}

void pp_hearers_forget(pp_lodger *lodger)
{
    forget_routes(lodger);
    pp_free(lodger->routes);
    for (size_t i = 0; i < lodger->passage_count; i++)
        drop_passage(lodger->passages[i]);
    pp_free(lodger->passages);
}

/* Let go of passages to lodgers that have left. */
static void sweep_passages(pp_lodger *lodger)
{
    size_t kept = 0;

    if (lodger->passage_count < lodger->sweep_at)
        return;
    forget_routes(lodger); /* they point to passages */
    for (size_t i = 0; i < lodger->passage_count; i++) {
        if (pp_lane_closed(lodger->passages[i]->lane))
            drop_passage(lodger->passages[i]);
        else
            lodger->passages[kept++] = lodger->passages[i];
    }
    lodger->passage_count = kept;
    lodger->sweep_at = 2 * kept > LANES_SWEPT_FROM ? 2 * kept : LANES_SWEPT_FROM;
}

static struct pp_passage_to *passage_to(pp_lodger *lodger, pp_lodger *to)
{
    struct pp_passage_to *passage, **grown;

    for (size_t i = 0; i < lodger->passage_count; i++) {
        if (lodger->passages[i]->to == to)
            return lodger->passages[i];
    }
    grown = pp_realloc(lodger->passages, (lodger->passage_count + 1) * sizeof(*grown));
    if (!grown)
        return NULL;
    lodger->passages = grown;
    passage = pp_calloc(1, sizeof(*passage));
    if (!passage)
        return NULL;
    passage->lane = pp_lane_new(to->port);
    if (!passage->lane) {
        pp_free(passage);
        return NULL;
    }
    (void)atomic_fetch_add(&to->refs, 1);
    passage->to = to;
    lodger->passages[lodger->passage_count++] = passage;
    return passage;
}

static struct pp_hearers *hearers_new(pp_str subject, size_t sub_count)
{
    size_t targets = sub_count * sizeof(struct pp_heard_by);
    struct pp_hearers *h = pp_calloc(1, sizeof(*h) + targets + subject.len);

    if (!h)
        return NULL;
    h->targets = (struct pp_heard_by *)(void *)(h + 1);
    h->subject = (char *)h->targets + targets;
    h->subject_len = subject.len;
    memcpy(h->subject, subject.ptr, subject.len);
    return h;
}

/* Add one. False: no memory. */
static bool add_hearer(pp_lodger *lodger, struct pp_hearers *h, const pp_sub *sub)
{
    pp_lodger *to = PP_CONTAINER(sub->client, pp_lodger, client);
    struct pp_heard_by *target = &h->targets[h->count];

    if (lodger->no_echo && to == lodger)
        return true;
    target->passage = passage_to(lodger, to);
    memcpy(&target->sid, sub->text, sizeof(target->sid));
    h->count++;
    return target->passage != NULL;
}

static struct pp_hearers *gather(pp_lodger *lodger, pp_str subject, const pp_sub_set *set)
{
    struct pp_hearers *h = hearers_new(subject, set->count);
    const pp_account *account = lodger->account;

    if (!h)
        return NULL;
    h->elsewhere = atomic_load(&account->importers) || atomic_load(&account->desk);
    for (size_t i = 0; i < set->count; i++) {
        const pp_sub *sub = set->subs[i];

        if (!pp_lodger_has(sub) || sub->queue_len) {
            h->elsewhere = true;
        } else if (!add_hearer(lodger, h, sub)) {
            pp_free(h);
            return NULL;
        }
    }
    return h;
}

/* Ask the index. NULL: no memory. */
static struct pp_hearers *ask(pp_lodger *lodger, pp_str subject, uint64_t hash)
{
    pp_lodging *lodging = &lodger->server->lodging;
    const pp_sublist_gens *gens = pp_sublist_generations(lodger->account->subs);
    struct pp_hearers *h = NULL, **place;
    pp_sub_set set = {0};
    pp_sublist_gen gen;

    sweep_passages(lodger);
    if (!lodger->routes)
        lodger->routes = pp_calloc(ROUTES, sizeof(struct pp_hearers *));
    if (!lodger->routes)
        return NULL;
    (void)pthread_mutex_lock(&lodging->reading);
    pp_reclaim_enter(&lodging->reader); /* subscriptions stay until it leaves */
    gen = pp_sublist_gen_read(gens, hash);
    if (!pp_sublist_match(lodger->account->subs, subject, &set))
        h = gather(lodger, subject, &set);
    pp_reclaim_leave(&lodging->reader);
    (void)pthread_mutex_unlock(&lodging->reading);
    pp_sub_set_fini(&set);
    if (!h)
        return NULL;
    h->hash = hash;
    h->gen = gen;
    place = &lodger->routes[hash % ROUTES];
    pp_free(*place);
    *place = h;
    lodger->recent = h;
    return h;
}

static bool is_about(const struct pp_hearers *h, pp_str subject)
{
    return h && h->subject_len == subject.len && memcmp(h->subject, subject.ptr, subject.len) == 0;
}

/* What is remembered of the subject, mostly without a look at the table. It has been checked. */
static struct pp_hearers *recall(pp_lodger *lodger, pp_str subject, uint64_t *out_hash)
{
    struct pp_hearers *h = lodger->recent;

    if (PP_LIKELY(is_about(h, subject))) {
        *out_hash = h->hash;
        return h;
    }
    *out_hash = pp_hash(subject.ptr, subject.len, pp_sublist_seed(lodger->account->subs));
    h = lodger->routes ? lodger->routes[*out_hash % ROUTES] : NULL;
    return is_about(h, subject) ? h : NULL;
}

pipit_err pp_hearers_find(pp_lodger *lodger, pp_str subject, struct pp_hearers **out)
{
    uint64_t hash;
    struct pp_hearers *h = recall(lodger, subject, &hash);
    pp_sublist_gen gen;
    pipit_err err;

    if (PP_LIKELY(h)) {
        gen = pp_sublist_gen_read(pp_sublist_generations(lodger->account->subs), hash);
        if (PP_LIKELY(gen.wild == h->gen.wild && gen.slot == h->gen.slot)) {
            lodger->recent = h;
            *out = h;
            return PIPIT_OK;
        }
    }
    err = pp_lodger_check_subject(lodger->server, subject);
    if (err)
        return err;
    h = ask(lodger, subject, hash);
    *out = h;
    return h ? PIPIT_OK : PIPIT_ENOMEM;
}

struct pp_hearers *pp_hearers_own(pp_lodger *lodger, pp_str subject)
{
    pp_lodging *lodging = &lodger->server->lodging;
    struct pp_hearers *h = NULL;
    pp_sub_set set = {0};

    (void)pthread_mutex_lock(&lodging->reading);
    pp_reclaim_enter(&lodging->reader);
    if (!pp_sublist_match(lodger->account->subs, subject, &set))
        h = hearers_new(subject, set.count);
    for (size_t i = 0; h && i < set.count; i++) {
        struct pp_heard_by *target = &h->targets[h->count];

        if (set.subs[i]->client != &lodger->client)
            continue;
        target->passage = passage_to(lodger, lodger);
        memcpy(&target->sid, set.subs[i]->text, sizeof(target->sid));
        h->count += target->passage != NULL;
    }
    pp_reclaim_leave(&lodging->reader);
    (void)pthread_mutex_unlock(&lodging->reading);
    pp_sub_set_fini(&set);
    return h;
}
