/* config/change.h -- what a reload would change: key by key, and what becomes of it.
 *
 * A key that only a restart can change keeps the whole reload from happening, so the rest of the
 * changes is rejected with it. Users and mappings are counted and named by account; values of
 * secrets are not shown. */
#ifndef PP_CONFIG_CHANGE_H
#define PP_CONFIG_CHANGE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "config/snapshot.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum pp_change_outcome {
    PP_CHANGE_APPLIED,
    PP_CHANGE_RESTART,
    PP_CHANGE_REJECTED,
} pp_change_outcome;

typedef struct pp_change {
    const char *key;      /* "max_payload", "accounts.A.users" */
    const char *old_text; /* empty: nothing was given */
    const char *new_text;
    pp_change_outcome outcome;
    const char *reason; /* empty where there is nothing to say */
} pp_change;

typedef struct pp_changes {
    pp_arena arena;
    pp_change *items; /* by key */
    size_t count;
    size_t restart_count; /* of those that need one; 0: the reload may happen */
} pp_changes;

/* Compare. Both are under one salt. Errors: PIPIT_EINVAL they are not; PIPIT_ENOMEM. */
pipit_err pp_changes_new(pp_changes **out_changes, const pp_snapshot *old_snapshot,
                         const pp_snapshot *new_snapshot);
void pp_changes_free(pp_changes *changes);

/* "applied", "needs restart", "rejected". */
const char *pp_change_outcome_name(pp_change_outcome outcome);

/* Write a table, or one line that says that there is nothing to write. */
pipit_err pp_changes_format(const pp_changes *changes, pp_buf *out);
/* Write an array of objects {key, old, new, outcome, reason}. */
void pp_changes_write_json(const pp_changes *changes, pp_json *json, const char *key);

#endif
