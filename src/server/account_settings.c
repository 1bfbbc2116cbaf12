#include "server/account_settings.h"

#include "base/alloc.h"
#include "base/list.h"
#include "core/mapping.h"

#include <string.h>

struct pp_account_settings {
    pp_account_settings *next; /* in a list of old ones */
    pp_retired retired;
    pp_mappings *mappings; /* NULL: none */
    int64_t max_connections, max_subscriptions, max_payload;
    uint32_t trace_sampling;
    char *trace_dest; /* NULL: none */
};

/* --- making ------------------------------------------------------------------------------- */

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
    return err == PIPIT_OK || err == PIPIT_ENOMEM ? err : PIPIT_EINVAL;
}

pipit_err pp_account_settings_new(pp_account_settings **out_settings, pp_accounts *accounts,
                                  const pp_account_options *options, pp_buf *error)
{
    pp_account_settings *settings = pp_calloc(1, sizeof(*settings));
    pipit_err err = PIPIT_OK;

    (void)accounts;
    if (!settings)
        return PIPIT_ENOMEM;
    settings->max_connections = options->max_connections;
    settings->max_subscriptions = options->max_subscriptions;
    settings->max_payload = options->max_payload_bytes;
    settings->trace_sampling = options->trace_sampling;
    if (options->trace_dest) {
        settings->trace_dest = pp_memdupz(options->trace_dest, strlen(options->trace_dest));
        err = settings->trace_dest ? PIPIT_OK : PIPIT_ENOMEM;
    }
    if (!err && options->mapping_count)
        err = make_mappings(&settings->mappings, options, error);
    if (err)
        pp_account_settings_free(settings);
    else
        *out_settings = settings;
    return err;
}

void pp_account_settings_free(pp_account_settings *settings)
{
    if (!settings)
        return;
    pp_mappings_free(settings->mappings);
    pp_free(settings->trace_dest);
    pp_free(settings);
}

/* --- giving ------------------------------------------------------------------------------- */

pp_account_settings *pp_account_settings_give_locked(pp_accounts *accounts, pp_account *account,
                                                     pp_account_settings *settings)
{
    static const pp_account_settings none = {
        .max_connections = PP_ACCOUNT_UNLIMITED,
        .max_subscriptions = PP_ACCOUNT_UNLIMITED,
        .max_payload = PP_ACCOUNT_UNLIMITED,
    };
    const pp_account_settings *in_force = settings ? settings : &none;
    pp_account_settings *old = account->settings;

    (void)accounts;
    account->settings = settings;
    atomic_store(&account->mappings, in_force->mappings);
    atomic_store(&account->max_connections, in_force->max_connections);
    atomic_store(&account->max_subscriptions, in_force->max_subscriptions);
    atomic_store(&account->max_payload, in_force->max_payload);
    atomic_store(&account->trace_sampling, in_force->trace_sampling);
    atomic_store(&account->trace_dest, in_force->trace_dest);
    pp_sublist_touch_all(account->subs); /* routes have the old mappings */
    return old;
}

pp_account_settings *pp_account_settings_give(pp_accounts *accounts, pp_account *account,
                                              pp_account_settings *settings)
{
    pp_account_settings *old;

    (void)pthread_mutex_lock(&accounts->lock);
    old = pp_account_settings_give_locked(accounts, account, settings);
    (void)pthread_mutex_unlock(&accounts->lock);
    return old;
}

/* --- going -------------------------------------------------------------------------------- */

static void free_retired(pp_retired *retired)
{
    pp_account_settings_free(PP_CONTAINER(retired, pp_account_settings, retired));
}

void pp_account_settings_retire(pp_account_settings *settings, pp_reclaimer *reclaimer)
{
    if (settings)
        pp_reclaim_retire(reclaimer, &settings->retired, free_retired);
}

void pp_account_settings_push(pp_account_settings **list, pp_account_settings *settings)
{
    settings->next = *list;
    *list = settings;
}

pp_account_settings *pp_account_settings_pop(pp_account_settings **list)
{
    pp_account_settings *first = *list;

    if (first)
        *list = first->next;
    return first;
}
