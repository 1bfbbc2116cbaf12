/* Messages come in, wait if they must, and are settled. */
#include "topic/inside.h"

#include "base/alloc.h"
#include "base/assert.h"

enum {
    RUNS_MIN = 8,
    TOLD_AT_ONCE = 8, /* messages, before it is looked at the time */
};

/* One that could not be appended at once. */
struct waiting {
    pp_link link;
    uint64_t publisher;
    int64_t time_ns;
    size_t len;
    char data[];
};

/* --- who published what ------------------------------------------------------------------- */

static struct pp_topic_run *run_at(const pp_topic *topic, uint32_t nth)
{
    return &topic->runs[(topic->run_first + nth) & (topic->run_room - 1)];
}

pipit_err pp_topic_reserve_run(pp_topic *topic, uint64_t publisher)
{
    uint32_t room = topic->run_room ? 2 * topic->run_room : RUNS_MIN;
    struct pp_topic_run *runs;

    if (topic->run_count < topic->run_room ||
        (topic->run_count && run_at(topic, topic->run_count - 1)->publisher == publisher))
        return PIPIT_OK;
    runs = pp_alloc(room * sizeof(*runs));
    if (!runs)
        return PIPIT_ENOMEM;
    for (uint32_t i = 0; i < topic->run_count; i++)
        runs[i] = *run_at(topic, i);
    pp_free(topic->runs);
    topic->runs = runs;
    topic->run_room = room;
    topic->run_first = 0;
    return PIPIT_OK;
}

static void note_run(pp_topic *topic, uint64_t publisher, uint64_t seq)
{
    struct pp_topic_run *newest = topic->run_count ? run_at(topic, topic->run_count - 1) : NULL;

    if (!newest || newest->publisher != publisher) {
        newest = run_at(topic, topic->run_count++);
        newest->publisher = publisher;
    }
    newest->last_seq = seq;
}

static void take_run(pp_topic *topic)
{
    topic->run_first = (topic->run_first + 1) & (topic->run_room - 1);
    topic->run_count--;
}

/* --- appending ---------------------------------------------------------------------------- */

static pipit_err append(pp_topic *topic, uint64_t publisher, pp_str data, int64_t time_ns)
{
    const struct pp_store_message message = {
        .time_ns = time_ns, .subject = topic->subject, .payload = data};
    uint64_t seq;
    pipit_err err = pp_topic_reserve_run(topic, publisher);

    if (!err)
        err = pp_store_append(topic->store, &message, PP_STORE_ANY, &seq);
    if (err)
        return err;
    note_run(topic, publisher, seq);
    topic->last_seq = seq;
    if (!topic->topics->dir)
        pp_topic_move(topic); /* nobody else tells that it is settled */
    return PIPIT_OK;
}

static pipit_err keep(pp_topic *topic, uint64_t publisher, pp_str data, int64_t time_ns)
{
    size_t bytes = sizeof(struct waiting) + data.len;
    struct waiting *waiting;

    if (topic->backlog_bytes && topic->backlog_bytes + bytes > topic->topics->limits.backlog_bytes)
        return PIPIT_ELIMIT;
    waiting = pp_alloc(bytes);
    if (!waiting)
        return PIPIT_ENOMEM;
    waiting->publisher = publisher;
    waiting->time_ns = time_ns;
    waiting->len = data.len;
    memcpy(waiting->data, data.ptr, data.len);
    pp_list_append(&topic->backlog, &waiting->link);
    topic->backlog_bytes += bytes;
    return PIPIT_EAGAIN;
}

pipit_err pp_topic_publish(pp_topic *topic, uint64_t publisher, pp_str data, int64_t wall_ns)
{
    pipit_err err = PIPIT_EAGAIN;

    if (topic->state == PP_TOPIC_FAILED)
        return topic->open_err;
    if (topic->state == PP_TOPIC_OPEN && pp_list_empty(&topic->backlog))
        err = append(topic, publisher, data, wall_ns);
    return err == PIPIT_EAGAIN ? keep(topic, publisher, data, wall_ns) : err;
}

static void let_go(pp_topic *topic, struct waiting *waiting)
{
    pp_list_remove(&waiting->link);
    topic->backlog_bytes -= sizeof(*waiting) + waiting->len;
    pp_free(waiting);
}

static struct waiting *first_waiting(const pp_topic *topic)
{
    return PP_CONTAINER(topic->backlog.next, struct waiting, link);
}

bool pp_topic_drain(pp_topic *topic)
{
    const struct pp_topics_host *host = &topic->topics->host;

    while (!pp_list_empty(&topic->backlog)) {
        struct waiting *waiting = first_waiting(topic);
        pipit_err err = append(topic, waiting->publisher, (pp_str){waiting->data, waiting->len},
                               waiting->time_ns);

        if (err == PIPIT_EAGAIN)
            return true;
        if (err)
            host->on_lost(host->ctx, topic, waiting->publisher);
        let_go(topic, waiting);
        if (pp_topics_turn_is_over(topic->topics))
            return pp_list_empty(&topic->backlog);
    }
    return true;
}

void pp_topic_drop_backlog(pp_topic *topic, bool tell)
{
    const struct pp_topics_host *host = &topic->topics->host;

    while (!pp_list_empty(&topic->backlog)) {
        struct waiting *waiting = first_waiting(topic);

        if (tell)
            host->on_lost(host->ctx, topic, waiting->publisher);
        let_go(topic, waiting);
    }
}

/* --- settling ----------------------------------------------------------------------------- */

/* False: the turn is over before all have been told. */
static bool tell_settled(pp_topic *topic, uint64_t upto)
{
    const struct pp_topics_host *host = &topic->topics->host;

    while (topic->run_count && topic->settled_seq < upto) {
        struct pp_topic_run *run = run_at(topic, 0);
        uint64_t first = topic->settled_seq + 1, publisher = run->publisher;
        uint64_t last = run->last_seq < upto ? run->last_seq : upto;

        if (last - first >= TOLD_AT_ONCE)
            last = first + TOLD_AT_ONCE - 1;
        if (run->last_seq == last)
            take_run(topic);
        topic->settled_seq = last;
        host->on_settled(host->ctx, topic, publisher, first, last);
        if (last < upto && pp_topics_turn_is_over(topic->topics))
            return false;
    }
    topic->settled_seq = upto > topic->settled_seq ? upto : topic->settled_seq;
    return true;
}

/* What has not been settled will not be. */
static void tell_frozen(pp_topic *topic)
{
    const struct pp_topics_host *host = &topic->topics->host;

    while (topic->run_count) {
        uint64_t publisher = run_at(topic, 0)->publisher;

        take_run(topic);
        host->on_lost(host->ctx, topic, publisher);
    }
}

bool pp_topic_settle(pp_topic *topic)
{
    const struct pp_topics_host *host = &topic->topics->host;
    struct pp_store_progress progress;
    uint64_t before = topic->settled_seq;
    bool all;

    pp_store_progress(topic->store, &progress);
    topic->reads = progress.reads;
    all = tell_settled(topic, progress.seq);
    if (all && progress.err && !topic->frozen) {
        topic->frozen = true;
        tell_frozen(topic);
    }
    topic->grown |= topic->settled_seq != before;
    if (topic->grown)
        topic->grown = !host->on_grown(host->ctx, topic);
    return all && !topic->grown;
}
