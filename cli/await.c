#include "cli/await.h"

#include <signal.h>
#include <time.h>

static void ends(sigset_t *out)
{
    (void)sigemptyset(out);
    (void)sigaddset(out, SIGINT);
    (void)sigaddset(out, SIGTERM);
}

void cli_await_init(void)
{
    sigset_t set;

    ends(&set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL); /* cannot fail */
}

bool cli_await(int64_t ns)
{
    struct timespec wait = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    sigset_t set;

    ends(&set);
    return sigtimedwait(&set, NULL, &wait) > 0;
}
