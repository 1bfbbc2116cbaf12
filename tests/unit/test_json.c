#include "base/json.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Everything a writer can write. */
static void write_sample(pp_json *json)
{
    pp_json_begin_object(json, NULL);
    pp_json_text(json, "text", PP_STR("a\"\\<>&\n\x01\x7f\xff\xC3\xA9\xE2\x80\xA8"));
    pp_json_begin_object(json, "none");
    pp_json_end_object(json);
    pp_json_begin_array(json, "empty");
    pp_json_end_array(json);
    pp_json_begin_array(json, "list");
    pp_json_u64(json, NULL, UINT64_MAX);
    pp_json_i64(json, NULL, INT64_MIN);
    pp_json_null(json, NULL);
    pp_json_end_array(json);
    pp_json_begin_object_at(json, PP_STR("x<"));
    pp_json_bool(json, "yes", true);
    pp_json_bool(json, "no", false);
    pp_json_end_object(json);
    pp_json_time(json, "at", 1700000000120000000);
    pp_json_end_object(json);
}

static void test_json_is_written_in_lines_or_in_one(void **state)
{
    static const char compact[] =
        "{\"text\":\"a\\\"\\\\\\u003c\\u003e\\u0026\\n\\u0001\x7f\\ufffd\xC3\xA9\\u2028\","
        "\"none\":{},\"empty\":[],\"list\":[18446744073709551615,-9223372036854775808,null],"
        "\"x\\u003c\":{\"yes\":true,\"no\":false},\"at\":\"2023-11-14T22:13:20.12Z\"}";
    static const char lines[] = "{\n  \"a\": 1,\n  \"b\": [\n    2,\n    []\n  ],\n  \"c\": {}\n}";
    pp_json json;
    pp_buf out;

    (void)state;
    pp_buf_init(&out, 4096);
    pp_json_init(&json, &out, 0);
    write_sample(&json);
    assert_int_equal(pp_json_finish(&json), PIPIT_OK);
    assert_true(pp_str_eq(pp_buf_str(&out), pp_str_of(compact)));
    out.len = 0;
    pp_json_init(&json, &out, 2);
    pp_json_begin_object(&json, NULL);
    pp_json_u64(&json, "a", 1);
    pp_json_begin_array(&json, "b");
    pp_json_u64(&json, NULL, 2);
    pp_json_begin_array(&json, NULL);
    pp_json_end_array(&json);
    pp_json_end_array(&json);
    pp_json_begin_object(&json, "c");
    pp_json_end_object(&json);
    pp_json_end_object(&json);
    assert_int_equal(pp_json_finish(&json), PIPIT_OK);
    assert_true(pp_str_eq(pp_buf_str(&out), pp_str_of(lines)));
    pp_buf_fini(&out);
}

static void test_json_floats_are_as_short_as_can_be(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {2, "2"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {1e6, "1000000"},
        {1.0 / 6, "0.16666666666666666"},
        {123.456, "123.456"},
        {1e20, "100000000000000000000"},
        {1e21, "1e+21"},
        {0.000001, "0.000001"},
        {1e-7, "1e-7"},
        {1e100, "1e+100"},
        {99.5, "99.5"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
    };
    pp_buf out;
    pp_json json;

    (void)state;
    pp_buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        out.len = 0;
        pp_json_init(&json, &out, 2);
        pp_json_f64(&json, NULL, cases[i].value);
        assert_int_equal(pp_json_finish(&json), PIPIT_OK);
        assert_true(pp_str_eq(pp_buf_str(&out), pp_str_of(cases[i].text)));
    }
    pp_buf_fini(&out);
}

static void test_json_times_have_no_trailing_zeros(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {1, "1970-01-01T00:00:00.000000001Z"},
        {-1, "1969-12-31T23:59:59.999999999Z"},
        {1700000000500000000, "2023-11-14T22:13:20.5Z"},
        {951782400000000000, "2000-02-29T00:00:00Z"},
    };
    char text[PP_TIME_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(pp_time_format(text, cases[i].ns), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
    }
}

static void test_json_first_failure_sticks(void **state)
{
    int64_t live = pp_alloc_live();
    pp_json json;
    pp_buf out;

    (void)state;
    for (unsigned nth = 1;; nth++) {
        pipit_err err;

        pp_buf_init(&out, 4096);
        pp_fault_arm("alloc", nth);
        pp_json_init(&json, &out, 2);
        write_sample(&json);
        err = pp_json_finish(&json);
        pp_buf_fini(&out);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            break;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        assert_int_equal(pp_alloc_live(), live);
    }
    for (size_t max = 0; max < 200; max += 7) {
        pp_buf_init(&out, max);
        pp_json_init(&json, &out, 0);
        write_sample(&json);
        assert_int_equal(pp_json_finish(&json), PIPIT_ETOOBIG);
        assert_true(out.len <= max);
        pp_buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_is_written_in_lines_or_in_one),
        cmocka_unit_test(test_json_floats_are_as_short_as_can_be),
        cmocka_unit_test(test_json_times_have_no_trailing_zeros),
        cmocka_unit_test(test_json_first_failure_sticks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
