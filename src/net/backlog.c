#include "net/backlog.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/random.h"

#include <string.h>

enum { BUCKETS_AT_START = 64 };

typedef struct frame {
    pp_link link; /* in the order of sending */
    pp_link age;  /* among messages that may be dropped, oldest first; alone: it may not */
    struct frame *next_in_bucket;
    const char *tail; /* NULL: there is none, or it was copied */
    pp_body *body;    /* holds the tail */
    size_t cost;
    uint32_t at, len; /* of bytes, what is still to be sent */
    uint32_t tail_len;
    uint32_t key_at, key_len;
    uint32_t hash;
    bool message, begun, indexed;
    char bytes[];
} frame;

static_assert(sizeof(frame) + 16 + sizeof(frame *) <= PP_FRAME_COST,
              "with what the allocator and the index take");

struct pp_backlog {
    pp_link frames;
    pp_link ages;
    frame **buckets; /* of the index; NULL: nothing was conflated yet */
    size_t bucket_count, indexed_count;
    uint64_t seed;
    size_t bytes;
    size_t cost;         /* of all frames */
    size_t message_cost; /* of those that may be dropped */
    size_t in_flight;    /* frames, the first of all */
    uint64_t dropped;
    pp_backlog_drops drops;
};

/* --- policies ----------------------------------------------------------------------------- */

static const char *const policy_names[] = {"disconnect", "drop_new", "drop_old", "conflate"};

const char *pp_slow_policy_name(pp_slow_policy policy)
{
    return policy_names[policy];
}

bool pp_slow_policy_parse(pp_str name, pp_slow_policy *out_policy)
{
    for (size_t i = 0; i < sizeof(policy_names) / sizeof(policy_names[0]); i++) {
        if (pp_str_eq_nocase(name, pp_str_of(policy_names[i]))) {
            *out_policy = (pp_slow_policy)i;
            return true;
        }
    }
    return false;
}

/* --- the index ---------------------------------------------------------------------------- */

static pp_str key_of(const frame *f)
{
    return (pp_str){f->bytes + f->key_at, f->key_len};
}

static uint32_t hash_key(const pp_backlog *b, pp_str key)
{
    return (uint32_t)pp_hash(key.ptr, key.len, b->seed);
}

static frame **bucket_of(const pp_backlog *b, uint32_t hash)
{
    return &b->buckets[hash & (b->bucket_count - 1)];
}

static frame *index_find(const pp_backlog *b, pp_str key, uint32_t hash)
{
    if (!b->buckets)
        return NULL;
    for (frame *f = *bucket_of(b, hash); f; f = f->next_in_bucket) {
        if (f->hash == hash && pp_str_eq(key_of(f), key))
            return f;
    }
    return NULL;
}

static void index_grow(pp_backlog *b)
{
    size_t old_count = b->bucket_count;
    frame **old = b->buckets;
    size_t count = old_count ? 2 * old_count : BUCKETS_AT_START;
    frame **grown = pp_calloc(count, sizeof(frame *));

    if (!grown)
        return; /* longer chains; or, when there were none, what is not found is not conflated */
    b->buckets = grown;
    b->bucket_count = count;
    for (size_t i = 0; i < old_count; i++) {
        while (old[i]) {
            frame *f = old[i];

            old[i] = f->next_in_bucket;
            f->next_in_bucket = *bucket_of(b, f->hash);
            *bucket_of(b, f->hash) = f;
        }
    }
    pp_free(old);
}

static void index_add(pp_backlog *b, frame *f)
{
    if (b->indexed_count >= b->bucket_count)
        index_grow(b);
    if (!b->buckets)
        return;
    f->next_in_bucket = *bucket_of(b, f->hash);
    *bucket_of(b, f->hash) = f;
    f->indexed = true;
    b->indexed_count++;
}

static void index_remove(pp_backlog *b, frame *f)
{
    frame **at;

    if (!f->indexed)
        return;
    for (at = bucket_of(b, f->hash); *at != f; at = &(*at)->next_in_bucket)
        ;
    *at = f->next_in_bucket;
    f->indexed = false;
    b->indexed_count--;
}

/* --- frames ------------------------------------------------------------------------------- */

static frame *frame_new(const pp_frame_parts *parts, uint32_t hash)
{
    size_t copied = parts->head.len + (parts->body ? 0 : parts->tail.len);
    frame *f = pp_alloc(sizeof(*f) + copied);

    if (!f)
        return NULL;
    *f = (frame){
        .cost = PP_FRAME_COST + parts->head.len + parts->tail.len,
        .len = (uint32_t)copied,
        .hash = hash,
        .message = parts->message,
        .begun = parts->begun,
    };
    pp_list_init(&f->link);
    pp_list_init(&f->age);
    if (parts->head.len)
        memcpy(f->bytes, parts->head.ptr, parts->head.len);
    if (!parts->begun && parts->key.len) {
        f->key_at = (uint32_t)(parts->key.ptr - parts->head.ptr);
        f->key_len = (uint32_t)parts->key.len;
    }
    if (parts->body) {
        f->body = pp_body_ref(parts->body);
        f->tail = parts->tail.ptr;
        f->tail_len = (uint32_t)parts->tail.len;
    } else if (parts->tail.len) {
        memcpy(f->bytes + parts->head.len, parts->tail.ptr, parts->tail.len);
    }
    return f;
}

static void frame_free(frame *f)
{
    pp_body_unref(f->body);
    pp_free(f);
}

static size_t bytes_left(const frame *f)
{
    return (size_t)f->len + f->tail_len;
}

/* Among those that may be dropped: the youngest, or before all others. */
static void make_droppable(pp_backlog *b, frame *f, pp_slow_policy policy, bool oldest)
{
    pp_list_append(oldest ? b->ages.next : &b->ages, &f->age);
    b->message_cost += f->cost;
    if (policy == PP_SLOW_CONFLATE)
        index_add(b, f);
}

static void make_lasting(pp_backlog *b, frame *f)
{
    if (pp_list_empty(&f->age))
        return;
    pp_list_remove(&f->age);
    b->message_cost -= f->cost;
    index_remove(b, f);
}

static void link_last(pp_backlog *b, frame *f, pp_slow_policy policy)
{
    pp_list_append(&b->frames, &f->link);
    b->bytes += bytes_left(f);
    b->cost += f->cost;
    if (f->message && !f->begun)
        make_droppable(b, f, policy, false);
}

static void unlink_frame(pp_backlog *b, frame *f)
{
    make_lasting(b, f);
    pp_list_remove(&f->link);
    b->bytes -= bytes_left(f);
    b->cost -= f->cost;
}

static void drop(pp_backlog *b, frame *f, uint64_t *reason)
{
    unlink_frame(b, f);
    frame_free(f);
    (*reason)++;
    b->dropped++;
}

static frame *by_age(pp_link *age)
{
    return PP_CONTAINER(age, frame, age);
}

/* --- who may come in ---------------------------------------------------------------------- */

static bool fits(const pp_backlog *b, size_t cost, size_t max)
{
    return b->cost <= max && cost <= max - b->cost;
}

/* Drop messages until cost more fits, or there are none left to drop. */
static void make_room(pp_backlog *b, size_t cost, size_t max, pp_slow_policy policy)
{
    while (!fits(b, cost, max) && !pp_list_empty(&b->ages)) {
        if (policy == PP_SLOW_DROP_NEW)
            drop(b, by_age(b->ages.prev), &b->drops.newest);
        else
            drop(b, by_age(b->ages.next), &b->drops.oldest);
    }
}

/* A message that does not even come in. */
static void count_missed(pp_backlog *b)
{
    b->drops.newest++;
    b->dropped++;
}

/* May a message of that cost come in? Makes room for it where the policy does. */
static pipit_err admit_message(pp_backlog *b, size_t cost, pp_str key, uint32_t hash,
                               pp_slow_policy policy, size_t max)
{
    size_t lasting = b->cost - b->message_cost;
    frame *older;

    if (policy == PP_SLOW_DISCONNECT || policy == PP_SLOW_DROP_NEW) {
        if (fits(b, cost, max))
            return PIPIT_OK;
        return policy == PP_SLOW_DISCONNECT ? PIPIT_ELIMIT : PIPIT_EAGAIN;
    }
    if (lasting > max || cost > max - lasting)
        return PIPIT_EAGAIN; /* dropping all others would not be enough */
    older = policy == PP_SLOW_CONFLATE ? index_find(b, key, hash) : NULL;
    if (older)
        drop(b, older, &b->drops.conflated);
    make_room(b, cost, max, policy);
    return PIPIT_OK;
}

/* May a control line come in? What the peer has the beginning of always does. */
static pipit_err admit_lasting(pp_backlog *b, size_t cost, bool begun, pp_slow_policy policy,
                               size_t max)
{
    if (policy != PP_SLOW_DISCONNECT)
        make_room(b, cost, max, policy);
    return begun || fits(b, cost, max) ? PIPIT_OK : PIPIT_ELIMIT;
}

pipit_err pp_backlog_add(pp_backlog *b, const pp_frame_parts *parts, pp_slow_policy policy,
                         size_t max_bytes, size_t message_max)
{
    size_t cost = PP_FRAME_COST + parts->head.len + parts->tail.len;
    bool droppable = parts->message && !parts->begun;
    uint32_t hash = droppable ? hash_key(b, parts->key) : 0;
    pipit_err err = droppable ? admit_message(b, cost, parts->key, hash, policy, message_max)
                              : admit_lasting(b, cost, parts->begun, policy, max_bytes);
    frame *f = err ? NULL : frame_new(parts, hash);

    if (f)
        link_last(b, f, policy);
    else if (!err)
        err = droppable && policy != PP_SLOW_DISCONNECT ? PIPIT_EAGAIN : PIPIT_ENOMEM;
    if (err != PIPIT_EAGAIN)
        return err;
    count_missed(b);
    return PIPIT_OK;
}

/* --- sending ------------------------------------------------------------------------------ */

size_t pp_backlog_gather(pp_backlog *b, struct iovec *iov, size_t cap, size_t *out_bytes)
{
    size_t count = 0, bytes = 0;

    PP_ASSERT(b->in_flight == 0 && cap >= 2);
    for (pp_link *link = b->frames.next; link != &b->frames && count + 2 <= cap;
         link = link->next) {
        frame *f = PP_CONTAINER(link, frame, link);

        if (f->len)
            iov[count++] = (struct iovec){f->bytes + f->at, f->len};
        if (f->tail_len)
            iov[count++] = (struct iovec){(char *)f->tail, f->tail_len};
        bytes += bytes_left(f);
        make_lasting(b, f);
        b->in_flight++;
    }
    *out_bytes = bytes;
    return count;
}

/* n bytes, not all of it. */
static void advance(pp_backlog *b, frame *f, size_t n)
{
    size_t of_head = n < f->len ? n : f->len;

    f->at += (uint32_t)of_head;
    f->len -= (uint32_t)of_head;
    if (n > of_head)
        f->tail += n - of_head;
    f->tail_len -= (uint32_t)(n - of_head);
    f->begun = true;
    b->bytes -= n;
}

void pp_backlog_sent(pp_backlog *b, size_t bytes, pp_slow_policy policy)
{
    pp_link *last = &b->frames, *prev;

    /* Those that went; then back from the last that did not, so that ages keep their order. */
    while (b->in_flight && bytes) {
        frame *f = PP_CONTAINER(b->frames.next, frame, link);

        if (bytes < bytes_left(f)) {
            advance(b, f, bytes);
            break;
        }
        bytes -= bytes_left(f);
        unlink_frame(b, f);
        frame_free(f);
        b->in_flight--;
    }
    for (size_t i = 0; i < b->in_flight; i++)
        last = last->next;
    for (; b->in_flight; b->in_flight--, last = prev) {
        frame *f = PP_CONTAINER(last, frame, link);

        prev = last->prev;
        if (!f->message || f->begun)
            continue;
        if (policy == PP_SLOW_CONFLATE && index_find(b, key_of(f), f->hash))
            drop(b, f, &b->drops.conflated); /* a newer one has come meanwhile */
        else
            make_droppable(b, f, policy, true);
    }
}

/* --- all at once -------------------------------------------------------------------------- */

void pp_backlog_set_aside(pp_backlog *b, pp_link *aside)
{
    PP_ASSERT(b->in_flight == 0 && pp_list_empty(aside));
    while (!pp_list_empty(&b->frames)) {
        frame *f = PP_CONTAINER(b->frames.next, frame, link);

        unlink_frame(b, f);
        pp_list_append(aside, &f->link);
    }
}

pipit_err pp_backlog_put_back(pp_backlog *b, pp_link *aside, pp_slow_policy policy,
                              size_t max_bytes, size_t message_max)
{
    pipit_err err = PIPIT_OK;

    while (!pp_list_empty(aside)) {
        frame *f = PP_CONTAINER(aside->next, frame, link);

        pp_list_remove(&f->link);
        if (!err)
            err = f->message && !f->begun
                      ? admit_message(b, f->cost, key_of(f), f->hash, policy, message_max)
                      : admit_lasting(b, f->cost, f->begun, policy, max_bytes);
        if (!err) {
            link_last(b, f, policy);
            continue;
        }
        frame_free(f);
        if (err == PIPIT_EAGAIN) {
            count_missed(b);
            err = PIPIT_OK;
        }
    }
    return err;
}

void pp_backlog_shed(pp_backlog *b)
{
    while (!pp_list_empty(&b->ages))
        drop(b, by_age(b->ages.next), &b->drops.oldest);
}

/* --- life --------------------------------------------------------------------------------- */

pp_backlog *pp_backlog_new(void)
{
    pp_backlog *b = pp_calloc(1, sizeof(*b));

    if (!b)
        return NULL;
    pp_list_init(&b->frames);
    pp_list_init(&b->ages);
    b->seed = pp_random_seed();
    return b;
}

void pp_backlog_clear(pp_backlog *b)
{
    b->in_flight = 0;
    while (!pp_list_empty(&b->frames)) {
        frame *f = PP_CONTAINER(b->frames.next, frame, link);

        unlink_frame(b, f);
        frame_free(f);
    }
    pp_free(b->buckets);
    b->buckets = NULL;
    b->bucket_count = 0;
}

void pp_backlog_free(pp_backlog *b)
{
    if (!b)
        return;
    pp_backlog_clear(b);
    pp_free(b);
}

size_t pp_backlog_bytes(const pp_backlog *b)
{
    return b->bytes;
}

size_t pp_backlog_cost(const pp_backlog *b)
{
    return b->cost;
}

uint64_t pp_backlog_dropped(const pp_backlog *b)
{
    return b->dropped;
}

pp_backlog_drops pp_backlog_take_drops(pp_backlog *b)
{
    pp_backlog_drops drops = b->drops;

    b->drops = (pp_backlog_drops){0};
    return drops;
}
