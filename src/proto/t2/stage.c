#include "proto/t2/stage.h"

#include "base/alloc.h"
#include "t2/data.h"
#include "t2/gzip.h"
#include "t2/writer.h"

/* --- bulk --------------------------------------------------------------------------------- */

void pp_t2_bulk_fini(pp_t2_bulk *bulk)
{
    if (bulk->owned)
        pp_body_unref(bulk->body);
    bulk->owned = false;
}

/* Room for len bytes, which are yet to be written. */
static char *make_room(pp_t2_bulk *bulk, size_t len)
{
    bulk->body = NULL;
    bulk->owned = false;
    if (len <= sizeof(bulk->small))
        return bulk->small;
    bulk->body = pp_body_new(len);
    bulk->owned = bulk->body != NULL;
    return bulk->body ? bulk->body->bytes : NULL;
}

static void as_read(pp_t2_bulk *bulk, pp_str wire, pp_body *in)
{
    bulk->bytes = wire;
    bulk->body = in;
    bulk->owned = false;
}

pipit_err pp_t2_bulk_content(pp_t2_bulk *bulk, const pp_t2_message *message, pp_body *in)
{
    char *room;

    if (message->wire.len) {
        as_read(bulk, message->wire, in);
        return PIPIT_OK;
    }
    room = make_room(bulk, pp_t2_content_max(message));
    if (!room)
        return PIPIT_ENOMEM;
    bulk->bytes = (pp_str){room, pp_t2_write_content(message, room)};
    if (bulk->bytes.len + PP_T2_HEAD_MAX <= PP_T2_FRAME_MAX)
        return PIPIT_OK;
    pp_t2_bulk_fini(bulk);
    return PIPIT_ETOOBIG;
}

pipit_err pp_t2_bulk_payload(pp_t2_bulk *bulk, const pp_t2_payload *payload, pp_body *in)
{
    char *room;

    if (payload->wire.len) {
        as_read(bulk, payload->wire, in);
        return PIPIT_OK;
    }
    room = make_room(bulk, pp_t2_payload_max(payload));
    if (!room)
        return PIPIT_ENOMEM;
    bulk->bytes = (pp_str){room, pp_t2_write_payload(payload, room)};
    if (bulk->bytes.len + PP_T2_BRIEF_MAX <= PP_T2_FRAME_MAX)
        return PIPIT_OK;
    pp_t2_bulk_fini(bulk);
    return PIPIT_ETOOBIG;
}

/* --- plain data --------------------------------------------------------------------------- */

static void end_plain(pp_t2_bulk *bulk, char *room, size_t len)
{
    memcpy(room + len, "\r\n", PP_T2_PLAIN_END);
    bulk->bytes = (pp_str){room, len};
}

static size_t plain_len(const pp_t2_payload *payload)
{
    return payload->is_array ? payload->count : payload->data.len;
}

static void put_plain(const pp_t2_payload *payload, char *to)
{
    if (payload->is_array)
        (void)pp_t2_data_decode(payload->data, to);
    else if (payload->data.len)
        memcpy(to, payload->data.ptr, payload->data.len);
}

static pipit_err inflate_plain(pp_t2_bulk *bulk, pp_str compressed, size_t plain_max)
{
    pp_buf out;
    char *room;
    pipit_err err;

    pp_buf_init(&out, plain_max + 1); /* one more tells what is too much */
    err = pp_t2_inflate(compressed, &out);
    if (!err && out.len > plain_max)
        err = PIPIT_ETOOBIG;
    if (!err) {
        room = make_room(bulk, out.len + PP_T2_PLAIN_END);
        err = room ? PIPIT_OK : PIPIT_ENOMEM;
        if (room && out.len)
            memcpy(room, out.ptr, out.len);
        if (room)
            end_plain(bulk, room, out.len);
    }
    pp_buf_fini(&out);
    return err;
}

pipit_err pp_t2_bulk_plain(pp_t2_bulk *bulk, const pp_t2_payload *payload, size_t plain_max)
{
    size_t len = plain_len(payload);
    char *room;
    pipit_err err;

    if (!payload->is_compressed) {
        if (len > plain_max)
            return PIPIT_ETOOBIG;
        room = make_room(bulk, len + PP_T2_PLAIN_END);
        if (!room)
            return PIPIT_ENOMEM;
        put_plain(payload, room);
        end_plain(bulk, room, len);
        return PIPIT_OK;
    }
    if (!payload->is_array)
        return inflate_plain(bulk, payload->data, plain_max);
    room = pp_alloc(len + 1);
    if (!room)
        return PIPIT_ENOMEM;
    put_plain(payload, room);
    err = inflate_plain(bulk, (pp_str){room, len}, plain_max);
    pp_free(room);
    return err;
}

/* --- staging ------------------------------------------------------------------------------ */

/* A recipient that lags: whoever makes the loop stage this waits after it. */
static void mind_gate(pp_outlet *outlet)
{
    pp_loop *loop = outlet->loop;

    if (outlet->gated_pressed && !pp_outlet_lags(outlet))
        return;
    loop->gate = outlet;
    if (loop->pressed)
        loop->staged_bytes += PP_STAGED_MAX; /* it is the publisher's last for now */
}

static bool write_copy(pp_outlet *outlet, pp_str head, pp_str bytes)
{
    char *room = pp_outlet_room(outlet, head.len + bytes.len);

    if (!room)
        return false;
    memcpy(room, head.ptr, head.len);
    memcpy(room + head.len, bytes.ptr, bytes.len);
    pp_outlet_wrote(outlet, head.len + bytes.len);
    return true;
}

bool pp_t2_stage(pp_t2_lane *lane, pp_t2_session *s, pp_str head, const pp_t2_bulk *bulk)
{
    pp_outlet *outlet = pp_conn_outlet(s->conn, lane->loop);
    bool staged;

    if (!outlet)
        return false;
    if (outlet->gated)
        mind_gate(outlet);
    if (bulk->bytes.len <= PP_T2_SMALL)
        staged = write_copy(outlet, head, bulk->bytes);
    else
        staged = pp_outlet_reserve_ref(outlet) && pp_outlet_write(outlet, head) &&
                 pp_outlet_refer(outlet, bulk->bytes, bulk->body);
    outlet->msgs += staged;
    outlet->bytes += staged ? bulk->bytes.len : 0;
    return staged;
}

size_t pp_t2_stage_to_found(pp_t2_lane *lane, const pp_t2_bulk *bulk)
{
    char head[PP_T2_HEAD_MAX];
    size_t len = pp_t2_write_head(head, lane->next_id++, bulk->bytes.len), count = 0;

    for (size_t i = 0; i < lane->found_count; i++)
        count += pp_t2_stage(lane, lane->found[i], (pp_str){head, len}, bulk);
    pp_count(&lane->loop->counters->out_msgs, count);
    pp_count(&lane->loop->counters->out_bytes, count * bulk->bytes.len);
    return count;
}
