#include "server/monitor/query.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static pipit_err parse(pp_query *query, pp_monitor_endpoint endpoint, const char *text,
                       char error[512])
{
    pp_buf message;
    pipit_err err;

    pp_buf_init(&message, 64 * 1024);
    err = pp_query_parse(query, endpoint, pp_str_of(text), &message);
    memset(error, 0, 512);
    if (message.len)
        memcpy(error, message.ptr, message.len < 511 ? message.len : 511);
    pp_buf_fini(&message);
    return err;
}

static void test_monitor_query_fills_options(void **state)
{
    char error[512];
    pp_query *query = malloc(sizeof(*query));
    const pp_monitor_options *o = &query->options;

    (void)state;
    assert_int_equal(parse(query, PP_MONITOR_CONNZ,
                           "sort=rtt&auth=T&subs=Detail&offset=-3&limit=7&cid=9&state=CLOSED&"
                           "user=a%20b&acc=%24G&mqtt_client=m&filter_subject=no&test=no&subs=0",
                           error),
                     PIPIT_OK);
    assert_int_equal(o->sort, PP_SORT_RTT);
    assert_true(o->auth);
    assert_int_equal(o->subs, PP_SUBS_DETAIL);
    assert_int_equal(o->offset, -3);
    assert_int_equal(o->limit, 7);
    assert_int_equal(o->cid, 9);
    assert_int_equal(o->state, PP_STATE_CLOSED);
    assert_true(pp_str_eq(o->user, PP_STR("a b")));
    assert_true(pp_str_eq(o->account, PP_STR("$G")));
    assert_true(pp_str_eq(o->mqtt_client, PP_STR("m")));
    assert_int_equal(o->filter_subject.len, 0); /* not over HTTP */
    assert_int_equal(o->test.len, 0);
    assert_int_equal(parse(query, PP_MONITOR_VARZ, "sort=x&limit=y", error), PIPIT_OK);
    assert_int_equal(parse(query, PP_MONITOR_HEALTHZ, "js-enabled=1&js-enabled-only=0", error),
                     PIPIT_OK);
    assert_true(o->js_enabled_only && query->names_deprecated);
    free(query);
}

static void test_monitor_query_says_what_is_wrong(void **state)
{
    static const struct {
        pp_monitor_endpoint endpoint;
        const char *text, *error;
    } cases[] = {
        {PP_MONITOR_CONNZ, "auth=2",
         "Error decoding boolean for 'auth': strconv.ParseBool: parsing \"2\": invalid syntax"},
        {PP_MONITOR_CONNZ, "limit=9223372036854775808",
         "Error decoding int for 'limit': strconv.Atoi: parsing \"9223372036854775808\": "
         "value out of range"},
        {PP_MONITOR_CONNZ, "cid=-1",
         "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"-1\": invalid syntax"},
        {PP_MONITOR_CONNZ, "state=x", "Error decoding state for x"},
        {PP_MONITOR_CONNZ, "sort=x", "invalid sorting option: x"},
        {PP_MONITOR_CONNZ, "sort=x&state=y", "Error decoding state for y"},
        {PP_MONITOR_LEAFZ, "subs=detail",
         "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"detail\": "
         "invalid syntax"},
    };
    pp_query *query = malloc(sizeof(*query));
    char error[512];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(parse(query, cases[i].endpoint, cases[i].text, error), PIPIT_EINVAL);
        assert_string_equal(error, cases[i].error);
        pp_fault_arm("alloc", 1);
        assert_int_equal(parse(query, cases[i].endpoint, cases[i].text, error), PIPIT_ENOMEM);
        assert_true(pp_fault_disarm());
    }
    free(query);
}

static void test_monitor_query_has_a_limited_length(void **state)
{
    size_t len = PP_QUERY_TEXTS_MAX;
    char *text = malloc(len + 64), error[512];
    pp_query *query = malloc(sizeof(*query));

    (void)state;
    memcpy(text, "user=", 5);
    memset(text + 5, 'x', len);
    text[5 + len - 1] = '\0';
    assert_int_equal(parse(query, PP_MONITOR_CONNZ, text, error), PIPIT_OK);
    assert_int_equal(query->options.user.len, len - 1);
    memcpy(text + 5 + len - 1, "x", 2);
    assert_int_equal(parse(query, PP_MONITOR_CONNZ, text, error), PIPIT_ETOOBIG);
    memcpy(text + 5 + len - 8, "&acc=yy", 8); /* together they are too long */
    assert_int_equal(parse(query, PP_MONITOR_CONNZ, text, error), PIPIT_OK);
    free(query);
    free(text);
}

static void test_monitor_query_accept(void **state)
{
    static const struct {
        const char *accept;
        bool open;
    } cases[] = {
        {"", false},
        {"*/*", false},
        {"application/openmetrics-text", true},
        {" application/openmetrics-text ;version=1.0.0 ; q=0.5 , text/plain;q=0.4", true},
        {"application/openmetrics-text;q=0.3,text/plain;q=0.4", false},
        {"application/openmetrics-text;q=0", false},
        {"application/openmetrics-text;q=0.001", true},
        {"application/openmetrics-text;q=;;,,;", true},
        {",;=,q", false},
        {"application/openmetrics-textual", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(pp_query_wants_open_metrics(pp_str_of(cases[i].accept)), cases[i].open);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monitor_query_fills_options),
        cmocka_unit_test(test_monitor_query_says_what_is_wrong),
        cmocka_unit_test(test_monitor_query_has_a_limited_length),
        cmocka_unit_test(test_monitor_query_accept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
