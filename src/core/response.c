#include "core/response.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "base/random.h"
#include "core/desk.h"
#include "core/realm.h"
#include "core/route.h"
#include "core/subject.h"

#include <string.h>

enum { TABLE_AT_START = 64, EXPIRED_AT_ONCE = 256 };

static void lock(pp_responses *responses)
{
    (void)pthread_mutex_lock(&responses->lock);
}

static void unlock(pp_responses *responses)
{
    (void)pthread_mutex_unlock(&responses->lock);
}

void pp_responses_init(pp_responses *responses)
{
    *responses = (pp_responses){.scheduled_ns = INT64_MAX};
    (void)pthread_mutex_init(&responses->lock, NULL);
}

static pp_response *of_timer(pp_timer *timer)
{
    return PP_CONTAINER(timer, pp_response, timer);
}

/* --- the table ---------------------------------------------------------------------------- */

static pp_response **find_locked(pp_responses *responses, uint64_t token)
{
    pp_response **at;

    if (!responses->table)
        return NULL;
    at = &responses->table[token & responses->table_mask]; /* tokens are chance as they are */
    while (*at && (*at)->token != token)
        at = &(*at)->hash_next;
    return at;
}

static pipit_err grow_table(pp_responses *responses)
{
    size_t size = responses->table ? 2 * (responses->table_mask + 1) : TABLE_AT_START;
    pp_response **table = pp_calloc(size, sizeof(pp_response *));

    if (!table)
        return PIPIT_ENOMEM;
    pp_free(responses->table);
    responses->table = table;
    responses->table_mask = size - 1;
    for (size_t i = 0; i < responses->timers.count; i++) {
        pp_response *response = of_timer(responses->timers.heap[i]);
        pp_response **at = &table[response->token & responses->table_mask];

        response->hash_next = *at;
        *at = response;
    }
    return PIPIT_OK;
}

static pipit_err reserve_locked(pp_responses *responses)
{
    size_t count = responses->timers.count;

    if (count >= PP_AWAITED_MAX)
        return PIPIT_ELIMIT;
    if ((!responses->table || count > responses->table_mask) && grow_table(responses))
        return PIPIT_ENOMEM;
    return pp_timers_reserve(&responses->timers, count + 1);
}

/* --- beginning ---------------------------------------------------------------------------- */

static void free_response(pp_response *response)
{
    (void)atomic_fetch_sub(&response->requester->awaited, 1);
    (void)atomic_fetch_sub(&response->requester->response_refs, 1);
    (void)atomic_fetch_sub(&response->exporter->response_refs, 1);
    pp_free(response->latency);
    pp_free(response);
}

static void join_client(pp_response *response, pp_client *client)
{
    pp_response *first = atomic_load_explicit(&client->responses, memory_order_relaxed);

    response->client = client;
    response->client_next = first;
    if (first)
        first->client_at = &response->client_next;
    /* The front is an atomic pointer, the others are plain ones: those that leave know which. */
    response->client_at = NULL;
    atomic_store_explicit(&client->responses, response, memory_order_relaxed);
}

static void leave_client(pp_response *response)
{
    pp_client *client = response->client;

    if (!client)
        return;
    if (response->client_at)
        *response->client_at = response->client_next;
    else
        atomic_store_explicit(&client->responses, response->client_next, memory_order_relaxed);
    if (response->client_next)
        response->client_next->client_at = response->client_at;
    response->client = NULL;
}

/* Nobody must guess one, not even who knows others. */
static uint64_t next_token(pp_responses *responses)
{
    if (!responses->tokens_left) {
        pp_random_bytes(responses->tokens, sizeof(responses->tokens));
        responses->tokens_left = PP_RESPONSE_TOKENS_KEPT;
    }
    return responses->tokens[--responses->tokens_left] % PP_DESK_TOKENS;
}

static pipit_err enter_locked(pp_router *router, pp_response *response, pp_client *client,
                              int64_t deadline_ns)
{
    pp_responses *responses = &router->responses;
    pipit_err err = reserve_locked(responses);
    pp_response **at;

    if (err)
        return err;
    do {
        response->token = next_token(responses);
        at = find_locked(responses, response->token);
    } while (*at);
    *at = response;
    pp_timer_set(&responses->timers, &response->timer, deadline_ns, NULL);
    if (client)
        join_client(response, client);
    return PIPIT_OK;
}

/* Have somebody look when the first of them ends. */
static void schedule(pp_router *router, int64_t deadline_ns)
{
    const pp_realm *realm = router->realm;

    if (deadline_ns >= router->responses.scheduled_ns)
        return;
    router->responses.scheduled_ns = deadline_ns;
    realm->ops->schedule(realm->context, router, deadline_ns);
}

pipit_err pp_response_await(pp_router *router, const pp_response_setup *setup, pp_response **out)
{
    pp_realm *realm = router->realm;
    pp_response *response = pp_alloc(sizeof(*response) + setup->reply.len);
    int64_t deadline_ns = realm->ops->now_ns(realm->context) + setup->threshold_ns;
    pipit_err err;

    if (!response) {
        pp_free(setup->latency);
        return PIPIT_ENOMEM;
    }
    *response = (pp_response){
        .exporter = setup->exporter,
        .requester = setup->requester,
        .router = router,
        .threshold_ns = setup->threshold_ns,
        .latency = setup->latency,
        .holders = 2,
        .kind = setup->kind,
        .reply_len = (uint32_t)setup->reply.len,
    };
    memcpy(response->reply, setup->reply.ptr, setup->reply.len);
    (void)atomic_fetch_add(&setup->requester->response_refs, 1);
    (void)atomic_fetch_add(&setup->exporter->response_refs, 1);
    if (atomic_fetch_add(&setup->requester->awaited, 1) >= PP_AWAITED_ACCOUNT_MAX) {
        free_response(response);
        return PIPIT_ELIMIT;
    }
    lock(&router->responses);
    err = enter_locked(router, response, setup->client, deadline_ns);
    unlock(&router->responses);
    if (err) {
        free_response(response);
        return err;
    }
    schedule(router, deadline_ns);
    *out = response;
    return PIPIT_OK;
}

/* --- ending ------------------------------------------------------------------------------- */

/* Take it out of all that it is in; the table holds it no more. */
static void end_locked(pp_response *response)
{
    pp_responses *responses = &response->router->responses;

    PP_ASSERT(response->timer.place != PP_TIMER_IDLE);
    *find_locked(responses, response->token) = response->hash_next;
    pp_timer_cancel(&responses->timers, &response->timer);
    leave_client(response);
    response->holders--;
}

bool pp_response_end(pp_response *response)
{
    pp_responses *responses = &response->router->responses;
    bool ends;

    lock(responses);
    ends = response->timer.place != PP_TIMER_IDLE;
    if (ends)
        end_locked(response);
    unlock(responses);
    return ends;
}

void pp_response_give_back(pp_response *response)
{
    pp_responses *responses = &response->router->responses;
    bool last;

    lock(responses);
    last = --response->holders == 0;
    unlock(responses);
    if (last)
        free_response(response);
}

pp_response *pp_response_find(pp_realm *realm, pp_account *exporter, pp_str subject, bool last)
{
    const pp_desk *desk = atomic_load_explicit(&exporter->desk, memory_order_acquire);
    pp_response *response = NULL, **at;
    pp_responses *responses;
    uint64_t token;
    uint32_t loop;

    if (!desk || !pp_desk_read(desk, subject, &loop, &token) || loop >= realm->router_count)
        return NULL;
    responses = &realm->routers[loop]->responses;
    lock(responses);
    at = find_locked(responses, token);
    if (at && *at && (*at)->exporter == exporter) {
        response = *at;
        response->holders++;
        if (response->kind == PP_RESPONSE_ONE || last) {
            end_locked(response);
        } else { /* the time is that between one and the next */
            pp_timer_set(&responses->timers, &response->timer,
                         realm->ops->now_ns(realm->context) + response->threshold_ns, NULL);
        }
    }
    unlock(responses);
    return response;
}

/* --- time --------------------------------------------------------------------------------- */

/* Say why there is no result. */
static void tell(pp_response *response, int status, const char *description)
{
    const pp_realm *realm = response->router->realm;

    if (!response->latency)
        return;
    response->latency->status = status;
    response->latency->description = description;
    realm->ops->report(realm->context, response->router, response->latency);
}

int64_t pp_responses_expire(pp_router *router, int64_t now_ns)
{
    pp_responses *responses = &router->responses;
    int64_t next_ns = INT64_MAX;

    for (unsigned i = 0; i <= EXPIRED_AT_ONCE; i++) {
        pp_response *response = NULL;

        lock(responses);
        next_ns = pp_timers_next_ns(&responses->timers);
        if (next_ns <= now_ns && i < EXPIRED_AT_ONCE) {
            response = of_timer(responses->timers.heap[0]);
            response->holders++;
            end_locked(response);
        }
        unlock(responses);
        if (!response)
            break;
        tell(response, 504, "Service Timeout");
        pp_response_give_back(response);
    }
    responses->scheduled_ns = next_ns;
    return next_ns;
}

/* --- clients that go ---------------------------------------------------------------------- */

/* Does anybody listen for it? */
static bool is_heard(pp_router *router, const pp_response *response)
{
    pp_sub_set *set = &router->matched;

    return pp_sublist_match(response->requester->subs,
                            (pp_str){response->reply, response->reply_len}, set) ||
           set->count;
}

size_t pp_responses_unheard(pp_router *router, pp_client *client, pp_str pattern)
{
    pp_responses *responses = &router->responses;
    pp_response *ended = NULL, *next;
    size_t seen = 0;

    if (!atomic_load_explicit(&client->responses, memory_order_relaxed))
        return 0;
    lock(responses);
    for (pp_response *response = atomic_load_explicit(&client->responses, memory_order_relaxed);
         response; response = next, seen++) {
        next = response->client_next;
        if ((pattern.len &&
             !pp_subject_matches((pp_str){response->reply, response->reply_len}, pattern)) ||
            is_heard(router, response))
            continue;
        response->holders++;
        end_locked(response);
        response->client_next = ended;
        ended = response;
    }
    unlock(responses);
    for (; ended; ended = next) {
        next = ended->client_next;
        tell(ended, 408, "Request Timeout");
        pp_response_give_back(ended);
    }
    return seen;
}

void pp_responses_detach_client(pp_router *router, pp_client *client)
{
    pp_response *response;

    if (!atomic_load_explicit(&client->responses, memory_order_relaxed))
        return;
    lock(&router->responses);
    while ((response = atomic_load_explicit(&client->responses, memory_order_relaxed)))
        leave_client(response);
    unlock(&router->responses);
}

void pp_responses_forget_client(pp_router *router, pp_client *client)
{
    (void)pp_responses_unheard(router, client, (pp_str){NULL, 0});
    pp_responses_detach_client(router, client);
}

void pp_responses_fini(pp_responses *responses)
{
    while (responses->timers.count) {
        pp_response *response = of_timer(responses->timers.heap[0]);

        end_locked(response);
        free_response(response);
    }
    pp_free(responses->table);
    pp_timers_fini(&responses->timers);
    (void)pthread_mutex_destroy(&responses->lock);
}
