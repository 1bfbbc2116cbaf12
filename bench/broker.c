/* broker.c -- publishers of message-broker, each with a topic of its own: from the first frame
 * until a subscriber of each topic has been given the last message of it. A server that writes to
 * disk before it delivers has all of them there then.
 *
 * With --deliver a subscriber of each topic is there from the beginning, and is given all of them.
 *
 * A publisher is never answered, so each ends with a topic that is none: the error says that what
 * came before has been read. Only then is the subscriber made, who asks for the last message by its
 * place; places have 16 bits, hence the most messages.
 *
 * Clients of the original write each message by itself; --batch writes so many bytes at once, as
 * only a server can take them that does not expect a frame to come in one piece. The original does:
 * with more than a segment under way it loses its place sooner or later. A --window keeps it below.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fatal.h"
#include "process.h"

enum { PUBLISHERS_MAX = 256, MESSAGES_MAX = 65536, FRAME_HEAD_MAX = 64 };

static struct settings {
    uint16_t port;
    unsigned publishers;
    unsigned messages;
    unsigned size;
    unsigned batch;  /* bytes; 0: each message by itself */
    unsigned window; /* messages, and then it is waited until they have been read; 0: never */
    bool deliver;    /* all of them, and not the last one only */
    pid_t pid;       /* of the server; 0: not known */
} settings = {.publishers = 8, .messages = MESSAGES_MAX, .size = 64};

static pthread_barrier_t start;

static int dial(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(settings.port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        bench_fatal("cannot connect to port %u", settings.port);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static void send_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

        if (n <= 0)
            bench_fatal("the server has closed a publisher");
        bytes += n;
        len -= (size_t)n;
    }
}

static void receive_all(int fd, char *bytes, size_t len)
{
    while (len) {
        ssize_t n = recv(fd, bytes, len, 0);

        if (n <= 0)
            bench_fatal("the server has closed a connection that waited");
        bytes += n;
        len -= (size_t)n;
    }
}

static size_t put(char *to, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (char)(value >> (8 * (bytes - 1 - i)) & 0xff);
    return bytes;
}

/* Its last bytes are the message's number. */
static size_t put_message(char *to, const char *topic, uint32_t number)
{
    size_t name = strlen("topic:") + strlen(topic), len = put(to, name, 2);

    len += (size_t)sprintf(to + len, "topic:%s", topic);
    len += put(to + len, settings.size, 4);
    memset(to + len, 'x', settings.size);
    (void)put(to + len + settings.size - 4, number, 4);
    return len + settings.size;
}

/* Until the server says that it has come to this. */
static void await_error(int fd)
{
    char status[4], text[1024];

    send_all(fd, "\0\4none\0\0\0\0", 10);
    receive_all(fd, status, sizeof(status));
    if (status[1] != 3)
        bench_fatal("a publisher was told %d", status[1]);
    receive_all(fd, text, (size_t)(unsigned char)status[3]);
    if (!strstr(text, "prefix"))
        bench_fatal("a publisher was told: %.*s", status[3], text);
}

static void publish_all(int fd, const char *topic)
{
    size_t room = settings.batch + FRAME_HEAD_MAX + settings.size, len = 0;
    char *frames = bench_alloc(room, 1);

    for (uint32_t i = 0; i < settings.messages; i++) {
        len += put_message(frames + len, topic, i);
        if (len >= settings.batch || i + 1 == settings.messages) {
            send_all(fd, frames, len);
            len = 0;
        }
        if (settings.window && (i + 1) % settings.window == 0)
            await_error(fd);
    }
    free(frames);
}

/* Subscribe; type 1: to what comes, 2: from a place. */
static int subscribe(const char *topic, unsigned type, unsigned place)
{
    char request[FRAME_HEAD_MAX], status[2];
    int fd = dial(), json = snprintf(request + 6, sizeof(request) - 10, "[\"%s\"]", topic);
    size_t len = 6 + (size_t)json;

    (void)put(request, 1, 2);
    (void)put(request + 2, (uint64_t)json, 4);
    len += put(request + len, type, 2);
    if (type == 2)
        len += put(request + len, place, 2);
    send_all(fd, request, len);
    receive_all(fd, status, sizeof(status));
    if (memcmp(status, "\0\1", 2) != 0)
        bench_fatal("a subscriber was told %d", status[1]);
    return fd;
}

/* Take so many messages, and acknowledge them. Returns the number of the last. */
static uint32_t take(int fd, const char *topic, unsigned count)
{
    size_t len = 2 + strlen(topic) + 8 + settings.size;
    char *frame = bench_alloc(len, 1);
    const unsigned char *number = (unsigned char *)frame + len - 4;
    uint32_t last = 0;

    for (unsigned i = 0; i < count; i++) {
        receive_all(fd, frame, len);
        send_all(fd, "\0\4", 2);
    }
    for (unsigned i = 0; i < 4; i++)
        last = last << 8 | number[i];
    free(frame);
    return last;
}

static void await_last(const char *topic)
{
    int fd = subscribe(topic, 2, settings.messages - 1);

    if (take(fd, topic, 1) != settings.messages - 1)
        bench_fatal("the last message of %s is another", topic);
    (void)close(fd);
}

static void *subscriber(void *arg)
{
    char topic[32];
    int fd;

    (void)snprintf(topic, sizeof(topic), "bench-%zu", (size_t)(uintptr_t)arg);
    fd = subscribe(topic, 1, 0);
    (void)pthread_barrier_wait(&start);
    (void)take(fd, topic, settings.messages); /* the original gives them in any order */
    (void)close(fd);
    return NULL;
}

static void *publisher(void *arg)
{
    char topic[32];
    int fd = dial();

    (void)snprintf(topic, sizeof(topic), "bench-%zu", (size_t)(uintptr_t)arg);
    send_all(fd, "\0\3", 2);
    (void)pthread_barrier_wait(&start);
    publish_all(fd, topic);
    await_error(fd);
    if (!settings.deliver)
        await_last(topic);
    return (void *)(uintptr_t)fd; /* the original spins when a publisher goes */
}

static bool take_option(const char *arg)
{
    static const struct {
        const char *name;
        unsigned *value;
    } options[] = {{"--publishers=", &settings.publishers},
                   {"--messages=", &settings.messages},
                   {"--size=", &settings.size},
                   {"--batch=", &settings.batch},
                   {"--window=", &settings.window}};

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        size_t len = strlen(options[i].name);

        if (strncmp(arg, options[i].name, len) == 0) {
            *options[i].value = (unsigned)strtoul(arg + len, NULL, 10);
            return true;
        }
    }
    if (strcmp(arg, "--deliver") == 0)
        settings.deliver = true;
    else if (strncmp(arg, "--pid=", 6) == 0)
        settings.pid = (pid_t)strtol(arg + 6, NULL, 10);
    else
        settings.port = (uint16_t)strtoul(arg, NULL, 10);
    return true;
}

static bool options_good(void)
{
    return settings.port && settings.publishers && settings.publishers <= PUBLISHERS_MAX &&
           settings.messages && settings.messages <= MESSAGES_MAX && settings.size >= 4;
}

int main(int argc, char **argv)
{
    pthread_t threads[2 * PUBLISHERS_MAX];
    bench_instant before, after;
    double seconds, messages;
    unsigned count;

    for (int i = 1; i < argc; i++)
        (void)take_option(argv[i]);
    if (!options_good()) {
        (void)fprintf(stderr,
                      "usage: pipit-bench-broker PORT [--publishers=N] [--messages=N] "
                      "[--size=BYTES] [--batch=BYTES] [--window=N] [--deliver] [--pid=SERVER]\n");
        return 2;
    }
    count = settings.publishers * (settings.deliver ? 2 : 1);
    (void)pthread_barrier_init(&start, NULL, count + 1);
    for (unsigned i = 0; i < count; i++) {
        bool publishes = i < settings.publishers;

        if (pthread_create(&threads[i], NULL, publishes ? publisher : subscriber,
                           (void *)(uintptr_t)(i % settings.publishers)) != 0)
            bench_fatal("no threads");
    }
    before = bench_instant_take(settings.pid);
    (void)pthread_barrier_wait(&start);
    for (unsigned i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
    after = bench_instant_take(settings.pid);
    seconds = (double)(after.time_ns - before.time_ns) / 1e9;
    messages = (double)settings.publishers * settings.messages;
    (void)printf("{\"messages\": %.0f, \"seconds\": %.4f, \"messages_per_s\": %.0f, "
                 "\"server_cpu_s_per_million\": %.4f}\n",
                 messages, seconds, messages / seconds,
                 (double)(after.server_cpu_ns - before.server_cpu_ns) / 1e3 / messages);
    return 0;
}
