/* Subscriptions: how many, how matching goes, and a list of them.
 * Source: NATS monitoring, section 5. */
#include "base/alloc.h"
#include "core/subject.h"
#include "server/monitor/caches.h"
#include "server/monitor/entry.h"

#include <stdlib.h>

struct sums {
    pp_str account; /* empty: all */
    uint64_t subs, inserted, removed, routed;
};

static void add_account(const pp_account_sums *account, void *arg)
{
    struct sums *sums = arg;

    if (sums->account.len && !pp_str_eq(sums->account, pp_str_of(account->name)))
        return;
    sums->subs += account->subs;
    sums->inserted += account->subs_inserted;
    sums->removed += account->subs_removed;
    sums->routed += account->in_msgs;
}

static void put_index(pp_page *page, pp_json *json, const struct sums *sums)
{
    pp_cache_sums caches;

    pp_cache_sums_read(page->server, page->options->account, true, &caches);
    pp_json_u64(json, "num_subscriptions", sums->subs);
    pp_json_u64(json, "num_cache", caches.routes);
    pp_json_u64(json, "num_inserts", sums->inserted);
    pp_json_u64(json, "num_removes", sums->removed);
    pp_json_u64(json, "num_matches", sums->routed);
    pp_json_f64(json, "cache_hit_rate", caches.hit_rate);
    pp_json_u64(json, "max_fanout", caches.targets_max);
    pp_json_f64(json, "avg_fanout",
                caches.routes ? (double)caches.targets / (double)caches.routes : 0);
}

/* --- the list ----------------------------------------------------------------------------- */

static bool would_get(const void *arg, pp_str subject)
{
    return pp_subject_matches(*(const pp_str *)arg, subject);
}

static int by_cid(const void *a, const void *b)
{
    const pp_conn_record *x = *(void *const *)a, *y = *(void *const *)b;

    return x->cid < y->cid ? -1 : x->cid > y->cid;
}

struct list {
    pp_gathered conns; /* sorted by id */
    struct pp_entry_subs subs;
    size_t skip; /* of subs, to the first of the page */
    uint64_t total;
};

static bool is_wanted(const pp_page *page, const pp_conn_record *conn)
{
    pp_str account = page->options->account;

    return conn->subs &&
           (!account.len || pp_str_eq(account, pp_conn_record_text(conn, PP_RECORD_ACCOUNT)));
}

/* Which connections to ask. Without a test subject their counts tell whose subscriptions stand on
 * the page, and the others need not be asked. */
static size_t choose(const pp_page *page, struct list *list, pp_gather_wish *wishes)
{
    size_t offset = pp_page_offset(page), end = offset + pp_page_limit(page), count = 0, before = 0;
    bool all = page->options->test.len > 0;

    if (end < offset)
        end = SIZE_MAX;
    list->skip = offset;
    for (size_t i = 0; i < list->conns.count; i++) {
        const pp_conn_record *conn = list->conns.list[i];

        if (!is_wanted(page, conn))
            continue;
        if (all || (before < end && before + conn->subs > offset)) {
            if (!all && count == 0)
                list->skip = offset - before;
            wishes[count++].cid = conn->cid;
        }
        before += conn->subs;
    }
    if (!all && count == 0)
        list->skip = 0;
    list->total = before;
    return count;
}

static pipit_err list_fill(pp_page *page, struct list *list)
{
    pp_str test = page->options->test;
    pipit_err err = pp_gather_conns(page->server, (pp_gather_conns_wish){0}, &list->conns);
    pp_gather_wish *wishes;

    if (err)
        return err;
    wishes = pp_calloc(list->conns.count ? list->conns.count : 1, sizeof(*wishes));
    if (!wishes)
        return PIPIT_ENOMEM;
    if (list->conns.count)
        qsort(list->conns.list, list->conns.count, sizeof(*list->conns.list), by_cid);
    err = pp_entry_subs_gather(page->server, wishes, choose(page, list, wishes),
                               test.len ? would_get : NULL, &test, &list->subs);
    pp_free(wishes);
    if (test.len)
        list->total = list->subs.count;
    return err;
}

static pp_str account_of(const struct list *list, uint64_t cid)
{
    pp_conn_record key = {.cid = cid};
    void *at = &key, **found;

    found = bsearch(&at, list->conns.list, list->conns.count, sizeof(at), by_cid);
    return found ? pp_conn_record_text(*found, PP_RECORD_ACCOUNT) : (pp_str){NULL, 0};
}

static void put_list(const pp_page *page, pp_json *json, const struct list *list)
{
    size_t limit = pp_page_limit(page);

    if (list->skip >= list->subs.count)
        return; /* left out when there is nothing in it */
    pp_json_begin_array(json, "subscriptions_list");
    for (size_t i = list->skip; i < list->subs.count && i - list->skip < limit; i++) {
        const pp_sub_record *sub = list->subs.list[i];

        pp_entry_write_sub(json, sub, account_of(list, sub->cid));
    }
    pp_json_end_array(json);
}

pipit_err pp_monitor_write_subsz(pp_page *page)
{
    const pp_monitor_options *options = page->options;
    struct sums sums = {.account = options->account};
    struct list list = {0};
    pipit_err err;
    pp_json json;

    if (options->test.len && !pp_subject_literal(options->test))
        return pp_page_refuse(page, 400,
                              "invalid test subject, must be valid publish subject: %.*s",
                              PP_STR_ARGS(options->test));
    err = pp_vitals_each_account(page->server, add_account, &sums);
    if (!err && options->subs != PP_SUBS_NONE)
        err = list_fill(page, &list);
    if (!err) {
        pp_page_begin(page, &json);
        put_index(page, &json, &sums);
        pp_json_u64(&json, "total", list.total);
        pp_json_u64(&json, "offset", pp_page_offset(page));
        pp_json_u64(&json, "limit", pp_page_limit(page));
        put_list(page, &json, &list);
        err = pp_page_end(&json);
    }
    pp_entry_subs_fini(&list.subs);
    pp_gathered_fini(&list.conns);
    return err;
}
