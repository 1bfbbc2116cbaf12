/* Logins that somebody else decides on, a callout service and operators' tokens, with everything
 * refused once in every place where it is asked for.
 *
 * A round lets one client log in while the nth arrival at a fault point fails. Whatever became of
 * it, the next one is let in, as whom the answer says; the server stops, and leaves nothing. */
#include "support/check.h"
#include "support/host.h"
#include "support/peer.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "server/server.h"
#include "token.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { QUIET_ROUNDS_END = 3, ROUNDS_MAX = 1000 };

/* How long whoever logs in has: short, since some of the rounds wait for its end. A machine that
 * stands still for so long may keep out one who is right; so that is tried again, but only if it
 * took as long. */
enum { LOGIN_MS = 300, TRIES_MAX = 50 };

static test_key issuer, operator_key, account_key, user_key;

/* --- configurations ------------------------------------------------------------------------ */

static void write_callout(FILE *file)
{
    (void)fprintf(file,
                  "accounts { AUTH { users: [ {user: auth, password: auth} ] }, APP {} }\n"
                  "authorization { timeout: 0.%d, auth_callout { issuer: %s, account: AUTH, "
                  "auth_users: [ auth ] } }\n",
                  LOGIN_MS / 100, issuer.text);
}

static char *bearer(void)
{
    char json[512];

    (void)snprintf(
        json, sizeof(json),
        "{\"sub\":\"%s\",\"name\":\"joe\",\"iat\":1,\"nats\":{\"pub\":{\"allow\":[\"a.>\"]},"
        "\"sub\":{},\"subs\":-1,\"data\":-1,\"payload\":-1,\"bearer_token\":true,"
        "\"type\":\"user\",\"version\":2}}",
        user_key.text);
    return test_token_of(json, &account_key);
}

static void write_operators(FILE *file)
{
    char json[512];
    char *operator_token, *account_token;

    (void)snprintf(json, sizeof(json),
                   "{\"sub\":\"%s\",\"name\":\"op\",\"iat\":1,\"nats\":{\"type\":\"operator\","
                   "\"version\":2}}",
                   operator_key.text);
    operator_token = test_token_of(json, &operator_key);
    (void)snprintf(json, sizeof(json),
                   "{\"sub\":\"%s\",\"name\":\"acc\",\"iat\":1,\"nats\":{\"limits\":{\"subs\":-1,"
                   "\"data\":-1,\"payload\":-1,\"imports\":-1,\"exports\":-1,\"conn\":-1,"
                   "\"leaf\":-1,\"wildcards\":true},\"type\":\"account\",\"version\":2}}",
                   account_key.text);
    account_token = test_token_of(json, &operator_key);
    (void)fprintf(file, "operator: %s\nresolver: MEMORY\nresolver_preload { %s: %s }\n",
                  operator_token, account_key.text, account_token);
    free(operator_token);
    free(account_token);
}

/* --- the service --------------------------------------------------------------------------- */

typedef struct service {
    peer peer;
    pthread_t thread;
    char server_id[64];
} service;

/* The key that a request is about is the last token of its reply subject. */
static char *answer(const service *s, const char *reply)
{
    const char *key = strrchr(reply, '.') + 1;
    char json[2048];
    char *user;

    (void)snprintf(json, sizeof(json),
                   "{\"sub\":\"%s\",\"aud\":\"APP\",\"name\":\"joe\",\"iat\":1,\"nats\":{\"pub\":{"
                   "\"allow\":[\"a.>\"]},\"sub\":{},\"subs\":-1,\"data\":-1,\"payload\":-1,"
                   "\"type\":\"user\",\"version\":2}}",
                   key);
    user = test_token_of(json, &issuer);
    (void)snprintf(json, sizeof(json),
                   "{\"sub\":\"%s\",\"aud\":\"%s\",\"iat\":1,\"nats\":{\"jwt\":\"%s\","
                   "\"type\":\"authorization_response\",\"version\":2}}",
                   key, s->server_id, user);
    free(user);
    return test_token_of(json, &issuer);
}

static void *serve(void *arg)
{
    service *s = arg;
    peer_event event;

    while (peer_next_msg(&s->peer, &event)) {
        char subject[256];
        char *token;

        if (!event.reply)
            continue; /* a complaint: somebody was kept out */
        (void)snprintf(subject, sizeof(subject), "%s", event.reply);
        token = answer(s, subject);
        (void)peer_publish(&s->peer, subject, token, strlen(token));
        free(token);
    }
    return NULL;
}

/* False: closed. */
static bool say_and_wait(peer *p, const char *text)
{
    peer_event event;
    peer_kind kind = PEER_CLOSED;

    if (peer_printf(p, "%sPING\r\n", text)) {
        do
            kind = peer_next(p, &event);
        while (kind != PEER_CLOSED && kind != PEER_PONG);
    }
    return kind == PEER_PONG;
}

/* Whoever says so is let in, if need be after some tries; *p stays open. */
static void let_in(peer *p, const host *h, const char *text, const char *what)
{
    for (unsigned tries = 1;; tries++) {
        int64_t begin_ns = check_now_ns();

        peer_dial(p, h->port, 0);
        if (say_and_wait(p, text))
            return;
        peer_close(p);
        REQUIRE(check_now_ns() - begin_ns >= LOGIN_MS * PP_NS_PER_MS && tries < TRIES_MAX,
                "%s is let in", what);
    }
}

static void service_start(service *s, const host *h)
{
    (void)snprintf(s->server_id, sizeof(s->server_id), "%s", h->server->server_id);
    let_in(&s->peer, h,
           "CONNECT {\"user\":\"auth\",\"pass\":\"auth\"}\r\n"
           "SUB $SYS.REQ.USER.AUTH 1\r\n"
           "SUB $SYS.ACCOUNT.CLIENT.AUTH.ERR 2\r\n",
           "the service");
    REQUIRE(pthread_create(&s->thread, NULL, serve, s) == 0, "a thread");
}

static void service_stop(service *s)
{
    (void)shutdown(s->peer.fd, SHUT_RDWR);
    REQUIRE(pthread_join(s->thread, NULL) == 0, "the service ends");
    peer_close(&s->peer);
}

/* --- rounds -------------------------------------------------------------------------------- */

/* Returns whether something was refused. */
static bool play(const char *file, const char *connect, bool with_service, uint64_t nth)
{
    const char *const options[] = {"--threads=2", "--config", file, NULL};
    char what[64];
    peer guest;
    service s;
    bool fired;
    host h;

    (void)snprintf(what, sizeof(what), "the one after round %llu", (unsigned long long)nth);
    host_start(&h, options);
    if (with_service)
        service_start(&s, &h);
    pp_fault_arm("*", nth);
    peer_dial(&guest, h.port, 0);
    (void)say_and_wait(&guest, connect);
    peer_close(&guest);
    fired = pp_fault_disarm();
    if (with_service) { /* it may have been closed */
        service_stop(&s);
        service_start(&s, &h);
    }
    let_in(&guest, &h, connect, what);
    peer_close(&guest);
    if (with_service)
        service_stop(&s);
    host_wait_empty(&h);
    host_stop(&h);
    return fired;
}

static void sweep(void (*write)(FILE *file), const char *connect, bool with_service)
{
    char path[64];
    const char *base = getenv("TMPDIR");
    unsigned quiet = 0;
    uint64_t nth, refused = 0;
    FILE *file;
    int fd;

    (void)snprintf(path, sizeof(path), "%.40s/pipit-XXXXXX", base ? base : "/tmp");
    fd = mkstemp(path);
    file = fd < 0 ? NULL : fdopen(fd, "w");
    REQUIRE(file, "a file");
    write(file);
    REQUIRE(fclose(file) == 0, "it is written");
    for (nth = 1; quiet < QUIET_ROUNDS_END; nth++) {
        bool fired = play(path, connect, with_service, nth);

        REQUIRE(nth < ROUNDS_MAX, "it comes to an end");
        quiet = fired ? 0 : quiet + 1;
        refused += fired;
    }
    check_note("%llu times something was refused", (unsigned long long)refused);
    REQUIRE(refused > 10, "it is asked for much");
    (void)unlink(path);
}

static void make_keys(void)
{
    test_key_make(&issuer, 'A', 1);
    test_key_make(&operator_key, 'O', 2);
    test_key_make(&account_key, 'A', 3);
    test_key_make(&user_key, 'U', 4);
}

static void sweep_callout(void)
{
    make_keys();
    sweep(write_callout, "CONNECT {\"user\":\"joe\",\"pass\":\"x\"}\r\n", true);
}

static void sweep_operators(void)
{
    char connect[2048];
    char *token;

    make_keys();
    token = bearer();
    (void)snprintf(connect, sizeof(connect), "CONNECT {\"jwt\":\"%s\"}\r\n", token);
    free(token);
    sweep(write_operators, connect, false);
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"callout", sweep_callout, 240},
        {"operators", sweep_operators, 120},
    };

    return scenarios_run(scenarios, COUNT_OF(scenarios), argc, argv);
}
