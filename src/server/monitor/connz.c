/* Connections, open and closed: copied out, chosen, sorted, and one page of them written.
 * Source: NATS monitoring, section 3. */
#include "base/alloc.h"
#include "core/subject.h"
#include "server/monitor/entry.h"
#include "server/monitor/gather.h"
#include "server/monitor/history.h"
#include "server/monitor/page.h"

#include <stdlib.h>

/* A connection with what it is sorted by: ascending, then by id. */
struct row {
    uint64_t key;
    const char *text; /* of the reason, which goes before key; NULL: none does */
    const pp_conn_record *conn;
};

struct table {
    pp_gathered open;
    pp_records closed;
    void **closed_list;
    struct row *rows;
    size_t count;
    uint64_t total; /* in that state and account, before other filters */
};

static void table_fini(struct table *table)
{
    pp_gathered_fini(&table->open);
    pp_records_fini(&table->closed);
    pp_free(table->closed_list);
    pp_free(table->rows);
}

/* --- which, and in which order ------------------------------------------------------------ */

static uint64_t key_of(const pp_page *page, const pp_conn_record *c)
{
    uint64_t end_ns = (uint64_t)(c->stop_ns ? c->stop_ns : page->now_ns);

    switch (page->options->sort) {
    case PP_SORT_CID:
    case PP_SORT_START:
    case PP_SORT_REASON:
        return c->cid;
    case PP_SORT_SUBS:
        return ~(uint64_t)c->subs;
    case PP_SORT_PENDING:
        return ~c->pending_bytes;
    case PP_SORT_MSGS_TO:
        return ~c->out_msgs;
    case PP_SORT_MSGS_FROM:
        return ~c->in_msgs;
    case PP_SORT_BYTES_TO:
        return ~c->out_bytes;
    case PP_SORT_BYTES_FROM:
        return ~c->in_bytes;
    case PP_SORT_LAST:
        return ~(uint64_t)c->active_ns;
    case PP_SORT_IDLE:
        return ~(end_ns - (uint64_t)c->active_ns);
    case PP_SORT_UPTIME:
        return end_ns - (uint64_t)c->start_ns;
    case PP_SORT_STOP:
        return ~(uint64_t)c->stop_ns;
    case PP_SORT_RTT:
        return ~(uint64_t)c->rtt_us;
    }
    return c->cid;
}

static int by_key(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = x->text && y->text ? strcmp(x->text, y->text) : 0;

    if (order)
        return order;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->conn->cid < y->conn->cid ? -1 : x->conn->cid > y->conn->cid;
}

static bool in_account(const pp_page *page, const pp_conn_record *conn)
{
    pp_str account = page->options->account;

    return !account.len || pp_str_eq(account, pp_conn_record_text(conn, PP_RECORD_ACCOUNT));
}

static bool is_wanted(const pp_page *page, const pp_conn_record *conn)
{
    const pp_monitor_options *o = page->options;

    if (o->cid && conn->cid != o->cid)
        return false;
    if (o->mqtt_client.len) /* there are none */
        return false;
    return !o->user.len || pp_str_eq(o->user, pp_conn_record_text(conn, PP_RECORD_USER));
}

static void add_rows(const pp_page *page, struct table *table, void *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const pp_conn_record *conn = list[i];

        if (!in_account(page, conn))
            continue;
        table->total++;
        if (!is_wanted(page, conn))
            continue;
        table->rows[table->count++] = (struct row){
            .key = key_of(page, conn),
            .text = page->options->sort == PP_SORT_REASON
                        ? pp_close_reason_text((pp_close_reason)conn->reason)
                        : NULL,
            .conn = conn,
        };
    }
}

static bool is_filter_met(const void *arg, pp_str subject)
{
    pp_str filter = *(const pp_str *)arg;

    return pp_subject_subset(filter, subject) || pp_subject_subset(subject, filter);
}

static int by_cid(const void *a, const void *b)
{
    const pp_sub_record *x = *(void *const *)a, *y = *(void *const *)b;

    return x->cid < y->cid ? -1 : x->cid > y->cid;
}

/* Keep only those that have a subscription which the subject filter meets. */
static pipit_err filter_by_subject(pp_page *page, struct table *table)
{
    pp_str filter = page->options->filter_subject;
    pp_gather_wish *wishes;
    pp_gathered subs;
    size_t kept = 0;
    pipit_err err;

    if (!filter.len || !table->count)
        return PIPIT_OK;
    wishes = pp_calloc(table->count, sizeof(*wishes));
    if (!wishes)
        return PIPIT_ENOMEM;
    for (size_t i = 0; i < table->count; i++)
        wishes[i].cid = table->rows[i].conn->cid;
    err = pp_gather_subs(page->server, wishes, table->count, is_filter_met, &filter, &subs);
    pp_free(wishes);
    if (err)
        return err;
    if (subs.count)
        qsort(subs.list, subs.count, sizeof(*subs.list), by_cid);
    for (size_t i = 0; i < table->count; i++) {
        pp_sub_record key = {.cid = table->rows[i].conn->cid};
        void *at = &key;

        if (subs.count && bsearch(&at, subs.list, subs.count, sizeof(*subs.list), by_cid))
            table->rows[kept++] = table->rows[i];
    }
    table->count = kept;
    pp_gathered_fini(&subs);
    return PIPIT_OK;
}

static pipit_err table_fill(pp_page *page, struct table *table)
{
    const pp_monitor_options *options = page->options;
    pipit_err err = PIPIT_OK;

    pp_records_init(&table->closed, PP_HISTORY_BYTES_MAX);
    if (options->state != PP_STATE_OPEN) {
        pp_history_copy(page->server->history, &table->closed);
        table->closed_list = pp_records_list(&table->closed);
        if (table->closed.err || (table->closed.count && !table->closed_list))
            return PIPIT_ENOMEM;
    }
    if (options->state != PP_STATE_CLOSED)
        err = pp_gather_conns(page->server,
                              (pp_gather_conns_wish){.rtt = true, .peer_certs = options->auth},
                              &table->open);
    if (err)
        return err;
    table->rows = pp_alloc((table->open.count + table->closed.count) * sizeof(*table->rows));
    if (!table->rows)
        return PIPIT_ENOMEM;
    add_rows(page, table, table->open.list, table->open.count);
    add_rows(page, table, table->closed_list, table->closed.count);
    err = filter_by_subject(page, table);
    if (!err && table->count)
        qsort(table->rows, table->count, sizeof(*table->rows), by_key);
    return err;
}

/* --- the page ----------------------------------------------------------------------------- */

/* Subscriptions of the open connections of this page. */
static pipit_err gather_page_subs(pp_page *page, const struct row *rows, size_t count,
                                  struct pp_entry_subs *out)
{
    pp_gather_wish *wishes = pp_calloc(count ? count : 1, sizeof(*wishes));
    size_t wanted = 0;
    pipit_err err;

    if (!wishes)
        return PIPIT_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].conn->stop_ns)
            wishes[wanted++].cid = rows[i].conn->cid;
    }
    err = pp_entry_subs_gather(page->server, wishes, wanted, NULL, NULL, out);
    pp_free(wishes);
    return err;
}

static pipit_err write_page(pp_page *page, const struct table *table)
{
    const pp_monitor_options *options = page->options;
    size_t offset = pp_page_offset(page), limit = options->cid ? 1 : pp_page_limit(page);
    size_t first = offset < table->count ? offset : table->count;
    size_t count = table->count - first < limit ? table->count - first : limit;
    struct pp_entry_subs subs = {0};
    pipit_err err = PIPIT_OK;
    pp_json json;

    if (options->subs != PP_SUBS_NONE)
        err = gather_page_subs(page, table->rows + first, count, &subs);
    if (err)
        return err;
    pp_page_begin(page, &json);
    pp_json_u64(&json, "num_connections", count);
    pp_json_u64(&json, "total", table->total);
    pp_json_u64(&json, "offset", offset);
    pp_json_u64(&json, "limit", limit);
    pp_json_begin_array(&json, "connections");
    for (size_t i = 0; i < count; i++)
        pp_entry_write(page, &json, table->rows[first + i].conn, &subs);
    pp_json_end_array(&json);
    pp_entry_subs_fini(&subs);
    return pp_page_end(&json);
}

struct search {
    pp_str name;
    bool found;
};

static void look(const pp_account_sums *sums, void *arg)
{
    struct search *search = arg;

    search->found |= pp_str_eq(search->name, pp_str_of(sums->name));
}

/* As the reference: no error, but a reply that is no server's. */
static pipit_err write_unknown_account(pp_page *page)
{
    pp_json json;

    pp_page_json(page, &json, 2);
    pp_json_begin_object(&json, NULL);
    pp_json_text(&json, "server_id", PP_STR(""));
    pp_json_time(&json, "now", page->now_wall_ns);
    pp_json_u64(&json, "num_connections", 0);
    pp_json_u64(&json, "total", 0);
    pp_json_u64(&json, "offset", pp_page_offset(page));
    pp_json_u64(&json, "limit", pp_page_limit(page));
    pp_json_null(&json, "connections");
    return pp_page_end(&json);
}

pipit_err pp_monitor_write_connz(pp_page *page)
{
    const pp_monitor_options *options = page->options;
    struct search search = {.name = options->account};
    struct table table = {0};
    pipit_err err;

    if (options->sort == PP_SORT_STOP && options->state != PP_STATE_CLOSED)
        return pp_page_refuse(page, 400, "sort by stop only valid on closed connections");
    if (options->sort == PP_SORT_REASON && options->state != PP_STATE_CLOSED)
        return pp_page_refuse(page, 400, "sort by reason only valid on closed connections");
    if (options->filter_subject.len && !options->account.len)
        return pp_page_refuse(page, 400, "filter by subject only valid with account filtering");
    if (options->account.len) {
        err = pp_vitals_each_account(page->server, look, &search);
        if (err)
            return err;
        if (!search.found)
            return write_unknown_account(page);
    }
    err = table_fill(page, &table);
    if (!err)
        err = write_page(page, &table);
    table_fini(&table);
    return err;
}
