/* Operator mode when memory, threads or files are refused: nothing leaks, nobody gets in. */
#include "base/alloc.h"
#include "base/fault.h"
#include "pipit/server.h"
#include "token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], config[96];

static char *account_token(const test_key *account, const test_key *operator)
{
    char json[600];

    (void)snprintf(json, sizeof(json),
                   "{\"sub\":\"%s\",\"iat\":5,\"name\":\"SYS\",\"nats\":{\"type\":\"account\","
                   "\"version\":2,\"limits\":{\"subs\":-1,\"conn\":-1,\"payload\":-1,"
                   "\"exports\":-1,\"imports\":-1},"
                   "\"exports\":[{\"subject\":\"a.*\",\"type\":\"stream\"}],"
                   "\"default_permissions\":{\"pub\":{\"allow\":[\"x\"]}},"
                   "\"mappings\":{\"m\":[{\"subject\":\"n\"}]}}}",
                   account->text);
    return test_token_of(json, operator);
}

static void write_config(const char *resolver)
{
    FILE *file = fopen(config, "w");
    test_key operator, account;
    char json[300], *operator_token, *token;

    assert_non_null(file);
    test_key_make(&operator, 'O', 1);
    test_key_make(&account, 'A', 2);
    (void)snprintf(json, sizeof(json),
                   "{\"sub\":\"%s\",\"nats\":{\"type\":\"operator\",\"version\":2,"
                   "\"system_account\":\"%s\"}}",
                   operator.text, account.text);
    operator_token = test_token_of(json, &operator);
    token = account_token(&account, &operator);
    (void)fprintf(file, "operator: %s\nresolver_preload { %s: %s }\nresolver: ", operator_token,
                  account.text, token);
    (void)fprintf(file, resolver, dir);
    (void)fprintf(file, "\n");
    assert_int_equal(fclose(file), 0);
    free(operator_token);
    free(token);
}

static pipit_err run(void)
{
    const char *options[] = {"--addr",    "127.0.0.1", "--port",   "-1",
                             "--threads", "2",         "--config", config};
    pipit_server *server = NULL;
    char error[512];
    pipit_err err = pipit_server_new(&server, options, 8, NULL, NULL, error, sizeof(error));

    if (!err)
        err = pipit_server_start(server);
    if (!err)
        pipit_server_stop(server);
    pipit_server_free(server);
    return err;
}

/* Whatever comes for the nth time fails, once; until so many come no more. */
static void sweep(const char *point)
{
    int64_t live = pp_alloc_live();

    for (uint64_t nth = 1;; nth++) {
        pipit_err err;

        pp_fault_arm(point, nth);
        err = run();
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            break;
        }
        assert_int_equal(pp_alloc_live(), live); /* it may have started all the same */
    }
}

static void test_operators_in_memory_survive_every_refusal(void **state)
{
    (void)state;
    write_config("MEMORY");
    assert_int_equal(run(), PIPIT_OK);
    sweep("alloc");
    sweep("thread");
}

static void test_operators_with_a_store_survive_every_refusal(void **state)
{
    static const char *const points[] = {"alloc",      "thread",       "token.write",
                                         "token.sync", "token.rename", "token.read"};

    (void)state;
    write_config("{ type: full, dir: '%s/jwt' }");
    assert_int_equal(run(), PIPIT_OK);
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
        sweep(points[i]);
}

static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/pipit-operators-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    (void)snprintf(config, sizeof(config), "%s/server.conf", dir);
    return 0;
}

static int remove_dir(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operators_in_memory_survive_every_refusal),
        cmocka_unit_test(test_operators_with_a_store_survive_every_refusal),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
