/* core/desk.h -- where responses to requests from other accounts come in.
 *
 * A request that crosses into an account is given a reply subject of the server's own there,
 *
 *   _R_.TTTTTT.LLRRRRRRRR   T: the account's tag   L: the loop of who asks   R: by chance
 *
 * and what is published to it goes back. The desk is a subscription of the server's own that routes
 * of such subjects have besides all others. An account gets its desk with its first request, and
 * keeps it. */
#ifndef PP_CORE_DESK_H
#define PP_CORE_DESK_H

#include "core/account.h"
#include "core/client.h"

enum {
    PP_DESK_TAG_BYTES = 6,
    PP_DESK_LOOP_BYTES = 2,
    PP_DESK_TOKEN_BYTES = 8,
    PP_DESK_SUBJECT_BYTES = 4 + PP_DESK_TAG_BYTES + 1 + PP_DESK_LOOP_BYTES + PP_DESK_TOKEN_BYTES,
};

typedef struct pp_desk {
    pp_client client; /* of sub alone */
    pp_sub *sub;
    pp_account *account;
    char tag[PP_DESK_TAG_BYTES];
} pp_desk;

/* The desk of an account, made on first use. NULL: no memory. Thread: any. */
pp_desk *pp_desk_of(pp_account *account);
void pp_desk_free(pp_desk *desk);

/* May a subject be one of a desk's? */
static inline bool pp_desk_takes(pp_str subject)
{
    return subject.len == PP_DESK_SUBJECT_BYTES && memcmp(subject.ptr, "_R_.", 4) == 0;
}

/* Write the subject of a token, and read it. False: it is not this desk's. */
void pp_desk_write(const pp_desk *desk, uint32_t loop, uint64_t token,
                   char out[PP_DESK_SUBJECT_BYTES]);
bool pp_desk_read(const pp_desk *desk, pp_str subject, uint32_t *out_loop, uint64_t *out_token);

/* Tokens are below this. */
#define PP_DESK_TOKENS UINT64_C(218340105584896) /* 62 to the 8th */

/* crossing.c: what is done with responses. */
extern const struct pp_client_ops pp_desk_ops;

#endif
