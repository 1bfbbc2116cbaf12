/* core/route_build.h -- from everybody who hears a subject to the route that has them resolved. */
#ifndef PP_CORE_ROUTE_BUILD_H
#define PP_CORE_ROUTE_BUILD_H

#include "core/route.h"

/* Make the route of a subject to those in the router's gathering. NULL: no memory. */
pp_route *pp_route_build(pp_router *router, pp_str subject);

#endif
