/* t2/reader.h -- frames to messages; pure.
 *
 * Most frames come as the original's clients write them, keys in order and numbers in their
 * shortest form: these are recognised as they stand, and their parts can be passed on as they
 * stand. All others that say the same are read item by item. */
#ifndef PP_T2_READER_H
#define PP_T2_READER_H

#include "base/buf.h"
#include "base/err.h"
#include "t2/message.h"

/* Where pieces of a frame are joined that do not stand in one. Zeroed: empty. May serve several
 * connections, one after another. */
typedef struct pp_t2_reader {
    pp_buf topic, texts, data;
} pp_t2_reader;

void pp_t2_reader_fini(pp_t2_reader *reader);

/**
 * Read one frame from the front of window.
 *
 * *out_used: how much it takes; after PIPIT_EAGAIN how much it will take in all, 0: not known yet.
 * Slices in *out_message point into window or reader, good until the next call.
 *
 * Errors: PIPIT_EAGAIN; PIPIT_ETOOBIG the frame is longer than frame_max; PIPIT_EPROTO it does not
 * decode; PIPIT_ENOMEM.
 */
pipit_err pp_t2_read(pp_t2_reader *reader, pp_str window, size_t frame_max,
                     pp_t2_message *out_message, size_t *out_used);

/* The same of a frame that is complete, without its length, item by item. */
pipit_err pp_t2_read_items(pp_t2_reader *reader, pp_str frame, pp_t2_message *out_message);

/* canonical.c: the one form that is written. False: it is another. */
bool pp_t2_read_canonical(pp_str frame, pp_t2_message *out_message);

#endif
