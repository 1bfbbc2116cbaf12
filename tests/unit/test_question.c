#include "server/system/question.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "server/system/system.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void parse(pp_question *q, const char *body, pp_monitor_endpoint endpoint)
{
    assert_int_equal(pp_question_parse(q, pp_str_of(body), endpoint), PIPIT_OK);
}

static void assert_text(pp_str text, const char *expected)
{
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.ptr, expected, text.len);
}

static void test_question_nothing_is_the_defaults(void **state)
{
    static const char *const bodies[] = {
        "", "{}", "null", " {} ", "{\"unknown\":[1,{}]}", "{\"sort\":null,\"limit\":null}"};

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        pp_question q;

        parse(&q, bodies[i], PP_MONITOR_CONNZ);
        assert_int_equal(q.options.sort, PP_SORT_CID);
        assert_int_equal(q.options.limit, 0);
        assert_int_equal(q.options.account.len, 0);
        assert_true(q.options.compact);
        pp_question_fini(&q);
    }
}

static void test_question_options_of_connz(void **state)
{
    pp_question q;

    (void)state;
    parse(&q,
          "{\"sort\":\"subs\",\"state\":2,\"auth\":true,\"CID\":7,\"user\":\"u\",\"acc\":\"A\","
          "\"subscriptions_detail\":true,\"subscriptions\":true,\"offset\":-3,\"limit\":10,"
          "\"filter_subject\":\"a.>\",\"mqtt_client\":\"m\"}",
          PP_MONITOR_CONNZ);
    assert_int_equal(q.options.sort, PP_SORT_SUBS);
    assert_int_equal(q.options.state, PP_STATE_ALL);
    assert_true(q.options.auth);
    assert_int_equal(q.options.cid, 7);
    assert_int_equal(q.options.subs, PP_SUBS_DETAIL);
    assert_int_equal(q.options.offset, -3);
    assert_int_equal(q.options.limit, 10);
    assert_text(q.options.user, "u");
    assert_text(q.options.account, "A");
    assert_text(q.options.filter_subject, "a.>");
    assert_text(q.options.mqtt_client, "m");
    pp_question_fini(&q);
}

static void test_question_one_key_means_what_the_endpoint_says(void **state)
{
    pp_question q;

    (void)state;
    parse(&q, "{\"accounts\":[\"A\",\"\",\"BB\"],\"include_unused\":true}", PP_MONITOR_ACCSTATZ);
    assert_int_equal(q.options.among.len, 6);
    assert_memory_equal(q.options.among.ptr, "A\0\0BB", 6);
    assert_true(q.options.unused);
    pp_question_fini(&q);
    parse(&q, "{\"accounts\":true,\"consumer\":true}", PP_MONITOR_JSZ);
    assert_true(q.options.accounts);
    assert_true(q.options.consumers);
    pp_question_fini(&q);
    parse(&q, "{\"consumer\":\"c\",\"js-enabled\":true}", PP_MONITOR_HEALTHZ);
    assert_text(q.options.consumer, "c");
    assert_true(q.options.js_enabled_only);
    pp_question_fini(&q);
    parse(&q, "{\"accounts\":7}", PP_MONITOR_VARZ); /* it has no such option */
    pp_question_fini(&q);
}

static void test_question_what_is_wrong(void **state)
{
    static const struct {
        const char *body;
        pp_monitor_endpoint endpoint;
        int code;
        bool understood;
    } cases[] = {
        {"{", PP_MONITOR_VARZ, 400, false},
        {"[]", PP_MONITOR_VARZ, 400, false},
        {"7", PP_MONITOR_VARZ, 400, false},
        {"{\"a\":\"\xff\"}", PP_MONITOR_VARZ, 400, false},
        {"{\"limit\":\"1\"}", PP_MONITOR_CONNZ, 400, false},
        {"{\"limit\":1.5}", PP_MONITOR_CONNZ, 400, false},
        {"{\"auth\":1}", PP_MONITOR_CONNZ, 400, false},
        {"{\"acc\":true}", PP_MONITOR_CONNZ, 400, false},
        {"{\"state\":3}", PP_MONITOR_CONNZ, 400, false},
        {"{\"state\":-1}", PP_MONITOR_CONNZ, 400, false},
        {"{\"sort\":7}", PP_MONITOR_CONNZ, 400, false},
        {"{\"sort\":\"nonsense\"}", PP_MONITOR_CONNZ, 500, true},
        {"{\"accounts\":\"A\"}", PP_MONITOR_ACCSTATZ, 400, false},
        {"{\"accounts\":[1]}", PP_MONITOR_ACCSTATZ, 400, false},
        {"{\"server_name\":1}", PP_MONITOR_VARZ, 400, false},
        {"{\"exact_match\":\"x\"}", PP_MONITOR_VARZ, 400, false},
        {"{\"tags\":\"x\"}", PP_MONITOR_VARZ, 400, false},
        {"{\"tags\":[1]}", PP_MONITOR_VARZ, 400, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_question q;

        assert_int_equal(pp_question_parse(&q, pp_str_of(cases[i].body), cases[i].endpoint),
                         PIPIT_EINVAL);
        assert_int_equal(q.code, cases[i].code);
        assert_int_equal(q.understood, cases[i].understood);
        assert_true(strlen(q.error) > 0);
        pp_question_fini(&q);
    }
}

static void test_question_which_server_is_meant(void **state)
{
    static const pp_nats_settings settings = {.server_name = "north-1", .host = "10.0.0.1"};
    static const char *const tags[] = {"cold", "far"};
    static pp_options options = {.server_tags = tags, .server_tag_count = 2};
    static pp_system system = {
        .settings = &settings, .options = &options, .names_lock = PTHREAD_MUTEX_INITIALIZER};
    static const struct {
        const char *body;
        bool meant;
    } cases[] = {
        {"", true},
        {"{\"server_name\":\"north\"}", true},
        {"{\"server_name\":\"south\"}", false},
        {"{\"server_name\":\"north\",\"exact_match\":true}", false},
        {"{\"server_name\":\"north-1\",\"exact_match\":true}", true},
        {"{\"server_name\":\"\",\"exact_match\":true}", true},
        {"{\"host\":\"10.\"}", true},
        {"{\"host\":\"10.\",\"exact_match\":true}", false},
        {"{\"host\":\"11.\"}", false},
        {"{\"cluster\":\"c\"}", false},
        {"{\"cluster\":\"\"}", true},
        {"{\"domain\":\"d\"}", false},
        {"{\"tags\":[]}", true},
        {"{\"tags\":[\"far\",\"COLD\"]}", true},
        {"{\"tags\":[\"far\",\"near\"]}", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_question q;

        parse(&q, cases[i].body, PP_MONITOR_CONNZ);
        assert_int_equal(pp_question_is_for(&q, &system), cases[i].meant);
        pp_question_fini(&q);
    }
}

static void test_question_without_memory(void **state)
{
    int64_t live = pp_alloc_live();

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        pp_question q;
        pipit_err err;

        pp_fault_arm("alloc", nth);
        err = pp_question_parse(&q, PP_STR("{\"accounts\":[\"A\",\"B\"]}"), PP_MONITOR_ACCSTATZ);
        pp_question_fini(&q);
        assert_int_equal(pp_alloc_live(), live);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            break;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_question_nothing_is_the_defaults),
        cmocka_unit_test(test_question_options_of_connz),
        cmocka_unit_test(test_question_one_key_means_what_the_endpoint_says),
        cmocka_unit_test(test_question_what_is_wrong),
        cmocka_unit_test(test_question_which_server_is_meant),
        cmocka_unit_test(test_question_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
