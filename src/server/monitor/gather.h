/* server/monitor/gather.h -- records of open connections and of their subscriptions, from all
 * loops, without holding up any.
 *
 * What is gathered is no picture of one moment: each connection is copied at some time between
 * begin and end. One that is open all the while is there exactly once; one that comes or goes
 * meanwhile may be there. A subscription that is made or ended meanwhile may be missing. */
#ifndef PP_SERVER_MONITOR_GATHER_H
#define PP_SERVER_MONITOR_GATHER_H

#include "server/monitor/records.h"

struct pipit_server;

enum { PP_GATHER_BYTES_MAX = 256 * 1024 * 1024 };

/* Records of every loop. */
typedef struct pp_gathered {
    pp_records *by_loop;
    unsigned loop_count;
    void **list; /* all records, in no stated order */
    size_t count;
} pp_gathered;

void pp_gathered_fini(pp_gathered *gathered);

typedef struct pp_gather_conns_wish {
    bool rtt; /* ask those whose distance is not known: the answer comes too late for this time */
    bool peer_certs;
} pp_gather_conns_wish;

/* A pp_conn_record for each client connection. Errors: PIPIT_ENOMEM; PIPIT_ETOOBIG. */
pipit_err pp_gather_conns(struct pipit_server *server, pp_gather_conns_wish wish, pp_gathered *out);

/* Whose subscriptions are wanted. */
typedef struct pp_gather_wish {
    uint64_t cid;
    uint32_t round; /* filled in: records of other rounds are to be ignored */
} pp_gather_wish;

/* Is this subscription wanted? Pure. Thread: its loop. */
typedef bool (*pp_gather_filter)(const void *arg, pp_str subject);

/* A pp_sub_record for each subscription of those connections that passes the filter (NULL: all), in
 * the order of the wishes; wishes are grouped by loop or not at will. Errors: PIPIT_ENOMEM;
 * PIPIT_ETOOBIG. */
pipit_err pp_gather_subs(struct pipit_server *server, pp_gather_wish *wishes, size_t wish_count,
                         pp_gather_filter filter, const void *filter_arg, pp_gathered *out);

#endif
