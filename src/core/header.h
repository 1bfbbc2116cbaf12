/* core/header.h -- fields of a message's header block.
 *
 * A block is a first line and fields, each ended by CR LF, and an empty line. What is not well
 * formed is read as leniently as any client might: lines may end with CR or LF alone, a field may
 * have blanks around its name, and its name any case. So what the server takes out is gone for all.
 */
#ifndef PP_CORE_HEADER_H
#define PP_CORE_HEADER_H

#include "base/str.h"

#include <stdbool.h>

/* Who asks, for the account that answers. */
#define PP_REQUEST_INFO_HEADER "Nats-Request-Info"

typedef struct pp_field {
    pp_str name;  /* without blanks */
    pp_str value; /* the same; of a field over several lines the first */
    pp_str line;  /* all of it, with what goes on in further lines, and their ends */
} pp_field;

/* The field that begins at *at, which moves on; first 0. False: there is none. */
bool pp_field_next(pp_str block, size_t *at, pp_field *out);

/* Has the block a field of that name, in any case? */
bool pp_header_has(pp_str block, pp_str name);

/* Copy the block without fields of these names, and without its last, empty line, to out, which has
 * room for all of it and PP_HEADER_MORE bytes. Returns the length. */
enum { PP_HEADER_MORE = 16 };
size_t pp_header_copy_without(pp_str block, const pp_str *names, size_t name_count, char *out);

#endif
