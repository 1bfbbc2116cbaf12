/* Entries lie in one array and refer to each other by place plus 1, so that it can grow: a list by
 * sequence, chains of a hash table, a heap of deadlines and the queue of those that are READY. */
#include "consumer/consumer.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"

enum { ROOM_MIN = 4, NOT_IN_HEAP = 0 };

typedef enum state { FREE, IN_FLIGHT, WAITING, READY } state;

struct pp_consumer_entry {
    uint64_t seq;
    int64_t due_ns;
    uint32_t count; /* times it has been given */
    uint32_t next_in_slot;
    uint32_t older, newer; /* by sequence */
    uint32_t link;         /* next: among the free ones, or those that are READY */
    uint32_t heap_place;   /* plus 1 */
    uint32_t ready_prev;
    state state;
};

static pp_consumer_entry *at(const pp_consumer *c, uint32_t ref)
{
    return &c->entries[ref - 1];
}

/* --- by sequence -------------------------------------------------------------------------- */

/* Sequences that are outstanding are close together, and nobody chooses them. */
static uint32_t *slot_of(const pp_consumer *c, uint64_t seq)
{
    return &c->slots[seq & (c->room - 1)];
}

static uint32_t find(const pp_consumer *c, uint64_t seq)
{
    uint32_t ref = c->room ? *slot_of(c, seq) : 0;

    while (ref && at(c, ref)->seq != seq)
        ref = at(c, ref)->next_in_slot;
    return ref;
}

static void enter_slot(pp_consumer *c, uint32_t ref)
{
    uint32_t *slot = slot_of(c, at(c, ref)->seq);

    at(c, ref)->next_in_slot = *slot;
    *slot = ref;
}

static void leave_slot(pp_consumer *c, uint32_t ref)
{
    uint32_t *link = slot_of(c, at(c, ref)->seq);

    while (*link != ref)
        link = &at(c, *link)->next_in_slot;
    *link = at(c, ref)->next_in_slot;
}

static void append_to_row(pp_consumer *c, uint32_t ref)
{
    at(c, ref)->older = c->newest;
    at(c, ref)->newer = 0;
    if (c->newest)
        at(c, c->newest)->newer = ref;
    else
        c->oldest = ref;
    c->newest = ref;
}

static void leave_row(pp_consumer *c, uint32_t ref)
{
    pp_consumer_entry *e = at(c, ref);

    if (e->older)
        at(c, e->older)->newer = e->newer;
    else
        c->oldest = e->newer;
    if (e->newer)
        at(c, e->newer)->older = e->older;
    else
        c->newest = e->older;
}

/* --- by deadline -------------------------------------------------------------------------- */

static void put(pp_consumer *c, uint32_t place, uint32_t ref)
{
    c->heap[place] = ref;
    at(c, ref)->heap_place = place + 1;
}

static void sift(pp_consumer *c, uint32_t place, uint32_t ref)
{
    int64_t due_ns = at(c, ref)->due_ns;

    while (place && at(c, c->heap[(place - 1) / 2])->due_ns > due_ns) {
        put(c, place, c->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * place + 1;

        if (child + 1 < c->heap_count &&
            at(c, c->heap[child + 1])->due_ns < at(c, c->heap[child])->due_ns)
            child++;
        if (child >= c->heap_count || at(c, c->heap[child])->due_ns >= due_ns)
            break;
        put(c, place, c->heap[child]);
        place = child;
    }
    put(c, place, ref);
}

static void enter_heap(pp_consumer *c, uint32_t ref, int64_t due_ns)
{
    at(c, ref)->due_ns = due_ns;
    c->heap_count++;
    sift(c, c->heap_count - 1, ref);
}

static void leave_heap(pp_consumer *c, uint32_t ref)
{
    uint32_t place = at(c, ref)->heap_place - 1, last = c->heap[--c->heap_count];

    at(c, ref)->heap_place = NOT_IN_HEAP;
    if (last != ref)
        sift(c, place, last);
}

/* --- states ------------------------------------------------------------------------------- */

static void enter_ready(pp_consumer *c, uint32_t ref)
{
    pp_consumer_entry *e = at(c, ref);

    e->state = READY;
    e->link = 0;
    e->ready_prev = c->ready_last;
    if (c->ready_last)
        at(c, c->ready_last)->link = ref;
    else
        c->ready_first = ref;
    c->ready_last = ref;
}

static void leave_ready(pp_consumer *c, uint32_t ref)
{
    pp_consumer_entry *e = at(c, ref);

    if (e->ready_prev)
        at(c, e->ready_prev)->link = e->link;
    else
        c->ready_first = e->link;
    if (e->link)
        at(c, e->link)->ready_prev = e->ready_prev;
    else
        c->ready_last = e->ready_prev;
}

static void enter_flight(pp_consumer *c, uint32_t ref, int64_t now_ns)
{
    at(c, ref)->state = IN_FLIGHT;
    at(c, ref)->count++;
    c->in_flight++;
    enter_heap(c, ref, pp_clock_after(now_ns, c->rules.ack_wait_ns));
}

/* Out of whatever it is in but row and slot. */
static void leave_state(pp_consumer *c, uint32_t ref)
{
    if (at(c, ref)->state == READY)
        leave_ready(c, ref);
    else
        leave_heap(c, ref);
    c->in_flight -= at(c, ref)->state == IN_FLIGHT;
}

static void finish(pp_consumer *c, uint32_t ref)
{
    leave_row(c, ref);
    leave_slot(c, ref);
    at(c, ref)->state = FREE;
    at(c, ref)->link = c->free;
    c->free = ref;
    c->outstanding--;
}

/* It is out of flight and has not been acknowledged. */
static pp_consumer_event come_again(pp_consumer *c, uint32_t ref, int64_t delay_ns, int64_t now_ns)
{
    if (c->rules.max_deliver && at(c, ref)->count >= c->rules.max_deliver) {
        finish(c, ref);
        return PP_CONSUMER_DROPPED;
    }
    if (delay_ns > 0) {
        at(c, ref)->state = WAITING;
        enter_heap(c, ref, pp_clock_after(now_ns, delay_ns));
    } else {
        enter_ready(c, ref);
    }
    return PP_CONSUMER_LATE;
}

/* --- memory ------------------------------------------------------------------------------- */

static pipit_err grow(pp_consumer *c)
{
    uint32_t room = c->room ? 2 * c->room : ROOM_MIN;
    pp_consumer_entry *entries;
    uint32_t *heap, *slots;

    if (c->room > UINT32_MAX / 4)
        return PIPIT_ELIMIT;
    entries = pp_realloc(c->entries, room * sizeof(*entries));
    if (!entries)
        return PIPIT_ENOMEM;
    c->entries = entries;
    heap = pp_realloc(c->heap, room * sizeof(*heap));
    if (!heap)
        return PIPIT_ENOMEM;
    c->heap = heap;
    slots = pp_calloc(room, sizeof(*slots));
    if (!slots)
        return PIPIT_ENOMEM;
    pp_free(c->slots);
    c->slots = slots;
    for (uint32_t i = c->room; i < room; i++) {
        entries[i] = (pp_consumer_entry){.link = c->free};
        c->free = i + 1;
    }
    c->room = room;
    for (uint32_t ref = c->oldest; ref; ref = at(c, ref)->newer)
        enter_slot(c, ref);
    return PIPIT_OK;
}

/* --- what callers see --------------------------------------------------------------------- */

void pp_consumer_init(pp_consumer *consumer, const pp_consumer_rules *rules, uint64_t next_seq)
{
    *consumer = (pp_consumer){.rules = *rules, .next_seq = next_seq};
}

void pp_consumer_fini(pp_consumer *consumer)
{
    pp_free(consumer->entries);
    pp_free(consumer->heap);
    pp_free(consumer->slots);
    *consumer = (pp_consumer){.rules = consumer->rules, .next_seq = consumer->next_seq};
}

pipit_err pp_consumer_deliver_new(pp_consumer *consumer, uint64_t seq, int64_t now_ns)
{
    uint32_t ref;
    pipit_err err;

    PP_ASSERT(seq >= consumer->next_seq);
    if (consumer->rules.max_outstanding && consumer->outstanding >= consumer->rules.max_outstanding)
        return PIPIT_ELIMIT;
    if (!consumer->free) {
        err = grow(consumer);
        if (err)
            return err;
    }
    ref = consumer->free;
    consumer->free = at(consumer, ref)->link;
    *at(consumer, ref) = (pp_consumer_entry){.seq = seq};
    append_to_row(consumer, ref);
    enter_slot(consumer, ref);
    enter_flight(consumer, ref, now_ns);
    consumer->outstanding++;
    consumer->next_seq = seq + 1;
    return PIPIT_OK;
}

uint64_t pp_consumer_again(const pp_consumer *consumer, uint32_t *out_count)
{
    if (!consumer->ready_first)
        return 0;
    *out_count = at(consumer, consumer->ready_first)->count;
    return at(consumer, consumer->ready_first)->seq;
}

void pp_consumer_deliver_again(pp_consumer *consumer, int64_t now_ns)
{
    uint32_t ref = consumer->ready_first;

    leave_ready(consumer, ref);
    enter_flight(consumer, ref, now_ns);
}

bool pp_consumer_ack(pp_consumer *consumer, uint64_t seq)
{
    uint32_t ref = find(consumer, seq);

    if (!ref)
        return false;
    leave_state(consumer, ref);
    finish(consumer, ref);
    return true;
}

pp_consumer_event pp_consumer_nack(pp_consumer *consumer, uint64_t seq, int64_t delay_ns,
                                   int64_t now_ns)
{
    uint32_t ref = find(consumer, seq);

    if (!ref || at(consumer, ref)->state != IN_FLIGHT)
        return PP_CONSUMER_NOTHING;
    leave_state(consumer, ref);
    return come_again(consumer, ref, delay_ns, now_ns);
}

pp_consumer_event pp_consumer_turn(pp_consumer *consumer, int64_t now_ns, uint64_t *out_seq)
{
    uint32_t ref;
    state was;

    if (!consumer->heap_count || at(consumer, consumer->heap[0])->due_ns > now_ns)
        return PP_CONSUMER_NOTHING;
    ref = consumer->heap[0];
    was = at(consumer, ref)->state;
    *out_seq = at(consumer, ref)->seq;
    leave_state(consumer, ref);
    if (was == IN_FLIGHT)
        return come_again(consumer, ref, consumer->rules.late_delay_ns, now_ns);
    enter_ready(consumer, ref);
    return PP_CONSUMER_READY;
}

int64_t pp_consumer_due(const pp_consumer *consumer)
{
    return consumer->heap_count ? at(consumer, consumer->heap[0])->due_ns : INT64_MAX;
}

uint64_t pp_consumer_floor(const pp_consumer *consumer)
{
    return (consumer->oldest ? at(consumer, consumer->oldest)->seq : consumer->next_seq) - 1;
}
