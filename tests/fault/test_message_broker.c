/* The message-broker door when things are refused: each allocation and system call once, and from
 * one on.
 *
 * While something is refused clients publish, subscribe, acknowledge and go. Then the door is held
 * to its word: a fresh topic is served; what has been stored is whole and in order, for another
 * server, too; and this one leaves nothing behind. */
#include "support/check.h"
#include "support/host.h"

#include "base/fault.h"
#include "server/server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MESSAGES = 4,
    LONG_BYTES = 50000,
    QUIET_ROUNDS_END = 3,
    ROUNDS_MAX = 2000,
};

/* A topic's name of four bytes: no message begins like a status. */
#define TOPIC "abcd"
#define LIST "\0\0\0\x08[\"abcd\"]"

struct client {
    int fd; /* -1: gone */
};

struct stage {
    host host;
    uint16_t port;
};

static const char *const options[] = {"--threads=2", "--message-broker=127.0.0.1:-1", NULL};

/* --- a client ----------------------------------------------------------------------------- */

static void leave(struct client *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
}

static void come(struct client *c, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(c->fd >= 0, "a socket");
    if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        leave(c);
}

static void say(struct client *c, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (c->fd >= 0 && len) {
        ssize_t n = send(c->fd, at, len, MSG_NOSIGNAL);

        if (n < 0) {
            leave(c);
            return;
        }
        at += n;
        len -= (size_t)n;
    }
}

/* False: it has been closed. */
static bool hear(struct client *c, void *out, size_t len)
{
    char *to = out;

    while (c->fd >= 0 && len) {
        ssize_t n;

        REQUIRE(check_poll(c->fd, CHECK_WAIT_MS), "something comes");
        n = recv(c->fd, to, len, 0);
        if (n <= 0) {
            leave(c);
            break;
        }
        to += n;
        len -= (size_t)n;
    }
    return c->fd >= 0;
}

static unsigned number(const unsigned char *bytes, size_t len)
{
    unsigned value = 0;

    for (size_t i = 0; i < len; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* A message is its number, and dots. */
static void publish(struct client *c, const char *topic, char what, size_t len)
{
    static char frame[LONG_BYTES + 64];
    size_t at = (size_t)sprintf(frame + 2, "topic:%s", topic);

    frame[0] = 0;
    frame[1] = (char)at;
    at += 2;
    frame[at++] = 0;
    frame[at++] = (char)(len >> 16);
    frame[at++] = (char)(len >> 8 & 0xff);
    frame[at++] = (char)(len & 0xff);
    memset(frame + at, '.', len);
    frame[at] = what;
    say(c, frame, at + len);
}

/* All that was published has been dealt with: the answer to a topic that is none comes behind. */
static void await_dealt_with(struct client *c)
{
    unsigned char head[4];
    char text[65536];
    size_t len = 0;

    say(c, "\0\4none\0\0\0\0", 10);
    do {
        if (!hear(c, head, sizeof(head)))
            return;
        REQUIRE(number(head, 2) == 3, "a publisher gets errors only");
        len = number(head + 2, 2);
    } while (hear(c, text, len) && (len < 6 || memcmp(text + len - 6, "prefix", 6) != 0));
}

/* What a subscriber is told next: 1 to 3 are statuses, 4 is a message. 0: the end. */
static unsigned next(struct client *c, char *out_what)
{
    unsigned char head[LONG_BYTES];
    unsigned kind;

    if (!hear(c, head, 2))
        return 0;
    kind = number(head, 2);
    if (kind == 3 && hear(c, head, 2))
        (void)hear(c, head, number(head, 2));
    if (kind == 4) {
        if (!hear(c, head, 4 + 8))
            return 0;
        REQUIRE(memcmp(head, TOPIC, 4) == 0, "of the topic");
        if (!hear(c, head, number(head + 8, 4)))
            return 0;
        *out_what = (char)head[0];
    }
    return c->fd >= 0 ? kind : 0;
}

/* Take messages until what is asked is answered: in order, though some may have been refused. */
static unsigned take(struct client *c)
{
    char wanted = '0', what;
    unsigned kind, count = 0;

    say(c, "\0\2\0\0\0\2[]", 8);
    while ((kind = next(c, &what)) == 4) {
        REQUIRE(what >= wanted, "message %c or one behind it comes, not %c", wanted, what);
        wanted = (char)(what + 1);
        count++;
        say(c, "\0\4", 2);
    }
    REQUIRE(kind == 0 || kind == 2, "status %u", kind);
    return count;
}

/* --- a round ------------------------------------------------------------------------------ */

static void act(struct stage *stage)
{
    struct client pub, sub, late;
    char what;

    come(&sub, stage->port);
    say(&sub, "\0\1" LIST "\0\0", 16);
    if (sub.fd >= 0 && next(&sub, &what) != 1)
        leave(&sub); /* it could not be */
    come(&pub, stage->port);
    say(&pub, "\0\3", 2);
    for (unsigned i = 0; i < MESSAGES; i++)
        publish(&pub, TOPIC, (char)('0' + i), i == 2 ? LONG_BYTES : 10);
    await_dealt_with(&pub);
    come(&late, stage->port);
    say(&late, "\0\1" LIST "\0\0", 16);
    if (late.fd >= 0 && next(&late, &what) == 1)
        say(&late, "\0\5", 2);
    leave(&late);
    leave(&pub);
    leave(&sub);
}

static void hold_to_its_word(struct stage *stage)
{
    struct client pub, sub;
    char what = '0';
    unsigned kind;

    come(&sub, stage->port);
    come(&pub, stage->port);
    say(&sub, "\0\1\0\0\0\x08[\"abcd\"]\0\1", 16);
    kind = next(&sub, &what);
    REQUIRE(kind == 1 || kind == 3, "it is answered"); /* the topic may be one that failed */
    leave(&sub);
    say(&pub, "\0\3", 2);
    come(&sub, stage->port);
    say(&sub, "\0\1\0\0\0\x09[\"after\"]\0\1", 17);
    REQUIRE(next(&sub, &what) == 1, "a fresh topic is served");
    publish(&pub, "after", 'z', 1);
    {
        static const char frame[] = "\0\5after\0\0\0\0\0\0\0\1z";
        char got[sizeof(frame) - 1];

        REQUIRE(hear(&sub, got, sizeof(got)), "a message comes");
        REQUIRE(memcmp(got, frame, sizeof(got)) == 0, "and is the one");
    }
    say(&sub, "\0\4", 2);
    leave(&sub);
    leave(&pub);
    host_wait_empty(&stage->host);
    host_stop(&stage->host);
}

/* What is on disk is of what was published, whole and in order. */
static void look_again(void)
{
    struct client sub;
    char what = '0';
    host h;

    host_start(&h, options);
    come(&sub, h.server->message_broker.port);
    say(&sub, "\0\1" LIST "\0\0", 16);
    REQUIRE(next(&sub, &what) == 1, "the topic is there");
    (void)take(&sub);
    leave(&sub);
    host_stop(&h);
}

static void remove_all(const char *path)
{
    char below[1024];
    struct dirent *entry;
    DIR *dir = opendir(path);

    while (dir && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
        if (unlink(below) < 0)
            remove_all(below);
    }
    if (dir)
        (void)closedir(dir);
    (void)rmdir(path);
}

static bool play(const char *point, uint64_t nth, bool sticky)
{
    struct stage stage;
    bool fired;

    if (getenv("PIPIT_TEST_LOG"))
        check_note("%s %llu", point, (unsigned long long)nth);
    host_start(&stage.host, options);
    stage.port = stage.host.server->message_broker.port;
    if (sticky)
        pp_fault_arm_from(point, nth);
    else
        pp_fault_arm(point, nth);
    act(&stage);
    fired = pp_fault_disarm();
    hold_to_its_word(&stage);
    look_again();
    remove_all("pipit-data");
    return fired;
}

static void sweep(const char *point, bool sticky, uint64_t step)
{
    char folder[] = "/tmp/pipit-broker-XXXXXX";
    unsigned quiet = 0;
    uint64_t refused = 0;

    REQUIRE(mkdtemp(folder) && chdir(folder) == 0, "a folder");
    pp_fault_exempt_thread(true);
    for (uint64_t nth = 1; quiet < QUIET_ROUNDS_END; nth += step) {
        bool fired = play(point, nth, sticky);

        REQUIRE(nth < ROUNDS_MAX, "the sweep of %s comes to an end", point);
        quiet = fired ? 0 : quiet + 1;
        refused += fired;
    }
    remove_all(folder);
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

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"alloc", refuse_alloc, 180},    {"alloc_from", refuse_alloc_from, 180},
        {"recv", refuse_recv, 120},      {"send", refuse_send, 120},
        {"send_short", send_short, 120},
    };

    return scenarios_run(scenarios, COUNT_OF(scenarios), argc, argv);
}
