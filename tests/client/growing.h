/* growing.h -- who hears messages that are numbers, each greater than the one before. */
#ifndef PIPIT_TESTS_CLIENT_GROWING_H
#define PIPIT_TESTS_CLIENT_GROWING_H

#include "pipit/client.h"

#include <stdbool.h>
#include <stdint.h>

/* How many, and whether their numbers grow. */
struct growing {
    uint64_t count, last;
    bool disordered;
};

/* Of a subscription; context: a struct growing. */
void on_growing(void *context, pipit_sub *sub, const pipit_msg *msg);

#endif
