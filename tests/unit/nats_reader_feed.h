/* tests/unit/nats_reader_feed.h -- a reader fed a conversation in windows, and what it made of it
 * as text. */
#ifndef PIPIT_TESTS_UNIT_NATS_READER_FEED_H
#define PIPIT_TESTS_UNIT_NATS_READER_FEED_H

#include "base/buf.h"
#include "proto/nats/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define WIRE(literal) literal, sizeof(literal) - 1

enum { LOG_MAX = 1 << 20, LINE_MAX_BYTES = 40, PAYLOAD_MAX = 90 };

/* Limits as small as makes them easy to meet. */
static const pp_nats_reader fresh_reader = {
    .line_max = LINE_MAX_BYTES, .payload_max = PAYLOAD_MAX, .headers = true};

/* --- what was read, as text ----------------------------------------------------------------- */

static inline void log_bytes(pp_buf *log, pp_str bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];

        if (c == '\r' || c == '\n' || c == '\t')
            (void)pp_buf_addf(log, "\\%c", c == '\r' ? 'r' : c == '\n' ? 'n' : 't');
        else if (c < 0x20 || c > 0x7e)
            (void)pp_buf_addf(log, "\\x%02x", c);
        else
            (void)pp_buf_add(log, &c, 1);
    }
}

static inline void log_call(pp_buf *log, const char *verb, const pp_str *args, size_t count)
{
    (void)pp_buf_addf(log, "%s(", verb);
    for (size_t i = 0; i < count; i++) {
        if (i)
            (void)pp_buf_add(log, ",", 1);
        log_bytes(log, args[i]);
    }
    (void)pp_buf_add(log, ")", 1);
}

static inline bool inside(pp_str part, pp_str window)
{
    return part.len == 0 ||
           (part.ptr >= window.ptr && part.ptr + part.len <= window.ptr + window.len);
}

/* The wire form is what stands behind the subject, with single blanks, right before the data. */
static inline void check_wire(const pp_msg *msg)
{
    const char *p = msg->wire.ptr, *end = msg->wire.ptr + msg->wire.len - 2;

    for (const char *blank = msg->subject.ptr + msg->subject.len; blank < p; blank++)
        assert_true(*blank == ' ' || *blank == '\t');
    assert_ptr_equal(end + 2, msg->data.ptr);
    if (msg->reply.len) {
        assert_ptr_equal(p, msg->reply.ptr);
        p += msg->reply.len;
        assert_true(*p++ == ' ');
    }
    assert_true(p < end);
    assert_memory_equal(end, "\r\n", 2);
    for (; p < end; p++) /* sizes may have zeros in front, which go on as they are */
        assert_true((*p >= '0' && *p <= '9') || *p == ' ');
}

static inline void log_publish(pp_buf *log, const pp_nats_op *op, pp_str window, size_t used)
{
    const pp_msg *msg = &op->msg;
    pp_str args[] = {msg->subject, msg->reply, pp_msg_header(msg), pp_msg_payload(msg)};

    assert_true(msg->header_len <= msg->data.len);
    assert_true(inside(msg->subject, window) && inside(msg->reply, window));
    assert_true(inside(msg->data, window) && inside(msg->wire, window));
    assert_ptr_equal(msg->data.ptr + msg->data.len + 2, window.ptr + used);
    if (op->verb == PP_NATS_PUB)
        args[2] = msg->data; /* no header block */
    log_call(log, op->verb == PP_NATS_PUB ? "PUB" : "HPUB", args, op->verb == PP_NATS_PUB ? 3 : 4);
    if (msg->wire.len) {
        check_wire(msg);
        (void)pp_buf_add(log, "w", 1);
    }
}

static inline void log_op(pp_buf *log, const pp_nats_op *op, pp_str window, size_t used)
{
    static const char *const names[] = {
        [PP_NATS_CONNECT] = "CONNECT", [PP_NATS_INFO] = "INFO", [PP_NATS_ERR] = "-ERR",
        [PP_NATS_PING] = "PING",       [PP_NATS_PONG] = "PONG", [PP_NATS_OK] = "+OK",
    };
    char max[24];
    pp_str sub[] = {op->msg.subject, op->queue, op->sid};
    pp_str unsub[] = {op->sid, {max, 0}};

    switch (op->verb) {
    case PP_NATS_PUB:
    case PP_NATS_HPUB:
        log_publish(log, op, window, used);
        break;
    case PP_NATS_SUB:
        assert_true(inside(sub[0], window) && inside(sub[1], window) && inside(sub[2], window));
        log_call(log, "SUB", sub, 3);
        break;
    case PP_NATS_UNSUB:
        unsub[1].len = (size_t)snprintf(max, sizeof(max), "%llu", (unsigned long long)op->max);
        assert_true(inside(op->sid, window));
        log_call(log, "UNSUB", unsub, 2);
        break;
    case PP_NATS_CONNECT:
    case PP_NATS_INFO:
    case PP_NATS_ERR:
        assert_true(inside(op->text, window));
        log_call(log, names[op->verb], &op->text, 1);
        break;
    case PP_NATS_PING:
    case PP_NATS_PONG:
    case PP_NATS_OK:
        (void)pp_buf_addf(log, "%s", names[op->verb]);
        break;
    case PP_NATS_NOTHING: /* the operation is to come */
        return;
    }
    (void)pp_buf_add(log, ";", 1);
}

static inline void log_error(pp_buf *log, pipit_err err)
{
    static const struct {
        pipit_err err;
        const char *name;
    } names[] = {{PIPIT_EPROTO, "EPROTO"},
                 {PIPIT_EINVAL, "EINVAL"},
                 {PIPIT_ELIMIT, "ELIMIT"},
                 {PIPIT_ETOOBIG, "ETOOBIG"},
                 {PIPIT_EDENIED, "EDENIED"}};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (names[i].err == err) {
            (void)pp_buf_addf(log, "!%s", names[i].name);
            return;
        }
    }
    fail_msg("no error a reader may give: %s", pipit_strerror(err));
}

/* --- feeding -------------------------------------------------------------------------------- */

typedef pipit_err read_fn(pp_nats_reader *r, pp_str window, pp_nats_op *out_op, size_t *out_used);

static inline pipit_err read_any_or_plain(pp_nats_reader *r, pp_str window, pp_nats_op *op,
                                          size_t *used)
{
    return pp_nats_read(r, window, op, used);
}

/* The careful parser, which remembers nothing but that it is in the middle of a PING. */
static inline pipit_err read_fresh(pp_nats_reader *r, pp_str window, pp_nats_op *op, size_t *used)
{
    pp_nats_reader fresh = *r;
    pipit_err err;

    fresh.memo = NULL;
    fresh.scanned = 0;
    err = pp_nats_read_any(&fresh, window, op, used);
    r->passing = fresh.passing;
    r->passing_verb = fresh.passing_verb;
    return err;
}

/* One conversation on its way through a reader. */
struct feed {
    pp_nats_reader reader;
    pp_nats_memo memo;
    read_fn *read;
    const char *wire;
    size_t at;        /* of the operation at the front */
    size_t want;      /* what the reader said of it; 0: nothing yet */
    pp_str last_line; /* of the last publish, in wire */
    pipit_err err;
    pp_buf *log;
};

static char body_place;
static struct pp_body *const some_body = (struct pp_body *)(void *)&body_place;

/* "repeats" is said only of a PUB whose control line is that of the publish before it: whoever
 * hears it goes on with what that one's subject led to. */
static inline void check_repeats(struct feed *f, const pp_nats_op *op, size_t used)
{
    pp_str line;

    if (op->verb != PP_NATS_PUB && op->verb != PP_NATS_HPUB)
        return;
    line = (pp_str){f->wire + f->at, used - op->msg.data.len - 2};
    if (op->repeats && !pp_str_eq(line, f->last_line))
        fail_msg("\"%.*s\" is said to repeat \"%.*s\"", PP_STR_ARGS(line),
                 PP_STR_ARGS(f->last_line));
    f->last_line = line;
}

/* Read what can be read of wire[at, end), which ends where its memory ends. */
static inline void feed_window(struct feed *f, size_t end)
{
    while (!f->err && f->at < end) {
        size_t len = end - f->at, used = 0;
        char *copy = malloc(len);
        pp_nats_op op = {.msg = {.body = some_body, .no_echo = true}};
        pipit_err err;

        memcpy(copy, f->wire + f->at, len);
        err = f->read(&f->reader, (pp_str){copy, len}, &op, &used);
        assert_ptr_equal(op.msg.body, some_body); /* the caller's, not the reader's */
        assert_true(op.msg.no_echo);
        if (err == PIPIT_EAGAIN) {
            assert_true(used == 0 || used > len); /* what was promised to suffice does */
            assert_true(used == 0 ||
                        (op.msg.subject.len && inside(op.msg.subject, (pp_str){copy, len})));
            free(copy);
            assert_true(f->want == 0 || f->want == used);
            f->want = used;
            return;
        }
        if (err) {
            f->err = err;
            log_error(f->log, err);
        } else {
            assert_true(used > 0 && used <= len);
            assert_true(f->want == 0 || f->want == used);
            assert_int_equal(f->reader.passing, op.verb == PP_NATS_NOTHING);
            log_op(f->log, &op, (pp_str){copy, len}, used);
            check_repeats(f, &op, used);
            f->at += used;
            f->want = 0;
        }
        free(copy);
    }
}

static inline void feed_start(struct feed *f, const pp_nats_reader *reader, read_fn *read,
                              const char *wire, pp_buf *log)
{
    *f = (struct feed){.reader = *reader, .read = read, .wire = wire, .log = log};
    f->reader.memo = &f->memo;
    memset(f->memo.line, 'P', sizeof(f->memo.line)); /* what may lie there from before */
    log->len = 0;
}

static inline void feed_end(struct feed *f, size_t len)
{
    if (!f->err && (f->at < len || f->reader.passing))
        (void)pp_buf_addf(f->log, "...%zu", f->want);
    (void)pp_buf_add(f->log, "", 1);
}

#endif
