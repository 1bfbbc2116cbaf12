/* Traced messages on a server with accounts, permissions and mappings, from outside. What the
 * reference says to the same is in tests/protocol/trace.py. */
#include "support/check.h"
#include "support/host.h"
#include "support/peer.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "proto/nats/session.h"
#include "server/server.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DEST "Nats-Trace-Dest: T.1\r\n"
#define ONLY DEST "Nats-Trace-Only: true\r\n"
#define PARENT "traceparent: 00-a-b-01\r\n"

/* --- a server with accounts --------------------------------------------------------------- */

static const char accounts[] =
    "accounts {\n"
    "  A {\n"
    "    users: [\n"
    "      {user: ann, password: p}\n"
    "      {user: narrow, password: p, permissions: {publish: {\n"
    "        allow: [\"ok.>\", \"T.>\", \"m.>\"], deny: \"ok.no\"}}}\n"
    "      {user: nowhere, password: p, permissions: {publish: \"ok.>\"}}\n"
    "      {user: deaf, password: p, permissions: {subscribe: {deny: \"*.secret\"}}}\n"
    "    ]\n"
    "    mappings {\n"
    "      \"m.src\": \"m.dst\", \"m.deny\": \"ok.no\", \"T.map\": \"T.other\"\n"
    "      \"m.lost\": [{destination: \"m.lost\", weight: 0}]\n"
    "    }\n"
    "  }\n"
    "  ALL {\n"
    "    msg_trace: \"T.acct\"\n"
    "    users: [\n"
    "      {user: all, password: p}\n"
    "      {user: all-narrow, password: p, permissions: {publish: \"ok.>\"}}\n"
    "    ]\n"
    "  }\n"
    "  SOME { msg_trace: {dest: \"T.acct\", sampling: 10}, users: [{user: some, password: p}] }\n"
    "}\n";

static void write_accounts(char path[64])
{
    int fd;

    (void)snprintf(path, 64, "/tmp/pipit-trace-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, accounts, sizeof(accounts) - 1), (int)sizeof(accounts) - 1);
    assert_int_equal(close(fd), 0);
}

static void start(struct host *h, const char *threads)
{
    char path[64], config[80], error[512];
    const char *options[] = {"--addr=127.0.0.1", "--port=-1", threads, "--max_payload=2000000",
                             config};
    pipit_server *s;

    write_accounts(path);
    (void)snprintf(config, sizeof(config), "--config=%s", path);

    h->live_before = pp_alloc_live();
    h->fds_before = check_open_fds();
    assert_int_equal(
        pipit_server_new(&s, options, COUNT_OF(options), NULL, NULL, error, sizeof(error)),
        PIPIT_OK);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(pipit_server_start(s), PIPIT_OK);
    h->server = s;
    h->port = pipit_server_port(s);
}

/* --- talk --------------------------------------------------------------------------------- */

static void join_with(peer *p, const host *h, const char *user, const char *name, const char *more)
{
    peer_event event;

    peer_dial(p, h->port, 0);
    assert_int_equal(peer_next(p, &event), PEER_INFO);
    peer_printf(p,
                "CONNECT {\"user\":\"%s\",\"pass\":\"p\",\"name\":\"%s\",\"headers\":true,"
                "\"no_responders\":true,\"pedantic\":false,\"verbose\":false%s}\r\n",
                user, name, more);
    assert_true(peer_barrier(p));
}

static void join(peer *p, const host *h, const char *user, const char *name)
{
    join_with(p, h, user, name, "");
}

static void publish(peer *p, const char *subject, const char *reply, const char *fields)
{
    size_t len = strlen("NATS/1.0\r\n\r\n") + strlen(fields);

    peer_printf(p, "HPUB %s %s %zu %zu\r\nNATS/1.0\r\n%s\r\nx\r\n", subject, reply, len, len + 1,
                fields);
}

static void expect_error(peer *p, const char *line)
{
    peer_event event;

    assert_int_equal(peer_next(p, &event), PEER_ERR);
    assert_string_equal(event.line, line);
}

/* Nothing before the answer to a PING. */
static void expect_nothing(peer *p)
{
    peer_event event;

    peer_printf(p, "PING\r\n");
    assert_int_equal(peer_next(p, &event), PEER_PONG);
}

static json_t *next_event(peer *p, const char *subject)
{
    peer_event event;
    json_error_t error;
    json_t *root;

    assert_true(peer_next_msg(p, &event));
    assert_string_equal(event.subject, subject);
    assert_int_equal(event.header_len, 0);
    root = json_loadb(event.payload, event.payload_len, 0, &error);
    assert_non_null(root);
    return root;
}

static json_t *entry(const json_t *event, size_t at)
{
    json_t *entry = json_array_get(json_object_get(event, "events"), at);

    assert_non_null(entry);
    return entry;
}

/* NULL: the key is not there. */
static void expect_text(const json_t *object, const char *key, const char *value)
{
    const char *text = json_string_value(json_object_get(object, key));

    if (value ? !text || strcmp(text, value) != 0 : json_object_get(object, key) != NULL)
        fail_msg("%s is %s, not %s", key, text ? text : "missing", value ? value : "missing");
}

static void expect_entries(const json_t *event, size_t count)
{
    assert_int_equal(json_array_size(json_object_get(event, "events")), count);
}

static void expect_ingress(const json_t *event, const char *subject, const char *error)
{
    expect_text(entry(event, 0), "type", "in");
    expect_text(entry(event, 0), "subj", subject);
    expect_text(entry(event, 0), "error", error);
}

static void expect_egress(const json_t *event, size_t at, const char *sub, const char *queue,
                          const char *error)
{
    expect_text(entry(event, at), "type", "eg");
    expect_text(entry(event, at), "sub", sub);
    expect_text(entry(event, at), "queue", queue);
    expect_text(entry(event, at), "error", error);
}

/* --- tests -------------------------------------------------------------------------------- */

static void test_trace_tells_of_a_denied_publish(void **state)
{
    static const char text[] = "Permissions Violation for Publish to \"bad\"";
    peer ear, p, verbose;
    json_t *event;
    host h;

    (void)state;
    start(&h, "--threads=1");
    join(&ear, &h, "ann", "ear");
    join(&p, &h, "narrow", "p");
    join_with(&verbose, &h, "narrow", "v", ",\"verbose\":true");
    peer_printf(&ear, "SUB T.> 1\r\n");
    assert_true(peer_barrier(&ear));
    publish(&p, "bad", "", DEST);
    expect_error(&p, "-ERR 'Permissions Violation for Publish to \"bad\"'");
    event = next_event(&ear, "T.1");
    expect_entries(event, 1);
    expect_ingress(event, "bad", text);
    expect_text(entry(event, 0), "name", "p");
    expect_text(entry(event, 0), "acc", "A");
    json_decref(event);
    publish(&p, "m.deny", "", DEST);
    event = next_event(&ear, "T.1");
    expect_entries(event, 2);
    expect_ingress(event, "m.deny", "Permissions Violation for Publish to \"ok.no\"");
    expect_text(entry(event, 1), "type", "sm");
    expect_text(entry(event, 1), "to", "ok.no");
    json_decref(event);
    publish(&p, "x", "_R_.y", DEST);
    event = next_event(&ear, "T.1");
    expect_ingress(event, "x", "Permissions Violation for Publish with Reply of \"_R_.y\"");
    json_decref(event);
    /* The -ERR alone, whether traced or not. */
    peer_printf(&verbose, "PUB bad 1\r\nx\r\n");
    expect_error(&verbose, "-ERR 'Permissions Violation for Publish to \"bad\"'");
    peer_printf(&verbose, "PUB m.deny 1\r\nx\r\n");
    expect_error(&verbose, "-ERR 'Permissions Violation for Publish to \"ok.no\"'");
    publish(&verbose, "bad", "", DEST);
    expect_error(&verbose, "-ERR 'Permissions Violation for Publish to \"bad\"'");
    peer_close(&verbose);
    peer_close(&p);
    peer_close(&ear);
    host_stop(&h);
}

static void test_trace_wants_permission_for_its_dest(void **state)
{
    peer ear, p;
    json_t *event;
    host h;

    (void)state;
    start(&h, "--threads=1");
    join(&ear, &h, "ann", "ear");
    join(&p, &h, "nowhere", "p");
    peer_printf(&ear, "SUB > 1\r\n");
    assert_true(peer_barrier(&ear));
    publish(&p, "ok.1", "", DEST);
    expect_error(&p, "-ERR 'Permissions Violation for Publish to \"T.1\"'");
    publish(&p, "bad", "", DEST); /* of both only this is said */
    expect_error(&p, "-ERR 'Permissions Violation for Publish to \"T.1\"'");
    publish(&p, "ok.1", "", "Nats-Trace-Dest: $NRG.x\r\n");
    expect_error(&p, "-ERR 'Permissions Violation for Publish to \"$NRG.x\"'");
    publish(&p, "ok.1", "", "Nats-Trace-Dest: T.*\r\nNats-Trace-Only: 1\r\n");
    expect_nothing(&p);
    publish(&p, "ok.2", "", "Nats-Trace-Dest: ok.here\r\n");
    expect_nothing(&p);
    {
        peer_event heard;

        assert_true(peer_next_msg(&ear, &heard)); /* the first that was not dropped */
        assert_string_equal(heard.subject, "ok.2");
    }
    event = next_event(&ear, "ok.here");
    expect_entries(event, 2);
    json_decref(event);
    peer_close(&p);
    peer_close(&ear);
    host_stop(&h);
}

static void test_trace_tells_of_everybody(void **state)
{
    peer ear, deaf_one, p;
    json_t *event;
    host h;

    (void)state;
    start(&h, "--threads=1");
    join(&ear, &h, "ann", "ear");
    join(&deaf_one, &h, "deaf", "deaf");
    join_with(&p, &h, "ann", "p", ",\"echo\":false");
    peer_printf(&ear, "SUB T.> 1\r\nSUB a.only 7\r\nUNSUB 7 1\r\n");
    peer_printf(&deaf_one, "SUB a.* 1\r\nSUB q.* one 2\r\nSUB q.* two 3\r\n");
    peer_printf(&p, "SUB e.* 1\r\n");
    assert_true(peer_barrier(&ear) && peer_barrier(&deaf_one) && peer_barrier(&p));
    publish(&p, "a.secret", "", DEST);
    event = next_event(&ear, "T.1");
    expect_entries(event, 2);
    expect_egress(event, 1, "a.*", NULL, "Not delivered because subscription denies this subject");
    json_decref(event);
    publish(&p, "q.secret", "", DEST);
    event = next_event(&ear, "T.1");
    expect_entries(event, 3);
    expect_egress(event, 1, "q.*", "one", "Not delivered because subscription denies this subject");
    expect_egress(event, 2, "q.*", "two", "Not delivered because subscription denies this subject");
    json_decref(event);
    publish(&p, "e.1", "", DEST);
    event = next_event(&ear, "T.1");
    expect_entries(event, 2);
    expect_egress(event, 1, "e.*", NULL, "Not delivered because of no echo");
    expect_text(entry(event, 1), "name", "p");
    json_decref(event);
    expect_nothing(&deaf_one);
    /* A trace that delivers nothing uses up nothing. */
    for (int i = 0; i < 3; i++) {
        publish(&p, "a.only", "", i < 2 ? ONLY : DEST);
        if (i == 2) {
            peer_event heard;

            assert_true(peer_next_msg(&ear, &heard));
            assert_string_equal(heard.subject, "a.only");
        }
        event = next_event(&ear, "T.1");
        expect_entries(event, 3);
        json_decref(event);
    }
    publish(&p, "a.only", "", DEST);
    event = next_event(&ear, "T.1");
    expect_entries(event, 2);
    expect_egress(event, 1, "a.*", NULL, NULL);
    json_decref(event);
    peer_close(&p);
    peer_close(&deaf_one);
    peer_close(&ear);
    host_stop(&h);
}

/* Others read a client's name where it has it itself, so they see one that has changed, too. */
static void test_trace_tells_the_name_of_the_last_connect(void **state)
{
    static const struct {
        const char *field, *name;
    } says[] = {
        {",\"name\":\"first\"", "first"},
        {",\"name\":\"another\",\"lang\":\"c\"", "another"},
        {"", "another"}, /* what it does not name stays */
        {",\"name\":\"\"", NULL},
        {",\"name\":\"last\"", "last"},
    };
    peer ear, p;
    host h;

    (void)state;
    start(&h, "--threads=1");
    join(&p, &h, "ann", "p");
    peer_printf(&p, "SUB T.> 1\r\n");
    peer_dial(&ear, h.port, 0);
    for (size_t i = 0; i < COUNT_OF(says); i++) {
        json_t *event;

        peer_printf(&ear,
                    "CONNECT {\"user\":\"ann\",\"pass\":\"p\",\"verbose\":false%s}\r\nSUB a 1\r\n",
                    says[i].field);
        assert_true(peer_barrier(&ear));
        publish(&p, "a", "", ONLY);
        event = next_event(&p, "T.1");
        expect_egress(event, 1, "a", NULL, NULL);
        expect_text(entry(event, 1), "name", says[i].name);
        json_decref(event);
    }
    peer_close(&ear);
    peer_close(&p);
    host_stop(&h);
}

/* What a server has most of: connections that say nothing. Budget: an idle one with a subscription
 * takes 1 KiB with all that it has; this is the part in one block, which fills up what the
 * allocator gives for it. */
static void test_trace_connection_is_small(void **state)
{
    (void)state;
    assert_in_range(sizeof(pp_conn) + sizeof(pp_nats_session), 1, 728);
}

static void test_trace_tells_of_mappings(void **state)
{
    peer ear;
    json_t *event;
    host h;

    (void)state;
    start(&h, "--threads=1");
    join(&ear, &h, "ann", "ear");
    peer_printf(&ear, "SUB T.> 1\r\nSUB m.dst 2\r\n");
    assert_true(peer_barrier(&ear));
    publish(&ear, "m.src", "", ONLY);
    event = next_event(&ear, "T.1");
    expect_entries(event, 3);
    expect_ingress(event, "m.src", NULL);
    expect_text(entry(event, 1), "type", "sm");
    expect_text(entry(event, 1), "to", "m.dst");
    expect_egress(event, 2, "m.dst", NULL, NULL);
    json_decref(event);
    publish(&ear, "m.lost", "", DEST);
    event = next_event(&ear, "T.1");
    expect_entries(event, 2);
    expect_text(entry(event, 1), "to", "");
    json_decref(event);
    publish(&ear, "x", "", "Nats-Trace-Dest: T.map\r\n");
    json_decref(next_event(&ear, "T.map")); /* not T.other */
    peer_close(&ear);
    host_stop(&h);
}

static void test_trace_by_account(void **state)
{
    peer p;
    peer_event heard;
    json_t *event;
    host h;

    (void)state;
    start(&h, "--threads=1");
    join(&p, &h, "all", "p");
    peer_printf(&p, "SUB > 1\r\n");
    assert_true(peer_barrier(&p));
    publish(&p, "foo", "", PARENT "Nats-Trace-Only: 1\r\n");
    assert_true(peer_next_msg(&p, &heard));
    assert_string_equal(heard.subject, "foo");
    event = next_event(&p, "T.acct");
    expect_entries(event, 2);
    json_decref(event);
    publish(&p, "foo", "", PARENT DEST);
    assert_true(peer_next_msg(&p, &heard));
    json_decref(next_event(&p, "T.1"));
    peer_close(&p);
    join(&p, &h, "all-narrow", "p");
    publish(&p, "ok.1", "", PARENT);
    expect_error(&p, "-ERR 'Permissions Violation for Publish to \"T.acct\"'");
    peer_close(&p);
    join(&p, &h, "ann", "p"); /* whose account wants none */
    peer_printf(&p, "SUB > 1\r\n");
    publish(&p, "foo", "", PARENT);
    assert_true(peer_next_msg(&p, &heard));
    expect_nothing(&p);
    peer_close(&p);
    host_stop(&h);
}

/* Of 5000 messages 10 %, within more than six times the deviation that chance has. The others go on
 * switched off. */
static void test_trace_samples(void **state)
{
    enum { MESSAGES = 5000 };
    static const char off[] =
        "NATS/1.0\r\n" PARENT "A: 1\r\nNats-Trace-Dest: trace disabled\r\n\r\n";
    static const char on[] = "NATS/1.0\r\n" PARENT "A: 1\r\n\r\n";
    unsigned traced = 0, plain = 0;
    peer p;
    host h;

    (void)state;
    start(&h, "--threads=1");
    join(&p, &h, "some", "p");
    peer_printf(&p, "SUB > 1\r\n");
    assert_true(peer_barrier(&p));
    for (unsigned i = 0; i < MESSAGES; i++)
        publish(&p, "foo", "", PARENT "A: 1\r\n");
    for (unsigned i = 0; i < MESSAGES; i++) {
        peer_event heard;

        assert_true(peer_next_msg(&p, &heard));
        if (strcmp(heard.subject, "T.acct") == 0) {
            traced++;
            i--;
            continue;
        }
        assert_int_equal(heard.payload_len, 1);
        if (heard.header_len == strlen(on))
            plain++;
        else
            assert_true(heard.header_len == strlen(off) &&
                        memcmp(heard.header, off, strlen(off)) == 0);
    }
    assert_true(plain > MESSAGES / 10 - 140 && plain < MESSAGES / 10 + 140);
    assert_true(traced == plain || traced + 1 == plain); /* the last event is behind the last */
    peer_close(&p);
    host_stop(&h);
}

static void test_trace_of_the_retired_kind_is_switched_off(void **state)
{
    static const char off[] = "NATS/1.0\r\nA: 1\r\nNats-Trace-Origin-Account: A\r\nB: 2\r\n"
                              "Nats-Trace-Dest: trace disabled\r\n\r\n";
    char *large = malloc(100000);
    peer_event heard;
    peer p;
    host h;

    (void)state;
    assert_non_null(large);
    start(&h, "--threads=1");
    join(&p, &h, "ann", "p");
    peer_printf(&p, "SUB > 1\r\n");
    publish(&p, "foo", "",
            "A: 1\r\n" DEST "Nats-Trace-Origin-Account: A\r\nB: 2\r\nNats-Trace-Dest: T.2\r\n");
    assert_true(peer_next_msg(&p, &heard));
    assert_int_equal(heard.header_len, strlen(off));
    assert_memory_equal(heard.header, off, heard.header_len);
    /* One that is referred to and not copied. */
    memset(large, 'y', 100000);
    peer_printf(&p, "HPUB foo %zu %zu\r\nNATS/1.0\r\n" DEST "Nats-Trace-Origin-Account: A\r\n\r\n",
                strlen("NATS/1.0\r\n" DEST "Nats-Trace-Origin-Account: A\r\n\r\n"),
                strlen("NATS/1.0\r\n" DEST "Nats-Trace-Origin-Account: A\r\n\r\n") + 100000);
    peer_write(&p, large, 100000);
    peer_printf(&p, "\r\n");
    assert_true(peer_next_msg(&p, &heard));
    assert_int_equal(heard.payload_len, 100000);
    assert_memory_equal(heard.payload, large, 100000);
    /* Without a proper end it goes as it is. */
    peer_printf(&p, "HPUB foo %zu %zu\r\nNATS/1.0\r\n" DEST "Nats-Trace-Origin-Account: A\r\n\r\n",
                strlen("NATS/1.0\r\n" DEST "Nats-Trace-Origin-Account: A\r\n"),
                strlen("NATS/1.0\r\n" DEST "Nats-Trace-Origin-Account: A\r\n"));
    assert_true(peer_next_msg(&p, &heard));
    assert_int_equal(heard.header_len,
                     strlen("NATS/1.0\r\n" DEST "Nats-Trace-Origin-Account: A\r\n"));
    peer_close(&p);
    free(large);
    host_stop(&h);
}

/* More recipients than an event has room for: all get the message, and the event says how many it
 * does not tell of. */
static void test_trace_event_is_bounded(void **state)
{
    enum { SUBS = 20000 };
    unsigned heard_count = 0;
    peer_event heard;
    json_error_t error;
    json_t *root;
    peer ear, p;
    host h;

    (void)state;
    start(&h, "--threads=1");
    join(&ear, &h, "ann", "a rather long name, which stands in each entry of the event");
    join(&p, &h, "ann", "p");
    peer_printf(&p, "SUB T.> 1\r\n");
    for (unsigned i = 0; i < SUBS; i++)
        peer_printf(&ear, "SUB foo %u\r\n", i);
    assert_true(peer_barrier(&ear) && peer_barrier(&p));
    publish(&p, "foo", "", DEST);
    while (heard_count < SUBS && peer_next_msg(&ear, &heard))
        heard_count++;
    assert_true(peer_next_msg(&p, &heard));
    assert_true(heard.payload_len <= 1 << 20 && heard.payload_len > 1000000);
    root = json_loadb(heard.payload, heard.payload_len, 0, &error);
    assert_non_null(root);
    assert_int_equal(json_array_size(json_object_get(root, "events")) +
                         (size_t)json_integer_value(json_object_get(root, "left_out")),
                     SUBS + 1);
    json_decref(root);
    peer_close(&p);
    peer_close(&ear);
    host_stop(&h);
}

/* A header block of a million bytes: the event shows a part of it. */
static void test_trace_header_in_event_is_bounded(void **state)
{
    enum { FIELDS = 60000 };
    char *block = malloc(FIELDS * 16 + 100), *at = block;
    peer_event heard;
    json_error_t error;
    json_t *root, *header;
    peer p;
    host h;

    (void)state;
    assert_non_null(block);
    at += sprintf(at, "NATS/1.0\r\n" ONLY);
    for (unsigned i = 0; i < FIELDS; i++)
        at += sprintf(at, "K%05u: %05u\r\n", i, i);
    at += sprintf(at, "\r\n");
    start(&h, "--threads=1");
    join(&p, &h, "ann", "p");
    peer_printf(&p, "SUB T.> 1\r\nHPUB foo %zu %zu\r\n", (size_t)(at - block),
                (size_t)(at - block));
    peer_write(&p, block, (size_t)(at - block));
    peer_printf(&p, "\r\n");
    assert_true(peer_next_msg(&p, &heard));
    root = json_loadb(heard.payload, heard.payload_len, 0, &error);
    assert_non_null(root);
    header = json_object_get(json_object_get(root, "request"), "header");
    assert_int_equal(json_object_size(header), 1024);
    assert_int_equal(json_integer_value(json_object_get(root, "left_out")), FIELDS + 2 - 1024);
    expect_entries(root, 1);
    json_decref(root);
    /* Few fields, but long. */
    at = block + sprintf(block, "NATS/1.0\r\n" ONLY "A: ");
    memset(at, '<', 500000); /* six bytes each, in JSON */
    at += 500000;
    at += sprintf(at, "\r\nB: 1\r\n\r\n");
    peer_printf(&p, "HPUB foo %zu %zu\r\n", (size_t)(at - block), (size_t)(at - block));
    peer_write(&p, block, (size_t)(at - block));
    peer_printf(&p, "\r\n");
    assert_true(peer_next_msg(&p, &heard));
    root = json_loadb(heard.payload, heard.payload_len, 0, &error);
    assert_non_null(root);
    header = json_object_get(json_object_get(root, "request"), "header");
    assert_int_equal(json_object_size(header), 3);
    assert_null(json_object_get(header, "A"));
    assert_int_equal(json_integer_value(json_object_get(root, "left_out")), 1);
    json_decref(root);
    peer_close(&p);
    free(block);
    host_stop(&h);
}

/* Every allocation refused once: the message or its event may be lost, or a connection, but the
 * server goes on and keeps nothing. */
static void test_trace_without_memory(void **state)
{
    (void)state;
    pp_fault_exempt_thread(true);
    for (unsigned nth = 1;; nth++) {
        peer ear, p;
        bool fired;
        host h;

        start(&h, "--threads=1");
        join(&ear, &h, "ann", "ear");
        join(&p, &h, "ann", "p");
        peer_printf(&ear, "SUB T.> 1\r\nSUB m.dst 2\r\nSUB m.dst q 3\r\n");
        assert_true(peer_barrier(&ear));
        pp_fault_arm("alloc", nth);
        publish(&p, "m.src", "", DEST);
        publish(&p, "m.src", "", DEST "Nats-Trace-Origin-Account: A\r\n");
        (void)peer_barrier(&p);
        (void)peer_barrier(&ear);
        fired = pp_fault_disarm();
        peer_close(&p);
        join(&p, &h, "ann", "p");
        publish(&p, "foo", "", DEST);
        assert_true(peer_barrier(&p));
        peer_close(&ear);
        peer_close(&p);
        host_stop(&h);
        if (!fired)
            break;
    }
}

/* Loops that look at clients of others, which rename themselves and go. */
static void test_trace_across_loops(void **state)
{
    enum { EARS = 8, ROUNDS = 200 };
    peer ears[EARS], p, sink;
    json_t *event;
    host h;

    (void)state;
    start(&h, "--threads=4");
    join(&sink, &h, "ann", "sink");
    peer_printf(&sink, "SUB T.> 1\r\n");
    assert_true(peer_barrier(&sink));
    join(&p, &h, "ann", "p");
    for (unsigned i = 0; i < EARS; i++) {
        join(&ears[i], &h, "ann", "ear");
        peer_printf(&ears[i], "SUB foo 1\r\nSUB foo q 2\r\n");
        assert_true(peer_barrier(&ears[i]));
    }
    publish(&p, "foo", "", DEST);
    event = next_event(&sink, "T.1");
    expect_entries(event, 1 + EARS + 1);
    for (size_t i = 1; i <= EARS + 1; i++) {
        expect_egress(event, i, "foo", i > EARS ? "q" : NULL, NULL);
        expect_text(entry(event, i), "name", "ear");
    }
    json_decref(event);
    for (unsigned i = 0; i < ROUNDS; i++) {
        publish(&p, "foo", "", i % 2 ? DEST : ONLY);
        peer_printf(&ears[i % EARS],
                    "CONNECT {\"user\":\"ann\",\"pass\":\"p\",\"name\":\"ear %u\"}\r\n"
                    "SUB foo 1\r\nSUB foo q 2\r\n",
                    i);
    }
    for (unsigned i = 0; i < EARS; i++)
        peer_close(&ears[i]);
    for (unsigned i = 0; i < ROUNDS; i++)
        json_decref(next_event(&sink, "T.1"));
    peer_close(&p);
    peer_close(&sink);
    host_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trace_tells_of_a_denied_publish),
        cmocka_unit_test(test_trace_wants_permission_for_its_dest),
        cmocka_unit_test(test_trace_tells_of_everybody),
        cmocka_unit_test(test_trace_tells_the_name_of_the_last_connect),
        cmocka_unit_test(test_trace_connection_is_small),
        cmocka_unit_test(test_trace_tells_of_mappings),
        cmocka_unit_test(test_trace_by_account),
        cmocka_unit_test(test_trace_samples),
        cmocka_unit_test(test_trace_of_the_retired_kind_is_switched_off),
        cmocka_unit_test(test_trace_event_is_bounded),
        cmocka_unit_test(test_trace_header_in_event_is_bounded),
        cmocka_unit_test(test_trace_without_memory),
        cmocka_unit_test(test_trace_across_loops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
