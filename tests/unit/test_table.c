/* Tests of base/table.h: entries are found, and only while they are in it. */
#include "base/table.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>

#include <cmocka.h>

enum { ENTRIES = 1000 };

static pp_table_entry entries[ENTRIES];

static bool has(const pp_table *table, const pp_table_entry *wanted)
{
    for (pp_table_entry *e = pp_table_first(table, wanted->hash); e; e = e->next) {
        if (e == wanted)
            return true;
    }
    return false;
}

static void test_table_finds_what_is_in_it(void **state)
{
    pp_table table = {0};

    (void)state;
    assert_null(pp_table_any(&table));
    for (int i = 0; i < ENTRIES; i++) {
        entries[i].hash = (uint64_t)(i / 3) * 0x9e3779b97f4a7c15u; /* some are equal */
        assert_int_equal(pp_table_add(&table, &entries[i]), PIPIT_OK);
    }
    for (int i = 0; i < ENTRIES; i += 2)
        pp_table_remove(&table, &entries[i]);
    for (int i = 0; i < ENTRIES; i++)
        assert_int_equal(has(&table, &entries[i]), i % 2);
    assert_int_equal(table.count, ENTRIES / 2);
    while (table.count)
        pp_table_remove(&table, pp_table_any(&table));
    pp_table_fini(&table);
}

/* Only the first entry needs memory; the others make longer chains without. */
static void test_table_goes_on_without_memory(void **state)
{
    int64_t live = pp_alloc_live();
    pp_table table = {0};

    (void)state;
    pp_fault_arm("alloc", 1);
    assert_int_equal(pp_table_add(&table, &entries[0]), PIPIT_ENOMEM);
    assert_true(pp_fault_disarm());
    for (int i = 0; i < ENTRIES; i++) {
        entries[i].hash = (uint64_t)i;
        pp_fault_arm("alloc", i ? 1 : 2);
        assert_int_equal(pp_table_add(&table, &entries[i]), PIPIT_OK);
        (void)pp_fault_disarm();
    }
    for (int i = 0; i < ENTRIES; i++)
        assert_true(has(&table, &entries[i]));
    pp_table_fini(&table);
    assert_int_equal(pp_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_finds_what_is_in_it),
        cmocka_unit_test(test_table_goes_on_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
