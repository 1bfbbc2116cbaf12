/* What control groups allow, read from sample trees in a temporary folder. */
#include "base/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct file {
    const char *path, *text;
};

static const struct {
    const char *what;
    struct file files[6];
    uint64_t max;
} cases[] = {
    {"no control groups", {{"proc/self/other", ""}}, 0},
    {"version 2, own limit",
     {{"proc/self/cgroup", "0::/a.slice/b.scope\n"},
      {"sys/fs/cgroup/a.slice/memory.max", "max\n"},
      {"sys/fs/cgroup/a.slice/b.scope/memory.max", "536870912\n"}},
     536870912},
    {"version 2, a parent's is lower",
     {{"proc/self/cgroup", "0::/a.slice/b.scope\n"},
      {"sys/fs/cgroup/a.slice/memory.max", "268435456\n"},
      {"sys/fs/cgroup/a.slice/b.scope/memory.max", "536870912\n"}},
     268435456},
    {"version 2, no limit",
     {{"proc/self/cgroup", "0::/a.slice\n"}, {"sys/fs/cgroup/a.slice/memory.max", "max\n"}},
     0},
    {"version 2, in a container: the group is the top",
     {{"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/memory.max", "134217728\n"}},
     134217728},
    {"version 2, a path that is not visible here",
     {{"proc/self/cgroup", "0::/docker/123456\n"}, {"sys/fs/cgroup/memory.max", "134217728\n"}},
     134217728},
    {"version 1",
     {{"proc/self/cgroup", "5:devices:/\n4:cpu,memory,pids:/app/one\n0::/\n"},
      {"sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"},
      {"sys/fs/cgroup/memory/app/one/memory.limit_in_bytes", "67108864\n"}},
     67108864},
    {"version 1, no limit",
     {{"proc/self/cgroup", "4:memory:/\n"},
      {"sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"}},
     0},
    {"version 1, another controller's path is not memory's",
     {{"proc/self/cgroup", "4:memoryless:/x\n"},
      {"sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1000\n"}},
     0},
    {"both: the lower",
     {{"proc/self/cgroup", "4:memory:/x\n0::/y\n"},
      {"sys/fs/cgroup/memory/x/memory.limit_in_bytes", "200000000\n"},
      {"sys/fs/cgroup/y/memory.max", "100000000\n"}},
     100000000},
    {"nonsense",
     {{"proc/self/cgroup", "what\n0::\n::\n7:memory\n"}, {"sys/fs/cgroup/memory.max", "x\n"}},
     0},
};

static void make_file(const char *root, const struct file *file)
{
    char path[512];
    FILE *out;

    (void)snprintf(path, sizeof(path), "%s/%s", root, file->path);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    out = fopen(path, "we");
    assert_non_null(out);
    assert_true(fputs(file->text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static void remove_tree(const char *root)
{
    char command[256];

    (void)snprintf(command, sizeof(command), "rm -rf '%s'", root);
    assert_int_equal(system(command), 0);
}

static void test_cgroup_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char root[] = "/tmp/pipit-cgroup-XXXXXX";
        uint64_t max;

        assert_non_null(mkdtemp(root));
        for (size_t k = 0; k < 6 && cases[i].files[k].path; k++)
            make_file(root, &cases[i].files[k]);
        max = pp_cgroup_memory_max(root);
        remove_tree(root);
        if (max != cases[i].max)
            fail_msg("%s: %llu", cases[i].what, (unsigned long long)max);
    }
}

static void test_cgroup_here(void **state)
{
    (void)state;
    (void)pp_cgroup_memory_max(""); /* whatever it is, it can be asked */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cgroup_samples),
        cmocka_unit_test(test_cgroup_here),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
