/* The log file: how it is made, grows, is set aside, and what it does when the disk refuses. */
#include "server/log_file.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "log_folder.h"

static const int64_t start_ns = 1793847884000000000;

static pp_log_file open_file(const char *path, uint64_t limit, uint32_t max_num)
{
    pp_log_file file;

    assert_int_equal(pp_log_file_open(&file, path, limit, max_num), PIPIT_OK);
    return file;
}

static pipit_err append(pp_log_file *file, const char *text)
{
    size_t done = 0;

    return pp_log_file_append(file, text, strlen(text), &done);
}

static void test_log_file_appends_to_what_is_there(void **state)
{
    struct folder folder;
    pp_log_file file;
    struct stat st;

    (void)state;
    folder_init(&folder);
    (void)umask(0);
    file = open_file(folder_file(&folder, "l"), 0, 0);
    assert_int_equal(stat(folder_file(&folder, "l"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(append(&file, "one\n"), PIPIT_OK);
    pp_log_file_close(&file);
    file = open_file(folder_file(&folder, "l"), 6, 0);
    assert_int_equal(file.size, 4);
    assert_false(pp_log_file_is_full(&file));
    assert_int_equal(append(&file, "two\n"), PIPIT_OK);
    assert_true(pp_log_file_is_full(&file));
    pp_log_file_close(&file);
    assert_string_equal(folder_read(&folder, "l"), "one\ntwo\n");
    folder_fini(&folder);
}

static void test_log_file_cannot_be_opened(void **state)
{
    pp_log_file file;

    (void)state;
    assert_int_equal(pp_log_file_open(&file, "/nonexistent/l", 0, 0), PIPIT_ENOTFOUND);
    assert_int_equal(errno, ENOENT);
    pp_log_file_close(&file);
    assert_int_not_equal(pp_log_file_open(&file, "/tmp", 0, 0), PIPIT_OK);
    pp_log_file_close(&file);
}

static unsigned purged;

static void count_purged(void *context, const char *path)
{
    (void)context;
    (void)path;
    purged++;
}

static void test_log_file_is_set_aside(void **state)
{
    char suffix[PP_LOG_BACKUP_SUFFIX_BYTES + 1], oldest[256] = "";
    struct folder folder;
    pp_log_file file;

    (void)state;
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    folder_init(&folder);
    file = open_file(folder_file(&folder, "l"), 3, 3);
    assert_int_equal(append(&file, "old\n"), PIPIT_OK);
    assert_int_equal(pp_log_file_rotate(&file, start_ns + 42, suffix), PIPIT_OK);
    assert_string_equal(suffix, ".2026.11.05.03.04.44.000000042");
    assert_false(pp_log_file_is_full(&file));
    assert_int_equal(append(&file, "new\n"), PIPIT_OK);
    assert_string_equal(folder_read(&folder, "l"), "new\n");
    assert_string_equal(folder_read(&folder, "l.2026.11.05.03.04.44.000000042"), "old\n");
    for (int i = 1; i < 10; i++)
        assert_int_equal(pp_log_file_rotate(&file, start_ns + i * 1000000000LL, suffix), PIPIT_OK);
    /* Others' files are none of its business. */
    (void)close(open(folder_file(&folder, "l.2026.11.05.03.04.44"), O_CREAT | O_WRONLY, 0600));
    (void)close(open(folder_file(&folder, "l.keep"), O_CREAT | O_WRONLY, 0600));
    purged = 0;
    pp_log_file_purge(&file, count_purged, NULL);
    assert_int_equal(purged, 8);
    assert_int_equal(folder_count(&folder, "l.2026.11.05.03.04.5", oldest), 2);
    assert_string_equal(oldest, "l.2026.11.05.03.04.52.000000000");
    assert_int_equal(folder_count(&folder, "l", NULL), 5);
    file.max_num = 1;
    pp_log_file_purge(&file, count_purged, NULL);
    assert_int_equal(folder_count(&folder, "l", NULL), 3);
    pp_log_file_close(&file);
    folder_fini(&folder);
}

/* Whatever step of setting aside is refused, no line is lost and writing goes on. */
static void test_log_file_rotation_refused(void **state)
{
    static const char *const points[] = {"log_rename", "log_open"};
    char suffix[PP_LOG_BACKUP_SUFFIX_BYTES + 1];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct folder folder;
        pp_log_file file;

        folder_init(&folder);
        file = open_file(folder_file(&folder, "l"), 5, 0);
        assert_int_equal(append(&file, "before\n"), PIPIT_OK);
        pp_fault_arm(points[i], 1);
        assert_int_not_equal(pp_log_file_rotate(&file, start_ns, suffix), PIPIT_OK);
        assert_true(errno == EACCES || errno == EMFILE);
        assert_true(pp_fault_disarm());
        assert_int_equal(append(&file, "x\n"), PIPIT_OK);
        assert_false(pp_log_file_is_full(&file)); /* not tried again at once */
        assert_int_equal(append(&file, "later\n"), PIPIT_OK);
        assert_true(pp_log_file_is_full(&file));
        assert_string_equal(folder_read(&folder, "l"), "before\nx\nlater\n");
        assert_int_equal(folder_count(&folder, "l", NULL), 1);
        assert_int_equal(pp_log_file_rotate(&file, start_ns, suffix), PIPIT_OK);
        assert_int_equal(folder_count(&folder, "l", NULL), 2);
        pp_log_file_close(&file);
        folder_fini(&folder);
    }
}

static void test_log_file_disk_full_in_a_line(void **state)
{
    struct folder folder;
    pp_log_file file;
    size_t done = 0;

    (void)state;
    folder_init(&folder);
    file = open_file(folder_file(&folder, "l"), 0, 0);
    pp_fault_arm("log_write_short", 1);
    assert_int_equal(pp_log_file_append(&file, "whole\n", 6, &done), PIPIT_OK);
    assert_true(pp_fault_disarm());
    assert_string_equal(folder_read(&folder, "l"), "whole\n");
    /* Half of it is written, then nothing more. */
    pp_fault_arm("log_write", 1);
    done = 4;
    assert_int_equal(pp_log_file_append(&file, "0123456789\n", 11, &done), PIPIT_EIO);
    assert_int_equal(errno, ENOSPC);
    assert_true(pp_fault_disarm());
    assert_int_equal(append(&file, "next\n"), PIPIT_OK);
    assert_string_equal(folder_read(&folder, "l"), "whole\n\nnext\n");
    assert_int_equal(file.size, 12);
    pp_log_file_close(&file);
    file = open_file("/dev/full", 1, 0);
    assert_int_equal(append(&file, "x\n"), PIPIT_EIO);
    assert_int_equal(errno, ENOSPC);
    assert_false(pp_log_file_is_full(&file));
    pp_log_file_close(&file);
    folder_fini(&folder);
}

static void test_log_file_reopens_after_it_was_moved(void **state)
{
    struct folder folder;
    pp_log_file file;

    (void)state;
    folder_init(&folder);
    file = open_file(folder_file(&folder, "l"), 0, 0);
    assert_int_equal(append(&file, "one\n"), PIPIT_OK);
    assert_int_equal(rename(folder_file(&folder, "l"), folder_file(&folder, "moved")), 0);
    assert_int_equal(append(&file, "two\n"), PIPIT_OK);
    pp_fault_arm("log_open", 1);
    assert_int_not_equal(pp_log_file_reopen(&file), PIPIT_OK);
    assert_true(pp_fault_disarm());
    assert_int_equal(append(&file, "three\n"), PIPIT_OK);
    assert_int_equal(pp_log_file_reopen(&file), PIPIT_OK);
    assert_int_equal(append(&file, "four\n"), PIPIT_OK);
    assert_string_equal(folder_read(&folder, "l"), "four\n");
    assert_string_equal(folder_read(&folder, "moved"), "one\ntwo\nthree\n");
    pp_log_file_close(&file);
    folder_fini(&folder);
}

/* A pipe without a reader can be opened, and a full one says so instead of waiting. */
static void test_log_file_pipe(void **state)
{
    static char block[8192];
    struct folder folder;
    pp_log_file file;
    size_t done = 0;
    pipit_err err;

    (void)state;
    folder_init(&folder);
    assert_int_equal(mkfifo(folder_file(&folder, "l"), 0600), 0);
    file = open_file(folder_file(&folder, "l"), 10, 0);
    memset(block, 'x', sizeof(block));
    do {
        done = 0;
        err = pp_log_file_append(&file, block, sizeof(block), &done);
    } while (!err);
    assert_int_equal(err, PIPIT_EAGAIN);
    assert_false(pp_log_file_is_full(&file));
    pp_log_file_close(&file);
    folder_fini(&folder);
}

static void test_log_file_without_memory(void **state)
{
    char suffix[PP_LOG_BACKUP_SUFFIX_BYTES + 1];
    int64_t live = pp_alloc_live();
    struct folder folder;
    pp_log_file file;

    (void)state;
    folder_init(&folder);
    pp_fault_arm("alloc", 1);
    assert_int_equal(pp_log_file_open(&file, folder_file(&folder, "l"), 1, 1), PIPIT_ENOMEM);
    assert_true(pp_fault_disarm());
    assert_int_equal(pp_alloc_live(), live);
    file = open_file(folder_file(&folder, "l"), 1, 1);
    assert_int_equal(pp_log_file_rotate(&file, start_ns, suffix), PIPIT_OK);
    purged = 0;
    pp_fault_arm("alloc", 1);
    pp_log_file_purge(&file, count_purged, NULL);
    assert_true(pp_fault_disarm());
    assert_int_equal(purged, 0);
    pp_log_file_purge(&file, count_purged, NULL);
    assert_int_equal(purged, 1);
    pp_log_file_close(&file);
    assert_int_equal(pp_alloc_live(), live);
    folder_fini(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_file_appends_to_what_is_there),
        cmocka_unit_test(test_log_file_cannot_be_opened),
        cmocka_unit_test(test_log_file_is_set_aside),
        cmocka_unit_test(test_log_file_rotation_refused),
        cmocka_unit_test(test_log_file_disk_full_in_a_line),
        cmocka_unit_test(test_log_file_reopens_after_it_was_moved),
        cmocka_unit_test(test_log_file_pipe),
        cmocka_unit_test(test_log_file_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
