#include "proto/t2/bus.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/random.h"
#include "proto/t2/bridge.h"
#include "proto/t2/request.h"
#include "proto/t2/session.h"

enum {
    FOUND_MIN = 16,
    SUB_BYTES = 200, /* about, with its node */
};

/* --- life --------------------------------------------------------------------------------- */

static void lane_init(pp_t2_bus *bus, unsigned index)
{
    pp_t2_lane *lane = &bus->lanes[index];

    lane->bus = bus;
    lane->loop = bus->host.loops[index];
    lane->router = bus->host.routers[index];
    pp_list_init(&lane->waiting);
}

pipit_err pp_t2_bus_new(pp_t2_bus **out_bus, const pp_t2_host *host)
{
    pp_t2_bus *bus = pp_calloc(1, sizeof(*bus));
    pipit_err err;

    if (!bus)
        return PIPIT_ENOMEM;
    (void)pthread_mutex_init(&bus->lock, NULL);
    bus->host = *host;
    bus->seed = pp_random_seed();
    bus->random = pp_random_seed() | 1;
    err = pp_t2_tree_init(&bus->tree, bus->seed);
    if (!err) {
        bus->lanes = pp_calloc(host->loop_count, sizeof(*bus->lanes));
        err = bus->lanes ? PIPIT_OK : PIPIT_ENOMEM;
    }
    for (unsigned i = 0; i < host->loop_count && !err; i++)
        lane_init(bus, i);
    if (!err)
        err = pp_t2_bridge_open(bus);
    if (err) {
        pp_t2_bus_free(bus);
        return err;
    }
    *out_bus = bus;
    return PIPIT_OK;
}

void pp_t2_bus_free(pp_t2_bus *bus)
{
    if (!bus)
        return;
    pp_t2_bridge_close(bus);
    pp_t2_requests_drop(bus);
    for (unsigned i = 0; bus->lanes && i < bus->host.loop_count; i++) {
        pp_t2_reader_fini(&bus->lanes[i].reader);
        pp_free(bus->lanes[i].found);
    }
    pp_free(bus->lanes);
    pp_t2_tree_fini(&bus->tree);
    PP_ASSERT(bus->claims.count == 0);
    pp_table_fini(&bus->claims);
    pp_table_fini(&bus->requests);
    (void)pthread_mutex_destroy(&bus->lock);
    pp_free(bus);
}

void pp_t2_bus_measure(pp_t2_bus *bus, pp_t2_bus_size *out_size)
{
    (void)pthread_mutex_lock(&bus->lock);
    *out_size = (pp_t2_bus_size){
        .subscriptions = bus->tree.subs.count,
        .claims = bus->claims.count,
        .requests = bus->requests.count,
        .nodes = bus->tree.nodes.count,
    };
    (void)pthread_mutex_unlock(&bus->lock);
}

void pp_t2_bus_enter(pp_t2_session *s)
{
    pp_t2_bus *bus = s->lane->bus;

    pp_list_init(&s->subs);
    pp_list_init(&s->claims);
    pp_list_init(&s->asked);
    pp_list_init(&s->owed);
    (void)pthread_mutex_lock(&bus->lock);
    s->number = ++bus->next_number;
    (void)pthread_mutex_unlock(&bus->lock);
}

/* --- subscriptions ------------------------------------------------------------------------ */

static pipit_err add_locked(pp_t2_session *s, const pp_t2_topic *topic, pp_t2_sub *sub)
{
    pp_t2_bus *bus = s->lane->bus;
    pipit_err err;

    if (pp_t2_tree_find(&bus->tree, topic, s))
        return PIPIT_EEXIST;
    if (s->sub_count >= atomic_load_explicit(&bus->limits.subscriptions_max, memory_order_relaxed))
        return PIPIT_ELIMIT;
    err = pp_t2_tree_add(&bus->tree, topic, sub);
    if (err)
        return err;
    pp_list_append(&s->subs, &sub->of_owner);
    s->sub_count++;
    return PIPIT_OK;
}

pipit_err pp_t2_bus_subscribe(pp_t2_session *s, const pp_t2_topic *topic)
{
    pp_t2_bus *bus = s->lane->bus;
    pp_t2_sub *sub = pp_calloc(1, sizeof(*sub));
    pipit_err err;

    if (!sub)
        return PIPIT_ENOMEM;
    sub->owner = s;
    (void)pthread_mutex_lock(&bus->lock);
    err = add_locked(s, topic, sub);
    (void)pthread_mutex_unlock(&bus->lock);
    if (err)
        pp_free(sub);
    else
        pp_count(&s->lane->loop->counters->subs_inserted, 1);
    return err == PIPIT_EEXIST ? PIPIT_OK : err;
}

static void remove_sub_locked(pp_t2_session *s, pp_t2_sub *sub)
{
    pp_t2_tree_remove(&s->lane->bus->tree, sub);
    pp_list_remove(&sub->of_owner);
    s->sub_count--;
    pp_free(sub);
}

void pp_t2_bus_unsubscribe(pp_t2_session *s, const pp_t2_topic *topic)
{
    pp_t2_bus *bus = s->lane->bus;
    pp_t2_sub *sub;

    (void)pthread_mutex_lock(&bus->lock);
    sub = pp_t2_tree_find(&bus->tree, topic, s);
    if (sub)
        remove_sub_locked(s, sub);
    (void)pthread_mutex_unlock(&bus->lock);
    if (!sub)
        return;
    pp_count(&s->lane->loop->counters->subs_removed, 1);
    pp_loop_note_litter(s->lane->loop, SUB_BYTES);
}

/* --- claims ------------------------------------------------------------------------------- */

static uint64_t claim_hash(const pp_t2_bus *bus, pp_str topic)
{
    return pp_hash(topic.ptr, topic.len, bus->seed);
}

static pp_t2_claim *find_claim(const pp_t2_bus *bus, pp_str topic)
{
    uint64_t hash = claim_hash(bus, topic);

    for (pp_table_entry *e = pp_table_first(&bus->claims, hash); e; e = e->next) {
        pp_t2_claim *claim = PP_CONTAINER(e, pp_t2_claim, entry);

        if (e->hash == hash && pp_str_eq((pp_str){claim->topic, claim->len}, topic))
            return claim;
    }
    return NULL;
}

pp_t2_session *pp_t2_bus_owner_locked(const pp_t2_bus *bus, pp_str topic)
{
    const pp_t2_claim *claim = find_claim(bus, topic);

    return claim ? claim->owner : NULL;
}

static pipit_err claim_locked(pp_t2_session *s, pp_str topic, pp_t2_claim *claim)
{
    pp_t2_bus *bus = s->lane->bus;
    const pp_t2_claim *before = find_claim(bus, topic);
    pipit_err err;

    if (before)
        return before->owner == s ? PIPIT_EEXIST : PIPIT_EINUSE;
    if (s->claim_count >=
        atomic_load_explicit(&bus->limits.subscriptions_max, memory_order_relaxed))
        return PIPIT_ELIMIT;
    err = pp_t2_bridge_claim(bus, topic);
    if (err)
        return err;
    claim->entry.hash = claim_hash(bus, topic);
    err = pp_table_add(&bus->claims, &claim->entry);
    if (err) {
        pp_t2_bridge_unclaim(bus, topic);
        return err;
    }
    pp_list_append(&s->claims, &claim->of_owner);
    s->claim_count++;
    return PIPIT_OK;
}

pipit_err pp_t2_bus_claim(pp_t2_session *s, pp_str topic)
{
    pp_t2_bus *bus = s->lane->bus;
    pp_t2_claim *claim = pp_calloc(1, sizeof(*claim) + topic.len);
    pipit_err err;

    if (!claim)
        return PIPIT_ENOMEM;
    claim->owner = s;
    claim->len = topic.len;
    memcpy(claim->topic, topic.ptr, topic.len);
    (void)pthread_mutex_lock(&bus->lock);
    err = claim_locked(s, topic, claim);
    (void)pthread_mutex_unlock(&bus->lock);
    if (err)
        pp_free(claim);
    return err == PIPIT_EEXIST ? PIPIT_OK : err;
}

static void remove_claim_locked(pp_t2_session *s, pp_t2_claim *claim)
{
    pp_table_remove(&s->lane->bus->claims, &claim->entry);
    pp_t2_bridge_unclaim(s->lane->bus, (pp_str){claim->topic, claim->len});
    pp_list_remove(&claim->of_owner);
    s->claim_count--;
    pp_free(claim);
}

void pp_t2_bus_unclaim(pp_t2_session *s, pp_str topic)
{
    pp_t2_bus *bus = s->lane->bus;
    pp_t2_claim *claim;

    (void)pthread_mutex_lock(&bus->lock);
    claim = find_claim(bus, topic);
    if (claim && claim->owner == s)
        remove_claim_locked(s, claim);
    (void)pthread_mutex_unlock(&bus->lock);
}

void pp_t2_bus_leave(pp_t2_session *s)
{
    pp_t2_bus *bus = s->lane->bus;
    uint32_t subs;

    (void)pthread_mutex_lock(&bus->lock);
    subs = s->sub_count;
    while (!pp_list_empty(&s->subs))
        remove_sub_locked(s, PP_CONTAINER(s->subs.next, pp_t2_sub, of_owner));
    while (!pp_list_empty(&s->claims))
        remove_claim_locked(s, PP_CONTAINER(s->claims.next, pp_t2_claim, of_owner));
    (void)pthread_mutex_unlock(&bus->lock);
    pp_count(&s->lane->loop->counters->subs_removed, subs);
    pp_loop_note_litter(s->lane->loop, subs * SUB_BYTES);
}

/* --- matching ----------------------------------------------------------------------------- */

static pipit_err note_found(void *arg, pp_t2_sub *sub)
{
    pp_t2_lane *lane = arg;
    pp_t2_session *s = sub->owner;

    if (s->match == lane->bus->match)
        return PIPIT_OK;
    if (lane->found_count == lane->found_cap) {
        size_t cap = lane->found_cap ? 2 * lane->found_cap : FOUND_MIN;
        pp_t2_session **found = pp_realloc(lane->found, cap * sizeof(pp_t2_session *));

        if (!found)
            return PIPIT_ENOMEM;
        lane->found = found;
        lane->found_cap = cap;
    }
    s->match = lane->bus->match;
    lane->found[lane->found_count++] = s;
    return PIPIT_OK;
}

pipit_err pp_t2_bus_match(pp_t2_lane *lane, const pp_t2_topic *topic)
{
    pp_t2_bus *bus = lane->bus;
    pipit_err err;

    lane->found_count = 0;
    (void)pthread_mutex_lock(&bus->lock);
    bus->match++;
    err = pp_t2_tree_match(&bus->tree, topic, note_found, lane);
    lane->cost += bus->tree.steps;
    (void)pthread_mutex_unlock(&bus->lock);
    return err;
}
