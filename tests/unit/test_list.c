#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
    int number;
    pp_link link;
};

/* Walk both ways; the numbers as digits. */
static int digits(const pp_link *list)
{
    int forth = 0, back = 0, place = 1;

    for (const pp_link *link = list->next; link != list; link = link->next)
        forth = forth * 10 + PP_CONTAINER(link, const struct item, link)->number;
    for (const pp_link *link = list->prev; link != list; link = link->prev, place *= 10)
        back += place * PP_CONTAINER(link, const struct item, link)->number;
    assert_int_equal(forth, back);
    return forth;
}

static void test_list_appends_in_order(void **state)
{
    struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    pp_link list;

    (void)state;
    pp_list_init(&list);
    assert_true(pp_list_empty(&list));
    assert_int_equal(digits(&list), 0);
    for (int i = 0; i < 3; i++) {
        pp_list_append(&list, &items[i].link);
        assert_false(pp_list_empty(&list));
    }
    assert_int_equal(digits(&list), 123);
}

static void test_list_removes_from_anywhere(void **state)
{
    static const struct {
        int first, second, left, last; /* what is removed, what is left after each */
    } cases[] = {{0, 1, 23, 3}, {1, 0, 13, 3}, {2, 1, 12, 1}, {0, 2, 23, 2}};

    (void)state;
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
        pp_link list;

        pp_list_init(&list);
        for (int i = 0; i < 3; i++)
            pp_list_append(&list, &items[i].link);
        pp_list_remove(&items[cases[c].first].link);
        assert_int_equal(digits(&list), cases[c].left);
        pp_list_remove(&items[cases[c].first].link); /* once more does no harm */
        assert_int_equal(digits(&list), cases[c].left);
        pp_list_remove(&items[cases[c].second].link);
        assert_int_equal(digits(&list), cases[c].last);
        pp_list_append(&list, &items[cases[c].first].link); /* and it can come back */
        assert_int_equal(digits(&list), cases[c].last * 10 + items[cases[c].first].number);
    }
}

static void test_list_is_empty_after_the_last(void **state)
{
    struct item item = {.number = 7};
    pp_link list;

    (void)state;
    pp_list_init(&list);
    pp_list_append(&list, &item.link);
    pp_list_remove(&item.link);
    assert_true(pp_list_empty(&list));
    assert_true(pp_list_empty(&item.link));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_appends_in_order),
        cmocka_unit_test(test_list_removes_from_anywhere),
        cmocka_unit_test(test_list_is_empty_after_the_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
