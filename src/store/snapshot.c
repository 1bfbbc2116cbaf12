/* A snapshot is read from a store message by message. */
#include "store/snapshot.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "store/inside.h"

struct pp_store_snapshot {
    pp_store *store;
    uint64_t truncations; /* of the store when it began */
    uint64_t seq;         /* the next one to look for */
    uint64_t last_seq;
    uint64_t messages;
    uint64_t check; /* of the last frame */
    bool begun;
    bool ended;
};

pipit_err pp_store_snapshot_new(pp_store *store, pp_store_snapshot **out_snapshot)
{
    pp_store_snapshot *snapshot = pp_calloc(1, sizeof(*snapshot));

    if (!snapshot)
        return PIPIT_ENOMEM;
    snapshot->store = store;
    snapshot->truncations = store->truncations;
    snapshot->seq = store->first_seq;
    snapshot->last_seq = store->last_seq;
    *out_snapshot = snapshot;
    return PIPIT_OK;
}

void pp_store_snapshot_free(pp_store_snapshot *snapshot)
{
    pp_free(snapshot);
}

uint64_t pp_store_snapshot_messages(const pp_store_snapshot *snapshot)
{
    return snapshot->messages;
}

static pipit_err add_head(pp_store_snapshot *snapshot, pp_buf *out)
{
    struct pp_store_snapshot_head head = {.magic = PP_STORE_SNAPSHOT_MAGIC,
                                          .version = PP_STORE_SNAPSHOT_VERSION,
                                          .first_seq = snapshot->seq,
                                          .last_seq = snapshot->last_seq,
                                          .made_ns = pp_clock_wall_ns()};

    head.check = pp_hash((char *)&head + 16, sizeof(head) - 16, head.magic);
    snapshot->check = head.check;
    snapshot->begun = true;
    return pp_buf_add(out, &head, sizeof(head));
}

static pipit_err add_message(const struct pp_store_message *message, pp_buf *out)
{
    struct pp_store_snapshot_message head = {
        .seq = message->seq,
        .time_ns = message->time_ns,
        .expires_ns = message->expires_ns,
        .headers_bytes = (uint32_t)message->headers.len,
        .payload_bytes = (uint32_t)message->payload.len,
        .subject_bytes = (uint16_t)message->subject.len,
    };
    pipit_err err = pp_buf_add(out, &head, sizeof(head));

    if (!err)
        err = pp_buf_add(out, message->subject.ptr, message->subject.len);
    if (!err)
        err = pp_buf_add(out, message->headers.ptr, message->headers.len);
    if (!err)
        err = pp_buf_add(out, message->payload.ptr, message->payload.len);
    return err;
}

/* The frame's head stands in out already, in front of its body. */
static void end_frame(pp_store_snapshot *snapshot, uint32_t kind, pp_buf *out, size_t from)
{
    struct pp_store_snapshot_frame frame = {.kind = kind};

    frame.bytes = (uint32_t)(out->len - from - sizeof(frame));
    memcpy(out->ptr + from, &frame, sizeof(frame));
    frame.check = pp_hash(out->ptr + from + 8, out->len - from - 8, snapshot->check);
    memcpy(out->ptr + from, &frame, sizeof(frame));
    snapshot->check = frame.check;
}

/* Messages until there are enough bytes, or none is left. */
static pipit_err add_messages(pp_store_snapshot *snapshot, size_t bytes, pp_buf *out)
{
    size_t from = out->len;
    pipit_err err = PIPIT_OK;

    while (!err && out->len - from < bytes) {
        struct pp_store_message message;

        err = pp_store_next(snapshot->store, PP_STR(">"), snapshot->seq, &message);
        if (!err && message.seq > snapshot->last_seq)
            err = PIPIT_ENOTFOUND;
        if (err)
            break;
        err = add_message(&message, out);
        snapshot->messages += !err;
        snapshot->seq = message.seq + 1;
    }
    if (err != PIPIT_ENOTFOUND)
        return err;
    snapshot->ended = true;
    return PIPIT_OK;
}

static pipit_err add_frames(pp_store_snapshot *snapshot, size_t bytes, pp_buf *out)
{
    static const struct pp_store_snapshot_frame empty;
    struct pp_store_snapshot_message end = {0};
    size_t from = out->len;
    pipit_err err = pp_buf_add(out, &empty, sizeof(empty));

    if (!err)
        err = add_messages(snapshot, bytes, out);
    if (err)
        return err;
    end_frame(snapshot, PP_STORE_SNAPSHOT_MESSAGES, out, from);
    if (!snapshot->ended)
        return PIPIT_OK;
    from = out->len;
    end.seq = snapshot->messages;
    err = pp_buf_add(out, &empty, sizeof(empty));
    if (!err)
        err = pp_buf_add(out, &end, sizeof(end));
    if (!err)
        end_frame(snapshot, PP_STORE_SNAPSHOT_END, out, from);
    return err;
}

pipit_err pp_store_snapshot_next(pp_store_snapshot *snapshot, size_t bytes, pp_buf *out,
                                 bool *out_end)
{
    struct pp_store_snapshot before = *snapshot;
    size_t len = out->len;
    pipit_err err = PIPIT_OK;

    if (snapshot->truncations != snapshot->store->truncations)
        return PIPIT_ECLOSED;
    if (bytes > PP_STORE_SNAPSHOT_FRAME_MAX / 2)
        bytes = PP_STORE_SNAPSHOT_FRAME_MAX / 2;
    if (!snapshot->begun)
        err = add_head(snapshot, out);
    if (!err && !snapshot->ended)
        err = add_frames(snapshot, bytes, out);
    if (err) { /* as if it had not been called */
        *snapshot = before;
        out->len = len;
        return err;
    }
    *out_end = snapshot->ended;
    return PIPIT_OK;
}
