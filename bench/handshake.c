/* handshake.c -- TLS connections one after another, on as many threads as --pubs says, each a
 * CONNECT and an answered PING, by a client that costs little (caller.h); or, with --keep,
 * --connections of them that stay: memory of idle ones. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "caller.h"
#include "client.h"
#include "fatal.h"
#include "process.h"
#include "report.h"
#include "scenario.h"

typedef struct handshakes {
    const bench_options *options;
    _Atomic uint64_t done, tickets;
    int64_t until_ns;
    bench_client *kept; /* --keep: connection_count of them */
} handshakes;

static void *connect_all(void *context)
{
    handshakes *self = context;
    const bench_options *options = self->options;
    uint64_t max = self->kept               ? options->connection_count
                   : options->message_count ? options->message_count
                                            : UINT64_MAX;
    bool by_caller = options->target.tls && !options->target.websocket && !self->kept;
    bench_caller *caller = by_caller ? bench_caller_new(&options->target, options->tickets) : NULL;

    for (;;) {
        bench_client client;
        uint64_t at;

        if (max == UINT64_MAX && bench_now_ns() >= self->until_ns)
            break;
        at = atomic_fetch_add(&self->done, 1);
        if (at >= max) {
            (void)atomic_fetch_sub(&self->done, 1);
            break;
        }
        if (caller) {
            bench_caller_call(caller);
            continue;
        }
        bench_client_open(&client, &options->target);
        if (!self->kept) {
            bench_client_close(&client);
            continue;
        }
        free(client.buffer); /* nothing more is read */
        client.buffer = NULL;
        self->kept[at] = client;
    }
    if (caller)
        (void)atomic_fetch_add(&self->tickets, bench_caller_tickets(caller));
    bench_caller_free(caller);
    return NULL;
}

bool bench_run_handshake(const bench_options *options)
{
    handshakes self = {.options = options, .until_ns = bench_now_ns() + options->duration_ns};
    pthread_t *threads = bench_alloc(options->publisher_count, sizeof *threads);
    struct timespec settle = {.tv_sec = options->settle_ns / 1000000000,
                              .tv_nsec = options->settle_ns % 1000000000};
    bench_memory before = bench_memory_take(options->pid), after;
    bench_instant from, to;
    bench_report report;

    if (options->keep)
        self.kept = bench_alloc(options->connection_count, sizeof *self.kept);
    from = bench_instant_take(options->pid);
    for (unsigned i = 0; i < options->publisher_count; i++) {
        if (pthread_create(&threads[i], NULL, connect_all, &self) != 0)
            bench_fatal("no thread could be made");
    }
    for (unsigned i = 0; i < options->publisher_count; i++)
        (void)pthread_join(threads[i], NULL);
    to = bench_instant_take(options->pid);
    report = bench_report_begin(options->json, "handshake");
    bench_report_count(&report, "threads", options->publisher_count);
    bench_report_count(&report, "handshakes", self.done);
    bench_report_count(&report, "tickets", self.tickets);
    bench_report_rates(&report, options->pid, &from, &to, self.done);
    if (self.kept) {
        (void)nanosleep(&settle, NULL); /* the time the options allow before memory is read */
        after = bench_memory_take(options->pid);
        bench_report_count(&report, "bytes_per_connection",
                           (after.resident_kib - before.resident_kib) * 1024 / self.done);
    }
    bench_report_memory(&report, options->pid);
    bench_report_end(&report);
    free(self.kept); /* the sockets go with the program */
    free(threads);
    return true;
}
