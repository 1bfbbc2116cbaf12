/* server/monitor/ui/ui.h -- the page for browsers, whose files are part of the program.
 *
 * It asks the endpoints beside it and nothing else: all files come from here, and a policy says so
 * to the browser. web/ has what they are made of. */
#ifndef PP_SERVER_MONITOR_UI_UI_H
#define PP_SERVER_MONITOR_UI_UI_H

#include "http/door.h"

struct pipit_server;

typedef enum pp_ui_verdict {
    PP_UI_NOT_MINE, /* no path of the page's: the ticket is still the caller's */
    PP_UI_ANSWERED,
    PP_UI_BUSY, /* no memory; the ticket is still the caller's */
} pp_ui_verdict;

/* Answer a request for a file of the page, if this is one. Thread: the connection's loop. */
pp_ui_verdict pp_ui_answer(const struct pipit_server *server, const pp_http_request *request,
                           pp_http_ticket ticket);

#endif
