/* net/parcel.h -- messages packed one after another, to be taken apart on another loop.
 *
 * A parcel is a message, packed once, and the addresses of all it is for on that loop: ids, since
 * a recipient may be gone when it arrives. Parcels lie in chunks, and each chunk can be understood
 * alone. A small message costs a copy and no allocation; data of PP_PARCEL_REFER_MIN bytes and
 * more lies in a body that all parcels share. To this room a message is four runs of bytes. */
#ifndef PP_NET_PARCEL_H
#define PP_NET_PARCEL_H

#include "base/body.h"
#include "base/str.h"
#include "net/chunk.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PP_PARCEL_REFER_MIN = 2048,
    PP_PARCEL_REFERRED_MAX = 65536, /* a chunk that refers to so much is full */
};

/* A message on its way in, and again on its way out: borrowed for the call. */
typedef struct pp_parcel {
    pp_str subject;
    pp_str reply;
    pp_str data;         /* header block, then payload */
    uint32_t header_len; /* bytes of data that are header block */
    pp_body *body;       /* data lies in it, CR LF behind it; NULL: data is small */
} pp_parcel;

/* Who takes parcels on a loop: a door's part there. Lives as long as the loop. */
typedef struct pp_receiver {
    /* Deliver to that subscription of that client, if they are still there. Thread: the loop's. */
    void (*receive)(struct pp_receiver *receiver, uint64_t client_id, uint64_t sub_id,
                    const pp_parcel *parcel);
} pp_receiver;

typedef struct pp_address {
    pp_receiver *receiver;
    uint64_t client_id;
    uint64_t sub_id;
} pp_address;

/* Chunks of parcels, in order. Zeroed: empty. */
typedef struct pp_bag {
    pp_chunk *first, *last;
    struct pp_packed *open; /* the parcel packed last; NULL: it is closed */
    size_t referred;        /* bytes of large data in the last chunk */
} pp_bag;

/* A body that holds a copy of data and CR LF behind it: the form in which large data is packed.
 * NULL: no memory. Thread: any. */
pp_body *pp_parcel_body(pp_str data);

/* Pack, with room for so many addresses behind it; a reference to the body is taken when data is
 * large. Returns how many bytes the bag has grown by, those of the body included; 0: no memory.
 * Thread: the pool's. */
size_t pp_bag_pack(pp_bag *bag, pp_chunk_pool *pool, const pp_parcel *parcel, size_t addresses);

/* Address the open parcel to one more. Returns the bytes it took; 0: the chunk is full, and the
 * message must be packed again. */
size_t pp_bag_address(pp_bag *bag, const pp_address *to);

/* Append the chunks of from, which is empty then. */
void pp_bag_append(pp_bag *bag, pp_bag *from);

/* Take off the first chunk; NULL: none. It is unpacked once, and then given back. */
pp_chunk *pp_bag_take(pp_bag *bag);

/* Call each for every parcel (NULL: only let go) and let go of bodies. Returns the bytes that
 * packing and addressing took. */
size_t pp_parcels_unpack(pp_chunk *chunk,
                         void (*each)(void *context, const pp_parcel *parcel, const pp_address *to,
                                      uint32_t count),
                         void *context);

/* Let go of everything. */
void pp_bag_drop(pp_bag *bag, pp_chunk_pool *pool);

#endif
