/* What a server without listeners adds to the memory of the program it is in: 1 MB at most. Most of
 * it is code, and how many pages of that are mapped depends on where libraries happen to lie; so it
 * is the median of some processes. */
#include "support/check.h"

#include "pipit/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROCESSES = 9, LIMIT_KIB = 1024 };

static long resident_kib(void)
{
    long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    REQUIRE(file && fscanf(file, "%ld %ld", &total, &resident) == 2, "statm");
    (void)fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static int weigh(void)
{
    static const char *const options[] = {"--no_listen"};
    long before = resident_kib();
    pipit_server *server;

    REQUIRE(!pipit_server_new(&server, options, 1, NULL, NULL, NULL, 0), "new");
    REQUIRE(!pipit_server_start(server), "start");
    printf("%ld\n", resident_kib() - before);
    pipit_server_free(server);
    return 0;
}

static long one_process(const char *program)
{
    char command[4096];
    long kib = 0;
    FILE *out;

    (void)snprintf(command, sizeof(command), "'%s' once", program);
    out = popen(command, "r");
    REQUIRE(out && fscanf(out, "%ld", &kib) == 1 && !pclose(out), "%s", command);
    return kib;
}

static int ascending(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    long kib[PROCESSES];

    if (argc > 1)
        return weigh();
    for (size_t i = 0; i < PROCESSES; i++)
        kib[i] = one_process(argv[0]);
    qsort(kib, PROCESSES, sizeof(*kib), ascending);
    REQUIRE(kib[0] > 0 && kib[PROCESSES / 2] <= LIMIT_KIB, "%ld to %ld KiB, median %ld", kib[0],
            kib[PROCESSES - 1], kib[PROCESSES / 2]);
    printf("%ld to %ld KiB, median %ld\n", kib[0], kib[PROCESSES - 1], kib[PROCESSES / 2]);
    return 0;
}
