/* base/cgroup.h -- what the container, or whatever control group this is, allows. */
#ifndef PP_BASE_CGROUP_H
#define PP_BASE_CGROUP_H

#include <stddef.h>
#include <stdint.h>

/**
 * The least memory that this process' control group and those it lies in allow, in bytes; 0: they
 * set no limit, or cannot be read.
 *
 * Reads version 2 and, for the memory controller of version 1, that. root stands before the paths
 * /proc/self/cgroup and /sys/fs/cgroup: empty, but for tests.
 *
 * Source: Linux, Documentation/admin-guide/cgroup-v2.rst, "memory.max", and cgroup-v1/memory.rst,
 * "memory.limit_in_bytes"; cgroup_namespaces(7) on paths that are not visible from here.
 */
uint64_t pp_cgroup_memory_max(const char *root);

#endif
