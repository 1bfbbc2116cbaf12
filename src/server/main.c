/* pipit-server: what the command line asks for. */
#include "base/buf.h"
#include "server/health_check.h"
#include "server/options.h"
#include "server/process.h"
#include "server/signal_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_MAX = 64 * 1024 };

static int send_signal(const pp_options *options, const char *program)
{
    int code = EXIT_SUCCESS;
    pp_buf message;

    pp_buf_init(&message, MESSAGE_MAX);
    if (pp_signal_command(options->signal, program, &message)) {
        (void)fprintf(stderr, "%s: %.*s\n", program, (int)message.len, message.ptr);
        code = EXIT_FAILURE;
    }
    pp_buf_fini(&message);
    return code;
}

static int check_health(const pp_options *options, const char *program)
{
    char error[512];

    if (options->port < 0) {
        (void)fprintf(stderr, "%s: --health_check needs the --port to look at\n", program);
        return EXIT_FAILURE;
    }
    if (!pp_health_check(options->host, (uint16_t)options->port, error, sizeof(error)))
        return EXIT_SUCCESS;
    (void)fprintf(stderr, "%s: %s\n", program, error);
    return EXIT_FAILURE;
}

/* copy: the arguments as they were before the parser wiped secrets from them. */
static int run(int argc, char **argv, char **copy)
{
    const char *program = pp_process_name(copy[0]);
    int code = EXIT_FAILURE;
    pp_options options;
    pp_buf message;
    pipit_err err;

    pp_buf_init(&message, PP_OPTIONS_MESSAGE_MAX);
    err = pp_options_parse(&options, argc, argv, &message);
    if (err && !message.len) {
        (void)fprintf(stderr, "%s: %s\n", program, pipit_strerror(err));
    } else if (err) {
        (void)fprintf(stderr, "%.*s", (int)message.len, message.ptr);
    } else if (options.action == PP_OPTIONS_TEST) {
        (void)fprintf(stderr, "%.*s", (int)message.len, message.ptr);
        code = EXIT_SUCCESS;
    } else if (options.action != PP_OPTIONS_RUN) {
        (void)printf("%.*s", (int)message.len, message.ptr);
        code = EXIT_SUCCESS;
    } else if (options.signal) {
        code = send_signal(&options, program);
    } else if (options.health_check) {
        code = check_health(&options, program);
    } else {
        (void)fprintf(stderr, "%.*s", (int)message.len, message.ptr); /* warnings */
        pp_options_forget_accounts(&options);                         /* the server reads its own */
        code = pp_process_run(&options, program, argc, (const char *const *)copy);
    }
    if (!err)
        pp_options_fini(&options);
    pp_buf_fini(&message);
    return code;
}

int main(int argc, char **argv)
{
    char **copy = calloc((size_t)argc + 1, sizeof(*copy));
    int code = EXIT_FAILURE;
    bool good = copy != NULL;

    for (int i = 0; i < argc && good; i++) {
        copy[i] = strdup(argv[i]);
        good = copy[i] != NULL;
    }
    if (good && argc > 0)
        code = run(argc, argv, copy);
    for (int i = 0; i < argc && copy; i++) {
        if (copy[i])
            explicit_bzero(copy[i], strlen(copy[i]));
        free(copy[i]);
    }
    free(copy);
    return code;
}
