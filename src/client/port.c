/* The reader's side of a port: which lanes have something, taking it from them, and sleep. */
#include "client/port_inside.h"

#include "base/alloc.h"

#include <time.h>
#include <unistd.h>

enum {
    TURN_OF_LANE = 256, /* records before the next lane has its turn */
    SPARES_MAX = 8,     /* emptied chunks on their way back to the writer, of a lane */
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

/* --- listing ------------------------------------------------------------------------------ */

/* The port is closed: who waits for room is to look again, since nobody makes any. */
static void drop(pp_lane *lane)
{
    if (atomic_load(&lane->awaited))
        pp_lane_tell_of_room(lane);
    pp_lane_unref(lane); /* it stays listed: nobody lists it again */
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
__attribute__((noinline)) void pp_port_list(pp_lane *lane)
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

/* --- reading ------------------------------------------------------------------------------ */

/* The writer takes all spares at once, so that what lies below the newest stays as it is. */
static void give_back(pp_lane *lane, struct pp_lane_chunk *chunk)
{
    struct pp_lane_chunk *newest = atomic_load_explicit(&lane->spares, memory_order_relaxed);

    if (!newest)
        lane->spare_count = 0;
    if (lane->spare_count >= SPARES_MAX ||
        chunk->cap != PP_LANE_CHUNK_BYTES - sizeof(struct pp_lane_chunk)) {
        pp_free(chunk);
        return;
    }
    do
        atomic_store_explicit(&chunk->next, newest, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&lane->spares, &newest, chunk,
                                                  memory_order_release, memory_order_relaxed));
    lane->spare_count = newest ? lane->spare_count + 1 : 1;
}

/* The next one is there: go to it, and give the emptied one back. */
static void next_chunk(pp_lane *lane)
{
    struct pp_lane_chunk *emptied = lane->head;

    lane->head = atomic_load_explicit(&emptied->next, memory_order_relaxed);
    lane->head_at = 0;
    give_back(lane, emptied);
}

static bool lane_has(const pp_lane *lane)
{
    struct pp_lane_chunk *head = lane->head;

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
    pp_lane_tell_of_room(lane);
}

static uint64_t take_record(pp_lane *lane, void (*each)(void *context, const pp_record *record),
                            void *context)
{
    struct pp_lane_record *r = (struct pp_lane_record *)(void *)(lane->head->bytes + lane->head_at);
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

/* Records of one lane: those that are there. It is looked once at each chunk, since a look takes
 * the line away that the writer is about to write; what comes behind it is for the next time. */
static size_t take_lane(pp_lane *lane, size_t most,
                        void (*each)(void *context, const pp_record *record), void *context)
{
    uint64_t taken = atomic_load_explicit(&lane->taken, memory_order_relaxed), before = taken;
    size_t count = 0;
    bool last;

    do {
        /* The length is final once there is a next chunk. */
        struct pp_lane_chunk *head = lane->head;
        size_t len;

        last = !atomic_load_explicit(&head->next, memory_order_acquire);
        len = atomic_load_explicit(&head->len, memory_order_acquire);
        for (; lane->head_at < len && count < most; count++)
            taken += take_record(lane, each, context);
        if (!last && lane->head_at == len)
            next_chunk(lane);
    } while (!last && count < most);
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

/* The lane whose turn it is; it comes last then, in this take or the next. */
static pp_lane *next_turn(pp_port *port)
{
    pp_lane *lane = port->kept;

    if (lane != port->kept_last) {
        port->kept = lane->next_kept;
        keep(port, lane);
    }
    return lane;
}

size_t pp_port_take(pp_port *port, size_t most,
                    void (*each)(void *context, const pp_record *record), void *context)
{
    size_t count = 0;
    bool more;

    do {
        pp_lane *lane = NULL, *last;

        more = false;
        keep_listed(port);
        last = port->kept_last;
        while (port->kept && lane != last && count < most) {
            size_t turn = most - count < TURN_OF_LANE ? most - count : TURN_OF_LANE, taken;

            lane = next_turn(port);
            taken = take_lane(lane, turn, each, context);
            more |= taken == turn;
            count += taken;
        }
    } while (more && count < most);
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
        else {
            /* Idle lanes are many: chunks are kept for those in which something flows. */
            pp_chunks_free(atomic_exchange_explicit(&lane->spares, NULL, memory_order_acquire));
            pp_lane_unref(lane); /* if its writer has listed it, then with a reference of its own */
        }
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
