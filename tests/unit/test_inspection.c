#include "pipit/config.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/test_inspection_XXXXXX";

static void write_file(const char *text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static const char *value_of(const pipit_config *config, const char *name)
{
    for (size_t i = 0; i < config->setting_count; i++) {
        if (strcmp(config->settings[i].name, name) == 0)
            return config->settings[i].value;
    }
    return NULL;
}

static void test_inspection_tells_settings(void **state)
{
    pipit_config *config;

    (void)state;
    write_file("max_payload: 1000\nauthorization { users: [{user: ann, password: hush},"
               "{user: bob, password: \"$2a$04$abcdefghijklmnopqrstuu\"}] }");
    assert_int_equal(pipit_config_read(&config, path), PIPIT_OK);
    assert_int_equal(config->error_count, 0);
    assert_int_equal(strncmp(config->digest, "sha256:", 7), 0);
    assert_string_equal(value_of(config, "max_payload"), "1000");
    assert_string_equal(value_of(config, "ping_max"), "2");
    assert_int_equal(config->plain_password_count, 1);
    for (size_t i = 0; i < config->setting_count; i++)
        assert_null(strstr(config->settings[i].value, "hush"));
    pipit_config_free(config);
}

static void test_inspection_tells_mistakes(void **state)
{
    pipit_config *config;

    (void)state;
    write_file("port: 1\nmax_payload: lots\n");
    assert_int_equal(pipit_config_read(&config, path), PIPIT_OK);
    assert_int_equal(config->error_count, 1);
    assert_int_equal(config->setting_count, 0);
    assert_non_null(strstr(config->issues, ":2:"));
    pipit_config_free(config);
    assert_int_equal(pipit_config_read(&config, "/does/not/exist"), PIPIT_OK);
    assert_true(config->error_count > 0 && *config->issues);
    assert_string_equal(config->digest, "");
    pipit_config_free(config);
}

static void test_inspection_memory(void **state)
{
    int64_t live = pp_alloc_live();
    pipit_config *config;
    pipit_err err;

    (void)state;
    write_file("max_payload: 1000\naccounts { A: { users: [{user: a, password: b}] } }\nodd: 1\n");
    for (uint64_t nth = 1;; nth++) {
        pp_fault_arm("alloc", nth);
        err = pipit_config_read(&config, path);
        if (!pp_fault_disarm())
            break;
        if (!err)
            pipit_config_free(config);
        assert_int_equal(pp_alloc_live(), live);
    }
    assert_int_equal(err, PIPIT_OK);
    pipit_config_free(config);
    assert_int_equal(pp_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inspection_tells_settings),
        cmocka_unit_test(test_inspection_tells_mistakes),
        cmocka_unit_test(test_inspection_memory),
    };
    int fd = mkstemp(path), failed;

    if (fd < 0)
        return 1;
    (void)close(fd); /* it is written anew */
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path); /* if it stays, it stays */
    return failed;
}
