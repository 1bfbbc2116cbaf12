/* caller.h -- connections that are over as soon as they are open: INFO, a whole TLS 1.3 handshake,
 * CONNECT and an answered PING.
 *
 * What is measured is the server, on the same cores; so the client does only what the server cannot
 * do without. OpenSSL's client takes 650 us for a handshake, more than any server. A caller takes a
 * quarter of it: it makes one key for all its connections, does not look at certificates, and has
 * one hello, whose random bytes are new each time. It offers what Go's clients offer as they come,
 * but one cipher and two groups, so that all servers choose the same; and like them nothing that
 * asks for a ticket, unless it is told to. What must be right is looked at: the server's Finished,
 * and every record. */
#ifndef BENCH_CALLER_H
#define BENCH_CALLER_H

#include <stdint.h>

#include "client.h"

typedef struct bench_caller bench_caller;

/* Thread: a caller is one thread's. */
bench_caller *bench_caller_new(const bench_target *target, bool asks_for_tickets);
/* NULL is fine. */
void bench_caller_free(bench_caller *caller);

/* Once, from the connection to its end. Ends the program if that fails. */
void bench_caller_call(bench_caller *caller);

/* How many tickets came in all calls. */
uint64_t bench_caller_tickets(const bench_caller *caller);

#endif
