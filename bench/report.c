/* report.c -- see report.h. */
#include "report.h"

#include <stdio.h>

static void print_name(bench_report *report, const char *name)
{
    if (report->json)
        (void)printf("%s\"%s\": ", report->empty ? "" : ", ", name);
    else
        (void)printf("  %-34s ", name);
    report->empty = false;
}

bench_report bench_report_begin(bool json, const char *scenario)
{
    bench_report report = {.json = json, .empty = false};

    if (json)
        (void)printf("{\"scenario\": \"%s\"", scenario);
    else
        (void)printf("%s\n", scenario);
    return report;
}

void bench_report_count(bench_report *report, const char *name, uint64_t value)
{
    print_name(report, name);
    (void)printf(report->json ? "%llu" : "%18llu\n", (unsigned long long)value);
}

void bench_report_number(bench_report *report, const char *name, double value)
{
    print_name(report, name);
    (void)printf(report->json ? "%.6f" : "%18.6f\n", value);
}

void bench_report_end(bench_report *report)
{
    if (report->json)
        (void)printf("}\n");
    (void)fflush(stdout);
}

void bench_report_latency(bench_report *report, const char *name, const bench_histogram *latencies)
{
    static const struct {
        const char *name;
        double share;
    } quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99_9", 0.999}, {"max", 1}};

    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
        char full[64];
        int64_t value = bench_histogram_quantile(latencies, quantiles[i].share);

        if (quantiles[i].share >= 1)
            value = latencies->max_ns;
        (void)snprintf(full, sizeof full, "%s_%s_us", name, quantiles[i].name);
        bench_report_number(report, full, (double)value / 1e3);
    }
}

void bench_report_rates(bench_report *report, pid_t pid, const bench_instant *from,
                        const bench_instant *to, uint64_t message_count)
{
    double seconds = (double)(to->time_ns - from->time_ns) / 1e9;
    double millions = (double)message_count / 1e6;
    double server_cpu_s = (double)(to->server_cpu_ns - from->server_cpu_ns) / 1e9;

    bench_report_number(report, "seconds", seconds);
    bench_report_number(report, "msgs_per_s", seconds > 0 ? (double)message_count / seconds : 0);
    if (pid) {
        bench_report_number(report, "server_cpu_s", server_cpu_s);
        bench_report_number(report, "server_cpu_s_per_million",
                            message_count ? server_cpu_s / millions : 0);
    }
    bench_report_number(report, "bench_cpu_s",
                        (double)(to->bench_cpu_ns - from->bench_cpu_ns) / 1e9);
}

void bench_report_memory(bench_report *report, pid_t pid)
{
    bench_memory memory;

    if (!pid)
        return;
    memory = bench_memory_take(pid);
    bench_report_count(report, "server_rss_kib", memory.resident_kib);
    bench_report_count(report, "server_rss_peak_kib", memory.peak_kib);
}
