/* Bytes to operations: rows for every rule, each at every split; then random conversations, whose
 * reading must not depend on how they were cut, on the memo, or on what was read before. */
#include "proto/nats/reader.h"

#include "base/buf.h"
#include "seed.h"

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

/* --- what was read, as text --------------------------------------------------------------- */

static void log_bytes(pp_buf *log, pp_str bytes)
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

static void log_call(pp_buf *log, const char *verb, const pp_str *args, size_t count)
{
    (void)pp_buf_addf(log, "%s(", verb);
    for (size_t i = 0; i < count; i++) {
        if (i)
            (void)pp_buf_add(log, ",", 1);
        log_bytes(log, args[i]);
    }
    (void)pp_buf_add(log, ")", 1);
}

static bool inside(pp_str part, pp_str window)
{
    return part.len == 0 ||
           (part.ptr >= window.ptr && part.ptr + part.len <= window.ptr + window.len);
}

/* The wire form is what stands behind the subject, with single blanks, right before the data. */
static void check_wire(const pp_msg *msg)
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

static void log_publish(pp_buf *log, const pp_nats_op *op, pp_str window, size_t used)
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

static void log_op(pp_buf *log, const pp_nats_op *op, pp_str window, size_t used)
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

static void log_error(pp_buf *log, pipit_err err)
{
    static const struct {
        pipit_err err;
        const char *name;
    } names[] = {{PIPIT_EPROTO, "EPROTO"}, {PIPIT_EINVAL, "EINVAL"},   {PIPIT_ELIMIT, "ELIMIT"},
                 {PIPIT_ETOOBIG, "ETOOBIG"}, {PIPIT_EDENIED, "EDENIED"}};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (names[i].err == err) {
            (void)pp_buf_addf(log, "!%s", names[i].name);
            return;
        }
    }
    fail_msg("no error a reader may give: %s", pipit_strerror(err));
}

/* --- feeding ------------------------------------------------------------------------------ */

typedef pipit_err read_fn(pp_nats_reader *r, pp_str window, pp_nats_op *out_op, size_t *out_used);

static pipit_err read_any_or_plain(pp_nats_reader *r, pp_str window, pp_nats_op *op, size_t *used)
{
    return pp_nats_read(r, window, op, used);
}

/* The careful parser, which remembers nothing but that it is in the middle of a PING. */
static pipit_err read_fresh(pp_nats_reader *r, pp_str window, pp_nats_op *op, size_t *used)
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
    size_t at;   /* of the operation at the front */
    size_t want; /* what the reader said of it; 0: nothing yet */
    pp_str last_line; /* of the last publish, in wire */
    pipit_err err;
    pp_buf *log;
};

static char body_place;
static struct pp_body *const some_body = (struct pp_body *)(void *)&body_place;

/* "repeats" is said only of a PUB whose control line is that of the publish before it: whoever
 * hears it goes on with what that one's subject led to. */
static void check_repeats(struct feed *f, const pp_nats_op *op, size_t used)
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
static void feed_window(struct feed *f, size_t end)
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

static void feed_start(struct feed *f, const pp_nats_reader *reader, read_fn *read,
                       const char *wire, pp_buf *log)
{
    *f = (struct feed){.reader = *reader, .read = read, .wire = wire, .log = log};
    f->reader.memo = &f->memo;
    memset(f->memo.line, 'P', sizeof(f->memo.line)); /* what may lie there from before */
    log->len = 0;
}

static void feed_end(struct feed *f, size_t len)
{
    if (!f->err && (f->at < len || f->reader.passing))
        (void)pp_buf_addf(f->log, "...%zu", f->want);
    (void)pp_buf_add(f->log, "", 1);
}

/* --- rows --------------------------------------------------------------------------------- */

enum { NO_HEADERS = 1, NO_PAYLOAD_LIMIT = 2 };

static const struct row {
    const char *name;
    const char *wire;
    size_t len;
    const char *log; /* ...N: more is needed, N bytes in one piece (0: not known yet) */
    unsigned flags;
} rows[] = {
    /* PUB */
    {"pub", WIRE("PUB a.b 2\r\nhi\r\n"), "PUB(a.b,,hi)w;", 0},
    {"pub with a reply", WIRE("PUB a r.1 2\r\nhi\r\n"), "PUB(a,r.1,hi)w;", 0},
    {"reply of digits", WIRE("PUB a 12 2\r\nhi\r\n"), "PUB(a,12,hi)w;", 0},
    {"reply of many digits", WIRE("PUB a 1234567890 2\r\nhi\r\n"), "PUB(a,1234567890,hi)w;", 0},
    {"reply that begins with digits", WIRE("PUB a 5x 2\r\nhi\r\n"), "PUB(a,5x,hi)w;", 0},
    {"empty payload", WIRE("PUB a 0\r\n\r\n"), "PUB(a,,)w;", 0},
    {"empty payload and a reply", WIRE("PUB a bbbbb 0\r\n\r\n"), "PUB(a,bbbbb,)w;", 0},
    {"payload holds CR LF", WIRE("PUB a 4\r\n\r\n\r\n\r\n"), "PUB(a,,\\r\\n\\r\\n)w;", 0},
    {"payload looks like operations", WIRE("PUB a 11\r\nPUB b 0\r\n\r\n\r\nPING\r\n"),
     "PUB(a,,PUB b 0\\r\\n\\r\\n)w;PING;", 0},
    {"zeros in front of the size", WIRE("PUB a 0002\r\nhi\r\n"), "PUB(a,,hi)w;", 0},
    {"nine digits", WIRE("PUB abc 000000002\r\nhi\r\n"), "PUB(abc,,hi)w;", 0},
    {"nine digits that are many", WIRE("PUB a 999999999\r\nhi\r\n"), "...1000000018",
     NO_PAYLOAD_LIMIT},
    {"subject like wildcards", WIRE("PUB a.*.> 0\r\n\r\n"), "PUB(a.*.>,,)w;", 0},
    {"subject of any bytes", WIRE("PUB \x01\xff\0$ 0\r\n\r\n"), "PUB(\\x01\\xff\\x00$,,)w;", 0},
    {"lower case", WIRE("pub A 2\r\nhi\r\n"), "PUB(A,,hi)w;", 0},
    {"mixed case", WIRE("PuB a 2\r\nhi\r\n"), "PUB(a,,hi)w;", 0},
    {"tab behind the verb", WIRE("PUB\ta 2\r\nhi\r\n"), "PUB(a,,hi)w;", 0},
    {"blanks behind the verb", WIRE("PUB \t  a 2\r\nhi\r\n"), "PUB(a,,hi)w;", 0},
    {"blanks between arguments", WIRE("PUB a  \t2\r\nhi\r\n"), "PUB(a,,hi)w;", 0},
    {"a tab between arguments", WIRE("PUB a\tr 2\r\nhi\r\n"), "PUB(a,r,hi)w;", 0},
    {"a tab in the wire form", WIRE("PUB a r\t2\r\nhi\r\n"), "PUB(a,r,hi);", 0},
    {"blanks behind the size", WIRE("PUB a 2 \t\r\nhi\r\n"), "PUB(a,,hi);", 0},
    {"LF alone", WIRE("PUB a r 2\nhi\r\n"), "PUB(a,r,hi);", 0},
    {"longest line", WIRE("PUB aaaaaaaaaabbbbbbbbbbccccccccccdddddddd 2\r\nhi\r\n"),
     "PUB(aaaaaaaaaabbbbbbbbbbccccccccccdddddddd,,hi)w;", 0},
    {"a byte longer", WIRE("PUB aaaaaaaaaabbbbbbbbbbccccccccccddddddddd 2\r\nhi\r\n"), "!ELIMIT",
     0},
    {"longest line, LF alone", WIRE("PUB aaaaaaaaaabbbbbbbbbbccccccccccdddddddd 2\nhi\r\n"),
     "PUB(aaaaaaaaaabbbbbbbbbbccccccccccdddddddd,,hi);", 0},
    {"a byte longer, LF alone", WIRE("PUB aaaaaaaaaabbbbbbbbbbccccccccccddddddddd 2\nhi\r\n"),
     "!ELIMIT", 0},
    {"blanks before the arguments are free",
     WIRE("PUB                 aaaaaaaaaabbbbbbbbbbccccccccccdddddddd 2\r\nhi\r\n"),
     "PUB(aaaaaaaaaabbbbbbbbbbccccccccccdddddddd,,hi)w;", 0},
    {"blanks behind them are not",
     WIRE("PUB aaaaaaaaaabbbbbbbbbbccccccccccdddddddd 2 \r\nhi\r\n"), "!ELIMIT", 0},
    {"largest payload",
     WIRE("PUB a 90\r\n012345678901234567890123456789012345678901234567890123456789"
          "012345678901234567890123456789\r\n"),
     "PUB(a,,012345678901234567890123456789012345678901234567890123456789"
     "012345678901234567890123456789)w;",
     0},
    {"a byte too large", WIRE("PUB a 91\r\n"), "!ETOOBIG", 0},
    {"much too large", WIRE("PUB a 999999999\r\n"), "!ETOOBIG", 0},
    {"too large with a reply", WIRE("PUB a r 91\r\n"), "!ETOOBIG", 0},
    {"no limit", WIRE("PUB a 91\r\n"), "...103", NO_PAYLOAD_LIMIT},
    {"payload a byte too short", WIRE("PUB a 3\r\nhi\r\n"), "!EPROTO", 0},
    {"payload to come", WIRE("PUB a 4\r\nhi\r\n"), "...15", 0},
    {"payload too long", WIRE("PUB a 1\r\nhi\r\n"), "!EPROTO", 0},
    {"payload of zero is not", WIRE("PUB a 0\r\nhi\r\n"), "!EPROTO", 0},
    {"LF alone behind the payload", WIRE("PUB a 2\r\nhi\nPING\r\n"), "!EPROTO", 0},
    {"CR without LF behind the payload", WIRE("PUB a 2\r\nhi\rPING\r\n"), "!EPROTO", 0},
    {"LF CR behind the payload", WIRE("PUB a 2\r\nhi\n\r"), "!EPROTO", 0},
    {"nothing behind the payload", WIRE("PUB a 2\r\nhiPING\r\n"), "!EPROTO", 0},
    {"no arguments", WIRE("PUB \r\n"), "!EINVAL", 0},
    {"one argument", WIRE("PUB a\r\n"), "!EINVAL", 0},
    {"one that is a size", WIRE("PUB 5\r\n"), "!EINVAL", 0},
    {"four arguments", WIRE("PUB a b c 2\r\nhi\r\n"), "!EINVAL", 0},
    {"very many arguments", WIRE("PUB a b c d e f g 2\r\nhi\r\n"), "!EINVAL", 0},
    {"no size", WIRE("PUB a x\r\n"), "!EINVAL", 0},
    {"no size behind a reply", WIRE("PUB a r x\r\n"), "!EINVAL", 0},
    {"negative size", WIRE("PUB a -1\r\n"), "!EINVAL", 0},
    {"signed size", WIRE("PUB a +1\r\n"), "!EINVAL", 0},
    {"hexadecimal size", WIRE("PUB a 0x2\r\n"), "!EINVAL", 0},
    {"ten digits", WIRE("PUB a 0000000002\r\nhi\r\n"), "!EINVAL", 0},
    {"ten digits and a reply", WIRE("PUB a r 0000000002\r\nhi\r\n"), "!EINVAL", 0},
    {"very many digits", WIRE("PUB a 18446744073709551618\r\nhi\r\n"), "!EINVAL", 0},
    {"CR in the subject", WIRE("PUB a\rb 0\r\n\r\n"), "!EPROTO", 0},
    {"CR before the size", WIRE("PUB a \r0\r\n\r\n"), "!EPROTO", 0},
    {"two CR", WIRE("PUB a 0\r\r\n\r\n"), "!EPROTO", 0},
    {"no blank", WIRE("PUB\r\n"), "!EPROTO", 0},
    {"a letter behind", WIRE("PUBS a 0\r\n"), "!EPROTO", 0},

    /* HPUB */
    {"hpub", WIRE("HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"), "HPUB(a,,NATS/1.0\\r\\n\\r\\n,hi)w;",
     0},
    {"hpub with a reply", WIRE("HPUB a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
     "HPUB(a,r,NATS/1.0\\r\\n\\r\\n,hi)w;", 0},
    {"headers alone", WIRE("HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
     "HPUB(a,,NATS/1.0\\r\\n\\r\\n,)w;", 0},
    {"no headers at all", WIRE("HPUB a 0 2\r\nhi\r\n"), "HPUB(a,,,hi);", 0},
    {"nothing at all", WIRE("HPUB a 0 0\r\n\r\n"), "HPUB(a,,,);", 0},
    {"headers are not looked at", WIRE("HPUB a 3 5\r\nxyzhi\r\n"), "HPUB(a,,xyz,hi)w;", 0},
    {"zeros in front of both", WIRE("HPUB a 003 05\r\nxyzhi\r\n"), "HPUB(a,,xyz,hi)w;", 0},
    {"hpub in lower case", WIRE("hPub a 3 5\r\nxyzhi\r\n"), "HPUB(a,,xyz,hi)w;", 0},
    {"hpub with blanks", WIRE("HPUB  a\t r  3 \t5 \nxyzhi\r\n"), "HPUB(a,r,xyz,hi);", 0},
    {"headers beyond the whole", WIRE("HPUB a 3 2\r\n"), "!EINVAL", 0},
    {"hpub one size", WIRE("HPUB a 3\r\n"), "!EINVAL", 0},
    {"hpub no arguments", WIRE("HPUB \r\n"), "!EINVAL", 0},
    {"hpub five arguments", WIRE("HPUB a r x 1 2\r\n"), "!EINVAL", 0},
    {"hpub bad header size", WIRE("HPUB a r x 2\r\n"), "!EINVAL", 0},
    {"hpub bad size", WIRE("HPUB a 1 x\r\n"), "!EINVAL", 0},
    {"hpub long header size", WIRE("HPUB a 0000000001 2\r\n"), "!EINVAL", 0},
    {"hpub too large", WIRE("HPUB a 1 91\r\n"), "!ETOOBIG", 0},
    {"hpub not negotiated", WIRE("HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"), "!EDENIED",
     NO_HEADERS},
    {"hpub, wrong sizes", WIRE("HPUB a 16 18\r\nNATS/1.0\r\nA: b\r\n\r\nok\r\n"), "!EPROTO", 0},
    {"hpub needs a blank", WIRE("HPUBa 0 0\r\n"), "!EPROTO", 0},
    {"hpub with a CR inside", WIRE("HPUB a\r 0 0\r\n"), "!EPROTO", 0},

    /* SUB */
    {"sub", WIRE("SUB a.* 1\r\n"), "SUB(a.*,,1);", 0},
    {"sub in a queue", WIRE("SUB a.* workers 1\r\n"), "SUB(a.*,workers,1);", 0},
    {"sub with blanks", WIRE("sub\t a \t q  x-1 \t\r\n"), "SUB(a,q,x-1);", 0},
    {"sub, LF alone", WIRE("SUB a 1\n"), "SUB(a,,1);", 0},
    {"subjects are not looked at", WIRE("SUB a..>.b 1\r\n"), "SUB(a..>.b,,1);", 0},
    {"sub without blank", WIRE("SUB\n"), "!EPROTO", 0},
    {"sub goes on", WIRE("SUBZZZ"), "!EPROTO", 0},
    {"sub no arguments", WIRE("SUB  \r\n"), "!EINVAL", 0},
    {"sub one argument", WIRE("SUB a\r\n"), "!EINVAL", 0},
    {"sub four arguments", WIRE("SUB a b c d\r\n"), "!EINVAL", 0},
    {"sub with a CR inside", WIRE("SUB a\r 1\r\n"), "!EPROTO", 0},

    /* UNSUB */
    {"unsub", WIRE("UNSUB 1\r\n"), "UNSUB(1,0);", 0},
    {"unsub with a max", WIRE("UNSUB 1 10\r\n"), "UNSUB(1,10);", 0},
    {"unsub, largest max", WIRE("UNSUB 1 999999999\r\n"), "UNSUB(1,999999999);", 0},
    {"unsub, max of ten digits is none", WIRE("UNSUB 1 1000000000\r\n"), "UNSUB(1,0);", 0},
    {"unsub, max that is no number", WIRE("UNSUB 1 x\r\n"), "UNSUB(1,0);", 0},
    {"unsub, max of zero", WIRE("UNSUB 1 0\r\n"), "UNSUB(1,0);", 0},
    {"unsub with blanks", WIRE("unsub\t\t1  2 \n"), "UNSUB(1,2);", 0},
    {"unsub no arguments", WIRE("UNSUB \r\n"), "!EINVAL", 0},
    {"unsub three arguments", WIRE("UNSUB 1 2 3\r\n"), "!EINVAL", 0},
    {"unsub without blank", WIRE("UNSUB\r\n"), "!EPROTO", 0},
    {"unsub with a CR inside", WIRE("UNSUB 1\r2\r\n"), "!EPROTO", 0},

    /* CONNECT, INFO, -ERR */
    {"connect", WIRE("CONNECT {\"a\":1}\r\n"), "CONNECT({\"a\":1});", 0},
    {"connect without blank", WIRE("CONNECT{}\r\n"), "CONNECT({});", 0},
    {"connect with blanks", WIRE("connect \t {} \t\r\n"), "CONNECT({} \\t);", 0},
    {"connect, LF alone", WIRE("CONNECT {}\n"), "CONNECT({});", 0},
    {"connect, nothing", WIRE("CONNECT\r\n"), "CONNECT();", 0},
    {"connect, a byte too long", WIRE("CONNECT {012345678901234567890123456789012345678}\r\n"),
     "!ELIMIT", 0},
    {"connect, longest", WIRE("CONNECT {01234567890123456789012345678901234567}\r\n"),
     "CONNECT({01234567890123456789012345678901234567});", 0},
    {"info", WIRE("INFO {}\r\n"), "INFO({});", 0},
    {"info without blank", WIRE("INFO{}\r\n"), "INFO({});", 0},
    {"err", WIRE("-ERR 'x y'\r\n"), "-ERR('x y');", 0},
    {"err in lower case", WIRE("-err\tx\r\n"), "-ERR(x);", 0},
    {"err with blank alone", WIRE("-ERR \r\n"), "-ERR();", 0},

    /* PING, PONG, +OK skip what follows on their line */
    {"ping", WIRE("PING\r\n"), "PING;", 0},
    {"ping in lower case", WIRE("ping\r\n"), "PING;", 0},
    {"ping, LF alone", WIRE("PING\n"), "PING;", 0},
    {"ping foo", WIRE("PING foo\r\nPING\r\n"), "PING;PING;", 0},
    {"pingfoo", WIRE("PINGfoo\r\nPING\r\n"), "PING;PING;", 0},
    {"ping with a CR inside", WIRE("PING\ra\r\nPING\r\n"), "PING;PING;", 0},
    {"ping with more than any line",
     WIRE("PING ................................................................................"
          "................................................................................\r\n"
          "PING\r\n"),
     "PING;PING;", 0},
    {"ping, unfinished", WIRE("PING"), "...0", 0},
    {"ping, unfinished behind another", WIRE("PING\r\nPONG\rPUB a 0\r"), "PING;...0", 0},
    {"pong", WIRE("PONG\r\n"), "PONG;", 0},
    {"pong bar", WIRE("pONG bar\n"), "PONG;", 0},
    {"ok", WIRE("+OK\r\n"), "+OK;", 0},
    {"okay", WIRE("+okay\r\n"), "+OK;", 0},

    /* what is no operation */
    {"nobody's verb", WIRE("ZZZ"), "!EPROTO", 0},
    {"blank in front", WIRE(" PING\r\n"), "!EPROTO", 0},
    {"tab in front", WIRE("\tPING\r\n"), "!EPROTO", 0},
    {"empty line", WIRE("\r\n"), "!EPROTO", 0},
    {"LF", WIRE("\nPING\r\n"), "!EPROTO", 0},
    {"empty line between", WIRE("PING\r\n\r\nPING\r\n"), "PING;!EPROTO", 0},
    {"blank between", WIRE("PING\r\n PING\r\n"), "PING;!EPROTO", 0},
    {"NUL", WIRE("\0"), "!EPROTO", 0},
    {"the server's own MSG", WIRE("MSG a 1 0\r\n\r\n"), "!EPROTO", 0},
    {"the server's own HMSG", WIRE("HMSG a 1 0 0\r\n\r\n"), "!EPROTO", 0},
    {"between servers", WIRE("RS+ $G a\r\n"), "!EPROTO", 0},
    {"letters that differ in one bit", WIRE("P\x15" "B a 0\r\n"), "!EPROTO", 0},
    {"plus alone", WIRE("+K"), "!EPROTO", 0},
    {"a verb that is cut", WIRE("PUB"), "...0", 0},
    {"an unfinished line", WIRE("SUB a 1"), "...0", 0},
    {"a line without LF", WIRE("SUB a 1\r"), "...0", 0},
    {"nothing", WIRE(""), "", 0},

    /* lines that are never ended */
    {"unfinished, longest", WIRE("SUB 0123456789012345678901234567890123456789"), "...0", 0},
    {"unfinished, perhaps longest", WIRE("SUB 0123456789012345678901234567890123456789\r"), "...0",
     0},
    {"unfinished, too long", WIRE("SUB 0123456789012345678901234567890123456789x"), "!ELIMIT", 0},
    {"unfinished, its CR is not the end", WIRE("SUB 0123456789012345678901234567890123456789\rx"),
     "!ELIMIT", 0},
    {"unfinished blanks",
     WIRE("SUB "
          "                                                                                "
          "                                                                                "),
     "!ELIMIT", 0},

    /* one after another */
    {"all of them",
     WIRE("CONNECT {}\r\nSUB a 1\r\nSUB b q 2\r\nPUB a 2\r\nhi\r\nPUB a 2\r\nho\r\nPUB a 2\r\nhu"
          "\r\nHPUB a 3 5\r\nxyzhi\r\nPUB a 2\r\nha\r\nPING\r\nPONG\r\nUNSUB 1\r\n+OK\r\n"),
     "CONNECT({});SUB(a,,1);SUB(b,q,2);PUB(a,,hi)w;PUB(a,,ho)w;PUB(a,,hu)w;HPUB(a,,xyz,hi)w;"
     "PUB(a,,ha)w;PING;PONG;UNSUB(1,0);+OK;",
     0},
    {"an error ends it", WIRE("PUB a 2\r\nhi\r\nPUB a 2\r\nhixPUB a 2\r\nhi\r\n"),
     "PUB(a,,hi)w;!EPROTO", 0},
    {"the same line, another size",
     WIRE("PUB a r 1\r\nx\r\nPUB a r 12\r\n012345678901\r\nPUB a r 1\r\ny\r\n"),
     "PUB(a,r,x)w;PUB(a,r,012345678901)w;PUB(a,r,y)w;", 0},
    {"a PUB that only ends like one",
     WIRE("PUB aaaa 1\r\nx\r\nPUB aaaa 1\r\nxy\r\nPING\r\nPING\r\nPING\r\nPING\r\nPING\r\nPING\r\n"),
     "PUB(aaaa,,x)w;!EPROTO", 0},
};

static pp_nats_reader reader_of(const struct row *row)
{
    pp_nats_reader reader = fresh_reader;

    if (row->flags & NO_HEADERS)
        reader.headers = false;
    if (row->flags & NO_PAYLOAD_LIMIT)
        reader.payload_max = -1;
    return reader;
}

static void check_log(const struct row *row, const pp_buf *log, const char *how, size_t cut)
{
    if (strcmp(log->ptr, row->log) != 0)
        fail_msg("%s, %s %zu:\n    %s\nexpected:\n    %s", row->name, how, cut, log->ptr, row->log);
}

static void check_row(const struct row *row, read_fn *read, pp_buf *log)
{
    pp_nats_reader reader = reader_of(row);
    struct feed f;

    for (size_t cut = 0; cut <= row->len; cut++) {
        feed_start(&f, &reader, read, row->wire, log);
        feed_window(&f, cut);
        feed_window(&f, row->len);
        feed_end(&f, row->len);
        check_log(row, log, "cut at", cut);
    }
    for (size_t step = 1; step < 4; step++) {
        feed_start(&f, &reader, read, row->wire, log);
        for (size_t end = step; end < row->len; end += step)
            feed_window(&f, end);
        feed_window(&f, row->len);
        feed_end(&f, row->len);
        check_log(row, log, "in steps of", step);
    }
}

static void test_reader_rows_at_every_split(void **state)
{
    pp_buf log;

    (void)state;
    pp_buf_init(&log, LOG_MAX);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_row(&rows[i], read_any_or_plain, &log);
    pp_buf_fini(&log);
}

static void test_reader_careful_rows_at_every_split(void **state)
{
    pp_buf log;

    (void)state;
    pp_buf_init(&log, LOG_MAX);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_row(&rows[i], pp_nats_read_any, &log);
    pp_buf_fini(&log);
}

/* --- when an error is seen ---------------------------------------------------------------- */

/* What no verb begins with, and a payload that ends wrongly, are refused on their first bad byte:
 * the peer may be waiting for an answer and send no more. */
static void test_reader_refuses_on_the_first_bad_byte(void **state)
{
    static const struct {
        const char *wire; /* its last byte is the bad one */
        pipit_err err;
    } fronts[] = {
        {"Z", PIPIT_EPROTO},        {" ", PIPIT_EPROTO},        {"PX", PIPIT_EPROTO},
        {"PI ", PIPIT_EPROTO},      {"PUB\r", PIPIT_EPROTO},    {"PUBS", PIPIT_EPROTO},
        {"SUBZ", PIPIT_EPROTO},     {"UNSUBx", PIPIT_EPROTO},   {"HPUB{", PIPIT_EPROTO},
        {"HM", PIPIT_EPROTO},       {"CONNEX", PIPIT_EPROTO},   
        {"PUB a 0\r\nx", PIPIT_EPROTO},      {"PUB a 2\r\nhi\n", PIPIT_EPROTO},
        {"PUB a 2\r\nhi\rx", PIPIT_EPROTO},  {"HPUB a 1 2\r\nhix", PIPIT_EPROTO},
        {"PUB a 91\r\n", PIPIT_ETOOBIG},     {"PUB a x\r\n", PIPIT_EINVAL},
        {"SUB 0123456789012345678901234567890123456789x", PIPIT_ELIMIT},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(fronts); i++) {
        pp_nats_reader reader = fresh_reader;
        size_t len = strlen(fronts[i].wire), used;
        pp_nats_op op;

        for (size_t n = 0; n < len; n++) {
            char *copy = malloc(n ? n : 1); /* ends where the window does */

            memcpy(copy, fronts[i].wire, n);
            if (pp_nats_read(&reader, (pp_str){copy, n}, &op, &used) != PIPIT_EAGAIN)
                fail_msg("row %zu: decided after %zu bytes", i, n);
            free(copy);
        }
        if (pp_nats_read(&reader, (pp_str){fronts[i].wire, len}, &op, &used) != fronts[i].err)
            fail_msg("row %zu: not %s", i, pipit_strerror(fronts[i].err));
    }
}

/* What stands behind a PING is passed over, however long: it is not kept until its end comes, and
 * nobody answers before. */
static void test_reader_passes_over_long_tails(void **state)
{
    enum { LEN = 3000 };
    static char wire[LEN + 32];
    static const char *const verbs[] = {"PING", "PONG", "+OK"};
    pp_buf log;

    (void)state;
    pp_buf_init(&log, LOG_MAX);
    for (size_t v = 0; v < COUNT_OF(verbs); v++) {
        char expected[32];
        size_t len;

        memset(wire, '.', LEN);
        memcpy(wire, verbs[v], strlen(verbs[v]));
        len = LEN + (size_t)snprintf(wire + LEN, 32, "\r\nPUB a 2\r\nhi\r\n");
        (void)snprintf(expected, sizeof(expected), "%s;PUB(a,,hi)w;", verbs[v]);
        for (size_t piece = 1; piece < len; piece = piece * 3 + 1) {
            struct feed f;

            feed_start(&f, &fresh_reader, read_any_or_plain, wire, &log);
            for (size_t end = piece; end < len; end += piece) {
                feed_window(&f, end);
                assert_true(end >= LEN || end - f.at <= 1024);
            }
            feed_window(&f, len);
            feed_end(&f, len);
            assert_string_equal(log.ptr, expected);
        }
    }
    pp_buf_fini(&log);
}

/* Only CONNECT and INFO may do without a blank (observed in nats-server 2.15.2 too). */
static void test_reader_err_needs_a_blank(void **state)
{
    static const char *const wires[] = {"-ERR'x'\r\n", "-ERR\r\n", "-errx"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wires); i++) {
        pp_nats_reader reader = fresh_reader;
        pp_nats_op op;
        size_t used;

        assert_int_equal(pp_nats_read(&reader, pp_str_of(wires[i]), &op, &used), PIPIT_EPROTO);
    }
}

/* Ids are stored with 16 bits of length; nothing longer comes through, whatever the line limit. */
static void test_reader_limits_ids(void **state)
{
    enum { LONG = 70000 };
    static char wire[3 * LONG];
    pp_nats_reader reader = {.line_max = 1 << 20, .payload_max = -1};
    pp_nats_op op;
    size_t used;

    (void)state;
    for (size_t len = UINT16_MAX; len <= UINT16_MAX + 1; len++) {
        size_t n = 0;

        memcpy(wire, "SUB a ", 6);
        memset(wire + 6, 'x', len);
        n = 6 + len;
        memcpy(wire + n, "\r\n", 3);
        assert_int_equal(pp_nats_read(&reader, pp_str_of(wire), &op, &used),
                         len <= UINT16_MAX ? PIPIT_OK : PIPIT_ELIMIT);
        memcpy(wire + n, " 1\r\n", 5);
        assert_int_equal(pp_nats_read(&reader, pp_str_of(wire), &op, &used),
                         len <= UINT16_MAX ? PIPIT_OK : PIPIT_ELIMIT);
    }
}

/* --- the memo ----------------------------------------------------------------------------- */

static const char padding[] = "PING\r\nPING\r\nPING\r\nPING\r\nPING\r\nPING\r\nPING\r\nPING\r\n"
                              "PING\r\nPING\r\nPING\r\nPING\r\n";

static pipit_err read_padded(pp_nats_reader *r, const char *wire, pp_nats_op *op, size_t *used)
{
    static char window[512];

    (void)snprintf(window, sizeof(window), "%s%s", wire, padding);
    return pp_nats_read(r, pp_str_of(window), op, used);
}

static void test_reader_tells_repeated_lines(void **state)
{
    pp_nats_memo memo = {0};
    pp_nats_reader reader = fresh_reader;
    pp_nats_op op;
    size_t used;

    (void)state;
    reader.memo = &memo;
    assert_int_equal(read_padded(&reader, "PUB a.b r 2\r\nhi\r\n", &op, &used), PIPIT_OK);
    assert_false(op.repeats);
    assert_int_equal(read_padded(&reader, "PUB a.b r 2\r\nho\r\n", &op, &used), PIPIT_OK);
    assert_true(op.repeats);
    assert_int_equal(used, 17);
    assert_true(pp_str_eq(op.msg.subject, PP_STR("a.b")));
    assert_true(pp_str_eq(op.msg.reply, PP_STR("r")));
    assert_true(pp_str_eq(op.msg.data, PP_STR("ho")));
    assert_true(pp_str_eq(op.msg.wire, PP_STR("r 2\r\n")));
    assert_int_equal(read_padded(&reader, "PUB a.c r 2\r\nho\r\n", &op, &used), PIPIT_OK);
    assert_false(op.repeats);
}

/* Any other publish in between, however it was read, ends the repetition: what is known of the
 * last message's subject is then known of another one. */
static void test_reader_publish_between_ends_repetition(void **state)
{
    static const char *const between[] = {"HPUB b 1 2\r\nhi\r\n", "pub b 2\r\nhi\r\n",
                                          "PUB  b 2\r\nhi\r\n", "PUB b 2 \r\nhi\r\n",
                                          "PUB b 2\nhi\r\n",    "PUB b\t2\r\nhi\r\n"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(between); i++) {
        pp_nats_memo memo = {0};
        pp_nats_reader reader = fresh_reader;
        pp_nats_op op;
        size_t used;

        reader.memo = &memo;
        assert_int_equal(read_padded(&reader, "PUB a 2\r\nhi\r\n", &op, &used), PIPIT_OK);
        assert_int_equal(read_padded(&reader, between[i], &op, &used), PIPIT_OK);
        assert_true(pp_str_eq(op.msg.subject, PP_STR("b")));
        assert_int_equal(read_padded(&reader, "PUB a 2\r\nhi\r\n", &op, &used), PIPIT_OK);
        if (op.repeats)
            fail_msg("behind %s", between[i]);
    }
}

/* One memo goes from reader to reader; emptied, it holds nothing against a reader's own limits. */
static void test_reader_memo_is_emptied(void **state)
{
    pp_nats_memo memo = {0};
    pp_nats_reader reader = fresh_reader;
    pp_nats_op op;
    size_t used;

    (void)state;
    reader.memo = &memo;
    assert_int_equal(read_padded(&reader, "PUB a 2\r\nhi\r\n", &op, &used), PIPIT_OK);
    memo.len = 0;
    assert_int_equal(read_padded(&reader, "PUB a 2\r\nhi\r\n", &op, &used), PIPIT_OK);
    assert_false(op.repeats);
    reader.payload_max = 1;
    memo.len = 0;
    assert_int_equal(read_padded(&reader, "PUB a 2\r\nhi\r\n", &op, &used), PIPIT_ETOOBIG);
}

/* Lines around the length that the memo holds; and no memo at all. */
static void test_reader_remembers_lines_of_any_length(void **state)
{
    (void)state;
    for (unsigned len = 1; len < 100; len++) {
        pp_nats_memo memo = {0};
        pp_nats_reader reader = {.memo = &memo, .line_max = 4096, .payload_max = -1};
        char wire[256], other[256];
        pp_nats_op op;
        size_t used;

        (void)snprintf(wire, sizeof(wire), "PUB %0*u 2\r\nhi\r\n", (int)len, 7u);
        (void)snprintf(other, sizeof(other), "PUB %0*u 2\r\nhi\r\n", (int)len, 8u);
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(read_padded(&reader, wire, &op, &used), PIPIT_OK);
            assert_int_equal(op.repeats, i > 0 && len + 8 <= PP_NATS_MEMO_MAX);
            assert_int_equal(op.msg.subject.len, len);
            assert_int_equal(op.msg.subject.ptr[len - 1], '7');
        }
        assert_int_equal(read_padded(&reader, other, &op, &used), PIPIT_OK);
        assert_false(op.repeats);
        assert_int_equal(op.msg.subject.ptr[len - 1], '8');
        reader.memo = NULL;
        assert_int_equal(read_padded(&reader, other, &op, &used), PIPIT_OK);
        assert_false(op.repeats);
    }
}

/* --- random conversations ----------------------------------------------------------------- */

enum { OPS_MAX = 60, STREAM_MAX = 64 * 1024 };

struct writer {
    uint64_t random;
    char bytes[STREAM_MAX];
    size_t len;
    char line[128]; /* a PUB line that comes again and again */
    unsigned line_size;
};

static unsigned below(struct writer *w, unsigned bound)
{
    return pp_random_below(&w->random, bound);
}

static void put(struct writer *w, const char *text)
{
    size_t len = strlen(text);

    memcpy(w->bytes + w->len, text, len);
    w->len += len;
}

/* Mostly bytes that mean something to a parser. */
static void put_payload(struct writer *w, unsigned size)
{
    static const char some[] = "\r\n\r\nPUB a 0 \tx9";

    for (unsigned i = 0; i < size; i++)
        w->bytes[w->len++] = below(w, 3) ? some[below(w, sizeof(some))] : (char)below(w, 256);
    put(w, "\r\n");
}

static const char *choose(struct writer *w, const char *const *texts, unsigned count)
{
    return texts[below(w, count)];
}

static void put_blank(struct writer *w)
{
    static const char *const blanks[] = {" ", " ", " ", " ", " ", " ", "\t", "  ", " \t "};

    put(w, choose(w, blanks, COUNT_OF(blanks)));
}

static const char *const words[] = {"a",   "b.c", "1",    "42",         "a.*.>", "x\x01y", "0",
                                    "r.1", "$S",  "\xff", "1234567890", "foo.bar.baz"};
static const char *const ends[] = {"\r\n", "\r\n", "\r\n", "\r\n", "\n", " \r\n"};

static void put_word(struct writer *w)
{
    put_blank(w);
    put(w, choose(w, words, COUNT_OF(words)));
}

static void put_publish(struct writer *w, bool headers)
{
    static const char *const pubs[] = {"PUB", "PUB", "PUB", "pub", "pUb"};
    static const char *const hpubs[] = {"HPUB", "hpub"};
    unsigned size = below(w, 4) ? below(w, 20) : below(w, PAYLOAD_MAX + 3), at = (unsigned)w->len;
    char text[48];

    put(w, headers ? choose(w, hpubs, 2) : choose(w, pubs, COUNT_OF(pubs)));
    put_word(w);
    if (below(w, 3) == 0)
        put_word(w);
    if (headers) {
        put_blank(w);
        (void)snprintf(text, sizeof(text), "%u", below(w, size + (below(w, 8) ? 1 : 3)));
        put(w, text);
    }
    put_blank(w);
    (void)snprintf(text, sizeof(text), "%0*u", below(w, 8) ? 1 : (int)below(w, 11), size);
    put(w, text);
    put(w, choose(w, ends, COUNT_OF(ends)));
    if (!headers && w->len - at < sizeof(w->line) && below(w, 2)) {
        memcpy(w->line, w->bytes + at, w->len - at);
        w->line[w->len - at] = '\0';
        w->line_size = size;
    }
    put_payload(w, size);
}

static void put_again(struct writer *w)
{
    put(w, w->line);
    put_payload(w, w->line_size);
}

static void put_other(struct writer *w)
{
    static const char *const others[] = {
        "PING\r\n", "PONG\r\n", "ping\n",  "+OK\r\n",    "SUB a 1\r\n", "SUB b q 2\r\n",
        "sub c 3\n", "UNSUB 1\r\n", "UNSUB 1 5\r\n", "CONNECT {}\r\n", "CONNECT{\"a\":\"b\"}\r\n",
        "INFO {}\r\n", "-ERR 'x'\r\n", "PING x\r\n"};

    put(w, choose(w, others, COUNT_OF(others)));
}

static void mutate(struct writer *w)
{
    size_t at = below(w, (unsigned)w->len);
    char byte = below(w, 2) ? " \r\n\t09Pp"[below(w, 8)] : (char)below(w, 256);

    switch (below(w, 3)) {
    case 0:
        w->bytes[at] = byte;
        break;
    case 1:
        memmove(w->bytes + at, w->bytes + at + 1, w->len - at - 1);
        w->len--;
        break;
    default:
        memmove(w->bytes + at + 1, w->bytes + at, w->len - at);
        w->bytes[at] = byte;
        w->len++;
        break;
    }
}

static void write_stream(struct writer *w)
{
    unsigned ops = 1 + below(w, OPS_MAX);

    w->len = 0;
    (void)snprintf(w->line, sizeof(w->line), "PUB a 5\r\n");
    w->line_size = 5;
    for (unsigned i = 0; i < ops; i++) {
        switch (below(w, 8)) {
        case 0:
            put_other(w);
            break;
        case 1:
            put_publish(w, true);
            break;
        case 2:
        case 3:
            put_publish(w, false);
            break;
        default:
            put_again(w);
        }
    }
    if (below(w, 2) == 0)
        mutate(w);
    if (below(w, 4) == 0)
        w->len = below(w, (unsigned)w->len + 1);
}

static void feed_in_pieces(struct feed *f, struct writer *w, unsigned piece_max)
{
    for (size_t end = 0; end < w->len;) {
        end += 1 + below(w, piece_max);
        if (end > w->len)
            end = w->len;
        feed_window(f, end);
    }
    feed_end(f, w->len);
}

static void test_reader_reads_the_same_however_it_comes(void **state)
{
    static struct writer w;
    uint64_t seed = test_seed("nats_reader");
    pp_buf expected, log;
    unsigned errors = 0, clean = 0, repeats = 0;

    (void)state;
    w.random = seed;
    pp_buf_init(&expected, LOG_MAX);
    pp_buf_init(&log, LOG_MAX);
    for (unsigned round = 0; round < 3000; round++) {
        pp_nats_reader reader = fresh_reader;
        struct feed f;

        reader.headers = below(&w, 8) != 0;
        reader.payload_max = below(&w, 4) ? PAYLOAD_MAX : -1;
        write_stream(&w);
        feed_start(&f, &reader, read_fresh, w.bytes, &expected);
        feed_window(&f, w.len);
        feed_end(&f, w.len);
        errors += f.err != PIPIT_OK;
        clean += f.err == PIPIT_OK;
        repeats += strstr(expected.ptr, "w;PUB(") != NULL;
        for (unsigned way = 0; way < 5; way++) {
            static const unsigned pieces[] = {STREAM_MAX, 1, 3, 20, 200};

            feed_start(&f, &reader, read_any_or_plain, w.bytes, &log);
            feed_in_pieces(&f, &w, pieces[way]);
            if (strcmp(log.ptr, expected.ptr) != 0)
                fail_msg("round %u, pieces up to %u:\n    %s\nread carefully:\n    %s", round,
                         pieces[way], log.ptr, expected.ptr);
        }
    }
    /* Both kinds were there, or this has shown little. */
    assert_true(errors > 100 && clean > 100 && repeats > 100);
    pp_buf_fini(&expected);
    pp_buf_fini(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_rows_at_every_split),
        cmocka_unit_test(test_reader_careful_rows_at_every_split),
        cmocka_unit_test(test_reader_refuses_on_the_first_bad_byte),
        cmocka_unit_test(test_reader_passes_over_long_tails),
        cmocka_unit_test(test_reader_err_needs_a_blank),
        cmocka_unit_test(test_reader_limits_ids),
        cmocka_unit_test(test_reader_tells_repeated_lines),
        cmocka_unit_test(test_reader_publish_between_ends_repetition),
        cmocka_unit_test(test_reader_memo_is_emptied),
        cmocka_unit_test(test_reader_remembers_lines_of_any_length),
        cmocka_unit_test(test_reader_reads_the_same_however_it_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
