/* server/monitor/page.h -- an answer under construction, and who constructs which. */
#ifndef PP_SERVER_MONITOR_PAGE_H
#define PP_SERVER_MONITOR_PAGE_H

#include "base/json.h"
#include "server/monitor/monitor.h"
#include "server/monitor/vitals.h"
#include "server/server.h"

typedef struct pp_page {
    const pp_monitor *monitor;
    pipit_server *server;
    const pp_monitor_options *options;
    pp_cpu_meter *cpu;
    int64_t now_wall_ns, now_ns; /* the same moment by two clocks */
    pp_buf body;
    int status;
    const char *content_type;
    bool open_to_all;
} pp_page;

/* One function for each endpoint. Page has status 200 and the headers of JSON to begin with.
 * Errors: PIPIT_ENOMEM, PIPIT_ETOOBIG: there is no page then. */
#define PP_MONITOR_WRITER(name, path, counted, noun)                                               \
    pipit_err pp_monitor_write_##noun(pp_page *page);
PP_MONITOR_ENDPOINTS(PP_MONITOR_WRITER)
#undef PP_MONITOR_WRITER

/* Begin the page's JSON; the reference indents by two blanks, and some by three. */
void pp_page_json(pp_page *page, pp_json *json, unsigned indent);
/* Begin its outermost object with the server's id and the time. */
void pp_page_begin(pp_page *page, pp_json *json);
/* End that object. */
pipit_err pp_page_end(pp_json *json);

/* An account's traffic as fields of the object that has been begun. */
void pp_account_sums_write(pp_json *json, const pp_account_sums *sums);
/* What is known of an account, as an object. */
void pp_account_detail_write(pp_json *json, const char *key, const pp_account_sums *sums,
                             int64_t loaded_ns);

/* Make it a text that says what is wrong, whatever was written before. */
pipit_err pp_page_refuse(pp_page *page, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What paging comes to. */
static inline size_t pp_page_offset(const pp_page *page)
{
    return page->options->offset > 0 ? (size_t)page->options->offset : 0;
}

static inline size_t pp_page_limit(const pp_page *page)
{
    return page->options->limit > 0 ? (size_t)page->options->limit : PP_MONITOR_LIMIT_DEFAULT;
}

/* Requests counted for an endpoint (under one path, those of all its endpoints). */
uint64_t pp_monitor_requests(const pp_monitor *monitor, pp_monitor_endpoint endpoint);

/* Jobs that wait. */
size_t pp_monitor_waiting(const pp_monitor *monitor);

#endif
