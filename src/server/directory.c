#include "server/directory.h"

#include "auth/callout_request.h"
#include "base/alloc.h"
#include "config/options.h"
#include "server/account_settings.h"
#include "server/callout/callout.h"
#include "server/operators/operators.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define SYSTEM_ACCOUNT "$SYS"

struct pp_directory {
    pp_directory *next;
    pp_users *users;
    pp_gate *gate;
    pp_account **accounts; /* as in the options; then the system account, if they do not name it */
    size_t account_count;
    pp_account_settings **settings; /* by account; NULL once they have been given */
    pp_account_settings *outgoing;  /* what accounts had before */
    pp_permissions **permissions;
    size_t permission_count;
    pp_account *system;
    pp_callout *callout;      /* NULL: nobody is asked who may come in */
    pp_account *callout_home; /* where it is asked; NULL: no such account, and nobody is let in */
};

/* --- making ------------------------------------------------------------------------------- */

static pipit_err find_accounts(pp_directory *d, pp_accounts *accounts, const pp_options *options)
{
    const char *system = options->system_account ? options->system_account : SYSTEM_ACCOUNT;
    pipit_err err = PIPIT_OK;

    for (size_t i = 0; i < options->account_count && !err; i++) {
        err = pp_accounts_take(accounts, options->accounts[i].name, false, &d->accounts[i]);
        if (err)
            return err;
        d->account_count++;
        if (!options->no_system_account && strcmp(options->accounts[i].name, system) == 0)
            d->system = d->accounts[i];
    }
    if (d->system || options->no_system_account)
        return PIPIT_OK;
    err = pp_accounts_take(accounts, system, false, &d->system);
    if (!err)
        d->accounts[d->account_count++] = d->system;
    return err;
}

static pp_permission_rules rules_of(const pp_rules_option *option)
{
    /* The same shape under two names: configuration knows no core, and core no configuration. */
    return (pp_permission_rules){
        .has_allow = option->has_allow,
        .allow = (const pp_permission_rule *)(const void *)option->allow,
        .allow_count = option->allow_count,
        .deny = (const pp_permission_rule *)(const void *)option->deny,
        .deny_count = option->deny_count,
    };
}
static_assert((int)PP_CONNECTION_STANDARD == PP_USER_STANDARD &&
                  (int)PP_CONNECTION_WEBSOCKET == PP_USER_WEBSOCKET &&
                  (int)PP_CONNECTION_LEAFNODE == PP_USER_LEAFNODE &&
                  (int)PP_CONNECTION_LEAFNODE_WS == PP_USER_LEAFNODE_WS &&
                  (int)PP_CONNECTION_MQTT == PP_USER_MQTT &&
                  (int)PP_CONNECTION_MQTT_WS == PP_USER_MQTT_WS &&
                  (int)PP_CONNECTION_IN_PROCESS == PP_USER_IN_PROCESS,
              "kinds of connections are, too");
static_assert(sizeof(pp_rule_option) == sizeof(pp_permission_rule) &&
                  offsetof(pp_rule_option, queue) == offsetof(pp_permission_rule, queue),
              "rules are read in place");

/* Where the callout service is asked nobody may ask it in the server's name. */
static bool denies(const pp_directory *d, const pp_account *account)
{
    return d->callout_home && account == d->callout_home;
}

/* denied: nor may anything be published where the callout service is asked. option may be NULL. */
static pipit_err add_permissions(pp_directory *d, const pp_permission_options *option, bool denied,
                                 const pp_permissions **out)
{
    static const pp_permission_options none = {0};
    pp_permission_rules publish, subscribe;
    pp_permission_rule *deny = NULL;
    pipit_err err;

    option = option ? option : &none;
    publish = rules_of(&option->publish);
    subscribe = rules_of(&option->subscribe);
    publish.responses = (pp_permission_responses){option->responses.allowed, option->responses.max,
                                                  option->responses.ttl_ns};
    if (denied) {
        deny = pp_alloc((publish.deny_count + 1) * sizeof(*deny));
        if (!deny)
            return PIPIT_ENOMEM;
        for (size_t i = 0; i < publish.deny_count; i++)
            deny[i] = publish.deny[i];
        deny[publish.deny_count] = (pp_permission_rule){PP_STR(PP_CALLOUT_SUBJECT), PP_STR("")};
        publish.deny = deny;
        publish.deny_count++;
    }
    err = pp_permissions_new(&d->permissions[d->permission_count], &publish, &subscribe);
    pp_free(deny);
    if (!err)
        *out = d->permissions[d->permission_count++];
    return err;
}

/* Goes over the users, account by account. Neighbours often have the same permissions, which are
 * then made once: the first time, and found again at the same place after that. */
struct teller {
    pp_directory *d;
    const pp_options *options;
    size_t first;         /* of their permissions, among the directory's */
    size_t account, user; /* the next */
    /* The last that have been made or found: of which account, from what, and their place + 1. */
    size_t last_account;
    const pp_permission_options *last;
    size_t place; /* first: none have */
};

static pipit_err take_permissions(struct teller *t, const pp_permission_options *option,
                                  bool denied, const pp_permissions **out)
{
    pp_directory *d = t->d;

    *out = NULL;
    if (!option && !denied)
        return PIPIT_OK;
    if (t->place == t->first || t->account != t->last_account || option != t->last) {
        if (t->place == d->permission_count) {
            pipit_err err = add_permissions(d, option, denied, out);

            if (err)
                return err;
        }
        t->place++;
        t->last_account = t->account;
        t->last = option;
    }
    *out = d->permissions[t->place - 1];
    return PIPIT_OK;
}

static pipit_err tell_user(void *teller, size_t i, pp_user_entry *out_entry)
{
    struct teller *t = teller;
    const pp_user_options *user;
    const pp_permissions *permissions;
    pp_account *account;
    pipit_err err;

    if (i == 0)
        *t = (struct teller){t->d, t->options, .first = t->first, .place = t->first};
    while (t->user == t->options->accounts[t->account].user_count) {
        t->account++;
        t->user = 0;
    }
    account = t->d->accounts[t->account];
    user = &t->options->accounts[t->account].users[t->user];
    err = take_permissions(t, user->permissions, denies(t->d, account), &permissions);
    if (err)
        return err;
    t->user++;
    *out_entry = (pp_user_entry){
        .name = user->name,
        .pass = user->password,
        .account = account,
        .permissions = permissions,
        .slow_policy =
            (uint8_t)(user->slow_consumer == PP_SLOW_CONSUMER_INHERIT ? t->options->slow_consumer
                                                                      : user->slow_consumer),
        .connection_types = user->connection_types,
        .proxy_required = user->proxy_required,
        .nkey = user->nkey,
        .has_uid = user->uid >= 0,
        .has_gid = user->gid >= 0,
        .uid = (uid_t)user->uid,
        .gid = (gid_t)user->gid,
    };
    return PIPIT_OK;
}

/* Where only the system account has users, whoever shows nothing is let into the global one.
 * Source: NATS configuration, section 3.3. */
static bool is_open(const pp_directory *d, const pp_options *options)
{
    if (!options->user_count || options->no_auth_user || options->account_count > 2)
        return false;
    for (size_t a = 0; a < options->account_count; a++) {
        if (options->accounts[a].user_count && d->accounts[a] != d->system)
            return false;
    }
    return !options->user && !options->auth_token;
}

static pipit_err make_users(pp_directory *d, pp_accounts *accounts, const pp_options *options,
                            const pp_user_key *key, pp_buf *error)
{
    size_t count = options->user_count;
    struct teller teller = {.d = d, .options = options};
    pp_users_setup setup = {
        .key = key,
        .views = &accounts->views,
        .user_count = count,
        .tell = tell_user,
        .teller = &teller,
        .entrances[PP_ENTRANCE_CLIENTS] = {.user = options->auth_token ? NULL : options->user,
                                           .pass = options->pass,
                                           .token = options->auth_token,
                                           .no_auth_user = options->no_auth_user,
                                           .verify_and_map =
                                               options->tls.given && options->tls.verify_and_map},
        .entrances[PP_ENTRANCE_WEBSOCKET] = {.user = options->websocket.user,
                                             .pass = options->websocket.pass,
                                             .token = options->websocket.token,
                                             .no_auth_user = options->websocket.port
                                                                 ? options->websocket.no_auth_user
                                                                 : NULL, /* not looked at */
                                             .verify_and_map =
                                                 options->websocket.tls.verify_and_map},
        .open = is_open(d, options),
        .anybody = {.account = d->accounts[0],
                    .slow_policy = (uint8_t)options->slow_consumer,
                    .proxy_required = options->auth_proxy_required},
        .accounts = d->accounts,
        .account_count = d->account_count,
    };
    pipit_err err = PIPIT_OK;

    d->permissions = pp_calloc(count + 2, sizeof(pp_permissions *));
    if (!d->permissions)
        return PIPIT_ENOMEM;
    if (denies(d, d->accounts[0]))
        err = add_permissions(d, NULL, true, &setup.anybody.permissions);
    teller.first = d->permission_count;
    if (!err)
        err = pp_users_new(&d->users, &setup);
    if (err == PIPIT_ENOTFOUND) {
        (void)pp_buf_addf(error,
                          "no_auth_user: \"%s\" not present as user or nkey in authorization block "
                          "or account configuration",
                          options->no_auth_user);
        err = PIPIT_EINVAL;
    }
    return err;
}

static void find_callout_home(pp_directory *d, const pp_options *options)
{
    const pp_callout_options *callout = &options->callout;

    for (size_t i = 0; callout->configured && i < d->account_count; i++) {
        if (strcmp(d->accounts[i]->name, callout->account) == 0)
            d->callout_home = d->accounts[i];
    }
}

static pipit_err make_callout(pp_directory *d, pp_accounts *accounts, const pp_options *options,
                              pp_calls *calls)
{
    const pp_callout_setup setup = {
        .options = &options->callout,
        .timeout_ns = options->auth_timeout_ns,
        .slow_policy = (uint8_t)options->slow_consumer,
        .users = d->users,
        .accounts = accounts,
        .account = d->callout_home,
        .global = d->accounts[0],
        .calls = calls,
    };

    return options->callout.configured ? pp_callout_new(&d->callout, &setup) : PIPIT_OK;
}

static pipit_err make_settings(pp_directory *d, pp_accounts *accounts, const pp_options *options,
                               pp_buf *error)
{
    pipit_err err = PIPIT_OK;

    for (size_t i = 0; i < d->account_count && !err; i++) {
        const pp_account_options none = pp_account_options_none(d->accounts[i]->name);

        err = pp_account_settings_new(&d->settings[i], accounts, d->accounts[i],
                                      i < options->account_count ? &options->accounts[i] : &none,
                                      error);
    }
    return err;
}

pipit_err pp_directory_new(pp_directory **out_directory, pp_accounts *accounts,
                           const pp_options *options, const pp_user_key *key, pp_hasher *hasher,
                           pp_authority *operators, pp_calls *calls, pp_buf *error)
{
    pp_directory *d = pp_calloc(1, sizeof(*d));
    pipit_err err = PIPIT_ENOMEM;

    if (!d)
        return err;
    d->accounts = pp_calloc(options->account_count + 1, sizeof(pp_account *));
    d->settings = pp_calloc(options->account_count + 1, sizeof(pp_account_settings *));
    if (!d->accounts || !d->settings)
        goto out;
    err = find_accounts(d, accounts, options);
    if (!err)
        find_callout_home(d, options);
    if (!err)
        err = make_settings(d, accounts, options, error);
    if (!err)
        err = make_users(d, accounts, options, key, error);
    if (!err)
        err = make_callout(d, accounts, options, calls);
    if (!err)
        err = pp_gate_new(&d->gate, &(pp_gate_setup){
                                        .users = d->users,
                                        .hasher = hasher,
                                        .operators = operators,
                                        .proxies = options->trusted_proxies,
                                        .proxy_count = options->trusted_proxy_count,
                                        .callout = d->callout  ? pp_callout_authority(d->callout)
                                                   : operators ? pp_operators_callout(operators)
                                                               : NULL,
                                    });
    if (err)
        goto out;
    *out_directory = d;
    d = NULL;
out:
    pp_directory_free(d);
    return err;
}

void pp_directory_free(pp_directory *d)
{
    if (!d)
        return;
    pp_gate_free(d->gate);
    pp_callout_free(d->callout);
    pp_users_free(d->users);
    for (size_t i = 0; i < d->permission_count; i++)
        pp_permissions_free(d->permissions[i]);
    pp_free(d->permissions);
    pp_directory_settle(d);
    for (size_t i = 0; d->settings && i < d->account_count; i++)
        pp_account_settings_free(d->settings[i]);
    pp_free(d->settings);
    pp_free(d->accounts);
    pp_free(d);
}

/* --- using -------------------------------------------------------------------------------- */

const pp_users *pp_directory_users(const pp_directory *d)
{
    return d->users;
}

const pp_gate *pp_directory_gate(const pp_directory *d)
{
    return d->gate;
}

pp_account *pp_directory_global(const pp_directory *d)
{
    return d->accounts[0];
}

pp_account *pp_directory_system(const pp_directory *d)
{
    return d->system;
}

pp_directory **pp_directory_next(pp_directory *d)
{
    return &d->next;
}

static void give(pp_directory *d, pp_accounts *accounts, pp_account *account,
                 pp_account_settings *settings)
{
    pp_account_settings *old = pp_account_settings_give_locked(accounts, account, settings);

    if (old)
        pp_account_settings_push(&d->outgoing, old);
}

void pp_directory_install(pp_directory *d, pp_accounts *accounts)
{
    (void)pthread_mutex_lock(&accounts->lock);
    pp_accounts_unlist_all_locked(accounts);
    for (size_t i = 0; i < d->account_count; i++) {
        atomic_store(&d->accounts[i]->root, pp_users_root(d->users, i));
        pp_accounts_list_locked(accounts, d->accounts[i]);
        if (d->accounts[i]->claimed)
            pp_account_settings_push(&d->outgoing, d->settings[i]);
        else
            give(d, accounts, d->accounts[i], d->settings[i]);
        d->settings[i] = NULL;
    }
    for (size_t i = 0; i < accounts->count; i++) {
        if (accounts->all[i]->state == PP_ACCOUNT_REMOVED)
            give(d, accounts, accounts->all[i], NULL);
    }
    (void)pthread_mutex_unlock(&accounts->lock);
}

void pp_directory_forget_older(const pp_directory *d, pp_accounts *accounts)
{
    (void)pthread_mutex_lock(&accounts->lock);
    for (size_t i = 0; i < accounts->count; i++) {
        const pp_scope *root = atomic_load(&accounts->all[i]->root);
        const pp_users *users = root ? PP_CONTAINER(root, pp_user, scope)->table : NULL;

        if (users && users != d->users)
            atomic_store(&accounts->all[i]->root, NULL);
    }
    (void)pthread_mutex_unlock(&accounts->lock);
}

void pp_directory_settle(pp_directory *d)
{
    pp_account_settings *old;

    while ((old = pp_account_settings_pop(&d->outgoing)))
        pp_account_settings_free(old);
}

/* The gate first: a login that it lets in holds its user before it stops waiting, and none comes to
 * the gate of an old directory any more. */
bool pp_directory_idle(const pp_directory *d)
{
    return pp_gate_idle(d->gate) && !pp_users_held(d->users);
}
