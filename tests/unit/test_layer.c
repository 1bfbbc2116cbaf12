/* Layers between socket and door. A toy of one speaks, in frames, to a peer that the test plays. */
#include "net/layer.h"

#include "loops.h"
#include "seed.h"

#include <netinet/in.h>
#include <string.h>

/* On the wire: a length from 1 to FRAME_MAX and so many bytes, changed by the key; or one byte that
 * is a word of the layer. */
enum { FRAME_MAX = 200, HELLO = 0xf0, PING = 0xff, PONG = 0xfe, BYE = 0xfd };

struct toy {
    pp_layer layer;
    uint8_t key;
    bool greets;   /* carries only after HELLO */
    unsigned left; /* of the frame that comes */
    unsigned frees_to;
    atomic_uint *freed;
};

static ssize_t toy_receive(pp_layer *layer, char *to, size_t len)
{
    struct toy *toy = (struct toy *)layer;
    char raw[1000];
    size_t asked = len < sizeof(raw) ? len : sizeof(raw), out = 0;
    ssize_t n;

    if (atomic_load(&layer->held_bytes) > 100) { /* who does not listen need not be heard */
        atomic_store(&layer->receives_when_sent, true);
        errno = EAGAIN;
        return -1;
    }
    n = pp_layer_receive_below(layer, raw, asked);
    if (n <= 0)
        return n;
    layer->more = (size_t)n == asked;
    for (ssize_t i = 0; i < n; i++) {
        uint8_t byte = (uint8_t)raw[i];

        if (toy->left) {
            to[out++] = (char)(byte ^ toy->key);
            toy->left--;
        } else if (byte == HELLO) {
            pp_layer_set_ready(layer);
        } else if (byte == PING) {
            (void)pthread_mutex_lock(&layer->lock);
            assert_int_equal(pp_layer_hold_locked(layer, (pp_str){"\xfe", 1}), PIPIT_OK);
            (void)pthread_mutex_unlock(&layer->lock);
        } else if (byte == BYE) {
            return out ? (ssize_t)out : 0;
        } else if (byte == 0 || byte > FRAME_MAX) {
            return pp_layer_fail(layer, PP_CLOSE_PROTOCOL);
        } else {
            toy->left = byte;
        }
    }
    if (out)
        return (ssize_t)out;
    errno = EAGAIN;
    return -1;
}

static ssize_t toy_send(pp_layer *layer, pp_loop *loop, const struct iovec *iov, size_t count)
{
    struct toy *toy = (struct toy *)layer;
    char raw[16 * (FRAME_MAX + 1)];
    size_t taken = 0, made = 0;

    if (!pp_layer_begin_send(layer, loop))
        return -1;
    if (toy->greets && !layer->ready) {
        (void)pthread_mutex_unlock(&layer->lock);
        errno = EAGAIN;
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;

        while (at < iov[i].iov_len && made + FRAME_MAX + 1 <= sizeof(raw)) {
            size_t n = iov[i].iov_len - at < FRAME_MAX ? iov[i].iov_len - at : FRAME_MAX;

            raw[made++] = (char)n;
            for (size_t j = 0; j < n; j++)
                raw[made++] = (char)(((const char *)iov[i].iov_base)[at + j] ^ toy->key);
            at += n;
        }
        taken += at;
        if (at < iov[i].iov_len)
            break;
    }
    return pp_layer_end_send(layer, loop, (pp_str){raw, made}) ? (ssize_t)taken : -1;
}

static void toy_goodbye(pp_layer *layer, uint8_t reason)
{
    (void)reason;
    (void)pthread_mutex_lock(&layer->lock);
    (void)pp_layer_hold_locked(layer, (pp_str){"\xfd", 1});
    (void)pthread_mutex_unlock(&layer->lock);
}

static void toy_free(pp_layer *layer)
{
    struct toy *toy = (struct toy *)layer;

    (void)atomic_fetch_add(toy->freed, 1);
    pp_layer_fini(layer);
    pp_free(toy);
}

static const pp_layer_ops toy_ops = {.name = "toy",
                                     .receive = toy_receive,
                                     .send = toy_send,
                                     .goodbye = toy_goodbye,
                                     .free = toy_free};

/* --- a connection with toys --------------------------------------------------------------- */

struct world {
    struct loops l;
    struct watch w;
    struct toy *toy[2];
    unsigned toys;
    atomic_uint freed;
    size_t staged;
    pp_buf wire; /* what the peer has received */
    size_t wire_at[2];
    unsigned readies;
    size_t got_at_ready;
};

static void on_layer(void *session, pp_layer *layer)
{
    struct world *x = watch_of(session)->context;

    assert_ptr_equal(layer, &x->toy[0]->layer);
    x->readies++;
    x->got_at_ready = x->w.got.len;
}

static struct toy *toy_new(struct world *x, uint8_t key)
{
    struct toy *toy = pp_calloc(1, sizeof(*toy));

    assert_non_null(toy);
    pp_layer_init(&toy->layer, &toy_ops);
    toy->key = key;
    toy->freed = &x->freed;
    return toy;
}

static pp_proto_ops layer_proto;

static void world_init(struct world *x, unsigned loops, const pp_conn_limits *limits,
                       int send_bytes)
{
    pp_buf_init(&x->wire, 64 << 20);
    x->toys = 0;
    x->staged = x->readies = 0;
    x->wire_at[0] = x->wire_at[1] = 0;
    atomic_store(&x->freed, 0);
    layer_proto = watch_proto;
    layer_proto.on_layer = on_layer;
    loops_init(&x->l, loops);
    watch_init(&x->w, &x->l, NULL);
    x->w.context = x;
    watch_connect(&x->w, 0, limits, send_bytes);
    x->w.door.proto = &layer_proto;
}

static void world_fini(struct world *x)
{
    loops_fini(&x->l);
    assert_int_equal(atomic_load(&x->w.freed), 1);
    assert_int_equal(atomic_load(&x->freed), x->toys);
    watch_fini(&x->w);
    pp_buf_fini(&x->wire);
    loops_check_memory(&x->l);
}

static void push(struct world *x, bool greets, pp_str early)
{
    struct toy *toy = toy_new(x, (uint8_t)(0x5a + x->toys));

    toy->greets = greets;
    x->toy[x->toys++] = toy;
    assert_int_equal(pp_conn_push_layer(x->w.conn, &toy->layer, early), PIPIT_OK);
}

static void stage(struct world *x, pp_outlet *outlet, size_t len)
{
    char *bytes = malloc(len + 1);

    fill_stream(bytes, x->staged, len);
    assert_true(pp_outlet_write(outlet, (pp_str){bytes, len}));
    free(bytes);
    x->staged += len;
}

/* What the peer says, by one toy: frames of the stream from at on. */
static size_t frames(char *to, uint8_t key, size_t at, size_t len)
{
    size_t made = 0;

    while (len) {
        size_t n = len < FRAME_MAX ? len : FRAME_MAX;

        to[made++] = (char)n;
        fill_stream(to + made, at, n);
        for (size_t i = 0; i < n; i++)
            to[made + i] = (char)(to[made + i] ^ key);
        made += n;
        at += n;
        len -= n;
    }
    return made;
}

struct heard {
    pp_buf bytes;
    size_t at; /* so much of the wire */
    unsigned pongs, byes;
    size_t in_frame; /* so much of one is to come */
};

static void hear_more(pp_str wire, uint8_t key, struct heard *out)
{
    for (; out->at < wire.len; out->at++) {
        uint8_t byte = (uint8_t)wire.ptr[out->at];
        char plain = (char)(byte ^ key);

        assert_int_equal(out->byes, 0); /* nothing comes after it */
        if (out->in_frame) {
            assert_int_equal(pp_buf_add(&out->bytes, &plain, 1), PIPIT_OK);
            out->in_frame--;
        } else if (byte == PONG) {
            out->pongs++;
        } else if (byte == BYE) {
            out->byes++;
        } else {
            assert_true(byte > 0 && byte <= FRAME_MAX);
            out->in_frame = byte;
        }
    }
}

/* Undo one toy. */
static void hear(pp_str wire, uint8_t key, struct heard *out)
{
    *out = (struct heard){0};
    pp_buf_init(&out->bytes, 64 << 20);
    hear_more(wire, key, out);
}

static void peer_say(struct world *x, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = send(x->w.peer, bytes, len, MSG_NOSIGNAL);

        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            turn(&x->l, 0);
            continue;
        }
        bytes += n;
        len -= (size_t)n;
    }
}

/* Let both sides go on until nothing moves. True: the connection is still open to the peer. */
static bool exchange(struct world *x)
{
    for (;;) {
        size_t before = x->wire.len;
        pipit_err err = peer_read(x->w.peer, &x->wire, SIZE_MAX);

        if (err)
            return false;
        settle(&x->l, 0);
        if (x->wire.len == before && peer_read(x->w.peer, &x->wire, SIZE_MAX) == PIPIT_OK &&
            x->wire.len == before)
            return true;
    }
}

static void check_heard(struct world *x, size_t bare, unsigned pongs, unsigned byes)
{
    struct heard heard;

    check_stream(x->wire.ptr, 0, bare);
    hear((pp_str){x->wire.ptr + bare, x->wire.len - bare}, 0x5a, &heard);
    assert_int_equal(heard.in_frame, 0);
    assert_int_equal(heard.bytes.len, x->staged - bare);
    check_stream(heard.bytes.ptr, bare, heard.bytes.len);
    assert_int_equal(heard.pongs, pongs);
    assert_int_equal(heard.byes, byes);
    pp_buf_fini(&heard.bytes);
}

/* --- tests -------------------------------------------------------------------------------- */

static void test_layer_carries_both_ways(void **state)
{
    char wire[5000];
    struct world x;
    size_t n;

    (void)state;
    world_init(&x, 1, &roomy_limits, 0);
    push(&x, false, PP_STR(""));
    stage(&x, &x.w.conn->own, 3000);
    n = frames(wire, 0x5a, 0, 4000);
    peer_say(&x, wire, 7); /* within a frame */
    assert_true(exchange(&x));
    peer_say(&x, wire + 7, n - 7);
    assert_true(exchange(&x));
    assert_int_equal(x.w.got.len, 4000);
    check_stream(x.w.got.ptr, 0, 4000);
    check_heard(&x, 0, 0, 0);
    assert_int_equal(pp_layers_held(x.w.conn->layer), 0);
    assert_false(x.w.conn->box.armed);
    world_fini(&x);
}

static void test_layer_on_layer(void **state)
{
    char inner[3000], wire[3000];
    struct heard outer, heard;
    size_t n, m = 0;
    struct world x;

    (void)state;
    world_init(&x, 1, &roomy_limits, 4096);
    push(&x, false, PP_STR(""));
    push(&x, false, PP_STR(""));
    stage(&x, &x.w.conn->own, 100000);
    n = frames(inner, 0x5b, 0, 1000);
    inner[n++] = (char)PING; /* to the upper one */
    for (size_t at = 0; at < n; at += FRAME_MAX) {
        size_t len = n - at < FRAME_MAX ? n - at : FRAME_MAX;

        wire[m++] = (char)len;
        for (size_t i = 0; i < len; i++)
            wire[m++] = (char)(inner[at + i] ^ 0x5a);
    }
    wire[m++] = (char)PING;
    peer_say(&x, wire, m);
    assert_true(exchange(&x));
    check_stream(x.w.got.ptr, 0, 1000);
    pp_conn_close(x.w.conn, PP_CLOSE_CLIENT, true);
    assert_false(exchange(&x));
    hear(pp_buf_str(&x.wire), 0x5a, &outer);
    hear(pp_buf_str(&outer.bytes), 0x5b, &heard);
    assert_int_equal(outer.pongs, 1);
    assert_int_equal(outer.byes, 1);
    assert_int_equal(heard.pongs, 1);
    assert_int_equal(heard.byes, 1);
    assert_int_equal(heard.bytes.len, x.staged);
    check_stream(heard.bytes.ptr, 0, x.staged);
    pp_buf_fini(&outer.bytes);
    pp_buf_fini(&heard.bytes);
    world_fini(&x);
}

/* What was said before it goes out as it is, however long that takes. */
static void test_layer_begins_after_what_was_staged(void **state)
{
    static const size_t bare[] = {10, 300000};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bare); i++) {
        char wire[300];
        struct world x;

        world_init(&x, 1, &roomy_limits, 4096);
        stage(&x, &x.w.conn->own, bare[i]);
        (void)frames(wire, 0x5a, 0, 100);
        push(&x, false, (pp_str){wire, 50}); /* the rest comes by the socket */
        assert_int_equal(x.w.conn->layer != NULL, i == 0);
        peer_say(&x, wire + 50, 51);
        turn(&x.l, 0);
        assert_true(exchange(&x));
        assert_int_equal(x.w.got.len, 100);
        check_stream(x.w.got.ptr, 0, 100);
        stage(&x, &x.w.conn->own, 500);
        assert_true(exchange(&x));
        check_heard(&x, bare[i], 0, 0);
        world_fini(&x);
    }
}

static void test_layer_that_is_not_ready_makes_output_wait(void **state)
{
    char wire[300];
    struct world x;
    size_t n;

    (void)state;
    world_init(&x, 1, &roomy_limits, 0);
    push(&x, true, PP_STR(""));
    stage(&x, &x.w.conn->own, 1000);
    assert_true(exchange(&x));
    assert_int_equal(x.wire.len, 0);
    assert_int_equal(x.readies, 0);
    wire[0] = (char)HELLO;
    n = 1 + frames(wire + 1, 0x5a, 0, 100);
    peer_say(&x, wire, n);
    assert_true(exchange(&x));
    assert_int_equal(x.readies, 1);
    assert_int_equal(x.got_at_ready, 0); /* what came with it came later */
    assert_int_equal(x.w.got.len, 100);
    check_heard(&x, 0, 0, 0);
    assert_false(x.w.conn->box.armed);
    world_fini(&x);
}

static void test_layer_holds_back_what_the_socket_refuses(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, &roomy_limits, 4096);
    push(&x, false, PP_STR(""));
    for (unsigned i = 0; i < 50; i++) {
        stage(&x, &x.w.conn->own, 20011);
        pp_loop_flush(&x.l.at[0]);
    }
    assert_true(x.w.conn->box.pending_bytes > 0 && x.w.conn->box.armed);
    assert_true(exchange(&x));
    check_heard(&x, 0, 0, 0);
    assert_int_equal(x.w.conn->box.pending_bytes, 0);
    assert_false(x.w.conn->box.armed);
    world_fini(&x);
}

/* A TCP socket tells of room only if it was full: what a layer takes by and by must not wait for
 * that. */
static void test_layer_that_takes_little_at_once(void **state)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int listener = socket(AF_INET, SOCK_STREAM, 0), old, fd;
    struct world x;

    (void)state;
    world_init(&x, 1, &roomy_limits, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    old = x.w.peer;
    x.w.peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_int_equal(pp_loop_unwatch(&x.l.at[0], &x.w.conn->source), 0);
    assert_int_equal(dup2(fd, x.w.conn->source.fd), x.w.conn->source.fd);
    assert_int_equal(pp_loop_watch(&x.l.at[0], &x.w.conn->source), 0);
    push(&x, false, PP_STR(""));
    for (unsigned i = 0; i < 200; i++) {
        stage(&x, &x.w.conn->own, 100000);
        pp_loop_flush(&x.l.at[0]);
    }
    assert_true(x.w.conn->box.armed); /* it is full */
    assert_true(exchange(&x));
    check_heard(&x, 0, 0, 0);
    (void)close(old);
    (void)close(fd);
    (void)close(listener);
    world_fini(&x);
}

static void test_layer_is_sent_whatever_is_short(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth < 40; nth++) {
        struct world x;

        world_init(&x, 1, &roomy_limits, 4096);
        push(&x, false, PP_STR(""));
        stage(&x, &x.w.conn->own, 9000);
        peer_say(&x, "\xff\xff", 2);
        pp_fault_arm("send_short", nth);
        assert_true(exchange(&x));
        if (!pp_fault_disarm())
            nth = 40;
        check_heard(&x, 0, 2, 0);
        world_fini(&x);
    }
}

/* It answers, and is not listened to: it stops hearing, so that what it holds stays small; and goes
 * on when the peer does. */
static void test_layer_receives_again_when_it_has_sent(void **state)
{
    enum { PINGS = 100000 };
    char *pings = malloc(PINGS);
    size_t said = 0;
    struct world x;

    (void)state;
    memset(pings, PING, PINGS);
    world_init(&x, 1, &roomy_limits, 4096);
    push(&x, false, PP_STR(""));
    stage(&x, &x.w.conn->own, 50000); /* fills the socket */
    for (unsigned still = 0; still < 10; still++) {
        ssize_t n = send(x.w.peer, pings + said, PINGS - said, MSG_NOSIGNAL);

        if (n > 0) {
            said += (size_t)n;
            still = 0;
        }
        settle(&x.l, 0);
        assert_true(pp_layers_held(x.w.conn->layer) < 8000);
    }
    assert_true(atomic_load(&x.toy[0]->layer.receives_when_sent));
    for (ssize_t n; said<PINGS; said += n> 0 ? (size_t)n : 0) {
        assert_true(exchange(&x));
        n = send(x.w.peer, pings + said, PINGS - said, MSG_NOSIGNAL);
    }
    assert_true(exchange(&x));
    check_heard(&x, 0, PINGS, 0);
    free(pings);
    world_fini(&x);
}

static void test_layer_says_goodbye_last(void **state)
{
    static const size_t lens[] = {10, 200000};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lens); i++) {
        struct world x;

        world_init(&x, 1, &roomy_limits, 4096);
        push(&x, false, PP_STR(""));
        stage(&x, &x.w.conn->own, lens[i]);
        pp_conn_close(x.w.conn, PP_CLOSE_CLIENT, true);
        assert_false(exchange(&x));
        check_heard(&x, 0, 0, 1);
        world_fini(&x);
    }
}

/* Without a flush: if nothing is in the way. */
static void test_layer_says_goodbye_if_it_can(void **state)
{
    (void)state;
    for (unsigned full = 0; full <= 1; full++) {
        struct heard heard;
        struct world x;

        world_init(&x, 1, &roomy_limits, 4096);
        push(&x, false, PP_STR(""));
        if (full)
            stage(&x, &x.w.conn->own, 100000);
        turn(&x.l, 0);
        pp_conn_close(x.w.conn, PP_CLOSE_CLIENT, false);
        settle(&x.l, 0);
        assert_int_equal(atomic_load(&x.w.freed), 1);
        assert_int_equal(peer_read(x.w.peer, &x.wire, SIZE_MAX), PIPIT_ECLOSED);
        hear(pp_buf_str(&x.wire), 0x5a, &heard);
        assert_int_equal(heard.byes, full ? 0 : 1);
        pp_buf_fini(&heard.bytes);
        world_fini(&x);
    }
}

static void test_layer_ends_its_connection(void **state)
{
    static const struct {
        const char *wire;
        size_t len;
        bool shut;
        uint8_t reason;
    } cases[] = {
        {"\x05"
         "ab",
         3, true, PP_CLOSE_CLIENT}, /* within a frame */
        {"\xff", 1, true, PP_CLOSE_CLIENT},
        {"\xfd", 1, false, PP_CLOSE_CLIENT},
        {"\xc9", 1, false, PP_CLOSE_PROTOCOL},
        {"\xff\xff\xc9", 3, false, PP_CLOSE_PROTOCOL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world x;

        world_init(&x, 1, &roomy_limits, 0);
        push(&x, false, PP_STR(""));
        peer_say(&x, cases[i].wire, cases[i].len);
        if (cases[i].shut)
            (void)shutdown(x.w.peer, SHUT_WR);
        settle(&x.l, 0);
        assert_int_equal(x.w.closed, 1);
        assert_int_equal(x.w.reason, cases[i].reason);
        world_fini(&x);
    }
}

/* Bytes that only a layer holds have a deadline, too. */
static void test_layer_must_be_listened_to(void **state)
{
    pp_conn_limits limits = {.pending_max = 64 << 20, .write_deadline_ns = 1000000};
    struct world x;

    (void)state;
    world_init(&x, 1, &limits, 4096);
    push(&x, false, PP_STR(""));
    while (x.w.conn->box.pending_bytes == 0 && pp_layers_held(x.w.conn->layer) == 0) {
        stage(&x, &x.w.conn->own, 500);
        pp_loop_flush(&x.l.at[0]);
    }
    assert_int_equal(x.w.conn->box.pending_bytes, 0); /* it was taken */
    loops_start(&x.l);                                /* for the timer */
    wait_sem(&x.w.gone);
    assert_int_equal(x.w.reason, PP_CLOSE_SLOW_DEADLINE);
    world_fini(&x);
}

static void test_layer_has_a_slow_consumer(void **state)
{
    pp_conn_limits limits = {.pending_max = 100000, .write_deadline_ns = 3600 * PP_NS_PER_S};
    struct world x;

    (void)state;
    world_init(&x, 1, &limits, 4096);
    push(&x, false, PP_STR(""));
    for (unsigned i = 0; i < 20; i++) {
        stage(&x, &x.w.conn->own, 10000);
        pp_loop_flush(&x.l.at[0]);
    }
    settle(&x.l, 0);
    assert_int_equal(x.w.reason, PP_CLOSE_SLOW_PENDING);
    world_fini(&x);
}

/* --- several loops ------------------------------------------------------------------------ */

enum { SENDERS = 3, PIECES = 400, PIECE = 1500 };

struct sender {
    struct world *x;
    unsigned index;
    atomic_bool done;
};

static void send_pieces(void *arg)
{
    struct sender *s = arg;
    pp_loop *loop = &s->x->l.at[s->index];
    char piece[PIECE];

    memset(piece, (int)('a' + s->index), sizeof(piece));
    for (unsigned i = 0; i < PIECES; i++) {
        pp_outlet *outlet = pp_conn_outlet(s->x->w.conn, loop);

        if (!outlet)
            break; /* noticed below: bytes are missing */
        memcpy(piece, &i, sizeof(i));
        assert_true(pp_outlet_write(outlet, (pp_str){piece, sizeof(piece)}));
        pp_loop_flush(loop);
    }
    atomic_store(&s->done, true);
}

static void *run_sender(void *arg)
{
    struct sender *s = arg;

    on_loop(&s->x->l, s->index, send_pieces, s);
    return NULL;
}

static void test_layer_takes_from_several_loops(void **state)
{
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    unsigned next[SENDERS] = {0}, pings = 0;
    struct heard heard;
    struct world x;

    (void)state;
    world_init(&x, SENDERS, &roomy_limits, 8192);
    push(&x, false, PP_STR(""));
    loops_start(&x.l);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.x = &x, .index = i};
        assert_int_equal(pthread_create(&threads[i], NULL, run_sender, &senders[i]), 0);
    }
    hear(PP_STR(""), 0x5a, &heard);
    do { /* the owner answers meanwhile */
        if (pings < 2000 && send(x.w.peer, "\xff", 1, MSG_NOSIGNAL) == 1)
            pings++;
        peer_wait(x.w.peer);
        assert_int_equal(peer_read(x.w.peer, &x.wire, 65536), PIPIT_OK);
        hear_more(pp_buf_str(&x.wire), 0x5a, &heard);
    } while (heard.bytes.len < (size_t)SENDERS * PIECES * PIECE || heard.pongs < pings);
    for (unsigned i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t at = 0; at < heard.bytes.len; at += PIECE) {
        unsigned who = (unsigned)(heard.bytes.ptr[at + 4] - 'a'), number;

        assert_true(who < SENDERS);
        memcpy(&number, heard.bytes.ptr + at, sizeof(number));
        assert_int_equal(number, next[who]++);
    }
    pp_buf_fini(&heard.bytes);
    world_fini(&x);
}

/* --- memory ------------------------------------------------------------------------------- */

static void test_layer_without_memory(void **state)
{
    (void)state;
    for (unsigned nth = 1;; nth++) {
        char wire[200];
        struct world x;
        struct toy *toy;
        bool fired, open;

        world_init(&x, 1, &roomy_limits, 4096);
        toy = toy_new(&x, 0x5a);
        x.toys = 1;
        (void)frames(wire, 0x5a, 0, 100);
        assert_int_equal(pp_buf_reserve(&x.w.got, 65536), PIPIT_OK);
        assert_int_equal(pp_buf_reserve(&x.wire, 65536), PIPIT_OK);
        pp_fault_arm("alloc", nth);
        if (pp_conn_push_layer(x.w.conn, &toy->layer, (pp_str){wire, 101}))
            pp_layer_free(&toy->layer);
        for (unsigned i = 0; i < 3 && !x.w.closed; i++) {
            char bytes[3000];

            fill_stream(bytes, x.staged, sizeof(bytes));
            if (pp_outlet_write(&x.w.conn->own, (pp_str){bytes, sizeof(bytes)}))
                x.staged += sizeof(bytes);
            turn(&x.l, 0);
        }
        open = exchange(&x);
        fired = pp_fault_disarm();
        if (!fired) {
            assert_true(open);
            check_heard(&x, 0, 0, 0);
            check_stream(x.w.got.ptr, 0, 100);
        }
        world_fini(&x);
        if (!fired)
            break;
        assert_true(nth < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layer_carries_both_ways),
        cmocka_unit_test(test_layer_on_layer),
        cmocka_unit_test(test_layer_begins_after_what_was_staged),
        cmocka_unit_test(test_layer_that_is_not_ready_makes_output_wait),
        cmocka_unit_test(test_layer_holds_back_what_the_socket_refuses),
        cmocka_unit_test(test_layer_that_takes_little_at_once),
        cmocka_unit_test(test_layer_is_sent_whatever_is_short),
        cmocka_unit_test(test_layer_receives_again_when_it_has_sent),
        cmocka_unit_test(test_layer_says_goodbye_last),
        cmocka_unit_test(test_layer_says_goodbye_if_it_can),
        cmocka_unit_test(test_layer_ends_its_connection),
        cmocka_unit_test(test_layer_must_be_listened_to),
        cmocka_unit_test(test_layer_has_a_slow_consumer),
        cmocka_unit_test(test_layer_takes_from_several_loops),
        cmocka_unit_test(test_layer_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
