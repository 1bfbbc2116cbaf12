#include "config/source.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct {
    const char *folder, *name, *joined;
} joins[] = {
    {".", "a.conf", "a.conf"},
    {"/etc/pipit", "a.conf", "/etc/pipit/a.conf"},
    {"/etc/pipit", "../a.conf", "/etc/a.conf"},
    {"/etc/pipit", "../../../a.conf", "/a.conf"},
    {"/etc/pipit", "/tls/./b//a.conf", "/etc/pipit/tls/b/a.conf"},
    {"/", "a", "/a"},
    {"x", "../a", "a"},
    {"x", "../../a", "../a"},
    {"..", "../a", "../../a"},
    {"x/y", "..", "x"},
    {"x", "..", "."},
    {"x", "", "x"},
    {".", "", "."},
    {"x", "..a/.b", "x/..a/.b"},
};

static void test_source_join(void **state)
{
    pp_arena arena;

    (void)state;
    pp_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < sizeof(joins) / sizeof(joins[0]); i++) {
        pp_str path;

        assert_int_equal(pp_config_source_join(&arena, pp_str_of(joins[i].folder),
                                               pp_str_of(joins[i].name), &path),
                         PIPIT_OK);
        assert_string_equal(path.ptr, joins[i].joined);
        assert_int_equal(path.len, strlen(joins[i].joined));
    }
    pp_arena_fini(&arena);
}

static void test_source_folder(void **state)
{
    static const char *const cases[][2] = {
        {"a", "."}, {"x/a", "x"}, {"/a", "/"}, {"/x/y/a", "/x/y"}, {"x/", "x"},
    };
    pp_arena arena;

    (void)state;
    pp_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_str folder;

        assert_int_equal(pp_config_source_folder(&arena, cases[i][0], &folder), PIPIT_OK);
        assert_string_equal(folder.ptr, cases[i][1]);
    }
    pp_arena_fini(&arena);
}

/* A file without a name, of so many bytes; path has room for it. */
static int make_file(size_t bytes, char path[64])
{
    char name[] = "/tmp/pipit-source-XXXXXX";
    int fd = mkstemp(name);

    assert_true(fd >= 0);
    assert_int_equal(unlink(name), 0);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(write(fd, "x", 1), 1);
    (void)snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

static void test_source_reads_up_to_the_limit(void **state)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 10000};
    int64_t live = pp_alloc_live();

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char path[64];
        int fd = make_file(sizes[i], path);
        pp_config_source source;

        assert_int_equal(pp_config_source_open(&source, path, sizes[i]), PIPIT_OK);
        assert_int_equal(source.len, sizes[i]);
        pp_config_source_close(&source);
        if (sizes[i])
            assert_int_equal(pp_config_source_open(&source, path, sizes[i] - 1), PIPIT_ETOOBIG);
        (void)close(fd);
    }
    assert_int_equal(pp_alloc_live(), live);
}

static void test_source_reads_pipes(void **state)
{
    static char text[20000];
    char path[64];
    pp_config_source source;
    int ends[2];

    (void)state;
    memset(text, 'y', sizeof(text));
    for (int round = 0; round < 2; round++) {
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], text, sizeof(text)), (ssize_t)sizeof(text));
        (void)close(ends[1]);
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
        if (round == 0) {
            assert_int_equal(pp_config_source_open(&source, path, sizeof(text)), PIPIT_OK);
            assert_int_equal(source.len, sizeof(text));
            assert_memory_equal(source.text, text, sizeof(text));
            pp_config_source_close(&source);
        } else {
            assert_int_equal(pp_config_source_open(&source, path, sizeof(text) - 1), PIPIT_ETOOBIG);
        }
        (void)close(ends[0]);
    }
}

static void test_source_without_end_is_refused(void **state)
{
    pp_config_source source;

    (void)state;
    assert_int_equal(pp_config_source_open(&source, "/dev/zero", 1 << 20), PIPIT_ETOOBIG);
}

static void test_source_says_what_failed(void **state)
{
    pp_config_source source;

    (void)state;
    assert_int_equal(pp_config_source_open(&source, "/nowhere/at/all", 100), PIPIT_ENOTFOUND);
    assert_string_equal(source.failed_call, "open");
    assert_string_equal(source.failed_why, "No such file or directory");
    assert_int_not_equal(pp_config_source_open(&source, "/tmp", 100 << 20), PIPIT_OK);
    assert_string_equal(source.failed_call, "read");
    assert_string_equal(source.failed_why, "Is a directory");
}

static void test_source_survives_failed_allocations(void **state)
{
    int64_t live = pp_alloc_live();
    char path[64];
    int fd = make_file(5000, path);
    pp_config_source source;

    (void)state;
    pp_fault_arm("alloc", 1);
    assert_int_equal(pp_config_source_open(&source, path, 10000), PIPIT_ENOMEM);
    assert_true(pp_fault_disarm());
    assert_null(source.failed_call);
    assert_int_equal(pp_alloc_live(), live);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source_join),
        cmocka_unit_test(test_source_folder),
        cmocka_unit_test(test_source_reads_up_to_the_limit),
        cmocka_unit_test(test_source_reads_pipes),
        cmocka_unit_test(test_source_without_end_is_refused),
        cmocka_unit_test(test_source_says_what_failed),
        cmocka_unit_test(test_source_survives_failed_allocations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
