#include "server/operators/operators.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "server/server.h"

#include <string.h>

enum { CACHE_LIMIT = 1000, URL_THREADS = 8 };

static const int64_t refetch_ns = PP_NS_PER_S;

int64_t pp_operators_now_s(void)
{
    return pp_clock_wall_ns() / PP_NS_PER_S;
}

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

/* --- asking -------------------------------------------------------------------------------- */

/* Is what is known of an account not to be relied on any more, so that it must be looked for? */
static bool is_stale(pp_operators *operators, const pp_tenant_claims *claims, pp_str key)
{
    int64_t expires_s = claims->jwt.expires_s;
    pp_tenant *tenant;
    bool stale;

    if (expires_s <= 0 || pp_operators_now_s() < expires_s)
        return false;
    lock(operators);
    tenant = pp_tenants_find(&operators->tenants, key);
    stale = pp_clock_mono_ns() - tenant->found_ns >= refetch_ns;
    unlock(operators);
    return stale;
}

static pipit_err ask_about(pp_operators *operators, pp_login *login, pp_token *token)
{
    pp_str key = pp_user_claims_account(&token->claims);
    pp_tenant_claims *claims = pp_operators_claims(operators, key);
    pipit_err err = PIPIT_OK;

    if (claims && !is_stale(operators, claims, key)) {
        pp_operators_decide(operators, login, token, claims);
    } else {
        err = pp_operators_fetch(operators, key, login);
        if (err)
            pp_login_refuse(login, err == PIPIT_ENOMEM ? PP_LOGIN_NO_MEMORY : PP_LOGIN_DENIED,
                            err == PIPIT_ELIMIT ? "Too many account lookups"
                                                : "Account JWT lookup error");
        else
            err = PIPIT_EAGAIN;
    }
    pp_tenant_claims_let_go(claims);
    return err == PIPIT_EAGAIN ? err : PIPIT_OK;
}

static pipit_err ask(pp_authority *authority, pp_login *login)
{
    pp_operators *operators = PP_CONTAINER(authority, pp_operators, authority);
    char reason[PP_JWT_REASON_BYTES];
    pp_str text = login->shown.jwt;
    pp_operator_plan *plan;
    pp_token token = {0};
    pipit_err err;

    lock(operators);
    plan = operators->plan;
    pp_operator_plan_hold(plan);
    unlock(operators);
    if (!pp_jwt_looks_like(text))
        text = pp_str_of(plan->sentinel);
    err = pp_token_read(&token, text, pp_operators_now_s(), reason);
    if (err) {
        pp_login_refuse(login, err == PIPIT_ENOMEM ? PP_LOGIN_NO_MEMORY : PP_LOGIN_DENIED,
                        text.len ? "User JWT not valid" : "Authentication requires a user JWT");
        err = PIPIT_OK;
    } else if (token.claims.limits.proxy_required && !login->proxy) {
        pp_login_refuse(login, PP_LOGIN_PROXY_REQUIRED, "Connection must come by a trusted proxy");
    } else if (!pp_operator_plan_pins(plan, pp_user_claims_account(&token.claims))) {
        (void)atomic_fetch_add(&operators->pinned_fails, 1);
        pp_login_refuse(login, PP_LOGIN_DENIED, "Account not listed as operator pinned account");
    } else {
        err = ask_about(operators, login, &token);
    }
    pp_token_fini(&token);
    pp_operator_plan_let_go(plan);
    return err;
}

/* --- life ---------------------------------------------------------------------------------- */

static pipit_err open_store(pp_operators *operators, const pp_options *options, pp_buf *error)
{
    bool cache = options->resolver == PP_RESOLVER_CACHE;
    const pp_token_store_setup setup = {
        .dir = options->resolver_dir,
        .limit = options->resolver_limit ? options->resolver_limit
                 : cache                 ? CACHE_LIMIT
                                         : 0,
        .evicts = cache,
        .hard_delete = options->resolver_hard_delete,
        .ttl_s = options->resolver_ttl_ns / PP_NS_PER_S,
    };
    size_t strange = 0;
    pipit_err err =
        pp_token_store_open(&operators->store, &setup, pp_operators_now_s(), &strange, error);

    if (!err && strange)
        pp_log_write(log_of(operators), PP_LOG_WARN,
                     "resolver: %zu files in %s are no account JWTs, and are not served", strange,
                     options->resolver_dir);
    if (!err) /* what has ended while nobody looked goes now */
        atomic_store(&operators->store_ends_s,
                     pp_token_store_expire(operators->store, pp_operators_now_s(), NULL, NULL));
    return err == PIPIT_EIO ? PIPIT_EINVAL : err;
}

/* What the configuration knows goes to the store, unless that has newer. */
static pipit_err store_preloads(pp_operators *operators)
{
    for (size_t i = 0; i < operators->plan->preload_count; i++) {
        pp_str token = pp_str_of(operators->plan->preloads[i].token);
        char reason[PP_JWT_REASON_BYTES];
        bool kept;
        pp_jwt jwt;
        pipit_err err = pp_jwt_decode(&jwt, token, reason);

        if (!err)
            err = pp_token_store_save(operators->store, token, &jwt, pp_operators_now_s(), true,
                                      &kept);
        if (!err && kept)
            pp_operators_note_end(operators, jwt.expires_s);
        pp_jwt_fini(&jwt);
        if (err == PIPIT_ENOMEM)
            return err;
        if (err)
            pp_log_write(log_of(operators), PP_LOG_ERROR, "resolver_preload: %s cannot be kept: %s",
                         operators->plan->preloads[i].key, pipit_strerror(err));
    }
    return PIPIT_OK;
}

static pipit_err begin_resolver(pp_operators *operators, const pp_options *options, pp_buf *error)
{
    pipit_err err = PIPIT_OK;

    operators->kind = options->resolver;
    operators->allow_delete = options->resolver_allow_delete;
    operators->timeout_ns = options->resolver_timeout_ns;
    operators->ttl_s = options->resolver_ttl_ns / PP_NS_PER_S;
    if (options->resolver == PP_RESOLVER_FULL || options->resolver == PP_RESOLVER_CACHE) {
        err = open_store(operators, options, error);
        return err ? err : store_preloads(operators);
    }
    if (options->resolver != PP_RESOLVER_URL)
        return PIPIT_OK;
    operators->url = pp_memdupz(options->resolver_url, strlen(options->resolver_url));
    if (!operators->url)
        return PIPIT_ENOMEM;
    err = pp_fetch_url_probe(operators->url, &operators->plan->tls, operators->timeout_ns);
    if (err && err != PIPIT_ENOMEM) {
        (void)pp_buf_addf(error, "could not fetch <\"%s\">: %s", operators->url,
                          pipit_strerror(err));
        err = PIPIT_EINVAL;
    }
    return err;
}

pipit_err pp_operators_new(pp_operators **out_operators, pipit_server *server,
                           const pp_options *options, pp_buf *error)
{
    pp_operators *operators;
    pipit_err err;

    *out_operators = NULL;
    if (!pp_operator_mode(options))
        return PIPIT_OK;
    operators = pp_calloc(1, sizeof(*operators));
    if (!operators)
        return PIPIT_ENOMEM;
    operators->authority = (pp_authority){.ask = ask, .renew = pp_operators_renew};
    operators->callout = (pp_authority){.ask = pp_operators_call_out, .renew = pp_operators_renew};
    operators->server = server;
    (void)pthread_mutex_init(&operators->lock, NULL);
    pp_clerk_init(&operators->clerk, NULL);
    err = pp_tenants_init(&operators->tenants);
    if (!err)
        err = pp_operator_plan_new(&operators->plan, options);
    if (!err)
        err = begin_resolver(operators, options, error);
    if (err)
        pp_operators_free(operators);
    else
        *out_operators = operators;
    return err;
}

void pp_operators_free(pp_operators *operators)
{
    if (!operators)
        return;
    PP_ASSERT(!operators->fetches);
    pp_clerk_fini(&operators->clerk);
    if (operators->tenants.table)
        pp_tenants_fini(&operators->tenants);
    pp_token_store_close(operators->store);
    pp_operator_plan_let_go(operators->plan);
    pp_free(operators->url);
    (void)pthread_mutex_destroy(&operators->lock);
    pp_free(operators);
}

/* The system account must be there from the start, or nobody could say what others there are. */
static void install_system(pp_operators *operators)
{
    const char *key = operators->plan->system_account, *preloaded;
    char reason[PP_JWT_REASON_BYTES] = "";
    pipit_err err = PIPIT_ENOTFOUND;
    pp_buf token;

    if (!key)
        return;
    pp_buf_init(&token, PP_JWT_BYTES_MAX + 16);
    preloaded = pp_operator_plan_preload(operators->plan, pp_str_of(key));
    if (operators->store)
        err = pp_token_store_load(operators->store, pp_str_of(key), pp_operators_now_s(), &token);
    else if (preloaded)
        err = pp_buf_add(&token, preloaded, strlen(preloaded));
    else if (operators->url)
        err = pp_fetch_url(operators->url, &operators->plan->tls, key, operators->timeout_ns, NULL,
                           &token);
    if (!err)
        err = pp_operators_install(operators, pp_str_of(key), pp_buf_str(&token), reason);
    if (err)
        pp_log_write(log_of(operators), PP_LOG_WARN, "System account %s is not there yet: %s", key,
                     *reason ? reason : pipit_strerror(err));
    pp_buf_fini(&token);
}

pipit_err pp_operators_start(pp_operators *operators)
{
    pipit_err err;

    operators->clerk.home = &operators->server->system.home->loop;
    err = pp_clerk_start(&operators->clerk, operators->store ? 1
                                            : operators->url ? URL_THREADS
                                                             : 0);
    if (err)
        return err;
    if (operators->store)
        pp_log_write(log_of(operators), PP_LOG_INFO, "Managing %s jwt in exclusive directory %s",
                     operators->kind == PP_RESOLVER_FULL ? "all" : "some",
                     operators->server->options->resolver_dir);
    install_system(operators);
    pp_operators_schedule(operators);
    return PIPIT_OK;
}

void pp_operators_stop(pp_operators *operators)
{
    if (operators)
        pp_clerk_stop(&operators->clerk);
}

void pp_operators_replan(pp_operators *operators, pp_operator_plan *plan)
{
    pp_operator_plan *old;

    lock(operators);
    old = operators->plan;
    operators->plan = plan;
    unlock(operators);
    pp_operator_plan_let_go(old);
}
