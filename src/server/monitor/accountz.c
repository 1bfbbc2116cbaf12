/* Accounts: which there are, and one in detail. */
#include "server/monitor/page.h"
#include "server/monitor/passages.h"
#include "server/monitor/records.h"

struct visit {
    pp_json *json;
    pp_str wanted;
    bool found;
    int64_t loaded_ns;
};

static void put_name(const pp_account_sums *sums, void *arg)
{
    pp_json_text(((struct visit *)arg)->json, NULL, pp_str_of(sums->name));
}

static void put_index(pp_json *json, const pp_account_sums *sums)
{
    pp_json_begin_object(json, "sublist_stats");
    pp_json_u64(json, "num_subscriptions", sums->subs);
    pp_json_u64(json, "num_cache", 0); /* routes are remembered by loops; see /subsz */
    pp_json_u64(json, "num_inserts", sums->subs_inserted);
    pp_json_u64(json, "num_removes", sums->subs_removed);
    pp_json_u64(json, "num_matches", 0);
    pp_json_f64(json, "cache_hit_rate", 0);
    pp_json_u64(json, "max_fanout", 0);
    pp_json_f64(json, "avg_fanout", 0);
    pp_json_end_object(json);
}

void pp_account_detail_write(pp_json *json, const char *key, const pp_account_sums *sums,
                             int64_t loaded_ns)
{
    const pp_account_about *about = atomic_load(&((pp_account *)sums->account)->about);

    pp_json_begin_object(json, key);
    pp_json_text(json, "account_name", pp_str_of(sums->name));
    pp_json_time(json, "update_time", loaded_ns);
    if (sums->is_system)
        pp_json_bool(json, "is_system", true);
    pp_json_bool(json, "expired", false);
    pp_json_bool(json, "complete", true);
    pp_json_bool(json, "jetstream_enabled", false);
    pp_json_u64(json, "leafnode_connections", 0);
    pp_json_u64(json, "client_connections", sums->conns);
    pp_json_u64(json, "subscriptions", sums->subs);
    pp_account_passages_write(json, sums->account);
    if (about && about->issuer.len)
        pp_json_text(json, "issuer_key", about->issuer);
    pp_json_text(json, "name_tag", sums->title);
    pp_tags_write(json, about ? about->tags : PP_STR(""));
    put_index(json, sums);
    pp_json_end_object(json);
}

static void put_detail(const pp_account_sums *sums, void *arg)
{
    struct visit *visit = arg;

    if (!pp_str_eq(pp_str_of(sums->name), visit->wanted))
        return;
    visit->found = true;
    pp_account_detail_write(visit->json, "account_detail", sums, visit->loaded_ns);
}

pipit_err pp_monitor_write_accountz(pp_page *page)
{
    const char *system = pp_vitals_system_account(page->server);
    pp_json json;
    struct visit visit = {
        .json = &json,
        .wanted = page->options->account,
        .loaded_ns = page->server->config_wall_ns,
    };
    pipit_err err;

    pp_page_begin(page, &json);
    if (system)
        pp_json_text(&json, "system_account", pp_str_of(system));
    if (visit.wanted.len) {
        err = pp_vitals_each_account(page->server, put_detail, &visit);
    } else {
        pp_json_begin_array(&json, "accounts");
        err = pp_vitals_each_account(page->server, put_name, &visit);
        pp_json_end_array(&json);
    }
    if (!err)
        err = pp_page_end(&json);
    if (!err && visit.wanted.len && !visit.found)
        err = pp_page_refuse(page, 400, "Account %.*s does not exist", PP_STR_ARGS(visit.wanted));
    return err;
}
