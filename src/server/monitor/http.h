/* server/monitor/http.h -- the monitoring port: requests over HTTP become questions to the monitor.
 *
 * Its connections all live on the first loop and do not count as clients. */
#ifndef PP_SERVER_MONITOR_HTTP_H
#define PP_SERVER_MONITOR_HTTP_H

#include "base/err.h"

struct pipit_server;

/* Take credentials and base path from the options. Errors: PIPIT_EINVAL; PIPIT_ENOMEM; PIPIT_EIO.
 */
pipit_err pp_http_monitor_init(struct pipit_server *server);
/* Only when its connections are gone. May be called without init. */
void pp_http_monitor_fini(struct pipit_server *server);

/* Bind, if a port is asked for; says so in the log. */
pipit_err pp_http_monitor_listen(struct pipit_server *server);
/* Begin to accept. The loops and the monitor run. */
pipit_err pp_http_monitor_start(struct pipit_server *server);

#endif
