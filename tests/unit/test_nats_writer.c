/* Messages to frames, byte for byte, through an outlet and a socket. */
#include "proto/nats/writer.h"

#include "core/route.h"
#include "loops.h"

static char client_place;
static struct pp_client *const client = (struct pp_client *)(void *)&client_place;

struct world {
    struct loops l;
    struct watch w;
    pp_buf expected;
};

static void world_init(struct world *x)
{
    loops_init(&x->l, 1);
    watch_init(&x->w, &x->l, NULL);
    pp_buf_init(&x->expected, 64 << 20);
    watch_connect(&x->w, 0, &roomy_limits, 0);
}

static void world_fini(struct world *x)
{
    loops_fini(&x->l);
    watch_fini(&x->w);
    pp_buf_fini(&x->expected);
    loops_check_memory(&x->l);
}

static pp_outlet *outlet_of(struct world *x)
{
    return &x->w.conn->own;
}

/* Flush and compare what came with what was expected. */
static void check_arrival(struct world *x)
{
    pp_loop_flush(&x->l.at[0]);
    while (x->w.got.len < x->expected.len) {
        size_t before = x->w.got.len;

        assert_int_equal(peer_read(x->w.peer, &x->w.got, SIZE_MAX), PIPIT_OK);
        assert_true(x->w.got.len > before || x->w.conn->box.first);
        turn(&x->l, 0);
    }
    assert_int_equal(x->w.got.len, x->expected.len);
    if (x->expected.len)
        assert_memory_equal(x->w.got.ptr, x->expected.ptr, x->expected.len);
    x->w.got.len = x->expected.len = 0;
}

/* --- a message as a reader would leave it -------------------------------------------------- */

static const char header[] = "NATS/1.0\r\nName: abc\r\n\r\n";

struct shape {
    const char *subject, *sid, *reply;
    size_t payload;
    bool has_header;
    bool has_wire; /* the publisher's line is at hand */
    bool has_body; /* the data lies in a shared body */
    bool wanted;   /* the recipient takes headers */
};

struct made {
    pp_msg msg;
    pp_body *body;
    char *memory;
    char head[512];
    pp_str head_str;
};

/* Line, data and CR LF in one piece, with as much behind it as a window promises. */
static void make(const struct shape *s, struct made *m)
{
    size_t header_len = s->has_header ? sizeof(header) - 1 : 0, data_len = header_len + s->payload;
    char line[512];
    size_t n = 0, bytes;
    char *at;

    if (*s->reply)
        n += (size_t)snprintf(line, sizeof(line), "%s ", s->reply);
    if (s->has_header)
        n += (size_t)snprintf(line + n, sizeof(line) - n, "%zu ", header_len);
    n += (size_t)snprintf(line + n, sizeof(line) - n, "%zu\r\n", data_len);
    bytes = n + data_len + 2 + PP_WINDOW_SLACK;
    *m = (struct made){0};
    if (s->has_body) {
        m->body = pp_body_new(bytes);
        at = m->body->bytes;
    } else {
        at = m->memory = malloc(bytes);
    }
    memcpy(at, line, n);
    memcpy(at + n, header, header_len);
    fill_stream(at + n + header_len, 0, s->payload);
    memcpy(at + n + data_len, "\r\n", 2);
    memset(at + n + data_len + 2, '!', PP_WINDOW_SLACK);
    m->msg = (pp_msg){
        .subject = pp_str_of(s->subject),
        .reply = s->has_wire ? (pp_str){at, strlen(s->reply)} : pp_str_of(s->reply),
        .data = {at + n, data_len},
        .header_len = (uint32_t)header_len,
        .wire = s->has_wire ? (pp_str){at, n} : (pp_str){NULL, 0},
        .body = m->body,
    };
}

static void unmake(struct made *m)
{
    pp_body_unref(m->body);
    free(m->memory);
}

static void make_head(const struct shape *s, struct made *m)
{
    pp_sub *sub = pp_sub_new(client, pp_str_of(s->sid), PP_STR(""));
    size_t len = pp_nats_head(sub, m->msg.subject, NULL);

    assert_true(len + PP_ROUTE_HEAD_SLACK <= sizeof(m->head));
    memset(m->head, '?', sizeof(m->head));
    assert_int_equal(pp_nats_head(sub, m->msg.subject, m->head), len);
    assert_int_equal(m->head[len], '?'); /* no more than it says */
    m->head_str = (pp_str){m->head, len};
    pp_sub_free(sub);
}

static void expect(struct world *x, const struct shape *s, const struct made *m)
{
    bool hmsg = s->has_header && s->wanted;
    pp_str data = hmsg ? m->msg.data : pp_msg_payload(&m->msg);
    pp_buf *e = &x->expected;

    assert_int_equal(pp_buf_addf(e, "%sMSG %s %s ", hmsg ? "H" : "", s->subject, s->sid), 0);
    if (*s->reply)
        assert_int_equal(pp_buf_addf(e, "%s ", s->reply), 0);
    if (hmsg)
        assert_int_equal(pp_buf_addf(e, "%u ", m->msg.header_len), 0);
    assert_int_equal(pp_buf_addf(e, "%zu\r\n", data.len), 0);
    assert_int_equal(pp_buf_add(e, data.ptr, data.len), 0);
    assert_int_equal(pp_buf_add(e, "\r\n", 2), 0);
}

static bool write_shape(struct world *x, const struct shape *s)
{
    struct made m;
    bool staged;

    make(s, &m);
    make_head(s, &m);
    staged = pp_nats_write_msg(outlet_of(x), m.head_str, &m.msg, s->wanted);
    if (staged)
        expect(x, s, &m);
    /* Data without a body stays where it is until the flush; in a body it may be let go of. */
    if (!s->has_body)
        pp_loop_flush(&x->l.at[0]);
    unmake(&m);
    return staged;
}

/* --- frames ------------------------------------------------------------------------------- */

static void test_writer_head(void **state)
{
    pp_sub *sub = pp_sub_new(client, PP_STR("s-1"), PP_STR("queue"));
    char out[64];

    (void)state;
    assert_int_equal(pp_nats_head(sub, PP_STR("a.b"), NULL), 13);
    assert_int_equal(pp_nats_head(sub, PP_STR("a.b"), out), 13);
    assert_memory_equal(out, "HMSG a.b s-1 ", 13);
    pp_sub_free(sub);
}

static void test_writer_every_shape(void **state)
{
    static const size_t payloads[] = {0,    1,    2,    13,   14,   15,    16,    17,    100,
                                      127,  128,  129,  2000, 2020, 2024,  2025,  2026,  2027,
                                      2046, 2047, 2048, 2049, 5000, 16300, 20000, 100000};
    static const char *const replies[] = {"", "r", "_INBOX.abcdefghijklmnop.12"};
    struct world x;

    (void)state;
    world_init(&x);
    for (unsigned flags = 0; flags < 16; flags++) {
        for (size_t r = 0; r < COUNT_OF(replies); r++) {
            for (size_t i = 0; i < COUNT_OF(payloads); i++) {
                struct shape s = {
                    .subject = "orders.new",
                    .sid = "7",
                    .reply = replies[r],
                    .payload = payloads[i],
                    .has_header = flags & 1,
                    .has_wire = flags & 2,
                    .has_body = flags & 4,
                    .wanted = flags & 8,
                };

                assert_true(write_shape(&x, &s));
                check_arrival(&x);
            }
        }
    }
    world_fini(&x);
}

/* Copies go in steps of sixteen bytes: heads and lines of every length, one frame right behind
 * another, so that what a step wrote too much is seen. */
static void test_writer_every_length(void **state)
{
    char subject[150], sid[40];
    struct world x;

    (void)state;
    world_init(&x);
    for (size_t i = 1; i < sizeof(subject); i++) {
        struct shape s = {.subject = subject, .sid = sid, .reply = "", .has_wire = true};

        memset(subject, 's', i);
        subject[i] = '\0';
        memset(sid, '1', 1 + i % 30);
        sid[1 + i % 30] = '\0';
        for (s.payload = i % 7; s.payload < 40; s.payload += 7)
            assert_true(write_shape(&x, &s));
        s.reply = subject;
        assert_true(write_shape(&x, &s));
        check_arrival(&x);
    }
    world_fini(&x);
}

/* Sizes go on as the publisher wrote them. */
static void test_writer_keeps_the_publishers_line(void **state)
{
    static const char wire[] = "r 0003\r\nabc\r\n                                ";
    struct world x;
    pp_msg msg = {
        .subject = PP_STR("a"),
        .reply = {wire, 1},
        .data = {wire + 8, 3},
        .wire = {wire, 8},
    };

    (void)state;
    world_init(&x);
    assert_true(pp_nats_write_msg(
        outlet_of(&x), (pp_str){"HMSG a 1                                 ", 9}, &msg, true));
    assert_int_equal(pp_buf_addf(&x.expected, "MSG a 1 r 0003\r\nabc\r\n"), 0);
    check_arrival(&x);
    world_fini(&x);
}

/* Small data without a wire form may lie anywhere: nothing around it is touched. */
static void test_writer_small_data_of_another_door(void **state)
{
    char *data = malloc(5);
    struct world x;
    pp_msg msg = {.subject = PP_STR("a"), .data = {data, 5}};

    (void)state;
    world_init(&x);
    memcpy(data, "12345", 5);
    assert_true(pp_nats_write_msg(
        outlet_of(&x), (pp_str){"HMSG a 1                                 ", 9}, &msg, true));
    free(data);
    assert_int_equal(pp_buf_addf(&x.expected, "MSG a 1 5\r\n12345\r\n"), 0);
    check_arrival(&x);
    world_fini(&x);
}

static void test_writer_counts(void **state)
{
    struct shape s = {.subject = "a",
                      .sid = "1",
                      .reply = "",
                      .payload = 10,
                      .has_header = true,
                      .has_wire = true,
                      .has_body = true,
                      .wanted = true};
    struct world x;

    (void)state;
    world_init(&x);
    assert_true(write_shape(&x, &s));
    assert_int_equal(outlet_of(&x)->msgs, 1);
    assert_int_equal(outlet_of(&x)->bytes, 10 + sizeof(header) - 1);
    s.wanted = false; /* as sent: what is cut off is not counted */
    assert_true(write_shape(&x, &s));
    assert_int_equal(outlet_of(&x)->msgs, 2);
    assert_int_equal(outlet_of(&x)->bytes, 20 + sizeof(header) - 1);
    check_arrival(&x);
    world_fini(&x);
}

/* One body for many recipients: a reference each, let go of when all is sent. */
static void test_writer_shares_bodies(void **state)
{
    struct shape s = {.subject = "a",
                      .sid = "1",
                      .reply = "",
                      .payload = 50000,
                      .has_wire = true,
                      .has_body = true};
    struct world x;
    struct made m;

    (void)state;
    world_init(&x);
    make(&s, &m);
    make_head(&s, &m);
    for (unsigned i = 0; i < 5; i++) {
        assert_true(pp_nats_write_msg(outlet_of(&x), m.head_str, &m.msg, true));
        expect(&x, &s, &m);
    }
    assert_int_equal(atomic_load(&m.body->refs), 6);
    check_arrival(&x);
    assert_int_equal(atomic_load(&m.body->refs), 1);
    unmake(&m);
    world_fini(&x);
}

/* Without memory a frame is staged whole or not at all. */
static void test_writer_fault_sweep(void **state)
{
    unsigned nth, refused = 0;

    (void)state;
    for (nth = 1;; nth++) {
        struct world x;
        bool fired;

        world_init(&x);
        pp_fault_exempt_thread(false);
        for (unsigned i = 0; i < 24; i++) {
            struct shape s = {.subject = "a",
                              .sid = "1",
                              .reply = i % 2 ? "r" : "",
                              .payload = i % 3 ? 9000 : 100,
                              .has_header = i % 4 == 0,
                              .has_wire = i % 5,
                              .has_body = true,
                              .wanted = i % 7};
            struct made m;
            bool staged;

            make(&s, &m);
            make_head(&s, &m);
            if (i == 0)
                pp_fault_arm("alloc", nth);
            pp_fault_exempt_thread(false);
            staged = pp_nats_write_msg(outlet_of(&x), m.head_str, &m.msg, s.wanted);
            pp_fault_exempt_thread(true); /* the test's own allocations */
            if (staged)
                expect(&x, &s, &m);
            refused += !staged;
            unmake(&m);
        }
        fired = pp_fault_disarm();
        pp_fault_exempt_thread(false);
        check_arrival(&x);
        world_fini(&x);
        if (!fired)
            break;
    }
    assert_true(refused > 0 && nth > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer_head),
        cmocka_unit_test(test_writer_every_shape),
        cmocka_unit_test(test_writer_every_length),
        cmocka_unit_test(test_writer_keeps_the_publishers_line),
        cmocka_unit_test(test_writer_small_data_of_another_door),
        cmocka_unit_test(test_writer_counts),
        cmocka_unit_test(test_writer_shares_bodies),
        cmocka_unit_test(test_writer_fault_sweep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
