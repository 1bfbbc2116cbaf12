#include "cli/turn.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_MS = 1000000 };

/* Set once at the start, by the only thread: signals are the process's own. */
static int signal_fd = -1;
static bool interrupted;

void cli_turn_catch(void)
{
    sigset_t ends;

    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGINT);
    (void)sigaddset(&ends, SIGTERM);
    signal_fd = signalfd(-1, &ends, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signal_fd >= 0)
        (void)pthread_sigmask(SIG_BLOCK, &ends, NULL); /* cannot fail */
}

int64_t cli_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static struct timespec *until(int64_t deadline_ns, struct timespec *out)
{
    int64_t left = deadline_ns - cli_now_ns();

    if (deadline_ns == INT64_MAX)
        return NULL;
    left = left < 0 ? 0 : left;
    *out = (struct timespec){left / 1000000000, left % 1000000000};
    return out;
}

/* input -1: none. */
static cli_turn_end turn(cli_connection *c, int64_t deadline_ns, int input, bool *out_ready)
{
    struct pollfd fds[3] = {{.fd = signal_fd, .events = POLLIN},
                            {.fd = -1, .events = POLLIN},
                            {.fd = input, .events = POLLIN}};
    struct timespec wait;

    /* What has been staged makes the descriptor readable, too: nothing is to be done before, and
     * what callbacks change is looked at before the next wait. */
    if (c)
        fds[1].fd = pipit_client_fd(c->client);
    if (!interrupted && ppoll(fds, 3, until(deadline_ns, &wait), NULL) > 0 && fds[0].revents)
        interrupted = true;
    *out_ready = fds[2].revents != 0;
    if (interrupted)
        return CLI_TURN_INTERRUPTED;
    if (c && fds[1].revents && pipit_client_poll(c->client, 0) == PIPIT_ECLOSED)
        return CLI_TURN_CLOSED;
    return CLI_TURN_WORKED;
}

cli_turn_end cli_turn(cli_connection *c, int64_t deadline_ns)
{
    bool ready;

    return turn(c, deadline_ns, -1, &ready);
}

cli_turn_end cli_turn_input(cli_connection *c, int fd, bool *out_ready)
{
    return turn(c, INT64_MAX, fd, out_ready);
}

bool cli_turn_wait(int64_t ns)
{
    return cli_turn(NULL, cli_now_ns() + ns) == CLI_TURN_INTERRUPTED;
}

void cli_clock_text(char out[16])
{
    time_t now = time(NULL);
    struct tm parts;

    if (!localtime_r(&now, &parts) || !strftime(out, 16, "%H:%M:%S", &parts))
        (void)snprintf(out, 16, "--:--:--");
}
