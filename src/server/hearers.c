/* Who hears a subject, as a lodger remembers it: by the generations of the index, as loops do with
 * routes, and with a passage to each lodger that is among them. */
#include "server/lodger_inside.h"

#include "base/alloc.h"
#include "base/hash.h"

#include <string.h>

enum {
    ROUTES = 1024, /* remembered, at most one for each place */
    LANES_SWEPT_FROM = 64,
    TARGETS_MAX = 256 * 1024, /* remembered, of all routes: 4 MiB */
};

static void forget_routes(pp_lodger *lodger)
{
    for (size_t i = 0; lodger->routes && i < ROUTES; i++) {
        pp_free(lodger->routes[i]);
        lodger->routes[i] = NULL;
    }
    lodger->targets = 0;
    lodger->recent = NULL;
}

/* --- passages ----------------------------------------------------------------------------- */

static void drop_passage(pp_lodger *lodger, struct pp_passage_to *passage)
{
    lodger->lane_count -= passage->way != PP_BY_INLET;
    pp_table_remove(&lodger->passages, &passage->entry);
    pp_list_remove(&passage->link);
    pp_lane_leave(passage->lane);
    pp_lodger_unref(passage->to);
    pp_free(passage);
}

/* Those to lodgers that have left, or all of them. */
static void drop_passages(pp_lodger *lodger, bool only_closed)
{
    for (pp_link *at = lodger->passage_list.next, *next; at != &lodger->passage_list; at = next) {
        struct pp_passage_to *passage = PP_CONTAINER(at, struct pp_passage_to, link);

        next = at->next;
        if (!only_closed || pp_lane_closed(passage->lane))
            drop_passage(lodger, passage);
    }
}

void pp_hearers_forget(pp_lodger *lodger)
{
    forget_routes(lodger);
    pp_free(lodger->routes);
    drop_passages(lodger, false);
    pp_table_fini(&lodger->passages);
}

void pp_hearers_give_up(pp_lodger *lodger, const pp_lane *lane)
{
    for (pp_link *at = lodger->passage_list.next; at != &lodger->passage_list; at = at->next) {
        struct pp_passage_to *passage = PP_CONTAINER(at, struct pp_passage_to, link);

        passage->stuck |= passage->lane == lane;
    }
}

/* Let go of passages to lodgers that have left. */
static void sweep_passages(pp_lodger *lodger)
{
    size_t twice;

    if (lodger->passages.count < lodger->sweep_at)
        return;
    forget_routes(lodger); /* they point to passages */
    drop_passages(lodger, true);
    twice = 2 * lodger->passages.count;
    lodger->sweep_at = twice > LANES_SWEPT_FROM ? twice : LANES_SWEPT_FROM;
}

static struct pp_passage_to *passage_new(pp_lodger *lodger, pp_lodger *to, uint64_t hash)
{
    struct pp_passage_to *passage = pp_calloc(1, sizeof(*passage));

    if (!passage)
        return NULL;
    passage->entry.hash = hash;
    passage->lane = pp_lane_new(to->port);
    if (!passage->lane || pp_table_add(&lodger->passages, &passage->entry)) {
        pp_lane_leave(passage->lane);
        pp_free(passage);
        return NULL;
    }
    (void)atomic_fetch_add(&to->refs, 1);
    passage->to = to;
    passage->way = lodger->indirect_mark ? PP_BY_INLET : PP_BY_LANE;
    lodger->lane_count += passage->way == PP_BY_LANE;
    pp_list_append(&lodger->passage_list, &passage->link);
    return passage;
}

static struct pp_passage_to *passage_to(pp_lodger *lodger, pp_lodger *to)
{
    uint64_t hash = pp_hash(&to, sizeof(to), 0); /* no peer has a say in addresses */

    for (pp_table_entry *e = pp_table_first(&lodger->passages, hash); e; e = e->next) {
        struct pp_passage_to *passage = PP_CONTAINER(e, struct pp_passage_to, entry);

        if (passage->to == to)
            return passage;
    }
    return passage_new(lodger, to, hash);
}

/* --- who hears a subject ------------------------------------------------------------------ */

static struct pp_hearers *hearers_new(pp_str subject, size_t target_count)
{
    size_t targets = target_count * sizeof(struct pp_heard_by);
    struct pp_hearers *h = pp_calloc(1, sizeof(*h) + targets + subject.len);

    if (!h)
        return NULL;
    h->targets = (struct pp_heard_by *)(void *)(h + 1);
    h->subject = (char *)h->targets + targets;
    h->subject_len = subject.len;
    memcpy(h->subject, subject.ptr, subject.len);
    return h;
}

/* Does it get the message from this lodger at once? */
static bool is_plain(const pp_sub *sub)
{
    return pp_lodger_has(sub) && !sub->queue_len;
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

/* Of all that match, only lodgers' take up room here: how many others there are is for peers to
 * say. */
static struct pp_hearers *gather(pp_lodger *lodger, pp_str subject, const pp_sub_set *set)
{
    const pp_account *account = lodger->account;
    struct pp_hearers *h;
    size_t plain = 0;

    for (size_t i = 0; i < set->count; i++)
        plain += is_plain(set->subs[i]);
    if (plain > UINT32_MAX)
        return NULL;
    h = hearers_new(subject, plain);
    if (!h)
        return NULL;
    h->elsewhere =
        plain < set->count || atomic_load(&account->importers) || atomic_load(&account->desk);
    for (size_t i = 0; i < set->count; i++) {
        if (is_plain(set->subs[i]) && !add_hearer(lodger, h, set->subs[i])) {
            pp_free(h);
            return NULL;
        }
    }
    return h;
}

/* Remember it in the place of what was there before. Together they are limited; one alone is what
 * it must be, since all of them are to get the message. */
static void remember(pp_lodger *lodger, struct pp_hearers *h)
{
    struct pp_hearers **place = &lodger->routes[h->hash % ROUTES];

    if (*place)
        lodger->targets -= (*place)->count;
    pp_free(*place);
    *place = NULL;
    if (lodger->targets + h->count > TARGETS_MAX)
        forget_routes(lodger);
    *place = h;
    lodger->targets += h->count;
    lodger->recent = h;
}

/* Ask the index. NULL: no memory. */
static struct pp_hearers *ask(pp_lodger *lodger, pp_str subject, uint64_t hash)
{
    pp_lodging *lodging = &lodger->server->lodging;
    const pp_sublist_gens *gens = pp_sublist_generations(lodger->account->subs);
    struct pp_hearers *h = NULL;
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
    remember(lodger, h);
    return h;
}

static inline bool is_about(const struct pp_hearers *h, pp_str subject)
{
    return h && h->subject_len == subject.len && pp_short_eq(h->subject, subject.ptr, subject.len);
}

static inline bool is_current(const pp_lodger *lodger, const struct pp_hearers *h)
{
    pp_sublist_gen gen =
        pp_sublist_gen_read(pp_sublist_generations(lodger->account->subs), h->hash);

    return gen.wild == h->gen.wild && gen.slot == h->gen.slot;
}

const struct pp_hearers *pp_hearers_recent(const pp_lodger *lodger, pp_str subject)
{
    const struct pp_hearers *h = lodger->recent;

    return PP_LIKELY(is_about(h, subject)) && PP_LIKELY(is_current(lodger, h)) ? h : NULL;
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
    pipit_err err;

    if (PP_LIKELY(h && is_current(lodger, h))) {
        lodger->recent = h;
        *out = h;
        return PIPIT_OK;
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
    size_t own = 0;

    (void)pthread_mutex_lock(&lodging->reading);
    pp_reclaim_enter(&lodging->reader);
    if (!pp_sublist_match(lodger->account->subs, subject, &set)) {
        for (size_t i = 0; i < set.count; i++)
            own += set.subs[i]->client == &lodger->client;
        h = hearers_new(subject, own);
    }
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
