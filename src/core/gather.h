/* core/gather.h -- everybody who hears a message, before anything of them is resolved: who
 * subscribes in its account, and, under the name that the message has there, in the accounts that
 * import it as a stream; and what passes it on as a request or a response. */
#ifndef PP_CORE_GATHER_H
#define PP_CORE_GATHER_H

#include "core/account.h"
#include "core/client.h"
#include "core/import.h"

/* The message under another name, in another account. */
typedef struct pp_alias {
    const pp_import *import;
    uint32_t at; /* in texts */
    uint32_t len;
} pp_alias;

typedef struct pp_hearer {
    pp_sub *sub;
    uint32_t alias; /* index plus 1; 0: the subject itself */
} pp_hearer;

/* Reused from call to call. Zeroed: empty. */
typedef struct pp_gathering {
    pp_hearer *hearers;
    size_t count, cap;
    pp_alias *aliases;
    size_t alias_count, alias_cap;
    pp_buf texts;
    pp_sub_set matched; /* scratch */
    pp_sub_set imported;
    uint64_t steps; /* what the last one took: ways that were followed, matches that were seen */
} pp_gathering;

void pp_gathering_fini(pp_gathering *g);

/* Nobody, yet. */
void pp_gathering_clear(pp_gathering *g);

/**
 * Gather who hears a message on subject in account, in no stated order. crossed: it came from
 * another account, and is not exported as a stream again.
 *
 * What is gathered is borrowed, good until the loop's turn ends. Errors: PIPIT_ENOMEM.
 * Thread: any loop's, in a turn.
 */
pipit_err pp_gather(pp_gathering *g, pp_account *account, pp_str subject, bool crossed);

/* Gather who subscribes in account to anything that falls under pattern, which is valid; nobody in
 * other accounts, and none of the server's own that pass messages on. Otherwise the same. */
pipit_err pp_gather_matching(pp_gathering *g, pp_account *account, pp_str pattern);

/* Put plain subscriptions first, then groups in order; returns how many are plain. */
size_t pp_gathering_partition(pp_gathering *g);

/* The name under which one hears of it. */
static inline pp_str pp_gathering_subject(const pp_gathering *g, const pp_hearer *hearer,
                                          pp_str subject)
{
    const pp_alias *alias;

    if (!hearer->alias)
        return subject;
    alias = &g->aliases[hearer->alias - 1];
    return (pp_str){g->texts.ptr + alias->at, alias->len};
}

static inline const pp_import *pp_gathering_import(const pp_gathering *g, const pp_hearer *hearer)
{
    return hearer->alias ? g->aliases[hearer->alias - 1].import : NULL;
}

/* Are the two in one queue group? */
bool pp_hearers_same_group(const pp_hearer *a, const pp_hearer *b);

#endif
