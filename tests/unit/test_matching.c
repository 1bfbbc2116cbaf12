/* Tests of core/matching.h and what it stands on: who hears what is published to a pattern is who
 * overlaps with it, as core/subject.h tells for two texts. */
#include "core/matching.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "base/random.h"
#include "core/subject.h"
#include "seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { SUBS = 120 };

static char client_body;
static struct pp_client *const nobody = (struct pp_client *)(void *)&client_body;

static size_t random_pattern(uint64_t *random, char *text)
{
    static const char *const words[] = {"a", "b", "c", "*", "a", "bb"};
    unsigned count = 1 + pp_random_below(random, 5);
    size_t len = 0;

    for (unsigned i = 0; i < count; i++) {
        bool rest = i + 1 == count && pp_random_below(random, 3) == 0;

        len += (size_t)sprintf(text + len, "%s%s", i ? "." : "",
                               rest ? ">" : words[pp_random_below(random, 6)]);
    }
    return len;
}

static bool has(const pp_sub_set *set, const pp_sub *sub)
{
    size_t times = 0;

    for (size_t i = 0; i < set->count; i++)
        times += set->subs[i] == sub;
    assert_in_range(times, 0, 1);
    return times == 1;
}

static void test_meet_random(void **state)
{
    int64_t live = pp_alloc_live();
    uint64_t random = test_seed(__func__);
    char texts[SUBS][32], wanted[32];
    pp_sub *subs[SUBS] = {NULL};
    pp_sub_set set = {0};
    pp_sublist *list;
    unsigned hits = 0;

    (void)state;
    assert_int_equal(pp_sublist_new(&list, random), PIPIT_OK);
    for (int round = 0; round < 10000; round++) {
        unsigned at = pp_random_below(&random, SUBS);
        pp_str pattern = {wanted, random_pattern(&random, wanted)};

        if (subs[at]) {
            pp_sublist_remove(list, subs[at]);
            pp_sub_free(subs[at]);
            subs[at] = NULL;
        } else {
            subs[at] = pp_sub_new(nobody, PP_STR("1"), PP_STR(""));
            assert_int_equal(
                pp_sublist_insert(list, subs[at],
                                  (pp_str){texts[at], random_pattern(&random, texts[at])}),
                PIPIT_OK);
        }
        assert_int_equal(pp_sublist_meet(list, pattern, &set), PIPIT_OK);
        for (unsigned i = 0; i < SUBS; i++) {
            bool expected = subs[i] && pp_subject_overlaps(pp_str_of(texts[i]), pattern);

            if (subs[i] && has(&set, subs[i]) != expected)
                fail_msg("%s with %s: expected %d", texts[i], wanted, expected);
            hits += expected;
        }
    }
    assert_true(hits > 10000);
    for (unsigned i = 0; i < SUBS; i++) {
        if (subs[i])
            pp_sublist_remove(list, subs[i]);
        pp_sub_free(subs[i]);
    }
    pp_sub_set_fini(&set);
    pp_sublist_free(list);
    assert_int_equal(pp_alloc_live(), live);
}

static void test_meet_without_memory(void **state)
{
    int64_t live = pp_alloc_live();
    pp_sub *sub = pp_sub_new(nobody, PP_STR("1"), PP_STR(""));
    pp_sublist *list;

    (void)state;
    assert_int_equal(pp_sublist_new(&list, 1), PIPIT_OK);
    assert_int_equal(pp_sublist_insert(list, sub, PP_STR("a.*.c")), PIPIT_OK);
    for (uint64_t nth = 1;; nth++) {
        pp_sub_set set = {0};
        pipit_err err;

        pp_fault_arm("alloc", nth);
        err = pp_sublist_meet(list, PP_STR("a.>"), &set);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            assert_int_equal(set.count, 1);
            pp_sub_set_fini(&set);
            break;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        assert_int_equal(set.count, 0);
        pp_sub_set_fini(&set);
    }
    pp_sublist_remove(list, sub);
    pp_sub_free(sub);
    pp_sublist_free(list);
    assert_int_equal(pp_alloc_live(), live);
}

/* --- delivering --------------------------------------------------------------------------- */

typedef struct ear {
    pp_client client;
    unsigned heard;
    bool deaf;
} ear;

static void *outlet(pp_client *client, uint32_t router_index)
{
    (void)router_index;
    return PP_CONTAINER(client, ear, client);
}

static size_t head(const pp_sub *sub, pp_str subject, char *out)
{
    (void)sub;
    if (out)
        memcpy(out, subject.ptr, subject.len);
    return subject.len;
}

static bool deliver(void *to, const pp_sub *sub, pp_str head_text, const pp_msg *msg)
{
    ear *e = to;

    (void)sub;
    assert_true(pp_str_eq(head_text, msg->subject));
    e->heard += !e->deaf;
    return !e->deaf;
}

static void exhausted(pp_sub *sub, uint32_t router_index)
{
    (void)sub;
    (void)router_index;
}

static const struct pp_client_ops ops = {
    .outlet = outlet, .head = head, .deliver = deliver, .exhausted = exhausted};

static void test_matching_delivers(void **state)
{
    static const struct {
        const char *pattern, *queue;
    } wishes[] = {{"a.b", ""}, {"a.*", ""}, {">", ""}, {"b.c", ""}, {"a.b", "q"}, {"a.>", "q"}};
    enum { WISHES = sizeof(wishes) / sizeof(wishes[0]) };
    ear ears[WISHES] = {0};
    pp_sub *subs[WISHES];
    pp_counters counters = {0};
    pp_account *account;
    pp_router router;
    pp_msg msg = {.subject = PP_STR("a.*"), .data = PP_STR("x")};
    size_t taken;

    (void)state;
    assert_int_equal(pp_account_new(&account, "A", 1), PIPIT_OK);
    pp_router_init(&router, 0, &counters);
    for (size_t i = 0; i < WISHES; i++) {
        ears[i].client.ops = &ops;
        subs[i] = pp_sub_new(&ears[i].client, PP_STR("1"), pp_str_of(wishes[i].queue));
        assert_int_equal(pp_account_subscribe(account, subs[i], pp_str_of(wishes[i].pattern)),
                         PIPIT_OK);
    }
    for (unsigned round = 1; round <= 50; round++) {
        ears[4].deaf = round > 40;
        assert_int_equal(pp_router_publish_matching(&router, account, &msg, &taken), PIPIT_OK);
        assert_int_equal(taken, 4); /* three plain ones, one of the group */
        assert_int_equal(ears[0].heard, round);
        assert_int_equal(ears[1].heard, round);
        assert_int_equal(ears[2].heard, round);
        assert_int_equal(ears[3].heard, 0);
        assert_int_equal(ears[4].heard + ears[5].heard, round);
    }
    assert_true(ears[4].heard && ears[5].heard);
    msg.from = &ears[0].client;
    msg.no_echo = true;
    assert_int_equal(pp_router_publish_matching(&router, account, &msg, &taken), PIPIT_OK);
    assert_int_equal(taken, 3);
    msg.subject = PP_STR("nobody.there");
    assert_int_equal(pp_router_publish_matching(&router, account, &msg, &taken), PIPIT_OK);
    assert_int_equal(taken, 1); /* > */
    for (size_t i = 0; i < WISHES; i++) {
        pp_account_unsubscribe(account, subs[i]);
        pp_sub_free(subs[i]);
    }
    pp_router_fini(&router);
    pp_account_free(account);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meet_random),
        cmocka_unit_test(test_meet_without_memory),
        cmocka_unit_test(test_matching_delivers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
