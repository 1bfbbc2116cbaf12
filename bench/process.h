/* process.h -- what the measured server, and this program, cost: CPU time and memory. */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

/* One instant. server_cpu_ns is 0 when no server process was named. */
typedef struct bench_instant {
    int64_t time_ns;       /* monotonic clock */
    int64_t server_cpu_ns; /* user and system, all threads, since the server started */
    int64_t bench_cpu_ns;  /* the same of this program */
} bench_instant;

typedef struct bench_memory {
    uint64_t resident_kib; /* VmRSS */
    uint64_t peak_kib;     /* VmHWM */
} bench_memory;

int64_t bench_now_ns(void);

/* pid 0 means that the server's process is not known. Ends the program when pid does not exist. */
bench_instant bench_instant_take(pid_t pid);
bench_memory bench_memory_take(pid_t pid);

#endif
