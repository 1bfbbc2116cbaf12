#include "server/monitor/history.h"

#include "base/alloc.h"
#include "base/ceiling.h"
#include "base/clock.h"

#include <pthread.h>

enum {
    SUBS_BYTES_MAX = 4096, /* of one connection */
    COPIES_PER_LOCK = 128, /* so that a loop that wants to add need not wait long */
};

struct pp_history {
    pthread_mutex_t lock; /* guards all that follows */
    pp_conn_record **ring;
    size_t cap;         /* of the ring */
    size_t first;       /* the oldest */
    uint64_t first_seq; /* how many came before it */
    size_t count, count_max;
    size_t bytes;
    uint64_t by_reason[PP_CLOSE_REASON_COUNT];
};

pipit_err pp_history_new(pp_history **out_history, size_t count_max)
{
    pp_history *history = pp_calloc(1, sizeof(*history));

    if (!history)
        return PIPIT_ENOMEM;
    (void)pthread_mutex_init(&history->lock, NULL);
    history->count_max = count_max;
    *out_history = history;
    return PIPIT_OK;
}

static void drop_oldest_locked(pp_history *history)
{
    pp_conn_record *record = history->ring[history->first];

    history->bytes -= record->bytes;
    history->first = (history->first + 1) % history->cap;
    history->first_seq++;
    history->count--;
    pp_free(record);
}

void pp_history_free(pp_history *history)
{
    if (!history)
        return;
    while (history->count)
        drop_oldest_locked(history);
    pp_free(history->ring);
    (void)pthread_mutex_destroy(&history->lock);
    pp_free(history);
}

void pp_history_resize(pp_history *history, size_t count_max)
{
    (void)pthread_mutex_lock(&history->lock);
    history->count_max = count_max;
    while (history->count > count_max)
        drop_oldest_locked(history);
    (void)pthread_mutex_unlock(&history->lock);
}

/* The ring grows with what is in it, up to count_max. */
static bool grow_locked(pp_history *history)
{
    size_t cap = history->cap ? history->cap * 2 : 64;
    pp_conn_record **ring = pp_alloc(cap * sizeof(*ring));

    if (!ring)
        return false;
    for (size_t i = 0; i < history->count; i++)
        ring[i] = history->ring[(history->first + i) % history->cap];
    pp_free(history->ring);
    history->ring = ring;
    history->cap = cap;
    history->first = 0;
    return true;
}

static bool add_locked(pp_history *history, pp_conn_record *record)
{
    if (record->bytes > PP_HISTORY_BYTES_MAX || history->count_max == 0)
        return false;
    if (history->count && pp_ceiling_pressed())
        drop_oldest_locked(history); /* many who end at once must not fill what is left */
    while (history->count && (history->count >= history->count_max ||
                              history->bytes + record->bytes > PP_HISTORY_BYTES_MAX))
        drop_oldest_locked(history);
    if (history->count == history->cap && !grow_locked(history))
        return false;
    history->ring[(history->first + history->count) % history->cap] = record;
    history->count++;
    history->bytes += record->bytes;
    return true;
}

/* The subscriptions of a session, if they are few enough to be kept; returns their bytes. */
static size_t choose_subs(const pp_nats_session *session, const pp_sub **out_subs,
                          uint32_t *out_count)
{
    size_t bytes = 0;
    uint32_t at = 0, count = 0;

    *out_count = 0;
    if (!session || session->sids.count == 0 || session->sids.count > PP_HISTORY_SUBS_MAX)
        return 0;
    while (count < session->sids.count) {
        out_subs[count] = pp_nats_sids_any(&session->sids, &at);
        bytes += pp_sub_record_bytes(out_subs[count++]);
        at++;
    }
    if (bytes > SUBS_BYTES_MAX)
        return 0;
    *out_count = count;
    return bytes;
}

static pp_conn_record *make_record(pp_conn *conn)
{
    const pp_sub *subs[PP_HISTORY_SUBS_MAX];
    size_t bytes = pp_conn_record_bytes(conn), subs_bytes;
    pp_conn_record *record;
    uint32_t count;
    char *to;

    subs_bytes = choose_subs(pp_nats_session_of(conn), subs, &count);
    record = pp_alloc(bytes + subs_bytes);
    if (!record)
        return NULL;
    record->bytes = (uint32_t)(bytes + subs_bytes);
    pp_conn_record_fill(record, conn);
    record->stop_ns = pp_clock_mono_ns();
    record->subs_bytes = (uint32_t)subs_bytes;
    to = (char *)record + bytes;
    for (uint32_t i = 0; i < count; i++) {
        pp_sub_record *sub = (pp_sub_record *)(void *)to;

        sub->bytes = (uint32_t)pp_sub_record_bytes(subs[i]);
        pp_sub_record_fill(sub, subs[i], record->cid);
        to += sub->bytes;
    }
    return record;
}

void pp_history_note(pp_history *history, pp_conn *conn)
{
    pp_conn_record *record = make_record(conn);
    bool kept;

    (void)pthread_mutex_lock(&history->lock);
    history->by_reason[conn->reason]++;
    kept = record && add_locked(history, record);
    (void)pthread_mutex_unlock(&history->lock);
    if (!kept)
        pp_free(record);
}

/* Copy some from the one with that number on; true: more are left. */
static bool copy_some(pp_history *history, uint64_t *seq, uint64_t *end, pp_records *out)
{
    bool more;

    (void)pthread_mutex_lock(&history->lock);
    if (*end == 0)
        *end = history->first_seq + history->count;
    if (*seq < history->first_seq)
        *seq = history->first_seq; /* they have gone meanwhile */
    for (unsigned n = 0; n < COPIES_PER_LOCK && *seq < *end && !out->err; n++, ++*seq) {
        size_t at = (history->first + (size_t)(*seq - history->first_seq)) % history->cap;
        void *room = pp_records_add(out, history->ring[at]->bytes);

        if (room)
            memcpy(room, history->ring[at], history->ring[at]->bytes);
    }
    more = *seq < *end && !out->err;
    (void)pthread_mutex_unlock(&history->lock);
    return more;
}

void pp_history_copy(pp_history *history, pp_records *out)
{
    uint64_t seq = 0, end = 0;

    while (copy_some(history, &seq, &end, out))
        ;
}

void pp_history_count(pp_history *history, uint64_t *out_by_reason)
{
    (void)pthread_mutex_lock(&history->lock);
    memcpy(out_by_reason, history->by_reason, sizeof(history->by_reason));
    (void)pthread_mutex_unlock(&history->lock);
}

void pp_history_size(pp_history *history, size_t *out_count, size_t *out_bytes)
{
    (void)pthread_mutex_lock(&history->lock);
    *out_count = history->count;
    *out_bytes = history->bytes + history->cap * sizeof(*history->ring);
    (void)pthread_mutex_unlock(&history->lock);
}
