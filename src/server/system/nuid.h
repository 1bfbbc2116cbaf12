/* server/system/nuid.h -- ids of advisories: 22 letters and digits, no two of a server alike.
 *
 * Twelve random ones, kept for long, and ten that count on in steps of random size, so that making
 * one costs no random source. Source of the form: NATS unique ids (NUID). */
#ifndef PP_SERVER_SYSTEM_NUID_H
#define PP_SERVER_SYSTEM_NUID_H

#include <stdint.h>

enum { PP_NUID_BYTES = 22 };

/* Zeroed: not begun. Thread: one. */
typedef struct pp_nuid {
    char prefix[12];
    uint64_t count; /* below 62 to the power of 10 */
    uint64_t step;
    uint64_t random; /* of base/random.h; 0: not seeded */
} pp_nuid;

/* Write the next id and a NUL. */
void pp_nuid_next(pp_nuid *nuid, char out[PP_NUID_BYTES + 1]);

#endif
