/* proto/fanout/reader.h -- from bytes to what a client wants, one line at a time.
 *
 * Pure: no I/O, no clock. A line that is complete in what is read stays where it is; one that is
 * not is kept here and grows by doubling, so that a line costs the same however it is cut.
 * Source: fanout, wire protocol, sections 3 and 4. Where section 8 asks for other behaviour than
 * the original's, that wins. */
#ifndef PP_PROTO_FANOUT_READER_H
#define PP_PROTO_FANOUT_READER_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

/* Bytes behind every line that may be read (not used): doors copy messages in whole steps. */
enum { PP_FANOUT_LINE_SLACK = 32 };

typedef enum pp_fanout_verb {
    PP_FANOUT_NOTHING, /* a line that means nothing, or not here; there is never an answer */
    PP_FANOUT_PING,
    PP_FANOUT_INFO,
    PP_FANOUT_SUBSCRIBE,
    PP_FANOUT_UNSUBSCRIBE,
    PP_FANOUT_ANNOUNCE,
} pp_fanout_verb;

typedef struct pp_fanout_op {
    pp_fanout_verb verb;
    pp_str channel; /* of the last three; holds no blank, no '!', no NUL */
    pp_str message; /* of an announcement; not empty */
} pp_fanout_op;

/* Zeroed but for the limits: nothing is kept. */
typedef struct pp_fanout_reader {
    size_t line_max; /* bytes of a line, its end aside */
    bool crlf;       /* a CR before the end belongs to it */
    bool whole;      /* kept is the line that was given last */
    pp_buf kept;     /* of a line whose end has not come */
} pp_fanout_reader;

/* What one line, without its end, says. Slices point into line. */
void pp_fanout_parse(pp_str line, pp_fanout_op *out_op);

/**
 * Read one line from the front of window.
 *
 * *out_used says how much of window it took. On PIPIT_EAGAIN all of window was taken and more is
 * needed. Slices point into window, behind which PP_FANOUT_LINE_SLACK bytes can be read, or into
 * the reader until the next call.
 *
 * Errors: PIPIT_EAGAIN; PIPIT_ETOOBIG the line is longer than line_max, or will be; PIPIT_ENOMEM.
 */
pipit_err pp_fanout_read(pp_fanout_reader *reader, pp_str window, pp_fanout_op *out_op,
                         size_t *out_used);

/* Give back memory that a line which has been dealt with took. */
void pp_fanout_reader_trim(pp_fanout_reader *reader);
void pp_fanout_reader_fini(pp_fanout_reader *reader);

#endif
