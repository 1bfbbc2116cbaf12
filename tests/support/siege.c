#include "support/siege.h"

#include "support/check.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    QUIET_SAMPLES = 3000,
    SAMPLES_MAX = 400000,
    SAMPLES_TO_JUDGE = 1000,
    OPTIONS_MAX = 20,
    MIB = 1 << 20,
    SLOWER_MAX = 50,           /* times the quiet p99 ... */
    SLOWER_MAX_NS = 300000000, /* ... and so much more: only then is it a failure */
};

/* --- the probe ---------------------------------------------------------------------------- */

static void *run_probe(void *arg)
{
    struct probe *probe = arg;

    while (!atomic_load(&probe->stop)) {
        unsigned n = atomic_load(&probe->count);
        int64_t start_ns = check_now_ns();
        peer_event event;

        (void)peer_publish(&probe->from, "probe", &n, sizeof(n));
        REQUIRE(peer_next_msg(&probe->to, &event), "the probe is connected");
        REQUIRE(event.payload_len == sizeof(n) && memcmp(event.payload, &n, sizeof(n)) == 0,
                "the probe hears message %u", n);
        if (n < SAMPLES_MAX) {
            probe->samples_ns[n] = check_now_ns() - start_ns;
            atomic_store(&probe->count, n + 1);
        }
    }
    return NULL;
}

static bool is_quiet_measured(void *arg)
{
    return atomic_load((atomic_uint *)arg) >= QUIET_SAMPLES;
}

static void probe_start(struct probe *probe, uint16_t port)
{
    *probe = (struct probe){.samples_ns = malloc(SAMPLES_MAX * sizeof(int64_t))};
    REQUIRE(probe->samples_ns, "memory");
    peer_open(&probe->from, port);
    peer_open(&probe->to, port);
    (void)peer_printf(&probe->to, "SUB probe 1\r\n");
    REQUIRE(peer_barrier(&probe->to), "subscribed");
    REQUIRE(!pthread_create(&probe->thread, NULL, run_probe, probe), "a thread");
    check_until(is_quiet_measured, &probe->count, "the quiet server is measured");
    probe->quiet_count = atomic_load(&probe->count);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static double at_share_us(const int64_t *sorted, size_t count, double share)
{
    return count ? (double)sorted[(size_t)((double)(count - 1) * share)] / 1e3 : 0;
}

static void probe_judge(struct probe *probe)
{
    size_t quiet = probe->quiet_count, siege = atomic_load(&probe->count) - quiet;
    int64_t *after = probe->samples_ns + quiet;
    double quiet_p99, siege_p99;

    qsort(probe->samples_ns, quiet, sizeof(int64_t), by_value);
    qsort(after, siege, sizeof(int64_t), by_value);
    quiet_p99 = at_share_us(probe->samples_ns, quiet, 0.99);
    siege_p99 = at_share_us(after, siege, 0.99);
    check_note("others, quiet:  p50 %.0f us, p99 %.0f us, max %.0f us (%zu samples)",
               at_share_us(probe->samples_ns, quiet, 0.5), quiet_p99,
               at_share_us(probe->samples_ns, quiet, 1), quiet);
    check_note("others, siege:  p50 %.0f us, p99 %.0f us, max %.0f us (%zu samples), p99 %.1fx",
               at_share_us(after, siege, 0.5), siege_p99, at_share_us(after, siege, 1), siege,
               siege_p99 / quiet_p99);
    REQUIRE(siege < SAMPLES_TO_JUDGE || check_sanitized() ||
                siege_p99 <= quiet_p99 * SLOWER_MAX + SLOWER_MAX_NS / 1e3,
            "others are served: p99 %.0f us, %.0f us when it was quiet", siege_p99, quiet_p99);
}

static void probe_stop(struct probe *probe)
{
    atomic_store(&probe->stop, true);
    (void)pthread_join(probe->thread, NULL);
    probe_judge(probe);
    peer_close(&probe->from);
    peer_close(&probe->to);
    free(probe->samples_ns);
}

/* --- a siege ------------------------------------------------------------------------------ */

static const char *const no_options[] = {"--threads=2", NULL};

/* The options, and the limit from the environment if there is one. */
static void start_child(struct siege *s, const char *const *options)
{
    const char *all[OPTIONS_MAX + 1];
    char limit[64];
    size_t count = 0;

    s->limit_bytes = check_number("PIPIT_MAX_MEMORY", 0) * MIB;
    for (; options[count] && count < OPTIONS_MAX - 1; count++)
        all[count] = options[count];
    if (s->limit_bytes) {
        (void)snprintf(limit, sizeof(limit), "--max_memory=%zu", s->limit_bytes);
        all[count++] = limit;
    }
    all[count] = NULL;
    child_start(&s->child, all);
}

void siege_begin(struct siege *s, const char *const *options)
{
    start_child(s, options ? options : no_options);
    probe_start(&s->probe, s->child.port);
    s->quiet_bytes = child_rss_bytes(&s->child);
}

void siege_end(struct siege *s, size_t more_bytes, size_t stay_bytes)
{
    size_t peak, rest;

    probe_stop(&s->probe);
    child_wait_empty(&s->child);
    peak = child_peak_bytes(&s->child);
    rest = check_sanitized() ? child_rss_bytes(&s->child)
                             : child_wait_rss_below(&s->child, s->quiet_bytes + stay_bytes);
    check_note("memory: %.1f MiB quiet, %.1f MiB at most, %.1f MiB afterwards",
               (double)s->quiet_bytes / MIB, (double)peak / MIB, (double)rest / MIB);
    REQUIRE(check_sanitized() || peak <= s->quiet_bytes + more_bytes,
            "memory stays below %zu MiB more", more_bytes / MIB);
    REQUIRE(check_sanitized() || !s->limit_bytes || peak <= s->limit_bytes,
            "memory stays below its limit of %zu MiB", s->limit_bytes / MIB);
    REQUIRE(check_sanitized() || rest <= s->quiet_bytes + stay_bytes,
            "memory comes back to %zu MiB more", stay_bytes / MIB);
    child_stop(&s->child);
}
