/* What servers may say to a client, cut at every byte; and what is kept of frames for the next
 * connection. */
#include "client/dialog.h"
#include "client/frame.h"
#include "client/remote.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define INFO "INFO {\"max_payload\":1000,\"headers\":true}\r\n"
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const pp_credentials nobody;
static const pp_dialog_rules rules = {
    .credentials = &nobody,
    .connect_timeout_ns = 1000,
    .ping_interval_ns = 500,
    .pings_out_max = 2,
};

/* Events as letters: T told, O open, M message, P pong, S secure, R refused, and . for none. */
static const char letters[] = {
    [PP_DIALOG_QUIET] = '.',   [PP_DIALOG_SECURE] = 'S', [PP_DIALOG_OPEN] = 'O',
    [PP_DIALOG_MSG] = 'M',     [PP_DIALOG_PONGED] = 'P', [PP_DIALOG_TOLD] = 'T',
    [PP_DIALOG_REFUSED] = 'R',
};

static const struct conversation {
    const char *name, *said, *events;
    pipit_err err; /* with which it ends; PIPIT_EAGAIN: it goes on */
} conversations[] = {
    {"welcome", INFO "PONG\r\n", "TO", PIPIT_EAGAIN},
    {"lower case, LF alone", "info {}\npong\n", "TO", PIPIT_EAGAIN},
    {"messages", INFO "PONG\r\nMSG a.b 1 2\r\nhi\r\nMSG a 2 r.s 0\r\n\r\n", "TOMM", PIPIT_EAGAIN},
    {"headers", INFO "PONG\r\nHMSG a 1 14 16\r\nNATS/1.0 x\r\n\r\nhi\r\n", "TOM", PIPIT_EAGAIN},
    {"headers and reply", INFO "PONG\r\nHMSG a 1 r 12 12\r\nNATS/1.0\r\n\r\n\r\n", "TOM",
     PIPIT_EAGAIN},
    {"many blanks", INFO "PONG\r\nMSG \t a  1\t 1 \r\nx\r\n", "TOM", PIPIT_EAGAIN},
    {"ping, ok, news", INFO "PONG\r\nPING\r\n+OK\r\nINFO {\"ldm\":true}\r\n", "TO..T",
     PIPIT_EAGAIN},
    {"no permission", INFO "PONG\r\n-ERR 'Permissions Violation for Publish to \"a\"'\r\n", "TOR",
     PIPIT_EAGAIN},
    {"not let in", INFO "-ERR 'Authorization Violation'\r\n", "T", PIPIT_EAUTH},
    {"thrown out", INFO "PONG\r\n-ERR 'Slow Consumer'\r\n", "TO", PIPIT_EDENIED},
    {"expired", INFO "PONG\r\n-ERR 'User Authentication Expired'\r\n", "TO", PIPIT_EAUTH},
    {"TLS wanted", "INFO {\"tls_required\":true}\r\n", "S", PIPIT_EAGAIN},
    {"input before TLS", "INFO {\"tls_required\":true}\r\nPING\r\n", "S", PIPIT_EPROTO},
    {"a message too early", INFO "MSG a 1 0\r\n\r\n", "T", PIPIT_EPROTO},
    {"a ping too early", "PING\r\n", "", PIPIT_EPROTO},
    {"a pong too early", "PONG\r\n", "", PIPIT_EPROTO},
    {"pongs for nothing", INFO "PONG\r\nPONG\r\nPONG\r\n", "TO..", PIPIT_EAGAIN},
    {"INFO is no JSON", "INFO {\r\n", "", PIPIT_EPROTO},
    {"INFO is no object", "INFO []\r\n", "", PIPIT_EPROTO},
    {"HTTP", "HTTP/1.1 400 Bad Request\r\n", "", PIPIT_EPROTO},
    {"empty line", "\r\n", "", PIPIT_EPROTO},
    {"a client's verb", INFO "PONG\r\nPUB a 1\r\n", "TO", PIPIT_EPROTO},
    {"too few words", INFO "PONG\r\nMSG a 1\r\n", "TO", PIPIT_EPROTO},
    {"too many words", INFO "PONG\r\nMSG a 1 r 2 3\r\n", "TO", PIPIT_EPROTO},
    {"sid is no number", INFO "PONG\r\nMSG a x 0\r\n\r\n", "TO", PIPIT_EPROTO},
    {"size is no number", INFO "PONG\r\nMSG a 1 x\r\n", "TO", PIPIT_EPROTO},
    {"negative size", INFO "PONG\r\nMSG a 1 -1\r\n", "TO", PIPIT_EPROTO},
    {"huge size", INFO "PONG\r\nMSG a 1 99999999999999\r\n", "TO", PIPIT_ETOOBIG},
    {"size over all limits", INFO "PONG\r\nMSG a 1 999999999\r\n", "TO", PIPIT_ETOOBIG},
    {"headers longer than all", INFO "PONG\r\nHMSG a 1 9 8\r\n", "TO", PIPIT_EPROTO},
    {"payload is longer", INFO "PONG\r\nMSG a 1 1\r\nxyz\r\n", "TO", PIPIT_EPROTO},
};

/* Feed it by windows that grow a byte at a time, from `from` bytes on. */
static pipit_err play(const struct conversation *c, size_t from, char *events)
{
    size_t len = strlen(c->said), at = 0, end = from < len ? from : len, count = 0;
    pipit_err err = PIPIT_OK;
    pp_dialog dialog;

    pp_dialog_init(&dialog, &rules);
    pp_dialog_begin(&dialog, NULL, false, false, 0);
    while (err == PIPIT_OK || (err == PIPIT_EAGAIN && end < len)) {
        char *window = malloc(end - at + 1); /* of its size: reading beyond it is noticed */
        pp_dialog_event event;
        pp_feed_op op;
        size_t used;

        if (err == PIPIT_EAGAIN) {
            end++;
            free(window);
            window = malloc(end - at + 1);
        }
        memcpy(window, c->said + at, end - at);
        err = pp_dialog_read(&dialog, (pp_str){window, end - at}, 1, &op, &event, &used);
        if (!err) {
            at += used;
            events[count++] = letters[event];
        }
        free(window);
    }
    events[count] = '\0';
    pp_dialog_fini(&dialog);
    return err;
}

static void test_dialog_at_every_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(conversations); i++) {
        const struct conversation *c = &conversations[i];

        for (size_t from = 0; from <= strlen(c->said); from++) {
            char events[128];
            pipit_err err = play(c, from, events);

            if (err != c->err || strcmp(events, c->events) != 0)
                fail_msg("%s, cut at %zu: %s, %s", c->name, from, events, pipit_strerror(err));
        }
    }
}

static void test_dialog_line_without_end(void **state)
{
    size_t len = PP_FEED_LINE_MAX + 2;
    char *line = malloc(len);
    pp_dialog_event event;
    pp_dialog dialog;
    pp_feed_op op;
    size_t used;

    (void)state;
    memset(line, 'A', len);
    pp_dialog_init(&dialog, &rules);
    pp_dialog_begin(&dialog, NULL, false, false, 0);
    assert_int_equal(pp_dialog_read(&dialog, (pp_str){line, len - 2}, 0, &op, &event, &used),
                     PIPIT_EAGAIN);
    assert_int_equal(pp_dialog_read(&dialog, (pp_str){line, len}, 0, &op, &event, &used),
                     PIPIT_ETOOBIG);
    pp_dialog_fini(&dialog);
    free(line);
}

static void say(pp_dialog *dialog, const char *text, int64_t now_ns)
{
    pp_dialog_event event;
    pp_feed_op op;
    size_t used;

    assert_int_equal(pp_dialog_read(dialog, pp_str_of(text), now_ns, &op, &event, &used), PIPIT_OK);
    assert_int_equal(used, strlen(text));
}

static void test_dialog_time(void **state)
{
    pp_dialog dialog;

    (void)state;
    pp_dialog_init(&dialog, &rules);
    pp_dialog_begin(&dialog, NULL, false, false, 0);
    assert_int_equal(pp_dialog_tick(&dialog, 999), PIPIT_OK);
    assert_int_equal(pp_dialog_tick(&dialog, 1000), PIPIT_ETIMEOUT);
    pp_dialog_begin(&dialog, NULL, false, false, 2000);
    say(&dialog, INFO, 2000);
    assert_non_null(memmem(dialog.out.ptr, dialog.out.len, "CONNECT {", 9));
    say(&dialog, "PONG\r\n", 2100);
    dialog.out.len = 0;
    assert_int_equal(pp_dialog_tick(&dialog, 2600), PIPIT_OK);
    assert_int_equal(dialog.out.len, 6); /* a PING */
    assert_int_equal(pp_dialog_tick(&dialog, 3100), PIPIT_OK);
    assert_int_equal(pp_dialog_tick(&dialog, 3600), PIPIT_ETIMEOUT); /* two are out */
    pp_dialog_fini(&dialog);
}

/* A server that pings and does not read is not answered for ever. */
static void test_dialog_answers_are_limited(void **state)
{
    pipit_err err = PIPIT_OK;
    pp_dialog_event event;
    pp_dialog dialog;
    pp_feed_op op;
    size_t used;

    (void)state;
    pp_dialog_init(&dialog, &rules);
    pp_dialog_begin(&dialog, NULL, false, false, 0);
    say(&dialog, INFO, 0);
    for (unsigned i = 0; i < 1000000 && !err; i++)
        err = pp_dialog_read(&dialog, PP_STR("PING\r\n"), 0, &op, &event, &used);
    assert_int_equal(err, PIPIT_ETOOBIG);
    pp_dialog_fini(&dialog);
}

static void test_frame_salvage(void **state)
{
    static const pipit_msg one = {"a", 1, NULL, 0, NULL, 0, "SUB x 1\r\n", 9};
    static const pipit_msg two = {"b", 1, "r", 1, "NATS/1.0\r\n\r\n", 12, "PUB y 0\r\n", 9};
    pp_buf frames, whole, wanted;
    size_t ends[5];

    (void)state;
    pp_buf_init(&whole, 4096);
    pp_buf_init(&wanted, 4096);
    assert_int_equal(pp_frame_sub(&whole, PP_STR("s"), PP_STR("q"), 7), PIPIT_OK);
    ends[0] = whole.len;
    assert_int_equal(pp_frame_pub(&whole, &one), PIPIT_OK);
    ends[1] = whole.len;
    assert_int_equal(pp_buf_add(&whole, "PING\r\n", 6), PIPIT_OK);
    ends[2] = whole.len;
    assert_int_equal(pp_frame_pub(&whole, &two), PIPIT_OK);
    ends[3] = whole.len;
    assert_int_equal(pp_frame_unsub(&whole, 7, 3), PIPIT_OK);
    ends[4] = whole.len;
    for (size_t sent = 0; sent <= ends[4]; sent++) {
        size_t lost;

        pp_buf_init(&frames, 4096);
        assert_int_equal(pp_buf_add(&frames, whole.ptr, whole.len), PIPIT_OK);
        lost = pp_frame_salvage(&frames, sent);
        wanted.len = 0;
        if (sent <= ends[0])
            assert_int_equal(pp_frame_pub(&wanted, &one), PIPIT_OK);
        if (sent <= ends[2])
            assert_int_equal(pp_frame_pub(&wanted, &two), PIPIT_OK);
        assert_int_equal(frames.len, wanted.len);
        if (wanted.len)
            assert_memory_equal(frames.ptr, wanted.ptr, wanted.len);
        assert_int_equal(lost != 0,
                         (sent > ends[0] && sent < ends[1]) || (sent > ends[2] && sent < ends[3]));
        pp_buf_fini(&frames);
    }
    pp_buf_fini(&whole);
    pp_buf_fini(&wanted);
}

static void test_remote_urls(void **state)
{
    static const struct {
        const char *url;
        pipit_err err;
        pp_remote_kind kind;
        const char *host;
        uint16_t port;
    } cases[] = {
        {"localhost", PIPIT_OK, PP_REMOTE_TCP, "localhost", 4222},
        {"nats://h:1", PIPIT_OK, PP_REMOTE_TCP, "h", 1},
        {"TLS://h", PIPIT_OK, PP_REMOTE_TLS, "h", 4222},
        {"ws://[::1]:80/x", PIPIT_OK, PP_REMOTE_WS, "::1", 80},
        {"wss://h", PIPIT_OK, PP_REMOTE_WSS, "h", 443},
        {"nats://u:p%40@h", PIPIT_OK, PP_REMOTE_TCP, "h", 4222},
        {"unix:/a/b", PIPIT_OK, PP_REMOTE_UNIX, "/a/b", 0},
        {"memory:", PIPIT_OK, PP_REMOTE_MEMORY, "", 0},
        {"http://h", PIPIT_EINVAL, 0, NULL, 0},
        {"nats://", PIPIT_EINVAL, 0, NULL, 0},
        {"nats://h:0", PIPIT_EINVAL, 0, NULL, 0},
        {"nats://h:70000", PIPIT_EINVAL, 0, NULL, 0},
        {"nats://[::1", PIPIT_EINVAL, 0, NULL, 0},
        {"nats://u%zz@h", PIPIT_EINVAL, 0, NULL, 0},
        {"nats://u%4", PIPIT_OK, PP_REMOTE_TCP, "u%4", 4222},
        {"unix:", PIPIT_EINVAL, 0, NULL, 0},
        {"a b", PIPIT_EINVAL, 0, NULL, 0},
        {"", PIPIT_EINVAL, 0, NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        pp_remote *remote;
        pipit_err err = pp_remote_new(&remote, pp_str_of(cases[i].url), NULL);

        if (err != cases[i].err)
            fail_msg("%s: %s", cases[i].url, pipit_strerror(err));
        if (err)
            continue;
        assert_int_equal(remote->kind, cases[i].kind);
        assert_string_equal(remote->host, cases[i].host);
        assert_int_equal(remote->port, cases[i].port);
        pp_remote_free(remote);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialog_at_every_byte),
        cmocka_unit_test(test_dialog_line_without_end),
        cmocka_unit_test(test_dialog_time),
        cmocka_unit_test(test_dialog_answers_are_limited),
        cmocka_unit_test(test_frame_salvage),
        cmocka_unit_test(test_remote_urls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
