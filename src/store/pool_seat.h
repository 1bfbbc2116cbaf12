/* store/pool_seat.h -- a store's place in its pool. */
#ifndef PP_STORE_POOL_SEAT_H
#define PP_STORE_POOL_SEAT_H

#include "base/list.h"
#include "store/pool.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum pp_pool_place {
    PP_POOL_OUT,
    PP_POOL_QUEUED,
    PP_POOL_TIMED,
    PP_POOL_SERVED
} pp_pool_place;

typedef struct pp_pool_seat {
    pp_link link;
    pp_pool_place place; /* all under the pool's lock */
    bool again;          /* came in while it was served */
    int64_t due_ns;
    /* Do what there is to do; due: the time that was asked for has come. Answers when it wants to
     * be called again (monotonic clock), or INT64_MAX. */
    int64_t (*serve)(struct pp_pool_seat *seat, bool due);
} pp_pool_seat;

void pp_pool_seat_init(pp_pool_seat *seat, int64_t (*serve)(pp_pool_seat *seat, bool due));
/* Have it served soon. Thread: any. */
void pp_pool_push(pp_store_pool *pool, pp_pool_seat *seat);
/* Serve it here and now, if no thread has begun to: who waits for it need not wait for one to wake
 * up. False: one has, or there is nothing to do. */
bool pp_pool_serve_here(pp_store_pool *pool, pp_pool_seat *seat);
/* Have it served no more; waits for a thread that is at it. */
void pp_pool_leave(pp_store_pool *pool, pp_pool_seat *seat);

#endif
