#include "base/fault.h"

#include <string.h>

/* One test at a time arms; threads of a server that runs may be on their way through a point. */
atomic_bool pp_fault_armed;
static _Atomic(const char *) fault_point;
static atomic_uint_fast64_t fault_nth;
static atomic_bool fault_sticky;
static atomic_uint_fast64_t fault_arrivals;
static atomic_bool fault_fired;
static _Thread_local bool fault_exempt;

bool pp_fault_reached(const char *point)
{
    uint64_t arrival;

    if (!atomic_load_explicit(&pp_fault_armed, memory_order_acquire))
        return false; /* and from here on what arm wrote is seen */
    if (fault_exempt || (strcmp(fault_point, "*") != 0 && strcmp(fault_point, point) != 0))
        return false;
    arrival = atomic_fetch_add(&fault_arrivals, 1) + 1;
    if (arrival != atomic_load(&fault_nth) &&
        !(atomic_load(&fault_sticky) && arrival > atomic_load(&fault_nth)))
        return false;
    atomic_store(&fault_fired, true);
    return true;
}

static void arm(const char *point, uint64_t nth, bool sticky)
{
    atomic_store(&fault_point, point);
    atomic_store(&fault_nth, nth);
    atomic_store(&fault_sticky, sticky);
    atomic_store(&fault_arrivals, 0);
    atomic_store(&fault_fired, false);
    atomic_store(&pp_fault_armed, true);
}

void pp_fault_arm(const char *point, uint64_t nth)
{
    arm(point, nth, false);
}

void pp_fault_arm_from(const char *point, uint64_t nth)
{
    arm(point, nth, true);
}

bool pp_fault_disarm(void)
{
    atomic_store(&pp_fault_armed, false);
    return atomic_load(&fault_fired);
}

void pp_fault_exempt_thread(bool exempt)
{
    fault_exempt = exempt;
}
