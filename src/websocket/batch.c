#include "websocket/batch.h"

#include "base/assert.h"

static size_t total(const struct iovec *iov, size_t count)
{
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        bytes += iov[i].iov_len;
    return bytes;
}

/* Where the bytes come from. */
struct source {
    const struct iovec *iov;
    size_t count;
    size_t at; /* in the first of them */
};

/* Put up to len bytes into pieces; returns how many there was room for. */
static size_t put(pp_ws_batch *batch, struct source *from, size_t len)
{
    size_t done = 0;

    while (done < len && batch->piece_count < PP_WS_BATCH_PIECES) {
        size_t left = from->iov->iov_len - from->at;
        size_t n = left < len - done ? left : len - done;

        if (n)
            batch->pieces[batch->piece_count++] =
                (struct iovec){(char *)from->iov->iov_base + from->at, n};
        done += n;
        from->at += n;
        if (from->at == from->iov->iov_len) {
            from->iov++;
            from->count--;
            from->at = 0;
        }
    }
    return done;
}

void pp_ws_batch_cut(pp_ws_batch *batch, const struct iovec *iov, size_t count, size_t frame_max)
{
    struct source from = {iov, count, 0};
    size_t left = total(iov, count);

    batch->piece_count = batch->frame_count = batch->wire_bytes = 0;
    while (left && batch->frame_count < PP_WS_BATCH_FRAMES &&
           batch->piece_count + 2 <= PP_WS_BATCH_PIECES) {
        size_t frame = batch->frame_count++, head = batch->piece_count++;
        size_t len = put(batch, &from, left < frame_max ? left : frame_max);

        batch->pieces[head] =
            (struct iovec){batch->heads[frame],
                           pp_ws_head_format(batch->heads[frame], PP_WS_BINARY, true, false, len)};
        batch->frames[frame].first = head;
        batch->frames[frame].payload = len;
        batch->wire_bytes += batch->pieces[head].iov_len + len;
        left -= len;
    }
}

/* Copy pieces without their first `skip` bytes. */
static size_t copy_rest(const struct iovec *pieces, size_t count, size_t skip, char *rest)
{
    size_t len = 0;

    for (size_t i = 0; i < count; i++) {
        size_t gone = skip < pieces[i].iov_len ? skip : pieces[i].iov_len;

        memcpy(rest + len, (char *)pieces[i].iov_base + gone, pieces[i].iov_len - gone);
        len += pieces[i].iov_len - gone;
        skip -= gone;
    }
    return len;
}

size_t pp_ws_batch_sent(const pp_ws_batch *batch, size_t sent, char *rest, size_t *out_rest)
{
    size_t taken = 0;

    PP_ASSERT(sent <= batch->wire_bytes);
    *out_rest = 0;
    for (size_t i = 0; i < batch->frame_count && sent; i++) {
        size_t first = batch->frames[i].first;
        size_t end = i + 1 < batch->frame_count ? batch->frames[i + 1].first : batch->piece_count;
        size_t bytes = batch->pieces[first].iov_len + batch->frames[i].payload;

        taken += batch->frames[i].payload;
        if (sent < bytes) {
            *out_rest = copy_rest(batch->pieces + first, end - first, sent, rest);
            break;
        }
        sent -= bytes;
    }
    return taken;
}
