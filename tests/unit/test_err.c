#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_strerror_names_each_code_differently(void **state)
{
    const char *unknown = pipit_strerror((pipit_err)9999);

    (void)state;
    assert_string_equal(pipit_strerror(PIPIT_OK), "success");
    assert_string_equal(unknown, "unknown error");
    for (int a = PIPIT_OK; a <= PIPIT_EDAMAGED; a++) {
        const char *text = pipit_strerror((pipit_err)a);

        assert_non_null(text);
        assert_string_not_equal(text, unknown);
        for (int b = PIPIT_OK; b < a; b++)
            assert_string_not_equal(text, pipit_strerror((pipit_err)b));
    }
}

static void test_err_from_errno_says_what_happened(void **state)
{
    static const struct {
        int errno_value;
        pipit_err err;
    } cases[] = {
        {0, PIPIT_OK},
        {EAGAIN, PIPIT_EAGAIN},
        {EWOULDBLOCK, PIPIT_EAGAIN},
        {EINTR, PIPIT_EAGAIN},
        {EINVAL, PIPIT_EINVAL},
        {ENAMETOOLONG, PIPIT_EINVAL},
        {ENOMEM, PIPIT_ENOMEM},
        {ENOBUFS, PIPIT_ENOMEM},
        {EMFILE, PIPIT_ELIMIT},
        {ENFILE, PIPIT_ELIMIT},
        {EACCES, PIPIT_EDENIED},
        {EPERM, PIPIT_EDENIED},
        {ENOENT, PIPIT_ENOTFOUND},
        {ECONNREFUSED, PIPIT_ENOTFOUND},
        {EADDRINUSE, PIPIT_EINUSE},
        {EEXIST, PIPIT_EEXIST},
        {EPIPE, PIPIT_ECLOSED},
        {ECONNRESET, PIPIT_ECLOSED},
        {ETIMEDOUT, PIPIT_ETIMEOUT},
        {EIO, PIPIT_EIO},
        {ENOSPC, PIPIT_ENOSPC},
        {EDQUOT, PIPIT_ENOSPC},
        {-1, PIPIT_EIO},
        {123456, PIPIT_EIO},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(pp_err_from_errno(cases[i].errno_value), cases[i].err);
}

static void test_errno_text_stands_within_a_sentence(void **state)
{
    char text[64], little[6];

    (void)state;
    pp_errno_text(ENOENT, text, sizeof(text));
    assert_string_equal(text, "no such file or directory");
    pp_errno_text(EADDRINUSE, text, sizeof(text));
    assert_string_equal(text, "address already in use");
    pp_errno_text(99999, text, sizeof(text));
    assert_string_equal(text, "unknown error");
    pp_errno_text(EPERM, little, sizeof(little));
    assert_string_equal(little, "opera");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strerror_names_each_code_differently),
        cmocka_unit_test(test_err_from_errno_says_what_happened),
        cmocka_unit_test(test_errno_text_stands_within_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
