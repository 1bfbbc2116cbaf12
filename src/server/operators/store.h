/* server/operators/store.h -- tokens of accounts in a folder, one file each.
 *
 * Files are named after account keys that have been decoded and written anew, so that no name can
 * lead anywhere else. A token is written to a file of another name, synced, and renamed; then the
 * folder is synced: after a power cut there is the old token or the new one, and at most a file
 * that is swept away when the store is opened.
 *
 *   <key>.jwt          the token
 *   <key>.jwt.deleted  of an account that was deleted, unless deletion is for good
 *   <key>.jwt.new      being written
 *
 * One thread at a time: it reads and writes files. Source: NATS authentication, section 6. */
#ifndef PP_SERVER_OPERATORS_STORE_H
#define PP_SERVER_OPERATORS_STORE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct pp_jwt;
typedef struct pp_token_store pp_token_store;

typedef struct pp_token_store_setup {
    const char *dir;
    size_t limit; /* tokens; 0: none */
    bool evicts;  /* at the limit the one goes that was not asked for longest; else none is taken */
    bool hard_delete;
    int64_t ttl_s; /* one that was not asked for so long goes; 0: when it expires */
} pp_token_store_setup;

enum { PP_TOKEN_STORE_HASH_BYTES = 32 };

/**
 * Open a folder, making it if it is not there, and read what is in it.
 *
 * Files that are no tokens of the account that they are named after are left alone and not served;
 * *out_strange counts them. error gets a sentence.
 * Errors: PIPIT_EINVAL, PIPIT_EIO; PIPIT_ENOMEM.
 */
pipit_err pp_token_store_open(pp_token_store **out_store, const pp_token_store_setup *setup,
                              int64_t now_s, size_t *out_strange, pp_buf *error);
void pp_token_store_close(pp_token_store *store);

/* Append an account's token to out. Errors: PIPIT_ENOTFOUND; PIPIT_EINVAL key is none, or the file
 * is not what was written; PIPIT_EIO; PIPIT_ENOMEM. */
pipit_err pp_token_store_load(pp_token_store *store, pp_str key, int64_t now_s, pp_buf *out);

/**
 * Keep a token that has been decoded. only_newer: not if the one that is there has the same id or
 * was issued later; *out_kept tells.
 *
 * Errors: PIPIT_EINVAL key is none; PIPIT_ELIMIT the store is full; PIPIT_EIO; PIPIT_ENOMEM.
 * On an error the old token stays, unless *out_kept says that the new one is there, which only a
 * power cut could undo then.
 */
pipit_err pp_token_store_save(pp_token_store *store, pp_str token, const struct pp_jwt *jwt,
                              int64_t now_s, bool only_newer, bool *out_kept);

/* Errors: PIPIT_ENOTFOUND; PIPIT_EINVAL; PIPIT_EIO. */
pipit_err pp_token_store_delete(pp_token_store *store, pp_str key);

/* Delete what has expired; call each for every key before it goes. Returns when the next one
 * expires; 0: none does. */
int64_t pp_token_store_expire(pp_token_store *store, int64_t now_s,
                              void (*each)(const char *key, void *arg), void *arg);

size_t pp_token_store_count(const pp_token_store *store);
/* In no order. */
void pp_token_store_each(const pp_token_store *store, void (*each)(const char *key, void *arg),
                         void *arg);
/* All SHA-256 of tokens, by exclusive or. */
void pp_token_store_hash(const pp_token_store *store, uint8_t out[PP_TOKEN_STORE_HASH_BYTES]);

#endif
