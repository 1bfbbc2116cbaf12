/* The reader: what is a request, what is refused and why, however the bytes arrive. */
#include "http/reader.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define H "Host: x\r\n"

/* Small limits, so that the table can reach them. */
static const pp_http_limits limits = {
    .head_max = 200, .uri_max = 40, .headers_max = 5, .body_max = 10};

static const struct request_case {
    const char *name, *wire;
    unsigned status;                 /* 0: a request; 1: not complete */
    const char *path, *query, *body; /* NULL: "" */
    bool closes;
} cases[] = {
    {"plain", "GET /varz HTTP/1.1\r\n" H "\r\n", 0, "/varz", NULL, NULL, false},
    {"bare line feeds", "GET /varz HTTP/1.1\nHost: x\n\n", 0, "/varz", NULL, NULL, false},
    {"empty lines before", "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", 0, "/", NULL, NULL, false},
    {"query", "GET /connz?subs=1&sort=cid HTTP/1.1\r\n" H "\r\n", 0, "/connz", "subs=1&sort=cid",
     NULL, false},
    {"empty query", "GET /connz? HTTP/1.1\r\n" H "\r\n", 0, "/connz", NULL, NULL, false},
    {"question mark in query", "GET /a?b?c HTTP/1.1\r\n" H "\r\n", 0, "/a", "b?c", NULL, false},
    {"escapes", "GET /%76arz?a=%20 HTTP/1.1\r\n" H "\r\n", 0, "/varz", "a=%20", NULL, false},
    {"absolute", "GET http://h:1/varz?a HTTP/1.1\r\n" H "\r\n", 0, "/varz", "a", NULL, false},
    {"absolute, no path", "GET http://h HTTP/1.1\r\n" H "\r\n", 0, "/", NULL, NULL, false},
    {"asterisk", "OPTIONS * HTTP/1.1\r\n" H "\r\n", 0, "*", NULL, NULL, false},
    {"1.0", "GET / HTTP/1.0\r\n\r\n", 0, "/", NULL, NULL, true},
    {"1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 0, "/", NULL, NULL,
     false},
    {"close", "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", 0, "/", NULL, NULL, true},
    {"close among others", "GET / HTTP/1.1\r\n" H "Connection: te, close\r\n\r\n", 0, "/", NULL,
     NULL, true},
    {"upgrade is not taken up",
     "GET / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 0, "/", NULL, NULL,
     false},
    {"upgrade with a body",
     "POST / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi",
     0, "/", NULL, "hi", false},
    {"empty value", "GET / HTTP/1.1\r\nA:\r\nHost:\r\nB:  \r\n\r\n", 0, "/", NULL, NULL, false},
    {"body", "POST / HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\n0123456789", 0, "/", NULL,
     "0123456789", false},
    {"body of nothing", "POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", 0, "/", NULL, NULL,
     false},
    {"body of a GET", "GET / HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\nx", 0, "/", NULL, "x",
     false},
    {"chunks",
     "POST / HTTP/1.1\r\n" H
     "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n7;x=y\r\ndefghij\r\n0\r\n\r\n",
     0, "/", NULL, "abcdefghij", false},
    {"trailers",
     "POST / HTTP/1.1\r\n" H
     "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nHost: y\r\nT: u\r\n\r\n",
     0, "/", NULL, "a", false},
    {"five headers", "GET / HTTP/1.1\r\n" H "A:1\r\nB:2\r\nC:3\r\nD:4\r\n\r\n", 0, "/", NULL, NULL,
     false},
    {"a target of 40", "GET /234567890123456789012345678901234567890 HTTP/1.1\r\n" H "\r\n", 0,
     "/234567890123456789012345678901234567890", NULL, NULL, false},
    {"bytes of other alphabets", "GET /\xc3\xbc HTTP/1.1\r\n" H "\r\n", 0, "/\xc3\xbc", NULL, NULL,
     false},

    {"nothing", "", 1, NULL, NULL, NULL, false},
    {"head cut", "GET / HTTP/1.1\r\n" H, 1, NULL, NULL, NULL, false},
    {"body cut", "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nab", 1, NULL, NULL, NULL, false},
    {"last chunk cut", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n", 1, NULL,
     NULL, NULL, false},

    {"TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400, NULL, NULL, NULL, false},
    {"NATS connect", "CONNECT {\"verbose\":false}\r\nPING\r\n", 400, NULL, NULL, NULL, false},
    {"NATS publish", "PUB a 2\r\nhi\r\n", 400, NULL, NULL, NULL, false},
    {"NATS ping", "PING\r\n", 400, NULL, NULL, NULL, false},
    {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, NULL, NULL, NULL, false},
    {"no such method", "FETCH / HTTP/1.1\r\n" H "\r\n", 400, NULL, NULL, NULL, false},
    {"small letters", "get / HTTP/1.1\r\n" H "\r\n", 400, NULL, NULL, NULL, false},
    {"tunnel", "CONNECT h:1 HTTP/1.1\r\n" H "\r\n", 400, NULL, NULL, NULL, false},
    {"no slash", "GET varz HTTP/1.1\r\n" H "\r\n", 400, NULL, NULL, NULL, false},
    {"blank in target", "GET /a b HTTP/1.1\r\n" H "\r\n", 400, NULL, NULL, NULL, false},
    {"tab in target", "GET /a\tb HTTP/1.1\r\n" H "\r\n", 400, NULL, NULL, NULL, false},
    {"control in target", "GET /a\x01 HTTP/1.1\r\n" H "\r\n", 400, NULL, NULL, NULL, false},
    {"bad escape", "GET /%zz HTTP/1.1\r\n" H "\r\n", 400, NULL, NULL, NULL, false},
    {"0.9", "GET /\r\n\r\n", 400, NULL, NULL, NULL, false},
    {"2.0", "GET / HTTP/2.0\r\n" H "\r\n", 505, NULL, NULL, NULL, false},
    {"no host", "GET / HTTP/1.1\r\n\r\n", 400, NULL, NULL, NULL, false},
    {"two hosts", "GET / HTTP/1.1\r\n" H H "\r\n", 400, NULL, NULL, NULL, false},
    {"blank before the colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, NULL, NULL, NULL, false},
    {"blank in a name", "GET / HTTP/1.1\r\n" H "A B: x\r\n\r\n", 400, NULL, NULL, NULL, false},
    {"no colon", "GET / HTTP/1.1\r\n" H "abc\r\n\r\n", 400, NULL, NULL, NULL, false},
    {"control in a value", "GET / HTTP/1.1\r\n" H "A: \x01\r\n\r\n", 400, NULL, NULL, NULL, false},
    {"length twice", "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400,
     NULL, NULL, NULL, false},
    {"length and chunks",
     "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400, NULL, NULL, NULL, false},
    {"negative length", "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", 400, NULL, NULL, NULL,
     false},
    {"length beyond all", "POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n",
     400, NULL, NULL, NULL, false},
    {"another encoding", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n", 400, NULL, NULL,
     NULL, false},
    {"bad chunk", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nx\r\n", 400, NULL,
     NULL, NULL, false},
    {"body too large", "POST / HTTP/1.1\r\n" H "Content-Length: 11\r\n\r\n", 413, NULL, NULL, NULL,
     false},
    {"chunk too large",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890", 413, NULL, NULL,
     NULL, false},
    {"chunks too large",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n9\r\n012345678\r\n2\r\nab", 413,
     NULL, NULL, NULL, false},
    {"target too long", "GET /2345678901234567890123456789012345678901 HTTP/1.1\r\n" H "\r\n", 414,
     NULL, NULL, NULL, false},
    {"six headers", "GET / HTTP/1.1\r\n" H "A:1\r\nB:2\r\nC:3\r\nD:4\r\nE:5\r\n\r\n", 431, NULL,
     NULL, NULL, false},
    {"too many trailers",
     "POST / HTTP/1.1\r\n" H
     "Transfer-Encoding: chunked\r\n\r\n0\r\nA:1\r\nB:1\r\nC:1\r\nD:1\r\n\r\n",
     431, NULL, NULL, NULL, false},
    {"expects something else", "GET / HTTP/1.1\r\n" H "Expect: miracles\r\n\r\n", 417, NULL, NULL,
     NULL, false},
};

/* What has become of the bytes. */
struct outcome {
    pipit_err err;
    size_t used;
    bool asked; /* for 100 Continue */
};

/* Show the reader bytes [at, end) in memory of just that size. */
static void feed(pp_http_reader *r, const char *wire, size_t end, struct outcome *o,
                 pp_http_request *request)
{
    size_t len = end - o->used, used = 0;
    char *exact = malloc(len ? len : 1);

    memcpy(exact, wire + o->used, len);
    o->err = pp_http_read(r, (pp_str){exact, len}, request, &used);
    free(exact);
    assert_true(used <= len);
    if (o->err == PIPIT_EAGAIN)
        assert_int_equal(used, len);
    o->asked |= r->wants_continue;
    o->used += used;
}

static void check_str(pp_str actual, const char *expected)
{
    expected = expected ? expected : "";
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.ptr, expected, actual.len);
}

static void check_case(const struct request_case *c, const pp_http_reader *r,
                       const struct outcome *o, const pp_http_request *request, bool keep_body)
{
    if (c->status == 1) {
        assert_int_equal(o->err, PIPIT_EAGAIN);
        assert_int_equal(pp_http_reader_begun(r), strlen(c->wire) > 0);
        return;
    }
    if (c->status) {
        assert_int_equal(o->err, PIPIT_EPROTO);
        assert_int_equal(r->status, c->status);
        return;
    }
    assert_int_equal(o->err, PIPIT_OK);
    assert_int_equal(o->used, strlen(c->wire));
    check_str(request->path, c->path);
    check_str(request->query, c->query);
    check_str(request->body, keep_body ? c->body : NULL);
    assert_int_equal(r->keep_alive, !c->closes);
}

/* Each case whole, in two pieces cut everywhere, and byte by byte; with more behind it. */
static void run_case(const struct request_case *c, bool keep_body)
{
    size_t len = strlen(c->wire);

    for (size_t cut = 0; cut <= len + 1; cut++) {
        struct outcome o = {.err = PIPIT_EAGAIN};
        pp_http_request request;
        pp_http_reader r;

        pp_http_reader_init(&r, &limits);
        r.keep_body = keep_body;
        if (cut == len + 1) {
            for (size_t end = 1; end <= len && o.err == PIPIT_EAGAIN; end++)
                feed(&r, c->wire, end, &o, &request);
        } else {
            feed(&r, c->wire, cut, &o, &request);
            if (o.err == PIPIT_EAGAIN)
                feed(&r, c->wire, len, &o, &request);
        }
        check_case(c, &r, &o, &request, keep_body);
        pp_http_reader_reset(&r);
        assert_null(r.text.ptr);
        pp_http_reader_fini(&r);
    }
}

static void test_http_reader_table(void **state)
{
    int64_t live = pp_alloc_live();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        print_message("%s\n", cases[i].name);
        run_case(&cases[i], false);
        run_case(&cases[i], true);
    }
    assert_int_equal(pp_alloc_live(), live);
}

static void test_http_reader_takes_no_more_than_its_request(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases) && cases[i].status == 0; i++) {
        struct outcome o = {0};
        pp_http_request request;
        pp_http_reader r;
        char wire[512];

        (void)snprintf(wire, sizeof(wire), "%sGET /next", cases[i].wire);
        pp_http_reader_init(&r, &limits);
        feed(&r, wire, strlen(wire), &o, &request);
        assert_int_equal(o.err, PIPIT_OK);
        assert_int_equal(o.used, strlen(cases[i].wire));
        pp_http_reader_fini(&r);
    }
}

static void test_http_reader_parts(void **state)
{
    static const char wire[] = "HEAD /a%20b?c HTTP/1.1\r\nhOST: example:8222\r\n"
                               "Accept: text/plain  \r\naccept: second\r\n"
                               "Authorization: Basic abc\r\nAccept-Encoding:\tgzip\r\n"
                               "X-Authorization-And-Much-Longer: no\r\n"
                               "Content-Type: a/b\r\n\r\n";
    static const pp_http_limits roomy = PP_HTTP_LIMITS_DEFAULT;
    struct outcome o = {0};
    pp_http_request request;
    pp_http_reader r;

    (void)state;
    pp_http_reader_init(&r, &roomy);
    feed(&r, wire, strlen(wire), &o, &request);
    assert_int_equal(o.err, PIPIT_OK);
    assert_true(request.is_head);
    check_str(request.method, "HEAD");
    check_str(request.raw_path, "/a%20b");
    check_str(request.path, "/a b");
    check_str(request.query, "c");
    check_str(request.host, "example:8222");
    check_str(request.accept, "text/plain");
    check_str(request.accept_encoding, "gzip");
    check_str(request.authorization, "Basic abc");
    check_str(request.content_type, "a/b");
    pp_http_reader_fini(&r);
}

static void test_http_reader_asks_for_continue(void **state)
{
    static const struct {
        const char *head, *body;
        bool asked;
        bool bytes; /* the body begins with a byte of its own */
    } pairs[] = {
        {"POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n", "xy", true,
         true},
        {"POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
         "0\r\n\r\n", true, false},
        {"POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", "", false,
         false},
        {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", "x", false, true},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\n", "x", false, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        for (unsigned how = 0; how < 3; how++) { /* head first, with a byte of body, all at once */
            struct outcome o = {0};
            pp_http_request request;
            pp_http_reader r;
            char wire[512];

            (void)snprintf(wire, sizeof(wire), "%s%s", pairs[i].head, pairs[i].body);
            pp_http_reader_init(&r, &limits);
            if (how < 2)
                feed(&r, wire, strlen(pairs[i].head) + (pairs[i].bytes ? how : 0), &o, &request);
            if (o.err == PIPIT_EAGAIN || how == 2)
                feed(&r, wire, strlen(wire), &o, &request);
            assert_int_equal(o.err, PIPIT_OK);
            assert_int_equal(o.asked, pairs[i].asked && how < (pairs[i].bytes ? 1 : 2));
            pp_http_reader_fini(&r);
        }
    }
}

/* A head is refused when it is longer than allowed, not a byte before. */
static void test_http_reader_head_limit(void **state)
{
    (void)state;
    for (uint32_t head_max = 150; head_max <= 210; head_max++) {
        static const char start[] = "GET / HTTP/1.1\r\n" H "A: ";
        pp_http_limits own = limits;
        struct outcome o = {0};
        pp_http_request request;
        pp_http_reader r;
        char wire[201];

        memset(wire, 'a', sizeof(wire));
        memcpy(wire, start, strlen(start));
        memcpy(wire + 196, "\r\n\r\n", 5);
        own.head_max = head_max;
        pp_http_reader_init(&r, &own);
        feed(&r, wire, 200, &o, &request);
        assert_int_equal(o.err, head_max < 200 ? PIPIT_EPROTO : PIPIT_OK);
        assert_int_equal(r.status, head_max < 200 ? 431 : 0);
        pp_http_reader_fini(&r);
    }
}

/* What nobody looks at takes no memory, however much it is; without an end it is refused. */
static void refuse_endless(const char *start, const char *more, unsigned status)
{
    static const pp_http_limits usual = PP_HTTP_LIMITS_DEFAULT;
    pp_str piece = {more, strlen(more)};
    pp_http_request request;
    pp_http_reader r;
    size_t used, total = 0;
    pipit_err err;

    pp_http_reader_init(&r, &usual);
    err = pp_http_read(&r, pp_str_of(start), &request, &used);
    while (err == PIPIT_EAGAIN) {
        assert_true(total < 500000);
        assert_true(r.text.cap <= 16384);
        total += piece.len;
        err = pp_http_read(&r, piece, &request, &used);
    }
    assert_int_equal(err, PIPIT_EPROTO);
    assert_int_equal(r.status, status);
    pp_http_reader_fini(&r);
}

static void test_http_reader_endless(void **state)
{
    (void)state;
    refuse_endless("", "\r\n", 431);
    refuse_endless("GET /", "aaaaaaa", 414);
    refuse_endless("GET / HTTP/1.1\r\nA", "aaaaaaaaaaaa", 431);
    refuse_endless("GET / HTTP/1.1\r\nA: ", "aaaaaaaaaaaa", 431);
    refuse_endless("GET / HTTP/1.1\r\n", "A: aaaaaaaaa\r\n", 431);
    refuse_endless("GET / HTTP/1.1\r\nA: a", "\r\n aaaaaaaa", 431);
    refuse_endless("GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", "2\r\naa\r\n", 413);
    refuse_endless("GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2;", "aaaaaaaa", 431);
    refuse_endless("GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\nA: ", "aaaaaaaa",
                   431);
}

static void test_http_reader_without_memory(void **state)
{
    static const char wire[] = "POST /varz HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\n0123456789";
    int64_t live = pp_alloc_live();
    unsigned nth;

    (void)state;
    for (nth = 1;; nth++) {
        struct outcome o = {0};
        pp_http_request request;
        pp_http_reader r;

        pp_http_reader_init(&r, &limits);
        r.keep_body = true;
        pp_fault_arm("alloc", nth);
        feed(&r, wire, strlen(wire), &o, &request);
        if (!pp_fault_disarm()) {
            assert_int_equal(o.err, PIPIT_OK);
            pp_http_reader_fini(&r);
            break;
        }
        assert_int_equal(o.err, PIPIT_ENOMEM);
        assert_int_equal(r.status, 503);
        pp_http_reader_fini(&r);
        assert_int_equal(pp_alloc_live(), live);
    }
    assert_true(nth > 1);
    assert_int_equal(pp_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_reader_table),
        cmocka_unit_test(test_http_reader_takes_no_more_than_its_request),
        cmocka_unit_test(test_http_reader_parts),
        cmocka_unit_test(test_http_reader_asks_for_continue),
        cmocka_unit_test(test_http_reader_head_limit),
        cmocka_unit_test(test_http_reader_endless),
        cmocka_unit_test(test_http_reader_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
