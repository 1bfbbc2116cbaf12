/* process.c -- CPU time comes from the process's CPU clock, which counts nanoseconds, rather than
 * from /proc/PID/stat, which counts 10 ms ticks of the same sum (utime + stime): a fast server
 * spends only a few dozen ticks in a run. Memory comes from /proc/PID/status. */
#include "process.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fatal.h"

static int64_t read_clock_ns(clockid_t clock)
{
    struct timespec now;

    if (clock_gettime(clock, &now) != 0)
        return -1;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t bench_now_ns(void)
{
    return read_clock_ns(CLOCK_MONOTONIC);
}

bench_instant bench_instant_take(pid_t pid)
{
    bench_instant instant = {0};
    clockid_t clock;

    if (pid > 0) {
        if (clock_getcpuclockid(pid, &clock) != 0)
            bench_fatal("no process %d to read the CPU time of", (int)pid);
        instant.server_cpu_ns = read_clock_ns(clock);
        if (instant.server_cpu_ns < 0)
            bench_fatal("the CPU clock of process %d cannot be read", (int)pid);
    }
    instant.bench_cpu_ns = read_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    instant.time_ns = bench_now_ns();
    return instant;
}

bench_memory bench_memory_take(pid_t pid)
{
    bench_memory memory = {0};
    char path[64];
    char line[256];
    unsigned long long kib;
    FILE *file;

    if (pid <= 0)
        return memory;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    file = fopen(path, "r");
    if (!file)
        bench_fatal("%s cannot be read: is the server still running?", path);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "VmRSS: %llu kB", &kib) == 1)
            memory.resident_kib = kib;
        else if (sscanf(line, "VmHWM: %llu kB", &kib) == 1)
            memory.peak_kib = kib;
    }
    (void)fclose(file); /* read only */
    return memory;
}
