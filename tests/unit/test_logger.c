/* Lines of many threads reach what they are for, whole and in order; nobody waits for the disk,
 * the pipe or the syslog daemon. */
#include "server/logger.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "log_folder.h"

enum { WAIT_MS = 60000 };

static pp_logger *open_logger(const pp_logger_options *options)
{
    pp_logger *logger;
    char error[256];

    if (pp_logger_new(&logger, options, error, sizeof(error)))
        fail_msg("%s", error);
    return logger;
}

/* --- files -------------------------------------------------------------------------------- */

static void test_logger_writes_a_file(void **state)
{
    int64_t live = pp_alloc_live();
    struct folder folder;
    pp_logger *logger;
    char wanted[256];

    (void)state;
    folder_init(&folder);
    logger = open_logger(&(pp_logger_options){.file = folder_file(&folder, "l")});
    pp_logger_write(logger, PIPIT_LOG_INFO, "one");
    pp_logger_write(logger, PIPIT_LOG_WARN, "two");
    assert_true(pp_logger_flush(logger, WAIT_MS));
    (void)snprintf(wanted, sizeof(wanted), "[%d] [INF] one\n[%d] [WRN] two\n", (int)getpid(),
                   (int)getpid());
    assert_string_equal(folder_read(&folder, "l"), wanted);
    pp_logger_write(logger, PIPIT_LOG_FATAL, "three"); /* is there when this returns */
    assert_non_null(strstr(folder_read(&folder, "l"), "[FTL] three\n"));
    pp_logger_write(logger, PIPIT_LOG_INFO, "four");
    pp_logger_free(logger);
    assert_non_null(strstr(folder_read(&folder, "l"), "[INF] four\n"));
    pp_logger_free(NULL);
    assert_int_equal(pp_alloc_live(), live);
    folder_fini(&folder);
}

static void test_logger_cannot_be_made(void **state)
{
    static const struct {
        pp_logger_options options;
        const char *error;
    } cases[] = {
        {{.file = "/nonexistent/l"},
         "error opening file: open /nonexistent/l: no such file or directory"},
        {{.remote_syslog = "foo://x"}, "error invalid network type: \"foo\""},
        {{.remote_syslog = "foo://u:hush@x"}, "error invalid network type: \"foo\""},
        {{.remote_syslog = "hush"}, "error invalid network type: \"\""},
        {{.remote_syslog = "u:hush@x:514"}, "error invalid network type: \"\""},
        {{.remote_syslog = "udp://u:hush@localhost", .name = "p"},
         "error connecting to syslog: \"udp://localhost: invalid argument\""},
        {{.remote_syslog = "unix://u:hush@/nonexistent/@s", .name = "p"},
         "error connecting to syslog: \"unix:///nonexistent/@s: no such file or directory\""},
        {{.remote_syslog = "unix:/nonexistent/s", .name = "p"},
         "error connecting to syslog: \"unix:/nonexistent/s: no such file or directory\""},
        {{.remote_syslog = "udp://localhost", .name = "p"},
         "error connecting to syslog: \"udp://localhost: invalid argument\""},
        {{.syslog = true, .syslog_path = "/nonexistent/s", .name = "p"},
         "error connecting to syslog: \"local socket: no such file or directory\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_logger *logger = NULL;
        char error[256];

        assert_int_not_equal(pp_logger_new(&logger, &cases[i].options, error, sizeof(error)),
                             PIPIT_OK);
        assert_string_equal(error, cases[i].error);
        assert_null(logger);
    }
}

/* Each failure once, nothing left behind. */
static void test_logger_fault_sweep(void **state)
{
    struct folder folder;
    uint64_t nth = 1;
    bool fired = true;

    (void)state;
    folder_init(&folder);
    for (; fired; nth++) {
        pp_logger_options options = {.file = folder_file(&folder, "l"), .name = "p"};
        int64_t live = pp_alloc_live();
        pp_logger *logger = NULL;
        char error[256];
        pipit_err err;

        pp_fault_arm("*", nth);
        err = pp_logger_new(&logger, &options, error, sizeof(error));
        fired = pp_fault_disarm();
        assert_true(fired == (err != PIPIT_OK));
        pp_logger_free(logger);
        assert_int_equal(pp_alloc_live(), live);
    }
    assert_true(nth > 5);
    folder_fini(&folder);
}

struct talker {
    pthread_t thread;
    pp_logger *logger;
    unsigned index;
};

static void *talk(void *arg)
{
    const struct talker *talker = arg;
    char text[64];

    for (unsigned n = 0; n < 2000; n++) {
        (void)snprintf(text, sizeof(text), "talker=%u n=%u", talker->index, n);
        pp_logger_write(talker->logger, PIPIT_LOG_INFO, text);
        if (n % 500 == 0)
            assert_true(pp_logger_flush(talker->logger, WAIT_MS));
    }
    return NULL;
}

/* Four threads talk while the file is set aside again and again: every line is somewhere, once,
 * and those of a thread in their order. */
static void test_logger_rotates_under_load(void **state)
{
    unsigned next[4] = {0}, files = 0;
    struct talker talkers[4];
    struct folder folder;
    pp_logger *logger;

    (void)state;
    folder_init(&folder);
    logger = open_logger(&(pp_logger_options){
        .file = folder_file(&folder, "l"), .size_limit = 20000, .logtime = true});
    for (unsigned i = 0; i < 4; i++) {
        talkers[i] = (struct talker){.logger = logger, .index = i};
        assert_int_equal(pthread_create(&talkers[i].thread, NULL, talk, &talkers[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++)
        (void)pthread_join(talkers[i].thread, NULL);
    pp_logger_free(logger);
    for (char name[256]; folder_count(&folder, "l.", name) || folder_count(&folder, "l", name);) {
        const char *text = folder_read(&folder, name);

        assert_true(strlen(text) < 20000 + 200);
        for (const char *at = text; (at = strstr(at, "talker=")); at++) {
            unsigned who, n;

            assert_int_equal(sscanf(at, "talker=%u n=%u", &who, &n), 2);
            assert_true(who < 4 && n == next[who]);
            next[who]++;
        }
        (void)unlink(folder_file(&folder, name));
        files++;
    }
    assert_true(files > 10);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(next[i], 2000);
    folder_fini(&folder);
}

static void test_logger_keeps_few_files(void **state)
{
    struct folder folder;
    pp_logger *logger;

    (void)state;
    folder_init(&folder);
    logger = open_logger(
        &(pp_logger_options){.file = folder_file(&folder, "l"), .size_limit = 100, .max_num = 3});
    for (unsigned i = 0; i < 100; i++) {
        pp_logger_write(logger, PIPIT_LOG_INFO, "some text of forty bytes, more or less");
        assert_true(pp_logger_flush(logger, WAIT_MS));
    }
    pp_logger_free(logger);
    assert_int_equal(folder_count(&folder, "l", NULL), 3);
    /* A file that is too large already is set aside at the start. */
    logger = open_logger(&(pp_logger_options){.file = folder_file(&folder, "l"), .size_limit = 10});
    pp_logger_free(logger);
    assert_int_equal(folder_count(&folder, "l", NULL), 4);
    assert_non_null(strstr(folder_read(&folder, "l"), "Rotated log, backup saved as \""));
    folder_fini(&folder);
}

static void test_logger_reopens_and_changes(void **state)
{
    struct folder folder;
    pp_logger *logger;
    char error[256];

    (void)state;
    folder_init(&folder);
    logger = open_logger(&(pp_logger_options){.file = folder_file(&folder, "l")});
    pp_logger_write(logger, PIPIT_LOG_INFO, "first");
    assert_true(pp_logger_flush(logger, WAIT_MS));
    assert_int_equal(rename(folder_file(&folder, "l"), folder_file(&folder, "old")), 0);
    pp_logger_reopen(logger);
    pp_logger_write(logger, PIPIT_LOG_INFO, "second");
    assert_true(pp_logger_flush(logger, WAIT_MS));
    assert_int_equal(pp_logger_configure(logger, &(pp_logger_options){.file = "/nonexistent/l"},
                                         error, sizeof(error)),
                     PIPIT_ENOTFOUND);
    pp_logger_write(logger, PIPIT_LOG_INFO, "third");
    assert_int_equal(
        pp_logger_configure(logger,
                            &(pp_logger_options){.file = folder_file(&folder, "j"), .json = true},
                            error, sizeof(error)),
        PIPIT_OK);
    pp_logger_free(logger);
    assert_non_null(strstr(folder_read(&folder, "old"), "] first\n"));
    assert_non_null(strstr(folder_read(&folder, "l"), "] File log re-opened\n"));
    assert_non_null(strstr(folder_read(&folder, "l"), "] third\n"));
    folder_fini(&folder);
}

/* --- what refuses ------------------------------------------------------------------------- */

static void test_logger_disk_full(void **state)
{
    struct folder folder;
    pp_logger *logger;

    (void)state;
    folder_init(&folder);
    logger = open_logger(&(pp_logger_options){.file = folder_file(&folder, "l")});
    pp_logger_write(logger, PIPIT_LOG_INFO, "before");
    assert_true(pp_logger_flush(logger, WAIT_MS));
    pp_fault_arm_from("log_write", 1);
    for (unsigned i = 0; i < 30; i++)
        pp_logger_write(logger, PIPIT_LOG_INFO, "nobody will read this");
    assert_true(pp_logger_flush(logger, WAIT_MS));
    assert_true(pp_fault_disarm());
    pp_logger_write(logger, PIPIT_LOG_INFO, "after");
    pp_logger_free(logger);
    assert_null(strstr(folder_read(&folder, "l"), "nobody"));
    assert_non_null(strstr(folder_read(&folder, "l"), "] after\n"));
    assert_non_null(strstr(folder_read(&folder, "l"), "[WRN] 30 log lines were left out"));
    folder_fini(&folder);
}

/* Nobody reads the pipe: writers go on at once, and the reader that comes late is told how many
 * lines it missed. */
static void test_logger_ring_overflows(void **state)
{
    static char text[1001];
    unsigned lines = 0, missed = 0;
    bool heard = false;
    struct folder folder;
    char piece[65536], *at;
    pp_logger *logger;
    int64_t begin_ns;
    FILE *reader;

    (void)state;
    folder_init(&folder);
    assert_int_equal(mkfifo(folder_file(&folder, "l"), 0600), 0);
    logger = open_logger(&(pp_logger_options){.file = folder_file(&folder, "l")});
    memset(text, 'x', sizeof(text) - 1);
    begin_ns = pp_clock_mono_ns();
    for (unsigned i = 0; i < 5000; i++)
        pp_logger_write(logger, PIPIT_LOG_INFO, text);
    pp_logger_write(logger, PIPIT_LOG_ERROR, "an error");
    assert_true(pp_clock_mono_ns() - begin_ns < 60 * PP_NS_PER_S);
    assert_false(pp_logger_flush(logger, 20));
    reader = fopen(folder_file(&folder, "l"), "r");
    assert_non_null(reader);
    pp_logger_write(logger, PIPIT_LOG_ERROR, "another");
    while (!missed || lines + missed < 5002) {
        assert_non_null(fgets(piece, sizeof(piece), reader));
        heard |= strstr(piece, "[ERR] an error\n") != NULL;
        at = strstr(piece, " log lines were left out");
        if (at)
            missed += (unsigned)strtoul(strchr(piece, ']') + 8, NULL, 10);
        else
            lines++;
    }
    assert_int_equal(lines + missed, 5002);
    assert_in_range(lines, 900, 1300);
    assert_true(heard); /* there is room for errors when there is none for others */
    pp_logger_free(logger);
    (void)fclose(reader);
    folder_fini(&folder);
}

/* A pipe that is stuck for ever keeps nobody from ending, reopening or writing elsewhere. */
static void test_logger_leaves_a_stuck_pipe(void **state)
{
    static char text[1001];
    struct folder folder;
    pp_logger *logger;
    char error[256];

    (void)state;
    folder_init(&folder);
    memset(text, 'x', sizeof(text) - 1);
    for (unsigned way = 0; way < 3; way++) {
        assert_int_equal(mkfifo(folder_file(&folder, "p"), 0600), 0);
        logger = open_logger(&(pp_logger_options){.file = folder_file(&folder, "p")});
        for (unsigned i = 0; i < 300; i++)
            pp_logger_write(logger, PIPIT_LOG_INFO, text);
        assert_false(pp_logger_flush(logger, 20));
        if (way == 1) {
            assert_int_equal(unlink(folder_file(&folder, "p")), 0);
            pp_logger_reopen(logger); /* makes a file of that name */
        } else if (way == 2) {
            assert_int_equal(
                pp_logger_configure(logger, &(pp_logger_options){.file = folder_file(&folder, "f")},
                                    error, sizeof(error)),
                PIPIT_OK);
        }
        if (way)
            assert_true(pp_logger_flush(logger, WAIT_MS));
        pp_logger_free(logger);
        (void)unlink(folder_file(&folder, "p"));
    }
    assert_int_equal(folder_count(&folder, "f", NULL), 1);
    folder_fini(&folder);
}

/* --- syslog ------------------------------------------------------------------------------- */

struct daemon {
    int fd;
    char url[128];
};

static void daemon_inet(struct daemon *d, int type, const char *scheme, uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof(addr);
    int one = 1;

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    d->fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    (void)setsockopt(d->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    assert_int_equal(bind(d->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(d->fd, 8), 0);
    assert_int_equal(getsockname(d->fd, (struct sockaddr *)&addr, &len), 0);
    (void)snprintf(d->url, sizeof(d->url), "%s://127.0.0.1:%u", scheme, ntohs(addr.sin_port));
}

static void daemon_unix(struct daemon *d, int type, const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    d->fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(d->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(d->fd, 8), 0);
    (void)snprintf(d->url, sizeof(d->url), "unix:%s", path);
}

/* Read until what came ends with text. */
static void await_text(int fd, const char *text, char *out, size_t out_bytes)
{
    size_t len = 0;

    out[0] = '\0';
    while (!strstr(out, text)) {
        struct pollfd in = {.fd = fd, .events = POLLIN};
        ssize_t n;

        assert_int_equal(poll(&in, 1, WAIT_MS), 1);
        n = read(fd, out + len, out_bytes - len - 1);
        assert_true(n > 0);
        len += (size_t)n;
        out[len] = '\0';
    }
}

static void test_logger_syslog_kinds(void **state)
{
    struct folder folder;

    (void)state;
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    folder_init(&folder);
    for (unsigned kind = 0; kind < 6; kind++) {
        bool stream = kind % 2, local = kind >= 4;
        int type = stream ? SOCK_STREAM : SOCK_DGRAM;
        pp_logger_options options = {.name = "pp", .syslog = local};
        char got[8192], wanted[64];
        struct daemon daemon;
        pp_logger *logger;
        int fd;

        if (kind < 2)
            daemon_inet(&daemon, type, stream ? "tcp" : "udp", 0);
        else
            daemon_unix(&daemon, type, folder_file(&folder, "s"));
        if (local)
            options.syslog_path = daemon.url + 5;
        else
            options.remote_syslog = daemon.url;
        logger = open_logger(&options);
        fd = stream ? accept(daemon.fd, NULL, NULL) : daemon.fd;
        pp_logger_write(logger, PIPIT_LOG_WARN, "watch out");
        await_text(fd, "watch out\n", got, sizeof(got));
        (void)snprintf(wanted, sizeof(wanted), " pp[%d]: watch out\n", (int)getpid());
        assert_non_null(strstr(got, wanted));
        assert_int_equal(strncmp(got, local ? "<28>" : "<4>", local ? 4 : 3), 0);
        assert_int_equal(got[local ? 4 : 3] == '2', kind < 2); /* RFC 3339 or a month */
        pp_logger_reopen(logger);
        await_text(fd, "File log re-open ignored, not a file logger\n", got, sizeof(got));
        pp_logger_free(logger);
        (void)close(fd);
        if (stream)
            (void)close(daemon.fd);
        (void)unlink(folder_file(&folder, "s"));
    }
    folder_fini(&folder);
}

/* The daemon goes and comes back: lines wait for it. */
static void test_logger_syslog_comes_back(void **state)
{
    char got[8192];
    struct daemon daemon;
    pp_logger *logger;
    uint16_t port;
    int fd;

    (void)state;
    daemon_inet(&daemon, SOCK_STREAM, "tcp", 0);
    port = (uint16_t)strtoul(strrchr(daemon.url, ':') + 1, NULL, 10);
    logger = open_logger(&(pp_logger_options){.name = "pp", .remote_syslog = daemon.url});
    fd = accept(daemon.fd, NULL, NULL);
    pp_logger_write(logger, PIPIT_LOG_INFO, "here");
    await_text(fd, "here\n", got, sizeof(got));
    (void)close(fd);
    (void)close(daemon.fd);
    pp_logger_write(logger, PIPIT_LOG_INFO, "kept for later");
    assert_false(pp_logger_flush(logger, 150));
    daemon_inet(&daemon, SOCK_STREAM, "tcp", port);
    fd = accept(daemon.fd, NULL, NULL);
    await_text(fd, "kept for later\n", got, sizeof(got));
    assert_true(pp_logger_flush(logger, WAIT_MS));
    (void)close(fd);
    (void)close(daemon.fd);
    pp_logger_free(logger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logger_writes_a_file),
        cmocka_unit_test(test_logger_cannot_be_made),
        cmocka_unit_test(test_logger_fault_sweep),
        cmocka_unit_test(test_logger_rotates_under_load),
        cmocka_unit_test(test_logger_keeps_few_files),
        cmocka_unit_test(test_logger_reopens_and_changes),
        cmocka_unit_test(test_logger_disk_full),
        cmocka_unit_test(test_logger_ring_overflows),
        cmocka_unit_test(test_logger_leaves_a_stuck_pipe),
        cmocka_unit_test(test_logger_syslog_kinds),
        cmocka_unit_test(test_logger_syslog_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
