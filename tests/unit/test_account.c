/* An account: a name, a number, an index of its own. */
#include "core/account.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_account_is_what_was_asked(void **state)
{
    char name[] = "ORDERS";
    pp_account *account;

    (void)state;
    assert_int_equal(pp_account_new(&account, name, 7), PIPIT_OK);
    memset(name, '?', sizeof(name) - 1); /* it has its own copy */
    assert_string_equal(account->name, "ORDERS");
    assert_int_equal(account->loop_count, 7);
    assert_int_equal((uintptr_t)&account->counters[6] % 64, 0);
    assert_int_equal(atomic_load(&account->counters[6].in_msgs), 0);
    assert_int_equal(pp_sublist_count(account->subs), 0);
    pp_account_free(account);
}

static void test_accounts_hash_differently(void **state)
{
    pp_account *a, *b;

    (void)state;
    assert_int_equal(pp_account_new(&a, "A", 1), PIPIT_OK);
    assert_int_equal(pp_account_new(&b, "A", 1), PIPIT_OK);
    assert_true(pp_sublist_seed(a->subs) != pp_sublist_seed(b->subs));
    pp_account_free(a);
    pp_account_free(b);
}

static void test_account_free_of_none(void **state)
{
    (void)state;
    pp_account_free(NULL);
}

static void test_account_fault_sweep(void **state)
{
    int64_t live_before = pp_alloc_live();
    unsigned nth;

    (void)state;
    for (nth = 1;; nth++) {
        pp_account *account = NULL;
        pipit_err err;

        pp_fault_arm("*", nth);
        err = pp_account_new(&account, "A", 1);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            pp_account_free(account);
            break;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        assert_null(account);
        assert_int_equal(pp_alloc_live(), live_before);
    }
    assert_true(nth > 3);
    assert_int_equal(pp_alloc_live(), live_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_account_is_what_was_asked),
        cmocka_unit_test(test_accounts_hash_differently),
        cmocka_unit_test(test_account_free_of_none),
        cmocka_unit_test(test_account_fault_sweep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
