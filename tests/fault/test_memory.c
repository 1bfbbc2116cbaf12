/* What a server costs in memory: at start, for an idle connection, for a subscription. The figures
 * are printed; the limits are those the project has set itself, with half as much again for the
 * differences between machines. Under a sanitizer they mean nothing and are only printed. */
#include "support/check.h"
#include "support/child.h"
#include "support/peer.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    START_MAX_BYTES = 6 << 20, /* 4 MiB */
    CONN_MAX_BYTES = 1536,     /* 1 KiB */
    SUB_MAX_BYTES = 240,       /* 160 B */
    CONNS = 2000,
    SUBS = 200000,
    WARM_CONNS = 50,
};

static void require_at_most(const char *what, double bytes, double most)
{
    check_note("%s: %.0f bytes", what, bytes);
    REQUIRE(check_sanitized() || bytes <= most, "%s: %.0f bytes, at most %.0f", what, bytes, most);
}

static void at_start(void)
{
    child c;

    child_start(&c, NULL);
    require_at_most("resident at start", (double)child_rss_bytes(&c), START_MAX_BYTES);
    child_stop(&c);
}

static void open_idle(peer *peers, size_t count, uint16_t port)
{
    for (size_t i = 0; i < count; i++) {
        peer_open(&peers[i], port);
        (void)peer_printf(&peers[i], "SUB idle.%zu 1\r\n", i);
        REQUIRE(peer_barrier(&peers[i]), "subscribed");
    }
}

static void per_connection(void)
{
    static const char *const options[] = {"--ping_interval=1h", NULL};
    peer *peers = calloc(CONNS + WARM_CONNS, sizeof(*peers));
    size_t before, after;
    child c;

    REQUIRE(peers, "memory");
    child_start(&c, options);
    /* Some first, so that what every server needs once is not counted. */
    open_idle(peers, WARM_CONNS, c.port);
    before = child_rss_bytes(&c);
    open_idle(peers + WARM_CONNS, CONNS, c.port);
    after = child_rss_bytes(&c);
    require_at_most("an idle connection with a subscription", (double)(after - before) / CONNS,
                    CONN_MAX_BYTES);
    for (size_t i = 0; i < CONNS + WARM_CONNS; i++)
        peer_cut(&peers[i]);
    child_wait_empty(&c);
    child_stop(&c);
    free(peers);
}

static void subscribe_many(peer *p, unsigned count)
{
    char batch[8192];
    size_t len = 0;

    for (unsigned i = 0; i < count; i++) {
        len += (size_t)snprintf(batch + len, sizeof(batch) - len, "SUB orders.%u.items.%u.* %u\r\n",
                                i / 100, i, i);
        if (len > sizeof(batch) - 100 || i + 1 == count) {
            REQUIRE(peer_write(p, batch, len), "connected");
            len = 0;
        }
    }
    REQUIRE(peer_barrier(p), "subscribed");
}

static void per_subscription(void)
{
    size_t before, after;
    peer p;
    child c;

    child_start(&c, NULL);
    peer_open(&p, c.port);
    subscribe_many(&p, 100);
    before = child_rss_bytes(&c);
    peer_cut(&p);
    child_wait_empty(&c);
    peer_open(&p, c.port);
    subscribe_many(&p, SUBS);
    after = child_rss_bytes(&c);
    require_at_most("a subscription", (double)(after - before) / SUBS, SUB_MAX_BYTES);
    peer_close(&p);
    child_wait_empty(&c);
    check_note("after all have ended: %zu KiB resident, %zu KiB before", child_rss_bytes(&c) / 1024,
               before / 1024);
    child_stop(&c);
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"at_start", at_start, 20},
        {"per_connection", per_connection, 60},
        {"per_subscription", per_subscription, 60},
    };

    return scenarios_run(scenarios, COUNT_OF(scenarios), argc, argv);
}
