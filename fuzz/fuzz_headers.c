/* fuzz_headers -- a message through reader, writer and a socket: a parser of frames that is only
 * here must get out of them what went in.
 *
 * The first bytes choose the shape; the rest is subject, reply, header block and payload. */
#include "base/assert.h"
#include "base/clock.h"
#include "core/route.h"
#include "net/conn.h"
#include "proto/nats/reader.h"
#include "proto/nats/writer.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- a connection whose peer is here ------------------------------------------------------- */

static pipit_err open_nothing(void *session, pp_conn *conn)
{
    (void)session;
    (void)conn;
    return PIPIT_OK;
}

static void take_nothing(void *session, pp_str window, size_t *used, size_t *want)
{
    (void)session;
    *used = window.len;
    *want = 0;
}

static void do_nothing(void *session)
{
    (void)session;
}

static const pp_proto_ops proto = {
    .name = "fuzz",
    .open = open_nothing,
    .on_bytes = take_nothing,
    .on_timer = do_nothing,
    .on_close = do_nothing,
    .free = do_nothing,
};

static struct {
    pp_reclaim reclaim;
    pp_counters counters;
    pp_loop loop;
    pp_conn *conn;
    int peer;
} net;

static void net_open(void)
{
    static const pp_door door = {
        .proto = &proto,
        .limits = {.pending_max = 64 << 20, .write_deadline_ns = 3600 * PP_NS_PER_S},
    };
    int fds[2];

    if (net.conn)
        return;
    PP_ASSERT(pp_reclaim_init(&net.reclaim, 1) == PIPIT_OK);
    PP_ASSERT(pp_loop_init(&net.loop, 0, &net.reclaim, &net.counters) == PIPIT_OK);
    PP_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    net.peer = fds[1];
    PP_ASSERT(pp_conn_open(&net.loop, fds[0], 1, &door, &net.conn) == PIPIT_OK);
}

static size_t receive(char *to, size_t max)
{
    size_t got = 0;

    for (;;) {
        ssize_t n = recv(net.peer, to + got, max - got, MSG_DONTWAIT);

        if (n > 0)
            got += (size_t)n;
        if (n <= 0 && !net.conn->box.first)
            return got;
        PP_ASSERT(got < max);
        pp_outbox_on_writable(net.conn);
    }
}

/* --- the parser of frames ------------------------------------------------------------------ */

struct frame {
    pp_str subject, sid, reply, header, payload;
};

/* Up to the next single blank, or to the line's end. */
static pp_str next_word(const char **at, const char *end)
{
    const char *start = *at, *p = start;

    while (p < end && *p != ' ')
        p++;
    *at = p < end ? p + 1 : p;
    PP_ASSERT(p > start && (p == end || p + 1 < end)); /* no empty words, no blank at the end */
    return (pp_str){start, (size_t)(p - start)};
}

static size_t number(pp_str word)
{
    size_t value = 0;

    PP_ASSERT(word.len > 0 && word.len <= 9);
    for (size_t i = 0; i < word.len; i++) {
        PP_ASSERT(word.ptr[i] >= '0' && word.ptr[i] <= '9');
        value = value * 10 + (size_t)(word.ptr[i] - '0');
    }
    return value;
}

/* Take one frame off the front; it must be there, whole. Returns its length. */
static size_t parse_frame(pp_str bytes, struct frame *out)
{
    const char *at = bytes.ptr, *line_end = memmem(bytes.ptr, bytes.len, "\r\n", 2), *data;
    pp_str words[5];
    size_t count = 0, header_len = 0, len;
    bool hmsg;

    PP_ASSERT(line_end);
    hmsg = *at == 'H';
    at += hmsg;
    PP_ASSERT(line_end - at > 4 && memcmp(at, "MSG ", 4) == 0);
    at += 4;
    while (at < line_end) {
        PP_ASSERT(count < 5);
        words[count++] = next_word(&at, line_end);
    }
    PP_ASSERT(count == (hmsg ? 4u : 3u) || count == (hmsg ? 5u : 4u));
    *out = (struct frame){.subject = words[0], .sid = words[1]};
    if (count == (hmsg ? 5u : 4u))
        out->reply = words[2];
    len = number(words[count - 1]);
    if (hmsg)
        header_len = number(words[count - 2]);
    PP_ASSERT(header_len <= len && (!hmsg || header_len > 0));
    data = line_end + 2;
    PP_ASSERT((size_t)(bytes.ptr + bytes.len - data) >= len + 2);
    PP_ASSERT(memcmp(data + len, "\r\n", 2) == 0);
    out->header = (pp_str){data, header_len};
    out->payload = (pp_str){data + header_len, len - header_len};
    return (size_t)(data + len + 2 - bytes.ptr);
}

/* --- one message --------------------------------------------------------------------------- */

struct shape {
    pp_str subject, reply, header, payload;
    const char *blank, *line_end;
    unsigned zeros; /* in front of sizes */
    bool hpub;
    bool wanted;    /* the recipient takes headers */
    bool body;      /* the message lies in a shared body */
    bool made_anew; /* as from a door of another kind: without the publisher's line */
    unsigned copies;
};

enum { MESSAGE_MAX = 1 << 20 };

/* What the publisher sends; with as much behind it as a window promises. */
static size_t publish(const struct shape *s, char *to)
{
    size_t n = (size_t)sprintf(to, "%sPUB%s", s->hpub ? "H" : "", s->blank);

    memcpy(to + n, s->subject.ptr, s->subject.len);
    n += s->subject.len;
    n += (size_t)sprintf(to + n, "%s", s->blank);
    if (s->reply.len) {
        memcpy(to + n, s->reply.ptr, s->reply.len);
        n += s->reply.len;
        n += (size_t)sprintf(to + n, "%s", s->blank);
    }
    if (s->hpub)
        n += (size_t)sprintf(to + n, "%0*zu%s", (int)s->zeros + 1, s->header.len, s->blank);
    n += (size_t)sprintf(to + n, "%0*zu%s", (int)s->zeros + 1, s->header.len + s->payload.len,
                         s->line_end);
    memcpy(to + n, s->header.ptr, s->header.len);
    n += s->header.len;
    memcpy(to + n, s->payload.ptr, s->payload.len);
    n += s->payload.len;
    return n + (size_t)sprintf(to + n, "\r\n");
}

static void check_frame(const struct frame *f, const struct shape *s)
{
    pp_str none = {NULL, 0};

    PP_ASSERT(pp_str_eq(f->subject, s->subject));
    PP_ASSERT(pp_str_eq(f->sid, PP_STR("17")));
    PP_ASSERT(pp_str_eq(f->reply, s->reply));
    PP_ASSERT(pp_str_eq(f->header, s->hpub && s->wanted ? s->header : none));
    PP_ASSERT(pp_str_eq(f->payload, s->payload));
}

static void check_message(const struct shape *s)
{
    static char arrived[8 * (MESSAGE_MAX + 1024)], head[MESSAGE_MAX];
    char *line = malloc(MESSAGE_MAX + 1024), *window;
    pp_body *body;
    size_t len, used, got, at = 0, head_len;
    pp_nats_memo memo = {0};
    pp_nats_reader reader = {
        .memo = &memo, .line_max = MESSAGE_MAX, .payload_max = -1, .headers = true};
    pp_nats_op op = {.msg = {.no_echo = false}};
    pp_sub *sub = pp_sub_new(NULL, PP_STR("17"), PP_STR(""));

    len = publish(s, line);
    body = pp_body_new(len + PP_WINDOW_SLACK);
    window = s->body ? body->bytes : net.loop.read_buf;
    PP_ASSERT(s->body || len + PP_WINDOW_SLACK <= net.loop.read_cap);
    memcpy(window, line, len);
    memset(window + len, 0, PP_WINDOW_SLACK);
    free(line);
    PP_ASSERT(pp_nats_read(&reader, (pp_str){window, len}, &op, &used) == PIPIT_OK);
    PP_ASSERT(used == len && op.verb == (s->hpub ? PP_NATS_HPUB : PP_NATS_PUB));
    op.msg.body = s->body ? body : NULL;
    if (s->made_anew)
        op.msg.wire = (pp_str){NULL, 0};

    head_len = pp_nats_head(sub, op.msg.subject, NULL);
    PP_ASSERT(head_len + PP_ROUTE_HEAD_SLACK <= sizeof(head));
    PP_ASSERT(pp_nats_head(sub, op.msg.subject, head) == head_len);
    for (unsigned i = 0; i < s->copies; i++)
        PP_ASSERT(pp_nats_write_msg(&net.conn->own, (pp_str){head, head_len}, &op.msg, s->wanted));
    pp_loop_flush(&net.loop);
    memset(net.loop.read_buf, 0xee, net.loop.read_cap); /* nobody refers to it any more */
    pp_body_unref(body);
    got = receive(arrived, sizeof(arrived));
    for (unsigned i = 0; i < s->copies; i++) {
        struct frame frame;

        at += parse_frame((pp_str){arrived + at, got - at}, &frame);
        check_frame(&frame, s);
    }
    PP_ASSERT(at == got);
    pp_sub_free(sub);
}

/* --- the shape from the input -------------------------------------------------------------- */

/* A token of up to max bytes that is none to a reader otherwise: no blanks, no line ends. */
static pp_str take_word(const uint8_t **data, size_t *size, size_t max)
{
    const char *start = (const char *)*data;
    size_t len = 0;

    while (len < *size && len < max && !memchr(" \t\r\n", start[len], 4))
        len++;
    *data += len;
    *size -= len;
    return (pp_str){start, len};
}

static pp_str take_bytes(const uint8_t **data, size_t *size, size_t len)
{
    pp_str bytes = {(const char *)*data, len < *size ? len : *size};

    *data += bytes.len;
    *size -= bytes.len;
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const blanks[] = {" ", " ", "\t", "  \t "};
    static const char *const line_ends[] = {"\r\n", "\r\n", "\n", " \r\n"};
    static const size_t stretch[] = {0, 100, 2040, 20000};
    static char long_payload[20000 + 4096];
    uint8_t flags, form;
    struct shape s;

    if (size < 4)
        return 0;
    flags = data[0];
    form = data[1];
    s = (struct shape){
        .hpub = flags & 1,
        .wanted = flags & 2,
        .body = flags & 4,
        .made_anew = flags & 8,
        .copies = 1 + (flags >> 4 & 3),
        .blank = blanks[form & 3],
        .line_end = line_ends[form >> 2 & 3],
        .zeros = form >> 4 & 3,
    };
    size_t header_len = data[2];
    size_t subject_max = 1 + data[3];

    data += 4;
    size -= 4;
    s.subject = take_word(&data, &size, subject_max);
    if (!s.subject.len)
        s.subject = PP_STR("a");
    (void)take_bytes(&data, &size, 1);
    s.reply = take_word(&data, &size, 200);
    (void)take_bytes(&data, &size, 1);
    s.header = s.hpub ? take_bytes(&data, &size, header_len) : (pp_str){"", 0};
    s.payload = take_bytes(&data, &size, 4096);
    if (stretch[form >> 6]) {
        /* The few bytes of the input again and again, to cross the writer's bounds. */
        size_t len = stretch[form >> 6] + s.payload.len;

        for (size_t i = 0; i < len; i++)
            long_payload[i] = s.payload.len ? s.payload.ptr[i % s.payload.len] : 'x';
        s.payload = (pp_str){long_payload, len};
    }
    net_open();
    check_message(&s);
    return 0;
}
