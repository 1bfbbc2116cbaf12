/* core/token.h -- any text as one token of a subject, and back.
 *
 * A byte that cannot stand in a token, or that is not printable ASCII, is written as '%' and two
 * upper-case hexadecimal digits, and so is '%' itself. So every text has one token, and no two the
 * same. Source: fanout, wire protocol, section 9; message-broker, section 11. */
#ifndef PP_CORE_TOKEN_H
#define PP_CORE_TOKEN_H

#include "base/err.h"
#include "base/str.h"

/* The most that the token of so many bytes can take. */
#define PP_TOKEN_BYTES(text_bytes) (3 * (text_bytes))

/* Write the token of text, which is not empty, to out, which has room for it. Returns its length;
 * nothing closes it. */
size_t pp_token_escape(pp_str text, char *out);

/* Write the text of a token to out, which has room for as many bytes as token has. False: that is
 * no token that pp_token_escape() writes. */
bool pp_token_unescape(pp_str token, char *out, size_t *out_len);

#endif
