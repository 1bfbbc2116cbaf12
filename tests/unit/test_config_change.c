#include "config/change.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "config/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* The snapshot of a text; NULL when memory runs out. */
static pp_snapshot *take(const char *text, const pp_snapshot *like)
{
    pp_snapshot *snapshot = NULL;
    pp_diagnostics d;
    pp_options o;
    pipit_err err;

    if (pp_options_init(&o))
        return NULL;
    pp_diagnostics_init(&d);
    err = pp_options_load_text(&o, pp_str_of(text), "f", &d);
    if (err == PIPIT_EINVAL)
        fail_msg("%s", text);
    if (!err)
        err = pp_snapshot_new(&snapshot, &o, like);
    pp_diagnostics_fini(&d);
    pp_options_fini(&o);
    return err ? NULL : snapshot;
}

static void compare(const char *before, const char *after, pp_buf *table)
{
    pp_snapshot *old_snapshot = take(before, NULL), *fresh = take(after, old_snapshot);
    pp_changes *changes;

    pp_buf_init(table, 1 << 20);
    assert_int_equal(pp_changes_new(&changes, old_snapshot, fresh), PIPIT_OK);
    assert_int_equal(pp_changes_format(changes, table), PIPIT_OK);
    assert_int_equal(pp_buf_add(table, "", 1), PIPIT_OK);
    pp_changes_free(changes);
    pp_snapshot_free(old_snapshot);
    pp_snapshot_free(fresh);
}

static void test_change_tables(void **state)
{
    static const struct {
        const char *before, *after;
        const char *table; /* a part of it */
    } cases[] = {
        {"", "", "nothing changes\n"},
        {"max_payload: 1MB", "max_payload: 1048576", "nothing changes\n"},
        {"max_conn: 5", "max_connections: 5, ping_max: 2", "nothing changes\n"},
        {"debug: true", "debug: false",
         "key    old   new    outcome\ndebug  true  false  applied\n"},
        {"port: 1", "port: 2", "port  1    2    needs restart: only a restart can change it\n"},
        {"port: 1", "port: 2, debug: true",
         "debug  false  true  rejected: another change needs a restart\n"},
        {"ping_interval: '1m'", "", "ping_interval  1m0s  2m0s  applied\n"},
        {"log_file: a", "", "log_file  a         applied\n"},
        {"unix { path: a, mode: 0600 }", "unix { path: a, mode: 0640 }",
         "unix.mode  0600  0640  needs restart"},
        {"client_advertise: 'a:1'", "client_advertise: '[::1]:2'",
         "client_advertise  a:1  [::1]:2  applied\n"},
        {"authorization { user: u, pass: hush1 }", "authorization { user: u, pass: hush2 }",
         "authorization.password  [REDACTED]  [REDACTED]  applied\n"},
        {"authorization { token: hush1 }", "", "authorization.token  [REDACTED]       applied\n"},
        {"remote_syslog: 'udp://u:hush1@h'", "remote_syslog: 'udp://u:hush2@h'",
         "remote_syslog  [REDACTED]  [REDACTED]  applied\n"},
        {"remote_syslog: 'hush1'", "remote_syslog: 'udp://h:1'",
         "remote_syslog  [REDACTED]  udp://h:1  applied\n"},
        {"server_tags: [a]", "server_tags: [a, b]", "server_tags  a    a b  applied\n"},
        {"server_metadata { a: b }", "server_metadata { a: c }",
         "server_metadata  a=b  a=c  applied\n"},
        {"authorization { users [{user: a, pass: hush}, {user: b}, {user: c}] }",
         "authorization { users [{user: a, pass: hush2}, {user: c}, {user: d}] }",
         "accounts.$G.users  3 users  3 users: ~a -b +d  applied\n"},
        {"authorization { users [{user: a}] }",
         "authorization { users [{user: a, permissions {}}] }", "1 users: ~a"},
        {"authorization { users [{user: a, permissions {publish: x}}] }",
         "authorization { users [{user: a, permissions {publish {deny: x}}}] }", "1 users: ~a"},
        {"authorization { users [{user: a, permissions {allow_responses: true}}] }",
         "authorization { users [{user: a, permissions {allow_responses {max: 2}}}] }",
         "1 users: ~a"},
        {"authorization { users [{user: a, permissions {allow_responses: true}}] }",
         "authorization { users [{user: a, permissions {allow_responses {max: 1, ttl: '2m'}}}] }",
         "nothing changes\n"},
        {"authorization { users [{user: a, permissions {sub: 'x q'}}] }",
         "authorization { users [{user: a, permissions {sub: 'x p'}}] }", "1 users: ~a"},
        {"accounts { A { users [{user: a}] } }", "accounts { B { users [{user: a}] } }",
         "accounts.A  defined           applied\naccounts.B           defined  applied\n"},
        {"accounts { A {} }", "accounts { A {}, A-b {} }", "accounts.A-b       defined  applied\n"},
        {"accounts { A { limits { max_conn: 1 } } }", "accounts { A { limits { max_conn: 2 } } }",
         "accounts.A.limits.max_connections  1    2    applied\n"},
        /* what is usual has no line, and yet a value */
        {"accounts { A { limits { max_conn: 1 } } }", "accounts { A {} }",
         "accounts.A.limits.max_connections  1    -1   applied\n"},
        {"accounts { A {} }", "accounts { A { msg_trace { dest: t, sampling: 25 } } }",
         "accounts.A.msg_trace.sampling  100  25   applied\n"},
        {"accounts { A {} }", "accounts { A { mappings { a: b } } }",
         "accounts.A.mappings  0 mappings  1 mappings: +a  applied\n"},
        {"accounts { A { exports [{stream: s}] } }", "accounts { A {} }",
         "accounts.A.exports  stream=s:0:0:0:0:0       applied\n"},
        {"accounts { A { default_permissions { pub: x } } }", "accounts { A {} }",
         "accounts.A.default_permissions  publish=x       applied\n"},
        {"accounts { A { msg_trace: x } }", "accounts { A { msg_trace: y } }",
         "accounts.A.msg_trace.dest  x    y    applied\n"},
        {"mappings { a: b, c: d }", "mappings { a: x, e: d }",
         "accounts.$G.mappings  2 mappings  2 mappings: ~a -c +e  applied\n"},
        {"mappings { 'a.*': b, 'a.>': d }", "mappings { 'a.>': d, 'a.*': b }",
         "accounts.$G.mappings  2 mappings  2 mappings in another order  applied\n"},
        {"no_auth_user: a\nauthorization { users [{user: a}, {user: b}] }",
         "authorization { users [{user: a}, {user: b}] }", "no_auth_user  a         needs restart"},
        {"no_auth_user: a\nauthorization { users [{user: a}, {user: b}] }",
         "authorization { users [{user: b}] }", "no_auth_user       a"},
        {"accounts { 'a/b': { users [{user: 'x/y z'}] } }",
         "accounts { 'a/b': { users [{user: 'x/y z', pass: p}] } }",
         "accounts.a\\x2fb.users  1 users  1 users: ~x\\x2fy\\x20z  applied\n"},
        {"system_account: '$SYS'", "", "system_account  $SYS       needs restart"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_buf table;

        compare(cases[i].before, cases[i].after, &table);
        if (!strstr(table.ptr, cases[i].table))
            fail_msg("%s -> %s:\n%s", cases[i].before, cases[i].after, table.ptr);
        assert_null(strstr(table.ptr, "hush"));
        pp_buf_fini(&table);
    }
}

static void test_change_names_some_and_counts_the_rest(void **state)
{
    char text[4096] = "authorization { users [", *at = text + strlen(text);
    pp_buf table;

    (void)state;
    for (int i = 0; i < 30; i++)
        at += sprintf(at, "{user: u%02d}", i), at += sprintf(at, ",");
    strcpy(at, "] }");
    compare("", text, &table);
    assert_non_null(strstr(table.ptr, "30 users: +u00 +u01 +u02 +u03 +u04 +u05 +u06 +u07 +u08 +u09 "
                                      "and 20 more  applied\n"));
    pp_buf_fini(&table);
}

static void test_change_json(void **state)
{
    pp_snapshot *before = take("port: 1", NULL), *after = take("port: 2, debug: true", before);
    pp_changes *changes;
    pp_json json;
    pp_buf text;

    (void)state;
    pp_buf_init(&text, 4096);
    pp_json_init(&json, &text, 0);
    assert_int_equal(pp_changes_new(&changes, before, after), PIPIT_OK);
    assert_int_equal(changes->restart_count, 1);
    pp_changes_write_json(changes, &json, NULL);
    assert_int_equal(pp_json_finish(&json), PIPIT_OK);
    assert_int_equal(pp_buf_add(&text, "", 1), PIPIT_OK);
    assert_string_equal(
        text.ptr, "[{\"key\":\"debug\",\"old\":\"false\",\"new\":\"true\",\"outcome\":\"rejected\","
                  "\"reason\":\"another change needs a restart\"},"
                  "{\"key\":\"port\",\"old\":\"1\",\"new\":\"2\",\"outcome\":\"needs restart\","
                  "\"reason\":\"only a restart can change it\"}]");
    pp_buf_fini(&text);
    pp_changes_free(changes);
    pp_snapshot_free(before);
    pp_snapshot_free(after);
}

static const char rich[] =
    "port: 1, log_file: \"a\\tb\\nc\\\\d\", http_user: u, http_password: hush1\n"
    "authorization { users [{user: a, pass: hush2, permissions {sub: ['x y', z]}}, {user: 'b\tc'}] "
    "}\n"
    "accounts { 'A/B' { mappings { x: [{dest: y, weight: 5, cluster: z}], 'w.*': 'v.$1' } } }\n";

/* What is written and read again is the same, and no secret is in it. */
static void test_snapshot_files(void **state)
{
    pp_snapshot *before = take(rich, NULL), *after;
    pp_changes *changes;
    pp_buf text;

    (void)state;
    pp_buf_init(&text, 1 << 20);
    assert_int_equal(pp_snapshot_format(before, &text), PIPIT_OK);
    assert_null(memmem(text.ptr, text.len, "hush", 4));
    assert_int_equal(pp_snapshot_parse(&after, pp_buf_str(&text)), PIPIT_OK);
    assert_int_equal(after->count, before->count);
    for (size_t i = 0; i < before->count; i++) {
        const pp_snapshot_line was = pp_snapshot_at(before, i), is = pp_snapshot_at(after, i);

        assert_string_equal(is.path, was.path);
        assert_string_equal(is.text, was.text);
        assert_int_equal(is.hashed, was.hashed);
    }
    pp_snapshot_free(before);
    /* the salt came along, so the same file is the same again */
    before = take(rich, after);
    assert_int_equal(pp_changes_new(&changes, after, before), PIPIT_OK);
    assert_int_equal(changes->count, 0);
    pp_changes_free(changes);
    pp_snapshot_free(before);
    before = take(rich, NULL);
    assert_int_equal(pp_changes_new(&changes, after, before), PIPIT_EINVAL); /* another salt */
    pp_snapshot_free(before);
    pp_snapshot_free(after);
    /* cut anywhere: read or refused, never wrong */
    for (size_t len = 0; len < text.len; len += 7) {
        if (pp_snapshot_parse(&after, (pp_str){text.ptr, len}) == PIPIT_OK)
            pp_snapshot_free(after);
    }
    assert_int_equal(pp_snapshot_parse(&after, PP_STR("")), PIPIT_EINVAL);
    assert_int_equal(pp_snapshot_parse(&after, PP_STR("pipit-options 3 00\n")), PIPIT_EINVAL);
    assert_int_equal(pp_snapshot_parse(&after, PP_STR("pipit-options 3 ")), PIPIT_EINVAL);
    pp_buf_fini(&text);
}

static void test_snapshot_order(void **state)
{
    (void)state;
    assert_true(pp_snapshot_compare("accounts/A", "accounts/A/users/b") < 0);
    assert_true(pp_snapshot_compare("accounts/A/users/b", "accounts/A-b") < 0);
    assert_true(pp_snapshot_compare("a", "b") < 0);
    assert_int_equal(pp_snapshot_compare("a/b", "a/b"), 0);
}

static pipit_err whole(pp_snapshot **before, pp_snapshot **after, pp_changes **changes,
                       pp_buf *table)
{
    pipit_err err = PIPIT_ENOMEM;

    *before = take(rich, NULL);
    *after = *before ? take("port: 2, log_file: x, debug: true", *before) : NULL;
    if (*after)
        err = pp_changes_new(changes, *before, *after);
    return err ? err : pp_changes_format(*changes, table);
}

static void test_change_survives_every_failed_allocation(void **state)
{
    int64_t live = pp_alloc_live();

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        pp_snapshot *before = NULL, *after = NULL;
        pp_changes *changes = NULL;
        pp_buf table;
        bool fired;
        pipit_err err;

        pp_buf_init(&table, 1 << 20);
        pp_fault_arm("alloc", nth);
        err = whole(&before, &after, &changes, &table);
        fired = pp_fault_disarm();
        pp_buf_fini(&table);
        pp_changes_free(changes);
        pp_snapshot_free(before);
        pp_snapshot_free(after);
        assert_int_equal(pp_alloc_live(), live);
        assert_int_equal(err, fired ? PIPIT_ENOMEM : PIPIT_OK);
        if (!fired)
            break;
    }
}

static double now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void test_change_many_users(void **state)
{
    enum { USERS = 10000 };
    size_t size = USERS * 100, len = 0;
    char *text = malloc(size);
    pp_snapshot *before, *after;
    pp_changes *changes;
    double start;

    (void)state;
    len += (size_t)snprintf(text, size, "authorization { users: [\n");
    for (int i = 0; i < USERS; i++)
        len += (size_t)snprintf(text + len, size - len, "{user: u%d, pass: p%d}\n", i, i);
    (void)snprintf(text + len, size - len, "] }\n");
    before = take(text, NULL);
    text[strlen("authorization { users: [\n{user: u0, pass: p0}\n{user: u1, pass: ")] = 'x';
    start = now_ms();
    after = take(text, before);
    assert_int_equal(pp_changes_new(&changes, before, after), PIPIT_OK);
    print_message("%d users read and compared in %.1f ms\n", USERS, now_ms() - start);
    assert_int_equal(changes->count, 1);
    assert_string_equal(changes->items[0].new_text, "10000 users: ~u1");
    pp_changes_free(changes);
    pp_snapshot_free(before);
    pp_snapshot_free(after);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_change_tables),
        cmocka_unit_test(test_change_names_some_and_counts_the_rest),
        cmocka_unit_test(test_change_json),
        cmocka_unit_test(test_snapshot_files),
        cmocka_unit_test(test_snapshot_order),
        cmocka_unit_test(test_change_survives_every_failed_allocation),
        cmocka_unit_test(test_change_many_users),
    };

    return cmocka_run_group_tests_name("config_change", tests, NULL, NULL);
}
