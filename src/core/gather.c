#include "core/gather.h"

#include "base/alloc.h"
#include "core/desk.h"

#include <stdlib.h>

enum {
    TEXTS_MAX = 64 << 20, /* bytes of a message's names in all accounts */
    ALIAS_MAX = PP_TRANSFORM_RESULT_MAX,
};

void pp_gathering_fini(pp_gathering *g)
{
    pp_free(g->hearers);
    pp_free(g->aliases);
    pp_buf_fini(&g->texts);
    pp_sub_set_fini(&g->matched);
    pp_sub_set_fini(&g->imported);
    *g = (pp_gathering){0};
}

void pp_gathering_clear(pp_gathering *g)
{
    g->count = g->alias_count = 0;
    g->texts.len = 0;
    g->texts.max = TEXTS_MAX;
    g->steps = 0;
}

static pipit_err reserve(pp_gathering *g, size_t more)
{
    size_t cap = g->cap ? g->cap : 16;
    pp_hearer *hearers;

    if (g->count + more <= g->cap)
        return PIPIT_OK;
    while (cap < g->count + more)
        cap *= 2;
    hearers = pp_realloc(g->hearers, cap * sizeof(*hearers));
    if (!hearers)
        return PIPIT_ENOMEM;
    g->hearers = hearers;
    g->cap = cap;
    return PIPIT_OK;
}

static pipit_err add_subs(pp_gathering *g, const pp_sub_set *set, uint32_t alias)
{
    pipit_err err = reserve(g, set->count);

    if (err)
        return err;
    for (size_t i = 0; i < set->count; i++) {
        if (!alias || !set->subs[i]->client->ops->hears_no_imports)
            g->hearers[g->count++] = (pp_hearer){set->subs[i], alias};
    }
    return PIPIT_OK;
}

static pipit_err add_matches(pp_gathering *g, pp_sublist *list, pp_str subject, uint32_t alias)
{
    pipit_err err = pp_sublist_match(list, subject, &g->matched);

    g->steps += g->matched.steps + g->matched.count;
    return err ? err : add_subs(g, &g->matched, alias);
}

/* --- streams ------------------------------------------------------------------------------ */

/* The name of the message in the importing account; *out_alias 0: it has none. */
static pipit_err add_alias(pp_gathering *g, const pp_import *import, pp_str subject,
                           uint32_t *out_alias)
{
    pipit_err err = pp_buf_reserve(&g->texts, ALIAS_MAX);
    size_t len;

    *out_alias = 0;
    if (err)
        return PIPIT_ENOMEM;
    if (g->alias_count == g->alias_cap) {
        size_t cap = g->alias_cap ? 2 * g->alias_cap : 8;
        pp_alias *aliases = pp_realloc(g->aliases, cap * sizeof(*aliases));

        if (!aliases)
            return PIPIT_ENOMEM;
        g->aliases = aliases;
        g->alias_cap = cap;
    }
    if (pp_pairing_inward(&import->pairing, subject, g->texts.ptr + g->texts.len, ALIAS_MAX, &len))
        return PIPIT_OK; /* too long to be a subject there */
    g->aliases[g->alias_count] = (pp_alias){import, (uint32_t)g->texts.len, (uint32_t)len};
    g->texts.len += len;
    *out_alias = (uint32_t)++g->alias_count;
    return PIPIT_OK;
}

static pipit_err add_importer(pp_gathering *g, const pp_import *import, pp_str subject)
{
    uint32_t alias;
    pipit_err err;

    if (!atomic_load_explicit(&((pp_import *)import)->export, memory_order_acquire) ||
        pp_sublist_count(import->importer->subs) == 0)
        return PIPIT_OK;
    err = add_alias(g, import, subject, &alias);
    if (err || !alias)
        return err;
    return add_matches(g, import->importer->subs,
                       (pp_str){g->texts.ptr + g->aliases[alias - 1].at, g->aliases[alias - 1].len},
                       alias);
}

static pipit_err add_importers(pp_gathering *g, pp_sublist *importers, pp_str subject)
{
    pipit_err err = pp_sublist_match(importers, subject, &g->imported);

    g->steps += g->imported.steps + g->imported.count;
    for (size_t i = 0; i < g->imported.count && !err; i++)
        err = add_importer(g, pp_import_of(g->imported.subs[i]), subject);
    return err;
}

/* --- all ---------------------------------------------------------------------------------- */

pipit_err pp_gather(pp_gathering *g, pp_account *account, pp_str subject, bool crossed)
{
    pp_sublist *importers = atomic_load_explicit(&account->importers, memory_order_acquire);
    const pp_imports *imports = atomic_load_explicit(&account->imports, memory_order_acquire);
    const pp_desk *desk = atomic_load_explicit(&account->desk, memory_order_acquire);
    pipit_err err;

    pp_gathering_clear(g);
    err = add_matches(g, account->subs, subject, 0);
    if (!err && importers && !crossed && pp_sublist_count(importers))
        err = add_importers(g, importers, subject);
    if (!err && imports && imports->services)
        err = add_matches(g, imports->services, subject, 0);
    if (!err && desk && pp_desk_takes(subject)) {
        err = reserve(g, 1);
        if (!err)
            g->hearers[g->count++] = (pp_hearer){desk->sub, 0};
    }
    return err;
}

pipit_err pp_gather_matching(pp_gathering *g, pp_account *account, pp_str pattern)
{
    pipit_err err;

    pp_gathering_clear(g);
    err = pp_sublist_meet(account->subs, pattern, &g->matched);
    g->steps += g->matched.steps + g->matched.count;
    return err ? err : add_subs(g, &g->matched, 0);
}

/* --- groups ------------------------------------------------------------------------------- */

static int by_queue(const void *a, const void *b)
{
    pp_str x = pp_sub_queue(((const pp_hearer *)a)->sub);
    pp_str y = pp_sub_queue(((const pp_hearer *)b)->sub);
    size_t len = x.len < y.len ? x.len : y.len;
    int order = len ? memcmp(x.ptr, y.ptr, len) : 0;

    if (order)
        return order;
    return x.len < y.len ? -1 : x.len > y.len;
}

bool pp_hearers_same_group(const pp_hearer *a, const pp_hearer *b)
{
    return pp_str_eq(pp_sub_queue(a->sub), pp_sub_queue(b->sub));
}

size_t pp_gathering_partition(pp_gathering *g)
{
    size_t plain = 0;

    for (size_t i = 0; i < g->count; i++) {
        if (g->hearers[i].sub->queue_len == 0) {
            pp_hearer hearer = g->hearers[i];

            g->hearers[i] = g->hearers[plain];
            g->hearers[plain++] = hearer;
        }
    }
    if (g->count - plain > 1)
        qsort(g->hearers + plain, g->count - plain, sizeof(*g->hearers), by_queue);
    return plain;
}
