/* server/account_settings.h -- what one account is given: limits, mappings, exports, imports.
 *
 * Made whole from the options of one account, wherever these come from, and exchanged whole; other
 * accounts are not touched. Immutable, but for what links imports with exports.
 *
 *   [pp_account_settings_new]        [.._give]                    [.._give others]
 *  -------------------------> made ------------> the account's ---------------------> old
 *
 * Loops may look at old settings until each has ended its turn: who has waited for that frees
 * them, and who is on a loop retires them. */
#ifndef PP_SERVER_ACCOUNT_SETTINGS_H
#define PP_SERVER_ACCOUNT_SETTINGS_H

#include "base/buf.h"
#include "base/reclaim.h"
#include "config/options.h"
#include "core/export.h"
#include "core/import.h"
#include "server/accounts.h"

typedef struct pp_account_settings pp_account_settings;

/**
 * Make settings for account; nothing of them can be seen yet. Accounts that imports name are made
 * if they are not there. error gets a sentence on PIPIT_EINVAL.
 *
 * Owner:  options are read only for the call.
 * Errors: PIPIT_EINVAL; PIPIT_ENOMEM. Thread: any.
 */
pipit_err pp_account_settings_new(pp_account_settings **out_settings, pp_accounts *accounts,
                                  pp_account *account, const pp_account_options *options,
                                  pp_buf *error);

/* One export, and one import, whose exporter is made if it is not there, as the core has them.
 * Errors: PIPIT_ENOMEM. */
pp_export pp_account_export(const pp_export_option *option);
pipit_err pp_account_import(const pp_import_option *option, pp_accounts *accounts,
                            pp_import_entry *out_entry);

/* Give an account its settings; NULL takes them away. Imports that find nothing pass nothing, until
 * their exporters have it. Returns what it had: NULL, or to be freed or retired by the caller.
 * Thread: any; _locked: with the lock of accounts held. */
pp_account_settings *pp_account_settings_give(pp_accounts *accounts, pp_account *account,
                                              pp_account_settings *settings);
pp_account_settings *pp_account_settings_give_locked(pp_accounts *accounts, pp_account *account,
                                                     pp_account_settings *settings);

/* Free settings that no account has and no loop looks at. NULL is fine. */
void pp_account_settings_free(pp_account_settings *settings);

/* Free them when no loop can look at them any more. Thread: the reclaimer's loop. */
void pp_account_settings_retire(pp_account_settings *settings, pp_reclaimer *reclaimer);

/* A list of old ones; pop gives NULL when it is empty. */
void pp_account_settings_push(pp_account_settings **list, pp_account_settings *settings);
pp_account_settings *pp_account_settings_pop(pp_account_settings **list);

#endif
