/* client/own_request.h -- requests that only pipit answers (server/own_requests.h). */
#ifndef PP_CLIENT_OWN_REQUEST_H
#define PP_CLIENT_OWN_REQUEST_H

#include "client/client.h"

/* What an answer says: "+OK", or the error of "-ERR 'reason'". Others: PIPIT_EPROTO. */
pipit_err pp_own_answer(const pipit_msg *answer);

/**
 * Ask, and wait for the answer: a number if out_number is not NULL, else "+OK".
 *
 * heard, which may be NULL, is called with the answer by who drives, before anything that the
 * server sends later.
 *
 * Errors: those of answers; those of pipit_client_request; PIPIT_EDENIED also where the server does
 *         not know the request.
 */
pipit_err pp_own_request(pipit_client *client, const pipit_msg *request, int64_t timeout_ms,
                         void (*heard)(void *context, const pipit_msg *answer), void *context,
                         uint64_t *out_number);

#endif
