#include "net/parcel.h"

#include "base/assert.h"

#include <string.h>

/* In a chunk: this, subject, reply, small data, padding; then addresses. */
struct pp_packed {
    uint32_t bytes; /* of all of it, to the next one */
    uint32_t address_count;
    uint32_t addresses_at; /* from the beginning of this */
    uint32_t subject_len;
    uint32_t reply_len;
    uint32_t header_len;
    size_t data_len;
    const char *data; /* large: in body */
    pp_body *body;    /* a reference is held; NULL: data follows reply */
    char text[];
};

enum { ALIGN = _Alignof(struct pp_packed) };
static_assert(offsetof(pp_chunk, bytes) % ALIGN == 0, "the first parcel of a chunk is aligned");
static_assert(sizeof(pp_address) % ALIGN == 0, "a parcel behind addresses is aligned");
static_assert(_Alignof(pp_address) <= ALIGN, "addresses behind a parcel are aligned");

pp_body *pp_parcel_body(pp_str data)
{
    pp_body *body = pp_body_new(data.len + 2);

    if (!body)
        return NULL;
    memcpy(body->bytes, data.ptr, data.len);
    memcpy(body->bytes + data.len, "\r\n", 2);
    return body;
}

static char *add_text(char *to, pp_str text)
{
    if (text.len)
        memcpy(to, text.ptr, text.len);
    return to + text.len;
}

size_t pp_bag_pack(pp_bag *bag, pp_chunk_pool *pool, const pp_parcel *parcel, size_t addresses)
{
    bool large = parcel->data.len >= PP_PARCEL_REFER_MIN;
    size_t text = parcel->subject.len + parcel->reply.len + (large ? 0 : parcel->data.len);
    size_t bytes = (sizeof(struct pp_packed) + text + ALIGN - 1) / ALIGN * ALIGN;
    size_t need = bytes + addresses * sizeof(pp_address);
    pp_chunk *chunk = bag->last;
    struct pp_packed *packed;
    char *at;

    PP_ASSERT(!large || parcel->body);
    PP_ASSERT(text < UINT32_MAX / 2);
    if (!chunk || chunk->cap - chunk->len < need || bag->referred >= PP_PARCEL_REFERRED_MAX) {
        chunk = pp_chunk_take(pool, need);
        if (!chunk)
            return 0;
        if (bag->last)
            bag->last->next = chunk;
        else
            bag->first = chunk;
        bag->last = chunk;
        bag->referred = 0;
    }
    packed = (struct pp_packed *)(void *)(chunk->bytes + chunk->len);
    *packed = (struct pp_packed){
        .bytes = (uint32_t)bytes,
        .addresses_at = (uint32_t)bytes,
        .subject_len = (uint32_t)parcel->subject.len,
        .reply_len = (uint32_t)parcel->reply.len,
        .header_len = parcel->header_len,
        .data_len = parcel->data.len,
    };
    at = add_text(add_text(packed->text, parcel->subject), parcel->reply);
    if (large) {
        packed->data = parcel->data.ptr;
        packed->body = pp_body_ref(parcel->body);
        bag->referred += parcel->data.len;
    } else {
        (void)add_text(at, parcel->data);
    }
    chunk->len += bytes;
    bag->open = packed;
    return bytes + (large ? parcel->data.len : 0);
}

size_t pp_bag_address(pp_bag *bag, const pp_address *to)
{
    struct pp_packed *packed = bag->open;
    pp_chunk *chunk = bag->last;

    if (!packed || chunk->cap - chunk->len < sizeof(*to))
        return 0;
    memcpy(chunk->bytes + chunk->len, to, sizeof(*to));
    chunk->len += sizeof(*to);
    packed->bytes += (uint32_t)sizeof(*to);
    packed->address_count++;
    return sizeof(*to);
}

void pp_bag_append(pp_bag *bag, pp_bag *from)
{
    if (!from->first)
        return;
    if (bag->last)
        bag->last->next = from->first;
    else
        bag->first = from->first;
    bag->last = from->last;
    bag->open = NULL;
    *from = (pp_bag){0};
}

pp_chunk *pp_bag_take(pp_bag *bag)
{
    pp_chunk *chunk = bag->first;

    if (!chunk)
        return NULL;
    bag->first = chunk->next;
    if (!bag->first)
        *bag = (pp_bag){0};
    chunk->next = NULL;
    return chunk;
}

size_t pp_parcels_unpack(pp_chunk *chunk,
                         void (*each)(void *context, const pp_parcel *parcel, const pp_address *to,
                                      uint32_t count),
                         void *context)
{
    size_t bytes = chunk->len;

    for (size_t at = 0; at < chunk->len;) {
        struct pp_packed *packed = (struct pp_packed *)(void *)(chunk->bytes + at);
        const char *reply = packed->text + packed->subject_len;
        const char *data = packed->body ? packed->data : reply + packed->reply_len;
        const pp_parcel parcel = {
            .subject = {packed->text, packed->subject_len},
            .reply = {reply, packed->reply_len},
            .data = {data, packed->data_len},
            .header_len = packed->header_len,
            .body = packed->body,
        };

        if (each)
            each(context, &parcel,
                 (const pp_address *)(void *)(chunk->bytes + at + packed->addresses_at),
                 packed->address_count);
        if (packed->body)
            bytes += packed->data_len;
        pp_body_unref(packed->body);
        at += packed->bytes;
    }
    return bytes;
}

void pp_bag_drop(pp_bag *bag, pp_chunk_pool *pool)
{
    pp_chunk *chunk;

    while ((chunk = pp_bag_take(bag))) {
        (void)pp_parcels_unpack(chunk, NULL, NULL);
        pp_chunk_give(pool, chunk);
    }
}
