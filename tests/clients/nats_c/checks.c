/* The C client (libnats) against a running server. tests/clients/README.md says what each check
 * holds and how this program and run.py talk.
 *
 * A check runs on the main thread and gives up with fail(), which jumps back to run_check(); what
 * was opened through open_connection() and subscribe() is closed there. Message handlers run on the
 * library's threads and must not call fail(). */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <nats/nats.h>

#define DEADLINE_S 60 /* longest wait for anything that must happen */
#define DEADLINE_MS (DEADLINE_S * 1000)
#define PAYLOAD_MAX (1024 * 1024)
#define OPEN_MAX 8

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static jmp_buf check_end;
static char check_reason[512];
static natsConnection *open_conns[OPEN_MAX];
static size_t open_conn_count;
static natsSubscription *open_subs[OPEN_MAX];
static size_t open_sub_count;

static void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(check_reason, sizeof(check_reason), format, args);
    va_end(args);
    longjmp(check_end, 1);
}

static void need_status(natsStatus got, natsStatus want, const char *what)
{
    if (got != want)
        fail("%s: got \"%s\", expected \"%s\"", what, natsStatus_GetText(got),
             natsStatus_GetText(want));
}

#define OK(call) need_status((call), NATS_OK, #call)
#define REFUSED(call, status) need_status((call), (status), #call)

/* --- A count that threads raise and wait for: events, or a gate that opens at 1. --- */

struct tally {
    pthread_mutex_t lock;
    pthread_cond_t raised;
    int count;
};

#define TALLY_INIT                                                                                 \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0                                     \
    }

static void tally_raise(struct tally *tally)
{
    pthread_mutex_lock(&tally->lock);
    tally->count++;
    pthread_cond_broadcast(&tally->raised);
    pthread_mutex_unlock(&tally->lock);
}

/* Wait until the count has reached want, or for the deadline; return the count. */
static int tally_wait(struct tally *tally, int want)
{
    struct timespec deadline;
    int count, err = 0;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += DEADLINE_S;
    pthread_mutex_lock(&tally->lock);
    while (tally->count < want && !err)
        err = pthread_cond_timedwait(&tally->raised, &tally->lock, &deadline);
    count = tally->count;
    pthread_mutex_unlock(&tally->lock);
    return count;
}

/* --- Connections, subscriptions and messages --- */

static const char *setting(const char *name)
{
    const char *value = getenv(name);

    if (!value)
        fail("%s is not set", name);
    return value;
}

static natsOptions *options_for(const char *url)
{
    natsOptions *options;

    OK(natsOptions_Create(&options));
    OK(natsOptions_SetURL(options, url));
    OK(natsOptions_SetTimeout(options, DEADLINE_MS));
    return options;
}

/* Owner: takes options; the connection is closed at the end of the check. */
static natsConnection *open_connection(natsOptions *options)
{
    natsConnection *nc = NULL;
    natsStatus status;

    status = natsConnection_Connect(&nc, options);
    natsOptions_Destroy(options);
    OK(status);
    open_conns[open_conn_count++] = nc;
    return nc;
}

static natsConnection *connect_plain(void)
{
    return open_connection(options_for(setting("NATS_URL")));
}

/* Without a handler the messages wait for next(); without a queue there is no group. */
static natsSubscription *subscribe(natsConnection *nc, const char *subject, const char *queue,
                                   natsMsgHandler handler, void *closure)
{
    natsSubscription *sub = NULL;

    if (!handler && !queue)
        OK(natsConnection_SubscribeSync(&sub, nc, subject));
    else if (!handler)
        OK(natsConnection_QueueSubscribeSync(&sub, nc, subject, queue));
    else
        OK(natsConnection_Subscribe(&sub, nc, subject, handler, closure));
    open_subs[open_sub_count++] = sub;
    return sub;
}

static void flush(natsConnection *nc)
{
    OK(natsConnection_FlushTimeout(nc, DEADLINE_MS));
}

static natsMsg *next(natsSubscription *sub)
{
    natsMsg *msg = NULL;
    natsStatus status = natsSubscription_NextMsg(&msg, sub, DEADLINE_MS);

    if (status != NATS_OK)
        fail("%s: %s", natsSubscription_GetSubject(sub), natsStatus_GetText(status));
    return msg;
}

static void expect_nothing_waiting(natsSubscription *sub)
{
    uint64_t waiting = 0;

    OK(natsSubscription_QueuedMsgs(sub, &waiting));
    if (waiting)
        fail("%s: %llu messages too many", natsSubscription_GetSubject(sub),
             (unsigned long long)waiting);
}

static bool same_data(natsMsg *msg, const void *data, int data_bytes)
{
    return natsMsg_GetDataLength(msg) == data_bytes &&
           memcmp(natsMsg_GetData(msg), data, (size_t)data_bytes) == 0;
}

/* Owner: takes msg. */
static void expect_data(natsMsg *msg, const void *data, int data_bytes)
{
    int got_bytes = natsMsg_GetDataLength(msg);
    bool same = same_data(msg, data, data_bytes);

    natsMsg_Destroy(msg);
    if (!same)
        fail("%d bytes came back for %d, or others", got_bytes, data_bytes);
}

static void round_trip(natsConnection *nc, const char *subject)
{
    natsSubscription *sub = subscribe(nc, subject, NULL, NULL, NULL);

    OK(natsConnection_PublishString(nc, subject, "hello"));
    expect_data(next(sub), "hello", 5);
}

static uint64_t messages_received(natsConnection *nc)
{
    natsStatistics *statistics = NULL;
    uint64_t in_messages = 0;

    OK(natsStatistics_Create(&statistics));
    OK(natsConnection_GetStats(nc, statistics));
    OK(natsStatistics_GetCounts(statistics, &in_messages, NULL, NULL, NULL, NULL));
    natsStatistics_Destroy(statistics);
    return in_messages;
}

/* Bytes in which a lost or doubled piece shows, one more than the maximum. Owner: static. */
static const unsigned char *patterned(void)
{
    static unsigned char payload[PAYLOAD_MAX + 1];

    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (unsigned char)(i * 7 >> 3);
    return payload;
}

/* Handler: answer with "re: " and the request. */
static void serve(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
    char answer[64];
    int length;

    (void)sub;
    (void)closure;
    length = snprintf(answer, sizeof(answer), "re: %.*s", natsMsg_GetDataLength(msg),
                      natsMsg_GetData(msg));
    natsConnection_Publish(nc, natsMsg_GetReply(msg), answer, length);
    natsMsg_Destroy(msg);
}

/* Handler: answer with the request itself. */
static void echo(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
    (void)sub;
    (void)closure;
    natsConnection_Publish(nc, natsMsg_GetReply(msg), natsMsg_GetData(msg),
                           natsMsg_GetDataLength(msg));
    natsMsg_Destroy(msg);
}

/* --- Checks --- */

static void check_connect(void)
{
    natsConnection *nc = connect_plain();
    uint64_t client_id = 0;

    if (natsConnection_GetMaxPayload(nc) != PAYLOAD_MAX)
        fail("max_payload is %lld", (long long)natsConnection_GetMaxPayload(nc));
    OK(natsConnection_HasHeaderSupport(nc));
    OK(natsConnection_GetClientID(nc, &client_id));
    if (!client_id)
        fail("client_id is 0");
    round_trip(nc, "connect");
}

static void check_wildcards(void)
{
    static const struct {
        const char *pattern;
        const char *want[6];
    } cases[] = {
        {"wild.*", {"wild.a", "wild.b"}},
        {"wild.>", {"wild.a", "wild.b", "wild.a.c", "wild.b.c", "wild.a.c.d"}},
        {"wild.*.c", {"wild.a.c", "wild.b.c"}},
        {"wild.a.c", {"wild.a.c"}},
        {"*.a.>", {"wild.a.c", "wild.a.c.d"}},
        {"wild", {"wild"}},
    };
    static const char *const subjects[] = {"wild.a",   "wild.b",   "wild",
                                           "wild.a.c", "wild.b.c", "wild.a.c.d"};
    natsConnection *nc = connect_plain();
    natsSubscription *subs[COUNT(cases)];

    for (size_t i = 0; i < COUNT(cases); i++)
        subs[i] = subscribe(nc, cases[i].pattern, NULL, NULL, NULL);
    for (size_t i = 0; i < COUNT(subjects); i++)
        OK(natsConnection_PublishString(nc, subjects[i], ""));
    flush(nc);
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t k = 0; cases[i].want[k]; k++) {
            natsMsg *msg = next(subs[i]);
            bool same = strcmp(natsMsg_GetSubject(msg), cases[i].want[k]) == 0;

            natsMsg_Destroy(msg);
            if (!same)
                fail("%s: message %zu is not %s", cases[i].pattern, k, cases[i].want[k]);
        }
        expect_nothing_waiting(subs[i]);
    }
}

static void check_queue_group(void)
{
    enum { MESSAGES = 200 };
    bool seen[MESSAGES] = {false};
    natsConnection *publisher = connect_plain(), *members[2];
    natsSubscription *subs[2];
    uint64_t total = 0;

    for (size_t i = 0; i < COUNT(members); i++) {
        members[i] = connect_plain();
        subs[i] = subscribe(members[i], "queue.*", "workers", NULL, NULL);
        flush(members[i]);
    }
    for (int i = 0; i < MESSAGES; i++)
        OK(natsConnection_Publish(publisher, "queue.job", &i, sizeof(i)));
    flush(publisher);
    for (size_t i = 0; i < COUNT(members); i++) {
        uint64_t share = 0;

        /* The publisher has its PONG, so the messages are on their way before the member's PONG. */
        flush(members[i]);
        OK(natsSubscription_QueuedMsgs(subs[i], &share));
        if (!share)
            fail("one member got nothing");
        total += share;
        for (; share > 0; share--) {
            natsMsg *msg = next(subs[i]);
            int number = -1;

            memcpy(&number, natsMsg_GetData(msg), sizeof(number));
            natsMsg_Destroy(msg);
            if (number < 0 || number >= MESSAGES || seen[number])
                fail("message %d came twice or was never sent", number);
            seen[number] = true;
        }
    }
    if (total != MESSAGES)
        fail("%llu messages came of %d", (unsigned long long)total, MESSAGES);
}

static void expect_headers(natsMsg *msg)
{
    const char **values = NULL, **keys = NULL, *single = NULL;
    int count = 0;

    OK(natsMsgHeader_Values(msg, "Many", &values, &count));
    if (count != 2 || strcmp(values[0], "one") != 0 || strcmp(values[1], "two, and: three") != 0)
        fail("%d values came back, or others", count);
    free(values);
    OK(natsMsgHeader_Get(msg, "lower-case", &single));
    if (strcmp(single, "gr\xc3\xbcn") != 0)
        fail("value came back as %s", single);
    OK(natsMsgHeader_Keys(msg, &keys, &count));
    free(keys);
    if (count != 2)
        fail("%d names came back", count);
}

static void check_headers(void)
{
    static const char *const payloads[] = {"body", ""};
    natsConnection *nc = connect_plain();
    natsSubscription *sub = subscribe(nc, "headers", NULL, NULL, NULL);

    for (size_t i = 0; i < COUNT(payloads); i++) {
        int length = (int)strlen(payloads[i]);
        natsMsg *msg = NULL;

        OK(natsMsg_Create(&msg, "headers", NULL, payloads[i], length));
        OK(natsMsgHeader_Add(msg, "Many", "one"));
        OK(natsMsgHeader_Add(msg, "Many", "two, and: three"));
        OK(natsMsgHeader_Set(msg, "lower-case", "gr\xc3\xbcn"));
        OK(natsConnection_PublishMsg(nc, msg));
        natsMsg_Destroy(msg);
        msg = next(sub);
        expect_headers(msg);
        expect_data(msg, payloads[i], length);
    }
}

static void check_request_reply(void)
{
    static const char *const requests[] = {"one", "two", ""};
    natsConnection *nc = connect_plain(), *responder = connect_plain();

    subscribe(responder, "service", NULL, serve, NULL);
    flush(responder);
    for (size_t i = 0; i < COUNT(requests); i++) {
        char want[64];
        natsMsg *reply = NULL;
        int length = snprintf(want, sizeof(want), "re: %s", requests[i]);

        OK(natsConnection_RequestString(&reply, nc, "service", requests[i], DEADLINE_MS));
        expect_data(reply, want, length);
    }
}

static void check_request_timeout(void)
{
    natsConnection *nc = connect_plain();
    natsSubscription *silent = subscribe(nc, "silent", NULL, NULL, NULL);
    natsMsg *msg = NULL;
    bool has_reply;

    REFUSED(natsConnection_RequestString(&msg, nc, "silent", "anybody?", 200), NATS_TIMEOUT);
    msg = next(silent);
    has_reply = natsMsg_GetReply(msg) != NULL;
    natsMsg_Destroy(msg);
    if (!has_reply)
        fail("the request came without a reply subject");
}

static void check_no_responders(void)
{
    natsConnection *nc = connect_plain();
    natsMsg *reply = NULL;

    REFUSED(natsConnection_RequestString(&reply, nc, "nobody.listens", "hello?", DEADLINE_MS),
            NATS_NO_RESPONDERS);
}

/* A handler that waits at a gate, so that messages wait in the client when a drain begins. */
static struct tally drain_gate = TALLY_INIT, drain_handled = TALLY_INIT;

static void handle_behind_gate(natsConnection *nc, natsSubscription *sub, natsMsg *msg,
                               void *closure)
{
    const char *forward_to = closure;

    (void)sub;
    tally_wait(&drain_gate, 1);
    if (forward_to)
        natsConnection_Publish(nc, forward_to, natsMsg_GetData(msg), natsMsg_GetDataLength(msg));
    tally_raise(&drain_handled);
    natsMsg_Destroy(msg);
}

static void check_drain_subscription(void)
{
    enum { MESSAGES = 100 };
    natsConnection *nc = connect_plain();
    natsSubscription *sub;

    drain_gate.count = drain_handled.count = 0;
    sub = subscribe(nc, "drain.sub", NULL, handle_behind_gate, NULL);
    for (int i = 0; i < MESSAGES; i++)
        OK(natsConnection_PublishString(nc, "drain.sub", "x"));
    flush(nc);
    OK(natsSubscription_Drain(sub));
    OK(natsConnection_PublishString(nc, "drain.sub", "late"));
    flush(nc);
    tally_raise(&drain_gate);
    OK(natsSubscription_WaitForDrainCompletion(sub, DEADLINE_MS));
    OK(natsSubscription_DrainCompletionStatus(sub));
    if (drain_handled.count != MESSAGES)
        fail("%d messages handled of %d", drain_handled.count, MESSAGES);
    if (messages_received(nc) != MESSAGES)
        fail("the server sent %llu messages", (unsigned long long)messages_received(nc));
}

static void raise_closure(natsConnection *nc, void *closure)
{
    (void)nc;
    tally_raise(closure);
}

static void check_drain_connection(void)
{
    enum { MESSAGES = 100 };
    static struct tally closed = TALLY_INIT;
    static char forward_to[] = "drain.done";
    natsConnection *watcher = connect_plain(), *nc;
    natsSubscription *done = subscribe(watcher, forward_to, NULL, NULL, NULL);
    natsOptions *options;

    drain_gate.count = drain_handled.count = 0;
    flush(watcher);
    options = options_for(setting("NATS_URL"));
    OK(natsOptions_SetClosedCB(options, raise_closure, &closed));
    nc = open_connection(options);
    subscribe(nc, "drain.conn", NULL, handle_behind_gate, forward_to);
    for (int i = 0; i < MESSAGES; i++)
        OK(natsConnection_Publish(nc, "drain.conn", &i, sizeof(i)));
    flush(nc);
    OK(natsConnection_Drain(nc));
    tally_raise(&drain_gate);
    if (tally_wait(&closed, 1) != 1)
        fail("the connection did not close");
    for (int i = 0; i < MESSAGES; i++)
        expect_data(next(done), &i, sizeof(i));
}

static void check_auto_unsubscribe(void)
{
    natsConnection *nc = connect_plain();
    natsSubscription *sub = subscribe(nc, "auto", NULL, NULL, NULL);
    natsMsg *msg = NULL;

    OK(natsSubscription_AutoUnsubscribe(sub, 3));
    for (int i = 0; i < 5; i++)
        OK(natsConnection_PublishString(nc, "auto", ""));
    flush(nc);
    for (int i = 0; i < 3; i++)
        natsMsg_Destroy(next(sub));
    REFUSED(natsSubscription_NextMsg(&msg, sub, DEADLINE_MS), NATS_MAX_DELIVERED_MSGS);
    if (messages_received(nc) != 3)
        fail("the server sent %llu messages", (unsigned long long)messages_received(nc));
}

static void check_payload_max(void)
{
    natsConnection *nc = connect_plain();
    natsMsg *reply = NULL;

    subscribe(nc, "large.echo", NULL, echo, NULL);
    OK(natsConnection_Request(&reply, nc, "large.echo", patterned(), PAYLOAD_MAX, DEADLINE_MS));
    expect_data(reply, patterned(), PAYLOAD_MAX);
}

static void check_payload_over_max(void)
{
    natsConnection *nc = connect_plain();

    REFUSED(natsConnection_Publish(nc, "large.over", patterned(), PAYLOAD_MAX + 1),
            NATS_MAX_PAYLOAD);
    round_trip(nc, "large.after");
}

static void check_ping(void)
{
    natsConnection *nc = connect_plain();
    int64_t rtt_ns = 0;

    OK(natsConnection_GetRTT(nc, &rtt_ns));
    if (rtt_ns <= 0 || rtt_ns > (int64_t)DEADLINE_S * 1000000000)
        fail("round trip of %lld ns", (long long)rtt_ns);
    flush(nc);
}

static void check_user_password(void)
{
    natsOptions *options = options_for(setting("NATS_USER_URL"));

    OK(natsOptions_SetUserInfo(options, setting("NATS_TEST_USER"), setting("NATS_TEST_PASS")));
    round_trip(open_connection(options), "user");
}

static void check_token(void)
{
    natsOptions *options = options_for(setting("NATS_TOKEN_URL"));

    OK(natsOptions_SetToken(options, setting("NATS_TEST_TOKEN")));
    round_trip(open_connection(options), "token");
}

/* Both show certificates of one authority. */
static void check_tls(void)
{
    natsOptions *options = options_for(setting("NATS_TLS_URL"));

    OK(natsOptions_SetSecure(options, true));
    OK(natsOptions_LoadCATrustedCertificates(options, setting("NATS_TLS_CA")));
    OK(natsOptions_LoadCertificatesChain(options, setting("NATS_TLS_CERT"),
                                         setting("NATS_TLS_KEY")));
    OK(natsOptions_SetExpectedHostname(options, "localhost"));
    round_trip(open_connection(options), "tls");
}

static void check_certificate_map(void)
{
    natsOptions *options = options_for(setting("NATS_MAP_URL"));

    OK(natsOptions_SetSecure(options, true));
    OK(natsOptions_LoadCATrustedCertificates(options, setting("NATS_TLS_CA")));
    OK(natsOptions_LoadCertificatesChain(options, setting("NATS_TLS_CERT"),
                                         setting("NATS_TLS_KEY")));
    OK(natsOptions_SetExpectedHostname(options, "localhost"));
    round_trip(open_connection(options), "map");
}

static void refuse_stranger(natsOptions *options)
{
    natsConnection *nc = NULL;
    natsStatus status = natsConnection_Connect(&nc, options);

    natsOptions_Destroy(options);
    natsConnection_Destroy(nc);
    need_status(status, NATS_CONNECTION_AUTH_FAILED, "a stranger");
}

/* The stranger says that it has the key of the user, and signs with its own. */
static void check_nkey(void)
{
    natsOptions *options = options_for(setting("NATS_NKEY_URL"));

    OK(natsOptions_SetNKeyFromSeed(options, setting("NATS_NKEY_PUBLIC"),
                                   setting("NATS_NKEY_SEED")));
    round_trip(open_connection(options), "nkey");
    options = options_for(setting("NATS_NKEY_URL"));
    OK(natsOptions_SetNKeyFromSeed(options, setting("NATS_NKEY_PUBLIC"),
                                   setting("NATS_NKEY_WRONG")));
    refuse_stranger(options);
}

static void check_creds(void)
{
    natsOptions *options = options_for(setting("NATS_CREDS_URL"));

    OK(natsOptions_SetUserCredentialsFromFiles(options, setting("NATS_CREDS"), NULL));
    round_trip(open_connection(options), "creds");
    options = options_for(setting("NATS_CREDS_URL"));
    OK(natsOptions_SetUserCredentialsFromFiles(options, setting("NATS_CREDS_WRONG"), NULL));
    refuse_stranger(options);
}

static void check_wrong_credentials(void)
{
    const struct {
        const char *what, *url, *user, *password, *token;
    } attempts[] = {
        {"wrong password", setting("NATS_USER_URL"), setting("NATS_TEST_USER"), "wrong", NULL},
        {"unknown user", setting("NATS_USER_URL"), "nobody", setting("NATS_TEST_PASS"), NULL},
        {"no password", setting("NATS_USER_URL"), NULL, NULL, NULL},
        {"wrong token", setting("NATS_TOKEN_URL"), NULL, NULL, "wrong"},
        {"no token", setting("NATS_TOKEN_URL"), NULL, NULL, NULL},
    };

    for (size_t i = 0; i < COUNT(attempts); i++) {
        natsOptions *options = options_for(attempts[i].url);
        natsConnection *nc = NULL;
        natsStatus status;

        OK(natsOptions_SetUserInfo(options, attempts[i].user, attempts[i].password));
        OK(natsOptions_SetToken(options, attempts[i].token));
        status = natsConnection_Connect(&nc, options);
        natsOptions_Destroy(options);
        natsConnection_Destroy(nc);
        need_status(status, NATS_CONNECTION_AUTH_FAILED, attempts[i].what);
    }
}

/* Have run.py stop the server and start it again on its port; return when it has. */
static void restart_server(void)
{
    char answer[64];

    printf("RESTART\n");
    if (!fgets(answer, sizeof(answer), stdin) || strcmp(answer, "RESTARTED\n") != 0)
        fail("the runner did not restart the server");
}

/* Owner: tallies live as long as the program, callbacks may come late. */
static natsConnection *connect_watched(struct tally *lost, struct tally *back)
{
    natsOptions *options = options_for(setting("NATS_URL"));

    OK(natsOptions_SetMaxReconnect(options, -1));
    OK(natsOptions_SetReconnectWait(options, 50));
    OK(natsOptions_SetReconnectJitter(options, 0, 0));
    OK(natsOptions_SetDisconnectedCB(options, raise_closure, lost));
    OK(natsOptions_SetReconnectedCB(options, raise_closure, back));
    return open_connection(options);
}

static void check_restart(void)
{
    static struct tally lost[2] = {TALLY_INIT, TALLY_INIT}, back[2] = {TALLY_INIT, TALLY_INIT};
    natsConnection *nc = connect_watched(&lost[0], &back[0]);
    natsConnection *other = connect_watched(&lost[1], &back[1]);
    natsSubscription *subs[2];
    natsMsg *reply = NULL;

    subs[0] = subscribe(nc, "restart.*", NULL, NULL, NULL);
    subs[1] = subscribe(nc, "restart.>", "workers", NULL, NULL);
    subscribe(nc, "again", NULL, serve, NULL);
    flush(nc);
    /* The first request makes the inbox subscription that has to survive. */
    OK(natsConnection_RequestString(&reply, other, "again", "1", DEADLINE_MS));
    expect_data(reply, "re: 1", 5);
    restart_server();
    for (size_t i = 0; i < 2; i++) {
        if (tally_wait(&lost[i], 1) < 1 || tally_wait(&back[i], 1) < 1)
            fail("no disconnect or no reconnect was reported");
    }
    flush(nc);
    OK(natsConnection_PublishString(other, "restart.after", "here"));
    OK(natsConnection_RequestString(&reply, other, "again", "2", DEADLINE_MS));
    expect_data(reply, "re: 2", 5);
    flush(nc);
    for (size_t i = 0; i < 2; i++) {
        expect_data(next(subs[i]), "here", 4);
        expect_nothing_waiting(subs[i]);
    }
}

static void close_everything(void)
{
    while (open_sub_count > 0)
        natsSubscription_Destroy(open_subs[--open_sub_count]);
    while (open_conn_count > 0)
        natsConnection_Destroy(open_conns[--open_conn_count]);
}

static void run_check(const char *name, void (*check)(void))
{
    if (setjmp(check_end) == 0) {
        check();
        printf("ok %s\n", name);
    } else {
        printf("not ok %s %s\n", name, check_reason);
    }
    close_everything();
}

int main(void)
{
    static const struct {
        const char *name;
        void (*check)(void);
    } checks[] = {
        {"connect", check_connect},
        {"wildcards", check_wildcards},
        {"queue_group", check_queue_group},
        {"headers", check_headers},
        {"request_reply", check_request_reply},
        {"request_timeout", check_request_timeout},
        {"no_responders", check_no_responders},
        {"drain_subscription", check_drain_subscription},
        {"drain_connection", check_drain_connection},
        {"auto_unsubscribe", check_auto_unsubscribe},
        {"payload_max", check_payload_max},
        {"payload_over_max", check_payload_over_max},
        {"ping", check_ping},
        {"user_password", check_user_password},
        {"token", check_token},
        {"wrong_credentials", check_wrong_credentials},
        {"tls", check_tls},
        {"nkey", check_nkey},
        {"creds", check_creds},
        {"certificate_map", check_certificate_map},
        {"restart", check_restart},
    };

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < COUNT(checks); i++)
        run_check(checks[i].name, checks[i].check);
    nats_Close();
    return 0;
}
