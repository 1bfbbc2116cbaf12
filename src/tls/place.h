/* tls/place.h -- where a loop does its TLS: buffers of the loop's own, and the handshakes under
 * way.
 *
 * Handshakes cost a thousand times what a message does, and memory before anybody is known. So a
 * loop steps only so many in a turn, and has only so many under way: one more ends the one that has
 * waited longest for its peer. Who is there answers within a round trip and is not met by that. */
#ifndef PP_TLS_PLACE_H
#define PP_TLS_PLACE_H

#include "base/err.h"
#include "base/list.h"
#include "tls/records.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PP_TLS_IN_BYTES = 128 * 1024,
    PP_TLS_OUT_BYTES = 128 * 1024, /* and what one record adds */
    PP_TLS_RECORD_MAX = 16384,
    PP_TLS_RECORD_EXTRA = 512, /* more than header, padding and tag */
    PP_TLS_UNDERWAY_MAX = 512,
    PP_TLS_UNDERWAY_PRESSED = 64, /* when memory is short */
};

typedef struct pp_tls_place {
    char *in;     /* PP_TLS_IN_BYTES of what has been received; made on first use */
    char *out;    /* PP_TLS_OUT_BYTES of what is to be sent */
    char *joined; /* PP_TLS_RECORD_MAX of what becomes one record */
    pp_tls_cipher_context sealing, opening;
    pp_link underway;
    size_t underway_count;
    int64_t turn_ns;  /* the turn in which ... */
    int64_t spent_ns; /* ... so much was spent on handshakes */
} pp_tls_place;

/* One for each loop of a server, by the loop's index. */
typedef struct pp_tls_places {
    pp_tls_place *at;
    unsigned count;
} pp_tls_places;

/* Errors: PIPIT_ENOMEM. */
pipit_err pp_tls_places_init(pp_tls_places *places, unsigned loops);
/* When the loops have ended and their connections are freed. */
void pp_tls_places_fini(pp_tls_places *places);

/* Make the buffers. Errors: PIPIT_ENOMEM. Thread: the loop's. */
pipit_err pp_tls_place_open(pp_tls_place *place);

/* May a step of a handshake be made in the turn of that time? Thread: the loop's. */
bool pp_tls_place_may_step(pp_tls_place *place, int64_t turn_ns);

#endif
