/* A lodger has gone while a message waits for a loop that names him, and another has come at the
 * same address: it is another. */
#include "growing.h"
#include "inlet_hold.h"
#include "place.h"

#include "client/client.h"
#include "server/lodger_inside.h"

#include <stdlib.h>
#include <string.h>

/* --- the same address --------------------------------------------------------------------- */

/* What is freed there is kept, and is the next of its size that this thread asks for. */
static struct {
    _Atomic(void *) watched, kept;
} place_of;
static _Thread_local bool takes_it;

void *__real_calloc(size_t count, size_t bytes);
void __real_free(void *ptr);
void *__wrap_calloc(size_t count, size_t bytes);
void __wrap_free(void *ptr);

void *__wrap_calloc(size_t count, size_t bytes)
{
    void *ptr = NULL;

    if (takes_it && count == 1 && bytes == sizeof(pp_lodger))
        ptr = atomic_exchange(&place_of.kept, NULL);
    return ptr ? memset(ptr, 0, bytes) : __real_calloc(count, bytes);
}

void __wrap_free(void *ptr)
{
    void *watched = ptr;

    if (ptr && atomic_compare_exchange_strong(&place_of.watched, &watched, NULL))
        atomic_store(&place_of.kept, ptr);
    else
        __real_free(ptr);
}

static bool is_kept(void *arg)
{
    (void)arg;
    return atomic_load(&place_of.kept) != NULL;
}

/* --- the stage ---------------------------------------------------------------------------- */

static const char mapping[] = "mappings: { other: elsewhere }";

/* There is one loop. Those who hear do so when they are told to. */
struct stage {
    host host;
    pipit_client *from;
    pipit_client_options plain;
};

static void reload(struct stage *s, const char *text)
{
    char error[512] = "";

    must(pipit_server_reload(s->host.server, text, strlen(text), error, sizeof(error)), error);
}

static pipit_client *join(struct stage *s)
{
    pipit_client *client;

    must(pipit_client_connect(&client, "memory:", &s->plain), "a client");
    return client;
}

static void stage_open(struct stage *s)
{
    static const char *const options[] = {"--no_listen", "--threads=1", NULL};

    memset(s, 0, sizeof(*s));
    host_start(&s->host, options);
    s->plain = (pipit_client_options){.server = s->host.server, .own_loop = true};
    s->from = join(s);
}

static void stage_close(struct stage *s)
{
    pipit_client_free(s->from);
    host_stop(&s->host);
}

static void listen_to(pipit_client *client, struct growing *words)
{
    pipit_sub *sub;

    must(pipit_client_subscribe(client, "words", NULL, on_growing, words, &sub), "words");
}

static void send_word(struct stage *s, uint64_t number)
{
    must(pipit_client_publish(s->from, "words", NULL, &number, sizeof(number)), "a word");
}

/* Until the last is heard, which comes by the loop. */
static void hear_to_the_end(struct stage *s, pipit_client *client, struct growing *words)
{
    const uint64_t end = UINT64_MAX;

    must(pipit_server_publish(s->host.server, "words", NULL, &end, sizeof(end)), "the end");
    while (words->last != end)
        must(pipit_client_poll(client, WAIT_MS), "poll");
}

/* --- scenarios ---------------------------------------------------------------------------- */

static bool only_a_passage_is_left(void *arg)
{
    return atomic_load(&((pp_lodger *)arg)->refs) == 1;
}

/* All that is left of it goes: its subscriptions by the loop, and the passage that leads to it when
 * who publishes looks for such. */
static void see_off(struct stage *s, pipit_client *client)
{
    pp_lodger *lodger = client->lodger;

    atomic_store(&place_of.watched, lodger);
    pipit_client_free(client);
    check_until(only_a_passage_is_left, lodger, "its subscriptions have gone");
    s->from->lodger->sweep_at = 0;
    publish_text(s->from, "nobody", "");
    REQUIRE(is_kept(NULL), "it has gone");
}

static pipit_client *come_instead(struct stage *s, const pp_lodger *old)
{
    pipit_client *client;

    takes_it = true;
    client = join(s);
    takes_it = false;
    REQUIRE(client->lodger == old, "at its address");
    return client;
}

/* He has not read yet what came to him by the loop, so the next one is to come by the loop, too. It
 * does not come to who is there instead: he has got a later one by his lane. */
static void scenario_successor_due(void)
{
    struct growing words = {0};
    pp_lodger *old_lodger;
    pipit_client *client;
    struct stage s;

    stage_open(&s);
    client = join(&s);
    old_lodger = client->lodger;
    listen_to(client, &words);
    reload(&s, mapping);
    send_word(&s, 1);
    must(pipit_client_flush(s.from, WAIT_MS), "flush");
    reload(&s, "");
    inlet_hold(s.host.server);
    send_word(&s, 2);
    see_off(&s, client);
    client = come_instead(&s, old_lodger);
    listen_to(client, &words);
    send_word(&s, 3);
    inlet_let_go(s.host.server);
    must(pipit_client_flush(s.from, WAIT_MS), "flush");
    hear_to_the_end(&s, client, &words);
    REQUIRE(!words.disordered && words.count == 2, "in order, %d of them", (int)words.count);
    pipit_client_free(client);
    stage_close(&s);
}

/* Who does not want to hear himself hears what his predecessor has published. */
static void scenario_successor_no_echo(void)
{
    struct growing words = {0};
    pp_lodger *old_lodger;
    pipit_client *client;
    struct stage s;

    stage_open(&s);
    reload(&s, mapping);
    inlet_hold(s.host.server);
    send_word(&s, 1);
    old_lodger = s.from->lodger;
    atomic_store(&place_of.watched, old_lodger);
    pipit_client_free(s.from);
    check_until(is_kept, NULL, "it has gone");
    s.plain.no_echo = true;
    client = come_instead(&s, old_lodger);
    listen_to(client, &words);
    inlet_let_go(s.host.server);
    hear_to_the_end(&s, client, &words);
    REQUIRE(words.count == 2, "%d of them", (int)words.count);
    s.from = client;
    stage_close(&s);
}

int main(int argc, char **argv)
{
    static const struct scenario all[] = {
        {"successor_due", scenario_successor_due, 60},
        {"successor_no_echo", scenario_successor_no_echo, 60},
    };

    return scenarios_run(all, COUNT_OF(all), argc, argv);
}
