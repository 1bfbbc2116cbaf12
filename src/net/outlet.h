/* net/outlet.h -- staging and sending.
 *
 * An outlet is one loop's way to one connection. Delivering writes the frame into the outlet's
 * chunk: no lock, no allocation. At the end of the turn the outlet is flushed: if nobody else is
 * sending to that connection and nothing waits, it is sent from here, whatever loop the
 * connection is on. What the socket does not take goes into the connection's outbox, the one
 * place shared between loops, and the connection's owner sends it when there is room. */
#ifndef PP_NET_OUTLET_H
#define PP_NET_OUTLET_H

#include "base/assert.h"
#include "base/str.h"
#include "net/chunk.h"
#include "net/loop.h"

struct pp_conn;

enum {
    PP_OUTLET_REFS_MAX = 256,
    /* Bytes staged on a loop after which it flushes before it goes on: with a hundred recipients
     * 20 KiB in each send. With half of it a delivery to them cost a third more; with twice as
     * much, the same. */
    PP_STAGED_MAX = 2 << 20,
};

/* Bytes that are not copied: they stand after `at` bytes of the chunk that was last then. */
typedef struct pp_outlet_ref {
    pp_chunk *after;
    size_t at;
    const char *ptr;
    size_t len;
    pp_body *body; /* a reference is held; NULL: in the loop's read buffer */
} pp_outlet_ref;

/* What publishers wait for behind an outlet. */
typedef enum pp_gate_mark {
    PP_GATE_OPEN,
    PP_GATE_LAGS,  /* less than the mark waits */
    PP_GATE_QUEUE, /* nothing waits */
} pp_gate_mark;

typedef struct pp_outlet {
    char *at, *end; /* room in the last chunk; both NULL when nothing is staged */
    struct pp_conn *conn;
    pp_loop *loop;
    pp_chunk *first, *last;
    pp_outlet_ref *refs; /* allocated on first use, freed with the outlet's last flush */
    uint16_t ref_count, ref_cap;
    bool gated;     /* the connection lags behind its mark; looked at for each message */
    bool dirty : 1; /* in the loop's list */
    bool has_answer : 1;
    bool gated_pressed : 1; /* gated for want of memory, at a lower mark */
    bool leads : 1;         /* it is the sender until it is flushed */
    uint8_t chunk_count;
    /* What other loops may write is in a word of its own: what is looked at together above may be
     * read together. */
    _Alignas(8) uint8_t gate; /* pp_gate_mark: guarded by the outbox's lock */
    bool ungate_posted;       /* the same: that it is open is on its way */
    uint64_t msgs, bytes;     /* delivered since the last flush */
    struct pp_outlet *next_dirty;
    struct pp_outlet *next_of_conn; /* guarded by the outbox's lock */
    pp_task ungate;
} pp_outlet;

/* Slow part of pp_outlet_room. */
char *pp_outlet_more_room(pp_outlet *outlet, size_t len);

/* A place for len bytes, one at least, in one piece, PP_CHUNK_SLACK more may be scribbled on;
 * follow with pp_outlet_wrote. NULL: no memory. Thread: the outlet's loop. */
static inline char *pp_outlet_room(pp_outlet *outlet, size_t len)
{
    if (PP_LIKELY((size_t)(outlet->end - outlet->at) >= len))
        return outlet->at;
    return pp_outlet_more_room(outlet, len);
}

static inline void pp_outlet_wrote(pp_outlet *outlet, size_t len)
{
    outlet->at += len;
}

/* Stage a copy; all of it or, without memory, nothing. */
bool pp_outlet_write(pp_outlet *outlet, pp_str bytes);

/* Stage without copying. With a body, a reference is taken; without, bytes lie in the loop's read
 * buffer, which is not read into again before the flush. False: no memory. */
bool pp_outlet_refer(pp_outlet *outlet, pp_str bytes, pp_body *body);

/* Make sure the next pp_outlet_refer can only fail before anything of its frame was written. */
bool pp_outlet_reserve_ref(pp_outlet *outlet);

/* Say that what is staged answers the peer, so that it goes out after messages to others. */
void pp_outlet_mark_answer(pp_outlet *outlet);

/* Put what is staged before all that other loops send from now on; that waits until this has been
 * flushed. For a greeting, which must be the first, and which only who is subscribed may see.
 * Something is staged, and nothing waits. Thread: the outlet's loop. */
void pp_outlet_lead(pp_outlet *outlet);

/* Send or queue what is staged. Thread: the outlet's loop. */
void pp_outlet_flush(pp_outlet *outlet);

/* A body with a copy of these borrowed bytes, which other recipients of this flush share; the loop
 * holds the reference until the flush ends. NULL: not shared. Thread: the loop's. */
pp_body *pp_outlet_share(pp_loop *loop, const char *ptr, size_t len);

/* A staged-to connection that lags was gated because memory was short. Does it still lag, now that
 * memory may not be? Thread: the outlet's loop. */
bool pp_outlet_lags(pp_outlet *outlet);

/* Drop what is staged and what it holds. */
void pp_outlet_fini(pp_outlet *outlet);

#endif
