#include "cli/fanout_options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum { PORT = 1, RUN_AS, DAEMON, CLIENT_LIMIT, LOG_FILE, MAX_LOG_SIZE, PID_FILE, LEVEL, HELP };

static const struct option flags[] = {
    {"port", required_argument, NULL, PORT},
    {"run-as", required_argument, NULL, RUN_AS},
    {"daemon", no_argument, NULL, DAEMON},
    {"client-limit", required_argument, NULL, CLIENT_LIMIT},
    {"logfile", required_argument, NULL, LOG_FILE},
    {"max-logfile-size", required_argument, NULL, MAX_LOG_SIZE},
    {"pidfile", required_argument, NULL, PID_FILE},
    {"debug-level", required_argument, NULL, LEVEL},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static void show_help(FILE *out, const char *name)
{
    (void)fprintf(out,
                  "usage: %s [options]\n"
                  "\n"
                  "  --port=PORT              listen on this port (default 1986)\n"
                  "  --run-as=USER[:GROUP]    run as that user, and in that group only\n"
                  "  --daemon                 run in the background\n"
                  "  --client-limit=LIMIT     clients at a time (default: as many as there may be\n"
                  "                           descriptors)\n"
                  "  --logfile=PATH           log to this file\n"
                  "  --max-logfile-size=SIZE  empty it at so many MB (default: never)\n"
                  "  --pidfile=PATH           with --daemon: write the process id there\n"
                  "  --debug-level=LEVEL      0 errors, 1 warnings, 2 information, 3 everything\n"
                  "                           (default 1)\n"
                  "  --help                   show this text\n",
                  name);
}

/* A whole number; what is none counts as -1. */
static long number(const char *text)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    return *text && !*end && !errno ? value : -1;
}

/* False: it is wrong, and said. */
static bool apply(cli_fanout_options *o, int flag, const char *value)
{
    long n = value ? number(value) : 0;

    switch (flag) {
    case PORT:
        if (n < 1 || n > UINT16_MAX) {
            (void)fprintf(stderr, "ERROR invalid port: %s is not from 1 to 65535\n", value);
            return false;
        }
        o->port = (uint16_t)n;
        return true;
    case CLIENT_LIMIT:
        if (n < 1 || n > INT_MAX) {
            (void)fprintf(stderr, "invalid client limit: %s\n", value);
            return false;
        }
        o->client_limit = n;
        return true;
    case MAX_LOG_SIZE:
        if (n < 1 || n > INT_MAX) {
            (void)fprintf(stderr, "ERROR invalid size of a log file: %s\n", value);
            return false;
        }
        o->log_max_bytes = (uint64_t)n << 20;
        return true;
    case LEVEL:
        if (n < CLI_FANOUT_ERROR || n > CLI_FANOUT_DEBUG) {
            (void)fprintf(stderr, "ERROR invalid debug level: %s is not from 0 to 3\n", value);
            return false;
        }
        o->level = (enum cli_fanout_level)n;
        return true;
    case RUN_AS:
        o->run_as = value;
        return true;
    case DAEMON:
        o->daemon = true;
        return true;
    case LOG_FILE:
        o->log_file = value;
        return true;
    case PID_FILE:
        o->pid_file = value;
        return true;
    default: /* getopt has said what is wrong */
        return false;
    }
}

bool cli_fanout_options_read(cli_fanout_options *options, int argc, char **argv, int *out_status)
{
    int flag;

    *options = (cli_fanout_options){.port = 1986, .level = CLI_FANOUT_WARNING};
    *out_status = EXIT_FAILURE;
    optind = 1;
    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        if (flag == HELP) {
            show_help(stdout, argv[0]);
            *out_status = EXIT_SUCCESS;
            return false;
        }
        if (!apply(options, flag, optarg))
            return false;
    }
    if (optind == argc)
        return true;
    (void)fprintf(stderr, "ERROR invalid args:");
    for (int i = optind; i < argc; i++)
        (void)fprintf(stderr, " %s", argv[i]);
    (void)fprintf(stderr, "\n");
    return false;
}
