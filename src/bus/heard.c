#include "bus/heard.h"

#include "base/alloc.h"
#include "t2/data.h"
#include "t2/gzip.h"

/* The data as it was sent, in plain bytes. */
static pipit_err decode(const pp_t2_payload *payload, pp_buf *out)
{
    size_t len = payload->is_array ? payload->count : payload->data.len;
    pipit_err err = pp_buf_reserve(out, len + 1);

    if (err)
        return err;
    if (payload->is_array)
        (void)pp_t2_data_decode(payload->data, out->ptr);
    else if (len)
        memcpy(out->ptr, payload->data.ptr, len);
    out->len = len;
    return PIPIT_OK;
}

static pipit_err make_plain(const pp_t2_payload *payload, size_t plain_max, pp_buf *out)
{
    pp_buf compressed;
    pipit_err err;

    pp_buf_init(out, plain_max);
    if (!payload->is_compressed)
        return decode(payload, out);
    pp_buf_init(&compressed, SIZE_MAX);
    err = decode(payload, &compressed);
    if (!err)
        err = pp_t2_inflate(pp_buf_str(&compressed), out);
    pp_buf_fini(&compressed);
    return err;
}

pipit_err pp_bus_heard_new(pp_bus_heard **out, const pp_t2_message *message, size_t plain_max)
{
    pp_bus_heard *heard = NULL;
    pp_buf plain;
    pipit_err err = make_plain(&message->payload, plain_max, &plain);

    if (!err) {
        heard = pp_alloc(sizeof(*heard) + message->topic.len + 1 + plain.len);
        err = heard ? PIPIT_OK : PIPIT_ENOMEM;
    }
    if (!err) {
        *heard = (pp_bus_heard){
            .kind = message->kind,
            .id = message->kind == PP_T2_RSP ? message->req_id : message->id,
            .timed_out = message->timed_out,
            .topic_len = message->topic.len,
            .payload_len = plain.len,
        };
        if (message->topic.len)
            memcpy(heard->bytes, message->topic.ptr, message->topic.len);
        heard->bytes[message->topic.len] = '\0';
        if (plain.len)
            memcpy(heard->bytes + message->topic.len + 1, plain.ptr, plain.len);
        *out = heard;
    }
    pp_buf_fini(&plain);
    return err == PIPIT_ENOMEM ? err : err ? PIPIT_EPROTO : PIPIT_OK;
}
