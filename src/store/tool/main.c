/* pipit-store -- look at the directory of a store whose server is stopped, and put it right. */
#include "store/tool/command.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct verb {
    const char *name;
    const char *help;
    int (*run)(const struct store_command *command);
};

static const struct verb verbs[] = {
    {"check", "read all of it and tell what is wrong; nothing is changed", store_command_check},
    {"dump", "print its messages", store_command_dump},
    {"repair", "make again what the records tell", store_command_repair},
    {"restore", "make a store of the snapshot on standard input", store_command_restore},
    {"snapshot", "write all messages to standard output", store_command_snapshot},
    {"stats", "tell what it holds and how its files are", store_command_stats},
};

enum { VERB_COUNT = sizeof(verbs) / sizeof(verbs[0]) };

enum option_code {
    OPT_JSON = 256,
    OPT_DRY,
    OPT_FORGET,
    OPT_PAYLOADS,
    OPT_FILTER,
    OPT_FROM,
    OPT_COUNT,
    OPT_KEYS,
    OPT_COMPRESS,
    OPT_VERSION
};

static const struct option long_options[] = {
    {"json", no_argument, NULL, OPT_JSON},           {"dry-run", no_argument, NULL, OPT_DRY},
    {"forget-lost", no_argument, NULL, OPT_FORGET},  {"payloads", no_argument, NULL, OPT_PAYLOADS},
    {"filter", required_argument, NULL, OPT_FILTER}, {"from", required_argument, NULL, OPT_FROM},
    {"count", required_argument, NULL, OPT_COUNT},   {"compress", no_argument, NULL, OPT_COMPRESS},
    {"key-file", required_argument, NULL, OPT_KEYS}, {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPT_VERSION},     {0},
};

static void show_help(FILE *out)
{
    (void)fprintf(out, "usage: pipit-store COMMAND [OPTIONS] DIR\n\n");
    for (size_t i = 0; i < VERB_COUNT; i++)
        (void)fprintf(out, "  %-14s %s\n", verbs[i].name, verbs[i].help);
    (void)fprintf(
        out, "\n"
             "  --json         one JSON object in each line\n"
             "  --dry-run      repair: only tell what would be done\n"
             "  --forget-lost  repair: take messages and segments that are lost for deleted\n"
             "  --filter SUBJ  dump: only subjects that match, wildcards allowed\n"
             "  --from SEQ     dump: from this sequence on\n"
             "  --count N      dump: at most so many messages\n"
             "  --key-file F   keys of an encrypted store, else in PIPIT_STORE_KEYS\n"
             "  --compress     restore: compress what gets smaller by it\n"
             "  --payloads     dump: headers and payloads, too; with --json in base64\n"
             "\n"
             "The server must be stopped. Exit status: 0 whole, 1 damaged, 2 wrong arguments,\n"
             "3 the store could not be opened or read.\n");
}

static const struct verb *find(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static int wrong(const char *what, const char *which)
{
    (void)fprintf(stderr, "pipit-store: %s %s; see pipit-store --help\n", what, which);
    return STORE_USAGE;
}

/* -1: go on. */
static int take_option(struct store_command *command, int code, const char *value)
{
    switch (code) {
    case OPT_JSON:
        command->json = true;
        return -1;
    case OPT_DRY:
        command->dry_run = true;
        return -1;
    case OPT_FORGET:
        command->forget_lost = true;
        return -1;
    case OPT_PAYLOADS:
        command->payloads = true;
        return -1;
    case OPT_FILTER:
        command->filter = pp_str_of(value);
        return -1;
    case OPT_FROM:
        return pp_str_parse_u64(pp_str_of(value), UINT64_MAX / 2, &command->from)
                   ? -1
                   : wrong("not a sequence:", value);
    case OPT_COUNT:
        return pp_str_parse_u64(pp_str_of(value), UINT64_MAX / 2, &command->count)
                   ? -1
                   : wrong("not a number:", value);
    case OPT_KEYS:
        command->key_file = value;
        return -1;
    case OPT_COMPRESS:
        command->options.compress = true;
        return -1;
    case OPT_VERSION:
        (void)printf("pipit-store %s\n", PIPIT_VERSION);
        return STORE_WHOLE;
    case 'h':
        show_help(stdout);
        return STORE_WHOLE;
    default:
        return STORE_USAGE; /* getopt has said what is wrong */
    }
}

/* From the file, or the environment; neither is fine. */
static bool read_keys(struct store_command *command, struct pp_store_keys *keys)
{
    const char *text = getenv("PIPIT_STORE_KEYS");
    char why[PP_STORE_KEYS_WHY_BYTES];
    pipit_err err = PIPIT_OK;

    if (!command->key_file && !text)
        return true;
    if (command->key_file)
        err = pp_store_keys_read(command->key_file, keys, why);
    else
        err = pp_store_keys_parse(pp_str_of(text), keys, why);
    if (err)
        (void)fprintf(stderr, "pipit-store: %s: %s\n",
                      command->key_file ? command->key_file : "PIPIT_STORE_KEYS", why);
    else
        command->options.keys = keys;
    return !err;
}

int main(int argc, char **argv)
{
    struct pp_store_keys keys = {0};
    struct store_command command = {.filter = PP_STR(">"), .count = UINT64_MAX};
    const struct verb *verb;
    int code;

    while ((code = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        int exit_code = take_option(&command, code, optarg);

        if (exit_code >= 0)
            return exit_code;
    }
    if (argc - optind != 2) {
        show_help(stderr);
        return STORE_USAGE;
    }
    verb = find(argv[optind]);
    if (!verb)
        return wrong("there is no command", argv[optind]);
    command.options.dir = argv[optind + 1];
    if (!read_keys(&command, &keys))
        return STORE_FAILED;
    code = verb->run(&command);
    pp_store_keys_wipe(&keys);
    if (fflush(stdout) || ferror(stdout)) {
        (void)fprintf(stderr, "pipit-store: standard output: it cannot be written to\n");
        return STORE_FAILED;
    }
    return code;
}
