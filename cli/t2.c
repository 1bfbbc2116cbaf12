/* pipit t2 -- the tool of the T2 Bus, with the arguments and the output of the original. Like
 * there, what goes wrong with a bus is said on standard output, and the exit status is 0. */
#include "cli/command.h"
#include "cli/t2_names.h"
#include "cli/t2_value.h"
#include "pipit/bus.h"
#include "pipit/server.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESSES_MAX = 16 };

static const char usage[] =
    "usage: pipit t2 serve ADDR...              serve a bus until stopped\n"
    "       pipit t2 sub TOPIC [ADDR]           print what is published\n"
    "       pipit t2 ls TOPIC [ADDR]            print the topics that are published on\n"
    "       pipit t2 pub TOPIC VALUE [ADDR]     publish on f32/... or string/...\n"
    "       pipit t2 register NAME ADDR [--default]\n"
    "       pipit t2 unregister NAME\n"
    "\n"
    "ADDR is tcp:IP:PORT, unix:PATH or name:NAME; without one, the first that is registered.\n";

static int misuse(const char *what)
{
    (void)fprintf(stderr, "error: %s\n\n%s", what, usage);
    return CLI_USAGE;
}

static int say(const char *what)
{
    (void)printf("%s\n", what);
    return 0;
}

/* --- clients ------------------------------------------------------------------------------ */

/* A bus, or NULL: why has been said. */
static pipit_bus *open_bus(const char *given)
{
    const char *wrong = "";
    char *address = cli_t2_resolve(given, &wrong);
    pipit_bus *bus = NULL;
    pipit_err err;

    if (!address) {
        (void)say(wrong);
        return NULL;
    }
    err = pipit_bus_connect(&bus, address);
    if (err)
        (void)printf("%s: %s\n", address, pipit_strerror(err));
    free(address);
    return bus;
}

struct listener {
    char **topics; /* that have been shown, where each is shown once */
    size_t topic_count;
    bool once;
    bool failed;
};

static bool is_new(struct listener *l, const char *topic)
{
    char **grown;

    for (size_t i = 0; i < l->topic_count; i++) {
        if (strcmp(l->topics[i], topic) == 0)
            return false;
    }
    grown = realloc(l->topics, (l->topic_count + 1) * sizeof(*grown));
    if (!grown)
        return true; /* rather twice than not at all */
    l->topics = grown;
    l->topics[l->topic_count] = strdup(topic);
    l->topic_count += l->topics[l->topic_count] != NULL;
    return true;
}

static void on_message(void *context, pipit_bus *bus, const pipit_bus_msg *msg)
{
    struct listener *l = context;
    char *shown;

    (void)bus;
    if (l->once) {
        if (is_new(l, msg->topic))
            (void)say(msg->topic);
        return;
    }
    shown = cli_t2_value_show(msg->topic, msg->payload, msg->payload_bytes);
    if (shown)
        (void)printf("%s: %s\n", msg->topic, shown);
    else
        l->failed = true; /* the original ends there, too */
    free(shown);
}

static int listen_to(const char *topic, const char *address, bool once)
{
    struct listener listener = {.once = once};
    pipit_bus_subscription *subscription;
    pipit_bus *bus = open_bus(address);
    pipit_err err;

    if (!bus)
        return 0;
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* else lines come late, no worse */
    err = pipit_bus_subscribe(bus, topic, on_message, &listener, &subscription);
    while (!err && !listener.failed && !ferror(stdout))
        err = pipit_bus_process(bus, -1);
    (void)say(listener.failed ? "Deserialize message failed. Protocol: CBOR"
                              : pipit_bus_error(bus));
    for (size_t i = 0; i < listener.topic_count; i++)
        free(listener.topics[i]);
    free(listener.topics);
    pipit_bus_close(bus);
    return 0;
}

static int publish(const char *topic, const char *value, const char *address)
{
    bool number = strncmp(topic, "f32/", 4) == 0;
    pipit_bus *bus;
    void *payload;
    size_t bytes;

    if (!number && strncmp(topic, "string/", 7) != 0)
        return say("Unknown protocol");
    if (number && !cli_t2_is_number(value))
        return say("When the topic starts with f32/ then the value must be a valid f32");
    bus = open_bus(address);
    if (!bus)
        return 0;
    payload = cli_t2_value_encode(topic, value, &bytes);
    if (!payload)
        (void)say("out of memory");
    else if (pipit_bus_publish(bus, topic, payload, bytes, NULL))
        (void)say(pipit_bus_error(bus));
    free(payload);
    pipit_bus_close(bus);
    return 0;
}

/* --- serving ------------------------------------------------------------------------------ */

static void show_log(void *context, pipit_log_level level, const char *text)
{
    (void)context;
    if (level <= PIPIT_LOG_INFO)
        (void)printf("%s\n", text);
}

/* Until told to end. NATS clients have a port of 127.0.0.1 that nobody else has. */
static int run_server(const char *const *options, size_t count)
{
    pipit_server *server = NULL;
    char wrong[512] = "";
    sigset_t ends;
    int signal_number;
    pipit_err err;

    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGINT);
    (void)sigaddset(&ends, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &ends, NULL); /* before there are threads; cannot fail */
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    err = pipit_server_new(&server, options, count, show_log, NULL, wrong, sizeof(wrong));
    if (!err)
        err = pipit_server_start(server);
    if (err)
        (void)say(*wrong ? wrong : pipit_strerror(err));
    else
        (void)sigwait(&ends, &signal_number); /* fails for a bad set only */
    pipit_server_free(server);
    return 0;
}

static int serve(int count, char **addresses)
{
    static const char *const nats[] = {"--addr=127.0.0.1", "--port=-1"};
    char texts[ADDRESSES_MAX][256];
    const char *options[ADDRESSES_MAX + 2] = {nats[0], nats[1]};

    if (count > ADDRESSES_MAX)
        return misuse("too many addresses");
    for (int i = 0; i < count; i++) {
        const char *wrong;
        char *address = cli_t2_resolve(addresses[i], &wrong);
        int len = address ? snprintf(texts[i], sizeof(texts[i]), "--t2=%s", address) : 0;

        free(address);
        if (!address)
            return say(wrong);
        if (len >= (int)sizeof(texts[i]))
            return say("the address is too long");
        options[2 + i] = texts[i];
    }
    return run_server(options, (size_t)count + 2);
}

/* --- names -------------------------------------------------------------------------------- */

static int register_name(const char *name, const char *given, bool first)
{
    const char *wrong;
    char *address;

    if (!cli_t2_is_name(name))
        return misuse("Invalid bus address name, must contain only lowercase and underscore.");
    address = given ? cli_t2_resolve(given, &wrong) : NULL;
    if ((given && !address) || !cli_t2_register(name, address, first, &wrong))
        (void)say(wrong);
    free(address);
    return 0;
}

/* --- the command -------------------------------------------------------------------------- */

static int check_address(const char *address)
{
    return !address || cli_t2_is_address(address)
               ? 0
               : misuse("Invalid bus address. Must be in the format of (tcp|unix|name):<address or "
                        "name>");
}

/* Words behind the command's name, without --default. */
static int run(const char *command, int count, char **words, bool first)
{
    const char *last = count ? words[count - 1] : NULL;

    if (strcmp(command, "serve") == 0) {
        for (int i = 0; i < count; i++) {
            if (check_address(words[i]))
                return CLI_USAGE;
        }
        return count ? serve(count, words) : misuse("serve on what?");
    }
    if (strcmp(command, "sub") == 0 || strcmp(command, "ls") == 0) {
        const char *address = count == 2 ? last : NULL;

        if (count < 1 || count > 2)
            return misuse("give a topic");
        return check_address(address) ? CLI_USAGE : listen_to(words[0], address, command[0] == 'l');
    }
    if (strcmp(command, "pub") == 0) {
        const char *address = count == 3 ? last : NULL;

        if (count < 2 || count > 3)
            return misuse("give a topic and a value");
        return check_address(address) ? CLI_USAGE : publish(words[0], words[1], address);
    }
    if (strcmp(command, "register") == 0 && count == 2)
        return check_address(last) ? CLI_USAGE : register_name(words[0], last, first);
    if (strcmp(command, "unregister") == 0 && count == 1)
        return register_name(words[0], NULL, false);
    return misuse("there is no such command, or not with these arguments");
}

int cli_t2(int argc, char **argv)
{
    char *words[ADDRESSES_MAX + 8];
    int count = 0;
    bool first = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            (void)printf("%s", usage);
            return 0;
        }
        if (strcmp(argv[i], "--default") == 0)
            first = true;
        else if (count < ADDRESSES_MAX + 8)
            words[count++] = argv[i];
    }
    return count ? run(words[0], count - 1, words + 1, first) : misuse("give a command");
}
