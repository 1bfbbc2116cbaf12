/* What is not over in time is told so; what is, is left alone. */
#include "server/stop_guard.h"

#include "base/fault.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

static void tell(void *context)
{
    uint64_t one = 1;

    assert_int_equal(write(*(int *)context, &one, sizeof(one)), sizeof(one));
}

static void test_stop_guard_is_late(void **state)
{
    struct pollfd told = {.fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN};
    pp_stop_guard guard;

    (void)state;
    assert_int_equal(pp_stop_guard_start(&guard, 10, tell, &told.fd), PIPIT_OK);
    assert_int_equal(poll(&told, 1, 20000), 1);
    pp_stop_guard_stop(&guard);
    (void)close(told.fd);
}

static void test_stop_guard_in_time(void **state)
{
    struct pollfd told = {.fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN};
    pp_stop_guard guard;

    (void)state;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(pp_stop_guard_start(&guard, 60000, tell, &told.fd), PIPIT_OK);
        pp_stop_guard_stop(&guard); /* at once, and does not wait for the minute */
    }
    assert_int_equal(poll(&told, 1, 0), 0);
    (void)close(told.fd);
}

static void test_stop_guard_without_thread(void **state)
{
    pp_stop_guard guard;

    (void)state;
    pp_fault_arm("thread", 1);
    assert_int_equal(pp_stop_guard_start(&guard, 10, tell, NULL), PIPIT_ELIMIT);
    assert_true(pp_fault_disarm());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop_guard_is_late),
        cmocka_unit_test(test_stop_guard_in_time),
        cmocka_unit_test(test_stop_guard_without_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
