#include "proto/t2/request.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/random.h"
#include "proto/t2/bridge.h"
#include "proto/t2/stage.h"
#include "t2/writer.h"

enum {
    FOREIGN_SHARE = 4, /* all clients of NATS together may ask as much as so many of the bus */
    FLUSH_COST = 2048, /* of what others have, in deliveries */
};

/* --- the table ---------------------------------------------------------------------------- */

static pp_t2_request *find_locked(const pp_t2_bus *bus, uint32_t id)
{
    for (pp_table_entry *e = pp_table_first(&bus->requests, id); e; e = e->next) {
        if (e->hash == id)
            return PP_CONTAINER(e, pp_t2_request, entry);
    }
    return NULL;
}

static void take_out_locked(pp_t2_bus *bus, pp_t2_request *r)
{
    pp_table_remove(&bus->requests, &r->entry);
    pp_list_remove(&r->of_lane);
    pp_list_remove(&r->of_asker);
    pp_list_remove(&r->of_owner);
    if (r->asker)
        r->asker->asked_count--;
    else
        bus->foreign--;
}

static pp_t2_request *request_new(pp_t2_lane *lane, pp_str reply)
{
    pp_t2_request *r = pp_calloc(1, sizeof(*r) + reply.len);

    if (!r)
        return NULL;
    pp_list_init(&r->of_lane);
    pp_list_init(&r->of_asker);
    pp_list_init(&r->of_owner);
    r->lane = lane;
    r->reply_len = reply.len;
    if (reply.len)
        memcpy(r->reply, reply.ptr, reply.len);
    return r;
}

static void set_timer(pp_t2_lane *lane, int64_t due_ns);

/* Behind those that are due before it: all, unless a reload has made the time shorter. */
static void wait_locked(pp_t2_lane *lane, pp_t2_request *r)
{
    pp_link *next = &lane->waiting;

    while (next->prev != &lane->waiting &&
           PP_CONTAINER(next->prev, pp_t2_request, of_lane)->due_ns > r->due_ns)
        next = next->prev;
    pp_list_append(next, &r->of_lane);
}

static pipit_err enter_locked(pp_t2_bus *bus, pp_t2_request *r)
{
    uint32_t max = atomic_load_explicit(&bus->limits.requests_max, memory_order_relaxed);
    pp_t2_lane *lane = r->lane;
    pipit_err err;

    if (r->asker ? r->asker->asked_count >= max : bus->foreign / FOREIGN_SHARE >= max)
        return PIPIT_ELIMIT;
    do {
        r->id = bus->next_request++;
    } while (find_locked(bus, r->id));
    r->entry.hash = r->id;
    r->token = pp_random_next(&bus->random);
    err = pp_table_add(&bus->requests, &r->entry);
    if (err)
        return err;
    r->due_ns =
        lane->loop->now_ns + atomic_load_explicit(&bus->limits.request_ns, memory_order_relaxed);
    wait_locked(lane, r);
    if (r->asker) {
        pp_list_append(&r->asker->asked, &r->of_asker);
        r->asker->asked_count++;
    } else {
        bus->foreign++;
    }
    if (r->owner)
        pp_list_append(&r->owner->owed, &r->of_owner);
    return PIPIT_OK;
}

/* --- answering ---------------------------------------------------------------------------- */

/* Send a response to a client of the bus. */
static bool respond(pp_t2_lane *lane, pp_t2_session *to, uint32_t req_id, bool timed_out,
                    const pp_t2_bulk *payload)
{
    char head[PP_T2_BRIEF_MAX];
    size_t len =
        pp_t2_write_response_head(head, lane->next_id++, req_id, timed_out, payload->bytes.len);

    return pp_t2_stage(lane, to, (pp_str){head, len}, payload);
}

static void say_timeout(pp_t2_lane *lane, pp_t2_session *to, uint32_t req_id)
{
    static const pp_t2_payload nothing = {.is_array = true};
    pp_t2_bulk bulk;

    (void)pp_t2_bulk_payload(&bulk, &nothing, NULL); /* it is small */
    (void)respond(lane, to, req_id, true, &bulk);
}

/* Give the answer to who asked; r is out of all lists. */
static bool pass_on(pp_t2_lane *lane, const pp_t2_request *r, const pp_t2_message *m, pp_body *in)
{
    pp_t2_bulk bulk;
    bool passed;

    if (!r->asker) {
        if (!m->timed_out)
            pp_t2_bridge_answer(lane, (pp_str){r->reply, r->reply_len}, &m->payload);
        return true;
    }
    if (pp_t2_bulk_payload(&bulk, &m->payload, in))
        return false;
    passed = respond(lane, r->asker, r->asker_id, m->timed_out, &bulk);
    pp_t2_bulk_fini(&bulk);
    return passed;
}

void pp_t2_on_response(pp_t2_session *s, const pp_t2_message *m, pp_body *in)
{
    pp_t2_bus *bus = s->lane->bus;
    pp_t2_request *r;

    (void)pthread_mutex_lock(&bus->lock);
    r = find_locked(bus, m->req_id);
    if (r && r->owner == s && r->announced)
        take_out_locked(bus, r);
    else
        r = NULL;
    (void)pthread_mutex_unlock(&bus->lock);
    if (r && pass_on(s->lane, r, m, in))
        pp_t2_ack(s, m->id);
    else
        pp_t2_ack_failure(s, m->id, PP_T2_INVALID_REQUEST_ID, PP_STR(""));
    pp_free(r);
}

bool pp_t2_answer_from_nats(pp_t2_lane *lane, uint32_t id, uint64_t token, pp_str data)
{
    pp_t2_bus *bus = lane->bus;
    const pp_t2_message m = {.kind = PP_T2_RSP, .payload = {.data = data}};
    pp_t2_request *r;
    bool passed;

    (void)pthread_mutex_lock(&bus->lock);
    r = find_locked(bus, id);
    if (r && !r->owner && r->announced && r->token == token)
        take_out_locked(bus, r);
    else
        r = NULL;
    (void)pthread_mutex_unlock(&bus->lock);
    if (!r)
        return false;
    passed = pass_on(lane, r, &m, NULL);
    if (!passed) {
        pp_t2_undeliverable(bus); /* too long for a frame: better than to wait in vain */
        say_timeout(lane, r->asker, r->asker_id);
    }
    pp_free(r);
    return passed;
}

/* --- asking ------------------------------------------------------------------------------- */

/* Send a request, whose content is bulk, to its owner. */
static bool announce(pp_t2_lane *lane, pp_t2_session *owner, uint32_t id, const pp_t2_bulk *bulk)
{
    char head[PP_T2_HEAD_MAX];
    size_t len = pp_t2_write_head(head, id, bulk->bytes.len);

    return pp_t2_stage(lane, owner, (pp_str){head, len}, bulk);
}

/* It comes to nothing. */
static void withdraw(pp_t2_bus *bus, pp_t2_request *r)
{
    (void)pthread_mutex_lock(&bus->lock);
    take_out_locked(bus, r);
    (void)pthread_mutex_unlock(&bus->lock);
    pp_free(r);
}

/* An Ack that goes early takes those before it along: what they acknowledge goes now, too. That may
 * be many sends, so not often in a turn. */
static void let_acks_go(const pp_t2_session *s)
{
    if (!s->conn->own.first || !s->conn->own.has_answer)
        return;
    pp_loop_flush(s->conn->loop);
    s->lane->cost += FLUSH_COST;
}

/* Have the Ack on its way before anybody can answer; s may be closing after it. */
static void ack_first(pp_t2_session *s, uint32_t msg_id)
{
    pp_t2_ack(s, msg_id);
    if (!s->conn->closing)
        pp_outlet_flush(&s->conn->own);
}

/* The owner is on another loop, and may answer while this turn goes on. */
static void ask_elsewhere(pp_t2_session *s, pp_t2_request *r, const pp_t2_message *m,
                          const pp_t2_bulk *bulk)
{
    pp_t2_bus *bus = s->lane->bus;
    uint32_t id = r->id; /* r may go as soon as it is announced */
    pp_t2_session *owner;

    let_acks_go(s);
    ack_first(s, m->id);
    if (s->conn->closing)
        return; /* and has forgotten what it asked */
    (void)pthread_mutex_lock(&bus->lock);
    owner = r->owner;
    r->announced = owner != NULL;
    (void)pthread_mutex_unlock(&bus->lock);
    if (owner && announce(s->lane, owner, id, bulk))
        return;
    if (!owner) {
        withdraw(bus, r);
        say_timeout(s->lane, s, m->id);
    } /* else it is closing, and will tell when it leaves */
}

static void ask_here(pp_t2_session *s, pp_t2_session *owner, pp_t2_request *r,
                     const pp_t2_message *m, const pp_t2_bulk *bulk)
{
    if (announce(s->lane, owner, r->id, bulk)) {
        pp_t2_ack(s, m->id);
        return;
    }
    withdraw(s->lane->bus, r);
    pp_t2_ack_failure(s, m->id, PP_T2_SERVICE_NOT_FOUND, m->topic);
}

static void ask_nats(pp_t2_session *s, pp_t2_request *r, const pp_t2_message *m)
{
    if (pp_t2_bridge_serves(s->lane, m->topic))
        let_acks_go(s);
    if (pp_t2_bridge_ask(s->lane, m->topic, r, &m->payload)) {
        ack_first(s, m->id); /* what was staged for them goes at the end of the turn */
        return;
    }
    withdraw(s->lane->bus, r);
    pp_t2_ack_failure(s, m->id, PP_T2_SERVICE_NOT_FOUND, m->topic);
}

static void go_on_asking(pp_t2_session *s, pp_t2_request *r, pp_t2_session *owner,
                         const pp_t2_message *m, pp_body *in)
{
    pp_t2_bulk bulk;

    if (!owner) {
        ask_nats(s, r, m);
        return;
    }
    if (pp_t2_bulk_content(&bulk, m, in)) {
        withdraw(s->lane->bus, r);
        pp_t2_ack_failure(s, m->id, PP_T2_INTERNAL_ERROR,
                          PP_STR("the request cannot be passed on"));
        return;
    }
    if (owner->conn->loop == s->lane->loop)
        ask_here(s, owner, r, m, &bulk);
    else
        ask_elsewhere(s, r, m, &bulk);
    pp_t2_bulk_fini(&bulk);
}

void pp_t2_on_request(pp_t2_session *s, const pp_t2_message *m, pp_body *in)
{
    pp_t2_bus *bus = s->lane->bus;
    pp_t2_request *r;
    pp_t2_session *owner;
    pp_t2_topic topic;
    pipit_err err;

    if (!pp_t2_topic_parse(&topic, m->topic)) {
        pp_t2_ack_failure(s, m->id, PP_T2_INVALID_TOPIC_STRING, m->topic);
        return;
    }
    if (topic.wildcard) {
        pp_t2_ack_failure(s, m->id, PP_T2_SERVICE_NOT_FOUND, m->topic);
        return;
    }
    r = request_new(s->lane, PP_STR(""));
    if (!r) {
        pp_t2_ack_failure(s, m->id, PP_T2_INTERNAL_ERROR, PP_STR("out of memory"));
        return;
    }
    r->asker = s;
    r->asker_id = m->id;
    (void)pthread_mutex_lock(&bus->lock);
    owner = pp_t2_bus_owner_locked(bus, m->topic);
    r->owner = owner;
    r->announced = !owner || owner->conn->loop == s->lane->loop;
    err = enter_locked(bus, r);
    (void)pthread_mutex_unlock(&bus->lock);
    if (err) {
        pp_free(r);
        pp_t2_ack_failure(s, m->id, PP_T2_INTERNAL_ERROR,
                          err == PIPIT_ELIMIT ? PP_STR("too many requests wait for an answer")
                                              : PP_STR("out of memory"));
        return;
    }
    set_timer(s->lane, r->due_ns);
    go_on_asking(s, r, owner, m, in);
}

bool pp_t2_ask_from_nats(pp_t2_lane *lane, pp_str topic, pp_str reply, pp_str data)
{
    pp_t2_bus *bus = lane->bus;
    const pp_t2_message m = {.kind = PP_T2_REQ, .topic = topic, .payload = {.data = data}};
    pp_t2_session *owner = NULL;
    pp_t2_bulk bulk;
    pp_t2_request *r;
    bool asked = false;
    uint32_t id = 0;

    if (pp_t2_bulk_content(&bulk, &m, NULL)) {
        pp_t2_undeliverable(bus);
        return false;
    }
    r = request_new(lane, reply);
    if (r) {
        (void)pthread_mutex_lock(&bus->lock);
        owner = pp_t2_bus_owner_locked(bus, topic);
        r->owner = owner;
        r->announced = true; /* there is no Ack that must come first */
        asked = owner && enter_locked(bus, r) == PIPIT_OK;
        id = r->id;
        (void)pthread_mutex_unlock(&bus->lock);
    }
    if (!asked) {
        pp_free(r);
    } else {
        set_timer(lane, lane->loop->now_ns + bus->limits.request_ns);
        (void)announce(lane, owner, id, &bulk); /* one that is closing answers nobody */
    }
    pp_t2_bulk_fini(&bulk);
    return asked;
}

/* --- ends --------------------------------------------------------------------------------- */

/* The oldest on lane, if its time is over. *out_due_ns: when it will be; 0: there is none. */
static pp_t2_request *take_late(pp_t2_lane *lane, int64_t *out_due_ns)
{
    pp_t2_bus *bus = lane->bus;
    pp_t2_request *r = NULL;

    *out_due_ns = 0;
    (void)pthread_mutex_lock(&bus->lock);
    if (!pp_list_empty(&lane->waiting)) {
        r = PP_CONTAINER(lane->waiting.next, pp_t2_request, of_lane);
        *out_due_ns = r->due_ns;
        if (r->due_ns > lane->loop->now_ns)
            r = NULL;
        else
            take_out_locked(bus, r);
    }
    (void)pthread_mutex_unlock(&bus->lock);
    return r;
}

static void on_timer(pp_timer *timer)
{
    pp_t2_lane *lane = PP_CONTAINER(timer, pp_t2_lane, timer);
    pp_t2_request *r;
    int64_t due_ns;

    while ((r = take_late(lane, &due_ns)) != NULL) {
        if (r->asker) /* it is on this loop */
            say_timeout(lane, r->asker, r->asker_id);
        (void)atomic_fetch_add_explicit(&lane->bus->timeouts, 1, memory_order_relaxed);
        pp_free(r);
    }
    if (due_ns)
        set_timer(lane, due_ns);
}

/* It may go off for one that has been answered meanwhile; then it is set for the next. */
static void set_timer(pp_t2_lane *lane, int64_t due_ns)
{
    if (lane->timer.place == PP_TIMER_IDLE || lane->timer.due_ns > due_ns)
        pp_timer_set(&lane->loop->timers, &lane->timer, due_ns, on_timer);
}

/* Somebody who waits for s, on any loop; not those who have no Ack yet. */
static pp_t2_request *take_owed(pp_t2_session *s)
{
    pp_t2_bus *bus = s->lane->bus;
    pp_t2_request *r = NULL;

    (void)pthread_mutex_lock(&bus->lock);
    while (!r && !pp_list_empty(&s->owed)) {
        r = PP_CONTAINER(s->owed.next, pp_t2_request, of_owner);
        if (r->announced) {
            take_out_locked(bus, r);
        } else {
            pp_list_remove(&r->of_owner);
            r->owner = NULL;
            r = NULL;
        }
    }
    (void)pthread_mutex_unlock(&bus->lock);
    return r;
}

void pp_t2_requests_leave(pp_t2_session *s)
{
    pp_t2_bus *bus = s->lane->bus;
    pp_t2_request *r;

    (void)pthread_mutex_lock(&bus->lock);
    while (!pp_list_empty(&s->asked)) {
        r = PP_CONTAINER(s->asked.next, pp_t2_request, of_asker);
        take_out_locked(bus, r);
        pp_free(r);
    }
    (void)pthread_mutex_unlock(&bus->lock);
    while ((r = take_owed(s)) != NULL) {
        if (r->asker)
            say_timeout(s->lane, r->asker, r->asker_id);
        pp_free(r);
    }
}

void pp_t2_requests_drop(pp_t2_bus *bus)
{
    pp_table_entry *e;

    while ((e = pp_table_any(&bus->requests)) != NULL) {
        pp_t2_request *r = PP_CONTAINER(e, pp_t2_request, entry);

        PP_ASSERT(!r->asker && !r->owner); /* sessions take theirs along */
        take_out_locked(bus, r);
        pp_free(r);
    }
}
