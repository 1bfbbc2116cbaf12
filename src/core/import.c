#include "core/import.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/random.h"
#include "core/subject.h"

#include <string.h>

enum { SUBJECT_MAX = 64 * 1024 };

/* --- making ------------------------------------------------------------------------------- */

static pipit_err refuse(pp_buf *error, const char *reason, const pp_import_entry *entry)
{
    if (error)
        (void)pp_buf_addf(error, "%s: import of \"%.200s\" from account \"%.200s\"", reason,
                          entry->subject, entry->exporter->name);
    return PIPIT_EINVAL;
}

/* The subject here, as its pairing takes it. */
static pipit_err local_of(const pp_import_entry *entry, pp_buf *out, pp_buf *error)
{
    pp_str prefix = pp_str_of(entry->prefix);
    pipit_err err;

    if (!prefix.len) {
        pp_str local = pp_str_of(entry->local ? entry->local : entry->subject);

        return pp_buf_add(out, local.ptr, local.len);
    }
    if (prefix.ptr[prefix.len - 1] == '.')
        prefix.len--;
    if (pp_subject_has_wildcard(prefix))
        return refuse(error, "stream import prefix can not contain wildcard tokens", entry);
    err = pp_buf_addf(out, "%.*s.", PP_STR_ARGS(prefix));
    /* What was a wildcard there is one here. */
    return err ? err : pp_buf_add(out, entry->subject, strlen(entry->subject));
}

static pipit_err pair(pp_import *item, const pp_import_entry *entry, pp_buf *error)
{
    pp_buf local;
    pipit_err err;

    if (!pp_subject_valid(pp_str_of(entry->subject)))
        return refuse(error, "invalid subject", entry);
    pp_buf_init(&local, SUBJECT_MAX);
    err = local_of(entry, &local, error);
    if (!err && entry->is_service && pp_subject_literal(pp_str_of(entry->subject)) &&
        pp_subject_has_wildcard(pp_buf_str(&local)))
        err = pp_pairing_init_many_to_one(&item->pairing, pp_str_of(entry->subject),
                                          pp_buf_str(&local));
    else if (!err)
        err = pp_pairing_init(&item->pairing, pp_str_of(entry->subject), pp_buf_str(&local), error);
    pp_buf_fini(&local);
    if (err == PIPIT_ELIMIT)
        err = PIPIT_EINVAL;
    return err;
}

static pipit_err make_item(pp_imports *imports, pp_import *item, const pp_import_entry *entry,
                           pp_buf *error)
{
    pipit_err err;

    item->exporter = entry->exporter;
    item->client.ops = entry->is_service ? &pp_service_import_ops : &pp_stream_import_ops;
    item->is_service = entry->is_service;
    item->share = entry->share;
    item->allow_trace = entry->allow_trace;
    item->activated = entry->activated;
    item->inactive = entry->inactive;
    pp_list_init(&item->link);
    err = pair(item, entry, error);
    if (err)
        return err;
    item->sub = pp_sub_new(&item->client, PP_STR(""), PP_STR(""));
    if (!item->sub)
        return PIPIT_ENOMEM;
    imports->stream_count += !item->is_service;
    if (!item->is_service)
        return PIPIT_OK;
    if (!imports->services)
        err = pp_sublist_new(&imports->services, pp_random_seed());
    return err ? err
               : pp_sublist_insert(imports->services, item->sub, pp_str_of(item->pairing.here));
}

pipit_err pp_imports_new(pp_imports **out_imports, pp_account *account,
                         const pp_import_entry *entries, size_t count, pp_buf *error)
{
    pp_imports *imports = pp_calloc(1, sizeof(*imports));
    pipit_err err = PIPIT_ENOMEM;

    if (imports)
        imports->items = pp_calloc(count, sizeof(*imports->items));
    if (!imports || !imports->items) {
        for (size_t i = 0; i < count; i++)
            (void)atomic_fetch_sub(&entries[i].exporter->named_by, 1);
        goto out;
    }
    for (size_t i = 0; i < count; i++) { /* first, so that freeing finds all */
        imports->items[i].importer = account;
        imports->items[i].exporter = entries[i].exporter;
    }
    imports->count = count;
    err = PIPIT_OK;
    for (size_t i = 0; i < count && !err; i++)
        err = make_item(imports, &imports->items[i], &entries[i], error);
out:
    if (err)
        pp_imports_free(imports);
    else
        *out_imports = imports;
    return err;
}

void pp_imports_free(pp_imports *imports)
{
    if (!imports)
        return;
    for (size_t i = 0; i < imports->count; i++) {
        pp_import *item = &imports->items[i];

        PP_ASSERT(!item->up);
        if (item->sub && item->sub->pattern)
            pp_sublist_remove(imports->services, item->sub);
        pp_sub_free(item->sub);
        pp_pairing_fini(&item->pairing);
        (void)atomic_fetch_sub(&item->exporter->named_by, 1);
    }
    pp_sublist_free(imports->services);
    pp_free(imports->items);
    pp_free(imports);
}

/* --- linking ------------------------------------------------------------------------------ */

pp_link_state pp_import_judge(const pp_import *import, const pp_exports *exports,
                              const pp_export **out_export)
{
    pp_str subject = pp_str_of(import->pairing.there);
    const pp_export *export;

    if (import->inactive)
        return PP_LINK_INACTIVE;
    export = pp_exports_find(exports, import->is_service, subject);
    if (!export ||
        !pp_export_admits(export, pp_str_of(import->importer->name), subject, import->activated))
        return PP_LINK_REFUSED;
    *out_export = export;
    return PP_LINK_GOOD;
}

/* Whoever has a route that goes this way must ask again. */
static void touch(const pp_import *import)
{
    pp_sublist_touch_all((import->is_service ? import->importer : import->exporter)->subs);
}

static void set_export(pp_import *import, const pp_export *export)
{
    if (atomic_exchange(&import->export, export) != export)
        touch(import);
}

pp_link_state pp_import_relink(pp_import *import)
{
    const pp_export *export = NULL;
    pp_link_state state = PP_LINK_NO_ACCOUNT;

    if (import->exporter->state == PP_ACCOUNT_LISTED)
        state = pp_import_judge(import, atomic_load(&import->exporter->exports), &export);
    set_export(import, export);
    return state;
}

static pipit_err add_importers(pp_account *account)
{
    pp_sublist *list;
    pipit_err err;

    if (atomic_load(&account->importers))
        return PIPIT_OK;
    err = pp_sublist_new(&list, pp_random_seed());
    if (!err)
        atomic_store(&account->importers, list);
    return err;
}

static pipit_err put_up(pp_import *import)
{
    pipit_err err;

    pp_list_append(&import->exporter->imported_by, &import->link);
    if (!import->is_service) {
        err = add_importers(import->exporter);
        if (!err)
            err = pp_sublist_insert(atomic_load(&import->exporter->importers), import->sub,
                                    pp_str_of(import->pairing.there));
        if (err)
            return err;
        import->up = true;
    }
    (void)pp_import_relink(import);
    return PIPIT_OK;
}

pipit_err pp_imports_put_up(pp_imports *imports)
{
    pipit_err first = PIPIT_OK;

    for (size_t i = 0; i < imports->count; i++) {
        pipit_err err = put_up(&imports->items[i]);

        if (!first)
            first = err;
    }
    return first;
}

void pp_imports_take_down(pp_imports *imports)
{
    for (size_t i = 0; i < imports->count; i++) {
        pp_import *import = &imports->items[i];

        pp_list_remove(&import->link);
        if (import->up)
            pp_sublist_remove(atomic_load(&import->exporter->importers), import->sub);
        import->up = false;
        atomic_store(&import->export, NULL);
        touch(import); /* also where it was not linked: a route may be under way to it */
    }
}

/* --- interest ----------------------------------------------------------------------------- */

/* Make stale what the exporter's routes know of subjects under pattern here. */
static void note(const pp_import *import, pp_str pattern)
{
    char small[256];
    size_t len;

    if (!pp_subject_has_wildcard(pattern) &&
        !pp_pairing_outward(&import->pairing, pattern, small, sizeof(small), &len))
        pp_sublist_touch_literal(import->exporter->subs, (pp_str){small, len});
    else
        pp_sublist_touch_all(import->exporter->subs);
}

void pp_imports_note(const pp_imports *imports, pp_str pattern)
{
    for (size_t i = 0; i < imports->count; i++) {
        const pp_import *import = &imports->items[i];

        if (!import->is_service && pp_subject_overlaps(pattern, pp_str_of(import->pairing.here)))
            note(import, pattern);
    }
}

void pp_imports_note_all(const pp_imports *imports)
{
    for (size_t i = 0; i < imports->count; i++) {
        if (!imports->items[i].is_service)
            pp_sublist_touch_all(imports->items[i].exporter->subs);
    }
}

/* --- what routes never call ----------------------------------------------------------------- */

static void *no_outlet(pp_client *client, uint32_t router_index)
{
    (void)client;
    (void)router_index;
    return NULL;
}

static bool no_delivery(void *outlet, const pp_sub *sub, pp_str head, const pp_msg *msg)
{
    (void)outlet;
    (void)sub;
    (void)head;
    (void)msg;
    return false;
}

static void no_end(pp_sub *sub, uint32_t router_index)
{
    (void)sub;
    (void)router_index;
}

const struct pp_client_ops pp_stream_import_ops = {
    .outlet = no_outlet,
    .head = pp_client_no_head,
    .deliver = no_delivery,
    .exhausted = no_end,
    .hears_no_imports = true,
};
