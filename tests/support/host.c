#include "support/host.h"

#include "support/check.h"
#include "support/peer.h"

#include "base/alloc.h"
#include "base/random.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OPTIONS_MAX = 16, LARGE_BYTES = 300000 };

static void print_log(void *context, pipit_log_level level, const char *text)
{
    (void)context;
    if (level <= PIPIT_LOG_ERROR || getenv("PIPIT_TEST_LOG"))
        check_note("server: %s", text);
}

void host_start(host *h, const char *const *options)
{
    const char *all[OPTIONS_MAX] = {"--addr=127.0.0.1", "--port=-1"};
    size_t count = 2;
    char error[512];
    pipit_err err;

    while (options && *options) {
        REQUIRE(count < OPTIONS_MAX, "room for options");
        all[count++] = *options++;
    }
    h->live_before = pp_alloc_live();
    h->fds_before = check_open_fds();
    err = pipit_server_new(&h->server, all, count, print_log, NULL, error, sizeof(error));
    REQUIRE(!err, "new: %s: %s", pipit_strerror(err), error);
    err = pipit_server_start(h->server);
    REQUIRE(!err, "start: %s", pipit_strerror(err));
    h->port = pipit_server_port(h->server);
}

uint16_t host_quiet_port(void)
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    FILE *range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
    unsigned lowest = 0, tries;
    int probe;

    REQUIRE(range && fscanf(range, "%u", &lowest) == 1 && lowest > 1, "the ports that are given");
    (void)fclose(range);
    for (tries = 0; tries < 1000; tries++) {
        uint64_t random;

        pp_random_bytes(&random, sizeof(random));
        place.sin_port = htons((uint16_t)(lowest / 2 + random % (lowest - lowest / 2)));
        probe = socket(AF_INET, SOCK_STREAM, 0);
        REQUIRE(probe >= 0, "a socket");
        if (bind(probe, (struct sockaddr *)&place, sizeof(place)) == 0)
            tries = 1000;
        (void)close(probe);
    }
    REQUIRE(tries > 1000, "a free port");
    return ntohs(place.sin_port);
}

void host_require_nothing_left(const host *h)
{
    REQUIRE(pp_alloc_live() == h->live_before, "allocations: %lld before, %lld after",
            (long long)h->live_before, (long long)pp_alloc_live());
    REQUIRE(check_open_fds() == h->fds_before, "descriptors: %zu before, %zu after", h->fds_before,
            check_open_fds());
}

void host_end(host *h)
{
    pipit_server_stop(h->server);
    pipit_server_free(h->server);
    h->server = NULL;
}

void host_stop(host *h)
{
    host_end(h);
    host_require_nothing_left(h);
}

pipit_server_stats host_stats(const host *h)
{
    pipit_server_stats stats;

    pipit_server_get_stats(h->server, &stats);
    return stats;
}

static bool is_empty(void *arg)
{
    pipit_server_stats stats = host_stats(arg);

    return stats.connections == 0 && stats.subscriptions == 0;
}

void host_wait_empty(const host *h)
{
    check_until(is_empty, (void *)h, "no connections and no subscriptions");
}

static void require_heard(peer *to, const char *subject, const char *payload, size_t len)
{
    peer_event event;

    REQUIRE(peer_next_msg(to, &event), "a message on %s", subject);
    REQUIRE(strcmp(event.subject, subject) == 0 && event.payload_len == len &&
                memcmp(event.payload, payload, len) == 0,
            "%s as it was published: %s, %zu bytes", subject, event.subject, event.payload_len);
}

void host_require_serves(const host *h)
{
    char *large = malloc(LARGE_BYTES);
    peer from, to;
    peer_event event;

    REQUIRE(large, "memory");
    memset(large, 'L', LARGE_BYTES);
    peer_open(&from, h->port);
    peer_open(&to, h->port);
    (void)peer_printf(&to, "SUB serves.> 1\r\nSUB serves.queue q 2\r\n");
    REQUIRE(peer_barrier(&to), "subscribed");
    (void)peer_publish(&from, "serves.small", "small", 5);
    (void)peer_publish(&from, "serves.large", large, LARGE_BYTES);
    require_heard(&to, "serves.small", "small", 5);
    require_heard(&to, "serves.large", large, LARGE_BYTES);
    (void)peer_publish(&from, "serves.queue", "both", 4);
    require_heard(&to, "serves.queue", "both", 4);
    require_heard(&to, "serves.queue", "both", 4);
    (void)peer_printf(&from, "SUB inbox 7\r\nPUB nobody.there inbox 2\r\nhi\r\n");
    REQUIRE(peer_next_msg(&from, &event) && strcmp(event.subject, "inbox") == 0 &&
                event.header_len >= 12 && memcmp(event.header, "NATS/1.0 503", 12) == 0,
            "no responders is said");
    peer_close(&from);
    peer_close(&to);
    free(large);
}
