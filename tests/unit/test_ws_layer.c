/* The WebSocket layer over a wire that the test plays: what is sent through it comes out as whole
 * frames however little the wire takes at a time, and refused memory ends no more than the
 * connection. */
#include "base/alloc.h"
#include "base/fault.h"
#include "net/conn.h"
#include "seed.h"
#include "websocket/deflate.h"
#include "websocket/layer.h"
#include "websocket/mask.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define HEAD                                                                                       \
    "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
#define PACKS "Sec-WebSocket-Extensions: permessage-deflate\r\n"
#define BROWSER "User-Agent: Mozilla/5.0\r\n"

enum { STREAM_MAX = 1 << 22 };

/* What lies below: bytes to come, and the bytes that went. */
struct wire {
    pp_layer layer;
    pp_str in;
    size_t step;   /* how much comes at a time */
    size_t budget; /* how much is taken until the next refill */
    char *out;
    size_t out_len;
};

struct world {
    struct wire wire;
    pp_loop loop;
    pp_conn conn;
    pp_log log;
    pp_ws_settings settings;
    pp_ws_host host;
    pp_layer *layer;
};

static ssize_t wire_receive(pp_layer *layer, char *to, size_t len)
{
    struct wire *wire = (struct wire *)layer;
    size_t n = len < wire->step ? len : wire->step;

    n = n < wire->in.len ? n : wire->in.len;
    if (n == 0) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(to, wire->in.ptr, n);
    wire->in.ptr += n;
    wire->in.len -= n;
    return (ssize_t)n;
}

static ssize_t wire_send(pp_layer *layer, pp_loop *loop, const struct iovec *iov, size_t count)
{
    struct wire *wire = (struct wire *)layer;
    size_t taken = 0;

    (void)loop;
    for (size_t i = 0; i < count && wire->budget; i++) {
        size_t n = iov[i].iov_len < wire->budget ? iov[i].iov_len : wire->budget;

        assert_true(n <= STREAM_MAX - wire->out_len);
        memcpy(wire->out + wire->out_len, iov[i].iov_base, n);
        wire->out_len += n;
        wire->budget -= n;
        taken += n;
    }
    if (taken)
        return (ssize_t)taken;
    errno = EAGAIN;
    return -1;
}

static const pp_layer_ops wire_ops = {.name = "wire", .receive = wire_receive, .send = wire_send};

static pipit_err world_init(struct world *x, char *out)
{
    memset(x, 0, sizeof(*x));
    x->settings.rules.compression = true;
    x->settings.rules.headers = PP_STR("");
    x->settings.cookies[PP_WS_JWT] = PP_STR("jwt");
    x->host.settings = &x->settings;
    x->conn.loop = &x->loop;
    x->wire.step = SIZE_MAX;
    x->wire.budget = SIZE_MAX;
    x->wire.out = out;
    pp_layer_init(&x->wire.layer, &wire_ops);
    if (pp_ws_host_init(&x->host, &x->log, 1))
        return PIPIT_ENOMEM;
    atomic_store(&x->host.inflated_max, (size_t)1 << 20);
    if (pp_ws_layer_new(&x->host, &x->layer))
        return PIPIT_ENOMEM;
    x->layer->conn = &x->conn;
    x->layer->below = &x->wire.layer;
    return PIPIT_OK;
}

static void world_fini(struct world *x)
{
    pp_layer_free(x->layer);
    pp_layer_fini(&x->wire.layer);
    pp_ws_host_fini(&x->host, 1);
}

/* Receive all that there is; false: it came to an end. */
static bool receive_all(struct world *x, char *out, size_t *len)
{
    char window[3000];

    for (;;) {
        ssize_t n = x->layer->ops->receive(x->layer, window, sizeof(window));

        if (n <= 0 && !(n < 0 && errno == EAGAIN))
            return false;
        if (n < 0 && !x->layer->more && !x->wire.in.len)
            return true;
        if (n > 0 && out) {
            memcpy(out + *len, window, (size_t)n);
            *len += (size_t)n;
        }
    }
}

static void say(struct world *x, const char *bytes, size_t len)
{
    x->wire.in = (pp_str){bytes, len};
}

/* Send what is held; then the answer lies on the wire. */
static void push(struct world *x)
{
    (void)x->layer->ops->send(x->layer, &x->loop, NULL, 0);
}

/* --- reading as a client does ------------------------------------------------------------- */

struct heard {
    char *stream;
    size_t len;
    size_t pongs;
    bool closed;
};

/* Take the frames off the wire. Nothing follows a close frame, and nothing is cut. */
static void hear(pp_str wire, struct heard *heard)
{
    pp_ws_reader reader = {.unmasked = true, .inflates = true};
    pp_ws_inflater *inflater;
    bool begun = false;

    assert_int_equal(pp_ws_inflater_new(&inflater), PIPIT_OK);
    while (wire.len) {
        pp_ws_piece piece;
        size_t used, made = 0;

        assert_false(heard->closed);
        assert_int_equal(pp_ws_read(&reader, wire, &piece, &used), PIPIT_OK);
        wire.ptr += used;
        wire.len -= used;
        heard->pongs += piece.opcode == PP_WS_PONG;
        heard->closed = piece.opcode == PP_WS_CLOSE;
        if (piece.opcode != PP_WS_BINARY)
            continue;
        if (!piece.compressed) {
            memcpy(heard->stream + heard->len, piece.bytes.ptr, piece.bytes.len);
            heard->len += piece.bytes.len;
            continue;
        }
        if (!begun)
            pp_ws_inflater_begin(inflater, STREAM_MAX);
        begun = !piece.last;
        assert_int_equal(pp_ws_inflate(inflater, &piece.bytes, piece.last,
                                       heard->stream + heard->len, STREAM_MAX - heard->len, &made),
                         PIPIT_OK);
        heard->len += made;
    }
    assert_false(reader.in_frame || reader.in_message || begun);
    pp_ws_inflater_free(inflater);
}

/* --- tests -------------------------------------------------------------------------------- */

static char sent[STREAM_MAX], out[STREAM_MAX], stream[STREAM_MAX];

/* Offer the stream in random pieces to a wire that takes little at a time. */
static void send_stream(struct world *x, uint64_t *seed, size_t len)
{
    size_t at = 0;

    while (at < len) {
        struct iovec iov[20];
        size_t count = 1 + pp_random_below(seed, 20), left = len - at;
        ssize_t n;

        for (size_t i = 0; i < count; i++) {
            size_t piece = pp_random_below(seed, pp_random_below(seed, 3) ? 300 : 60000);

            piece = piece < left ? piece : left;
            iov[i] = (struct iovec){sent + len - left, piece};
            left -= piece;
        }
        if (len - at == left)
            continue; /* nothing but empty pieces */
        n = x->layer->ops->send(x->layer, &x->loop, iov, count);
        assert_true(n > 0 || (n < 0 && errno == EAGAIN));
        at += n > 0 ? (size_t)n : 0;
        if (pp_random_below(seed, 8) == 0) { /* a ping in between */
            say(x, "\x89\x81\0\0\0\0x", 7);
            assert_true(receive_all(x, NULL, NULL));
        }
        x->wire.budget = pp_random_below(seed, pp_random_below(seed, 2) ? 40 : 100000);
    }
}

static void test_layer_sends_whole_frames(void **state)
{
    static const char *const requests[] = {
        HEAD "\r\n", HEAD PACKS "\r\n", HEAD BROWSER "\r\n", HEAD BROWSER PACKS "\r\n",
        HEAD PACKS "User-Agent: Mozilla/5.0 Version/1 Safari/1\r\n\r\n"};
    uint64_t seed = test_seed("test_ws_layer");
    int64_t live = pp_alloc_live();

    (void)state;
    for (unsigned round = 0; round < 40; round++) {
        struct heard heard = {.stream = stream};
        struct world x;
        size_t len = 1 + pp_random_below(&seed, 600000), head;

        for (size_t i = 0; i < len; i++)
            sent[i] = (char)('a' + pp_random_below(&seed, round % 7 ? 4 : 200));
        assert_int_equal(world_init(&x, out), PIPIT_OK);
        say(&x, requests[round % 5], strlen(requests[round % 5]));
        assert_true(receive_all(&x, NULL, NULL));
        assert_true(x.layer->ready);
        push(&x);
        head = x.wire.out_len;
        x.wire.budget = 1000;
        send_stream(&x, &seed, len);
        x.layer->ops->goodbye(x.layer, PP_CLOSE_SHUTDOWN);
        x.wire.budget = SIZE_MAX;
        push(&x);
        assert_int_equal(atomic_load(&x.layer->held_bytes), 0);
        hear((pp_str){out + head, x.wire.out_len - head}, &heard);
        assert_int_equal(heard.len, len);
        assert_memory_equal(stream, sent, len);
        assert_true(heard.closed);
        /* Who comes too late is not heard. */
        head = x.wire.out_len;
        assert_int_equal(x.layer->ops->send(x.layer, &x.loop, &(struct iovec){sent, 5}, 1), 5);
        assert_int_equal(x.wire.out_len, head);
        world_fini(&x);
    }
    assert_int_equal(pp_alloc_live(), live);
}

/* A whole life with every allocation refused once. */
static void test_layer_without_memory(void **state)
{
    static const char request[] = HEAD PACKS "Cookie: jwt=abc\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n";
    /* a ping, "Hello" compressed in two frames, and a close frame */
    static const char frames[] = "\x89\x81\0\0\0\0x"
                                 "\x41\x83\0\0\0\0\xf2\x48\xcd\x80\x84\0\0\0\0\xc9\xc9\x07\x00"
                                 "\x88\x82\0\0\0\0\x03\xe8";
    int64_t live = pp_alloc_live();
    bool refused = true;

    (void)state;
    for (uint64_t nth = 1; refused; nth++) {
        struct world x;
        size_t len = 0;
        bool fine;

        memset(sent, 'x', 5000);
        pp_fault_arm("alloc", nth);
        fine = world_init(&x, out) == PIPIT_OK;
        if (fine) {
            say(&x, request, sizeof(request) - 1);
            fine = receive_all(&x, NULL, NULL) && x.layer->ready;
        }
        if (fine) {
            struct iovec iov = {sent, 5000};
            ssize_t n;

            push(&x);
            x.wire.budget = 3;
            n = x.layer->ops->send(x.layer, &x.loop, &iov, 1);
            assert_true(n == 5000 || n < 0);
            say(&x, frames, sizeof(frames) - 1);
            x.wire.step = 11;
            assert_false(receive_all(&x, stream, &len)); /* it ends, by the close frame or before */
            x.wire.budget = SIZE_MAX;
            push(&x);
            x.layer->ops->goodbye(x.layer, PP_CLOSE_CLIENT);
            push(&x);
        }
        refused = pp_fault_disarm();
        if (!refused) {
            assert_true(fine && len == 5);
            assert_memory_equal(stream, "Hello", 5);
            assert_true(pp_str_eq(pp_ws_layer_credential(x.layer, PP_WS_JWT), PP_STR("abc")));
            assert_true(pp_str_eq(pp_ws_layer_real_ip(x.layer), PP_STR("1.2.3.4")));
            assert_memory_equal(out + x.wire.out_len - 4, "\x88\x02\x03\xe8", 4);
            pp_ws_layer_forget_credentials(x.layer);
            assert_int_equal(pp_ws_layer_credential(x.layer, PP_WS_JWT).len, 0);
        }
        world_fini(&x);
        assert_int_equal(pp_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layer_sends_whole_frames),
        cmocka_unit_test(test_layer_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
