/* OpenSSL is loaded when it is asked for, and what asks can go on without it. */
#include "base/fault.h"
#include "base/openssl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ERROR_MAX = 512 };

static void test_openssl_missing_is_said(void **state)
{
    pp_buf error;

    (void)state;
    pp_buf_init(&error, ERROR_MAX);
    pp_fault_arm("openssl", 1);
    assert_int_equal(pp_openssl_load(&error), PIPIT_EIO);
    assert_true(pp_fault_disarm());
    assert_true(pp_str_starts(pp_buf_str(&error), PP_STR("OpenSSL is not to be had: ")));
    assert_true(OpenSSL_version == NULL);
    pp_buf_fini(&error);
}

static void test_openssl_has_all_functions(void **state)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    (void)state;
    assert_int_equal(pp_openssl_load(NULL), PIPIT_OK);
    assert_int_equal(pp_openssl_load(NULL), PIPIT_OK);
#define IS_THERE(name) assert_non_null(name);
    PP_OPENSSL_FUNCTIONS(IS_THERE)
#undef IS_THERE
    assert_int_equal(EVP_Digest("abc", 3, digest, &len, EVP_sha1(), NULL), 1);
    assert_int_equal(len, 20);
    assert_memory_equal(digest, "\xa9\x99\x3e\x36\x47\x06\x81\x6a\xba\x3e\x25\x71\x78\x50\xc2\x6c",
                        16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openssl_missing_is_said),
        cmocka_unit_test(test_openssl_has_all_functions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
