#include "server/directory.h"

#include "base/alloc.h"
#include "config/options.h"
#include "core/mapping.h"

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
    struct account_settings {
        pp_mappings *mappings;
        int64_t max_connections, max_subscriptions, max_payload;
        char *trace_dest; /* NULL: none */
        uint32_t trace_sampling;
    } * settings; /* by account */
    pp_permissions **permissions;
    size_t permission_count;
    pp_account *system;
};

/* --- accounts ----------------------------------------------------------------------------- */

void pp_accounts_init(pp_accounts *accounts, uint32_t loop_count)
{
    *accounts = (pp_accounts){.loop_count = loop_count};
    pp_views_init(&accounts->views);
    (void)pthread_mutex_init(&accounts->lock, NULL);
}

static void say_farewell(const pp_accounts *accounts, pp_account *account)
{
    if (accounts->farewell)
        accounts->farewell(account);
    pp_account_free(account);
}

void pp_accounts_fini(pp_accounts *accounts)
{
    for (size_t i = 0; i < accounts->count; i++)
        say_farewell(accounts, accounts->all[i]);
    pp_free(accounts->all);
    pp_views_fini(&accounts->views);
    (void)pthread_mutex_destroy(&accounts->lock);
}

static pp_account *find_locked(const pp_accounts *accounts, pp_str name)
{
    for (size_t i = 0; i < accounts->count; i++) {
        if (!accounts->all[i]->removed && pp_str_eq(pp_str_of(accounts->all[i]->name), name))
            return accounts->all[i];
    }
    return NULL;
}

pp_account *pp_accounts_find(pp_accounts *accounts, pp_str name)
{
    pp_account *account;

    (void)pthread_mutex_lock(&accounts->lock);
    account = find_locked(accounts, name);
    (void)pthread_mutex_unlock(&accounts->lock);
    return account;
}

void pp_accounts_each(pp_accounts *accounts, void (*visit)(pp_account *account, void *arg),
                      void *arg)
{
    (void)pthread_mutex_lock(&accounts->lock);
    for (size_t i = 0; i < accounts->count; i++) {
        if (!accounts->all[i]->removed)
            visit(accounts->all[i], arg);
    }
    (void)pthread_mutex_unlock(&accounts->lock);
}

static pipit_err add_locked(pp_accounts *accounts, const char *name, pp_account **out)
{
    pipit_err err;

    if (accounts->count == accounts->cap) {
        size_t cap = accounts->cap ? 2 * accounts->cap : 8;
        pp_account **grown = pp_realloc(accounts->all, cap * sizeof(*grown));

        if (!grown)
            return PIPIT_ENOMEM;
        accounts->all = grown;
        accounts->cap = cap;
    }
    err = pp_account_new(out, name, accounts->loop_count);
    if (err)
        return err;
    (*out)->removed = true; /* not there before its directory is */
    accounts->all[accounts->count++] = *out;
    return PIPIT_OK;
}

static pipit_err find_or_make(pp_accounts *accounts, const char *name, pp_account **out)
{
    pipit_err err = PIPIT_OK;

    (void)pthread_mutex_lock(&accounts->lock);
    *out = find_locked(accounts, pp_str_of(name));
    if (!*out)
        err = add_locked(accounts, name, out);
    (void)pthread_mutex_unlock(&accounts->lock);
    return err;
}

void pp_accounts_drop_new(pp_accounts *accounts)
{
    size_t kept = 0;

    (void)pthread_mutex_lock(&accounts->lock);
    for (size_t i = 0; i < accounts->count; i++) {
        pp_account *account = accounts->all[i];

        if (atomic_load(&account->root)) /* it has been installed once */
            accounts->all[kept++] = account;
        else
            pp_account_free(account);
    }
    accounts->count = kept;
    (void)pthread_mutex_unlock(&accounts->lock);
}

void pp_accounts_sweep(pp_accounts *accounts, const pp_directory *directory)
{
    size_t kept = 0;

    (void)pthread_mutex_lock(&accounts->lock);
    for (size_t i = 0; i < accounts->count; i++) {
        pp_account *account = accounts->all[i];
        bool named = false;

        for (size_t n = 0; n < directory->account_count && !named; n++)
            named = directory->accounts[n] == account;
        if (named || pp_account_subs(account))
            accounts->all[kept++] = account;
        else
            say_farewell(accounts, account);
    }
    accounts->count = kept;
    (void)pthread_mutex_unlock(&accounts->lock);
}

/* --- making ------------------------------------------------------------------------------- */

static pipit_err find_accounts(pp_directory *d, pp_accounts *accounts, const pp_options *options)
{
    const char *system = options->system_account ? options->system_account : SYSTEM_ACCOUNT;
    pipit_err err = PIPIT_OK;

    for (size_t i = 0; i < options->account_count && !err; i++) {
        err = find_or_make(accounts, options->accounts[i].name, &d->accounts[i]);
        if (err)
            return err;
        d->account_count++;
        if (!options->no_system_account && strcmp(options->accounts[i].name, system) == 0)
            d->system = d->accounts[i];
    }
    if (d->system || options->no_system_account)
        return PIPIT_OK;
    err = find_or_make(accounts, system, &d->system);
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
static_assert(sizeof(pp_rule_option) == sizeof(pp_permission_rule) &&
                  offsetof(pp_rule_option, queue) == offsetof(pp_permission_rule, queue),
              "rules are read in place");

static pipit_err add_permissions(pp_directory *d, const pp_permission_options *option,
                                 const pp_permissions **out)
{
    const pp_permission_rules publish = rules_of(&option->publish);
    const pp_permission_rules subscribe = rules_of(&option->subscribe);
    pipit_err err = pp_permissions_new(&d->permissions[d->permission_count], &publish, &subscribe);

    if (!err)
        *out = d->permissions[d->permission_count++];
    return err;
}

/* Those of each user; neighbours often have the same, which are then made once. */
static pipit_err make_entries(pp_directory *d, const pp_options *options, pp_user_entry *entries)
{
    const pp_permission_options *last = NULL;
    const pp_permissions *made = NULL;

    for (size_t i = 0; i < options->user_count; i++) {
        const pp_user_options *user = &options->users[i];

        if (user->permissions && user->permissions != last) {
            pipit_err err = add_permissions(d, user->permissions, &made);

            if (err)
                return err;
            last = user->permissions;
        }
        entries[i] = (pp_user_entry){
            .name = user->name,
            .pass = user->password,
            .account = d->accounts[user->account],
            .permissions = user->permissions ? made : NULL,
            .slow_policy =
                (uint8_t)(user->slow_consumer == PP_SLOW_CONSUMER_INHERIT ? options->slow_consumer
                                                                          : user->slow_consumer),
        };
    }
    return PIPIT_OK;
}

/* Where only the system account has users, whoever shows nothing is let into the global one.
 * Source: NATS configuration, section 3.3. */
static bool is_open(const pp_directory *d, const pp_options *options)
{
    if (!options->user_count || options->no_auth_user || options->account_count > 2)
        return false;
    for (size_t i = 0; i < options->user_count; i++) {
        if (d->accounts[options->users[i].account] != d->system)
            return false;
    }
    return !options->user && !options->auth_token;
}

static pipit_err make_users(pp_directory *d, pp_accounts *accounts, const pp_options *options,
                            const pp_user_key *key, pp_buf *error)
{
    size_t count = options->user_count;
    pp_user_entry *entries = pp_calloc(count + 1, sizeof(*entries));
    pp_users_setup setup = {
        .key = key,
        .views = &accounts->views,
        .users = entries,
        .token = options->auth_token,
        .no_auth_user = options->no_auth_user,
        .open = is_open(d, options),
        .anybody = {.name = "",
                    .account = d->accounts[0],
                    .slow_policy = (uint8_t)options->slow_consumer},
        .accounts = d->accounts,
        .account_count = d->account_count,
    };
    pipit_err err = PIPIT_ENOMEM;

    d->permissions = pp_calloc(count + 2, sizeof(pp_permissions *));
    if (!entries || !d->permissions)
        goto out;
    err = make_entries(d, options, entries);
    if (err)
        goto out;
    if (options->user && !options->auth_token)
        entries[count++] = (pp_user_entry){
            .name = options->user,
            .pass = options->pass,
            .account = d->accounts[0],
            .slow_policy = (uint8_t)options->slow_consumer,
        };
    setup.user_count = options->auth_token ? 0 : count;
    err = pp_users_new(&d->users, &setup);
    if (err == PIPIT_EINVAL)
        (void)pp_buf_addf(error, "a password or token is a bcrypt hash, which this version cannot "
                                 "check yet: give the text itself");
    else if (err == PIPIT_ENOTFOUND)
        (void)pp_buf_addf(error,
                          "no_auth_user: \"%s\" not present as user in authorization block "
                          "or account configuration",
                          options->no_auth_user);
    if (err == PIPIT_ENOTFOUND)
        err = PIPIT_EINVAL;
out:
    pp_free(entries);
    return err;
}

static pipit_err make_mappings(pp_mappings **out, const pp_account_options *account, pp_buf *error)
{
    size_t destinations = 0;
    pp_mapping_entry *entries;
    pp_mapping_destination *at;
    pipit_err err;

    for (size_t i = 0; i < account->mapping_count; i++)
        destinations += account->mappings[i].destination_count;
    entries = pp_alloc(account->mapping_count * sizeof(*entries) + destinations * sizeof(*at));
    if (!entries)
        return PIPIT_ENOMEM;
    at = (pp_mapping_destination *)(entries + account->mapping_count);
    for (size_t i = 0; i < account->mapping_count; i++) {
        const pp_mapping_option *mapping = &account->mappings[i];

        entries[i] = (pp_mapping_entry){mapping->source, at, mapping->destination_count};
        for (size_t n = 0; n < mapping->destination_count; n++, at++)
            *at = (pp_mapping_destination){mapping->destinations[n].subject,
                                           mapping->destinations[n].weight,
                                           mapping->destinations[n].cluster};
    }
    err = pp_mappings_new(out, entries, account->mapping_count, NULL, error);
    pp_free(entries);
    return err;
}

static pipit_err make_settings(pp_directory *d, const pp_options *options, pp_buf *error)
{
    for (size_t i = 0; i < d->account_count; i++)
        d->settings[i] = (struct account_settings){
            .max_connections = PP_ACCOUNT_UNLIMITED,
            .max_subscriptions = PP_ACCOUNT_UNLIMITED,
            .max_payload = PP_ACCOUNT_UNLIMITED,
        };
    for (size_t i = 0; i < options->account_count; i++) {
        const pp_account_options *account = &options->accounts[i];
        pipit_err err = PIPIT_OK;

        d->settings[i].max_connections = account->max_connections;
        d->settings[i].max_subscriptions = account->max_subscriptions;
        d->settings[i].max_payload = account->max_payload_bytes;
        d->settings[i].trace_sampling = account->trace_sampling;
        if (account->trace_dest) {
            d->settings[i].trace_dest =
                pp_memdupz(account->trace_dest, strlen(account->trace_dest));
            if (!d->settings[i].trace_dest)
                return PIPIT_ENOMEM;
        }
        if (account->mapping_count)
            err = make_mappings(&d->settings[i].mappings, account, error);
        if (err)
            return err == PIPIT_ENOMEM ? err : PIPIT_EINVAL;
    }
    return PIPIT_OK;
}

pipit_err pp_directory_new(pp_directory **out_directory, pp_accounts *accounts,
                           const pp_options *options, const pp_user_key *key, pp_buf *error)
{
    pp_directory *d = pp_calloc(1, sizeof(*d));
    pipit_err err = PIPIT_ENOMEM;

    if (!d)
        return err;
    d->accounts = pp_calloc(options->account_count + 1, sizeof(pp_account *));
    d->settings = pp_calloc(options->account_count + 1, sizeof(*d->settings));
    if (!d->accounts || !d->settings)
        goto out;
    err = find_accounts(d, accounts, options);
    if (!err)
        err = make_settings(d, options, error);
    if (!err)
        err = make_users(d, accounts, options, key, error);
    if (!err)
        err = pp_gate_new(&d->gate, &(pp_gate_setup){.users = d->users});
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
    pp_users_free(d->users);
    for (size_t i = 0; i < d->permission_count; i++)
        pp_permissions_free(d->permissions[i]);
    pp_free(d->permissions);
    for (size_t i = 0; d->settings && i < d->account_count; i++) {
        pp_mappings_free(d->settings[i].mappings);
        pp_free(d->settings[i].trace_dest);
    }
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

void pp_directory_install(pp_directory *d, pp_accounts *accounts)
{
    (void)pthread_mutex_lock(&accounts->lock);
    for (size_t i = 0; i < accounts->count; i++)
        accounts->all[i]->removed = true;
    for (size_t i = 0; i < d->account_count; i++) {
        pp_account *account = d->accounts[i];
        const struct account_settings *settings = &d->settings[i];

        atomic_store(&account->mappings, settings->mappings);
        atomic_store(&account->max_connections, settings->max_connections);
        atomic_store(&account->max_subscriptions, settings->max_subscriptions);
        atomic_store(&account->max_payload, settings->max_payload);
        atomic_store(&account->trace_sampling, settings->trace_sampling);
        atomic_store(&account->trace_dest, settings->trace_dest);
        atomic_store(&account->root, pp_users_root(d->users, i));
        account->removed = false;
    }
    (void)pthread_mutex_unlock(&accounts->lock);
}

bool pp_directory_idle(const pp_directory *d)
{
    return !pp_users_held(d->users) && pp_gate_idle(d->gate);
}
