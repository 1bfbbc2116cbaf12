/* The end of a port, while a writer is about to wake its reader. */
#include "client/port.h"

#include "base/alloc.h"
#include "support/check.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    int fd; /* writing there takes its time */
    atomic_bool begun, closed, too_late;
} watch = {.fd = -1};

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);

/* Linked in the place of write: a thread that is stopped here for a while. */
ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    if (fd == watch.fd) {
        atomic_store(&watch.begun, true);
        for (int i = 0; i < 100 && !atomic_load(&watch.closed); i++)
            (void)check_poll(-1, 1);
        if (atomic_load(&watch.closed))
            atomic_store(&watch.too_late, true);
    }
    return __real_write(fd, bytes, len);
}

static void *write_one(void *lane)
{
    const pp_record record = {.subject = PP_STR("a"), .data = PP_STR("b")};

    if (pp_lane_write(lane, &record))
        atomic_store(&watch.too_late, true);
    return NULL;
}

static bool has_begun(void *arg)
{
    (void)arg;
    return atomic_load(&watch.begun);
}

static void test_port_closed_leaves_the_descriptor(void **state)
{
    int64_t live = pp_alloc_live();
    pthread_t writer;
    pp_port *port;
    pp_lane *lane;

    (void)state;
    watch.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_int_equal(pp_port_new(&port, watch.fd, 1 << 20), PIPIT_OK);
    lane = pp_lane_new(port);
    assert_non_null(lane);
    assert_true(pp_port_sleep(port));
    assert_int_equal(pthread_create(&writer, NULL, write_one, lane), 0);
    check_until(has_begun, NULL, "a writer that wakes the reader");
    pp_port_close(port);
    atomic_store(&watch.closed, true); /* the number may be another file's now */
    (void)pthread_join(writer, NULL);
    assert_false(atomic_load(&watch.too_late));
    pp_lane_leave(lane);
    (void)close(watch.fd);
    assert_int_equal(pp_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_closed_leaves_the_descriptor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
