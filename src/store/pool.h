/* store/pool.h -- the threads that write what stores have gathered.
 *
 * A store is served by one of them at a time. What is appended while its files are being written
 * goes with the next write: that is all there is to group commit. */
#ifndef PP_STORE_POOL_H
#define PP_STORE_POOL_H

#include "base/err.h"

typedef struct pp_store_pool pp_store_pool;

/* Errors: PIPIT_ENOMEM, PIPIT_ELIMIT, PIPIT_EINVAL. */
pipit_err pp_store_pool_new(unsigned threads, pp_store_pool **out_pool);
/* Its stores have been closed. */
void pp_store_pool_free(pp_store_pool *pool);

#endif
