/* What accounts have sent and received. */
#include "server/monitor/page.h"

struct visit {
    pp_json json;
    const pp_monitor_options *options;
};

static void put_traffic(pp_json *json, const char *key, uint64_t msgs, uint64_t bytes)
{
    static const char *const kinds[] = {"gateways", "routes", "leafs"}; /* there are none */

    pp_json_begin_object(json, key);
    pp_json_u64(json, "msgs", msgs);
    pp_json_u64(json, "bytes", bytes);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        pp_json_begin_object(json, kinds[i]);
        pp_json_u64(json, "msgs", 0);
        pp_json_u64(json, "bytes", 0);
        pp_json_end_object(json);
    }
    pp_json_end_object(json);
}

void pp_account_sums_write(pp_json *json, const pp_account_sums *sums)
{
    pp_json_text(json, "acc", pp_str_of(sums->name));
    pp_json_text(json, "name", sums->title);
    pp_json_u64(json, "conns", sums->conns);
    pp_json_u64(json, "leafnodes", 0);
    pp_json_u64(json, "total_conns", sums->conns); /* with leaf nodes */
    pp_json_u64(json, "num_subscriptions", sums->subs);
    put_traffic(json, "sent", sums->out_msgs, sums->out_bytes);
    put_traffic(json, "received", sums->in_msgs, sums->in_bytes);
    pp_json_u64(json, "slow_consumers", sums->slow_consumers);
}

/* Is it among the names, each closed by NUL? */
static bool is_among(pp_str names, pp_str name)
{
    while (names.len) {
        pp_str next = pp_str_of(names.ptr);

        if (pp_str_eq(next, name))
            return true;
        names.ptr += next.len + 1;
        names.len -= next.len + 1;
    }
    return false;
}

static void put_account(const pp_account_sums *sums, void *arg)
{
    struct visit *visit = arg;
    const pp_monitor_options *options = visit->options;
    pp_str name = pp_str_of(sums->name);

    if (options->only_account ? !pp_str_eq(options->account, name)
                              : options->among.len && !is_among(options->among, name))
        return;
    if (!options->unused && sums->conns == 0)
        return;
    pp_json_begin_object(&visit->json, NULL);
    pp_account_sums_write(&visit->json, sums);
    pp_json_end_object(&visit->json);
}

pipit_err pp_monitor_write_accstatz(pp_page *page)
{
    struct visit visit = {.options = page->options};
    pipit_err err;

    pp_page_begin(page, &visit.json);
    pp_json_begin_array(&visit.json, "account_statz");
    err = pp_vitals_each_account(page->server, put_account, &visit);
    pp_json_end_array(&visit.json);
    return err ? err : pp_page_end(&visit.json);
}
