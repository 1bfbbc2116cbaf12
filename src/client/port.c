#include "client/port.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/barrier.h"
#include "base/clock.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    CHUNK_BYTES = 16 * 1024,
    LINE = 64, /* of a cache: what two threads write lies so far apart */
    ALIGN = 8,
    TURN_OF_LANE = 256, /* records before the next lane has its turn */
};

struct record {
    uint32_t bytes; /* of all of it, to the next one */
    uint32_t subject_len;
    uint32_t reply_len;
    uint32_t header_len;
    uint64_t sid;
    uint64_t data_len;
    pp_body *body; /* a reference is held; NULL: data follows reply */
    char text[];   /* subject, reply, small data */
};
static_assert(sizeof(struct record) % ALIGN == 0, "text begins aligned");

struct chunk {
    _Atomic(struct chunk *) next;
    size_t cap;
    atomic_size_t len; /* written by the writer, read by the reader */
    char bytes[];
};

struct pp_lane {
    pp_port *port;
    atomic_uint refs;   /* the writer, and being listed */
    atomic_bool listed; /* at the port, or kept by its reader */
    pp_lane *next;      /* among the listed */
    size_t bytes_max;
    _Atomic(struct chunk *) spare; /* emptied, for the writer */
    /* The writer's. */
    char apart[LINE];
    struct chunk *tail;
    size_t tail_len, tail_cap; /* of it; its first line is the reader's to look at */
    uint64_t taken_seen;
    atomic_uint_fast64_t written; /* bytes ever */
    /* The reader's. */
    char apart_too[LINE];
    pp_lane *next_kept;
    struct chunk *head;
    size_t head_at;
    atomic_uint_fast64_t taken;
    uint64_t told;     /* taken, when the writer was told last */
    atomic_uint turns; /* a futex: changes when a writer that waits is told of room */
    atomic_bool awaited;
};

struct pp_port {
    pp_barrier barrier;        /* light for who writes */
    _Atomic(pp_lane *) listed; /* pushed by writers */
    atomic_bool asleep;
    atomic_bool closed;
    atomic_uint waking; /* writers that are about to wake it */
    int wake_fd;
    size_t bytes_max;
    atomic_uint refs;
    atomic_uint_fast64_t missed;
    char apart[LINE];
    pp_lane *kept, *kept_last; /* the reader's, in the order they are served */
};

/* --- life --------------------------------------------------------------------------------- */

pipit_err pp_port_new(pp_port **out_port, int wake_fd, size_t bytes_max)
{
    pp_port *port = pp_calloc(1, sizeof(*port));

    if (!port)
        return PIPIT_ENOMEM;
    pp_barrier_init(&port->barrier);
    port->wake_fd = wake_fd;
    port->bytes_max = bytes_max;
    atomic_init(&port->refs, 1);
    *out_port = port;
    return PIPIT_OK;
}

void pp_port_ref(pp_port *port)
{
    (void)atomic_fetch_add_explicit(&port->refs, 1, memory_order_relaxed);
}

void pp_port_unref(pp_port *port)
{
    if (port && atomic_fetch_sub_explicit(&port->refs, 1, memory_order_acq_rel) == 1)
        pp_free(port);
}

static void lane_unref(pp_lane *lane)
{
    struct chunk *chunk;
    size_t at;

    if (atomic_fetch_sub_explicit(&lane->refs, 1, memory_order_acq_rel) != 1)
        return;
    at = lane->head_at;
    while ((chunk = lane->head)) {
        size_t len = atomic_load_explicit(&chunk->len, memory_order_relaxed);

        while (at < len) {
            struct record *r = (struct record *)(void *)(chunk->bytes + at);

            pp_body_unref(r->body);
            at += r->bytes;
        }
        at = 0;
        lane->head = atomic_load_explicit(&chunk->next, memory_order_relaxed);
        pp_free(chunk);
    }
    pp_free(atomic_load(&lane->spare));
    pp_port_unref(lane->port);
    pp_free(lane);
}

static struct chunk *chunk_new(size_t need)
{
    size_t cap = CHUNK_BYTES - sizeof(struct chunk);
    struct chunk *chunk;

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
    struct chunk *first = lane ? chunk_new(0) : NULL;

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
        lane_unref(lane);
}

static void futex(atomic_uint *word, int op, unsigned value, const struct timespec *timeout)
{
    (void)syscall(SYS_futex, (unsigned *)(void *)word, op | FUTEX_PRIVATE_FLAG, value, timeout,
                  NULL, 0); /* woken, late, or changed meanwhile: the caller looks again */
}

static void tell_of_room(pp_lane *lane)
{
    atomic_store(&lane->awaited, false);
    (void)atomic_fetch_add(&lane->turns, 1);
    futex(&lane->turns, FUTEX_WAKE, INT32_MAX, NULL);
}

/* --- listing ------------------------------------------------------------------------------ */

/* The port is closed: who waits for room is to look again, since nobody makes any. */
static void drop(pp_lane *lane)
{
    if (atomic_load(&lane->awaited))
        tell_of_room(lane);
    lane_unref(lane); /* it stays listed: nobody lists it again */
}

/* Let go of all that writers have listed. */
static void drop_listed(pp_port *port)
{
    pp_lane *lane = atomic_exchange(&port->listed, NULL);

    while (lane) {
        pp_lane *next = lane->next;

        drop(lane);
        lane = next;
    }
}

/* Once the port is closed its reader may close the descriptor, and its number be another's. */
static void wake(pp_port *port)
{
    uint64_t one = 1;

    if (!atomic_load(&port->asleep))
        return;
    (void)atomic_fetch_add(&port->waking, 1);
    if (!atomic_load(&port->closed) && atomic_exchange(&port->asleep, false))
        (void)!write(port->wake_fd, &one, sizeof(one)); /* full: it is readable anyway */
    (void)atomic_fetch_sub(&port->waking, 1);
}

/* They are at it for moments, unless they have been preempted. */
static void await_no_waking(const pp_port *port)
{
    const struct timespec nap = {0, 50000};

    while (atomic_load(&port->waking))
        (void)nanosleep(&nap, NULL);
}

/* The first record since the reader lost interest. */
static __attribute__((noinline)) void list(pp_lane *lane)
{
    pp_port *port = lane->port;

    if (atomic_exchange(&lane->listed, true))
        return;
    (void)atomic_fetch_add_explicit(&lane->refs, 1, memory_order_relaxed);
    lane->next = atomic_load_explicit(&port->listed, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&port->listed, &lane->next, lane))
        ;
    if (atomic_load(&port->closed))
        drop_listed(port); /* its reader has looked for the last time before this was there */
    else
        wake(port);
}

void pp_port_close(pp_port *port)
{
    if (!port)
        return;
    atomic_store(&port->closed, true);
    while (port->kept) {
        pp_lane *lane = port->kept;

        port->kept = lane->next_kept;
        drop(lane);
    }
    drop_listed(port);
    await_no_waking(port);
    pp_port_unref(port);
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

    return (sizeof(struct record) + text + ALIGN - 1) / ALIGN * ALIGN;
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

static char *put(char *to, pp_str text)
{
    if (text.len)
        memcpy(to, text.ptr, text.len);
    return to + text.len;
}

static void fill(struct record *r, const pp_record *record, size_t bytes)
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

/* In a chunk of its own that follows the last one. */
static __attribute__((noinline)) pipit_err write_to_next(pp_lane *lane, const pp_record *record,
                                                         size_t bytes)
{
    struct chunk *chunk = atomic_exchange(&lane->spare, NULL), *before = lane->tail;

    if (chunk && chunk->cap < bytes) {
        pp_free(chunk);
        chunk = NULL;
    }
    if (!chunk)
        chunk = chunk_new(bytes);
    if (!chunk)
        return PIPIT_ENOMEM;
    fill((struct record *)(void *)chunk->bytes, record, bytes);
    atomic_store_explicit(&chunk->len, bytes, memory_order_relaxed);
    lane->tail = chunk;
    lane->tail_len = bytes;
    lane->tail_cap = chunk->cap;
    atomic_store_explicit(&before->next, chunk, memory_order_release);
    return PIPIT_OK;
}

pipit_err pp_lane_write(pp_lane *lane, const pp_record *record)
{
    size_t bytes = record_bytes(record), all = weight(record, bytes);
    struct chunk *tail = lane->tail;
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
        fill((struct record *)(void *)(tail->bytes + lane->tail_len), record, bytes);
        lane->tail_len += bytes;
        atomic_store_explicit(&tail->len, lane->tail_len, memory_order_release);
    } else {
        err = write_to_next(lane, record, bytes);
        if (err) {
            (void)atomic_fetch_sub_explicit(&lane->written, all, memory_order_relaxed);
            return err;
        }
    }
    pp_barrier_light(&lane->port->barrier);
    if (PP_UNLIKELY(!atomic_load_explicit(&lane->listed, memory_order_relaxed)))
        list(lane);
    return PIPIT_OK;
}

bool pp_lane_settled(const pp_lane *lane)
{
    pp_lane *l = (pp_lane *)lane;
    uint64_t taken = atomic_load_explicit(&l->taken, memory_order_acquire);

    return taken == atomic_load_explicit(&l->written, memory_order_relaxed);
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

bool pp_lane_await_room(pp_lane *lane, uint64_t taken_seen, int64_t deadline_ns)
{
    for (;;) {
        unsigned turns = atomic_load(&lane->turns);
        int64_t left = deadline_ns - pp_clock_mono_ns();
        struct timespec timeout = {left / PP_NS_PER_S, left % PP_NS_PER_S};

        atomic_store(&lane->awaited, true);
        pp_barrier_heavy(&lane->port->barrier);
        if (atomic_load(&lane->taken) != taken_seen || atomic_load(&lane->port->closed))
            return true;
        if (left <= 0)
            return false;
        futex(&lane->turns, FUTEX_WAIT, turns, &timeout);
    }
}

/* --- reading ------------------------------------------------------------------------------ */

/* The next one is there: go to it, and give the emptied one back. False: it is not. */
static bool next_chunk(pp_lane *lane)
{
    struct chunk *old = lane->head;
    struct chunk *next = atomic_load_explicit(&old->next, memory_order_acquire);

    if (!next)
        return false;
    lane->head = next;
    lane->head_at = 0;
    atomic_store_explicit(&old->next, NULL, memory_order_relaxed);
    if (old->cap == CHUNK_BYTES - sizeof(struct chunk))
        old = atomic_exchange(&lane->spare, old);
    pp_free(old);
    return true;
}

static bool lane_has(const pp_lane *lane)
{
    struct chunk *head = lane->head;

    return atomic_load_explicit(&head->len, memory_order_acquire) > lane->head_at ||
           atomic_load_explicit(&head->next, memory_order_acquire);
}

/* Say what has been taken, and tell a writer that waits when it is worth it to go on. */
static void note_taken(pp_lane *lane, uint64_t taken)
{
    atomic_store_explicit(&lane->taken, taken, memory_order_release);
    pp_barrier_light(&lane->port->barrier);
    if (PP_LIKELY(!atomic_load_explicit(&lane->awaited, memory_order_relaxed)))
        return;
    if (taken - lane->told < lane->bytes_max / 4 &&
        taken != atomic_load_explicit(&lane->written, memory_order_relaxed))
        return;
    lane->told = taken;
    tell_of_room(lane);
}

static uint64_t take_record(pp_lane *lane, void (*each)(void *context, const pp_record *record),
                            void *context)
{
    struct record *r = (struct record *)(void *)(lane->head->bytes + lane->head_at);
    const char *reply = r->text + r->subject_len;
    uint64_t all = r->bytes + (r->body ? r->data_len : 0);
    pp_body *body = r->body;
    const pp_record record = {
        .subject = {r->text, r->subject_len},
        .reply = {reply, r->reply_len},
        .data = {body ? body->bytes : reply + r->reply_len, r->data_len},
        .header_len = r->header_len,
        .body = body,
        .sid = r->sid,
    };

    lane->head_at += r->bytes;
    each(context, &record);
    pp_body_unref(body);
    return all;
}

/* Records of one lane. */
static size_t take_lane(pp_lane *lane, size_t most,
                        void (*each)(void *context, const pp_record *record), void *context)
{
    uint64_t taken = atomic_load_explicit(&lane->taken, memory_order_relaxed), before = taken;
    size_t count = 0;

    while (count < most) {
        size_t len = atomic_load_explicit(&lane->head->len, memory_order_acquire);

        if (len == lane->head_at) {
            /* The length is final once there is a next chunk. */
            if (!atomic_load_explicit(&lane->head->next, memory_order_acquire) ||
                (atomic_load_explicit(&lane->head->len, memory_order_acquire) == len &&
                 !next_chunk(lane)))
                break;
            continue;
        }
        while (lane->head_at < len && count < most) {
            taken += take_record(lane, each, context);
            count++;
        }
    }
    if (taken != before)
        note_taken(lane, taken);
    return count;
}

static void keep(pp_port *port, pp_lane *lane)
{
    lane->next_kept = NULL;
    if (port->kept)
        port->kept_last->next_kept = lane;
    else
        port->kept = lane;
    port->kept_last = lane;
}

/* Take over what writers have listed: the first to list comes first. */
static void keep_listed(pp_port *port)
{
    pp_lane *lane, *turned = NULL;

    if (!atomic_load_explicit(&port->listed, memory_order_relaxed))
        return;
    lane = atomic_exchange(&port->listed, NULL);
    while (lane) {
        pp_lane *next = lane->next;

        lane->next = turned;
        turned = lane;
        lane = next;
    }
    for (; turned; turned = turned->next)
        keep(port, turned);
}

size_t pp_port_take(pp_port *port, size_t most,
                    void (*each)(void *context, const pp_record *record), void *context)
{
    size_t count = 0, before;

    do {
        before = count;
        keep_listed(port);
        for (pp_lane *lane = port->kept; lane && count < most; lane = lane->next_kept) {
            size_t turn = most - count < TURN_OF_LANE ? most - count : TURN_OF_LANE;

            count += take_lane(lane, turn, each, context);
        }
    } while (count < most && count != before);
    return count;
}

bool pp_port_has(const pp_port *port)
{
    if (atomic_load_explicit(&((pp_port *)port)->listed, memory_order_relaxed))
        return true;
    for (const pp_lane *lane = port->kept; lane; lane = lane->next_kept) {
        if (lane_has(lane))
            return true;
    }
    return false;
}

bool pp_port_sleep(pp_port *port)
{
    pp_lane *lane = port->kept;

    for (pp_lane *at = lane; at; at = at->next_kept)
        atomic_store_explicit(&at->listed, false, memory_order_release);
    if (lane)
        pp_barrier_heavy(&port->barrier);
    port->kept = NULL;
    while (lane) {
        pp_lane *next = lane->next_kept;

        /* A record that came before that is ours to see; one that comes later is listed anew. */
        if (lane_has(lane) && !atomic_exchange(&lane->listed, true))
            keep(port, lane);
        else
            lane_unref(lane); /* if its writer has listed it, then with a reference of its own */
        lane = next;
    }
    if (port->kept)
        return false;
    atomic_store(&port->asleep, true);
    return !atomic_load(&port->listed);
}

void pp_port_awake(pp_port *port)
{
    atomic_store(&port->asleep, false);
}

void pp_port_count_missed(pp_port *port)
{
    (void)atomic_fetch_add_explicit(&port->missed, 1, memory_order_relaxed);
}

uint64_t pp_port_missed(const pp_port *port)
{
    return atomic_load_explicit(&((pp_port *)port)->missed, memory_order_relaxed);
}
