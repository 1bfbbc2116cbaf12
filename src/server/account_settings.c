#include "server/account_settings.h"

#include "base/alloc.h"
#include "base/list.h"
#include "core/export.h"
#include "core/import.h"
#include "core/mapping.h"

#include <string.h>

struct pp_account_settings {
    pp_account_settings *next; /* in a list of old ones */
    pp_retired retired;
    pp_mappings *mappings; /* NULL: none */
    int64_t max_connections, max_subscriptions, max_payload;
    uint32_t trace_sampling;
    char *trace_dest;  /* NULL: none */
    char *about_texts; /* NULL: nothing is said of it */
    pp_account_about about;
    pp_exports *exports; /* NULL: none */
    pp_imports *imports; /* the same */
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

pp_export pp_account_export(const pp_export_option *option)
{
    return (pp_export){
        .subject = option->subject,
        .is_service = option->is_service,
        .is_private = option->is_private,
        .token_required = option->token_required,
        .token_position = option->account_token_position,
        .names = option->accounts,
        .name_count = option->account_count,
        .response = option->response_type == PP_RESPONSE_STREAM    ? PP_RESPONSE_MANY
                    : option->response_type == PP_RESPONSE_CHUNKED ? PP_RESPONSE_PIECES
                                                                   : PP_RESPONSE_ONE,
        .threshold_ns = option->response_threshold_ns,
        .latency_subject = option->latency_subject,
        .latency_percent = option->latency_sampling,
        .allow_trace = option->allow_trace,
    };
}

pipit_err pp_account_import(const pp_import_option *option, pp_accounts *accounts,
                            pp_import_entry *out_entry)
{
    *out_entry = (pp_import_entry){
        .subject = option->subject,
        .local = option->local,
        .prefix = option->prefix,
        .is_service = option->is_service,
        .share = option->share,
        .allow_trace = option->allow_trace,
        .activated = option->activated,
        .inactive = option->inactive,
    };
    return pp_accounts_take(accounts, option->account, true, &out_entry->exporter);
}

static pipit_err make_exports(pp_exports **out, pp_account *account,
                              const pp_account_options *options, pp_buf *error)
{
    pp_export *entries = pp_calloc(options->export_count, sizeof(*entries));
    pipit_err err;

    if (!entries)
        return PIPIT_ENOMEM;
    for (size_t i = 0; i < options->export_count; i++)
        entries[i] = pp_account_export(&options->exports[i]);
    err = pp_exports_new(out, account, entries, options->export_count, error);
    pp_free(entries);
    return err;
}

static pipit_err make_imports(pp_imports **out, pp_accounts *accounts, pp_account *account,
                              const pp_account_options *options, pp_buf *error)
{
    pp_import_entry *entries = pp_calloc(options->import_count, sizeof(*entries));
    pipit_err err = entries ? PIPIT_OK : PIPIT_ENOMEM;
    size_t count = 0;

    for (; count < options->import_count && !err; count += !err)
        err = pp_account_import(&options->imports[count], accounts, &entries[count]);
    if (!err) {
        err = pp_imports_new(out, account, entries, count, error);
    } else {
        for (size_t i = 0; i < count; i++)
            (void)atomic_fetch_sub(&entries[i].exporter->named_by, 1);
    }
    pp_free(entries);
    return err;
}

static size_t text_len(const char *text)
{
    return text ? strlen(text) : 0;
}

static pp_str put_text(char **at, const char *text)
{
    size_t len = text_len(text);
    pp_str put = {*at, len};

    if (len)
        memcpy(*at, text, len);
    *at += len;
    return put;
}

static pipit_err make_about(pp_account_settings *settings, const pp_account_options *options)
{
    pp_account_about *about = &settings->about;
    size_t bytes = text_len(options->title) + text_len(options->issuer);
    char *at;

    for (size_t i = 0; i < options->tag_count; i++)
        bytes += text_len(options->tags[i]) + 1;
    at = settings->about_texts = pp_calloc(1, bytes + 1);
    if (!at)
        return PIPIT_ENOMEM;
    about->title = put_text(&at, options->title);
    about->issuer = put_text(&at, options->issuer);
    about->tags.ptr = at;
    for (size_t i = 0; i < options->tag_count; i++) {
        (void)put_text(&at, options->tags[i]);
        at++; /* over its NUL */
    }
    about->tags.len = (size_t)(at - about->tags.ptr);
    return PIPIT_OK;
}

static pipit_err fill(pp_account_settings *settings, pp_accounts *accounts, pp_account *account,
                      const pp_account_options *options, pp_buf *error)
{
    pipit_err err = PIPIT_OK;

    settings->max_connections = options->max_connections;
    settings->max_subscriptions = options->max_subscriptions;
    settings->max_payload = options->max_payload_bytes;
    settings->trace_sampling = options->trace_sampling;
    if (options->trace_dest) {
        settings->trace_dest = pp_memdupz(options->trace_dest, strlen(options->trace_dest));
        err = settings->trace_dest ? PIPIT_OK : PIPIT_ENOMEM;
    }
    if (!err && options->issuer)
        err = make_about(settings, options);
    if (!err && options->mapping_count)
        err = make_mappings(&settings->mappings, options, error);
    if (!err && options->export_count)
        err = make_exports(&settings->exports, account, options, error);
    if (!err && options->import_count)
        err = make_imports(&settings->imports, accounts, account, options, error);
    return err == PIPIT_OK || err == PIPIT_ENOMEM ? err : PIPIT_EINVAL;
}

pipit_err pp_account_settings_new(pp_account_settings **out_settings, pp_accounts *accounts,
                                  pp_account *account, const pp_account_options *options,
                                  pp_buf *error)
{
    pp_account_settings *settings = pp_calloc(1, sizeof(*settings));
    pipit_err err;

    if (!settings)
        return PIPIT_ENOMEM;
    err = fill(settings, accounts, account, options, error);
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
    pp_imports_free(settings->imports);
    pp_exports_free(settings->exports);
    pp_free(settings->trace_dest);
    pp_free(settings->about_texts);
    pp_free(settings);
}

/* --- giving ------------------------------------------------------------------------------- */

/* Exchange what passes between this account and others. */
static void give_passages(pp_account *account, const pp_account_settings *old,
                          const pp_account_settings *in_force)
{
    (void)pthread_mutex_lock(&account->imports_lock);
    atomic_store(&account->imports, in_force->imports);
    (void)pthread_mutex_unlock(&account->imports_lock);
    atomic_store(&account->exports, in_force->exports);
    if (old && old->imports)
        pp_imports_take_down(old->imports);
    if (in_force->imports)
        (void)pp_imports_put_up(in_force->imports); /* those that it lacks memory for are down */
    for (pp_link *link = account->imported_by.next; link != &account->imported_by;
         link = link->next)
        (void)pp_import_relink(PP_CONTAINER(link, pp_import, link));
}

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
    atomic_store(&account->about, in_force->about_texts ? &in_force->about : NULL);
    give_passages(account, old, in_force);
    pp_sublist_touch_all(account->subs); /* routes have what was before */
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
