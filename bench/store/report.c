/* Results, as people or as programs read them. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

double median(double *values, unsigned count)
{
    qsort(values, count, sizeof(*values), compare);
    return values[count / 2];
}

double cpu_s(void)
{
    static double before;
    struct rusage usage;
    double all, since;

    (void)getrusage(RUSAGE_SELF, &usage);
    all = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
          (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    since = all - before;
    before = all;
    return since;
}

double cpu_per_million;

void show(const char *what, double value, const char *unit, double beside, double target,
          bool less_is_better)
{
    bool reached = target == 0 || (less_is_better ? value <= target : value >= target);

    if (settings.json) {
        (void)printf("{\"what\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",\"disk\":%.6g,"
                     "\"target\":%.6g,\"reached\":%s,\"cpu_s_per_million\":%.4g}\n",
                     what, value, unit, beside, target, reached ? "true" : "false",
                     cpu_per_million);
        cpu_per_million = 0;
        (void)fflush(stdout);
        return;
    }
    (void)printf("%-52s %12.4g %-8s", what, value, unit);
    if (beside != 0)
        (void)printf("  disk %10.4g (%3.0f %%)", beside, 100 * value / beside);
    else
        (void)printf("  %24s", "");
    if (target != 0)
        (void)printf("  target %10.4g %s", target, reached ? "reached" : "NOT REACHED");
    if (cpu_per_million > 0)
        (void)printf("  CPU %.3g s/M", cpu_per_million);
    cpu_per_million = 0;
    (void)printf("\n");
    (void)fflush(stdout);
}
