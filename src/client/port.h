/* client/port.h -- where messages from other threads arrive without being encoded.
 *
 * A port has one reader at a time. Each writer has a *lane* to it: a chain of chunks that one
 * thread at a time appends records to and the reader takes them from, without a lock and in order.
 * Emptied chunks go back to the writer, so that nothing is allocated in the steady state. Large
 * data lies in a body that all its recipients share.
 *
 *   writer   [pp_lane_write]   record, then the chunk's length (release)
 *            lane not listed?  list it at the port, and wake the reader if it sleeps
 *   reader   [pp_port_take]    listed lanes, as far as their chunks' lengths (acquire)
 *            nothing for long  unlist them, look once more, sleep
 *
 * Who writes looks whether the lane is listed after the length is out; who unlists it looks at the
 * length after that is out. One of the two sees the other, so no record is left lying.
 *
 * What is under way in a lane is limited. The writer is told that it is full and decides what
 * becomes of the message; it may wait for room. */
#ifndef PP_CLIENT_PORT_H
#define PP_CLIENT_PORT_H

#include "base/body.h"
#include "base/err.h"
#include "base/str.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PP_LANE_REFER_MIN = 2048 }; /* data of so many bytes lies in a body */

typedef struct pp_port pp_port;
typedef struct pp_lane pp_lane;

typedef struct pp_record {
    pp_str subject, reply, data; /* data: header block, then payload */
    size_t header_len;
    pp_body *body; /* data is large and lies in it; NULL: data is small */
    uint64_t sid;
} pp_record;

/* --- the reader's side -------------------------------------------------------------------- */

/* wake_fd is borrowed: an eventfd that is written to when the reader sleeps and must not.
 * bytes_max: in one lane. Errors: PIPIT_ENOMEM. */
pipit_err pp_port_new(pp_port **out_port, int wake_fd, size_t bytes_max);
/* No more is taken, what is there is dropped, writers that wait for room are told, and the reader
 * lets go. wake_fd is used no more when this has returned. NULL is fine. */
void pp_port_close(pp_port *port);
void pp_port_ref(pp_port *port);
void pp_port_unref(pp_port *port);

/* Call each for what has come, most records at a time; returns how many there were. Lanes have
 * turns, and who has had none when most is reached comes first the next time. each must not close
 * the port. */
size_t pp_port_take(pp_port *port, size_t most,
                    void (*each)(void *context, const pp_record *record), void *context);

/* Is there something to take? Cheap: for who spins. */
bool pp_port_has(const pp_port *port);

/* The reader is about to wait for wake_fd. False: there is something, it must not. After waiting,
 * or when it is false, pp_port_awake. */
bool pp_port_sleep(pp_port *port);
void pp_port_awake(pp_port *port);

/* --- the writer's side -------------------------------------------------------------------- */

/* A lane to the port. NULL: no memory. Thread: any. */
pp_lane *pp_lane_new(pp_port *port);
/* The writer writes no more; what it has written still arrives. NULL is fine. */
void pp_lane_leave(pp_lane *lane);

/* Is there room for a record? A record larger than the limit passes when nothing else is under way.
 * Thread: one at a time per lane, as below. */
bool pp_lane_has_room(pp_lane *lane, const pp_record *record);

/* Write. Errors: PIPIT_EAGAIN no room; PIPIT_ENOMEM; PIPIT_ECLOSED the port is. */
pipit_err pp_lane_write(pp_lane *lane, const pp_record *record);
/* The same of a small one that has neither header nor reply. */
pipit_err pp_lane_write_plain(pp_lane *lane, uint64_t sid, pp_str subject, pp_str data);

/* Wait for room: until more has been taken than the writer has seen, until deadline_ns at most, or
 * until over is set and pp_lane_rouse called. True: it has, or it need not wait any more. Thread:
 * any that holds a reference. */
bool pp_lane_await_room(pp_lane *lane, uint64_t taken_seen, int64_t deadline_ns,
                        const atomic_bool *over);
/* Have those who wait for room look at what they wait for again. Thread: any. */
void pp_lane_rouse(pp_lane *lane);
/* As of when there was no room. Thread: the writer. */
uint64_t pp_lane_taken_seen(const pp_lane *lane);
/* One more reference, for pp_lane_leave. */
void pp_lane_ref(pp_lane *lane);

/* Has the reader taken all that was written? Thread: any. */
bool pp_lane_settled(const pp_lane *lane);

/* The same, as the writer sees it: pp_lane_await_room waits for more than that. Thread: the writer.
 */
bool pp_lane_emptied(pp_lane *lane);

/* Has the reader let go of the port? Thread: any. */
bool pp_lane_closed(const pp_lane *lane);

/* Is more under way than three quarters of the limit? */
bool pp_lane_lags(pp_lane *lane);

/* A body with a copy of data, as pp_record.body; CR LF lies behind it, as doors expect. NULL: no
 * memory. */
pp_body *pp_lane_body(pp_str header, pp_str payload);

/* How many messages the reader will not see, as writers have counted. Thread: any. */
void pp_port_count_missed(pp_port *port);
uint64_t pp_port_missed(const pp_port *port);

#endif
