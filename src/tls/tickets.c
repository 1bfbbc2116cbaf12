#include "tls/tickets.h"

#include "base/alloc.h"
#include "base/random.h"

#include <pthread.h>
#include <string.h>

enum { KEYS = 2 }; /* the one that seals, and the one before */

struct pp_tls_tickets {
    pthread_mutex_t lock;
    pp_tls_ticket_key keys[KEYS]; /* the newest first */
    int64_t made_ns[KEYS];        /* INT64_MIN: not yet */
};

pipit_err pp_tls_tickets_new(pp_tls_tickets **out)
{
    pp_tls_tickets *tickets = pp_calloc(1, sizeof(*tickets));

    if (!tickets)
        return PIPIT_ENOMEM;
    (void)pthread_mutex_init(&tickets->lock, NULL);
    for (unsigned i = 0; i < KEYS; i++)
        tickets->made_ns[i] = INT64_MIN;
    *out = tickets;
    return PIPIT_OK;
}

void pp_tls_tickets_free(pp_tls_tickets *tickets)
{
    if (!tickets)
        return;
    (void)pthread_mutex_destroy(&tickets->lock);
    explicit_bzero(tickets, sizeof(*tickets));
    pp_free(tickets);
}

static bool is_old(const pp_tls_tickets *tickets, unsigned i, int64_t now_ns, unsigned periods)
{
    return tickets->made_ns[i] == INT64_MIN ||
           now_ns - tickets->made_ns[i] >= (int64_t)periods * PP_TLS_TICKET_KEY_NS;
}

void pp_tls_tickets_seal(pp_tls_tickets *tickets, int64_t now_ns, pp_tls_ticket_key *out)
{
    (void)pthread_mutex_lock(&tickets->lock);
    if (is_old(tickets, 0, now_ns, 1)) {
        tickets->keys[1] = tickets->keys[0];
        tickets->made_ns[1] = tickets->made_ns[0];
        pp_random_bytes(&tickets->keys[0], sizeof(tickets->keys[0]));
        tickets->made_ns[0] = now_ns;
    }
    *out = tickets->keys[0];
    (void)pthread_mutex_unlock(&tickets->lock);
}

pipit_err pp_tls_tickets_open(pp_tls_tickets *tickets, int64_t now_ns, const uint8_t name[16],
                              pp_tls_ticket_key *out)
{
    pipit_err err = PIPIT_ENOTFOUND;

    (void)pthread_mutex_lock(&tickets->lock);
    for (unsigned i = 0; i < KEYS && err; i++) {
        if (is_old(tickets, i, now_ns, 2) || memcmp(tickets->keys[i].name, name, 16) != 0)
            continue;
        *out = tickets->keys[i];
        err = PIPIT_OK;
    }
    (void)pthread_mutex_unlock(&tickets->lock);
    return err;
}
