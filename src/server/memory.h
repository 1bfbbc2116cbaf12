/* server/memory.h -- keeping the server below its memory limit.
 *
 * Loops by themselves refuse and stall while memory is short (base/ceiling.h). This is what they
 * cannot do alone: a thread that measures, gives back what the allocator hoards and, when memory
 * stays short, has the connections closed that hold most of it, over all loops. */
#ifndef PP_SERVER_MEMORY_H
#define PP_SERVER_MEMORY_H

#include "base/ceiling.h"
#include "base/err.h"
#include "net/relief.h"

#include <pthread.h>

struct pipit_server;

typedef struct pp_memory {
    struct pipit_server *server;
    pp_ceiling_claim claim;
    pp_relief *reliefs; /* per worker; NULL: there is no limit */
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* guards stop */
    pthread_cond_t stopped;
    bool stop;
    /* The thread's; workers on its errands read them, and add to freed and more. */
    size_t floor_bytes, need, freed, total, worst;
    bool more;
    int64_t short_since_ns; /* 0: memory is not short */
    int64_t told_ns, tidy_ns;
    size_t slack_kept; /* that the allocator did not give back */
    uint64_t ended;    /* bytes given back by closing, in this time of shortage */
} pp_memory;

void pp_memory_init(pp_memory *memory, struct pipit_server *server);
void pp_memory_fini(pp_memory *memory);

/* Find the limit, say it, and begin to keep it, if there is one: before and after the loops'
 * threads have begun. */
pipit_err pp_memory_prepare(pp_memory *memory);
pipit_err pp_memory_start(pp_memory *memory);
/* May be called again. */
void pp_memory_stop(pp_memory *memory);

#endif
