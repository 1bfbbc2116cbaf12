/* Upgrade requests, from their bytes to the answer; origins and cookies. */
#include "http/reader.h"
#include "websocket/upgrade.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define START "GET / HTTP/1.1\r\n"
#define HOST "Host: h:9222\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONNECTION "Connection: keep-alive, Upgrade\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define GOOD HOST UPGRADE CONNECTION KEY VERSION
#define DEFLATE "Sec-WebSocket-Extensions: permessage-deflate"
#define END "\r\n"

static const pp_origin two_origins[] = {
    {PP_STR("https"), PP_STR("a.example"), 443},
    {PP_STR("http"), PP_STR("b.example"), 8080},
};

static const struct row {
    const char *name, *wire;
    int status;
    const char *reason;
    bool same_origin, listed, tls;
} rows[] = {
    {"the spec's", START GOOD END, 101, "", 0, 0, 0},
    {"any path", "GET /a/b?c=d HTTP/1.1\r\n" GOOD END, 101, "", 0, 0, 0},
    {"HTTP/1.0", "GET / HTTP/1.0\r\n" GOOD END, 101, "", 0, 0, 0},
    {"names in any case",
     START "hOST: h\r\nUPGRADE: WebSocket\r\nconnection: upgrade\r\n"
           "SEC-WEBSOCKET-KEY: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n" END,
     101, "", 0, 0, 0},
    {"lists in several headers",
     START HOST "Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: close\r\n"
                "Connection: Upgrade\r\n" KEY "Sec-WebSocket-Version: 8\r\n" VERSION END,
     101, "", 0, 0, 0},
    {"lists apart from each other",
     START "Upgrade: h2c\r\n" HOST "Connection: a\r\nUpgrade: websocket\r\n" KEY
           "Sec-WebSocket-Version: 8, 13\r\nConnection: Upgrade\r\n" END,
     101, "", 0, 0, 0},
    {"POST", "POST / HTTP/1.1\r\n" GOOD END, 405, "request method must be GET", 0, 0, 0},
    {"no host", "GET / HTTP/1.0\r\n" UPGRADE CONNECTION KEY VERSION END, 400,
     "'Host' missing in request", 0, 0, 0},
    {"no upgrade", START HOST CONNECTION KEY VERSION END, 400, "invalid value for header 'Upgrade'",
     0, 0, 0},
    {"another upgrade", START HOST "Upgrade: websockets\r\n" CONNECTION KEY VERSION END, 400,
     "invalid value for header 'Upgrade'", 0, 0, 0},
    {"no connection", START HOST UPGRADE KEY VERSION END, 400,
     "invalid value for header 'Connection'", 0, 0, 0},
    {"no key", START HOST UPGRADE CONNECTION VERSION END, 400, "key missing", 0, 0, 0},
    {"no base64",
     START HOST UPGRADE CONNECTION "Sec-WebSocket-Key: !GhlIHNhbXBsZSBub25jZQ==\r\n" VERSION END,
     400, "invalid websocket key", 0, 0, 0},
    {"18 bytes",
     START HOST UPGRADE CONNECTION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQzz\r\n" VERSION END,
     400, "invalid websocket key", 0, 0, 0},
    {"17 bytes",
     START HOST UPGRADE CONNECTION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQz=\r\n" VERSION END,
     400, "invalid websocket key", 0, 0, 0},
    {"3 bytes", START HOST UPGRADE CONNECTION "Sec-WebSocket-Key: dGhl\r\n" VERSION END, 400,
     "invalid websocket key", 0, 0, 0},
    {"version 8", START HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 8\r\n" END, 400,
     "invalid version", 0, 0, 0},
    {"no version", START HOST UPGRADE CONNECTION KEY END, 400, "invalid version", 0, 0, 0},
    {"MQTT", "GET /a/mqtt?x HTTP/1.1\r\n" GOOD END, 404, "mqtt websocket endpoint not enabled", 0,
     0, 0},
    {"MQTT comes first", "POST /mqtt HTTP/1.1\r\n" HOST END, 404,
     "mqtt websocket endpoint not enabled", 0, 0, 0},
    {"MQTT escaped", "GET /a%2fmqtt HTTP/1.1\r\n" GOOD END, 101, "", 0, 0, 0},

    {"no origin", START GOOD END, 101, "", 1, 1, 0},
    {"any origin", START GOOD "Origin: http://evil\r\n" END, 101, "", 0, 0, 0},
    {"same", START GOOD "Origin: http://h:9222\r\n" END, 101, "", 1, 0, 0},
    {"same in capitals", START GOOD "Origin: HTTP://H:9222\r\n" END, 101, "", 1, 0, 0},
    {"same by the old name", START GOOD "Sec-WebSocket-Origin: http://evil\r\n" END, 403,
     "origin not allowed: not same origin", 1, 0, 0},
    {"another port", START GOOD "Origin: http://h:9223\r\n" END, 403,
     "origin not allowed: not same origin", 1, 0, 0},
    {"another scheme", START GOOD "Origin: https://h:9222\r\n" END, 403,
     "origin not allowed: not same origin", 1, 0, 0},
    {"https with TLS", START GOOD "Origin: https://h:9222\r\n" END, 101, "", 1, 0, 1},
    {"default ports",
     "GET / HTTP/1.1\r\nHost: h\r\n" UPGRADE CONNECTION KEY VERSION "Origin: http://h\r\n" END, 101,
     "", 1, 0, 0},
    {"a default port",
     "GET / HTTP/1.1\r\nHost: h:80\r\n" UPGRADE CONNECTION KEY VERSION "Origin: http://h\r\n" END,
     101, "", 1, 0, 0},
    {"IPv6",
     "GET / HTTP/1.1\r\nHost: [::1]:80\r\n" UPGRADE CONNECTION KEY VERSION
     "Origin: http://[::1]\r\n" END,
     101, "", 1, 0, 0},
    {"null", START GOOD "Origin: null\r\n" END, 403, "origin not allowed: it is no origin", 1, 0,
     0},
    {"a user", START GOOD "Origin: http://h:9222@evil\r\n" END, 403,
     "origin not allowed: it is no origin", 1, 0, 0},
    {"listed", START GOOD "Origin: https://a.example\r\n" END, 101, "", 0, 1, 0},
    {"listed with its port", START GOOD "Origin: http://b.example:8080\r\n" END, 101, "", 0, 1, 0},
    {"listed by another scheme", START GOOD "Origin: http://a.example\r\n" END, 403,
     "origin not allowed: not in the allowed list", 0, 1, 0},
    {"listed with something behind", START GOOD "Origin: https://a.example.evil\r\n" END, 403,
     "origin not allowed: not in the allowed list", 0, 1, 0},
    {"listed, but not the same", START GOOD "Origin: https://a.example\r\n" END, 403,
     "origin not allowed: not same origin", 1, 1, 0},
    {"the same, but not listed", START GOOD "Origin: http://h:9222\r\n" END, 403,
     "origin not allowed: not in the allowed list", 1, 1, 0},
};

static const pp_http_limits limits = {
    .head_max = 4096, .uri_max = 100, .headers_max = 30, .body_max = 0};

/* Read a request in steps and judge it; the reader is the caller's to end. */
static void judge(pp_http_reader *reader, const char *wire, size_t step, const pp_ws_rules *rules,
                  pp_http_request *request, pp_ws_upgrade *upgrade)
{
    pipit_err err = PIPIT_EAGAIN;
    size_t len = strlen(wire);

    pp_http_reader_init(reader, &limits);
    reader->keep_upgrade = reader->keep_cookies = true;
    for (size_t at = 0, used; at < len && err == PIPIT_EAGAIN; at += used)
        err = pp_http_read(reader, (pp_str){wire + at, len - at < step ? len - at : step}, request,
                           &used);
    assert_int_equal(err, PIPIT_OK);
    pp_ws_upgrade_check(rules, request, upgrade);
}

static void test_upgrade_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        pp_ws_rules rules = {.tls = rows[i].tls,
                             .same_origin = rows[i].same_origin,
                             .origins = two_origins,
                             .origin_count = rows[i].listed ? 2 : 0};

        for (size_t step = 1; step < 20; step++) {
            pp_http_request request;
            pp_http_reader reader;
            pp_ws_upgrade upgrade;

            judge(&reader, rows[i].wire, step, &rules, &request, &upgrade);
            if (upgrade.status != rows[i].status || strcmp(upgrade.reason, rows[i].reason) != 0)
                fail_msg("%s: %d %s", rows[i].name, upgrade.status, upgrade.reason);
            pp_http_reader_fini(&reader);
        }
    }
}

static void check_answer(const char *wire, const pp_ws_rules *rules, const char *answer)
{
    pp_http_request request;
    pp_http_reader reader;
    pp_ws_upgrade upgrade;
    pp_buf out;

    judge(&reader, wire, SIZE_MAX, rules, &request, &upgrade);
    pp_buf_init(&out, 4096);
    assert_int_equal(pp_ws_upgrade_answer(rules, &upgrade, &out), PIPIT_OK);
    assert_int_equal(pp_buf_add(&out, "", 1), PIPIT_OK);
    assert_string_equal(out.ptr, answer);
    pp_buf_fini(&out);
    pp_http_reader_fini(&reader);
}

#define ANSWER                                                                                     \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static void test_upgrade_answers(void **state)
{
    const pp_ws_rules plain = {.headers = PP_STR("")};
    const pp_ws_rules all = {.compression = true, .headers = PP_STR("X-One: 1\r\n")};

    (void)state;
    check_answer(START GOOD END, &plain, ANSWER END);
    check_answer(START GOOD DEFLATE "\r\n" END, &plain, ANSWER END);
    check_answer(START GOOD END, &all, ANSWER "X-One: 1\r\n" END);
    check_answer(START GOOD "Nats-No-Masking: true\r\n"
                            "Sec-WebSocket-Extensions: x-webkit\r\n" DEFLATE
                            "; client_max_window_bits\r\n" END,
                 &all,
                 ANSWER "Sec-WebSocket-Extensions: permessage-deflate; "
                        "server_no_context_takeover; client_no_context_takeover\r\n"
                        "Nats-No-Masking: true\r\nX-One: 1\r\n" END);
    check_answer(START GOOD "Nats-No-Masking: True\r\nSec-WebSocket-Protocol: nats\r\n" END, &plain,
                 ANSWER END);
    check_answer("POST / HTTP/1.1\r\n" GOOD END, &plain,
                 "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain; charset=utf-8\r\n"
                 "Sec-Websocket-Version: 13\r\nX-Content-Type-Options: nosniff\r\n"
                 "Connection: close\r\nContent-Length: 19\r\n\r\nMethod Not Allowed\n");
}

static void test_upgrade_browsers(void **state)
{
    static const struct {
        const char *path, *agent;
        bool deflates, browser, safari;
        pp_ws_kind kind;
    } agents[] = {
        {"/", "Mozilla/5.0 (X11) Chrome/120.0 Safari/537", true, true, false, PP_WS_CLIENT},
        {"/", "Mozilla/5.0 Version/17.0 Safari/605", true, true, true, PP_WS_CLIENT},
        {"/", "Mozilla/5.0 Version/17.0 Safari/605", false, true, false, PP_WS_CLIENT},
        {"/", "nats.ws Mozilla/5.0", true, false, false, PP_WS_CLIENT},
        {"/leafnode", "Mozilla/5.0", true, false, false, PP_WS_LEAFNODE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(agents); i++) {
        pp_ws_rules rules = {.compression = agents[i].deflates, .headers = PP_STR("")};
        pp_http_request request;
        pp_http_reader reader;
        pp_ws_upgrade upgrade;
        char wire[1024];

        (void)snprintf(wire, sizeof(wire),
                       "GET %s HTTP/1.1\r\n" GOOD DEFLATE "\r\nUser-Agent: %s\r\n\r\n",
                       agents[i].path, agents[i].agent);
        judge(&reader, wire, SIZE_MAX, &rules, &request, &upgrade);
        assert_int_equal(upgrade.status, 101);
        assert_int_equal(upgrade.deflates, agents[i].deflates);
        assert_int_equal(upgrade.browser, agents[i].browser);
        assert_int_equal(upgrade.safari, agents[i].safari);
        assert_int_equal(upgrade.kind, agents[i].kind);
        pp_http_reader_fini(&reader);
    }
}

static void test_upgrade_forwarded_for(void **state)
{
    static const struct {
        const char *value, *ip;
    } values[] = {
        {"1.2.3.4", "1.2.3.4"},      {"2001:db8::1", "2001:db8::1"},
        {"1.2.3.4, 5.6.7.8", ""},    {"1.2.3.4:5", ""},
        {"localhost", ""},           {"", ""},
        {"1.2.3.4 - wid:1 - x", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        pp_http_request request;
        pp_http_reader reader;
        pp_ws_upgrade upgrade;
        char wire[1024];

        (void)snprintf(wire, sizeof(wire), START GOOD "X-Forwarded-For: %s\r\n\r\n",
                       values[i].value);
        judge(&reader, wire, SIZE_MAX, &(pp_ws_rules){0}, &request, &upgrade);
        assert_int_equal(upgrade.real_ip.len, strlen(values[i].ip));
        assert_memory_equal(upgrade.real_ip.len ? upgrade.real_ip.ptr : "", values[i].ip,
                            upgrade.real_ip.len);
        pp_http_reader_fini(&reader);
    }
}

static void test_upgrade_cookies(void **state)
{
    static const struct {
        const char *cookies, *value; /* NULL: there is none */
    } values[] = {
        {"jwt=abc", "abc"},
        {"a=b; jwt=abc; c=d", "abc"},
        {"jwt=abc; jwt=def", "abc"},
        {"a=jwt; xjwt=1", NULL},
        {"jwt=a=b==", "a=b=="},
        {"jwt=\"abc\"", "abc"},
        {"jwt=", ""},
        {"jwt", ""},
        {"JWT=abc", NULL},
        {"", NULL},
        {";;= ;jwt = abc ", "abc"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        pp_str value = pp_ws_cookie(pp_str_of(values[i].cookies), PP_STR("jwt"));

        if (!values[i].value) {
            assert_null(value.ptr);
        } else {
            assert_non_null(value.ptr);
            assert_true(pp_str_eq(value, pp_str_of(values[i].value)));
        }
    }
}

/* Cookies of several headers come together. */
static void test_upgrade_cookie_headers(void **state)
{
    pp_http_request request;
    pp_http_reader reader;
    pp_ws_upgrade upgrade;

    (void)state;
    judge(&reader, START "Cookie: a=1\r\n" GOOD "Cookie: jwt=x\r\nCookie: c=3\r\n\r\n", 5,
          &(pp_ws_rules){0}, &request, &upgrade);
    assert_true(pp_str_eq(request.upgrade.cookies, PP_STR("a=1; jwt=x; c=3")));
    pp_http_reader_fini(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upgrade_rows),     cmocka_unit_test(test_upgrade_answers),
        cmocka_unit_test(test_upgrade_browsers), cmocka_unit_test(test_upgrade_forwarded_for),
        cmocka_unit_test(test_upgrade_cookies),  cmocka_unit_test(test_upgrade_cookie_headers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
