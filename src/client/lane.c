/* A lane from its writer's side: its life, writing, and waiting for room. port.c reads. */
#include "client/port_inside.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* --- life --------------------------------------------------------------------------------- */

void pp_chunks_free(struct pp_lane_chunk *chunk)
{
    while (chunk) {
        struct pp_lane_chunk *next = atomic_load_explicit(&chunk->next, memory_order_relaxed);

        pp_free(chunk);
        chunk = next;
    }
}

void pp_lane_unref(pp_lane *lane)
{
    struct pp_lane_chunk *chunk;
    size_t at;

    if (atomic_fetch_sub_explicit(&lane->refs, 1, memory_order_acq_rel) != 1)
        return;
    at = lane->head_at;
    while ((chunk = lane->head)) {
        size_t len = atomic_load_explicit(&chunk->len, memory_order_relaxed);

        while (at < len) {
            struct pp_lane_record *r = (struct pp_lane_record *)(void *)(chunk->bytes + at);

            pp_body_unref(r->body);
            at += r->bytes;
        }
        at = 0;
        lane->head = atomic_load_explicit(&chunk->next, memory_order_relaxed);
        pp_free(chunk);
    }
    pp_chunks_free(lane->stock);
    pp_chunks_free(atomic_load_explicit(&lane->spares, memory_order_acquire));
    pp_port_unref(lane->port);
    pp_free(lane);
}

static struct pp_lane_chunk *chunk_new(size_t need)
{
    size_t cap = PP_LANE_CHUNK_BYTES - sizeof(struct pp_lane_chunk);
    struct pp_lane_chunk *chunk;

    if (need > cap)
        cap = need;
    chunk = pp_alloc(sizeof(*chunk) + cap);
    if (!chunk)
        return NULL;
    atomic_init(&chunk->next, NULL);
    atomic_init(&chunk->len, 0);
    chunk->cap = cap;
    return chunk;
}

pp_lane *pp_lane_new(pp_port *port)
{
    pp_lane *lane = pp_calloc(1, sizeof(*lane));
    struct pp_lane_chunk *first = lane ? chunk_new(0) : NULL;

    if (!first) {
        pp_free(lane);
        return NULL;
    }
    pp_port_ref(port);
    lane->port = port;
    lane->bytes_max = port->bytes_max;
    lane->head = lane->tail = first;
    lane->tail_cap = first->cap;
    atomic_init(&lane->refs, 1);
    return lane;
}

void pp_lane_ref(pp_lane *lane)
{
    (void)atomic_fetch_add_explicit(&lane->refs, 1, memory_order_relaxed);
}

void pp_lane_leave(pp_lane *lane)
{
    if (lane)
        pp_lane_unref(lane);
}

static void futex(atomic_uint *word, int op, unsigned value, const struct timespec *timeout)
{
    (void)syscall(SYS_futex, (unsigned *)(void *)word, op | FUTEX_PRIVATE_FLAG, value, timeout,
                  NULL, 0); /* woken, late, or changed meanwhile: the caller looks again */
}

void pp_lane_tell_of_room(pp_lane *lane)
{
    atomic_store(&lane->awaited, false);
    (void)atomic_fetch_add(&lane->turns, 1);
    futex(&lane->turns, FUTEX_WAKE, INT32_MAX, NULL);
}

/* --- writing ------------------------------------------------------------------------------ */

pp_body *pp_lane_body(pp_str header, pp_str payload)
{
    pp_body *body = pp_body_new(header.len + payload.len + 2);

    if (!body)
        return NULL;
    if (header.len)
        memcpy(body->bytes, header.ptr, header.len);
    memcpy(body->bytes + header.len, payload.ptr, payload.len);
    memcpy(body->bytes + header.len + payload.len, "\r\n", 2);
    return body;
}

static size_t record_bytes(const pp_record *record)
{
    size_t text = record->subject.len + record->reply.len + (record->body ? 0 : record->data.len);

    return (sizeof(struct pp_lane_record) + text + PP_LANE_ALIGN - 1) / PP_LANE_ALIGN *
           PP_LANE_ALIGN;
}

static size_t weight(const pp_record *record, size_t bytes)
{
    return bytes + (record->body ? record->data.len : 0);
}

static bool has_room(pp_lane *lane, size_t bytes)
{
    uint64_t written = atomic_load_explicit(&lane->written, memory_order_relaxed);

    if (PP_LIKELY(written - lane->taken_seen + bytes <= lane->bytes_max))
        return true;
    lane->taken_seen = atomic_load_explicit(&lane->taken, memory_order_acquire);
    return written == lane->taken_seen || written - lane->taken_seen + bytes <= lane->bytes_max;
}

bool pp_lane_has_room(pp_lane *lane, const pp_record *record)
{
    return has_room(lane, weight(record, record_bytes(record)));
}

static inline char *put(char *to, pp_str text)
{
    pp_short_copy(to, text.ptr, text.len);
    return to + text.len;
}

static inline void fill(struct pp_lane_record *r, const pp_record *record, size_t bytes)
{
    char *at;

    r->bytes = (uint32_t)bytes;
    r->subject_len = (uint32_t)record->subject.len;
    r->reply_len = (uint32_t)record->reply.len;
    r->header_len = (uint32_t)record->header_len;
    r->sid = record->sid;
    r->data_len = record->data.len;
    r->body = record->body ? pp_body_ref(record->body) : NULL;
    at = put(put(r->text, record->subject), record->reply);
    if (!record->body)
        (void)put(at, record->data);
}

/* An empty one that holds bytes at least. NULL: no memory. */
static struct pp_lane_chunk *spare_chunk(pp_lane *lane, size_t bytes)
{
    struct pp_lane_chunk *chunk = lane->stock;

    if (!chunk)
        chunk = atomic_exchange_explicit(&lane->spares, NULL, memory_order_acquire);
    if (!chunk || chunk->cap < bytes) {
        lane->stock = chunk;
        return chunk_new(bytes);
    }
    lane->stock = atomic_load_explicit(&chunk->next, memory_order_relaxed);
    atomic_store_explicit(&chunk->next, NULL, memory_order_relaxed);
    return chunk;
}

/* In a chunk of its own that follows the last one. */
static __attribute__((noinline)) pipit_err write_to_next(pp_lane *lane, const pp_record *record,
                                                         size_t bytes)
{
    struct pp_lane_chunk *chunk = spare_chunk(lane, bytes), *before = lane->tail;

    if (!chunk)
        return PIPIT_ENOMEM;
    fill((struct pp_lane_record *)(void *)chunk->bytes, record, bytes);
    atomic_store_explicit(&chunk->len, bytes, memory_order_relaxed);
    lane->tail = chunk;
    lane->tail_len = bytes;
    lane->tail_cap = chunk->cap;
    atomic_store_explicit(&before->next, chunk, memory_order_release);
    return PIPIT_OK;
}

/* Inlined, so that what is known of a record costs nothing. */
static inline __attribute__((always_inline)) pipit_err write_record(pp_lane *lane,
                                                                    const pp_record *record)
{
    size_t bytes = record_bytes(record), all = weight(record, bytes);
    pipit_err err;

    if (PP_UNLIKELY(atomic_load_explicit(&lane->port->closed, memory_order_relaxed)))
        return PIPIT_ECLOSED;
    if (PP_UNLIKELY(!has_room(lane, all)))
        return PIPIT_EAGAIN;
    /* Counted before it can be taken. */
    atomic_store_explicit(&lane->written,
                          atomic_load_explicit(&lane->written, memory_order_relaxed) + all,
                          memory_order_relaxed);
    if (PP_LIKELY(lane->tail_cap - lane->tail_len >= bytes)) {
        fill((struct pp_lane_record *)(void *)(lane->tail->bytes + lane->tail_len), record, bytes);
        lane->tail_len += bytes;
        atomic_store_explicit(&lane->tail->len, lane->tail_len, memory_order_release);
    } else {
        err = write_to_next(lane, record, bytes);
        if (err) {
            (void)atomic_fetch_sub_explicit(&lane->written, all, memory_order_relaxed);
            return err;
        }
    }
    pp_barrier_light(&lane->port->barrier);
    if (PP_UNLIKELY(!atomic_load_explicit(&lane->listed, memory_order_relaxed)))
        pp_port_list(lane);
    return PIPIT_OK;
}

pipit_err pp_lane_write(pp_lane *lane, const pp_record *record)
{
    return write_record(lane, record);
}

pipit_err pp_lane_write_plain(pp_lane *lane, uint64_t sid, pp_str subject, pp_str data)
{
    const pp_record record = {.subject = subject, .data = data, .sid = sid};

    return write_record(lane, &record);
}

bool pp_lane_settled(const pp_lane *lane)
{
    pp_lane *l = (pp_lane *)lane;
    uint64_t taken = atomic_load_explicit(&l->taken, memory_order_acquire);

    return taken == atomic_load_explicit(&l->written, memory_order_relaxed);
}

bool pp_lane_emptied(pp_lane *lane)
{
    lane->taken_seen = atomic_load_explicit(&lane->taken, memory_order_acquire);
    return lane->taken_seen == atomic_load_explicit(&lane->written, memory_order_relaxed);
}

bool pp_lane_closed(const pp_lane *lane)
{
    return atomic_load(&lane->port->closed);
}

bool pp_lane_lags(pp_lane *lane)
{
    uint64_t written = atomic_load_explicit(&lane->written, memory_order_relaxed);
    size_t mark = lane->bytes_max / 4 * 3;

    if (PP_LIKELY(written - lane->taken_seen <= mark))
        return false;
    lane->taken_seen = atomic_load_explicit(&lane->taken, memory_order_acquire);
    return written - lane->taken_seen > mark;
}

uint64_t pp_lane_taken_seen(const pp_lane *lane)
{
    return lane->taken_seen;
}

void pp_lane_rouse(pp_lane *lane)
{
    pp_lane_tell_of_room(lane);
}

bool pp_lane_await_room(pp_lane *lane, uint64_t taken_seen, int64_t deadline_ns,
                        const atomic_bool *over)
{
    for (;;) {
        unsigned turns = atomic_load(&lane->turns);
        int64_t left = deadline_ns - pp_clock_mono_ns();
        struct timespec timeout = {left / PP_NS_PER_S, left % PP_NS_PER_S};

        atomic_store(&lane->awaited, true);
        pp_barrier_heavy(&lane->port->barrier);
        if (atomic_load(&lane->taken) != taken_seen || atomic_load(&lane->port->closed) ||
            atomic_load((atomic_bool *)over))
            return true;
        if (left <= 0)
            return false;
        futex(&lane->turns, FUTEX_WAIT, turns, &timeout);
    }
}
