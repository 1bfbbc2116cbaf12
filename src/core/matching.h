/* core/matching.h -- publishing to a pattern: everybody who could hear some message on a subject
 * that falls under it hears this one. */
#ifndef PP_CORE_MATCHING_H
#define PP_CORE_MATCHING_H

#include "core/route.h"

/**
 * Deliver msg, whose subject is valid and may hold wildcards, to each subscription in account whose
 * pattern has a subject in common with it, and to one member of each queue group of which any has.
 *
 * The message keeps its subject; if it has wildcards, those who could not tell what is meant do not
 * get it (pp_client_ops.hears_no_wildcards). There is no route for it: the index is walked each
 * time, in as many steps as it has nodes at most. Mappings, imports and exports do not apply.
 *
 * *out_taken: how many took it. Errors: PIPIT_ENOMEM, nobody got it. Thread: the router's loop, in
 * a turn.
 */
pipit_err pp_router_publish_matching(pp_router *router, pp_account *account, const pp_msg *msg,
                                     size_t *out_taken);

#endif
