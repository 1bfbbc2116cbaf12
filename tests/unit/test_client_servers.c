/* The list of servers of a client: order, waiting between rounds, servers that are told of. */
#include "client/servers.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { TRIES = 200 };

static const int64_t wait_ns = 100 * PP_NS_PER_MS;

static pp_servers list_of(const char *urls, bool keep_order)
{
    pp_servers servers;

    assert_int_equal(pp_servers_init(&servers, pp_str_of(urls), keep_order), PIPIT_OK);
    return servers;
}

static void test_servers_are_tried_in_turn(void **state)
{
    pp_servers servers = list_of("nats://a:1, b:2 ,tls://c:3,", true);
    static const char *const hosts[] = {"a", "b", "c"};

    (void)state;
    assert_int_equal(servers.count, 3);
    for (unsigned i = 0; i < 9; i++)
        assert_string_equal(pp_servers_next(&servers)->remote->host, hosts[i % 3]);
    pp_servers_fini(&servers);
}

/* Each stands first now and then, and none is lost. */
static void test_servers_are_shuffled(void **state)
{
    unsigned first[4] = {0};

    (void)state;
    for (unsigned i = 0; i < TRIES; i++) {
        pp_servers servers = list_of("h:1,h:2,h:3,h:4", false);
        unsigned sum = 0;

        first[servers.entries[0]->remote->port - 1]++;
        for (unsigned k = 0; k < 4; k++)
            sum |= 1u << servers.entries[k]->remote->port;
        assert_int_equal(sum, 0x1e);
        pp_servers_fini(&servers);
    }
    for (unsigned i = 0; i < 4; i++)
        assert_true(first[i] > 0);
}

/* At once within a round; after it for so long and up to half as much again, and twice as long
 * after the next, 20 times at most. */
static void test_servers_wait_between_rounds(void **state)
{
    static const int64_t factors[] = {1, 2, 4, 8, 16, 20, 20, 20};
    int64_t least = INT64_MAX, most = 0;

    (void)state;
    for (unsigned i = 0; i < TRIES; i++) {
        pp_servers servers = list_of("h:1,h:2", true);
        int64_t wait;

        for (size_t round = 0; round < sizeof(factors) / sizeof(factors[0]); round++) {
            assert_int_equal(pp_servers_rounds(&servers), round);
            assert_int_equal(pp_servers_failed(&servers, wait_ns), 0);
            wait = pp_servers_failed(&servers, wait_ns);
            assert_true(wait >= wait_ns * factors[round]);
            assert_true(wait <= wait_ns * factors[round] * 3 / 2);
        }
        pp_servers_worked(&servers);
        assert_int_equal(pp_servers_rounds(&servers), 0);
        assert_int_equal(pp_servers_failed(&servers, wait_ns), 0);
        wait = pp_servers_failed(&servers, wait_ns);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
        pp_servers_fini(&servers);
    }
    assert_true(most - least > wait_ns / 4); /* clients do not come back all at once */
}

static void test_servers_are_discovered(void **state)
{
    pp_servers servers = list_of("tls://a:1", true);
    const pp_remote *like = servers.entries[0]->remote;
    char place[32];
    size_t added = 0;

    (void)state;
    assert_false(pp_servers_discover(&servers, "a:1", like)); /* it is known */
    assert_true(pp_servers_discover(&servers, "b:2", like));
    assert_false(pp_servers_discover(&servers, "b:2", like));
    assert_int_equal(servers.entries[1]->remote->kind, PP_REMOTE_TLS);
    assert_true(servers.entries[1]->discovered);
    assert_false(pp_servers_discover(&servers, "", like));
    assert_false(pp_servers_discover(&servers, "b:99999", like));
    for (unsigned i = 0; i < 2 * PP_SERVERS_MAX; i++) {
        (void)snprintf(place, sizeof(place), "h%u:1", i);
        added += pp_servers_discover(&servers, place, like);
    }
    assert_int_equal(servers.count, PP_SERVERS_MAX);
    assert_int_equal(added, PP_SERVERS_MAX - 2);
    pp_servers_fini(&servers);
}

static void test_servers_must_be_some(void **state)
{
    static const char *const wrong[] = {"", ",", " , ", "http://x", "a:1,http://x"};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        pp_servers servers;

        assert_int_not_equal(pp_servers_init(&servers, pp_str_of(wrong[i]), true), PIPIT_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_servers_are_tried_in_turn),
        cmocka_unit_test(test_servers_are_shuffled),
        cmocka_unit_test(test_servers_wait_between_rounds),
        cmocka_unit_test(test_servers_are_discovered),
        cmocka_unit_test(test_servers_must_be_some),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
