/* A layer that gives each line a send, and so a segment, of its own.
 *
 * Clients of this protocol take the first line of what a read returns and throw the rest away, so
 * two lines in one segment are one line lost. With TCP_NODELAY a send is a segment while the peer's
 * window has room; with MSG_EOR lines stay apart also where they wait in the kernel.
 * Source: fanout, wire protocol, section 7.
 *
 * It holds nothing back and keeps nothing: what is short is sent again by whoever sends next. */
#include "base/alloc.h"
#include "net/socket.h"
#include "proto/fanout/session.h"

#include <errno.h>
#include <string.h>

enum {
    LINES_AT_ONCE = 64,
    PIECES_AT_ONCE = 4 * LINES_AT_ONCE, /* a line is one piece, or three if it is long */
};

/* Lines of a batch, as messages for the socket. */
struct batch {
    struct mmsghdr lines[LINES_AT_ONCE];
    struct iovec pieces[PIECES_AT_ONCE];
    unsigned line_count, piece_count;
    size_t bytes;
    bool open; /* the last one has not ended */
};

/* Where the next byte is. */
struct place {
    const struct iovec *iov;
    size_t count;
    size_t at; /* in the first of them */
};

static size_t length_of(const struct msghdr *line)
{
    size_t bytes = 0;

    for (size_t i = 0; i < line->msg_iovlen; i++)
        bytes += line->msg_iov[i].iov_len;
    return bytes;
}

static void add_piece(struct batch *batch, const char *from, size_t len, bool ends)
{
    struct msghdr *line;

    if (!batch->open) {
        batch->lines[batch->line_count] = (struct mmsghdr){
            .msg_hdr = {.msg_iov = &batch->pieces[batch->piece_count]},
        };
        batch->line_count++;
    }
    line = &batch->lines[batch->line_count - 1].msg_hdr;
    batch->pieces[batch->piece_count++] = (struct iovec){(char *)from, len};
    line->msg_iovlen++;
    batch->bytes += len;
    batch->open = !ends;
}

/* Take lines until there are no more, or no room. */
static void fill(struct batch *batch, struct place *place)
{
    batch->line_count = batch->piece_count = 0;
    batch->bytes = 0;
    batch->open = false;
    while (place->count && batch->piece_count < PIECES_AT_ONCE &&
           (batch->open || batch->line_count < LINES_AT_ONCE)) {
        const char *from = (const char *)place->iov->iov_base + place->at;
        size_t left = place->iov->iov_len - place->at;
        const char *end = left ? memchr(from, '\n', left) : NULL;
        size_t len = end ? (size_t)(end - from) + 1 : left;

        if (len)
            add_piece(batch, from, len, end != NULL);
        place->at += len;
        if (place->at == place->iov->iov_len) {
            place->iov++;
            place->count--;
            place->at = 0;
        }
    }
}

/* Through the layer below, which is one of encryption: each line becomes a record. */
static ssize_t send_by_layer(pp_layer *layer, pp_loop *loop, const struct batch *batch)
{
    size_t sent = 0;

    for (unsigned i = 0; i < batch->line_count; i++) {
        const struct msghdr *line = &batch->lines[i].msg_hdr;
        ssize_t n = pp_layer_send_below(layer, loop, line->msg_iov, line->msg_iovlen);

        if (n < 0 && errno != EAGAIN)
            return -1;
        sent += n > 0 ? (size_t)n : 0;
        if (n < (ssize_t)length_of(line))
            break;
    }
    if (sent)
        return (ssize_t)sent;
    errno = EAGAIN;
    return -1;
}

/* How many lines ended within the first bytes of the batch. */
static unsigned ended_within(const struct batch *batch, size_t bytes)
{
    unsigned ended = 0;

    for (; ended < batch->line_count; ended++) {
        size_t len = length_of(&batch->lines[ended].msg_hdr);

        if (len > bytes)
            return ended;
        bytes -= len;
    }
    return ended - batch->open;
}

static ssize_t send_lines(pp_layer *layer, pp_loop *loop, const struct iovec *iov, size_t count)
{
    pp_fanout_session *s = (pp_fanout_session *)layer->conn->session;
    struct place place = {iov, count, 0};
    struct batch batch;
    size_t sent = 0;
    ssize_t n = 0;

    while (place.count) {
        fill(&batch, &place);
        if (batch.bytes == 0)
            break;
        n = layer->below ? send_by_layer(layer, loop, &batch)
                         : pp_socket_send_each(loop, layer->conn, batch.lines, batch.line_count);
        if (n < 0)
            break;
        sent += (size_t)n;
        (void)atomic_fetch_sub_explicit(&s->lines, ended_within(&batch, (size_t)n),
                                        memory_order_relaxed);
        if ((size_t)n < batch.bytes)
            break;
    }
    if (n < 0 && (sent == 0 || errno != EAGAIN))
        return -1;
    if (sent)
        atomic_store_explicit(&s->taken_ns, loop->now_ns, memory_order_relaxed);
    return (ssize_t)sent;
}

static ssize_t receive(pp_layer *layer, char *to, size_t len)
{
    return pp_layer_receive_below(layer, to, len);
}

static void free_layer(pp_layer *layer)
{
    pp_layer_fini(layer);
    pp_free(layer);
}

static const pp_layer_ops segments_ops = {
    .name = "segments",
    .receive = receive,
    .send = send_lines,
    .free = free_layer,
};

pipit_err pp_fanout_segments_new(pp_layer **out_layer)
{
    pp_layer *layer = pp_calloc(1, sizeof(*layer));

    if (!layer)
        return PIPIT_ENOMEM;
    pp_layer_init(layer, &segments_ops);
    *out_layer = layer;
    return PIPIT_OK;
}
