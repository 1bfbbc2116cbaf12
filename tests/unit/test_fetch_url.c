/* Getting tokens by URL, when it cannot even begin. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "server/operators/operators.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_fetch_without_memory(void **state)
{
    static const pp_fetch_tls tls;
    int64_t live_before = pp_alloc_live();
    pp_buf out;

    (void)state;
    pp_buf_init(&out, 1000);
    pp_fault_arm("curl", 1);
    assert_int_equal(pp_fetch_url("http://127.0.0.1:1/", &tls, "key", PP_NS_PER_S, NULL, &out),
                     PIPIT_ENOMEM);
    assert_true(pp_fault_disarm());
    assert_int_equal(out.len, 0);
    pp_buf_fini(&out);
    assert_int_equal(pp_alloc_live(), live_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fetch_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
