/* The fanout door when things are refused: each allocation and system call once, and from one on.
 *
 * While something is refused clients come, subscribe, announce, ask and go. Then the door is held
 * to its word: who has had the answer to what it asked behind its subscription hears what is
 * announced, or has been closed; a fresh client is served; nobody is counted who has gone; and the
 * server leaves nothing behind. */
#include "support/check.h"
#include "support/host.h"
#include "support/peer.h"

#include "base/fault.h"
#include "server/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CLIENTS = 4,
    LINE_BYTES = 100000,
    LONG_BYTES = 40000,
    QUIET_ROUNDS_END = 3,
    ROUNDS_MAX = 2000,
};

struct client {
    int fd; /* -1: gone */
    bool subscribed;
    size_t len;
    char bytes[LINE_BYTES];
};

struct stage {
    host host;
    uint16_t port;
    struct client clients[CLIENTS];
};

static const char *const options[] = {"--threads=2", "--fanout=127.0.0.1:-1", NULL};

/* --- a client ----------------------------------------------------------------------------- */

static void leave(struct client *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
    c->subscribed = false;
}

static void say(struct client *c, const char *text)
{
    size_t len = strlen(text);

    while (c->fd >= 0 && len) {
        ssize_t n = send(c->fd, text, len, MSG_NOSIGNAL);

        if (n < 0) {
            leave(c);
            return;
        }
        text += n;
        len -= (size_t)n;
    }
}

/* The next line, without its end; NULL: it has been closed. Good until the next call. */
static const char *hear(struct client *c)
{
    static char line[LINE_BYTES];
    char *end = NULL;

    while (c->fd >= 0 && !(end = memchr(c->bytes, '\n', c->len))) {
        ssize_t n;

        REQUIRE(check_poll(c->fd, CHECK_WAIT_MS), "something comes");
        REQUIRE(c->len < sizeof(c->bytes), "a line ends");
        n = recv(c->fd, c->bytes + c->len, sizeof(c->bytes) - c->len, 0);
        if (n <= 0)
            leave(c);
        else
            c->len += (size_t)n;
    }
    if (c->fd < 0)
        return NULL;
    memcpy(line, c->bytes, (size_t)(end - c->bytes));
    line[end - c->bytes] = '\0';
    c->len -= (size_t)(end + 1 - c->bytes);
    memmove(c->bytes, end + 1, c->len);
    return line;
}

/* Everything up to that line. False: closed. */
static bool hear_until(struct client *c, const char *wanted)
{
    const char *line;

    do {
        line = hear(c);
    } while (line && strcmp(line, wanted) != 0);
    return line != NULL;
}

/* All that was said before has been dealt with. False: closed. */
static bool barrier(struct client *c)
{
    const char *line;

    say(c, "ping\n");
    do {
        line = hear(c);
    } while (line && !(strlen(line) >= 10 && strspn(line, "0123456789") == strlen(line)));
    return line != NULL;
}

static void come(struct client *c, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    const char *line;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->len = 0;
    c->subscribed = false;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(c->fd >= 0, "a socket");
    if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        leave(c);
        return;
    }
    line = hear(c);
    if (line && strcmp(line, "debug!connected...") != 0) {
        REQUIRE(strcmp(line, "debug!busy") == 0, "greeted with %s", line);
        leave(c);
    }
}

static void came_at(struct client *c, uint16_t port)
{
    come(c, port);
    REQUIRE(c->fd >= 0, "it is served");
}

/* --- a round ------------------------------------------------------------------------------ */

static void act(struct stage *stage)
{
    static char text[LONG_BYTES + 64];
    peer nats = {.fd = -1};
    bool known;

    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *c = &stage->clients[i];

        come(c, stage->port);
        say(c, "subscribe c\nsubscribe d\nunsubscribe d\n");
        c->subscribed = barrier(c);
    }
    known = peer_try_open(&nats, stage->host.port);
    if (known)
        (void)peer_printf(&nats, "SUB fanout.* 1\r\nPUB fanout.c 2\r\nhi\r\n");
    (void)snprintf(text, sizeof(text), "announce c %0*d\n", LONG_BYTES, 7);
    say(&stage->clients[0], text);
    say(&stage->clients[1], "announce c x\nannounce all y\ninfo\nsubscribe e\nannounce c cut ");
    (void)barrier(&stage->clients[0]);
    say(&stage->clients[1], "here\n");
    for (size_t i = 0; i < CLIENTS; i++)
        (void)barrier(&stage->clients[i]);
    if (known)
        (void)peer_barrier(&nats);
    peer_close(&nats);
    leave(&stage->clients[CLIENTS - 1]);
}

static bool is_alone(void *arg)
{
    struct client *c = arg;
    const char *line;

    say(c, "info\n");
    do {
        line = hear(c);
        REQUIRE(line, "it is answered");
    } while (strncmp(line, "current connections: ", 21) != 0);
    return strcmp(line, "current connections: 1") == 0;
}

static void hold_to_its_word(struct stage *stage)
{
    struct client fresh;

    came_at(&fresh, stage->port);
    say(&fresh, "subscribe c\n");
    REQUIRE(barrier(&fresh), "and answered");
    say(&fresh, "announce c the end\n");
    REQUIRE(hear_until(&fresh, "c!the end"), "and hears itself");
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *c = &stage->clients[i];

        if (c->subscribed && barrier(c))
            say(&fresh, "announce c for all\n");
        if (c->subscribed)
            (void)hear_until(c, "c!for all"); /* or it is closed */
        leave(c);
    }
    check_until(is_alone, &fresh, "nobody to be counted who has gone");
    leave(&fresh);
    host_wait_empty(&stage->host);
    host_stop(&stage->host);
}

static bool play(const char *point, uint64_t nth, bool sticky)
{
    static struct stage stage;
    bool fired;

    if (getenv("PIPIT_TEST_LOG"))
        check_note("%s %llu", point, (unsigned long long)nth);
    for (size_t i = 0; i < CLIENTS; i++)
        stage.clients[i].fd = -1;
    host_start(&stage.host, options);
    stage.port = stage.host.server->fanout.port;
    if (sticky)
        pp_fault_arm_from(point, nth);
    else
        pp_fault_arm(point, nth);
    act(&stage);
    fired = pp_fault_disarm();
    hold_to_its_word(&stage);
    return fired;
}

static void sweep(const char *point, bool sticky, uint64_t step)
{
    unsigned quiet = 0;
    uint64_t refused = 0;

    pp_fault_exempt_thread(true);
    for (uint64_t nth = 1; quiet < QUIET_ROUNDS_END; nth += step) {
        bool fired = play(point, nth, sticky);

        REQUIRE(nth < ROUNDS_MAX, "the sweep of %s comes to an end", point);
        quiet = fired ? 0 : quiet + 1;
        refused += fired;
    }
    check_note("%s refused in %llu rounds", point, (unsigned long long)refused);
    REQUIRE(refused, "%s is refused at all", point);
}

static void refuse_alloc(void)
{
    sweep("alloc", false, 1);
}

static void refuse_alloc_from(void)
{
    sweep("alloc", true, 3);
}

static void refuse_accept(void)
{
    sweep("accept", false, 1);
}

static void refuse_epoll(void)
{
    sweep("epoll_ctl", false, 1);
}

static void refuse_recv(void)
{
    sweep("recv", false, check_sanitized() ? 7 : 2);
}

static void refuse_send(void)
{
    sweep("send", false, check_sanitized() ? 7 : 2);
}

static void send_short(void)
{
    sweep("send_short", false, check_sanitized() ? 7 : 2);
}

/* The kernel takes one of the lines that were given to it at once: the others follow, in order. */
static void one_line_at_a_time(void)
{
    enum { LINES = 200 };
    static struct client listener, speaker;
    static char text[LINES * 32];
    char line[32];
    size_t len = 0;
    host h;

    pp_fault_exempt_thread(true);
    host_start(&h, options);
    came_at(&listener, h.server->fanout.port);
    came_at(&speaker, h.server->fanout.port);
    say(&listener, "subscribe c\n");
    REQUIRE(barrier(&listener), "it is subscribed");
    for (unsigned i = 0; i < LINES; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "announce c %u\n", i);
    pp_fault_arm_from("send_each", 1);
    say(&speaker, text);
    for (unsigned i = 0; i < LINES; i++) {
        const char *heard;

        do {
            heard = hear(&listener);
        } while (heard && strncmp(heard, "c!", 2) != 0);
        (void)snprintf(line, sizeof(line), "c!%u", i);
        REQUIRE(heard && strcmp(heard, line) == 0, "%s is next, not %s", line, heard);
    }
    REQUIRE(pp_fault_disarm(), "several lines were given at once");
    leave(&listener);
    leave(&speaker);
    host_stop(&h);
}

/* --- silence ------------------------------------------------------------------------------ */

static pp_fanout_settings impatient;

static void lose_patience(pp_worker *worker)
{
    worker->server->fanout.shared.contexts[worker->loop.index].settings = &impatient;
}

/* Configurations give clients six minutes at least; here it is less. */
static void silent_clients_are_closed(void)
{
    static struct client silent, busy;
    host h;
    int64_t began_ns;

    host_start(&h, options);
    impatient = *h.server->fanout.shared.contexts[0].settings;
    impatient.idle_ns = 3000000000;
    pp_server_on_all(h.server, lose_patience);
    began_ns = check_now_ns();
    came_at(&silent, h.server->fanout.port);
    came_at(&busy, h.server->fanout.port);
    while (!check_poll(silent.fd, 50))
        REQUIRE(barrier(&busy), "who says something stays");
    REQUIRE(!hear(&silent), "who says nothing is closed");
    REQUIRE(check_now_ns() - began_ns >= 2900000000, "not before its time");
    leave(&busy);
    host_stop(&h);
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"alloc", refuse_alloc, 90},
        {"alloc_from", refuse_alloc_from, 90},
        {"accept", refuse_accept, 60},
        {"epoll_ctl", refuse_epoll, 60},
        {"recv", refuse_recv, 60},
        {"send", refuse_send, 60},
        {"send_short", send_short, 60},
        {"one_line_at_a_time", one_line_at_a_time, 60},
        {"silent_clients_are_closed", silent_clients_are_closed, 60},
    };

    return scenarios_run(scenarios, COUNT_OF(scenarios), argc, argv);
}
