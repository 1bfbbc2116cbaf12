/* server/directory.h -- the accounts, users, permissions and mappings of a configuration.
 *
 * Accounts live on from one configuration to the next; everything else is made anew and exchanged
 * whole. An old directory stays until no session points to its users.
 *
 *   [pp_directory_new]   [pp_directory_install]      [pp_directory_retire]      [no session left]
 *  ------------------> -----------------------> current ---------------------> old --------> gone
 *
 * Thread: the one that starts, reloads and stops the server, but for pp_directory_account. */
#ifndef PP_SERVER_DIRECTORY_H
#define PP_SERVER_DIRECTORY_H

#include "auth/gate.h"
#include "auth/users.h"
#include "base/buf.h"
#include "config/options.h"
#include "server/accounts.h"

struct pp_calls;
typedef struct pp_directory pp_directory;

/**
 * Make the directory of options; nothing of it can be seen yet. Accounts that are not there are
 * made. operators decides on logins instead of the options' users; NULL: there is none. error gets
 * a sentence on PIPIT_EINVAL.
 *
 * Owner:  options are read only for the call; key, hasher and calls are borrowed for the life of
 *         the directory.
 * Errors: PIPIT_EINVAL; PIPIT_ENOMEM.
 */
pipit_err pp_directory_new(pp_directory **out_directory, pp_accounts *accounts,
                           const pp_options *options, const pp_user_key *key, pp_hasher *hasher,
                           pp_authority *operators, struct pp_calls *calls, pp_buf *error);
void pp_directory_free(pp_directory *directory);

const pp_users *pp_directory_users(const pp_directory *directory);
const pp_gate *pp_directory_gate(const pp_directory *directory);
pp_account *pp_directory_global(const pp_directory *directory);
pp_account *pp_directory_system(const pp_directory *directory); /* NULL: none */

/* Where the next of a list of old ones stands. */
pp_directory **pp_directory_next(pp_directory *directory);

/* Give the accounts their settings and roots; those that it does not name are found no more. What
 * they had before may still be looked at until every loop has ended its turn, and is freed by
 * pp_directory_settle. */
void pp_directory_install(pp_directory *directory, pp_accounts *accounts);

/* No loop works with an older directory any more: accounts that this one does not name lose the
 * root they had there, as who asked something of theirs may keep them for longer than their
 * directory. A loop may look at such a root until it has ended its turn. */
void pp_directory_forget_older(const pp_directory *directory, pp_accounts *accounts);

/* Every loop has ended its turn since it was installed. */
void pp_directory_settle(pp_directory *directory);

/* May it be freed: does no session point to its users, and no login wait for its gate? */
bool pp_directory_idle(const pp_directory *directory);

#endif
