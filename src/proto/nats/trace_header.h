/* proto/nats/trace_header.h -- does the header block of a message ask for a trace? Pure.
 *
 * A field is a name, a colon, a value, CR LF. Blanks around the value are no part of it; a field
 * with an empty name or value counts as none. The reference looks for the colon first and for the
 * end of the line behind it, so a line without a colon belongs to the name of the next field; the
 * empty line at the end is nothing special. Blocks that do not begin with a bare "NATS/1.0" line
 * have no fields. Source: message tracing, and nats-server 2.15.2 as observed. */
#ifndef PP_PROTO_NATS_TRACE_HEADER_H
#define PP_PROTO_NATS_TRACE_HEADER_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct pp_header_field {
    pp_str name;
    pp_str value;
} pp_header_field;

/* The field at *at, which begins with 0; *at moves on. False: no more. */
bool pp_header_next(pp_str block, size_t *at, pp_header_field *out_field);

typedef enum pp_trace_wish {
    PP_TRACE_NONE,
    PP_TRACE_DEST,    /* to dest */
    PP_TRACE_PARENT,  /* by traceparent: to where the account's traces go */
    PP_TRACE_RETIRED, /* in a way that is not done any more: neither here nor further on */
} pp_trace_wish;

typedef struct pp_trace_header {
    pp_trace_wish wish;
    pp_str dest; /* in the block; any text */
    bool only;   /* trace, but do not deliver */
} pp_trace_header;

/* Look for a line that begins as one of the fields above; parents: traceparent too. False for most
 * messages, soon: then read would answer PP_TRACE_NONE. */
bool pp_trace_hinted(pp_str block, bool parents);

void pp_trace_header_read(pp_str block, pp_trace_header *out);

#endif
