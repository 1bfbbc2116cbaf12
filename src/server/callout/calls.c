#include "server/callout/calls.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "proto/nats/info.h"
#include "proto/nats/session.h"
#include "server/callout/complaint.h"
#include "server/server.h"
#include "server/system/publish.h"
#include "server/system/service.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define INBOX "$SYS._INBOX."

enum {
    /* Of the server's id, in its inboxes: servers must not read each other's answers. */
    ID_CHARACTERS = 8,
    PREFIX_LEN = sizeof(INBOX) - 1 + ID_CHARACTERS + 1,
    REPLY_BYTES = PREFIX_LEN + PP_NKEY_TEXT_BYTES,
};

typedef struct pp_call {
    pp_link chain, place; /* in a bucket; in waiting */
    pp_task task;
    pp_calls *calls;
    pp_login *login;
    pp_account *account;
    atomic_uint *asked;
    const uint8_t *service_xkey;
    pp_call_judge_fn judge;
    void (*done)(void *context);
    void *context;
    int64_t timeout_ns, due_ns;
    pp_buf request; /* a header block, if it is sealed, and the payload; until it is published */
    size_t header_len;
    char user_nkey[PP_NKEY_TEXT_BYTES];
    char shown_key[PP_NKEY_TEXT_BYTES]; /* of the token that was shown; empty: none was */
    char *reason;                       /* for a complaint on its way */
} pp_call;

/* --- life ---------------------------------------------------------------------------------- */

void pp_calls_init(pp_calls *calls, pipit_server *server)
{
    *calls = (pp_calls){.server = server};
    (void)pthread_mutex_init(&calls->lock, NULL);
    pp_list_init(&calls->waiting);
}

void pp_calls_fini(pp_calls *calls)
{
    pp_free(calls->buckets);
    (void)pthread_mutex_destroy(&calls->lock);
}

static void forget_request(pp_call *call)
{
    if (!call->request.ptr)
        return;
    (void)atomic_fetch_sub(&call->calls->bytes, call->request.len);
    sodium_memzero(call->request.ptr, call->request.len);
    pp_buf_fini(&call->request);
}

/* Nobody else knows it any more. */
static void call_free(pp_call *call)
{
    forget_request(call);
    if (call->done)
        call->done(call->context);
    (void)atomic_fetch_sub(call->asked, 1);
    (void)atomic_fetch_sub(&call->calls->count, 1);
    pp_free(call->reason);
    pp_free(call);
}

/* The login has its verdict. */
static void end(pp_call *call)
{
    pp_login *login = call->login;

    call_free(call);
    pp_login_wake(login);
}

static void refuse(pp_call *call)
{
    pp_login_refuse(call->login, PP_LOGIN_DENIED, NULL);
    end(call);
}

/* The login, which has its verdict, still waits. On the home loop. */
static void complain(const pp_call *call, const char *reason)
{
    pp_system *system = &call->calls->server->system;
    const pp_complaint complaint = {
        .account = call->account,
        .shown = &call->login->shown,
        .user_key = pp_str_of(call->shown_key),
        .reason = pp_str_of(reason),
    };

    if (system->running && !pp_login_is_abandoned(call->login))
        pp_complaint_tell(system, &complaint);
}

static void on_complain(pp_task *task)
{
    pp_call *call = PP_CONTAINER(task, pp_call, task);

    complain(call, call->reason);
    end(call);
}

/* Complain, and end. Thread: any loop's. Without memory nobody hears of it. */
static void end_with_complaint(pp_call *call, const char *reason)
{
    call->reason = pp_memdupz(reason, strlen(reason));
    call->task.run = on_complain;
    if (call->reason)
        pp_loop_post(&call->calls->server->system.home->loop, &call->task);
    else
        end(call);
}

/* Not more than one line a second: whoever wants to come in can cause them. */
static void warn(pp_calls *calls, const char *text)
{
    uint64_t left_out;
    bool allowed;

    (void)pthread_mutex_lock(&calls->lock);
    allowed = pp_log_limit_allows(&calls->limit, pp_clock_mono_ns(), &left_out);
    (void)pthread_mutex_unlock(&calls->lock);
    if (allowed && left_out)
        pp_log_write(&calls->server->log, PP_LOG_WARN, "%s (%llu like it not logged)", text,
                     (unsigned long long)left_out);
    else if (allowed)
        pp_log_write(&calls->server->log, PP_LOG_WARN, "%s", text);
}

/* --- the table ----------------------------------------------------------------------------- */

static pp_link *bucket_of(pp_calls *calls, pp_str key)
{
    return &calls->buckets[pp_hash(key.ptr, key.len, calls->seed) % PP_CALLS_BUCKETS];
}

static bool has_buckets(pp_calls *calls)
{
    bool has;

    (void)pthread_mutex_lock(&calls->lock);
    if (!calls->buckets) {
        calls->buckets = pp_alloc(PP_CALLS_BUCKETS * sizeof(*calls->buckets));
        randombytes_buf(&calls->seed, sizeof(calls->seed));
        for (size_t i = 0; calls->buckets && i < PP_CALLS_BUCKETS; i++)
            pp_list_init(&calls->buckets[i]);
    }
    has = calls->buckets != NULL;
    (void)pthread_mutex_unlock(&calls->lock);
    return has;
}

static void format_inbox(const pp_calls *calls, const char *last_token, char out[REPLY_BYTES])
{
    const char *id_end = calls->server->server_id + PP_NKEY_TEXT_BYTES - 1;

    (void)snprintf(out, REPLY_BYTES, INBOX "%s.%s", id_end - ID_CHARACTERS, last_token);
}

/* From now on it can be answered. Timeouts hardly differ: the place is found from the end. */
static void enlist(pp_call *call)
{
    pp_calls *calls = call->calls;
    pp_link *at;

    (void)pthread_mutex_lock(&calls->lock);
    pp_list_append(bucket_of(calls, pp_str_of(call->user_nkey)), &call->chain);
    for (at = calls->waiting.prev; at != &calls->waiting; at = at->prev) {
        if (PP_CONTAINER(at, pp_call, place)->due_ns <= call->due_ns)
            break;
    }
    pp_list_append(at->next, &call->place);
    (void)pthread_mutex_unlock(&calls->lock);
}

static pp_call *take_locked(pp_call *call)
{
    pp_list_remove(&call->chain);
    pp_list_remove(&call->place);
    return call;
}

static pp_call *take_by_key(pp_calls *calls, pp_str key)
{
    pp_call *found = NULL;

    (void)pthread_mutex_lock(&calls->lock);
    if (calls->buckets) {
        pp_link *bucket = bucket_of(calls, key);

        for (pp_link *at = bucket->next; at != bucket && !found; at = at->next) {
            if (pp_str_eq(pp_str_of(PP_CONTAINER(at, pp_call, chain)->user_nkey), key))
                found = PP_CONTAINER(at, pp_call, chain);
        }
        if (found)
            (void)take_locked(found);
    }
    (void)pthread_mutex_unlock(&calls->lock);
    return found;
}

/* The next that is over by now_ns; NULL: none is, and *out_due_ns is when one will be. */
static pp_call *take_due(pp_calls *calls, int64_t now_ns, int64_t *out_due_ns)
{
    pp_call *first = NULL;

    *out_due_ns = INT64_MAX;
    (void)pthread_mutex_lock(&calls->lock);
    if (!pp_list_empty(&calls->waiting)) {
        first = PP_CONTAINER(calls->waiting.next, pp_call, place);
        *out_due_ns = first->due_ns;
        first = first->due_ns <= now_ns ? take_locked(first) : NULL;
    }
    (void)pthread_mutex_unlock(&calls->lock);
    return first;
}

/* --- asking -------------------------------------------------------------------------------- */

static void on_timer(pp_timer *timer)
{
    pp_calls *calls = PP_CONTAINER(timer, pp_calls, timer);
    pp_loop *home = &calls->server->system.home->loop;
    int64_t due_ns;
    pp_call *call;

    while ((call = take_due(calls, home->now_ns, &due_ns))) {
        PP_DEBUG(&calls->server->log,
                 "Authorization callout response not received in time on account \"%s\"",
                 call->account->name);
        complain(call, "");
        refuse(call);
    }
    if (due_ns != INT64_MAX)
        pp_timer_set(&home->timers, timer, due_ns, on_timer);
}

/* The call may be answered, and gone, before this returns. */
static void publish(pp_call *call)
{
    pp_calls *calls = call->calls;
    pp_system *system = &calls->server->system;
    pp_account *account = call->account;
    pp_buf request = call->request;
    size_t header_len = call->header_len;
    char reply[REPLY_BYTES], text[PP_CALLOUT_REASON_BYTES];
    pp_audience audience;
    bool told;

    format_inbox(calls, call->user_nkey, reply);
    (void)atomic_fetch_sub(&calls->bytes, request.len);
    pp_buf_init(&call->request, PP_CALLS_REQUEST_MAX);
    enlist(call);
    told = pp_audience_find(system, account, PP_STR(PP_CALLOUT_SUBJECT), &audience) &&
           pp_audience_ask(system, &audience, PP_STR(PP_CALLOUT_SUBJECT), pp_str_of(reply),
                           pp_buf_str(&request), header_len);
    if (!told) {
        (void)snprintf(text, sizeof(text),
                       "No auth callout service takes requests on account \"%.200s\"",
                       account->name);
        warn(calls, text);
    }
    sodium_memzero(request.ptr, request.len);
    pp_buf_fini(&request);
}

/* On the home loop. Without a service, the login waits as long as it would for one that does not
 * answer: clients that try again and again are not to do so faster. */
static void on_ask(pp_task *task)
{
    pp_call *call = PP_CONTAINER(task, pp_call, task);
    pp_calls *calls = call->calls;
    pp_loop *home = &calls->server->system.home->loop;
    char inbox[REPLY_BYTES];
    int64_t due_ns;

    if (atomic_load(&calls->stopped) || !calls->server->system.running ||
        pp_login_is_abandoned(call->login)) {
        refuse(call);
        return;
    }
    format_inbox(calls, "*", inbox);
    if (pp_services_open_inbox(&calls->server->system, call->account, inbox)) {
        warn(calls, "Auth callout: there is no system account, or no memory, to ask a service");
        refuse(call);
        return;
    }
    due_ns = call->due_ns = home->now_ns + call->timeout_ns;
    publish(call);
    if (calls->timer.place == PP_TIMER_IDLE || due_ns < calls->timer.due_ns)
        pp_timer_set(&home->timers, &calls->timer, due_ns, on_timer);
}

/* The server as it is called now, on this loop. */
static pp_callout_server server_now(const pp_calls *calls)
{
    const pipit_server *server = calls->server;
    const pp_nats_settings *settings = pp_server_settings(server);

    return (pp_callout_server){
        .id = server->server_id,
        .seed = server->server_seed,
        .name = settings->server_name,
        .host = settings->host,
        .version = PP_NATS_VERSION,
        .tags = settings->tags,
        .tag_count = settings->tag_count,
        .xkey = server->server_xkey,
        .xkey_seed = server->server_xkey_seed,
    };
}

static pipit_err write_request(pp_call *call, const pp_call_setup *setup)
{
    pp_callout_server server = server_now(call->calls);
    pp_callout_request request = setup->request;
    pipit_err err = PIPIT_OK;

    request.server = &server;
    request.service_xkey = setup->service_xkey;
    request.user_nkey = pp_str_of(call->user_nkey);
    request.shown = &call->login->shown;
    request.now_s = pp_clock_wall_ns() / PP_NS_PER_S;
    request.expires_s = (pp_clock_wall_ns() + setup->timeout_ns) / PP_NS_PER_S;
    pp_buf_init(&call->request, PP_CALLS_REQUEST_MAX);
    if (setup->service_xkey)
        err = pp_buf_addf(&call->request, "NATS/1.0\r\n%s: %s\r\n\r\n", PP_CALLOUT_XKEY_HEADER,
                          server.xkey);
    call->header_len = call->request.len;
    if (!err)
        err = pp_callout_request_write(&request, &call->request);
    if (atomic_fetch_add(&call->calls->bytes, call->request.len) + call->request.len >
            PP_CALLS_BYTES_MAX &&
        !err)
        err = PIPIT_ELIMIT;
    return err;
}

static pp_call *call_of(pp_calls *calls, pp_login *login, const pp_call_setup *setup)
{
    pp_call *call = pp_calloc(1, sizeof(*call));

    if (!call)
        return NULL;
    *call = (pp_call){
        .task.run = on_ask,
        .calls = calls,
        .login = login,
        .account = setup->account,
        .asked = setup->asked,
        .service_xkey = setup->service_xkey,
        .judge = setup->judge,
        .done = setup->done,
        .context = setup->context,
        .timeout_ns = setup->timeout_ns,
    };
    pp_list_init(&call->chain);
    pp_list_init(&call->place);
    (void)snprintf(call->shown_key, sizeof(call->shown_key), "%.*s",
                   PP_STR_ARGS(setup->request.user_key));
    return call;
}

static pipit_err call_new(pp_calls *calls, pp_login *login, const pp_call_setup *setup,
                          pp_call **out_call)
{
    pp_call *call = has_buckets(calls) ? call_of(calls, login, setup) : NULL;
    pipit_err err;

    if (!call)
        return PIPIT_ENOMEM;
    err = pp_nkey_new(PP_NKEY_USER, NULL, call->user_nkey);
    if (!err)
        err = write_request(call, setup);
    if (!err) {
        *out_call = call;
        return PIPIT_OK;
    }
    forget_request(call);
    pp_free(call);
    return err;
}

/* Count one more, whatever this returns. */
static bool has_room(pp_calls *calls, const pp_call_setup *setup)
{
    bool room = atomic_fetch_add(&calls->count, 1) < PP_CALLS_MAX;

    room = atomic_fetch_add(setup->asked, 1) < PP_CALLS_ACCOUNT_MAX && room;
    return room && !atomic_load(&calls->stopped);
}

static void give_room(pp_calls *calls, const pp_call_setup *setup)
{
    (void)atomic_fetch_sub(setup->asked, 1);
    (void)atomic_fetch_sub(&calls->count, 1);
}

pipit_err pp_calls_report(pp_calls *calls, pp_login *login, const pp_call_setup *setup,
                          const char *reason)
{
    pp_call *call = has_room(calls, setup) ? call_of(calls, login, setup) : NULL;

    if (!call) {
        give_room(calls, setup);
        return PIPIT_OK;
    }
    login->timed = true;
    end_with_complaint(call, reason);
    return PIPIT_EAGAIN;
}

pipit_err pp_calls_ask(pp_calls *calls, pp_login *login, const pp_call_setup *setup)
{
    pp_call *call = NULL;
    pipit_err err = PIPIT_ELIMIT;

    if (has_room(calls, setup))
        err = call_new(calls, login, setup, &call);
    if (!err) {
        login->timed = true; /* before somebody wakes it */
        pp_loop_post(&calls->server->system.home->loop, &call->task);
        return PIPIT_EAGAIN;
    }
    give_room(calls, setup);
    if (err == PIPIT_ENOMEM)
        return err;
    if (err == PIPIT_ELIMIT)
        pp_login_refuse(login, PP_LOGIN_BUSY, "too many auth callouts are under way");
    else
        pp_login_refuse(login, PP_LOGIN_DENIED, "the auth callout cannot be asked");
    return PIPIT_OK;
}

/* --- answers ------------------------------------------------------------------------------- */

/* The call may be gone when this returns. */
static void consider(pp_call *call, pp_str answer)
{
    pp_calls *calls = call->calls;
    char reason[PP_CALLOUT_REASON_BYTES] = "";
    const pp_callout_question question = {
        .user_nkey = pp_str_of(call->user_nkey),
        .server_id = pp_str_of(calls->server->server_id),
        .account = pp_str_of(call->account->name),
        .server_xkey_seed = call->service_xkey ? calls->server->server_xkey_seed : NULL,
        .service_xkey = call->service_xkey,
        .now_s = pp_clock_wall_ns() / PP_NS_PER_S,
    };

    if (!call->judge(call->context, call, call->login, &question, answer, reason))
        return;
    if (call->login->verdict.user)
        end(call);
    else
        end_with_complaint(call, reason);
    if (*reason)
        warn(calls, reason);
}

void pp_calls_resume(pp_call *call, pp_str answer)
{
    if (pp_login_is_abandoned(call->login))
        refuse(call);
    else
        consider(call, answer);
}

bool pp_calls_take(pp_calls *calls, const pp_msg *msg)
{
    pp_call *call;

    if (msg->subject.len <= PREFIX_LEN)
        return false;
    call =
        take_by_key(calls, (pp_str){msg->subject.ptr + PREFIX_LEN, msg->subject.len - PREFIX_LEN});
    if (call)
        pp_calls_resume(call, pp_msg_payload(msg));
    return call != NULL;
}

/* --- stopping ------------------------------------------------------------------------------ */

void pp_calls_stop(pp_calls *calls)
{
    int64_t due_ns;
    pp_call *call;

    atomic_store(&calls->stopped, true);
    while ((call = take_due(calls, INT64_MAX, &due_ns)))
        refuse(call);
}
