/* One destination token: what it stands for. The rows agree with nats-server 2.15.2 unless a
 * comment says otherwise. */
#include "core/placeholder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define UNKNOWN "unknown function"
#define FEW "not enough arguments passed to the function"
#define MANY "too many arguments passed to the function"
#define FORMAT "function argument is invalid or in the wrong format"

static const struct row {
    const char *token;
    const char *reason; /* NULL: fine */
    pp_placeholder_kind kind;
    int32_t number;
    size_t index_count;
    int64_t indexes[3];
    const char *delimiter;
} rows[] = {
    /* literal */
    {"a", NULL, PP_PLACEHOLDER_NONE, 0, 0, {0}, NULL},
    {"$", NULL, PP_PLACEHOLDER_NONE, 0, 0, {0}, NULL},
    {"$SYS", NULL, PP_PLACEHOLDER_NONE, 0, 0, {0}, NULL},
    {"$1x", NULL, PP_PLACEHOLDER_NONE, 0, 0, {0}, NULL},
    {"$ 1", NULL, PP_PLACEHOLDER_NONE, 0, 0, {0}, NULL},
    {"$99999999999999999999", NULL, PP_PLACEHOLDER_NONE, 0, 0, {0}, NULL},
    {"{{}}", NULL, PP_PLACEHOLDER_NONE, 0, 0, {0}, NULL},
    {"{{", NULL, PP_PLACEHOLDER_NONE, 0, 0, {0}, NULL},
    {"{{wildcard(1)", NULL, PP_PLACEHOLDER_NONE, 0, 0, {0}, NULL},
    {"{{wildcard(1)}", NULL, PP_PLACEHOLDER_NONE, 0, 0, {0}, NULL},
    {"{wildcard(1)}}", NULL, PP_PLACEHOLDER_NONE, 0, 0, {0}, NULL},
    {"x{{wildcard(1)}}", NULL, PP_PLACEHOLDER_NONE, 0, 0, {0}, NULL},
    {"{{wildcard(1)}}x", NULL, PP_PLACEHOLDER_NONE, 0, 0, {0}, NULL},

    /* wildcard */
    {"$1", NULL, PP_PLACEHOLDER_WILDCARD, 0, 1, {1}, NULL},
    {"$0012", NULL, PP_PLACEHOLDER_WILDCARD, 0, 1, {12}, NULL},
    {"$+2", NULL, PP_PLACEHOLDER_WILDCARD, 0, 1, {2}, NULL},
    {"$-2", NULL, PP_PLACEHOLDER_WILDCARD, 0, 1, {-2}, NULL},
    {"$9223372036854775807", NULL, PP_PLACEHOLDER_WILDCARD, 0, 1, {INT64_MAX}, NULL},
    {"{{wildcard(1)}}", NULL, PP_PLACEHOLDER_WILDCARD, 0, 1, {1}, NULL},
    {"{{Wildcard(1)}}", NULL, PP_PLACEHOLDER_WILDCARD, 0, 1, {1}, NULL},
    {"{{\t wildcard \f( 1 )\r\n}}", NULL, PP_PLACEHOLDER_WILDCARD, 0, 1, {1}, NULL},
    {"{{wildCard(1)}}", UNKNOWN, 0, 0, 0, {0}, NULL},
    {"{{WILDCARD(1)}}", UNKNOWN, 0, 0, 0, {0}, NULL},
    {"{{wildcards(1)}}", UNKNOWN, 0, 0, 0, {0}, NULL},
    {"{{wildcard}}", UNKNOWN, 0, 0, 0, {0}, NULL},
    {"{{wildcard(}}", UNKNOWN, 0, 0, 0, {0}, NULL},
    {"{{wildcard)}}", UNKNOWN, 0, 0, 0, {0}, NULL},
    {"{{wildcard)(}}", UNKNOWN, 0, 0, 0, {0}, NULL},
    {"{{wildcard(1)x}}", UNKNOWN, 0, 0, 0, {0}, NULL},
    {"{{(1)}}", UNKNOWN, 0, 0, 0, {0}, NULL},
    {"{{ }}", UNKNOWN, 0, 0, 0, {0}, NULL},
    {"{{wildcard()}}", FEW, 0, 0, 0, {0}, NULL},
    {"{{wildcard( )}}", FORMAT, 0, 0, 0, {0}, NULL},
    {"{{wildcard(\t1)}}", FORMAT, 0, 0, 0, {0}, NULL},
    {"{{wildcard(a)}}", FORMAT, 0, 0, 0, {0}, NULL},
    {"{{wildcard(1-)}}", FORMAT, 0, 0, 0, {0}, NULL},
    {"{{wildcard(--1)}}", FORMAT, 0, 0, 0, {0}, NULL},
    {"{{wildcard(9223372036854775808)}}", FORMAT, 0, 0, 0, {0}, NULL},
    {"{{wildcard(1,2)}}", MANY, 0, 0, 0, {0}, NULL},
    {"{{wildcard(1)}}-{{wildcard(2)}}", FORMAT, 0, 0, 0, {0}, NULL},
    /* Refused here only: nats-server looks for a function anywhere in the token. */
    {"{{x{{wildcard(1)}}", UNKNOWN, 0, 0, 0, {0}, NULL},

    /* partition */
    {"{{partition(10)}}", NULL, PP_PLACEHOLDER_PARTITION, 10, 0, {0}, NULL},
    {"{{Partition(10,1)}}", NULL, PP_PLACEHOLDER_PARTITION, 10, 1, {1}, NULL},
    {"{{partition(10 ,3,\t 1, -2)}}", NULL, PP_PLACEHOLDER_PARTITION, 10, 3, {3, 1, -2}, NULL},
    {"{{partition(-3)}}", NULL, PP_PLACEHOLDER_PARTITION, -3, 0, {0}, NULL},
    {"{{partition(2147483647)}}", NULL, PP_PLACEHOLDER_PARTITION, INT32_MAX, 0, {0}, NULL},
    {"{{partition(2147483648)}}", FORMAT, 0, 0, 0, {0}, NULL},
    {"{{partition(-2147483649)}}", FORMAT, 0, 0, 0, {0}, NULL}, /* there it wraps around */
    {"{{partition(10,)}}", FORMAT, 0, 0, 0, {0}, NULL},
    {"{{partition(10,,1)}}", FORMAT, 0, 0, 0, {0}, NULL},
    {"{{partition(,1)}}", FORMAT, 0, 0, 0, {0}, NULL},
    {"{{partition()}}", FEW, 0, 0, 0, {0}, NULL}, /* there: FORMAT */

    /* random */
    {"{{random(3)}}", NULL, PP_PLACEHOLDER_RANDOM, 3, 0, {0}, NULL},
    {"{{Random(0)}}", NULL, PP_PLACEHOLDER_RANDOM, 0, 0, {0}, NULL},
    {"{{random(2147483648)}}", FORMAT, 0, 0, 0, {0}, NULL},
    {"{{random(1,2)}}", MANY, 0, 0, 0, {0}, NULL}, /* there: FEW */

    /* an index and a number */
    {"{{splitfromleft(1,3)}}", NULL, PP_PLACEHOLDER_SPLIT_FROM_LEFT, 3, 1, {1}, NULL},
    {"{{splitFromleft(1,3)}}", NULL, PP_PLACEHOLDER_SPLIT_FROM_LEFT, 3, 1, {1}, NULL},
    {"{{SplitFromRight(2, -3)}}", NULL, PP_PLACEHOLDER_SPLIT_FROM_RIGHT, -3, 1, {2}, NULL},
    {"{{SliceFromLeft(1,3)}}", NULL, PP_PLACEHOLDER_SLICE_FROM_LEFT, 3, 1, {1}, NULL},
    {"{{slicefromright(1,3)}}", NULL, PP_PLACEHOLDER_SLICE_FROM_RIGHT, 3, 1, {1}, NULL},
    {"{{left(1,3)}}", NULL, PP_PLACEHOLDER_LEFT, 3, 1, {1}, NULL},
    {"{{Right(1,3)}}", NULL, PP_PLACEHOLDER_RIGHT, 3, 1, {1}, NULL},
    {"{{left(1)}}", FEW, 0, 0, 0, {0}, NULL},
    {"{{left()}}", FEW, 0, 0, 0, {0}, NULL},
    {"{{left(1,2,3)}}", MANY, 0, 0, 0, {0}, NULL},
    {"{{left(1,2147483648)}}", FORMAT, 0, 0, 0, {0}, NULL},
    {"{{left(x,1)}}", FORMAT, 0, 0, 0, {0}, NULL},

    /* split */
    {"{{split(1,-)}}", NULL, PP_PLACEHOLDER_SPLIT, 0, 1, {1}, "-"},
    {"{{Split(2, ab)}}", NULL, PP_PLACEHOLDER_SPLIT, 0, 1, {2}, "ab"},
    {"{{split(1,))}}", NULL, PP_PLACEHOLDER_SPLIT, 0, 1, {1}, ")"},
    {"{{split(1,()}}", NULL, PP_PLACEHOLDER_SPLIT, 0, 1, {1}, "("},
    {"{{split(1,)}}", NULL, PP_PLACEHOLDER_SPLIT, 0, 1, {1}, ""},
    {"{{split(1, )}}", NULL, PP_PLACEHOLDER_SPLIT, 0, 1, {1}, ""},
    {"{{split(1,- )}}", FORMAT, 0, 0, 0, {0}, NULL},
    {"{{split(1,a b)}}", FORMAT, 0, 0, 0, {0}, NULL},
    {"{{split(1,,)}}", MANY, 0, 0, 0, {0}, NULL},
    {"{{split(1)}}", FEW, 0, 0, 0, {0}, NULL},
    {"{{split(x,-)}}", FORMAT, 0, 0, 0, {0}, NULL},
};

static void test_placeholder_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];
        const char *reason = NULL;
        pp_placeholder got;
        pipit_err err = pp_placeholder_parse(pp_str_of(row->token), &got, &reason);

        if ((err != PIPIT_OK) != (row->reason != NULL))
            fail_msg("%s: %s", row->token, err ? reason : "accepted");
        if (err) {
            assert_int_equal(err, PIPIT_EINVAL);
            assert_string_equal(reason, row->reason);
            continue;
        }
        if (got.kind != row->kind || got.number != row->number ||
            got.index_count != row->index_count)
            fail_msg("%s: kind %d, number %d, %zu indexes", row->token, (int)got.kind,
                     (int)got.number, got.index_count);
        for (size_t k = 0; k < got.index_count; k++)
            assert_int_equal(got.indexes[k], row->indexes[k]);
        assert_true(pp_str_eq(got.delimiter, pp_str_of(row->delimiter)));
    }
}

static void test_placeholder_has_a_limit_of_indexes(void **state)
{
    char token[PP_PLACEHOLDER_INDEXES_MAX * 2 + 64];
    const char *reason;
    pp_placeholder got;

    (void)state;
    for (int extra = 0; extra < 3; extra++) {
        size_t len = (size_t)snprintf(token, sizeof(token), "{{partition(7");
        pipit_err err;

        for (int i = 0; i < PP_PLACEHOLDER_INDEXES_MAX + extra; i++)
            len += (size_t)snprintf(token + len, sizeof(token) - len, ",1");
        len += (size_t)snprintf(token + len, sizeof(token) - len, ")}}");
        err = pp_placeholder_parse((pp_str){token, len}, &got, &reason);
        assert_int_equal(err, extra ? PIPIT_ELIMIT : PIPIT_OK);
        if (!err)
            assert_int_equal(got.index_count, PP_PLACEHOLDER_INDEXES_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_placeholder_rows),
        cmocka_unit_test(test_placeholder_has_a_limit_of_indexes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
