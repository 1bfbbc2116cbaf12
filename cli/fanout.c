/* pipit fanout -- a server that serves fanout clients and nobody else, in the place of the
 * original: the same command line, the same lines in its log. */
#include "cli/command.h"
#include "cli/fanout_log.h"
#include "cli/fanout_process.h"
#include "pipit/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PRIVILEGED_PORTS = 1024, OPTION_BYTES = 48 };

static bool make_server(pipit_server **out, const cli_fanout_options *o, long client_limit,
                        cli_fanout_log *log)
{
    char listen[OPTION_BYTES], limit[OPTION_BYTES], error[512];
    const char *options[] = {"--no_listen", listen, limit, "--debug"};
    size_t count = o->level == CLI_FANOUT_DEBUG ? 4 : 3;
    pipit_err err;

    (void)snprintf(listen, sizeof(listen), "--fanout=*:%u", o->port);
    (void)snprintf(limit, sizeof(limit), "--fanout_client_limit=%ld", client_limit);
    err = pipit_server_new(out, options, count, cli_fanout_log_write, log, error, sizeof(error));
    if (err)
        (void)fprintf(stderr, "ERROR %s\n", *error ? error : pipit_strerror(err));
    return !err;
}

/* Ports below 1024 are the system's: they are bound before it becomes somebody else. */
static bool start(pipit_server *server, const cli_fanout_options *o,
                  const cli_fanout_identity *identity)
{
    bool first = o->port >= PRIVILEGED_PORTS;
    pipit_err err;

    if (first && !cli_fanout_identity_take(identity))
        return false;
    err = pipit_server_start(server);
    if (err) {
        (void)fprintf(stderr, "ERROR cannot listen on port %u: %s\n", o->port, pipit_strerror(err));
        return false;
    }
    return first || cli_fanout_identity_take(identity);
}

/* Signals are for this thread: the server's have them blocked. */
static void block_signals(sigset_t *out)
{
    (void)sigemptyset(out);
    (void)sigaddset(out, SIGTERM);
    (void)sigaddset(out, SIGINT);
    (void)sigaddset(out, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, out, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

static int serve(const cli_fanout_options *o, const cli_fanout_identity *identity,
                 long client_limit, cli_fanout_log *log, int parent)
{
    pipit_server *server = NULL;
    sigset_t signals;
    int signal_number, status = EXIT_FAILURE;

    block_signals(&signals);
    if (chdir("/") < 0)
        perror("ERROR cannot change to /");
    else if (make_server(&server, o, client_limit, log) && start(server, o, identity)) {
        if (parent >= 0)
            cli_fanout_detached(parent);
        while (sigwait(&signals, &signal_number) != 0)
            ;
        pipit_server_stop(server);
        status = EXIT_SUCCESS;
    }
    pipit_server_free(server);
    return status;
}

int cli_fanout(int argc, char **argv)
{
    cli_fanout_options options;
    cli_fanout_identity identity;
    cli_fanout_log log;
    long client_limit;
    int status, parent = -1;

    if (!cli_fanout_options_read(&options, argc, argv, &status))
        return status;
    if (!cli_fanout_identity_find(options.run_as, &identity) ||
        !cli_fanout_client_limit(&options, &client_limit))
        return EXIT_FAILURE;
    if (options.daemon) {
        parent = cli_fanout_detach(options.pid_file);
        if (parent < 0)
            return EXIT_FAILURE;
    }
    if (!cli_fanout_log_open(&log, &options))
        return EXIT_FAILURE;
    status = serve(&options, &identity, client_limit, &log, parent);
    cli_fanout_log_close(&log);
    return status;
}
