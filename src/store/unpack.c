/* What a record's body holds, sealed, compressed, or as it was; and which keys open which segment.
 */
#include "store/inside.h"

#include "store/squeeze.h"

enum { KEPT_BYTES = 256 * 1024 }; /* of memory for large messages, for ever */

bool pp_store_suits(const pp_store *store, const pp_segment *segment)
{
    return store->memory || ((segment->features & store->id.features) == store->id.features &&
                             segment->sealed_by == (store->keys ? 1 : 0));
}

void pp_store_give_key(pp_store *store, pp_segment *segment, uint32_t nth)
{
    pp_seal_derive(&segment->seal, store->keys->keys[nth], store->id.store, segment->number,
                   store->epoch);
    segment->sealed_by = nth + 1;
}

pipit_err pp_store_find_key(pp_store *store, pp_segment *segment, uint64_t key_id)
{
    for (uint32_t i = 0; store->keys && i < store->keys->count; i++)
        if (pp_seal_key_id(store->keys->keys[i], store->id.store) == key_id) {
            pp_store_give_key(store, segment, i);
            return PIPIT_OK;
        }
    store->key_missing = true;
    return PIPIT_EDENIED;
}

pipit_err pp_store_open_sealed(pp_store *store, pp_segment *segment,
                               const struct pp_seal_place *place, const char *bytes, size_t len,
                               char *out)
{
    if (segment->sealed_by)
        return pp_seal_open(&segment->seal, place, bytes, len, out) ? PIPIT_OK : PIPIT_EDAMAGED;
    /* Its header is damaged, and does not tell which one it is. */
    for (uint32_t i = 0; store->keys && i < store->keys->count; i++) {
        pp_store_give_key(store, segment, i);
        if (pp_seal_open(&segment->seal, place, bytes, len, out))
            return PIPIT_OK;
    }
    segment->sealed_by = 0;
    return PIPIT_EDAMAGED;
}

static pipit_err make_room(pp_buf *buf, size_t bytes)
{
    if (buf->cap > KEPT_BYTES && bytes <= KEPT_BYTES)
        pp_buf_fini(buf);
    buf->len = 0;
    return pp_buf_reserve(buf, bytes);
}

pipit_err pp_store_open_body(pp_store *store, pp_segment *segment, uint64_t at,
                             const struct pp_record_head *head, const char *body,
                             struct pp_record_parts *out_parts)
{
    struct pp_seal_place place = {PP_SEAL_RECORD, at, pp_record_said(head)};
    pipit_err err;

    if (head->flags & PP_RECORD_SEALED) {
        err = make_room(&store->opened, head->body_bytes);
        if (!err)
            err = pp_store_open_sealed(store, segment, &place, body, head->body_bytes,
                                       store->opened.ptr);
        if (err)
            return err;
        body = store->opened.ptr;
    }
    return pp_record_parts_read(head, body, out_parts) ? PIPIT_OK : PIPIT_EDAMAGED;
}

pipit_err pp_store_unsqueeze(pp_store *store, struct pp_record_parts *parts)
{
    size_t headers = parts->headers.len;
    pipit_err err;

    if (!parts->squeezed.ptr)
        return PIPIT_OK;
    if (headers > parts->raw_bytes)
        return PIPIT_EDAMAGED;
    if (store->raw.cap > KEPT_BYTES && parts->raw_bytes <= KEPT_BYTES)
        pp_buf_fini(&store->raw);
    err = pp_unsqueeze(parts->squeezed, parts->raw_bytes, &store->raw);
    if (err)
        return err;
    parts->headers = (pp_str){store->raw.ptr, headers};
    parts->payload = (pp_str){store->raw.ptr + headers, parts->raw_bytes - headers};
    return PIPIT_OK;
}
