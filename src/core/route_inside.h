/* core/route_inside.h -- what a router, its caches and the answers in them know of each other: for
 * router.c, route_cache.c and route.c. */
#ifndef PP_CORE_ROUTE_INSIDE_H
#define PP_CORE_ROUTE_INSIDE_H

#include "core/route.h"

/* --- router.c ----------------------------------------------------------------------------- */

/* Call visit for every cache there is, those that mappings lead to after those that they start
 * from. */
void pp_router_each_cache(pp_router *router, void (*visit)(pp_route_cache *cache));
/* The last route that was too large to keep among the others is no answer any more. */
void pp_router_forget_single(pp_router *router);
/* Let go of a route. While messages are passed on, one that is being delivered may have been
 * dropped for want of room by another: it stays until nobody delivers. NULL is fine. */
void pp_router_free_route(pp_router *router, pp_route *route);
/* Nobody delivers: those that stayed go. */
void pp_router_bury(pp_router *router);

/* --- route_cache.c ------------------------------------------------------------------------ */

/* permissions: NULL for everything. NULL: no memory. */
pp_route_cache *pp_route_cache_new(pp_router *router, pp_account *account,
                                   const pp_permissions *permissions);
/* With the one that mappings lead to. NULL is fine. */
void pp_route_cache_free(pp_route_cache *cache);
/* Remember a route in the place of its subject's old answer, or of others if need be. */
void pp_route_cache_keep(pp_route_cache *cache, pp_route *route);

#endif
