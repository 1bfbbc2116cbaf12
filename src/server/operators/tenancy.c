/* Accounts of tokens: put in force, and what ends of them by the clock. */
#include "base/alloc.h"
#include "base/clock.h"
#include "server/account_settings.h"
#include "server/operators/account_options.h"
#include "server/operators/operators.h"
#include "server/server.h"
#include "server/system/service.h"

#include <stdio.h>
#include <string.h>

enum { OPTIONS_BYTES_MAX = 64 * 1024 * 1024 /* of one account */ };

static const int64_t look_again_ns = 60 * PP_NS_PER_S; /* clocks are set anew now and then */

static void lock(pp_operators *operators)
{
    (void)pthread_mutex_lock(&operators->lock);
}

static void unlock(pp_operators *operators)
{
    (void)pthread_mutex_unlock(&operators->lock);
}

static const pp_log *log_of(const pp_operators *operators)
{
    return &operators->server->log;
}

/* --- putting in force ---------------------------------------------------------------------- */

pp_tenant_claims *pp_operators_claims(pp_operators *operators, pp_str key)
{
    pp_tenant_claims *claims = NULL;
    pp_tenant *tenant;

    lock(operators);
    tenant = pp_tenants_find(&operators->tenants, key);
    if (tenant && !tenant->ended) {
        claims = tenant->claims;
        pp_tenant_claims_hold(claims);
    }
    unlock(operators);
    return claims;
}

bool pp_operators_know(pp_operators *operators, pp_str key)
{
    bool known;

    lock(operators);
    known = pp_tenants_find(&operators->tenants, key) != NULL;
    unlock(operators);
    return known;
}

/* Claims are exchanged on this thread only, so that what is found stays for the call. */
static const pp_account_claims *find_exporter(void *context, pp_str key)
{
    pp_operators *operators = context;
    const pp_account_claims *claims = NULL;
    pp_tenant *tenant;

    lock(operators);
    tenant = pp_tenants_find(&operators->tenants, key);
    if (tenant && !tenant->ended)
        claims = &tenant->claims->claims;
    unlock(operators);
    return claims;
}

/* Settings as claims have it. *out_until_s: when an activation ends. */
static pipit_err make_settings(pp_operators *operators, pp_account *account,
                               const pp_account_claims *claims, pp_account_settings **out_settings,
                               int64_t *out_until_s)
{
    pipit_server *server = operators->server;
    pp_account_options options;
    pp_arena arena;
    pp_buf error;
    pipit_err err;

    pp_arena_init(&arena, OPTIONS_BYTES_MAX);
    pp_buf_init(&error, 4096);
    err = pp_claims_to_options(claims, find_exporter, operators, pp_operators_now_s(), &arena,
                               &options, out_until_s);
    if (!err)
        err = pp_account_settings_new(out_settings, &server->accounts, account, &options, &error);
    if (err == PIPIT_EINVAL)
        pp_log_write(log_of(operators), PP_LOG_ERROR, "Account %s: %.*s", account->name,
                     PP_STR_ARGS(pp_buf_str(&error)));
    pp_buf_fini(&error);
    pp_arena_fini(&arena);
    return err;
}

static void give_settings(pp_operators *operators, pp_account *account,
                          pp_account_settings *settings)
{
    pipit_server *server = operators->server;
    pp_account_settings *old = pp_account_settings_give(&server->accounts, account, settings);

    if (server->system.running && old)
        pp_account_settings_retire(old, &operators->clerk.home->reclaimer);
    else
        pp_account_settings_free(old);
}

/* The same claims at another time, or beside others' that have changed. */
static void settle_again(pp_operators *operators, pp_tenant *tenant)
{
    pp_account_settings *settings;
    int64_t until_s;

    if (make_settings(operators, tenant->account, &tenant->claims->claims, &settings, &until_s)) {
        pp_log_write(log_of(operators), PP_LOG_ERROR, "Account %s: its imports stay as they are",
                     tenant->key);
        return;
    }
    give_settings(operators, tenant->account, settings);
    tenant->until_s = until_s;
}

/* Let it be found, with a root and the server's own part in it. */
static void list_account(pp_operators *operators, const pp_tenant *tenant)
{
    pp_accounts *accounts = &operators->server->accounts;
    pp_account *account = tenant->account;
    pipit_err err = PIPIT_OK;

    (void)pthread_mutex_lock(&accounts->lock);
    account->claimed = true;
    if (tenant->root)
        atomic_store(&account->root, &tenant->root->scope);
    pp_accounts_list_locked(accounts, account);
    if (!atomic_load(&account->services) && atomic_load(&operators->server->system.account))
        err = pp_services_attach(&operators->server->system, account, false);
    (void)pthread_mutex_unlock(&accounts->lock);
    if (err)
        pp_log_write(log_of(operators), PP_LOG_ERROR,
                     "Account %s lacks the services of the system account: out of memory",
                     tenant->key);
}

/* One that was not added. */
static void free_tenant(pp_tenant *tenant)
{
    if (tenant->account)
        (void)atomic_fetch_sub(&tenant->account->named_by, 1);
    if (tenant->root)
        pp_user_let_go(tenant->root);
    pp_free(tenant);
}

static pipit_err make_tenant(pp_operators *operators, pp_str key, pp_tenant **out)
{
    pp_tenant *tenant = pp_calloc(1, sizeof(*tenant));
    pp_accounts *accounts = &operators->server->accounts;
    pp_guest_setup setup;
    pipit_err err;

    if (!tenant)
        return PIPIT_ENOMEM;
    memcpy(tenant->key, key.ptr, key.len);
    /* Counted as if an import named it, so that no reload takes it away. */
    err = pp_accounts_take(accounts, tenant->key, true, &tenant->account);
    if (!err && !atomic_load(&tenant->account->root)) {
        setup = pp_guest_setup_none(&accounts->views, tenant->account);
        setup.name = "";
        err = pp_guest_new(&setup, &tenant->root);
    }
    if (err) {
        free_tenant(tenant);
        return err;
    }
    *out = tenant;
    return PIPIT_OK;
}

static bool shows_activations(const pp_account_claims *claims)
{
    for (size_t i = 0; i < claims->import_count; i++) {
        if (claims->imports[i].token.len)
            return true;
    }
    return false;
}

static void exchange(pp_operators *operators, pp_tenant *tenant, pp_tenant_claims *claims,
                     int64_t until_s)
{
    pp_tenant_claims *old;
    bool has = shows_activations(&claims->claims);

    lock(operators);
    old = tenant->claims;
    tenant->claims = claims;
    tenant->ended = tenant->expiry_told = false;
    tenant->found_ns = pp_clock_mono_ns();
    tenant->until_s = until_s;
    operators->tenants.activation_count += has;
    operators->tenants.activation_count -= tenant->has_activations;
    tenant->has_activations = has;
    unlock(operators);
    pp_tenant_claims_let_go(old);
}

static bool is_trusted(pp_operators *operators, pp_str issuer)
{
    bool trusted;

    lock(operators);
    trusted = pp_trust_find(&operators->plan->trust, issuer) != NULL;
    unlock(operators);
    return trusted;
}

/* Those who import from an account that has changed, and have shown that they may. */
static void resettle_importers(pp_operators *operators, pp_str exporter)
{
    for (pp_tenant *tenant = operators->tenants.first;
         tenant && operators->tenants.activation_count; tenant = tenant->next) {
        const pp_account_claims *claims = &tenant->claims->claims;
        bool concerned = false;

        for (size_t i = 0; tenant->has_activations && i < claims->import_count; i++)
            concerned = concerned || (claims->imports[i].token.len &&
                                      pp_str_eq(claims->imports[i].account, exporter));
        if (concerned && !tenant->ended)
            settle_again(operators, tenant);
    }
}

static void fetch_exporters(pp_operators *operators, const pp_account_claims *claims)
{
    for (size_t i = 0; i < claims->import_count; i++) {
        if (!pp_operators_know(operators, claims->imports[i].account))
            (void)pp_operators_fetch(operators, claims->imports[i].account, NULL); /* or later */
    }
}

static pipit_err reserve(pp_operators *operators)
{
    pipit_err err;

    lock(operators);
    err = pp_tenants_reserve(&operators->tenants);
    unlock(operators);
    return err;
}

/* One that was not known: nothing of it is to be found before all that can fail has been made. */
static pipit_err begin_tenant(pp_operators *operators, pp_tenant_claims *claims)
{
    pp_account_settings *settings = NULL;
    int64_t until_s = 0;
    pp_tenant *tenant;
    pipit_err err = make_tenant(operators, claims->jwt.subject, &tenant);

    if (err)
        return err;
    err = make_settings(operators, tenant->account, &claims->claims, &settings, &until_s);
    if (!err)
        err = reserve(operators);
    if (err) {
        pp_account_settings_free(settings);
        free_tenant(tenant);
        return err;
    }
    list_account(operators, tenant);
    give_settings(operators, tenant->account, settings);
    pp_tenant_claims_hold(claims);
    exchange(operators, tenant, claims, until_s);
    lock(operators);
    pp_tenants_add(&operators->tenants, tenant);
    unlock(operators);
    return PIPIT_OK;
}

static pipit_err change_tenant(pp_operators *operators, pp_tenant *tenant, pp_tenant_claims *claims)
{
    bool running = operators->server->system.running;
    struct pp_review *review = NULL;
    pp_account_settings *settings;
    int64_t until_s = 0;
    pipit_err err;

    if (running) {
        review = pp_review_new(operators->server, tenant->account);
        if (!review)
            return PIPIT_ENOMEM;
    }
    err = make_settings(operators, tenant->account, &claims->claims, &settings, &until_s);
    if (err) {
        pp_review_free(review);
        return err;
    }
    give_settings(operators, tenant->account, settings);
    pp_tenant_claims_hold(claims);
    exchange(operators, tenant, claims, until_s);
    if (review)
        pp_review_post(review);
    return PIPIT_OK;
}

static pipit_err put_in_force(pp_operators *operators, pp_tenant_claims *claims)
{
    /* Only this thread adds any. */
    pp_tenant *tenant = pp_tenants_find(&operators->tenants, claims->jwt.subject);

    return tenant ? change_tenant(operators, tenant, claims) : begin_tenant(operators, claims);
}

pipit_err pp_operators_install(pp_operators *operators, pp_str key, pp_str token,
                               char reason[PP_JWT_REASON_BYTES])
{
    pp_tenant_claims *claims;
    pipit_err err = pp_tenant_claims_new(&claims, token, pp_operators_now_s(), reason);

    if (err)
        return err;
    if (!pp_str_eq(claims->jwt.subject, key)) {
        (void)snprintf(reason, PP_JWT_REASON_BYTES, "subject does not match jwt content");
        err = PIPIT_EINVAL;
    } else if (!is_trusted(operators, claims->jwt.issuer)) {
        (void)snprintf(reason, PP_JWT_REASON_BYTES, "account JWT not signed by trusted operator");
        err = PIPIT_EINVAL;
    } else {
        err = put_in_force(operators, claims);
    }
    if (!err) {
        fetch_exporters(operators, &claims->claims);
        resettle_importers(operators, key);
        if (operators->server->system.running)
            pp_operators_schedule(operators);
    }
    pp_tenant_claims_let_go(claims);
    return err;
}

static void send_away(pp_operators *operators, pp_tenant *tenant)
{
    struct pp_review *review = pp_review_new(operators->server, tenant->account);

    if (review)
        pp_review_post(review);
    else
        pp_log_write(log_of(operators), PP_LOG_ERROR,
                     "Clients of account %s stay, although it has ended: out of memory",
                     tenant->key);
}

void pp_operators_end(pp_operators *operators, pp_str key)
{
    pp_tenant *tenant = pp_tenants_find(&operators->tenants, key);

    if (!tenant)
        return;
    lock(operators);
    tenant->ended = true;
    unlock(operators);
    send_away(operators, tenant);
    resettle_importers(operators, key);
}

/* --- what ends by the clock ---------------------------------------------------------------- */

static void on_timer(pp_timer *timer);

void pp_operators_note_end(pp_operators *operators, int64_t ends_s)
{
    int64_t now = atomic_load(&operators->store_ends_s);

    if (operators->ttl_s)
        ends_s = pp_operators_now_s() + operators->ttl_s;
    if (ends_s > 0 && (!now || ends_s < now))
        atomic_store(&operators->store_ends_s, ends_s);
}

/* On the clerk's thread. */
static void sweep_store(pp_clerk_job *job)
{
    pp_operators *operators = PP_CONTAINER(job, pp_operators, sweep);

    atomic_store(&operators->store_ends_s,
                 pp_token_store_expire(operators->store, pp_operators_now_s(), NULL, NULL));
}

static void on_swept(pp_task *task)
{
    pp_operators *operators = PP_CONTAINER(task, pp_operators, sweep.done);

    operators->sweeping = false;
    if (!operators->sweep.dropped)
        pp_operators_schedule(operators);
}

static void begin_sweep(pp_operators *operators, int64_t now_s)
{
    int64_t ends_s = atomic_load(&operators->store_ends_s);

    if (!ends_s || ends_s > now_s || operators->sweeping)
        return;
    operators->sweeping = true;
    operators->sweep.work = sweep_store;
    operators->sweep.done.run = on_swept;
    pp_clerk_give(&operators->clerk, &operators->sweep);
}

/* The next moment at which something ends; 0: nothing does. */
static int64_t next_end(pp_operators *operators, int64_t now_s)
{
    int64_t next_s = 0, stored_s;

    for (pp_tenant *tenant = operators->tenants.first; tenant; tenant = tenant->next) {
        int64_t ends_s = tenant->claims->jwt.expires_s;

        if (ends_s > now_s && !tenant->expiry_told && (!next_s || ends_s < next_s))
            next_s = ends_s;
        ends_s = tenant->until_s;
        if (ends_s > now_s && (!next_s || ends_s < next_s))
            next_s = ends_s;
    }
    stored_s = atomic_load(&operators->store_ends_s);
    if (stored_s && stored_s <= now_s)
        stored_s = now_s + 1; /* the clerk is at it, or could not */
    return stored_s && (!next_s || stored_s < next_s) ? stored_s : next_s;
}

void pp_operators_schedule(pp_operators *operators)
{
    pp_loop *home = operators->clerk.home;
    int64_t now_s = pp_operators_now_s(), next_s = next_end(operators, now_s);
    int64_t wait_ns;

    if (!next_s)
        return;
    wait_ns = (next_s - now_s) < look_again_ns / PP_NS_PER_S ? (next_s - now_s) * PP_NS_PER_S
                                                             : look_again_ns;
    pp_timer_set(&home->timers, &operators->timer, pp_clock_mono_ns() + wait_ns, on_timer);
}

static void on_timer(pp_timer *timer)
{
    pp_operators *operators = PP_CONTAINER(timer, pp_operators, timer);
    int64_t now_s = pp_operators_now_s();

    for (pp_tenant *tenant = operators->tenants.first; tenant; tenant = tenant->next) {
        int64_t expires_s = tenant->claims->jwt.expires_s;

        if (tenant->until_s && tenant->until_s <= now_s)
            settle_again(operators, tenant);
        if (expires_s > 0 && expires_s <= now_s && !tenant->expiry_told) {
            tenant->expiry_told = true;
            send_away(operators, tenant);
        }
    }
    begin_sweep(operators, now_s);
    pp_operators_schedule(operators);
}
