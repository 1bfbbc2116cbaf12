/* tests/unit/seed.h -- the seed of a randomized test: printed, and taken from PIPIT_SEED. */
#ifndef PIPIT_TESTS_UNIT_SEED_H
#define PIPIT_TESTS_UNIT_SEED_H

#include "base/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static inline uint64_t test_seed(const char *test)
{
    const char *given = getenv("PIPIT_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 0;

    if (!seed)
        seed = pp_random_seed();
    printf("%s: PIPIT_SEED=%" PRIu64 "\n", test, seed);
    (void)fflush(stdout);
    return seed;
}

#endif
