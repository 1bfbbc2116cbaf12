#include "server/system/service.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "server/callout/calls.h"
#include "server/server.h"
#include "server/system/answer.h"
#include "server/system/conns.h"
#include "server/system/request.h"
#include "server/system/system.h"

#include <stdio.h>
#include <string.h>

enum { SUBJECT_MAX = 128 };

#define Z(name, detail)                                                                            \
    {"REQ.SERVER.PING." name, PP_IN_SYSTEM, false, pp_answer_server, detail},                      \
    {                                                                                              \
        "REQ.SERVER.%s." name, PP_IN_SYSTEM, false, pp_answer_server, detail                       \
    }
#define ACCOUNT(name, detail)                                                                      \
    {                                                                                              \
        "REQ.ACCOUNT.*." name, PP_IN_SYSTEM, false, pp_answer_account, detail                      \
    }

#define CLAIMS(name, do, resolvers)                                                                \
    {                                                                                              \
        name, PP_IN_SYSTEM | (resolvers), true, pp_answer_token_##do, 0                            \
    }

/* Source: accounts and subjects, section 8. */
static const pp_service services[] = {
    {"REQ.SERVER.PING", PP_IN_SYSTEM, true, pp_answer_stats, 0},
    {"REQ.SERVER.PING.STATSZ", PP_IN_SYSTEM, true, pp_answer_stats, 0},
    {"REQ.SERVER.%s.STATSZ", PP_IN_SYSTEM, true, pp_answer_stats, 0},
    {"REQ.SERVER.PING.IDZ", PP_IN_SYSTEM, false, pp_answer_id, 0},
    {"REQ.SERVER.%s.IDZ", PP_IN_SYSTEM, false, pp_answer_id, 0},
    {"REQ.SERVER.PING.PROFILEZ", PP_IN_SYSTEM, false, pp_answer_profile, 0},
    {"REQ.SERVER.%s.PROFILEZ", PP_IN_SYSTEM, false, pp_answer_profile, 0},
    Z("VARZ", PP_MONITOR_VARZ),
    Z("SUBSZ", PP_MONITOR_SUBSZ),
    Z("CONNZ", PP_MONITOR_CONNZ),
    Z("ROUTEZ", PP_MONITOR_ROUTEZ),
    Z("GATEWAYZ", PP_MONITOR_GATEWAYZ),
    Z("LEAFZ", PP_MONITOR_LEAFZ),
    Z("ACCOUNTZ", PP_MONITOR_ACCOUNTZ),
    Z("JSZ", PP_MONITOR_JSZ),
    Z("HEALTHZ", PP_MONITOR_HEALTHZ),
    Z("EXPVARZ", PP_MONITOR_DEBUG_VARS),
    Z("IPQUEUESZ", PP_MONITOR_IPQUEUESZ),
    Z("RAFTZ", PP_MONITOR_RAFTZ),
    {"REQ.SERVER.%s.RELOAD", PP_IN_SYSTEM, true, pp_answer_reload, 0},
    {"REQ.SERVER.%s.KICK", PP_IN_SYSTEM, true, pp_answer_kick, 0},
    {"REQ.SERVER.%s.LDM", PP_IN_SYSTEM, true, pp_answer_lame_duck, 0},
    ACCOUNT("SUBSZ", PP_ACCOUNT_SUBSZ),
    ACCOUNT("CONNZ", PP_ACCOUNT_CONNZ),
    ACCOUNT("LEAFZ", PP_ACCOUNT_LEAFZ),
    ACCOUNT("JSZ", PP_ACCOUNT_JSZ),
    ACCOUNT("INFO", PP_ACCOUNT_INFO),
    ACCOUNT("STATZ", PP_ACCOUNT_STATZ),
    ACCOUNT("CONNS", PP_ACCOUNT_CONNS),
    {"REQ.ACCOUNT.PING.STATZ", PP_IN_SYSTEM, false, pp_answer_account, PP_ACCOUNTS_STATZ},
    {"DEBUG.SUBSCRIBERS", PP_IN_SYSTEM, false, pp_answer_subscribers, 0},
    {"REQ.USER.INFO", PP_IN_SYSTEM | PP_IN_OTHERS, false, pp_answer_user, 0},
    /* What the one above is behind an import of nats-server's: of nobody, if asked directly. */
    {"REQ.USER.*.INFO", PP_IN_SYSTEM, false, pp_answer_nobody, 0},
    /* What nats-server imports into every account: there they speak of that account alone. */
    {"REQ.SERVER.PING.CONNZ", PP_IN_OTHERS, false, pp_answer_account, PP_ACCOUNT_CONNZ},
    {"REQ.ACCOUNT.PING.CONNZ", PP_IN_OTHERS, false, pp_answer_account, PP_ACCOUNT_CONNZ},
    {"REQ.ACCOUNT.PING.STATZ", PP_IN_OTHERS, false, pp_answer_account, PP_ACCOUNT_STATZ},
    CLAIMS("REQ.ACCOUNT.*.CLAIMS.UPDATE", update, PP_WITH_ANY_RESOLVER),
    CLAIMS("ACCOUNT.*.CLAIMS.UPDATE", update, PP_WITH_ANY_RESOLVER),
    CLAIMS("REQ.CLAIMS.UPDATE", update, PP_WITH_FULL | PP_WITH_CACHE),
    CLAIMS("REQ.CLAIMS.DELETE", delete, PP_WITH_FULL | PP_WITH_CACHE),
    CLAIMS("REQ.CLAIMS.LIST", list, PP_WITH_FULL | PP_WITH_CACHE),
    CLAIMS("REQ.ACCOUNT.*.CLAIMS.LOOKUP", lookup, PP_WITH_FULL),
    CLAIMS("REQ.CLAIMS.PACK", pack, PP_WITH_FULL),
};
/* After the services comes the inbox. */
enum { SERVICE_COUNT = sizeof(services) / sizeof(services[0]), INBOX = SERVICE_COUNT };

/* --- delivering ---------------------------------------------------------------------------- */

static void *outlet(pp_client *client, uint32_t router_index)
{
    (void)router_index;
    return PP_CONTAINER(client, pp_services, client);
}

static bool take(pp_services *own, unsigned index, pp_account *account, const pp_msg *msg)
{
    if (index == INBOX)
        return pp_calls_take(&own->system->server->calls, msg);
    /* Without a reply nobody is to be answered. */
    return (!msg->reply.len && !services[index].broadcasts) ||
           pp_request_take(own->system, &services[index], account, !own->is_system, msg);
}

static bool deliver(void *way, const pp_sub *sub, pp_str head, const pp_msg *msg)
{
    pp_services *own = way;
    pp_account *account = atomic_load_explicit(&own->account, memory_order_acquire);
    unsigned index = (unsigned char)sub->text[0];
    pp_account_counters *counters;

    (void)head;
    if (!account || !take(own, index, account, msg))
        return false;
    counters = &account->counters[pp_loop_current()->index];
    pp_count(&counters->own_msgs, 1);
    pp_count(&counters->own_bytes, msg->data.len);
    return true;
}

static const struct pp_client_ops client_ops = {
    .outlet = outlet,
    .head = pp_client_no_head,
    .deliver = deliver,
    .hears_no_imports = true,
    .hears_no_wildcards = true,
};

/* --- life ---------------------------------------------------------------------------------- */

/* Nobody can look at them any more. */
static void free_now(pp_services *own)
{
    for (size_t i = 0; i < own->sub_count; i++)
        pp_sub_free(own->subs[i]);
    pp_free(own->subs);
    pp_free(own);
}

static void on_free(pp_retired *retired);

/* On the home loop. Each subscription is retired; with the first of them goes the rest, once no
 * loop can hold any. */
static void on_retire(pp_task *task)
{
    pp_services *own = PP_CONTAINER(task, pp_services, retire);

    pp_list_remove(&own->late_link);
    pp_list_init(&own->late_link);
    pp_reclaim_retire(&own->system->home->loop.reclaimer, &own->subs[0]->retired, on_free);
}

static void on_free(pp_retired *retired)
{
    pp_sub *sub = PP_CONTAINER(retired, pp_sub, retired);
    pp_services *own = PP_CONTAINER(sub->client, pp_services, client);

    /* A loop may have posted a count in the very turn that was waited for. */
    if (own->system->running && atomic_load(&own->changed))
        pp_loop_post(&own->system->home->loop, &own->retire);
    else
        free_now(own);
}

static pipit_err insert_at(pp_services *own, unsigned index, const char *subject)
{
    char sid = (char)index;
    pp_sub *sub;
    pipit_err err;

    sub = pp_sub_new(&own->client, (pp_str){&sid, 1}, PP_STR(""));
    if (!sub)
        return PIPIT_ENOMEM;
    err = pp_sublist_insert(atomic_load(&own->account)->subs, sub, pp_str_of(subject));
    if (err)
        pp_sub_free(sub);
    else
        own->subs[own->sub_count++] = sub;
    return err;
}

static pipit_err insert(pp_services *own, unsigned index)
{
    char subject[SUBJECT_MAX] = "$SYS.";

    /* A server's id is 56 characters, which all the formats leave room for. */
    (void)snprintf(subject + 5, sizeof(subject) - 5, services[index].subject,
                   own->system->server->server_id);
    return insert_at(own, index, subject);
}

pipit_err pp_services_open_inbox(pp_system *system, pp_account *account, const char *subject)
{
    pthread_mutex_t *lock = &system->server->accounts.lock;
    pp_services *own = atomic_load(&account->services);
    pipit_err err = PIPIT_ENOTFOUND;

    if (own && atomic_load_explicit(&own->has_inbox, memory_order_acquire))
        return PIPIT_OK;
    (void)pthread_mutex_lock(lock);
    /* An account without clients has had no need of them. */
    if (!atomic_load(&account->services) && account->state == PP_ACCOUNT_LISTED &&
        atomic_load(&system->account))
        err = pp_services_attach(system, account, false);
    own = atomic_load(&account->services); /* does not go while the lock is held */
    if (own)
        err = insert_at(own, INBOX, subject);
    if (!err) {
        atomic_store(&own->has_inbox, true);
        atomic_store(&account->own_subs, own->sub_count);
    }
    (void)pthread_mutex_unlock(lock);
    return err;
}

static bool is_wanted(const pp_system *system, const pp_service *service)
{
    const pp_operators *operators = system->server->operators;

    return !(service->where & PP_WITH_ANY_RESOLVER) ||
           (operators && service->where >> 8 >> operators->kind & 1);
}

size_t pp_service_body_max(const pp_service *service)
{
    return service->where & PP_WITH_ANY_RESOLVER ? PP_JWT_BYTES_MAX + 1024 : PP_SYSTEM_BODY_MAX;
}

pipit_err pp_services_attach(pp_system *system, pp_account *account, bool is_system)
{
    pp_services *own = pp_calloc(1, sizeof(*own));
    pipit_err err = PIPIT_OK;
    size_t count = 0;

    if (!own)
        return PIPIT_ENOMEM;
    for (unsigned i = 0; i < SERVICE_COUNT; i++)
        count += (services[i].where & (is_system ? PP_IN_SYSTEM : PP_IN_OTHERS)) != 0;
    /* And one for the inbox. */
    own->subs = pp_calloc(count + 1, sizeof(pp_sub *));
    if (!own->subs) {
        pp_free(own);
        return PIPIT_ENOMEM;
    }
    own->client.ops = &client_ops;
    own->system = system;
    own->is_system = is_system;
    own->retire.run = on_retire;
    own->count.run = pp_conns_on_count;
    pp_list_init(&own->late_link);
    atomic_init(&own->account, account);
    for (unsigned i = 0; i < SERVICE_COUNT && !err; i++) {
        if (services[i].where & (is_system ? PP_IN_SYSTEM : PP_IN_OTHERS) &&
            is_wanted(system, &services[i]))
            err = insert(own, i);
    }
    if (err && !own->sub_count) {
        free_now(own);
        return err;
    }
    /* Loops that find it here may post its task: from now on it goes by way of the home loop. */
    atomic_store(&account->services, own);
    atomic_store(&account->own_subs, own->sub_count);
    if (err)
        pp_services_detach(account);
    return err;
}

void pp_services_detach(pp_account *account)
{
    pp_services *own = atomic_exchange(&account->services, NULL);

    if (!own)
        return;
    atomic_store(&account->own_subs, 0);
    atomic_store(&own->account, NULL);
    for (size_t i = 0; i < own->sub_count; i++)
        pp_sublist_remove(account->subs, own->subs[i]);
    if (own->system->running && own->sub_count)
        pp_loop_post(&own->system->home->loop, &own->retire);
    else
        free_now(own);
}
