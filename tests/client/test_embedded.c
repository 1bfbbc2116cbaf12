/* Servers within the program: without any listener, again and again, reloaded, and when memory
 * fails. */
#include "place.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <stdio.h>
#include <string.h>

static void scenario_no_listener(void)
{
    static const char *const options[] = {"--no_listen"};
    pipit_client_options o = {0};
    pipit_client *client;
    pipit_server *server;
    struct heard h;
    pipit_sub *sub;
    char error[256];

    must(pipit_server_new(&server, options, 1, log_line, NULL, error, sizeof(error)), "new");
    o.server = server;
    REQUIRE(pipit_client_connect(&client, "memory:", &o) == PIPIT_ECLOSED, "not before start");
    must(pipit_server_start(server), "start");
    REQUIRE(pipit_server_port(server) == 0, "no port");
    must(pipit_client_connect(&client, "memory:", &o), "connect");
    heard_init(&h);
    must(pipit_client_subscribe(client, ">", NULL, hear, &h, &sub), "subscribe");
    publish_text(client, "x", "y");
    await(&h, 1);
    pipit_server_stop(server);
    while (pipit_client_get_state(client) != PIPIT_CLIENT_CLOSED)
        (void)check_poll(-1, 1);
    REQUIRE(pipit_client_publish(client, "x", NULL, "", 0) == PIPIT_ECLOSED, "stopped");
    pipit_client_free(client);
    pipit_server_free(server);
}

/* --- memory fails ------------------------------------------------------------------------- */

/* What must succeed is waited for; what a fault may have swallowed is not, for long. */
static pipit_err converse(struct place *p, bool patient)
{
    pipit_client_options o = {.server = p->host.server,
                              .no_reconnect = true,
                              .connect_timeout_ms = patient ? WAIT_MS : 0,
                              .name = "n",
                              .tls_ca_file = *p->ca ? p->ca : NULL};
    pipit_client *client;
    struct heard h;
    pipit_sub *sub;
    pipit_msg *reply;
    pipit_err err = pipit_client_connect(&client, p->url, &o), later;

    if (err)
        return err;
    heard_init(&h);
    err = pipit_client_subscribe(client, "f", NULL, hear, &h, &sub);
    later = pipit_client_publish(client, "f", NULL, "x", 1);
    err = err ? err : later;
    later = pipit_client_flush(client, patient ? WAIT_MS : 2000);
    err = err ? err : later;
    later = pipit_client_request(client, "none", "", 0, patient ? WAIT_MS : 500, &reply);
    if (later != PIPIT_ENOTFOUND)
        err = err ? err : later ? later : PIPIT_EIO;
    pipit_client_free(client);
    return err;
}

static void sweep(struct place *p)
{
    uint64_t nth;

    must(converse(p, true), "without a fault");
    for (nth = 1; nth < 2000; nth++) {
        bool fired;

        pp_fault_arm("alloc", nth);
        /* The server's own allocations fail as well: any answer will do. */
        (void)converse(p, false);
        fired = pp_fault_disarm();
        if (!fired)
            break;
    }
    REQUIRE(nth > 5 && nth < 2000, "points have failed: %llu", (unsigned long long)nth);
    must(converse(p, true), "afterwards");
}

static void scenario_sweep(void)
{
    static const char *const swept[] = {"memory", "unix", "ws", "tls"};
    struct place p;

    for (size_t i = 0; i < COUNT_OF(swept); i++) {
        place_open(&p, swept[i], "");
        sweep(&p);
        place_close(&p);
    }
}

/* --- again and again ---------------------------------------------------------------------- */

static void scenario_again(void)
{
    uint64_t rounds = check_number("PIPIT_EMBED_ROUNDS", check_sanitized() ? 100 : 1000);
    int64_t live = pp_alloc_live();
    size_t fds = check_open_fds();

    for (uint64_t i = 0; i < rounds; i++) {
        static const char *const options[] = {"--no_listen", "--threads=1"};
        pipit_server *servers[2];
        pipit_client *clients[2];
        struct heard h;

        for (int k = 0; k < 2; k++) {
            pipit_client_options o = {0};
            pipit_sub *sub;

            must(pipit_server_new(&servers[k], options, 2, log_line, NULL, NULL, 0), "new");
            must(pipit_server_start(servers[k]), "start");
            o.server = servers[k];
            must(pipit_client_connect(&clients[k], "memory:", &o), "connect");
            heard_init(&h);
            if (!k)
                must(pipit_client_subscribe(clients[0], "x", NULL, hear, &h, &sub), "subscribe");
        }
        publish_text(clients[1], "x", "not to the other server");
        for (int k = 0; k < 2; k++) {
            pipit_client_free(clients[k]);
            pipit_server_free(servers[k]);
        }
        REQUIRE(h.count == 0, "two servers are two");
    }
    REQUIRE(pp_alloc_live() == live && check_open_fds() == fds, "nothing is left behind");
}

/* --- other settings ----------------------------------------------------------------------- */

static void scenario_reload(void)
{
    static const char wrong[] = "max_payload: many", other[] = "max_payload: 100";
    char error[512];
    struct place p;
    pipit_client *client;

    place_open(&p, "memory", "");
    client = come(&p);
    REQUIRE(pipit_server_reload(p.host.server, wrong, strlen(wrong), error, sizeof(error)) ==
                    PIPIT_EINVAL &&
                strstr(error, "max_payload"),
            "refused: %s", error);
    must(pipit_server_reload(p.host.server, NULL, 0, error, sizeof(error)), "as it was");
    {
        char text[256];

        (void)snprintf(text, sizeof(text),
                       "websocket { host: \"127.0.0.1\", port: -1, handshake_timeout: \"1m\", "
                       "no_tls: true }\n%s",
                       other);
        must(pipit_server_reload(p.host.server, text, strlen(text), error, sizeof(error)), error);
    }
    REQUIRE(pipit_client_publish(client, "x", NULL, error, 101) == PIPIT_ETOOBIG, "in force");
    pipit_client_free(client);
    place_close(&p);
}

int main(int argc, char **argv)
{
    static const struct scenario all[] = {
        {"no_listener", scenario_no_listener, 60},
        {"sweep", scenario_sweep, 300},
        {"again", scenario_again, 300},
        {"reload", scenario_reload, 60},
    };

    return scenarios_run(all, COUNT_OF(all), argc, argv);
}
