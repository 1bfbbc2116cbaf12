/* counter.c -- see counter.h. */
#include "counter.h"

#include <stdbool.h>
#include <string.h>

#include "fatal.h"

static bool is_message(const char *bytes)
{
    return memcmp(bytes, "MSG ", 4) == 0;
}

static bool is_line_end(const char *bytes)
{
    return memcmp(bytes, "\r\n", 2) == 0;
}

static size_t parse_frame_bytes(const char *line, size_t line_bytes)
{
    size_t digits = line_bytes - 2;
    size_t payload_bytes = 0;

    while (line[digits - 1] != ' ')
        digits--;
    for (size_t i = digits; i < line_bytes - 2; i++)
        payload_bytes = payload_bytes * 10 + (size_t)(line[i] - '0');
    return line_bytes + payload_bytes + 2;
}

/* Use one control line that is not the header of a known frame. Returns its bytes, 0 if its end has
 * not come yet. The header of the first message is only looked at, so it too returns 0: the caller
 * goes on with the size it gave. */
static size_t use_line(bench_counter *counter, const char *bytes, size_t len)
{
    const char *newline = memchr(bytes, '\n', len);
    size_t line_bytes;

    if (!newline)
        return 0;
    line_bytes = (size_t)(newline - bytes) + 1;
    if (line_bytes < 5 || newline[-1] != '\r')
        bench_fatal("the server sent a malformed line");
    if (is_message(bytes)) {
        counter->frame_bytes = parse_frame_bytes(bytes, line_bytes);
        return 0;
    }
    if (memcmp(bytes, "PING", 4) == 0)
        counter->ping_count++;
    else if (memcmp(bytes, "-ERR", 4) == 0)
        counter->error_count++;
    else if (memcmp(bytes, "INFO", 4) != 0 && memcmp(bytes, "PONG", 4) != 0 &&
             memcmp(bytes, "+OK\r", 4) != 0)
        bench_fatal("frames are not all of one size, or the server sent: %.*s", (int)line_bytes - 2,
                    bytes);
    return line_bytes;
}

/* Walk over whole frames. Stops in front of anything that is not a frame of the known size, and in
 * front of a frame that is not all there. */
static size_t walk_frames(bench_counter *counter, const char *bytes, size_t len)
{
    const size_t frame = counter->frame_bytes;
    size_t at = 0;

    while (len - at >= frame && is_message(bytes + at)) {
        if (!is_line_end(bytes + at + frame - 2))
            bench_fatal("frames are not all of one size");
        at += frame;
    }
    counter->message_count += at / frame;
    return at;
}

/* The rest of a frame whose beginning came with earlier input. */
static size_t finish_frame(bench_counter *counter, size_t len)
{
    if (len < counter->rest_bytes) {
        counter->rest_bytes -= len;
        return len;
    }
    len = counter->rest_bytes;
    counter->rest_bytes = 0;
    counter->message_count++;
    return len;
}

size_t bench_counter_feed(bench_counter *counter, const char *bytes, size_t len)
{
    size_t at = 0;

    if (counter->rest_bytes)
        at = finish_frame(counter, len);
    while (len - at >= 4) {
        size_t used;

        if (counter->frame_bytes && is_message(bytes + at)) {
            used = walk_frames(counter, bytes + at, len - at);
            if (used == 0) {
                counter->rest_bytes = counter->frame_bytes - (len - at);
                return len;
            }
        } else {
            bool size_known = counter->frame_bytes != 0;

            used = use_line(counter, bytes + at, len - at);
            if (used == 0 && (size_known || !counter->frame_bytes))
                break;
        }
        at += used;
    }
    return at;
}
