/* server/system/identity.h -- the server as its messages name it. */
#ifndef PP_SERVER_SYSTEM_IDENTITY_H
#define PP_SERVER_SYSTEM_IDENTITY_H

#include "base/json.h"

struct pp_system;

/* Write the "server" object with the next sequence number and the time; key NULL: as the whole.
 * Thread: a loop's, or one that holds options_lock. Source: accounts and subjects, section 8,
 * "Common server object". */
void pp_identity_write(struct pp_system *system, pp_json *json, const char *key);

/* Begin an advisory's outermost object: type, id, time, server. Thread: the home loop's. */
void pp_advisory_begin(struct pp_system *system, pp_json *json, const char *type);

/* "sent" and "received" with what other kinds of connection moved, of which there are none. */
void pp_traffic_write(pp_json *json, const char *key, uint64_t msgs, uint64_t bytes);

#endif
