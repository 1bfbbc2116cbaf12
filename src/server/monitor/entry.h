/* server/monitor/entry.h -- a connection, a subscription, as JSON. */
#ifndef PP_SERVER_MONITOR_ENTRY_H
#define PP_SERVER_MONITOR_ENTRY_H

#include "server/monitor/gather.h"
#include "server/monitor/page.h"

/* Subscriptions by connection, in the order of their ids. Zeroed: none were asked for. */
struct pp_entry_subs {
    pp_gathered gathered;
    pp_sub_record **list;
    size_t count;
};

/* As pp_gather_subs; what belongs to rounds that do not count is left out. */
pipit_err pp_entry_subs_gather(pipit_server *server, pp_gather_wish *wishes, size_t wish_count,
                               pp_gather_filter filter, const void *filter_arg,
                               struct pp_entry_subs *out);
void pp_entry_subs_fini(struct pp_entry_subs *subs);

/* One connection as /connz has it, with the subscriptions that the page's options ask for. */
void pp_entry_write(const pp_page *page, pp_json *json, const pp_conn_record *conn,
                    const struct pp_entry_subs *subs);

/* One subscription in detail; account empty: not said. */
void pp_entry_write_sub(pp_json *json, const pp_sub_record *sub, pp_str account);

#endif
