/* How clients come to servers: who they are, whom they trust, and what happens when a connection is
 * lost. */
#include "place.h"

#include "auth/nkey.h"
#include "base/alloc.h"
#include "token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- reconnecting ------------------------------------------------------------------------- */

static void scenario_reconnect(void)
{
    pipit_client_options o = {.reconnect_wait_ms = 5, .reconnect_max = -1};
    struct events events = {0};
    char port[32];
    const char *options[] = {port, NULL};
    pipit_client *client;
    struct heard h;
    pipit_sub *sub;
    host again;
    struct place p = {.way = "tcp"};

    (void)snprintf(port, sizeof(port), "--port=%u", host_quiet_port());
    host_start(&p.host, options);
    (void)snprintf(p.url, URL_BYTES, "nats://127.0.0.1:%u", p.host.port);
    o.on_event = on_event;
    o.event_context = &events;
    client = connect_with(&p, &o);
    heard_init(&h);
    must(pipit_client_subscribe(client, "again", NULL, hear, &h, &sub), "subscribe");
    must(pipit_client_flush(client, WAIT_MS), "flush");
    host_end(&p.host);
    check_until(went, &events, "the client has noticed");
    for (int i = 0; i < 10; i++)
        publish_text(client, "again", "kept");
    host_start(&again, options);
    check_until(came_back, &events, "it is back");
    await(&h, 10);
    publish_text(client, "again", "new");
    await(&h, 11);
    REQUIRE(h.count == 11, "each once");
    pipit_client_free(client);
    host_end(&again);
    host_require_nothing_left(&p.host);
    REQUIRE(atomic_load(&events.count[PIPIT_EVENT_CLOSED]) == 1, "closed once");
}

static void scenario_refused(void)
{
    pipit_client_options o = {.connect_timeout_ms = 20000};
    pipit_client *client;
    struct place p;

    REQUIRE(pipit_client_connect(&client, "nats://127.0.0.1:1", NULL) != PIPIT_OK, "nobody there");
    REQUIRE(pipit_client_connect(&client, "http://x", NULL) == PIPIT_EINVAL, "no such scheme");
    REQUIRE(pipit_client_connect(&client, "memory:", NULL) == PIPIT_EINVAL, "no server");
    REQUIRE(pipit_client_connect(&client, "unix:/nowhere/at/all", NULL) != PIPIT_OK, "no socket");
    place_open(&p, "tcp", "authorization { timeout: 60, user: u, password: secret }");
    REQUIRE(pipit_client_connect(&client, p.url, &o) == PIPIT_EAUTH, "no user");
    o.user = "u";
    o.password = "wrong";
    REQUIRE(pipit_client_connect(&client, p.url, &o) == PIPIT_EAUTH, "a wrong password");
    o.password = "secret";
    pipit_client_free(connect_with(&p, &o));
    (void)snprintf(p.url, URL_BYTES, "nats://u:secr%%65t@127.0.0.1:%u", p.host.port);
    pipit_client_free(come(&p));
    place_close(&p);
}

/* A key of a user, as text: the seed that test_key_make has. */
static void write_seed(uint8_t of, char out[PP_NKEY_SEED_TEXT_BYTES])
{
    uint8_t seed[PP_NKEY_RAW_BYTES];

    memset(seed, of, sizeof(seed));
    pp_nkey_seed_format(PP_NKEY_USER, seed, out);
}

static const char *const proof_ways[] = {"tcp", "ws", "peer_nats"};

static void each_proof_way(const char *more, void (*scenario)(struct place *p))
{
    for (size_t i = 0; i < COUNT_OF(proof_ways); i++) {
        struct place p;

        if (strstr(proof_ways[i], "peer") && !peer_program())
            continue;
        place_open(&p, proof_ways[i], more);
        scenario(&p);
        place_close(&p);
    }
}

static void require_refused(struct place *p, pipit_client_options *o, const char *why)
{
    pipit_client *client;

    o->struct_bytes = sizeof(*o);
    o->connect_timeout_ms = WAIT_MS;
    REQUIRE(pipit_client_connect(&client, p->url, o) == PIPIT_EAUTH, "%s", why);
}

static void prove_by_key(struct place *p)
{
    char seed[PP_NKEY_SEED_TEXT_BYTES], other[PP_NKEY_SEED_TEXT_BYTES];
    pipit_client_options o = {.nkey_seed = seed};

    write_seed(1, seed);
    write_seed(2, other);
    pipit_client_free(connect_with(p, &o));
    o.nkey_seed = other;
    require_refused(p, &o, "another's key");
    o.nkey_seed = "SUnonsense";
    REQUIRE(pipit_client_connect(&(pipit_client *){NULL}, p->url, &o) == PIPIT_EINVAL, "no seed");
}

static void scenario_nkey(void)
{
    char more[200];
    test_key key;

    test_key_make(&key, 'U', 1);
    (void)snprintf(more, sizeof(more), "authorization { timeout: 60, users: [ { nkey: %s } ] }",
                   key.text);
    each_proof_way(more, prove_by_key);
}

/* What a token says beside its subject. */
static char *make_token(const char *kind, const char *more, const test_key *of, const test_key *by)
{
    char json[1024];

    (void)snprintf(json, sizeof(json),
                   "{\"jti\":\"x\",\"iat\":1700000000,\"iss\":\"%s\",\"name\":\"%s\","
                   "\"sub\":\"%s\",\"nats\":{%s\"type\":\"%s\",\"version\":2}}",
                   by->text, kind, of->text, more, kind);
    return test_token_of(json, by);
}

static void write_creds(const struct place *p, const char *name, const char *token,
                        const char *seed)
{
    char path[160];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", p->folder, name);
    file = fopen(path, "w");
    REQUIRE(file, "a file");
    (void)fprintf(file,
                  "-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n"
                  "************************* IMPORTANT *************************\n\n"
                  "-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n",
                  token, seed);
    (void)fclose(file);
}

/* The file is read at each login: what stands in it then counts. */
static void prove_by_file(struct place *p)
{
    char path[160], seed[PP_NKEY_SEED_TEXT_BYTES], other[PP_NKEY_SEED_TEXT_BYTES];
    pipit_client_options o = {.creds_file = path};
    test_key account, user;
    char *token;

    test_key_make(&account, 'A', 4);
    test_key_make(&user, 'U', 1);
    token = make_token("user", "\"subs\":-1,\"data\":-1,\"payload\":-1,", &user, &account);
    write_seed(1, seed);
    write_seed(2, other);
    (void)snprintf(path, sizeof(path), "%s/user.creds", p->folder);
    write_creds(p, "user.creds", token, other);
    require_refused(p, &o, "a token with another's key");
    write_creds(p, "user.creds", token, seed);
    pipit_client_free(connect_with(p, &o));
    (void)snprintf(path, sizeof(path), "%s/none.creds", p->folder);
    REQUIRE(pipit_client_connect(&(pipit_client *){NULL}, p->url, &o) != PIPIT_OK, "no file");
    free(token);
}

static void scenario_creds(void)
{
    static const char unlimited[] =
        "\"limits\":{\"subs\":-1,\"data\":-1,\"payload\":-1,\"imports\":-1,\"exports\":-1,"
        "\"wildcards\":true,\"conn\":-1,\"leaf\":-1},";
    char more[2000];
    test_key operator, account;
    char *operator_token, *account_token;

    test_key_make(&operator, 'O', 3);
    test_key_make(&account, 'A', 4);
    operator_token = make_token("operator", "", &operator, & operator);
    account_token = make_token("account", unlimited, &account, &operator);
    (void)snprintf(more, sizeof(more),
                   "authorization { timeout: 60 }\noperator: %s\nresolver: "
                   "MEMORY\nresolver_preload: { %s: %s }\n",
                   operator_token, account.text, account_token);
    each_proof_way(more, prove_by_file);
    free(operator_token);
    free(account_token);
}

/* --- several servers ---------------------------------------------------------------------- */

/* In the order given the first that is there is taken, and when it goes the next. */
static void scenario_servers(void)
{
    pipit_client_options o = {
        .keep_order = true, .reconnect_wait_ms = 10, .connect_timeout_ms = WAIT_MS};
    struct place one, two;
    pipit_client_stats stats = {0};
    pipit_client *client;
    pipit_sub *sub;
    struct heard h;
    char urls[2 * URL_BYTES];

    heard_init(&h);
    place_open(&one, "tcp", "");
    place_open(&two, "tcp", "");
    (void)snprintf(urls, sizeof(urls), "nats://127.0.0.1:1, %.100s, %.100s", one.url, two.url);
    must(pipit_client_connect(&client, urls, &o), "connect");
    must(pipit_client_subscribe(client, "s", NULL, hear, &h, &sub), "subscribe");
    must(pipit_client_flush(client, WAIT_MS), "flush");
    REQUIRE(host_stats(&one.host).connections == 1 && host_stats(&two.host).connections == 0,
            "the first that is there");
    pipit_server_stop(one.host.server);
    while (host_stats(&two.host).connections == 0)
        (void)pipit_client_flush(client, 10); /* ctest has a time limit */
    while (pipit_client_flush(client, WAIT_MS))
        ;
    publish_text(client, "s", "again");
    await(&h, 1);
    pipit_client_get_stats(client, &stats);
    REQUIRE(stats.reconnects == 1, "%llu reconnects", (unsigned long long)stats.reconnects);
    pipit_client_free(client);
    REQUIRE(pipit_client_connect(&client, "nats://127.0.0.1:1,nats://127.0.0.1:1", &o) != PIPIT_OK,
            "nobody there");
    REQUIRE(pipit_client_connect(&client, "nats://127.0.0.1:1,http://x", &o) == PIPIT_EINVAL,
            "one of them is none");
    REQUIRE(pipit_client_connect(&client, ",", &o) == PIPIT_EINVAL, "none at all");
    host_end(&two.host);
    host_end(&one.host);
    host_require_nothing_left(&one.host);
    run("rm -r %s %s", one.folder, two.folder);
}

/* A server whose certificate is not to be trusted, or is another's. */
static void scenario_distrust(void)
{
    pipit_client_options o = {.connect_timeout_ms = WAIT_MS};
    pipit_client *client;
    char url[URL_BYTES];
    struct place p;

    place_open(&p, "tls", "");
    REQUIRE(pipit_client_connect(&client, p.url, &o) == PIPIT_EAUTH, "nobody vouches for it");
    o.tls_ca_file = p.ca;
    o.tls_name = "elsewhere";
    REQUIRE(pipit_client_connect(&client, p.url, &o) == PIPIT_EAUTH, "it is another's");
    (void)snprintf(url, sizeof(url), "nats://localhost:%u", p.host.port);
    REQUIRE(pipit_client_connect(&client, url, &o) == PIPIT_EAUTH, "the same when it is asked for");
    o.tls_name = NULL;
    must(pipit_client_connect(&client, url, &o), "TLS that the server asks for");
    pipit_client_free(client);
    o.tls_ca_file = NULL;
    o.tls_insecure = true;
    must(pipit_client_connect(&client, url, &o), "no questions asked");
    pipit_client_free(client);
    o.tls_ca_file = "/nowhere";
    REQUIRE(pipit_client_connect(&client, url, &o) == PIPIT_EINVAL, "no such file");
    place_close(&p);
}

int main(int argc, char **argv)
{
    static const struct scenario all[] = {
        {"reconnect", scenario_reconnect, 60}, {"refused", scenario_refused, 60},
        {"distrust", scenario_distrust, 60},   {"nkey", scenario_nkey, 60},
        {"creds", scenario_creds, 60},         {"servers", scenario_servers, 60},
    };

    return scenarios_run(all, COUNT_OF(all), argc, argv);
}
