/* cli/fanout_options.h -- the command line of the original fanout.
 * Source: fanout, wire protocol, section 6; travisghansen/fanout. */
#ifndef CLI_FANOUT_OPTIONS_H
#define CLI_FANOUT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum cli_fanout_level {
    CLI_FANOUT_ERROR,
    CLI_FANOUT_WARNING,
    CLI_FANOUT_INFO,
    CLI_FANOUT_DEBUG,
};

typedef struct cli_fanout_options {
    uint16_t port;
    const char *run_as; /* USER[:GROUP]; NULL: who it is */
    bool daemon;
    long client_limit; /* 0: not said */
    const char *log_file;
    uint64_t log_max_bytes; /* 0: no limit */
    const char *pid_file;
    enum cli_fanout_level level;
} cli_fanout_options;

/* Read argv. False: what was asked for, or what is wrong, has been printed; *out_status is what to
 * end with. Owner: texts are those of argv. */
bool cli_fanout_options_read(cli_fanout_options *options, int argc, char **argv, int *out_status);

#endif
