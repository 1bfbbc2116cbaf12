/* tls/tickets.h -- the keys by which clients resume sessions; they change while the server runs.
 *
 * A ticket is a session that the client keeps, sealed. What is sealed with one key can be opened
 * until the key has been replaced twice; then the client shakes hands anew. */
#ifndef PP_TLS_TICKETS_H
#define PP_TLS_TICKETS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct pp_tls_tickets pp_tls_tickets;

/* How long a key seals. Sessions are resumed for twice as long, at most. */
#define PP_TLS_TICKET_KEY_NS (12 * 3600 * INT64_C(1000000000))

typedef struct pp_tls_ticket_key {
    uint8_t name[16];
    uint8_t cipher[32];
    uint8_t mac[32];
} pp_tls_ticket_key;

/* Errors: PIPIT_ENOMEM. */
pipit_err pp_tls_tickets_new(pp_tls_tickets **out);
void pp_tls_tickets_free(pp_tls_tickets *tickets);

/* Copy the key to seal with at that time (monotonic). Thread: any. */
void pp_tls_tickets_seal(pp_tls_tickets *tickets, int64_t now_ns, pp_tls_ticket_key *out);

/* Copy the key of that name. Errors: PIPIT_ENOTFOUND: it is none of ours any more. Thread: any. */
pipit_err pp_tls_tickets_open(pp_tls_tickets *tickets, int64_t now_ns, const uint8_t name[16],
                              pp_tls_ticket_key *out);

#endif
