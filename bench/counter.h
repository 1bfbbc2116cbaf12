/* counter.h -- count the messages in a byte stream whose frames are all of one size.
 *
 * A subscriber at full load gets tens of millions of frames a second; parsing each would measure
 * the parser. The first header is parsed and gives the size of all. After that the stream is walked
 * from frame to frame, and each must begin with "MSG " and end with CR LF; anything else is parsed
 * as the line it is. Pure: no descriptors, no clock. */
#ifndef BENCH_COUNTER_H
#define BENCH_COUNTER_H

#include <stddef.h>
#include <stdint.h>

typedef struct bench_counter {
    uint64_t message_count; /* frames seen to their last byte */
    size_t frame_bytes;     /* 0 until the first header was read */
    size_t rest_bytes;      /* of the frame that the last input ended in */
    unsigned ping_count;    /* PINGs to be answered; the caller sets it back */
    unsigned error_count;   /* -ERR lines */
} bench_counter;

/* Count what bytes hold. Returns how many were used; the rest, shorter than a control line, must be
 * put in front of the next input. Ends the program on anything that is not the protocol. */
size_t bench_counter_feed(bench_counter *counter, const char *bytes, size_t len);

#endif
