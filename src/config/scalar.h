/* config/scalar.h -- what a value that is neither map nor array says: which kind it is and which
 * bytes make it. Pure: nothing is copied, numbers are not yet computed. */
#ifndef PP_CONFIG_SCALAR_H
#define PP_CONFIG_SCALAR_H

#include "base/err.h"
#include "config/lexer.h"

typedef enum pp_scalar_kind {
    PP_SCALAR_STRING,
    PP_SCALAR_INT, /* digits, perhaps with a sign and a suffix */
    PP_SCALAR_FLOAT,
    PP_SCALAR_BOOL,
    PP_SCALAR_DATE,
    PP_SCALAR_VARIABLE, /* text is its name, without the dollar sign */
} pp_scalar_kind;

typedef struct pp_scalar {
    pp_scalar_kind kind;
    bool escaped; /* text holds escapes, which were found to be good */
    pp_str text;  /* points into the lexer's text */
    size_t plain; /* bytes in front in which a backslash is no escape */
} pp_scalar;

/* Read the value at the cursor, where a blank or a new line was not. Inside of an array a ']' ends
 * a number. Errors: PIPIT_EINVAL, with the failure stated. */
pipit_err pp_scalar_read(pp_lexer *lexer, bool in_array, pp_scalar *out);

/* Write the text with its escapes resolved; out has room for text.len bytes. Returns the length. */
size_t pp_scalar_unescape(pp_str text, char *out);

#endif
