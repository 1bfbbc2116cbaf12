/* server/options.h -- what pipit-server is asked to be: defaults, and the command line over them.
 *
 * Plain data; the configuration file will fill the same structure. Texts are owned by it, NULL
 * when not given. */
#ifndef PP_SERVER_OPTIONS_H
#define PP_SERVER_OPTIONS_H

#include "base/buf.h"
#include "base/err.h"
#include "net/backlog.h"

#include <stdbool.h>
#include <stdint.h>

enum pp_options_action { PP_OPTIONS_RUN, PP_OPTIONS_HELP, PP_OPTIONS_VERSION };

typedef struct pp_options {
    enum pp_options_action action;

    char *host;   /* never NULL */
    int32_t port; /* -1: any that is free */
    char *server_name;
    char *client_advertise_host;
    uint16_t client_advertise_port; /* 0: the port that is listened on */
    char *unix_path;
    uint32_t unix_mode;
    uint32_t threads; /* 0: chosen by the server */
    bool proxy_protocol;
    char *pid_file;
    char *ports_file_dir;

    char *log_file; /* NULL: stderr */
    bool debug;
    bool trace;

    char *user;
    char *pass;
    char *auth_token;
    int64_t auth_timeout_ns;

    uint32_t max_connections;
    uint64_t max_payload_bytes;
    uint64_t max_control_line_bytes;
    uint64_t max_pending_bytes;
    uint64_t max_memory_bytes; /* of the process; 0: what its container allows, less a margin */
    uint32_t max_subscriptions;       /* 0: no limit */
    uint32_t max_subscription_tokens; /* 0: no limit */

    pp_slow_policy slow_consumer;
    int64_t write_deadline_ns;
    int64_t ping_interval_ns;
    uint32_t ping_max;
    int64_t lame_duck_duration_ns;
    int64_t lame_duck_grace_period_ns;
    bool no_header_support;
    bool no_fast_producer_stall;
} pp_options;

/* The defaults. Errors: PIPIT_ENOMEM. */
pipit_err pp_options_init(struct pp_options *options);
/* Wipe and drop the credentials; the rest stays. */
void pp_options_forget_secrets(struct pp_options *options);

/* Free the texts; credentials are wiped first. */
void pp_options_fini(struct pp_options *options);

/**
 * Read a command line, argv[0] aside, over the defaults.
 *
 * On success options is initialised and its action says what to do; for help and version, message
 * holds the text for stdout. On PIPIT_EINVAL message holds one line for stderr that says what is
 * wrong and what to do, options is untouched, and the program should exit with 1. The values of
 * --pass and --auth are wiped from argv, where `ps` would show them. Let message grow to 16 KiB.
 *
 * Errors: PIPIT_EINVAL, PIPIT_ENOMEM, and PIPIT_ETOOBIG if message may not grow.
 * Source: NATS configuration, section 1. Where the reference prints its usage and exits with 0, a
 *         wrong flag is an error here, and so is a password without a user, which it ignores.
 */
pipit_err pp_options_parse(struct pp_options *options, int argc, char **argv, pp_buf *message);

#endif
