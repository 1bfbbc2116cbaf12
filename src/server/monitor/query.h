/* server/monitor/query.h -- the query of a monitoring URL as options. */
#ifndef PP_SERVER_MONITOR_QUERY_H
#define PP_SERVER_MONITOR_QUERY_H

#include "base/buf.h"
#include "server/monitor/monitor.h"

enum { PP_QUERY_TEXTS_MAX = 16 * 1024 };

/* Options of a query, and the bytes of its texts. */
typedef struct pp_query {
    pp_monitor_options options;
    char texts[PP_QUERY_TEXTS_MAX];
    size_t texts_len;
    bool names_deprecated; /* js-enabled was used */
} pp_query;

/* Read what the endpoint understands; the rest is passed over. On PIPIT_EINVAL error holds what to
 * tell the caller. Errors: PIPIT_EINVAL; PIPIT_ETOOBIG texts too long; PIPIT_ENOMEM.
 * Source: NATS monitoring, section 1; the words of Go's strconv. */
pipit_err pp_query_parse(pp_query *query, pp_monitor_endpoint endpoint, pp_str text, pp_buf *error);

/* Does somebody who sends this Accept header prefer OpenMetrics to the older text format? */
bool pp_query_wants_open_metrics(pp_str accept);

#endif
