/* server/monitor/exposition.h -- writing metrics: OpenMetrics 1.0, or the text format 0.0.4 for
 * scrapers that do not know it. They differ in the names of counters' families and in the end.
 *
 * As in a pp_json the first failure sticks. Names are this program's; values of labels may hold any
 * bytes. */
#ifndef PP_SERVER_MONITOR_EXPOSITION_H
#define PP_SERVER_MONITOR_EXPOSITION_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct pp_exposition {
    pp_buf *out;
    bool open_metrics;
    const char *family; /* at hand, without "_total" */
    const char *suffix; /* of its samples */
    pipit_err err;
} pp_exposition;

/* A label; name NULL: none. */
typedef struct pp_label {
    const char *name;
    pp_str value;
} pp_label;

#define PP_NO_LABEL ((pp_label){NULL, {NULL, 0}})

void pp_exposition_init(pp_exposition *e, pp_buf *out, bool open_metrics);
pipit_err pp_exposition_finish(pp_exposition *e);
const char *pp_exposition_content_type(bool open_metrics);

/* Begin a family; samples follow. The name of a counter goes without "_total", that of an info
 * without "_info". */
void pp_exposition_counter(pp_exposition *e, const char *name, const char *help);
void pp_exposition_gauge(pp_exposition *e, const char *name, const char *help);
void pp_exposition_histogram(pp_exposition *e, const char *name, const char *help);
void pp_exposition_info(pp_exposition *e, const char *name, const char *help);

void pp_exposition_u64(pp_exposition *e, pp_label label, uint64_t value);
void pp_exposition_seconds(pp_exposition *e, pp_label label, uint64_t ns);
/* A sample of value 1 with several labels; the last has no name. */
void pp_exposition_labels(pp_exposition *e, const pp_label *labels);

/* One histogram of times: counts of buckets that end at bounds_ns, the last without end. */
void pp_exposition_times(pp_exposition *e, pp_label label, const uint64_t *counts,
                         const uint64_t *bounds_ns, unsigned bucket_count, uint64_t sum_ns);

#endif
