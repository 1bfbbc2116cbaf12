/* core/crossing.h -- a message that goes from one account to another as a request, or back as a
 * response.
 *
 *   I: publish on "my.x" reply r       E: publish on "svc.x" reply _R_.t.1
 *        [route of my.x] --import-->        [route of svc.x] --> responder
 *   I: publish on r                    E: publish on _R_.t.1
 *        listener <--[route of r] <----response-- desk
 *
 * On both sides it is routed as any message is, on the loop of who published it, while it is being
 * delivered there; so what is in use there must survive (pp_router.depth), and a message knows by
 * which ways it has come, so that none goes round in circles. */
#ifndef PP_CORE_CROSSING_H
#define PP_CORE_CROSSING_H

#include "core/import.h"
#include "core/message.h"

enum { PP_PASSAGES_MAX = 32 }; /* accounts that one message may cross into, one after another */

/* One step of a message's way. On the stack of who takes it. */
typedef struct pp_passage {
    const struct pp_passage *before; /* NULL: the first */
    const pp_import *import;         /* NULL: a response */
    const pp_export *export;         /* the same */
    unsigned number;                 /* of steps up to here */
} pp_passage;

#endif
