/* Entries come out as they went in, wherever the ring ends; it takes no more than it holds. */
#include "server/log_ring.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { CAP = 1024 };

static bool put(pp_log_ring *ring, unsigned n, size_t len, size_t spare)
{
    char text[PP_LOG_TEXT_MAX + 100];

    memset(text, 'a' + (int)(n % 26), sizeof(text));
    return pp_log_ring_put(ring, &(pp_log_entry){n, (pp_log_level)(n % 6), {text, len}}, spare);
}

static void require_next(pp_log_ring *ring, unsigned n, size_t len)
{
    char text[PP_LOG_TEXT_MAX];
    pp_log_entry entry;
    size_t next = pp_log_ring_read(ring, ring->tail, &entry, text);

    assert_int_equal(entry.time_ns, n);
    assert_int_equal(entry.level, n % 6);
    assert_int_equal(entry.text.len, len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(entry.text.ptr[i], 'a' + (int)(n % 26));
    pp_log_ring_release(ring, next);
}

static void test_log_ring_keeps_order_across_its_end(void **state)
{
    pp_log_ring ring;
    unsigned in = 0, out = 0;

    (void)state;
    assert_int_equal(pp_log_ring_init(&ring, CAP), PIPIT_OK);
    while (out < 5000) {
        while (put(&ring, in, in * 7 % 200, 0))
            in++;
        for (unsigned i = 0; i < 1 + in % 5 && out < in - 1; i++, out++)
            require_next(&ring, out, out * 7 % 200);
    }
    pp_log_ring_fini(&ring);
}

static void test_log_ring_starts_over_when_empty(void **state)
{
    pp_log_ring ring;

    (void)state;
    assert_int_equal(pp_log_ring_init(&ring, CAP), PIPIT_OK);
    for (unsigned n = 0; n < 1000; n++) {
        assert_true(put(&ring, n, 100, 0));
        require_next(&ring, n, 100);
        assert_int_equal(ring.head, 0);
    }
    pp_log_ring_fini(&ring);
}

static void test_log_ring_spares_room_for_errors(void **state)
{
    pp_log_ring ring;
    unsigned n = 0;

    (void)state;
    assert_int_equal(pp_log_ring_init(&ring, CAP), PIPIT_OK);
    while (put(&ring, n, 20, 200))
        n++;
    assert_in_range(ring.head - ring.tail, CAP - 200 - 40, CAP - 200);
    assert_true(put(&ring, n, 20, 0));
    while (put(&ring, n, 20, 0))
        n++;
    assert_in_range(ring.head - ring.tail, CAP - 40, CAP);
    pp_log_ring_fini(&ring);
}

static void test_log_ring_cuts_long_texts(void **state)
{
    pp_log_ring ring;

    (void)state;
    assert_int_equal(pp_log_ring_init(&ring, 8192), PIPIT_OK);
    assert_true(put(&ring, 3, PP_LOG_TEXT_MAX + 50, 0));
    require_next(&ring, 3, PP_LOG_TEXT_MAX);
    pp_log_ring_fini(&ring);
    pp_fault_arm("alloc", 1);
    assert_int_equal(pp_log_ring_init(&ring, 8192), PIPIT_ENOMEM);
    assert_true(pp_fault_disarm());
    pp_log_ring_fini(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_ring_keeps_order_across_its_end),
        cmocka_unit_test(test_log_ring_starts_over_when_empty),
        cmocka_unit_test(test_log_ring_spares_room_for_errors),
        cmocka_unit_test(test_log_ring_cuts_long_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
