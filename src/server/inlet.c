#include "server/inlet.h"

#include "base/alloc.h"
#include "base/ceiling.h"
#include "base/clock.h"
#include "core/subject.h"
#include "server/server.h"

#include <stdlib.h>

enum {
    CHUNKS_PER_RUN = 16, /* about 256 KiB; then connections have their turn */
    STALL_NS = 10000000,
    SIZE_MAX_NATS = 999999999, /* what a frame can say */
};

/* --- the loop's side ---------------------------------------------------------------------- */

/* From where the program sees the global account: as somebody who need not say who it is, so that
 * it asks no callout service in the server's name either. The users are those of this loop's own
 * settings: while a reload is under way others number views otherwise than this loop's routes. */
static const pp_scope *scope_of(const pp_worker *worker)
{
    return &pp_users_nameless(worker->nats.settings->users, PP_ENTRANCE_CLIENTS)->scope;
}

/* Where a mapping leads to; NULL: nowhere. */
static pp_route *follow(pp_worker *worker, const pp_route *found, pp_msg *msg,
                        pp_route_cache **inout_cache)
{
    pp_nats_context *context = &worker->nats;
    size_t len;

    if (!context->mapped_subject)
        context->mapped_subject = pp_alloc(PP_ROUTE_MAPPED_MAX);
    if (!context->mapped_subject)
        return NULL;
    found = pp_route_follow(*inout_cache, found, context->mapped_subject, &len, inout_cache);
    msg->subject = (pp_str){context->mapped_subject, len};
    return (pp_route *)found;
}

/* One message, as if a connection had sent it. */
static void route(void *context, const pp_parcel *parcel, const pp_address *to, uint32_t count)
{
    pp_worker *worker = context;
    pp_inlet *inlet = &worker->local.inlet;
    pp_route_cache *cache = pp_router_cache(&worker->router, scope_of(worker));
    pp_route *found = cache ? pp_route_find(cache, parcel->subject) : NULL;
    pp_msg msg = {
        .subject = parcel->subject,
        .reply = parcel->reply,
        .data = parcel->data,
        .header_len = parcel->header_len,
        .body = parcel->body,
    };

    /* A lodger's are addressed: by whom, and whether lodgers have it; then to those that have not.
     */
    inlet->from = count ? to->client_id : 0;
    inlet->hosted_done = count && to->sub_id;
    inlet->due = to + 1;
    inlet->due_count = count ? count - 1 : 0;
    inlet->routing++;
    pp_count(&worker->counters.in_msgs, 1);
    pp_count(&worker->counters.in_bytes, parcel->data.len);
    if (!found)
        pp_count(&worker->counters.route_failures, 1);
    else if (found->kind == PP_ROUTE_MAPPED)
        found = follow(worker, found, &msg, &cache);
    if (found && found->target_count)
        (void)pp_route_deliver(cache, found, &msg);
    if (worker->loop.staged_bytes > worker->loop.staged_max)
        pp_loop_flush(&worker->loop);
    inlet->from = 0;
    inlet->hosted_done = false;
    inlet->due_count = 0;
}

static int compare_client_ids(const void *a, const void *b)
{
    uint64_t first = ((const pp_address *)a)->client_id;
    uint64_t second = ((const pp_address *)b)->client_id;

    return (first > second) - (first < second);
}

bool pp_inlet_owes(const pp_inlet *inlet, uint64_t serial)
{
    const pp_address key = {.client_id = serial};

    if (PP_LIKELY(!inlet->hosted_done))
        return true;
    return inlet->due_count &&
           bsearch(&key, inlet->due, inlet->due_count, sizeof(key), compare_client_ids);
}

static void go_on(pp_inlet *inlet)
{
    inlet->waits = false;
    pp_loop_post(&inlet->worker->loop, &inlet->task);
}

static void on_gate_open(pp_waiter *waiter)
{
    pp_inlet *inlet = PP_CONTAINER(waiter, pp_inlet, waiter);

    pp_timer_cancel(&inlet->worker->loop.timers, &inlet->timer);
    go_on(inlet);
}

static void on_waited_enough(pp_timer *timer)
{
    pp_inlet *inlet = PP_CONTAINER(timer, pp_inlet, timer);
    pp_loop *loop = &inlet->worker->loop;

    if (loop->pressed) {
        pp_timer_set(&loop->timers, timer, loop->now_ns + STALL_NS, on_waited_enough);
        return;
    }
    pp_list_remove(&inlet->waiter.link);
    go_on(inlet);
}

static void wait_for(pp_inlet *inlet, const void *gate)
{
    pp_loop *loop = &inlet->worker->loop;

    inlet->waits = true;
    inlet->waiter.waits_for = gate;
    pp_list_append(&loop->waiters, &inlet->waiter.link);
    pp_timer_set(&loop->timers, &inlet->timer, loop->now_ns + STALL_NS, on_waited_enough);
    pp_count(&loop->counters->stalls, 1);
}

/* Route one chunk and give it back; returns the bytes that no longer wait. */
static size_t take_chunk(pp_inlet *inlet, pp_chunk *chunk)
{
    bool open = atomic_load_explicit(&inlet->worker->server->open, memory_order_relaxed);
    size_t bytes = pp_parcels_unpack(chunk, open ? route : NULL, inlet->worker);

    atomic_store_explicit(&inlet->routed, inlet->routing, memory_order_release);
    (void)pthread_mutex_lock(&inlet->lock);
    pp_chunk_give(&inlet->pool, chunk);
    inlet->bytes -= bytes;
    if (PP_UNLIKELY(inlet->awaited))
        (void)pthread_cond_broadcast(&inlet->room);
    (void)pthread_mutex_unlock(&inlet->lock);
    return bytes;
}

static void on_task(pp_task *task)
{
    pp_inlet *inlet = PP_CONTAINER(task, pp_inlet, task);
    pp_loop *loop = &inlet->worker->loop;
    pp_chunk *chunk;
    bool again;

    (void)pthread_mutex_lock(&inlet->lock);
    pp_bag_append(&inlet->taking, &inlet->bag);
    (void)pthread_mutex_unlock(&inlet->lock);
    for (unsigned i = 0; i < CHUNKS_PER_RUN && !inlet->waits; i++) {
        chunk = pp_bag_take(&inlet->taking);
        if (!chunk)
            break;
        (void)take_chunk(inlet, chunk);
        if (loop->gate) {
            wait_for(inlet, loop->gate);
            loop->gate = NULL;
        }
    }
    (void)pthread_mutex_lock(&inlet->lock);
    again = inlet->taking.first || inlet->bag.first;
    inlet->posted = again || inlet->waits;
    (void)pthread_mutex_unlock(&inlet->lock);
    if (again && !inlet->waits)
        pp_loop_post(loop, task);
}

void pp_inlet_init(pp_inlet *inlet, pp_worker *worker)
{
    pthread_condattr_t attr;

    inlet->worker = worker;
    inlet->task.run = on_task;
    inlet->waiter.resume = on_gate_open;
    pp_list_init(&inlet->waiter.link);
    (void)pthread_mutex_init(&inlet->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&inlet->room, &attr);
    (void)pthread_condattr_destroy(&attr);
}

void pp_inlet_fini(pp_inlet *inlet)
{
    pp_bag_drop(&inlet->bag, NULL);
    pp_bag_drop(&inlet->taking, NULL);
    pp_chunk_pool_fini(&inlet->pool);
    (void)pthread_cond_destroy(&inlet->room);
    (void)pthread_mutex_destroy(&inlet->lock);
}

/* --- the callers' side -------------------------------------------------------------------- */

/* A calling thread always gets the same: its own, if it is one of the server's. */
pp_inlet *pp_inlet_choose(pipit_server *server)
{
    const pp_loop *current = pp_loop_current();
    uint64_t self = (uint64_t)(uintptr_t)pthread_self();

    if (current && current->index < server->worker_count &&
        current == &server->workers[current->index].loop)
        return &server->workers[current->index].local.inlet;
    self = (self >> 12) * 0x9e3779b97f4a7c15u; /* the low bits are those of a stack's address */
    return &server->workers[((self >> 32) * server->worker_count) >> 32].local.inlet;
}

static bool header_valid(pp_str header)
{
    return header.len >= 12 && pp_str_starts(header, PP_STR("NATS/1.0")) &&
           memcmp(header.ptr + header.len - 4, "\r\n\r\n", 4) == 0;
}

pipit_err pp_inlet_check(const pipit_server *server, const pipit_msg *msg, bool pattern)
{
    int64_t max_payload = atomic_load((atomic_int_fast64_t *)&server->max_payload);
    size_t max_line = atomic_load((atomic_size_t *)&server->max_line);
    pp_str subject = {msg->subject, msg->subject_bytes};
    pp_str reply = {msg->reply, msg->reply_bytes};
    size_t size_max = max_payload < 0 || max_payload > SIZE_MAX_NATS ? (size_t)SIZE_MAX_NATS
                                                                     : (size_t)max_payload;

    if (!pp_local_text_valid(subject) ||
        !(pattern ? pp_subject_valid(subject) : pp_subject_literal(subject)))
        return PIPIT_EINVAL;
    if (reply.len && (!pp_local_text_valid(reply) || !pp_subject_literal(reply)))
        return PIPIT_EINVAL;
    if (subject.len > max_line || reply.len > max_line - subject.len)
        return PIPIT_ETOOBIG;
    if (msg->header_bytes > size_max || msg->payload_bytes > size_max - msg->header_bytes)
        return PIPIT_ETOOBIG;
    if (msg->header_bytes && !header_valid((pp_str){msg->header, msg->header_bytes}))
        return PIPIT_EINVAL;
    return PIPIT_OK;
}

/* Header and payload in one piece: in small, or, when they are large, in *out_body. */
static bool join(const pipit_msg *msg, char *small, pp_body **out_body)
{
    size_t len = msg->header_bytes + msg->payload_bytes;
    char *to = small;

    if (len >= PP_PARCEL_REFER_MIN) {
        *out_body = pp_body_new(len + 2);
        if (!*out_body)
            return false;
        to = (*out_body)->bytes;
        memcpy(to + len, "\r\n", 2); /* large data ends so wherever it is packed */
    }
    if (msg->header_bytes)
        memcpy(to, msg->header, msg->header_bytes);
    if (msg->payload_bytes)
        memcpy(to + msg->header_bytes, msg->payload, msg->payload_bytes);
    return true;
}

/* Is there no room for so much more? One message fits where nothing waits. */
static bool full_locked(const pp_inlet *inlet, size_t data_bytes)
{
    size_t bytes_max = inlet->worker->server->client_door.limits.pending_max;

    return inlet->bytes && (inlet->bytes + data_bytes > bytes_max || pp_ceiling_pressed());
}

bool pp_inlet_await_room(pp_inlet *inlet, size_t data_bytes, int64_t deadline_ns,
                         const atomic_bool *over)
{
    const struct timespec at = {deadline_ns / PP_NS_PER_S, deadline_ns % PP_NS_PER_S};
    int late = 0;

    (void)pthread_mutex_lock(&inlet->lock);
    inlet->awaited++;
    while (!late && full_locked(inlet, data_bytes) && !atomic_load((atomic_bool *)over))
        late = pthread_cond_timedwait(&inlet->room, &inlet->lock, &at);
    inlet->awaited--;
    (void)pthread_mutex_unlock(&inlet->lock);
    return !late;
}

void pp_inlet_rouse(pp_inlet *inlet)
{
    (void)pthread_mutex_lock(&inlet->lock);
    (void)pthread_cond_broadcast(&inlet->room);
    (void)pthread_mutex_unlock(&inlet->lock);
}

/* There is room for them. Returns their bytes. */
static size_t address_locked(pp_inlet *inlet, const pp_inlet_mark *mark)
{
    pp_address to = {.client_id = mark->from, .sub_id = mark->hosted_done};
    size_t bytes = pp_bag_address(&inlet->bag, &to);

    for (uint32_t i = 0; i < mark->due_count; i++) {
        to.client_id = mark->due[i];
        bytes += pp_bag_address(&inlet->bag, &to);
    }
    return bytes;
}

pipit_err pp_inlet_put(pp_inlet *inlet, const pp_parcel *parcel, const pp_inlet_mark *mark,
                       uint64_t *out_number)
{
    pipit_err err = PIPIT_OK;
    bool post_it = false;
    size_t bytes;

    (void)pthread_mutex_lock(&inlet->lock);
    if (full_locked(inlet, parcel->data.len)) {
        err = PIPIT_EAGAIN;
    } else {
        bytes = pp_bag_pack(&inlet->bag, &inlet->pool, parcel, mark ? 1 + mark->due_count : 0);
        if (!bytes)
            err = PIPIT_ENOMEM;
        if (bytes && mark)
            bytes += address_locked(inlet, mark);
        inlet->bytes += bytes;
        inlet->put += !err;
        *out_number = inlet->put;
        post_it = !err && !inlet->posted;
        inlet->posted |= post_it;
    }
    (void)pthread_mutex_unlock(&inlet->lock);
    if (post_it)
        pp_loop_post(&inlet->worker->loop, &inlet->task);
    return err;
}

pipit_err pipit_server_publish_msg(pipit_server *server, const pipit_msg *msg)
{
    char small[PP_PARCEL_REFER_MIN];
    pp_body *body = NULL;
    pp_parcel parcel;
    uint64_t number;
    pipit_err err;

    if (!atomic_load_explicit(&server->open, memory_order_acquire))
        return PIPIT_ECLOSED;
    err = pp_inlet_check(server, msg, false);
    if (err)
        return err;
    if (!join(msg, small, &body))
        return PIPIT_ENOMEM;
    parcel = (pp_parcel){
        .subject = {msg->subject, msg->subject_bytes},
        .reply = {msg->reply, msg->reply_bytes},
        .data = {body ? body->bytes : small, msg->header_bytes + msg->payload_bytes},
        .header_len = (uint32_t)msg->header_bytes,
        .body = body,
    };
    err = pp_inlet_put(pp_inlet_choose(server), &parcel, NULL, &number);
    pp_body_unref(body);
    return err;
}

pipit_err pipit_server_publish(pipit_server *server, const char *subject, const char *reply,
                               const void *payload, size_t payload_bytes)
{
    pipit_msg msg = {
        .subject = subject,
        .subject_bytes = subject ? strlen(subject) : 0,
        .reply = reply,
        .reply_bytes = reply ? strlen(reply) : 0,
        .payload = payload,
        .payload_bytes = payload_bytes,
    };

    return pipit_server_publish_msg(server, &msg);
}
