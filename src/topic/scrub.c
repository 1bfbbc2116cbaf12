/* What topics have on disk is looked through for damage, one topic after another. */
#include "topic/inside.h"

#include "base/clock.h"

/* A start has other things to do than this. */
static const int64_t first_after_ns = 3600 * PP_NS_PER_S;

static bool is_wanted(const pp_topics *topics)
{
    return topics->dir && topics->limits.scrub_interval_ns && topics->limits.scrub_rate;
}

/* The next topic that can be looked at, from where it is on; NULL: there is none. */
static pp_topic *find_topic(pp_topics *topics)
{
    struct pp_topics_walk *walk = &topics->walk;

    for (; walk->at != &topics->all; walk->at = walk->at->next) {
        pp_topic *topic = PP_CONTAINER(walk->at, pp_topic, next);

        if (topic->store)
            return topic;
        walk->scrub.seq = walk->scrub.piece = 0;
    }
    return NULL;
}

/* Is it time to begin again? */
static bool begins(pp_topics *topics, int64_t now_ns)
{
    struct pp_topics_walk *walk = &topics->walk;
    int64_t interval_ns = topics->limits.scrub_interval_ns;

    if (!walk->begin_ns)
        walk->begin_ns = now_ns + (interval_ns < first_after_ns ? interval_ns : first_after_ns);
    if (walk->begin_ns > now_ns && walk->begin_ns - now_ns > interval_ns)
        walk->begin_ns = now_ns + interval_ns; /* it was longer before */
    if (now_ns < walk->begin_ns)
        return false;
    walk->at = topics->all.next;
    walk->begin_ns = now_ns > INT64_MAX - interval_ns ? INT64_MAX : now_ns + interval_ns;
    return true;
}

int64_t pp_topics_scrub(pp_topics *topics, int64_t now_ns)
{
    struct pp_topics_walk *walk = &topics->walk;
    uint64_t passes = walk->scrub.passes;
    pp_topic *topic;
    int64_t due_ns = now_ns;

    if (!is_wanted(topics))
        return INT64_MAX;
    if (walk->at == &topics->all && !begins(topics, now_ns))
        return walk->begin_ns;
    topic = find_topic(topics);
    if (topic) {
        walk->scrub.bytes_per_s = topics->limits.scrub_rate;
        /* What failed is tried again next time, or is behind it by now. */
        (void)pp_scrub_turn(&walk->scrub, topic->store, now_ns, &due_ns);
        if (walk->scrub.passes == passes)
            return due_ns;
        walk->at = walk->at->next;
    }
    if (walk->at != &topics->all)
        return due_ns;
    walk->passes++;
    return walk->begin_ns;
}

struct pp_topics_scrubbed pp_topics_scrubbed(const pp_topics *topics)
{
    return (struct pp_topics_scrubbed){topics->walk.passes, topics->walk.scrub.bad};
}
