/* scenario.h -- what pipit-bench can do: one file each, all of this shape. */
#ifndef BENCH_SCENARIO_H
#define BENCH_SCENARIO_H

#include <stdbool.h>

#include "options.h"

/* Run, report on stdout, and return true if nothing was lost or out of order. */
bool bench_run_publish(const bench_options *options); /* flow.c */
bool bench_run_deliver(const bench_options *options); /* flow.c */
bool bench_run_request(const bench_options *options);
bool bench_run_paced(const bench_options *options);
bool bench_run_announce(const bench_options *options);
bool bench_run_idle(const bench_options *options);
bool bench_run_churn(const bench_options *options);
bool bench_run_handshake(const bench_options *options);
bool bench_run_start(const bench_options *options);

#endif
