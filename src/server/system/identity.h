/* server/system/identity.h -- the server as its messages name it. */
#ifndef PP_SERVER_SYSTEM_IDENTITY_H
#define PP_SERVER_SYSTEM_IDENTITY_H

#include "base/json.h"

struct pp_system;

/* Write the "server" object with the next sequence number and the time; key NULL: as the whole.
 * Thread: a loop's, or one that holds options_lock. Source: accounts and subjects, section 8,
 * "Common server object". */
void pp_identity_write(struct pp_system *system, pp_json *json, const char *key);

/* The same in short: its three names. Thread: any. */
void pp_identity_write_short(struct pp_system *system, pp_json *json);

struct pp_options;
/* "tags" and "metadata" of the configuration, those that there are. */
void pp_labels_write(pp_json *json, const struct pp_options *options);

/* Begin an advisory's outermost object: type, id, time, server. Thread: the home loop's. */
void pp_advisory_begin(struct pp_system *system, pp_json *json, const char *type);

#endif
