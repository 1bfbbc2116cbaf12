/* base/fault.h -- places where a test can make the world fail.
 *
 * A fault point stands where something outside can refuse: an allocation, a system call. A test
 * arms one (or "*", any) to report failure the nth time it is reached; production never arms. */
#ifndef PP_BASE_FAULT_H
#define PP_BASE_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

extern atomic_bool pp_fault_armed; /* read by every point; written by arm and disarm only */

bool pp_fault_reached(const char *point);

/* Does this point fail now? Thread: any. */
static inline bool pp_fault(const char *point)
{
    return __builtin_expect(atomic_load_explicit(&pp_fault_armed, memory_order_relaxed), 0) &&
           pp_fault_reached(point);
}

/* Let the nth arrival (from 1) at point fail, once; point "*" is any point. point is borrowed
 * until disarm. Arrivals of all threads count. */
void pp_fault_arm(const char *point, uint64_t nth);

/* Like pp_fault_arm, but every arrival from the nth on fails. */
void pp_fault_arm_from(const char *point, uint64_t nth);

/* Stop failing; answer whether a point failed since it was armed. */
bool pp_fault_disarm(void);

/* Let the calling thread pass all points untouched (the test's own side). */
void pp_fault_exempt_thread(bool exempt);

#endif
