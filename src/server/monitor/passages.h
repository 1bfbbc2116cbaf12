/* server/monitor/passages.h -- what passes between accounts, as monitoring shows it. */
#ifndef PP_SERVER_MONITOR_PASSAGES_H
#define PP_SERVER_MONITOR_PASSAGES_H

#include "base/json.h"
#include "core/account.h"

/* Add exports and imports, where there are any, to the object that has been begun. Thread: any,
 * with the lock of accounts held. */
void pp_account_passages_write(pp_json *json, const pp_account *account);

#endif
