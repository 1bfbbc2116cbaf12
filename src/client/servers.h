/* client/servers.h -- the servers that a client may connect to, and in which order it tries. */
#ifndef PP_CLIENT_SERVERS_H
#define PP_CLIENT_SERVERS_H

#include "client/credentials.h"
#include "client/remote.h"

#include <stddef.h>

enum { PP_SERVERS_MAX = 256 };

typedef struct pp_server_entry {
    pp_remote *remote;
    pp_credentials credentials; /* borrowed from remote */
    bool has_credentials;
    bool discovered; /* a server has told of it */
} pp_server_entry;

typedef struct pp_servers {
    pp_server_entry **entries;
    size_t count;
    size_t next;     /* to try */
    size_t failures; /* one after another */
    uint64_t random;
} pp_servers;

/* From a list with commas. Errors: PIPIT_EINVAL; PIPIT_ELIMIT; PIPIT_ENOMEM. */
pipit_err pp_servers_init(pp_servers *servers, pp_str urls, bool keep_order);
void pp_servers_fini(pp_servers *servers);

/* The one to try now. */
pp_server_entry *pp_servers_next(pp_servers *servers);

/* What is known of a connection to the last one. Returns how long to wait before the next try, from
 * wait_ns for the first round on. */
int64_t pp_servers_failed(pp_servers *servers, int64_t wait_ns);
void pp_servers_worked(pp_servers *servers);
/* Whole rounds that have failed. */
size_t pp_servers_rounds(const pp_servers *servers);

/* A server tells of another, as "host:port". True: it was not known. */
bool pp_servers_discover(pp_servers *servers, const char *place, const pp_remote *like);

#endif
