/* server/monitor/sweep.h -- looking at what belongs to loops, on their threads, a slice at a time.
 *
 * A step does a piece of work of some microseconds. A loop takes steps for a slice of time and then
 * goes on with its own work; what is left comes with a later turn. So however much there is to
 * look at, no turn becomes longer by more than a slice and one step. */
#ifndef PP_SERVER_MONITOR_SWEEP_H
#define PP_SERVER_MONITOR_SWEEP_H

#include <stdbool.h>
#include <stddef.h>

struct pipit_server;
struct pp_worker;

/* state is the loop's own. True: nothing is left on this loop. */
typedef bool (*pp_sweep_step)(struct pp_worker *worker, void *state);

/* Take steps on every loop that runs, on one after another, until all are through; returns then.
 * states has one entry of state_bytes for each loop. Thread: any but a loop's; loops must go on
 * until it returns. */
void pp_sweep(struct pipit_server *server, pp_sweep_step step, void *states, size_t state_bytes);

#endif
