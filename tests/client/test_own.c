/* What only pipit offers: publishing to patterns, and claims. */
#include "place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- what only pipit has ------------------------------------------------------------------ */

static pipit_err match(pipit_client *client, const char *pattern, const char *text,
                       uint64_t *out_recipients)
{
    const pipit_msg msg = {
        .subject = pattern,
        .subject_bytes = strlen(pattern),
        .payload = text,
        .payload_bytes = strlen(text),
    };

    return pipit_client_publish_matching(client, &msg, WAIT_MS, out_recipients);
}

static void require_denied(pipit_client *client)
{
    REQUIRE(match(client, "m.*", "", NULL) == PIPIT_EDENIED, "patterns are not offered");
    REQUIRE(pipit_client_claim(client, "c.x", WAIT_MS) == PIPIT_EDENIED, "nor are claims");
    REQUIRE(pipit_client_release(client, "c.x", WAIT_MS) == PIPIT_EDENIED, "nor their end");
}

static void patterns(struct place *p)
{
    pipit_client *a = come(p), *b = come(p);
    struct heard plain, wild, other;
    pipit_headers *headers;
    pipit_msg msg = {.subject = "m.*.x", .subject_bytes = 5};
    pipit_sub *subs[3];
    uint64_t recipients;

    heard_init(&plain);
    heard_init(&wild);
    heard_init(&other);
    must(pipit_client_subscribe(b, "m.1.x", NULL, hear, &plain, &subs[0]), "subscribe");
    must(pipit_client_subscribe(b, "m.>", NULL, hear, &wild, &subs[1]), "subscribe");
    must(pipit_client_subscribe(b, "m.1.y", NULL, hear, &other, &subs[2]), "subscribe");
    must(pipit_client_flush(b, WAIT_MS), "flush");
    must(match(a, "m.*.x", "to some", &recipients), "publish to a pattern");
    REQUIRE(recipients == 2, "%llu recipients", (unsigned long long)recipients);
    await(&plain, 1);
    await(&wild, 1);
    REQUIRE(strcmp(plain.subject, "m.*.x") == 0 && strcmp(plain.payload, "to some") == 0,
            "as said");
    must(pipit_headers_new(&headers), "headers");
    must(pipit_headers_add(headers, "Colour", "red"), "a header");
    msg.header = pipit_headers_block(headers, &msg.header_bytes);
    must(pipit_client_publish_matching(a, &msg, WAIT_MS, NULL), "with headers");
    await(&plain, 2);
    REQUIRE(strstr(plain.header, "Colour: red\r\n\r\n"), "headers: %s", plain.header);
    pipit_headers_free(headers);
    must(match(a, "m.9.z", "", &recipients), "without wildcards");
    REQUIRE(recipients == 1, "one");
    REQUIRE(match(a, "m..x", "", NULL) == PIPIT_EINVAL, "no pattern");
    must(pipit_client_claim(a, "c.x", WAIT_MS), "claim");
    must(pipit_client_claim(a, "c.x", WAIT_MS), "again");
    REQUIRE(pipit_client_claim(b, "c.x", WAIT_MS) == PIPIT_EINUSE, "it is taken");
    REQUIRE(pipit_client_claim(b, "c.*", WAIT_MS) == PIPIT_EINVAL, "no literal");
    must(pipit_client_release(b, "c.x", WAIT_MS), "release of what is another's");
    REQUIRE(pipit_client_claim(b, "c.x", WAIT_MS) == PIPIT_EINUSE, "it is still taken");
    must(pipit_client_release(a, "c.x", WAIT_MS), "release");
    must(pipit_client_claim(b, "c.x", WAIT_MS), "it is free");
    pipit_client_free(b);
    while (pipit_client_claim(a, "c.x", WAIT_MS) == PIPIT_EINUSE)
        ; /* until the server has seen it go; ctest has a time limit */
    pipit_client_free(a);
    REQUIRE(other.count == 0, "what does not match is not heard");
}

/* Near ones always may, remote ones where it is configured, other servers know nothing of it. */
static void scenario_patterns(void)
{
    static const char *const near[] = {"memory", "unix"};
    static const char *const far[] = {"tcp", "ws"};
    struct place p;

    for (size_t i = 0; i < COUNT_OF(near); i++) {
        place_open(&p, near[i], "");
        patterns(&p);
        place_close(&p);
    }
    for (size_t i = 0; i < COUNT_OF(far); i++) {
        place_open(&p, far[i], "pipit_requests: true");
        patterns(&p);
        place_close(&p);
        place_open(&p, far[i], "");
        {
            pipit_client *client = come(&p);

            require_denied(client);
            pipit_client_free(client);
        }
        place_close(&p);
    }
}

/* By a request a client can do no more than otherwise. */
static void scenario_pattern_permissions(void)
{
    pipit_client_options user = {.user = "u", .password = "p"},
                         narrow = {.user = "n", .password = "p"};
    struct place p;
    pipit_client *u, *n;

    place_open(&p, "tcp",
               "pipit_requests: true\n"
               "authorization { timeout: 60, users: ["
               "{user: u, password: p, permissions: {publish: {deny: \"secret.>\"}, "
               "subscribe: {deny: \"secret.>\"}}},"
               "{user: n, password: p, permissions: {publish: [\"$PIPIT.>\", \"open.>\"], "
               "subscribe: [\"_INBOX.>\", \"open.>\"]}}] }");
    u = connect_with(&p, &user);
    n = connect_with(&p, &narrow);
    must(match(u, "open.*", "", NULL), "away from what is denied");
    REQUIRE(match(u, "*.x", "", NULL) == PIPIT_EDENIED, "a pattern that touches it");
    REQUIRE(match(u, ">", "", NULL) == PIPIT_EDENIED, "everything");
    must(match(n, "open.*", "", NULL), "within what is allowed");
    REQUIRE(match(n, "*.x", "", NULL) == PIPIT_EDENIED, "beyond it");
    must(pipit_client_claim(n, "open.x", WAIT_MS), "claim");
    REQUIRE(pipit_client_claim(n, "other.x", WAIT_MS) == PIPIT_EDENIED, "not to be heard");
    REQUIRE(pipit_client_claim(u, "secret.x", WAIT_MS) == PIPIT_EDENIED, "the same");
    pipit_client_free(u);
    pipit_client_free(n);
    place_close(&p);
}

static bool lost_claim(void *arg)
{
    struct events *e = arg;

    return atomic_load(&e->count[PIPIT_EVENT_CLAIM_LOST]) > 0;
}

/* The server is started anew where it was. */
static void restart(struct place *p, const char *port)
{
    const char *options[] = {"--addr=127.0.0.1", port};
    const char text[] = "pipit_requests: true";
    const pipit_server_source source = {
        .options = options, .option_count = 2, .text = text, .text_bytes = sizeof(text) - 1};
    char error[256] = "";

    must(pipit_server_new_from(&p->host.server, &source, log_line, NULL, error, sizeof(error)),
         error);
    must(pipit_server_start(p->host.server), "start");
    p->host.port = pipit_server_port(p->host.server);
    (void)snprintf(p->url, URL_BYTES, "nats://127.0.0.1:%u", p->host.port);
}

/* Claims are asked for again on a new connection, released ones are not, and one that somebody else
 * has meanwhile is told to be lost. */
static void scenario_reclaim(void)
{
    pipit_client_options o = {.reconnect_wait_ms = 5, .reconnect_max = -1},
                         late = {.own_loop = true, .reconnect_max = -1};
    struct events events = {0}, late_events = {0};
    pipit_client *client, *other, *third;
    char port[32];
    struct place p;

    place_open(&p, "tcp", "");
    host_end(&p.host);
    (void)snprintf(port, sizeof(port), "--port=%u", host_quiet_port());
    restart(&p, port);
    o.on_event = late.on_event = on_event;
    o.event_context = &events;
    late.event_context = &late_events;
    client = connect_with(&p, &o);
    other = come(&p);
    must(pipit_client_claim(client, "mine", WAIT_MS), "claim");
    must(pipit_client_claim(client, "mine", WAIT_MS), "claim again");
    must(pipit_client_claim(client, "let.go", WAIT_MS), "claim");
    must(pipit_client_release(client, "let.go", WAIT_MS), "release");
    must(pipit_client_claim(other, "others", WAIT_MS), "claim");
    REQUIRE(pipit_client_claim(client, "others", WAIT_MS) == PIPIT_EINUSE, "not granted");
    pipit_client_free(other);
    host_end(&p.host);
    check_until(went, &events, "the client has noticed");
    restart(&p, port);
    check_until(came_back, &events, "it is back");
    must(pipit_client_flush(client, WAIT_MS), "flush");
    other = connect_with(&p, &late);
    REQUIRE(pipit_client_claim(other, "mine", WAIT_MS) == PIPIT_EINUSE, "it is claimed again");
    must(pipit_client_claim(other, "let.go", WAIT_MS), "what was released is free");
    must(pipit_client_claim(other, "others", WAIT_MS), "what was refused is free");
    must(pipit_client_release(client, "mine", WAIT_MS), "release");
    must(pipit_client_claim(other, "mine", WAIT_MS), "now it is");
    REQUIRE(!lost_claim(&events), "nothing was lost");
    pipit_server_free(p.host.server);
    restart(&p, port);
    third = come(&p);
    must(pipit_client_claim(third, "mine", WAIT_MS), "before the other is back");
    while (!lost_claim(&late_events)) /* ctest has a time limit */
        must(pipit_client_poll(other, 10), "poll");
    REQUIRE(pipit_client_claim(third, "let.go", WAIT_MS) == PIPIT_EINUSE, "that one is not");
    pipit_client_free(third);
    pipit_client_free(other);
    pipit_client_free(client);
    pipit_server_free(p.host.server);
    run("rm -r %s", p.folder);
}

int main(int argc, char **argv)
{
    static const struct scenario all[] = {
        {"reclaim", scenario_reclaim, 60},
        {"patterns", scenario_patterns, 60},
        {"pattern_permissions", scenario_pattern_permissions, 60},
    };

    return scenarios_run(all, COUNT_OF(all), argc, argv);
}
