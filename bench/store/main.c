/* pipit-bench-store -- what the store does in a second, beside what the disk below it does.
 *
 *   pipit-bench-store [--dir=DIR] [--seconds=N] [--messages=N] [--rounds=N] [--json]
 *                   [--only=one|appends|large|reads|last|open|values]
 *
 * DIR is on the disk that is to be measured (default: the working directory); a folder is made in
 * it, and removed. Rounds of the raw disk and of the store take turns, so that whatever else the
 * machine does hits both; the medians are shown. */
#include "bench.h"

#include "base/clock.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings settings = {".", 1.0, 10 * 1000 * 1000, 3, false, NULL};
char folder[512];
pp_store_pool *pool;

void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    exit(1);
}

void must(pipit_err err, const char *what)
{
    if (err)
        fail("%s: %s", what, pipit_strerror(err));
}

double now_s(void)
{
    return (double)pp_clock_mono_ns() / 1e9;
}

static void take_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"seconds", required_argument, NULL, 's'},
        {"messages", required_argument, NULL, 'm'},
        {"rounds", required_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},
        {"only", required_argument, NULL, 'o'},
        {0},
    };
    int code;

    while ((code = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (code == 'd')
            settings.dir = optarg;
        else if (code == 's')
            settings.seconds = strtod(optarg, NULL);
        else if (code == 'm')
            settings.messages = strtoull(optarg, NULL, 10);
        else if (code == 'r')
            settings.rounds = (unsigned)strtoul(optarg, NULL, 10);
        else if (code == 'j')
            settings.json = true;
        else if (code == 'o')
            settings.only = optarg;
        else
            exit(2);
    }
    if (optind != argc || settings.rounds == 0 || settings.rounds > ROUNDS_MAX ||
        settings.messages < 1000 || settings.seconds <= 0)
        fail("usage: %s [--dir=DIR] [--seconds=N] [--messages=N] [--rounds=N] [--json]"
             " [--only=NAME]",
             argv[0]);
}

static const struct {
    const char *name;
    void (*run)(void);
} benches[] = {
    {"one", bench_one},
    {"appends", bench_appends},
    {"large", bench_large},
    {"reads", bench_reads},
    {"last", bench_last},
    {"open", bench_open},
    {"values", bench_last_values},
};

int main(int argc, char **argv)
{
    take_options(argc, argv);
    (void)snprintf(folder, sizeof(folder), "%.400s/pipit-bench-store-XXXXXX", settings.dir);
    if (!mkdtemp(folder))
        fail("%s: %s", folder, strerror(errno));
    must(pp_store_pool_new(1, &pool), "threads");
    for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
        if (!settings.only || strcmp(settings.only, benches[i].name) == 0)
            benches[i].run();
    pp_store_pool_free(pool);
    if (rmdir(folder) < 0)
        fail("%s: %s", folder, strerror(errno));
    return 0;
}
