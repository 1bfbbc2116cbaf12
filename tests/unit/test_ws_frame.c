/* Frames: what they hold comes out the same however they are cut, and as another implementation
 * (wslay) made them; what breaks the protocol is refused at its first byte. */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/random.h"
#include "seed.h"
#include "websocket/frame.h"
#include "websocket/mask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <wslay/wslay.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define WIRE(literal) literal, sizeof(literal) - 1
#define KEY0 "\0\0\0\0"

/* What a run of the reader has seen, as text: "d" data, "D" data of a compressed message, "." the
 * end of a message, "p" "P" "c" ping, pong and close with what they hold in brackets. */
struct seen {
    char text[1 << 20];
    size_t len;
    pipit_err err;
};

static void put(struct seen *seen, const char *bytes, size_t len)
{
    assert_true(len <= sizeof(seen->text) - seen->len);
    memcpy(seen->text + seen->len, bytes, len);
    seen->len += len;
}

static void note(struct seen *seen, const pp_ws_piece *piece)
{
    static char plain[1 << 20];

    if (piece->opcode == PP_WS_BINARY) {
        assert_true(piece->bytes.len <= sizeof(plain));
        (void)pp_ws_mask(plain, piece->bytes.ptr, piece->bytes.len, piece->key);
        put(seen, plain, piece->bytes.len);
        if (piece->last)
            put(seen, piece->compressed ? "!" : ".", 1);
        return;
    }
    put(seen, piece->opcode == PP_WS_PING ? "p[" : piece->opcode == PP_WS_PONG ? "P[" : "c[", 2);
    put(seen, piece->bytes.ptr, piece->bytes.len);
    put(seen, "]", 1);
}

/* Show the reader bytes in pieces of at most step. */
static void run(pp_ws_reader *reader, const char *wire, size_t len, size_t step, struct seen *seen)
{
    size_t at = 0;

    seen->len = 0;
    seen->err = PIPIT_EAGAIN;
    while (at < len) {
        pp_str window = {wire + at, len - at < step ? len - at : step};

        at += window.len;
        while (window.len) {
            pp_ws_piece piece;
            size_t used;

            seen->err = pp_ws_read(reader, window, &piece, &used);
            assert_true(used <= window.len);
            window.ptr += used;
            window.len -= used;
            if (seen->err == PIPIT_EAGAIN)
                assert_int_equal(window.len, 0);
            else if (seen->err)
                return;
            else
                note(seen, &piece);
        }
    }
}

static const struct row {
    const char *name, *wire;
    size_t len;
    const char *seen;
    const char *complaint; /* NULL: none */
} rows[] = {
    {"text", WIRE("\x81\x82" KEY0 "hi"), "hi.", NULL},
    {"binary, masked", WIRE("\x82\x85\1\2\3\4\x69\x67\x6f\x68\x6e"), "hello.", NULL},
    {"empty", WIRE("\x82\x80" KEY0), ".", NULL},
    {"two", WIRE("\x82\x81" KEY0 "a\x81\x81" KEY0 "b"), "a.b.", NULL},
    {"fragments", WIRE("\x01\x81" KEY0 "a\0\x81" KEY0 "b\x80\x81" KEY0 "c"), "abc.", NULL},
    {"fragments of nothing", WIRE("\x01\x80" KEY0 "\0\x80" KEY0 "\x80\x80" KEY0), ".", NULL},
    {"ping within a message", WIRE("\x01\x81" KEY0 "a\x89\x82" KEY0 "xy\x80\x81" KEY0 "b"),
     "ap[xy]b.", NULL},
    {"ping of the spec", WIRE("\x89\x82\1\2\3\4\x60\x62"), "p[a`]", NULL},
    {"pong", WIRE("\x8a\x80" KEY0), "P[]", NULL},
    {"close", WIRE("\x88\x82" KEY0 "\3\xe8"), "c[\3\xe8]", NULL},
    {"length of 16 bits", WIRE("\x82\xfe\0\3" KEY0 "abc"), "abc.", NULL},
    {"length of 64 bits", WIRE("\x82\xff\0\0\0\0\0\0\0\3" KEY0 "abc"), "abc.", NULL},
    {"the longest frame", WIRE("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" KEY0 "abc"), "abc", NULL},

    {"longer than that", WIRE("\x82\xff\x80\0\0\0\0\0\0\0" KEY0), "",
     "invalid 64-bit payload length"},
    {"not masked", WIRE("\x82\x01x"), "", "mask bit missing"},
    {"RSV2", WIRE("\xa2\x81" KEY0 "x"), "", "RSV2 and RSV3 must be clear"},
    {"RSV3", WIRE("\x92\x81" KEY0 "x"), "", "RSV2 and RSV3 must be clear"},
    {"compressed", WIRE("\xc2\x81" KEY0 "x"), "",
     "compressed frame received without negotiated permessage-deflate"},
    {"opcode 3", WIRE("\x83\x80" KEY0), "", "unknown opcode 3"},
    {"opcode 15", WIRE("\x8f\x80" KEY0), "", "unknown opcode 15"},
    {"stray continuation", WIRE("\x80\x81" KEY0 "x"), "", "invalid continuation frame"},
    {"continuation behind an end", WIRE("\x82\x81" KEY0 "x\x80\x81" KEY0 "y"), "x.",
     "invalid continuation frame"},
    {"compressed continuation", WIRE("\x02\x81" KEY0 "x\xc0\x81" KEY0 "y"), "x",
     "invalid continuation frame"},
    {"message within a message", WIRE("\x02\x81" KEY0 "x\x82\x81" KEY0 "y"), "x",
     "new message started before final frame for previous message was received"},
    {"long ping", WIRE("\x89\xfe\0\x7e" KEY0), "",
     "control frame length bigger than maximum allowed of 125 bytes"},
    {"very long close", WIRE("\x88\xff\0\0\0\0\0\0\0\1" KEY0), "",
     "control frame length bigger than maximum allowed of 125 bytes"},
    {"ping in parts", WIRE("\x09\x80" KEY0), "", "control frame does not have final bit set"},
    {"compressed pong", WIRE("\xca\x80" KEY0), "", "control frame must not be compressed"},
};

static void test_frame_rows(void **state)
{
    static struct seen seen;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t step = 1; step <= rows[i].len; step++) {
            pp_ws_reader reader = {0};
            char complaint[PP_WS_COMPLAINT_MAX];

            run(&reader, rows[i].wire, rows[i].len, step, &seen);
            if (seen.len != strlen(rows[i].seen) || memcmp(seen.text, rows[i].seen, seen.len) != 0)
                fail_msg("%s, by %zu: saw %.*s", rows[i].name, step, (int)seen.len, seen.text);
            if ((seen.err == PIPIT_EPROTO) != (rows[i].complaint != NULL))
                fail_msg("%s, by %zu: error %d", rows[i].name, step, seen.err);
            (void)pp_ws_complaint(&reader, complaint);
            if (rows[i].complaint)
                assert_string_equal(complaint, rows[i].complaint);
        }
    }
}

/* The fault is seen with the second byte, or with the length: nothing behind it is waited for. */
static void test_frame_refuses_early(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        pp_ws_reader reader = {0};
        pp_ws_piece piece;
        size_t used;

        if (!rows[i].complaint || rows[i].seen[0])
            continue;
        reader.fault = 0;
        if (strcmp(rows[i].name, "longer than that") != 0)
            assert_int_equal(pp_ws_read(&reader, (pp_str){rows[i].wire, 2}, &piece, &used),
                             PIPIT_EPROTO);
    }
}

static void test_frame_options(void **state)
{
    static struct seen seen;
    pp_ws_reader open = {.unmasked = true}, inflating = {.inflates = true};

    (void)state;
    run(&open, WIRE("\x82\x02hi\x82\x82" KEY0 "ho"), 1, &seen);
    assert_int_equal(seen.len, 6);
    assert_memory_equal(seen.text, "hi.ho.", 6);
    run(&inflating, WIRE("\x42\x81" KEY0 "a\x80\x81" KEY0 "b\x82\x81" KEY0 "c"), 3, &seen);
    assert_int_equal(seen.len, 5);
    assert_memory_equal(seen.text, "ab!c.", 5);
}

static void test_frame_heads(void **state)
{
    static const struct {
        uint64_t len;
        const char *head;
        size_t head_len;
    } heads[] = {
        {0, "\x82\0", 2},
        {125, "\x82\x7d", 2},
        {126, "\x82\x7e\0\x7e", 4},
        {65535, "\x82\x7e\xff\xff", 4},
        {65536, "\x82\x7f\0\0\0\0\0\1\0\0", 10},
        {UINT64_MAX / 2, "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 10},
    };
    char head[PP_WS_HEAD_UNMASKED_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        assert_int_equal(pp_ws_head_format(head, PP_WS_BINARY, true, false, heads[i].len),
                         heads[i].head_len);
        assert_memory_equal(head, heads[i].head, heads[i].head_len);
    }
    assert_int_equal(pp_ws_head_format(head, PP_WS_CONTINUATION, false, true, 1), 2);
    assert_memory_equal(head, "\x40\1", 2);
}

/* --- beside wslay ------------------------------------------------------------------------- */

struct wire {
    char bytes[1 << 20];
    size_t len, at;
};

static ssize_t wire_send(const uint8_t *data, size_t len, int flags, void *arg)
{
    struct wire *wire = arg;

    (void)flags;
    assert_true(len <= sizeof(wire->bytes) - wire->len);
    memcpy(wire->bytes + wire->len, data, len);
    wire->len += len;
    return (ssize_t)len;
}

static ssize_t wire_receive(uint8_t *buf, size_t len, int flags, void *arg)
{
    struct wire *wire = arg;

    (void)flags;
    len = len < wire->len - wire->at ? len : wire->len - wire->at;
    memcpy(buf, wire->bytes + wire->at, len);
    wire->at += len;
    return len ? (ssize_t)len : -1;
}

static uint64_t random_state;

static int wire_key(uint8_t *buf, size_t len, void *arg)
{
    (void)arg;
    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)pp_random_next(&random_state);
    return 0;
}

static void put_frame(struct wire *wire, uint8_t opcode, bool final, const char *bytes, size_t len)
{
    const struct wslay_frame_callbacks callbacks = {wire_send, wire_receive, wire_key};
    struct wslay_frame_iocb io = {
        .fin = final,
        .opcode = opcode,
        .mask = 1,
        .payload_length = len,
        .data = (const uint8_t *)bytes,
        .data_length = len,
    };
    wslay_frame_context_ptr context;

    assert_int_equal(wslay_frame_context_init(&context, &callbacks, wire), 0);
    do {
        ssize_t sent = wslay_frame_send(context, &io);

        assert_true(sent >= 0);
        io.data += sent;
        io.data_length -= (size_t)sent;
    } while (io.data_length);
    wslay_frame_context_free(context);
}

static size_t random_length(void)
{
    switch (pp_random_next(&random_state) % 4) {
    case 0:
        return pp_random_next(&random_state) % 4;
    case 1:
        return pp_random_next(&random_state) % 126;
    case 2:
        return 120 + pp_random_next(&random_state) % 12;
    default:
        return pp_random_next(&random_state) % 70000;
    }
}

static void random_bytes(char *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (char)pp_random_next(&random_state);
}

/* Messages of several frames, with control frames in between; what should be seen goes to want. */
static void make_frames(struct wire *wire, struct seen *want)
{
    static char bytes[70000];
    bool open = false;

    wire->len = wire->at = want->len = 0;
    for (unsigned i = 0; i < 6; i++) {
        bool final = pp_random_next(&random_state) % 2 || i == 5;
        size_t len = random_length();

        if (pp_random_next(&random_state) % 4 == 0) {
            random_bytes(bytes, len % 126);
            put_frame(wire, PP_WS_PING, true, bytes, len % 126);
            put(want, "p[", 2);
            put(want, bytes, len % 126);
            put(want, "]", 1);
        }
        random_bytes(bytes, len);
        put_frame(wire, open ? PP_WS_CONTINUATION : PP_WS_TEXT, final, bytes, len);
        open = !final;
        put(want, bytes, len);
        if (final)
            put(want, ".", 1);
    }
}

static void test_frame_cuts(void **state)
{
    static struct wire wire;
    static struct seen want, seen;
    unsigned rounds = getenv("PIPIT_ROUNDS") ? (unsigned)atoi(getenv("PIPIT_ROUNDS")) : 300;

    (void)state;
    random_state = test_seed("test_ws_frame");
    for (unsigned round = 0; round < rounds; round++) {
        pp_ws_reader reader = {0};
        size_t step = round % 3 ? 1 + pp_random_next(&random_state) % 5000
                                : 1 + pp_random_next(&random_state) % 20;

        make_frames(&wire, &want);
        run(&reader, wire.bytes, wire.len, step, &seen);
        assert_int_equal(seen.len, want.len);
        assert_memory_equal(seen.text, want.text, want.len);
        assert_false(reader.in_frame || reader.in_message);
    }
}

/* wslay reads what we write. */
static void test_frame_heads_are_read(void **state)
{
    const struct wslay_frame_callbacks callbacks = {wire_send, wire_receive, wire_key};
    static const size_t lengths[] = {0, 1, 125, 126, 127, 4096, 65535, 65536, 100000};
    static struct wire wire;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        wslay_frame_context_ptr context;
        struct wslay_frame_iocb io;

        memset(wire.bytes, 'x', sizeof(wire.bytes));
        wire.at = 0;
        wire.len =
            lengths[i] + pp_ws_head_format(wire.bytes, PP_WS_BINARY, true, false, lengths[i]);
        assert_int_equal(wslay_frame_context_init(&context, &callbacks, &wire), 0);
        assert_true(wslay_frame_recv(context, &io) >= 0);
        assert_true(io.fin && !io.mask && io.rsv == 0 && io.opcode == PP_WS_BINARY);
        assert_int_equal(io.payload_length, lengths[i]);
        wslay_frame_context_free(context);
    }
}

static void test_mask_moves_and_turns(void **state)
{
    static char from[300], to[400], want[300];
    uint32_t key;

    (void)state;
    random_state = test_seed("test_ws_frame");
    for (unsigned round = 0; round < 5000; round++) {
        size_t len = pp_random_next(&random_state) % sizeof(from),
               shift = pp_random_next(&random_state) % 64;
        size_t cut = len ? pp_random_next(&random_state) % len : 0;
        uint8_t bytes[4];
        uint32_t next;

        random_bytes(from, len);
        random_bytes((char *)&key, 4);
        memcpy(bytes, &key, 4);
        for (size_t i = 0; i < len; i++)
            want[i] = (char)(from[i] ^ bytes[i % 4]);
        memcpy(to + shift, from, len);
        next = pp_ws_mask(to, to + shift, cut, key);
        assert_int_equal(next, pp_ws_key_after(key, cut));
        (void)pp_ws_mask(to + cut, to + shift + cut, len - cut, next);
        assert_memory_equal(to, want, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame_rows),           cmocka_unit_test(test_frame_refuses_early),
        cmocka_unit_test(test_frame_options),        cmocka_unit_test(test_frame_heads),
        cmocka_unit_test(test_frame_cuts),           cmocka_unit_test(test_frame_heads_are_read),
        cmocka_unit_test(test_mask_moves_and_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
