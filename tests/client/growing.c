#include "growing.h"

#include <string.h>

void on_growing(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    struct growing *g = context;
    uint64_t number;

    (void)sub;
    memcpy(&number, msg->payload, sizeof(number));
    g->disordered |= g->count && number <= g->last;
    g->last = number;
    g->count++;
}
