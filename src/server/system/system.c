#include "server/system/system.h"

#include "base/json.h"
#include "server/server.h"
#include "server/system/conns.h"
#include "server/system/identity.h"
#include "server/system/publish.h"
#include "server/system/service.h"
#include "server/system/statsz.h"

bool pp_system_is_heard(const pp_system *system)
{
    const pp_account *account =
        atomic_load_explicit(&((pp_system *)system)->account, memory_order_acquire);

    return account && pp_account_subs(account) > 0;
}

/* --- accounts ------------------------------------------------------------------------------ */

struct placing {
    pp_system *system;
    pp_account *account; /* the system's; NULL: nobody gets services */
    pipit_err err;
};

/* Who could ask in it? There may be very many accounts, of which few have clients; the program asks
 * in the global one. */
static bool needs_services(const pp_system *system, pp_account *account)
{
    return atomic_load(&account->clients) > 0 || account == system->server->global ||
           account == pp_directory_system(system->server->directory);
}

static void place(pp_account *account, void *arg)
{
    struct placing *placing = arg;
    const pp_services *own = atomic_load(&account->services);
    bool is_system = account == placing->account;

    if (own && (!placing->account || own->is_system != is_system)) {
        pp_services_detach(account);
        own = NULL;
    }
    if (!own && placing->account && !placing->err && needs_services(placing->system, account))
        placing->err = pp_services_attach(placing->system, account, is_system);
}

/* Before what was in force goes. */
static void take_names(pp_system *system)
{
    (void)pthread_mutex_lock(&system->names_lock);
    system->settings = system->server->settings;
    system->options = system->server->options;
    (void)pthread_mutex_unlock(&system->names_lock);
}

pipit_err pp_system_install(pp_system *system)
{
    pipit_server *server = system->server;
    const pp_user *root = system->root;
    struct placing placing = {system, pp_directory_system(server->directory), PIPIT_OK};

    take_names(system);
    pp_accounts_each(&server->accounts, place, &placing);
    system->root = NULL;
    if (placing.account) {
        system->root = PP_CONTAINER(atomic_load(&placing.account->root), pp_user, scope);
        pp_user_hold(system->root);
    }
    atomic_store(&system->account, placing.account);
    if (root)
        pp_user_let_go(root);
    return placing.err;
}

void pp_system_leave(pp_account *account)
{
    pp_services_detach(account);
}

/* --- life ---------------------------------------------------------------------------------- */

void pp_system_start(pp_system *system)
{
    take_names(system); /* now there are settings */
    system->running = true;
}

static bool has_clients(const pp_system *system)
{
    const pp_account *account =
        atomic_load_explicit(&((pp_system *)system)->account, memory_order_acquire);

    return account && atomic_load(&((pp_account *)account)->clients) > 0;
}

static void on_wake(pp_task *task)
{
    pp_system *system = PP_CONTAINER(task, pp_system, wake);

    if (!system->running)
        return;
    pp_stats_start(system);
    pp_conns_start(system);
}

/* The account's first client has come. Without memory it does without, until the next one comes. */
static void serve(pp_system *system, pp_account *account)
{
    pp_accounts *accounts = &system->server->accounts;

    (void)pthread_mutex_lock(&accounts->lock);
    if (!atomic_load(&account->services) && account->state == PP_ACCOUNT_LISTED)
        (void)pp_services_attach(system, account, false);
    (void)pthread_mutex_unlock(&accounts->lock);
}

void pp_system_note_count(pp_system *system, pp_account *account)
{
    if (PP_UNLIKELY(!atomic_load_explicit(&account->services, memory_order_acquire)) &&
        atomic_load_explicit(&system->account, memory_order_relaxed) &&
        atomic_load(&account->clients) > 0)
        serve(system, account);
    if (account == atomic_load_explicit(&system->account, memory_order_relaxed) &&
        has_clients(system) && !atomic_exchange(&system->awake, true))
        pp_loop_post(&system->home->loop, &system->wake);
}

bool pp_system_stays_awake(pp_system *system)
{
    if (has_clients(system))
        return true;
    atomic_store(&system->awake, false);
    /* One that came just now may have seen the timers set: then they stay so. */
    return has_clients(system) && !atomic_exchange(&system->awake, true);
}

void pp_system_init(pp_system *system, pipit_server *server)
{
    system->server = server;
    system->wake.run = on_wake;
    pp_list_init(&system->late);
    (void)pthread_mutex_init(&system->names_lock, NULL);
}

static pipit_err write_identity(pp_system *system, pp_buf *out, void *unused)
{
    pp_json json;

    (void)unused;
    pp_json_init(&json, out, 0);
    pp_identity_write(system, &json, NULL);
    return pp_json_finish(&json);
}

static void say(pp_worker *worker, const char *what)
{
    pp_system *system = &worker->server->system;

    if (worker == system->home && pp_system_is_heard(system))
        pp_system_announce(system, write_identity, NULL, "$SYS.SERVER.%s.%s",
                           worker->server->server_id, what);
}

static void say_shutdown(pp_worker *worker)
{
    say(worker, "SHUTDOWN");
    pp_loop_flush(&worker->loop); /* connections are closed before this turn ends */
}

static void say_lame_duck(pp_worker *worker)
{
    say(worker, "LAMEDUCK");
}

void pp_system_say_shutdown(pp_system *system)
{
    pp_server_on_all(system->server, say_shutdown);
}

void pp_system_say_lame_duck(pp_system *system)
{
    pp_server_on_all(system->server, say_lame_duck);
}

void pp_system_stop(pp_system *system)
{
    system->running = false;
}

void pp_system_fini(pp_system *system)
{
    if (system->root)
        pp_user_let_go(system->root);
    system->root = NULL;
    (void)pthread_mutex_destroy(&system->names_lock);
}
