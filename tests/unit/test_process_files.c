/* The files and the daemon that a process tells of itself, when the system refuses. */
#include "base/alloc.h"
#include "base/fault.h"
#include "server/pid_file.h"
#include "server/ports_file.h"
#include "server/syslog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[96];

static int make_folder(void **state)
{
    const char *base = getenv("TMPDIR");

    (void)state;
    (void)snprintf(folder, sizeof(folder), "%.40s/pipit-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/it", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void test_pid_file_on_a_full_disk(void **state)
{
    char text[32] = {0}, expected[32];
    FILE *file;

    (void)state;
    pp_fault_arm("pid_write", 1);
    assert_int_not_equal(pp_pid_file_write(path), PIPIT_OK);
    assert_int_equal(errno, ENOSPC);
    assert_true(pp_fault_disarm());
    assert_int_equal(pp_pid_file_write(path), PIPIT_OK);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    (void)fclose(file);
    (void)snprintf(expected, sizeof(expected), "%d", (int)getpid());
    assert_string_equal(text, expected);
    assert_int_equal(unlink(path), 0);
}

/* Nobody who waits for the file sees half of it, and nothing of it is left. */
static void test_ports_file_on_a_full_disk(void **state)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pp_ports_entry entry = {"nats", "nats", fd};
    pp_ports_file file;

    (void)state;
    assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
    pp_fault_arm("ports_write", 1);
    assert_int_not_equal(pp_ports_file_write(&file, folder, "test", &entry, 1), PIPIT_OK);
    assert_int_equal(errno, ENOSPC);
    assert_true(pp_fault_disarm());
    assert_int_not_equal(access(file.path, F_OK), 0);
    assert_int_equal(rmdir(folder), 0); /* it is empty */
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(pp_ports_file_write(&file, folder, "test", &entry, 1), PIPIT_OK);
    assert_int_equal(access(file.path, F_OK), 0);
    pp_ports_file_remove(&file);
    (void)close(fd);
}

static void test_syslog_without_descriptors(void **state)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int daemon = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int64_t live_before = pp_alloc_live();
    pp_syslog *syslog = NULL;
    char error[256] = "";

    (void)state;
    memcpy(addr.sun_path, path, strlen(path) + 1);
    assert_int_equal(bind(daemon, (const struct sockaddr *)&addr, sizeof(addr)), 0);
    pp_fault_arm_from("syslog_connect", 1);
    assert_int_not_equal(pp_syslog_open(&syslog, NULL, path, "test", -1, error, sizeof(error)),
                         PIPIT_OK);
    assert_true(pp_fault_disarm());
    assert_null(syslog);
    assert_true(strlen(error) > 0);
    assert_int_equal(pp_alloc_live(), live_before);
    assert_int_equal(pp_syslog_open(&syslog, NULL, path, "test", -1, error, sizeof(error)),
                     PIPIT_OK);
    pp_syslog_close(syslog);
    assert_int_equal(pp_alloc_live(), live_before);
    (void)close(daemon);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pid_file_on_a_full_disk),
        cmocka_unit_test(test_ports_file_on_a_full_disk),
        cmocka_unit_test(test_syslog_without_descriptors),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
