#include "server/monitor/entry.h"

#include "base/alloc.h"
#include "server/monitor/span.h"

#include <stdlib.h>

/* --- subscriptions ------------------------------------------------------------------------ */

/* By connection, then as numbers are counted up. */
static int by_cid_and_sid(const void *a, const void *b)
{
    const pp_sub_record *x = *(pp_sub_record *const *)a, *y = *(pp_sub_record *const *)b;

    if (x->cid != y->cid)
        return x->cid < y->cid ? -1 : 1;
    if (x->sid_len != y->sid_len)
        return x->sid_len < y->sid_len ? -1 : 1;
    return memcmp(pp_sub_record_sid(x).ptr, pp_sub_record_sid(y).ptr, x->sid_len);
}

static int by_wish(const void *a, const void *b)
{
    const pp_gather_wish *x = a, *y = b;

    return x->cid < y->cid ? -1 : x->cid > y->cid;
}

static bool counts(const pp_sub_record *sub, const pp_gather_wish *wishes, size_t wish_count)
{
    const pp_gather_wish key = {.cid = sub->cid};
    const pp_gather_wish *wish = bsearch(&key, wishes, wish_count, sizeof(key), by_wish);

    return wish && wish->round == sub->round;
}

pipit_err pp_entry_subs_gather(pipit_server *server, pp_gather_wish *wishes, size_t wish_count,
                               pp_gather_filter filter, const void *filter_arg,
                               struct pp_entry_subs *out)
{
    pipit_err err;

    *out = (struct pp_entry_subs){0};
    if (wish_count == 0)
        return PIPIT_OK;
    qsort(wishes, wish_count, sizeof(*wishes), by_wish);
    err = pp_gather_subs(server, wishes, wish_count, filter, filter_arg, &out->gathered);
    if (err || out->gathered.count == 0)
        return err;
    out->list = (pp_sub_record **)out->gathered.list;
    for (size_t i = 0; i < out->gathered.count; i++) {
        if (counts(out->list[i], wishes, wish_count))
            out->list[out->count++] = out->list[i];
    }
    qsort(out->list, out->count, sizeof(*out->list), by_cid_and_sid);
    return PIPIT_OK;
}

void pp_entry_subs_fini(struct pp_entry_subs *subs)
{
    pp_gathered_fini(&subs->gathered);
    *subs = (struct pp_entry_subs){0};
}

void pp_entry_write_sub(pp_json *json, const pp_sub_record *sub, pp_str account)
{
    pp_str queue = pp_sub_record_queue(sub);

    pp_json_begin_object(json, NULL);
    if (account.len) {
        pp_json_text(json, "account", account);
        pp_json_text(json, "account_tag", account);
    }
    pp_json_text(json, "subject", pp_sub_record_subject(sub));
    if (queue.len)
        pp_json_text(json, "qgroup", queue);
    pp_json_text(json, "sid", pp_sub_record_sid(sub));
    pp_json_u64(json, "msgs", sub->msgs);
    if (sub->max)
        pp_json_u64(json, "max", sub->max);
    pp_json_u64(json, "cid", sub->cid);
    pp_json_end_object(json);
}

/* Source: the reference says the account with those of a connection that has closed, only. */
static void write_listed_sub(const pp_page *page, pp_json *json, const pp_sub_record *sub,
                             pp_str account)
{
    if (page->options->subs == PP_SUBS_DETAIL)
        pp_entry_write_sub(json, sub, account);
    else
        pp_json_text(json, NULL, pp_sub_record_subject(sub));
}

/* The first of a connection's. */
static size_t find_subs(const struct pp_entry_subs *subs, uint64_t cid)
{
    size_t low = 0, high = subs->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (subs->list[middle]->cid < cid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void write_subs(const pp_page *page, pp_json *json, const pp_conn_record *conn,
                       const struct pp_entry_subs *subs)
{
    const char *key =
        page->options->subs == PP_SUBS_DETAIL ? "subscriptions_list_detail" : "subscriptions_list";
    size_t at = find_subs(subs, conn->cid);
    const char *kept = (const char *)conn + conn->bytes - conn->subs_bytes;

    if (!conn->subs_bytes && (at == subs->count || subs->list[at]->cid != conn->cid))
        return; /* left out when there is nothing in it */
    pp_json_begin_array(json, key);
    for (const char *end = (const char *)conn + conn->bytes; kept < end;) {
        const pp_sub_record *sub = (const pp_sub_record *)(const void *)kept;

        write_listed_sub(page, json, sub, pp_conn_record_text(conn, PP_RECORD_ACCOUNT));
        kept += sub->bytes;
    }
    for (; at < subs->count && subs->list[at]->cid == conn->cid; at++)
        write_listed_sub(page, json, subs->list[at], (pp_str){NULL, 0});
    pp_json_end_array(json);
}

/* --- connections -------------------------------------------------------------------------- */

static void write_peer(pp_json *json, const pp_conn_record *conn)
{
    char text[48];

    pp_conn_address_text(conn->family, conn->address, text);
    pp_json_u64(json, "cid", conn->cid);
    pp_json_text(json, "kind", PP_STR("Client"));
    pp_json_text(json, "type", pp_str_of(conn->type));
    pp_json_text(json, "ip", pp_str_of(text));
    pp_json_u64(json, "port", conn->port);
}

static void write_times(const pp_page *page, pp_json *json, const pp_conn_record *conn)
{
    int64_t end_ns = conn->stop_ns ? conn->stop_ns : page->now_ns;
    char text[PP_SPAN_TEXT_BYTES];

    pp_json_time(json, "start", pp_vitals_wall_ns(page->server, conn->start_ns));
    pp_json_time(json, "last_activity", pp_vitals_wall_ns(page->server, conn->active_ns));
    if (conn->stop_ns) {
        pp_json_time(json, "stop", pp_vitals_wall_ns(page->server, conn->stop_ns));
        pp_json_text(json, "reason",
                     pp_str_of(pp_close_reason_text((pp_close_reason)conn->reason)));
    }
    pp_json_text(json, "rtt", (pp_str){text, pp_span_format(text, (int64_t)conn->rtt_us * 1000)});
    pp_json_text(json, "uptime", (pp_str){text, pp_uptime_format(text, end_ns - conn->start_ns)});
    pp_json_text(json, "idle", (pp_str){text, pp_uptime_format(text, end_ns - conn->active_ns)});
}

static void write_traffic(pp_json *json, const pp_conn_record *conn)
{
    pp_json_u64(json, "pending_bytes", conn->pending_bytes);
    pp_json_u64(json, "in_msgs", conn->in_msgs);
    pp_json_u64(json, "out_msgs", conn->out_msgs);
    pp_json_u64(json, "in_bytes", conn->in_bytes);
    pp_json_u64(json, "out_bytes", conn->out_bytes);
    if (conn->stalls)
        pp_json_u64(json, "stalls", conn->stalls);
    if (conn->dropped)
        pp_json_u64(json, "dropped", conn->dropped);
    pp_json_u64(json, "subscriptions", conn->subs);
}

static void write_text(pp_json *json, const char *key, const pp_conn_record *conn,
                       enum pp_record_text which)
{
    pp_str text = pp_conn_record_text(conn, which);

    if (text.len)
        pp_json_text(json, key, text);
}

void pp_entry_write(const pp_page *page, pp_json *json, const pp_conn_record *conn,
                    const struct pp_entry_subs *subs)
{
    pp_str account = pp_conn_record_text(conn, PP_RECORD_ACCOUNT);

    pp_json_begin_object(json, NULL);
    write_peer(json, conn);
    write_times(page, json, conn);
    write_traffic(json, conn);
    write_text(json, "name", conn, PP_RECORD_NAME);
    write_text(json, "lang", conn, PP_RECORD_LANG);
    write_text(json, "version", conn, PP_RECORD_VERSION);
    write_text(json, "tls_version", conn, PP_RECORD_TLS_VERSION);
    write_text(json, "tls_cipher_suite", conn, PP_RECORD_TLS_CIPHER);
    if (pp_conn_record_text(conn, PP_RECORD_PEER_CERTS).len)
        pp_json_raw(json, "tls_peer_certs", pp_conn_record_text(conn, PP_RECORD_PEER_CERTS));
    if (conn->tls_first)
        pp_json_bool(json, "tls_first", true);
    if (page->options->auth) {
        write_text(json, "authorized_user", conn, PP_RECORD_USER);
        if (!pp_str_eq(account, PP_STR("$G")))
            write_text(json, "account", conn, PP_RECORD_ACCOUNT);
    }
    if (page->options->subs != PP_SUBS_NONE)
        write_subs(page, json, conn, subs);
    if (page->options->auth) {
        write_text(json, "issuer_key", conn, PP_RECORD_ISSUER);
        write_text(json, "name_tag", conn, PP_RECORD_NAME_TAG);
        pp_tags_write(json, pp_conn_record_text(conn, PP_RECORD_TAGS));
    }
    if (pp_conn_record_text(conn, PP_RECORD_PROXY).len) {
        pp_json_begin_object(json, "proxy");
        write_text(json, "key", conn, PP_RECORD_PROXY);
        pp_json_end_object(json);
    }
    pp_json_end_object(json);
}
