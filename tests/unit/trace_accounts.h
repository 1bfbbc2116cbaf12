/* The accounts that test_nats_trace.c has on its server. */
#ifndef PIPIT_TESTS_UNIT_TRACE_ACCOUNTS_H
#define PIPIT_TESTS_UNIT_TRACE_ACCOUNTS_H

#include "server/directory.h"

/* A directory with users "ann" (all allowed), "narrow", "nowhere" and "deaf" of account A, which
 * has mappings; "all" and "all-narrow" of ALL, whose traces go to T.acct; "some" of SOME, where 10
 * % of them do. All passwords are "p". */
pipit_err trace_directory_new(pp_directory **out, pp_accounts *accounts, const pp_user_key *key);

#endif
