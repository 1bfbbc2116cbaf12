#include "topic/inside.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/random.h"
#include "topic/name.h"

enum {
    WRITERS = 4,         /* topics whose files are written at the same time */
    READERS = 2,         /* and those that are read ahead */
    EXPIRE_AT_ONCE = 64, /* messages of one topic */
    LOGGED_BYTES = 200,  /* of a subject */
};

static const int64_t retry_after_ns = PP_NS_PER_S;
/* What a turn may take: the owner has others to serve. */
static const int64_t turn_ns = PP_NS_PER_MS / 2;

/* --- the table ---------------------------------------------------------------------------- */

static pp_topic *find(const pp_topics *topics, pp_str name, uint64_t hash)
{
    for (pp_table_entry *e = pp_table_first(&topics->table, hash); e; e = e->next) {
        pp_topic *topic = PP_CONTAINER(e, pp_topic, entry);

        if (e->hash == hash && pp_str_eq(topic->name, name))
            return topic;
    }
    return NULL;
}

static void free_topic(pp_topic *topic)
{
    if (!topic)
        return;
    pp_store_close(topic->store);
    pp_store_close(topic->opened);
    pp_topic_drop_backlog(topic, false);
    pp_free(topic->runs);
    pp_free(topic);
}

/* With its name and its subject behind it. */
static pp_topic *new_topic(pp_topics *topics, pp_str name)
{
    pp_topic *topic = pp_calloc(1, sizeof(*topic) + name.len + PP_TOPIC_SUBJECT_BYTES(name.len));
    char *behind = (char *)(topic + 1);

    if (!topic)
        return NULL;
    if (name.len)
        memcpy(behind, name.ptr, name.len);
    topic->name = (pp_str){behind, name.len};
    topic->subject = (pp_str){behind + name.len, pp_topic_subject(name, behind + name.len)};
    topic->topics = topics;
    pp_list_init(&topic->backlog);
    pp_list_init(&topic->tail);
    pp_list_init(&topic->stalled);
    pp_list_init(&topic->reading);
    return topic;
}

pipit_err pp_topics_add(pp_topics *topics, pp_str name, pp_topic **out_topic)
{
    pp_topic *topic;
    pipit_err err;

    if (name.len > PP_TOPIC_NAME_MAX)
        return PIPIT_ETOOBIG;
    topic = new_topic(topics, name);
    if (!topic)
        return PIPIT_ENOMEM;
    topic->entry.hash = pp_hash(name.ptr, name.len, topics->seed);
    err = topic->subject.len > PP_TOPIC_SUBJECT_MAX ? PIPIT_ETOOBIG
                                                    : pp_table_add(&topics->table, &topic->entry);
    if (err) {
        free_topic(topic);
        return err;
    }
    pp_list_append(&topics->all, &topic->next);
    *out_topic = topic;
    return PIPIT_OK;
}

pipit_err pp_topics_get(pp_topics *topics, pp_str name, int64_t now_ns, pp_topic **out_topic)
{
    pp_topic *topic = find(topics, name, pp_hash(name.ptr, name.len, topics->seed));
    pipit_err err;

    if (!topic) {
        if (topics->table.count >= topics->limits.topics)
            return PIPIT_ELIMIT;
        err = pp_topics_add(topics, name, &topic);
        if (err)
            return err;
        pp_topic_open_soon(topic);
    } else if (topic->state == PP_TOPIC_FAILED && now_ns >= topic->retry_ns) {
        topic->retry_ns = now_ns + retry_after_ns;
        pp_topic_open_soon(topic);
    }
    *out_topic = topic;
    return PIPIT_OK;
}

pp_topic *pp_topics_find(const pp_topics *topics, pp_str name)
{
    return find(topics, name, pp_hash(name.ptr, name.len, topics->seed));
}

uint32_t pp_topics_count(const pp_topics *topics)
{
    return (uint32_t)topics->table.count;
}

/* For each topic, in no stated order. */
static void each(pp_topics *topics, void (*visit)(pp_topic *topic, void *arg), void *arg)
{
    for (size_t i = 0; topics->table.slots && i <= topics->table.mask; i++) {
        for (pp_table_entry *e = topics->table.slots[i]; e; e = e->next)
            visit(PP_CONTAINER(e, pp_topic, entry), arg);
    }
}

/* --- what other threads tell -------------------------------------------------------------- */

/* Does the owner have to be told to come? */
static bool wants_waking_locked(pp_topics *topics)
{
    if (!topics->moved_first || topics->woken || topics->stopping)
        return false;
    topics->woken = true;
    return true;
}

void pp_topic_move(pp_topic *topic)
{
    pp_topics *topics = topic->topics;
    bool wakes;

    (void)pthread_mutex_lock(&topics->lock);
    if (!topic->moved) { /* else it is yet to be looked at, in this turn or the next */
        if (topics->moved_first)
            topics->moved_last->next_moved = topic;
        else
            topics->moved_first = topic;
        topics->moved_last = topic;
        topic->next_moved = NULL;
        topic->moved = true;
    }
    if (topics->stopping)
        (void)pthread_cond_signal(&topics->work); /* who stops them waits for it */
    wakes = wants_waking_locked(topics);
    (void)pthread_mutex_unlock(&topics->lock);
    if (wakes)
        topics->host.wake(topics->host.ctx);
}

bool pp_topics_turn_is_over(const pp_topics *topics)
{
    return topics->until_ns && pp_clock_mono_ns() >= topics->until_ns;
}

static void take_opened(pp_topic *topic, pp_store *opened, pipit_err err)
{
    struct pp_store_progress progress;

    if (!opened) {
        topic->state = PP_TOPIC_FAILED;
        topic->open_err = err;
        pp_topic_drop_backlog(topic, true);
        return;
    }
    topic->store = opened;
    topic->state = PP_TOPIC_OPEN;
    pp_store_progress(opened, &progress);
    topic->last_seq = topic->settled_seq =
        progress.seq; /* all that it was opened with is settled */
    topic->frozen = progress.err != PIPIT_OK;
    /* They may be others by now. What cannot go is told with the turn that follows. */
    (void)pp_store_limit(opened, &topic->topics->limits.stream);
}

/* What the disk does not give, or has no room for, keeps messages that are to go. It is tried again
 * at each turn: it is told when that begins, when the reason is another one, and when it is over.
 */
static void note_kept(pp_topic *topic, pipit_err err, pipit_err *known_err, const char *what)
{
    const pp_log *log = topic->topics->host.log;
    int len = (int)(topic->subject.len < LOGGED_BYTES ? topic->subject.len : LOGGED_BYTES);

    if (err == PIPIT_EAGAIN || err == *known_err)
        return;
    *known_err = err;
    if (err)
        pp_log_write(log, PP_LOG_ERROR,
                     "message-broker: messages of a topic cannot go subject=%.*s limit=%s err=%s",
                     len, topic->subject.ptr, what, pipit_strerror(err));
    else
        pp_log_write(log, PP_LOG_WARN,
                     "message-broker: messages of a topic can go again subject=%.*s limit=%s", len,
                     topic->subject.ptr, what);
}

/* True: it has more that is due, now. */
static bool expire_one(pp_topic *topic, int64_t wall_ns)
{
    uint32_t count = 0;
    pipit_err err;

    if (!topic->store || topic->frozen)
        return false;
    err = pp_store_expire(topic->store, wall_ns, EXPIRE_AT_ONCE, &count);
    note_kept(topic, err, &topic->expire_err, "age");
    /* What had to be read first goes piece by piece, until nothing is due any more. */
    topic->aging = err == PIPIT_EAGAIN || (topic->aging && count == EXPIRE_AT_ONCE);
    return count == EXPIRE_AT_ONCE;
}

/* What the limits do not allow any more goes. False: there is more of it. */
static bool let_go(pp_topic *topic)
{
    bool more = false;

    if (topic->frozen) /* the store has told why */
        return true;
    /* What is being read goes when it has been. */
    note_kept(topic, pp_store_evict(topic->store, &more), &topic->evict_err, "size");
    if (topic->aging)
        more |= expire_one(topic, pp_clock_wall_ns());
    return !more;
}

static void turn_topic(pp_topic *topic)
{
    const struct pp_topics_host *host = &topic->topics->host;

    if (topic->state == PP_TOPIC_OPEN) {
        bool all = pp_topic_settle(topic);

        all &= let_go(topic);
        all &= host->on_read(host->ctx, topic);
        if (!pp_topic_drain(topic) || !all)
            pp_topic_move(topic); /* it goes on behind the others */
    }
    if (topic->state != PP_TOPIC_OPENING && pp_list_empty(&topic->backlog))
        host->on_ready(host->ctx, topic);
}

static pp_topic *take_moved_locked(pp_topics *topics)
{
    pp_topic *topic = topics->moved_first;

    topics->moved_first = topic->next_moved;
    topic->moved = false;
    return topic;
}

/* What an opener has to say of it, if anything; the lock is let go meanwhile. */
static void look_at(pp_topics *topics, pp_topic *topic)
{
    pp_store *opened = topic->opened;
    pipit_err err = topic->tried_err;
    bool tried = topic->tried;

    topic->opened = NULL;
    topic->tried = false;
    (void)pthread_mutex_unlock(&topics->lock);
    if (tried)
        take_opened(topic, opened, err);
    turn_topic(topic);
    (void)pthread_mutex_lock(&topics->lock);
}

void pp_topics_turn(pp_topics *topics)
{
    pp_topic *last;
    bool more, wakes;

    topics->until_ns = pp_clock_mono_ns() + turn_ns;
    (void)pthread_mutex_lock(&topics->lock);
    topics->woken = false;
    last = topics->moved_last; /* what comes behind it waits for the next turn */
    more = topics->moved_first != NULL;
    while (more) {
        pp_topic *topic = take_moved_locked(topics);

        look_at(topics, topic);
        more = topic != last && !pp_topics_turn_is_over(topics);
    }
    wakes = wants_waking_locked(topics);
    (void)pthread_mutex_unlock(&topics->lock);
    if (wakes)
        topics->host.wake(topics->host.ctx);
}

/* --- limits ------------------------------------------------------------------------------- */

static void limit_one(pp_topic *topic, void *arg)
{
    const struct pp_topics_limits *limits = arg;

    if (!topic->store || topic->frozen)
        return;
    (void)pp_store_limit(topic->store, &limits->stream); /* what cannot go now goes later */
    pp_topic_move(topic);
}

void pp_topics_limit(pp_topics *topics, const struct pp_topics_limits *limits)
{
    bool same = memcmp(&topics->limits.stream, &limits->stream, sizeof(limits->stream)) == 0;

    topics->limits = *limits;
    (void)pthread_mutex_lock(&topics->lock);
    topics->stream = limits->stream;
    (void)pthread_mutex_unlock(&topics->lock);
    if (!same)
        each(topics, limit_one, (void *)limits);
}

bool pp_topics_expire(pp_topics *topics, int64_t wall_ns)
{
    const pp_table *table = &topics->table;
    bool more = false;

    topics->until_ns = pp_clock_mono_ns() + turn_ns;
    for (size_t i = 0; table->slots && i <= table->mask; i++) {
        if (i && pp_topics_turn_is_over(topics))
            return true;
        topics->expire_slot = (topics->expire_slot + 1) & table->mask;
        for (pp_table_entry *e = table->slots[topics->expire_slot]; e; e = e->next)
            more |= expire_one(PP_CONTAINER(e, pp_topic, entry), wall_ns);
    }
    return more;
}

/* --- reading ------------------------------------------------------------------------------ */

pipit_err pp_topic_next(pp_topic *topic, uint64_t seq, struct pp_store_message *out_message)
{
    pipit_err err;

    if (!topic->store || seq > topic->settled_seq)
        return PIPIT_ENOTFOUND;
    err = pp_store_try_next(topic->store, PP_STR(">"), seq, out_message);
    return !err && out_message->seq > topic->settled_seq ? PIPIT_ENOTFOUND : err;
}

pipit_err pp_topic_at(pp_topic *topic, uint64_t seq, struct pp_store_message *out_message)
{
    if (!topic->store || seq > topic->settled_seq)
        return PIPIT_ENOTFOUND;
    return pp_store_try_read(topic->store, seq, out_message);
}

pipit_err pp_topic_read(pp_topic *topic, uint64_t seq, struct pp_store_message *out_message)
{
    if (!topic->store || seq > topic->settled_seq)
        return PIPIT_ENOTFOUND;
    return pp_store_read(topic->store, seq, out_message);
}

/* --- life --------------------------------------------------------------------------------- */

pipit_err pp_topics_new(pp_topics **out_topics, const struct pp_topics_host *host, const char *dir,
                        const struct pp_topics_files *files, const struct pp_topics_limits *limits,
                        pp_disk *disk)
{
    pp_topics *topics = pp_calloc(1, sizeof(*topics));
    pipit_err err = PIPIT_OK;

    if (!topics)
        return PIPIT_ENOMEM;
    (void)pthread_mutex_init(&topics->lock, NULL);
    (void)pthread_mutex_init(&topics->naming, NULL);
    (void)pthread_cond_init(&topics->work, NULL);
    topics->host = *host;
    topics->limits = *limits;
    topics->files = *files;
    if (files->keys) {
        topics->keys = *files->keys;
        topics->files.keys = &topics->keys;
    }
    topics->stream = limits->stream;
    topics->disk = disk ? disk : pp_disk_real();
    topics->seed = pp_random_seed();
    pp_list_init(&topics->all);
    topics->walk.at = &topics->all;
    if (dir) {
        topics->dir = pp_memdupz(dir, strlen(dir));
        err = !topics->dir                            ? PIPIT_ENOMEM
              : strlen(dir) > PP_TOPIC_PATH_BYTES / 2 ? PIPIT_ETOOBIG
                                                      : pp_topics_find_all(topics);
        if (!err)
            err = pp_store_pool_new(WRITERS, &topics->pool);
        if (!err)
            err = pp_store_pool_new(READERS, &topics->readers);
    }
    if (err) {
        pp_topics_free(topics);
        return err;
    }
    *out_topics = topics;
    return PIPIT_OK;
}

static void open_found(pp_topic *topic, void *arg)
{
    (void)arg;
    pp_topic_open_soon(topic);
}

pipit_err pp_topics_start(pp_topics *topics)
{
    each(topics, open_found, NULL);
    return pp_topics_start_openers(topics);
}

/* Until something has moved since the last time. */
static void await_move(pp_topics *topics)
{
    (void)pthread_mutex_lock(&topics->lock);
    while (!topics->moved_first)
        (void)pthread_cond_wait(&topics->work, &topics->lock);
    while (topics->moved_first)
        (void)take_moved_locked(topics);
    (void)pthread_mutex_unlock(&topics->lock);
}

/* What has been accepted is stored. The openers have ended. */
static void store_backlog(pp_topic *topic)
{
    if (pp_list_empty(&topic->backlog))
        return;
    if (topic->state == PP_TOPIC_OPENING) {
        if (!topic->tried)
            pp_topic_open_now(topic);
        take_opened(topic, topic->opened, topic->tried_err);
        topic->opened = NULL;
    }
    while (topic->state == PP_TOPIC_OPEN) {
        (void)pp_topic_drain(topic);
        if (pp_list_empty(&topic->backlog))
            break;
        await_move(topic->topics);
    }
}

static void close_one(pp_topic *topic, void *arg)
{
    (void)arg;
    store_backlog(topic);
    pp_store_close(topic->store);
    pp_store_close(topic->opened);
    topic->store = topic->opened = NULL;
    topic->tried = false; /* that is told no more */
    topic->state = PP_TOPIC_FAILED;
    topic->open_err = PIPIT_ECLOSED;
    topic->retry_ns = INT64_MAX;
}

void pp_topics_stop(pp_topics *topics)
{
    pp_topics_stop_openers(topics); /* closing topics wakes nobody from here on */
    topics->until_ns = 0;
    each(topics, close_one, NULL);
}

void pp_topics_free(pp_topics *topics)
{
    pp_table_entry *entry;

    if (!topics)
        return;
    pp_topics_stop(topics);
    while ((entry = pp_table_any(&topics->table))) {
        pp_table_remove(&topics->table, entry);
        free_topic(PP_CONTAINER(entry, pp_topic, entry));
    }
    pp_table_fini(&topics->table);
    pp_store_pool_free(topics->pool);
    pp_store_pool_free(topics->readers);
    (void)pthread_cond_destroy(&topics->work);
    (void)pthread_mutex_destroy(&topics->naming);
    (void)pthread_mutex_destroy(&topics->lock);
    pp_store_keys_wipe(&topics->keys);
    pp_free(topics->dir);
    pp_free(topics);
}
