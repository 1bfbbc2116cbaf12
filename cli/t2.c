/* pipit t2 -- the tool of the T2 Bus, with the arguments and the output of the original. Like
 * there, what goes wrong with a bus is said on standard output, and the exit status is 0. */
#include "cli/command.h"
#include "cli/t2_names.h"
#include "cli/t2_serve.h"
#include "cli/t2_value.h"
#include "pipit/bus.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = CLI_T2_ADDRESSES_MAX + 8 };

/* What has been said on the command line. */
struct line {
    const char *command;
    char *words[WORDS_MAX]; /* behind it */
    int count;
    bool first; /* --default */
    struct cli_t2_tls tls;
};

static const char usage[] =
    "usage: pipit t2 serve ADDR...              serve a bus until stopped\n"
    "       pipit t2 sub TOPIC [ADDR]           print what is published\n"
    "       pipit t2 ls TOPIC [ADDR]            print the topics that are published on\n"
    "       pipit t2 pub TOPIC VALUE [ADDR]     publish on f32/... or string/...\n"
    "       pipit t2 register NAME ADDR [--default]\n"
    "       pipit t2 unregister NAME\n"
    "\n"
    "ADDR is tcp:IP:PORT, unix:PATH, tls:HOST:PORT or name:NAME; without one, the first that is\n"
    "registered. For tls:\n"
    "  --ca FILE         whom to trust: of sub, ls and pub the server, else as the system does; "
    "of\n"
    "                    serve the clients\n"
    "  --cert FILE       the certificate to show, with\n"
    "  --key FILE        its key\n"
    "  --tls-name NAME   that the server's certificate bears; else its host name\n";

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
static pipit_bus *open_bus(const char *given, const struct cli_t2_tls *tls)
{
    const pipit_bus_options options = {
        .struct_bytes = sizeof(options),
        .tls_ca_file = tls->ca,
        .tls_cert_file = tls->cert,
        .tls_key_file = tls->key,
        .tls_name = tls->name,
    };
    const char *wrong = "";
    char *address = cli_t2_resolve(given, &wrong);
    pipit_bus *bus = NULL;
    pipit_err err;

    if (!address) {
        (void)say(wrong);
        return NULL;
    }
    err = pipit_bus_connect_with(&bus, address, &options);
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

static int listen_to(const struct line *line, const char *address, bool once)
{
    struct listener listener = {.once = once};
    pipit_bus_subscription *subscription;
    pipit_bus *bus = open_bus(address, &line->tls);
    pipit_err err;

    if (!bus)
        return 0;
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* else lines come late, no worse */
    err = pipit_bus_subscribe(bus, line->words[0], on_message, &listener, &subscription);
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

static int publish(const struct line *line, const char *address)
{
    const char *topic = line->words[0], *value = line->words[1];
    bool number = strncmp(topic, "f32/", 4) == 0;
    pipit_bus *bus;
    void *payload;
    size_t bytes;

    if (!number && strncmp(topic, "string/", 7) != 0)
        return say("Unknown protocol");
    if (number && !cli_t2_is_number(value))
        return say("When the topic starts with f32/ then the value must be a valid f32");
    bus = open_bus(address, &line->tls);
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
               : misuse("Invalid bus address. Must be in the format of "
                        "(tcp|unix|tls|name):<address or "
                        "name>");
}

static int serve(struct line *line)
{
    const char *wrong;

    for (int i = 0; i < line->count; i++) {
        if (check_address(line->words[i]))
            return CLI_USAGE;
    }
    if (line->count > CLI_T2_ADDRESSES_MAX)
        return misuse("too many addresses");
    wrong = line->count ? cli_t2_serve(line->count, line->words, &line->tls) : NULL;
    return !line->count ? misuse("serve on what?") : wrong ? say(wrong) : 0;
}

static int run(struct line *line)
{
    const char *command = line->command;
    char **words = line->words;
    int count = line->count;
    const char *last = count ? words[count - 1] : NULL;

    if (strcmp(command, "serve") == 0)
        return serve(line);
    if (strcmp(command, "sub") == 0 || strcmp(command, "ls") == 0) {
        const char *address = count == 2 ? last : NULL;

        if (count < 1 || count > 2)
            return misuse("give a topic");
        return check_address(address) ? CLI_USAGE : listen_to(line, address, command[0] == 'l');
    }
    if (strcmp(command, "pub") == 0) {
        const char *address = count == 3 ? last : NULL;

        if (count < 2 || count > 3)
            return misuse("give a topic and a value");
        return check_address(address) ? CLI_USAGE : publish(line, address);
    }
    if (strcmp(command, "register") == 0 && count == 2)
        return check_address(last) ? CLI_USAGE : register_name(words[0], last, line->first);
    if (strcmp(command, "unregister") == 0 && count == 1)
        return register_name(words[0], NULL, false);
    return misuse("there is no such command, or not with these arguments");
}

/* Is it an option with a value, in this word or the next one? If so it is taken, with *at. */
static bool take_value(struct cli_t2_tls *tls, int argc, char **argv, int *at)
{
    const struct {
        const char *name;
        const char **value;
    } all[] = {{"--ca", &tls->ca},
               {"--cert", &tls->cert},
               {"--key", &tls->key},
               {"--tls-name", &tls->name}};
    const char *word = argv[*at];

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        size_t len = strlen(all[i].name);

        if (strncmp(word, all[i].name, len) == 0 && word[len] == '=') {
            *all[i].value = word + len + 1;
            return true;
        }
        if (strcmp(word, all[i].name) == 0 && *at + 1 < argc) {
            *all[i].value = argv[++*at];
            return true;
        }
    }
    return false;
}

int cli_t2(int argc, char **argv)
{
    struct line line = {0};

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            (void)printf("%s", usage);
            return 0;
        }
        if (take_value(&line.tls, argc, argv, &i))
            continue;
        if (strcmp(argv[i], "--default") == 0)
            line.first = true;
        else if (!line.command)
            line.command = argv[i];
        else if (line.count < WORDS_MAX)
            line.words[line.count++] = argv[i];
    }
    if (!line.tls.cert != !line.tls.key)
        return misuse("--cert and --key go together");
    return line.command ? run(&line) : misuse("give a command");
}
