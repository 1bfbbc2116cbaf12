/* server/system/question.h -- the body of a request: options of what is asked, and which servers it
 * is for. One JSON object, or nothing. */
#ifndef PP_SERVER_SYSTEM_QUESTION_H
#define PP_SERVER_SYSTEM_QUESTION_H

#include "base/buf.h"
#include "server/monitor/monitor.h"

struct json_t;
struct pp_system;

/* Which servers are meant. Texts that are empty name no one in particular. */
typedef struct pp_question_filter {
    pp_str server_name, cluster, host, domain;
    bool exact;                /* the first three are whole, not parts */
    const struct json_t *tags; /* all of them must be the server's; NULL: none demanded */
} pp_question_filter;

typedef struct pp_question {
    pp_monitor_options options; /* compact */
    pp_question_filter filter;
    struct json_t *root; /* holds the texts */
    pp_buf names;        /* holds options.among */
    int code;            /* of what is wrong */
    bool understood;     /* it was at least JSON with the right types */
    char error[256];
} pp_question;

/* Read a body, as it is for endpoint (PP_MONITOR_ENDPOINT_COUNT: for one without options). Other
 * keys are passed over. On PIPIT_EINVAL code, understood and error say what is wrong. Fini in any
 * case. Errors: PIPIT_EINVAL; PIPIT_ENOMEM. Source: NATS monitoring, section 18. */
pipit_err pp_question_parse(pp_question *question, pp_str body, pp_monitor_endpoint endpoint);
void pp_question_fini(pp_question *question);

/* Is this server among those that are meant? Another one stays silent. */
bool pp_question_is_for(const pp_question *question, struct pp_system *system);

#endif
