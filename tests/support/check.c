#include "support/check.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SKIPPED = 77, SLOWER_WITH_SANITIZER = 3 };

static const char *scenario_name = "";

static void print_line(const char *prefix, const char *format, va_list args)
{
    char line[2048];
    int n = snprintf(line, sizeof(line) - 1, "%s", prefix);

    n += vsnprintf(line + n, sizeof(line) - 1 - (size_t)n, format, args);
    if (n > (int)sizeof(line) - 2)
        n = (int)sizeof(line) - 2;
    line[n++] = '\n';
    (void)!write(STDOUT_FILENO, line, (size_t)n); /* in one piece, from any thread */
}

_Noreturn void check_fail(const char *file, int line, const char *condition, const char *format,
                          ...)
{
    char prefix[512];
    va_list args;

    (void)snprintf(prefix, sizeof(prefix), "%s:%d: %s: not so: %s: ", file, line, scenario_name,
                   condition);
    va_start(args, format);
    print_line(prefix, format, args);
    va_end(args);
    if (getenv("PIPIT_TEST_ABORT"))
        abort();
    _exit(EXIT_FAILURE);
}

_Noreturn void check_skip(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_line("  skipped: ", format, args);
    va_end(args);
    if (getenv("CI") && *getenv("CI"))
        _exit(EXIT_FAILURE); /* there, what is missing is a failure */
    _exit(SKIPPED);
}

void check_note(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_line("  ", format, args);
    va_end(args);
}

bool check_sanitized(void)
{
#ifdef PIPIT_SANITIZED
    return true;
#else
    return false;
#endif
}

uint64_t check_number(const char *variable, uint64_t fallback)
{
    const char *text = getenv(variable);

    return text && *text ? strtoull(text, NULL, 0) : fallback;
}

bool check_poll(int fd, int timeout_ms)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    return poll(&pfd, 1, timeout_ms) > 0;
}

int64_t check_now_ns(void)
{
    return pp_clock_mono_ns();
}

void check_until(bool (*condition)(void *arg), void *arg, const char *what)
{
    int64_t deadline_ns = check_now_ns() + CHECK_WAIT_MS * PP_NS_PER_MS;

    while (!condition(arg)) {
        REQUIRE(check_now_ns() < deadline_ns, "%s within %d ms", what, CHECK_WAIT_MS);
        (void)check_poll(-1, 1);
    }
}

size_t check_open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;

    REQUIRE(dir, "/proc/self/fd: %s", strerror(errno));
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count;
}

/* --- running ------------------------------------------------------------------------------ */

static void on_deadline(int signal_number)
{
    static const char text[] = "  deadline passed\n";

    (void)signal_number;
    (void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
    abort();
}

static void run_here(const struct scenario *scenario)
{
    scenario_name = scenario->name;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGALRM, on_deadline);
    (void)alarm(scenario->seconds * (check_sanitized() ? SLOWER_WITH_SANITIZER : 1));
    scenario->run();
    (void)alarm(0);
}

static int run_apart(const struct scenario *scenario)
{
    int status;
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    if (pid < 0)
        return EXIT_FAILURE;
    if (pid == 0) {
        run_here(scenario);
        exit(EXIT_SUCCESS); /* not _exit: a leak checker looks now */
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return EXIT_FAILURE;
    }
    if (WIFSIGNALED(status)) {
        (void)printf("  ended by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
        return EXIT_FAILURE;
    }
    return WEXITSTATUS(status);
}

static bool is_wanted(const struct scenario *scenario, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], scenario->name) == 0)
            return true;
    }
    return argc < 2;
}

int scenarios_run(const struct scenario *scenarios, size_t count, int argc, char **argv)
{
    bool here = getenv("PIPIT_TEST_INLINE") != NULL;
    unsigned passed = 0, failed = 0, skipped = 0;

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < count; i++) {
        int64_t start_ns = check_now_ns();
        int status = EXIT_SUCCESS;

        if (!is_wanted(&scenarios[i], argc, argv))
            continue;
        (void)printf("%s\n", scenarios[i].name);
        if (here)
            run_here(&scenarios[i]);
        else
            status = run_apart(&scenarios[i]);
        passed += status == EXIT_SUCCESS;
        skipped += status == SKIPPED;
        failed += status != EXIT_SUCCESS && status != SKIPPED;
        (void)printf("  %s: %s in %.2f s\n", scenarios[i].name,
                     status == EXIT_SUCCESS ? "passed"
                     : status == SKIPPED    ? "skipped"
                                            : "FAILED",
                     (double)(check_now_ns() - start_ns) / 1e9);
    }
    (void)printf("%u passed, %u failed", passed, failed);
    if (skipped)
        (void)printf(", %u skipped", skipped);
    (void)printf("\n");
    if (passed + failed + skipped == 0)
        return EXIT_FAILURE; /* no such scenario */
    return failed ? EXIT_FAILURE : passed ? EXIT_SUCCESS : SKIPPED;
}
