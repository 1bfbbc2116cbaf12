#include "config/load.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define S 1000000000LL

/* Read a text over the defaults; what there is to say goes to notes. */
static pipit_err load(const char *text, pp_options *o, pp_buf *notes)
{
    pp_diagnostics d;
    pipit_err err = pp_options_init(o);

    pp_buf_init(notes, 1 << 20);
    if (err)
        return err;
    pp_diagnostics_init(&d);
    err = pp_options_load_text(o, pp_str_of(text), "f", &d);
    if (!err)
        err = pp_options_check(o, &d);
    if (pp_diagnostics_format(&d, notes) || pp_buf_add(notes, "", 1))
        err = PIPIT_ENOMEM;
    pp_diagnostics_fini(&d);
    return err;
}

static pp_options must_load(const char *text)
{
    pp_options o;
    pp_buf notes;

    if (load(text, &o, &notes) != PIPIT_OK || notes.len != 1)
        fail_msg("%s: %s", text, notes.ptr);
    pp_buf_fini(&notes);
    return o;
}

#define AT(field) offsetof(pp_options, field)

static void test_load_texts(void **state)
{
    static const struct {
        const char *text;
        size_t offset;
        const char *value;
    } cases[] = {
        {"host: h", AT(host), "h"},
        {"net: h", AT(host), "h"},
        {"HOST = 'h'", AT(host), "h"},
        {"host: ''", AT(host), "0.0.0.0"},
        {"listen: 'h:1'", AT(host), "h"},
        {"listen: '[::1]:1'", AT(host), "::1"},
        {"listen: ':1'", AT(host), "0.0.0.0"},
        {"client_advertise: 'a:1'", AT(client_advertise_host), "a"},
        {"client_advertise: ''", AT(client_advertise_host), NULL},
        {"unix: /tmp/s", AT(unix_path), "/tmp/s"},
        {"unix { path: /tmp/s, mode: 0660 }", AT(unix_path), "/tmp/s"},
        {"server_name: n", AT(server_name), "n"},
        {"pidfile: p", AT(pid_file), "p"},
        {"ports_file_dir: d", AT(ports_file_dir), "d"},
        {"logfile: l", AT(log_file), "l"},
        {"remote_syslog: 'udp://h:1'", AT(remote_syslog), "udp://h:1"},
        {"http: 'h:1'", AT(http_host), "h"},
        {"http: 1", AT(http_host), NULL},
        {"http_base_path: nats", AT(http_base_path), "/nats"},
        {"http_base_path: ''", AT(http_base_path), "/"},
        {"http_base_path: '/a//b/./c/../d/'", AT(http_base_path), "/a/b/d"},
        {"http_base_path: '../..'", AT(http_base_path), "/"},
        {"http_user: u, http_password: p", AT(http_password), "p"},
        {"authorization { username: u, password: p }", AT(user), "u"},
        {"authorization { token: t }", AT(auth_token), "t"},
        {"no_auth_user: u\nauthorization { users [{user: u}] }", AT(no_auth_user), "u"},
        {"system: A\naccounts { A {} }", AT(system_account), "A"},
        {"port: 1", AT(config_file), "f"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_options o = must_load(cases[i].text);
        const char *value = *(const char **)((char *)&o + cases[i].offset);

        if (!value != !cases[i].value || (value && strcmp(value, cases[i].value) != 0))
            fail_msg("%s gives %s", cases[i].text, value);
        pp_options_fini(&o);
    }
}

static void test_load_numbers(void **state)
{
    static const struct {
        const char *text;
        size_t offset;
        size_t bytes; /* of the field */
        int64_t value;
    } cases[] = {
        {"port: 1", AT(port), 4, 1},
        {"port: -1", AT(port), 4, -1},
        {"port: 0", AT(port), 4, 4222},
        {"listen: 7", AT(port), 4, 7},
        {"listen: 'h:-1'", AT(port), 4, -1},
        {"listen: 'h:0'", AT(port), 4, 4222},
        {"host: h", AT(host_given), 1, 1},
        {"listen: 7", AT(host_given), 1, 0},
        {"client_advertise: 'a:9'", AT(client_advertise_port), 2, 9},
        {"client_advertise: 'a:-1'", AT(client_advertise_port), 2, 0},
        {"unix { mode: 0660 }", AT(unix_mode), 4, 0660},
        {"unix { mode: '0600' }", AT(unix_mode), 4, 0600},
        {"threads: 3", AT(threads), 4, 3},
        {"debug: true", AT(debug), 1, 1},
        {"debug: off", AT(debug), 1, 0},
        {"trace_verbose: true", AT(trace), 1, 1},
        {"trace_headers: true", AT(trace), 1, 1},
        {"trace: true, trace_headers: false", AT(trace), 1, 1},
        {"logtime: false", AT(logtime), 1, 0},
        {"logtime_utc: true", AT(logtime_utc), 1, 1},
        {"log_format: json", AT(log_format), 4, PP_LOG_JSON},
        {"log_size_limit: 1k", AT(log_size_limit_bytes), 8, 1000},
        {"log_size_limit: -5", AT(log_size_limit_bytes), 8, 0},
        {"log_max_num: 3", AT(log_max_num), 4, 3},
        {"syslog: true", AT(syslog), 1, 1},
        {"max_traced_msg_len: -1", AT(max_traced_msg_len), 4, 0},
        {"monitor_port: 8222", AT(http_port), 4, 8222},
        {"http: 8222", AT(http_port), 4, 8222},
        {"http_port: 0", AT(http_port), 4, 0},
        {"max_closed_clients: 0", AT(max_closed_clients), 4, 10000},
        {"max_conn: 7", AT(max_connections), 4, 7},
        {"max_connections: 0", AT(max_connections), 4, 0},  /* nobody */
        {"max_connections: -1", AT(max_connections), 4, 0}, /* as in nats-server */
        {"max_connections: 9g", AT(max_connections), 4, INT32_MAX},
        {"max_payload: 1MB", AT(max_payload_bytes), 8, 1048576},
        {"max_payload: 64k", AT(max_payload_bytes), 8, 64000},
        {"max_payload: 0", AT(max_payload_bytes), 8, 1048576},
        {"max_control_line: 8kb", AT(max_control_line_bytes), 8, 8192},
        {"max_pending: 128MB", AT(max_pending_bytes), 8, 128 << 20},
        {"max_subs: 5", AT(max_subscriptions), 4, 5},
        {"max_subs: -1", AT(max_subscriptions), 4, 0},
        {"max_sub_tokens: 255", AT(max_subscription_tokens), 4, 255},
        {"max_memory: 1gb", AT(max_memory_bytes), 8, 1 << 30},
        {"max_memory: none", AT(max_memory_bytes), 8, -1},
        {"slow_consumer: drop_old", AT(slow_consumer), 4, PP_SLOW_CONSUMER_DROP_OLD},
        {"ping_interval: '30s'", AT(ping_interval_ns), 8, 30 * S},
        {"ping_interval: '0'", AT(ping_interval_ns), 8, 120 * S},
        {"ping_max: 0", AT(ping_max), 4, 2},
        {"write_deadline: 500ms", AT(write_deadline_ns), 8, 500000000},
        {"write_timeout: retry", AT(write_timeout), 4, PP_WRITE_TIMEOUT_RETRY},
        {"lame_duck_duration: '30s'", AT(lame_duck_duration_ns), 8, 30 * S},
        {"lame_duck_grace_period: '0s'", AT(lame_duck_grace_period_ns), 8, 0},
        {"authorization { timeout: 3 }", AT(auth_timeout_ns), 8, 3 * S},
        {"authorization { timeout: 1.5 }", AT(auth_timeout_ns), 8, 1500000000},
        {"authorization { timeout: '250ms' }", AT(auth_timeout_ns), 8, 250000000},
        {"authorization { timeout: 0 }", AT(auth_timeout_ns), 8, 2 * S},
        {"no_sys_acc: true", AT(no_system_account), 1, 1},
        {"no_header_support: true", AT(no_header_support), 1, 1},
        {"no_fast_producer_stall: true", AT(no_fast_producer_stall), 1, 1},
        {"proxy_protocol: true", AT(proxy_protocol), 1, 1},
        {"x: 5\nport: $x", AT(port), 4, 5},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_options o = must_load(cases[i].text);
        const void *field = (char *)&o + cases[i].offset;
        int64_t value = cases[i].bytes == 8   ? *(const int64_t *)field
                        : cases[i].bytes == 4 ? *(const int32_t *)field
                        : cases[i].bytes == 2 ? *(const uint16_t *)field
                                              : *(const bool *)field;

        if (value != cases[i].value)
            fail_msg("%s gives %lld", cases[i].text, (long long)value);
        pp_options_fini(&o);
    }
}

static void test_load_refuses_with_a_place(void **state)
{
    static const struct {
        const char *text;
        const char *note; /* a part of what is said */
    } cases[] = {
        {"port: x", "f:1:1: \"port\" must be an integer, not a string"},
        {"\n  port: true", "f:2:3: \"port\" must be an integer, not a boolean"},
        {"net: 5", "f:1:1: \"host\" must be a string, not an integer"},
        {"port: 70000", "must be a port from 1 to 65535, or -1 for any that is free, not 70000"},
        {"listen: h", "\"listen\" must be a port or host:port"},
        {"listen: 'h:1:2'", "\"listen\" must be a port or host:port"},
        {"listen: 70000", "must be a port from 1 to 65535"},
        {"listen: []", "must be a port or a string host:port, not an array"},
        {"max_payload: 3g", "must be from 1 to 2147483647 bytes, not 3000000000"},
        {"max_payload: -1", "must be from 1 to 2147483647 bytes, not -1"},
        {"max_subscription_tokens: 0", "must be from 1 to 255, not 0"},
        {"threads: 257", "must be from 0 to 256, not 257"},
        {"threads: 1.5", "must be an integer, not a float"},
        {"debug: 'true'", "must be a boolean, not a string"},
        {"ping_interval: 5", "should be a duration such as \"2s\"; a bare number"},
        {"ping_interval: '5'", "must be a duration such as"},
        {"ping_interval: '-5s'", "must be above zero, not -5s"},
        {"ping_interval: true", "must be a duration such as \"2s\", not a boolean"},
        {"lame_duck_duration: '10s'", "must be at least 30s, not 10s"},
        {"lame_duck_duration: 60", "must be a duration such as \"2s\", not an integer"},
        {"lame_duck_duration: '30s', lame_duck_grace_period: '30s'",
         "lame_duck_grace_period (30s) is not below lame_duck_duration (30s)"},
        {"max_payload: 100mb", "max_payload (104857600 bytes) is above max_pending"},
        {"write_timeout: never", "must be one of: default close retry"},
        {"log_format: XML", "must be one of: text json"},
        {"unix { mode: 999 }", "must be an octal file mode up to 0777"},
        {"unix { mode: 01000 }", "must be an octal file mode up to 0777"},
        {"unix: 5", "must be a path or a map, not an integer"},
        {"server_name: 'a b'", "\"server_name\" cannot contain spaces"},
        {"server_tags: 5", "must be a string or an array of strings, not an integer"},
        {"server_tags: [a, 5 ]", "must be an array of strings only, not an integer"},
        {"server_metadata: x", "must be a map of strings, not a string"},
        {"server_metadata { a: 5 }", "must be a map of strings, not an integer"},
        {"feature_flags { a: 5 }", "must be a map of booleans, not an integer"},
        {"client_advertise: ':5'", "must be host or host:port"},
        {"client_advertise: 'h:x'", "must be host or host:port"},
        {"host: \"a\\x00b\"", "f:1:1: a string holds a NUL byte"},
        {"foo: 1", "f:1:1: unknown field \"foo\""},
        {"prot: 1", "unknown field \"prot\": did you mean \"port\"?"},
        {"mode: 1", "unknown field \"mode\": it belongs in \"unix\""},
        {"authorization { prot: 1 }", "f:1:17: unknown field \"prot\""},
        {"authorization: 5", "\"authorization\" must be a map, not an integer"},
        {"authorization { user: u, token: t }", "f:1:1: Cannot have a user/pass and token"},
        {"authorization { user: u, users: [] }",
         "f:1:1: Can not have a single user/pass and a users array"},
        {"authorization { token: u, users: [] }", "f:1:1: Can not have a token and a users array"},
        {"authorization { user: u }\naccounts { A { users [{user: a}] } }",
         "f:1:1: Can not have a single user/pass and accounts"},
        {"authorization { token: u }\naccounts { A { users [{user: a}] } }",
         "f:1:1: Can not have a token and accounts"},
        {"authorization { pass: hush }", "f:1:1: a password without a user protects nothing"},
        {"http_user: u\nhttp_password: '$2a$11$hush'", "is a bcrypt hash"},
        {"authorization { timeout: 90 }", "\"timeout\" of 1m30s is long"},
        {"authorization { timeout: -1 }", "must be above zero, not -1s"},
        {"authorization { timeout: 1x }", "must be a duration"},
        {"authorization { users: x }", "\"users\" must be an array of maps, not a string"},
        {"authorization { users: [x] }", "\"users\" must be an array of maps, not a string"},
        {"authorization { users: [{pass: hush}] }", "f:1:25: User entry requires a user"},
        {"authorization { users: [{user: a}, {user: a}] }",
         "f:1:36: Duplicate user \"a\" detected"},
        {"authorization { users: [{user: a}] }\naccounts { A { users [{user: a}] } }",
         "f:2:23: Duplicate user \"a\" detected"},
        {"authorization { users: [{user: a, nkey: UA}] }",
         "f:1:25: Not a valid public nkey for a user"},
        {"authorization { users: [{user: a, slow_consumer: x}] }", "must be one of: disconnect"},
        {"authorization { users: [{user: a, connection_types: [FOO]}] }",
         "names a connection type that does not exist, \"FOO\""},
        {"authorization { users: [{user: a, permissions: x}] }", "must be a map, not a string"},
        {"authorization { users: [{user: a, permissions {foo: x}}] }", "unknown field \"foo\""},
        {"authorization { users: [{user: a, permissions {publish: 5}}] }",
         "must be a subject, an array of subjects or a map, not an integer"},
        {"authorization { users: [{user: a, permissions {publish: 'a..b'}}] }",
         "f:1:48: subject \"a..b\" is not a valid subject"},
        {"authorization { users: [{user: a, permissions {publish: 'a b'}}] }",
         "subject \"a b\" is not a valid subject"},
        {"authorization { users: [{user: a, permissions {subscribe: 'a b c'}}] }",
         "subject \"a b c\" is not a valid subject"},
        {"authorization { users: [{user: a, permissions {subscribe: 'a b..c'}}] }",
         "queue \"b..c\" is not a valid queue"},
        {"authorization { users: [{user: a, permissions {subscribe {allow: [a, 5 ]}}}] }",
         "\"allow\" must be an array of strings only, not an integer"},
        {"authorization { users: [{user: a, permissions {allow_responses: 5}}] }",
         "\"allow_responses\" must be a switch or a map"},
        {"authorization { auth_callout {} }", "require an issuer"},
        {"accounts: 5", "must be a map of accounts or an array of names"},
        {"accounts { A: 5 }", "Expected map entries for accounts"},
        {"accounts { $G {} }", "f:1:12: \"$G\" is a Reserved Account"},
        {"accounts: [A, A]", "f:1:15: Duplicate Account Entry: A"},
        {"accounts { A { foo: 1 } }", "unknown field \"foo\""},
        {"accounts { A { limits: x } }", "\"limits\" must be a map, not a string"},
        {"accounts { A { limits { max_conn: x } } }", "must be an integer, not a string"},
        {"accounts { A { msg_trace: 'a.*' } }", "Trace destination \"a.*\" is not valid"},
        {"accounts { A { msg_trace: {dest: a, sampling: 0} } }", "must be from 1 to 100"},
        {"accounts { A { msg_trace: {sampling: 5} } }", "without \"dest\" has no effect"},
        {"T: hush\nlisten: $T", "an IPv6 address in [brackets]\n"},
        {"T: hush\nclient_advertise: $T$T", "variable reference"},
        {"T: ':hush'\nclient_advertise: $T", "an IPv6 address in [brackets]\n"},
        {"T: hush\nping_interval: $T", "\"1m30s\"\n"},
        {"T: 7654321\nport: $T", "for any that is free\n"},
        {"T: -7654321\nmax_payload: $T", " bytes\n"},
        {"T: '-1s'\nping_interval: $T", "must be above zero\n"},
        {"T: 'hush..hush'\naccounts { A { msg_trace: $T } }",
         "Trace destination \"(from a variable)\" is not valid"},
        {"T: hush\nauthorization { users: [{user: a, connection_types: $T}] }",
         "does not exist, \"(from a variable)\": they are"},
        {"T: 'hush..'\nauthorization { users: [{user: a, permissions {publish: $T}}] }",
         "subject \"(from a variable)\" is not a valid subject"},
        {"accounts { A { exports: [{service: a, stream: b}] } }", "already saw a"},
        {"mappings: 5", "\"mappings\" must be a map of subjects, not an integer"},
        {"mappings { a..b: c }", "Subject \"a..b\" is not a valid subject"},
        {"mappings { a: 5 }", "Expected an entry for the mapping destination"},
        {"mappings { a: [b] }", "Expected an entry for the mapping destination"},
        {"mappings { a { dest: b } }", "Missing weight for mapping destination \"b\""},
        {"mappings { a { dest: b, weight: 101 } }", "must be from 0 to 100"},
        {"mappings { a { dest: b, weight: '5k' } }", "must be from 0 to 100"},
        {"no_auth_user: x", "no_auth_user: \"x\" present, but users/nkeys are not defined"},
        {"no_auth_user: x\nauthorization { users [{user: a}] }", "not present as user"},
        {"system_account: X", "there is no account \"X\""},
        {"tls {}", "\"tls\" has no 'cert_file' and 'key_file'"},
        {"cluster { port: 1 }", "no clustering yet"},
        {"jetstream: true", "no JetStream yet"},
        {"jetstream { enabled: false, store_dir: x }", "no JetStream yet"},
        {"leaf { port: 1 }", "no leaf nodes yet"},
        {"prof_port: 1", "no profiling over HTTP yet"},
        {"mqtt { port: 1883 }", "no MQTT yet"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_options o;
        pp_buf notes;
        pipit_err err = load(cases[i].text, &o, &notes);
        bool warning = strstr(cases[i].note, "should be a") || strstr(cases[i].note, "is long") ||
                       strstr(cases[i].note, "has no effect");

        if (err != (warning ? PIPIT_OK : PIPIT_EINVAL) || !strstr(notes.ptr, cases[i].note))
            fail_msg("%s: %s", cases[i].text, notes.ptr);
        assert_null(strstr(notes.ptr, "hush"));
        pp_buf_fini(&notes);
        pp_options_fini(&o);
    }
}

static void test_load_takes_what_asks_for_nothing(void **state)
{
    static const char *const texts[] = {
        "jetstream: false",
        "jetstream: disabled",
        "jetstream { enabled: false }",
        "cluster {}",
        "gateway {}",
        "leafnodes {}",
        "websocket {}",
        "mqtt {}",
        "prof_port: 0",
        "https_port: 0",
        "ocsp: false",
        "operators: []",
        "accounts { A { exports: [], imports: [], jetstream: false } }",
        "authorization { users [{user: a, nkey: '', proxy_required: false}] }",
        "authorization { users [{user: a, permissions { allow_responses: false }}] }",
        "connect_error_reports: 5, reconnect_error_reports: 1",
        "disable_sublist_cache: true, prof_block_rate: 0",
        "feature_flags { js_ack_fc_v2: true }",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        pp_options o = must_load(texts[i]);

        pp_options_fini(&o);
    }
}

/* All mistakes of a file in one go. */
static void test_load_says_everything(void **state)
{
    pp_options o;
    pp_buf notes;

    (void)state;
    assert_int_equal(load("a: 1\nport: x\ndebug: 3\nping_interval: 4\n", &o, &notes), PIPIT_EINVAL);
    assert_string_equal(notes.ptr,
                        "f:4:1: \"ping_interval\" should be a duration such as \"2s\"; a bare "
                        "number is taken for seconds\n"
                        "f:1:1: unknown field \"a\"\n"
                        "f:2:1: \"port\" must be an integer, not a string\n"
                        "f:3:1: \"debug\" must be a boolean, not an integer\n");
    pp_buf_fini(&notes);
    pp_options_fini(&o);
}

static const char rich[] =
    "server_tags: [One, ' two ', one]\n"
    "server_metadata { rack: 7a, 'dc': x }\n"
    "mappings { a: b, 'c.*': [{dest: 'd.$1', weight: 30%}, {destination: e, weight: 20}] }\n"
    "authorization {\n"
    "  default_permissions { publish: 'def.>' }\n"
    "  users: [\n"
    "    {user: root, password: r00t, permissions {}}\n"
    "    {user: plain}\n"
    "    {username: tied, permissions {\n"
    "       publish { allow: [a, 'b.*'], deny: b.x }\n"
    "       subscribe: ['s.>', 's.q group.*'] }\n"
    "     connection_types: [standard, MQTT], slow_consumer: conflate}\n"
    "  ]\n"
    "}\n"
    "accounts {\n"
    "  A { users: [{user: ann, pass: x}, {user: abe}]\n"
    "      default_permissions { sub: [] }\n"
    "      limits { max_conn: 3, max_subs: 4, max_pay: 1k }\n"
    "      msg_trace { dest: t.a, sampling: '25%' } }\n"
    "  B { mappings { x: y } }\n"
    "  SYS { users: [{user: sue}] }\n"
    "}\n"
    "system_account: SYS\n"
    "no_auth_user: plain\n";

static const pp_user_options *user_of(const pp_options *o, const char *name)
{
    for (size_t a = 0; a < o->account_count; a++) {
        for (size_t i = 0; i < o->accounts[a].user_count; i++) {
            if (strcmp(o->accounts[a].users[i].name, name) == 0)
                return &o->accounts[a].users[i];
        }
    }
    fail_msg("no user %s", name);
    return NULL;
}

static void test_load_users(void **state)
{
    pp_options o = must_load(rich);
    const pp_permission_options *p;

    (void)state;
    assert_int_equal(o.user_count, 6);
    assert_string_equal(user_of(&o, "root")->password, "r00t");
    assert_string_equal(user_of(&o, "plain")->password, "");
    assert_int_equal(user_of(&o, "plain")->at.line, 8);
    assert_string_equal(user_of(&o, "plain")->at.file, "f");
    assert_int_equal(user_of(&o, "plain")->connection_types, PP_CONNECTION_ANY);
    assert_int_equal(user_of(&o, "plain")->slow_consumer, PP_SLOW_CONSUMER_INHERIT);
    /* an empty map is permissions of its own; none at all are the account's */
    p = user_of(&o, "root")->permissions;
    assert_false(p->publish.has_allow);
    p = user_of(&o, "plain")->permissions;
    assert_ptr_equal(p, o.accounts[0].default_permissions);
    assert_string_equal(p->publish.allow[0].subject.ptr, "def.>");
    p = user_of(&o, "tied")->permissions;
    assert_int_equal(p->publish.allow_count, 2);
    assert_int_equal(p->publish.deny_count, 1);
    assert_string_equal(p->publish.deny[0].subject.ptr, "b.x");
    assert_int_equal(p->subscribe.allow_count, 2);
    assert_int_equal(p->subscribe.allow[0].queue.len, 0);
    assert_string_equal(p->subscribe.allow[1].subject.ptr, "s.q");
    assert_string_equal(p->subscribe.allow[1].queue.ptr, "group.*");
    assert_int_equal(user_of(&o, "tied")->connection_types,
                     PP_CONNECTION_STANDARD | PP_CONNECTION_MQTT);
    assert_int_equal(user_of(&o, "tied")->slow_consumer, PP_SLOW_CONSUMER_CONFLATE);
    /* a list that is empty restricts nothing */
    assert_false(user_of(&o, "ann")->permissions->subscribe.has_allow);
    assert_null(user_of(&o, "sue")->permissions);
    pp_options_forget_secrets(&o);
    assert_int_equal(o.user_count + o.accounts[0].user_count, 0);
    assert_null(o.accounts[0].users);
    pp_options_forget_accounts(&o);
    assert_int_equal(o.account_count, 0);
    pp_options_fini(&o);
}

static void test_load_accounts(void **state)
{
    pp_options o = must_load(rich);
    const pp_account_options *a;

    (void)state;
    assert_int_equal(o.account_count, 4);
    assert_string_equal(o.accounts[0].name, "$G");
    assert_int_equal(o.accounts[0].user_count, 3);
    assert_int_equal(o.accounts[0].mapping_count, 2);
    assert_string_equal(o.accounts[0].mappings[0].destinations[0].subject, "b");
    assert_int_equal(o.accounts[0].mappings[0].destinations[0].weight, 100);
    assert_int_equal(o.accounts[0].mappings[1].destination_count, 2);
    assert_int_equal(o.accounts[0].mappings[1].destinations[0].weight, 30);
    assert_string_equal(o.accounts[0].mappings[1].destinations[1].subject, "e");
    assert_int_equal(o.accounts[0].max_connections, -1);
    a = &o.accounts[1];
    assert_string_equal(a->name, "A");
    assert_int_equal(a->max_connections, 3);
    assert_int_equal(a->max_subscriptions, 4);
    assert_int_equal(a->max_payload_bytes, 1000);
    assert_string_equal(a->trace_dest, "t.a");
    assert_int_equal(a->trace_sampling, 25);
    assert_int_equal(a->user_count, 2);
    assert_string_equal(a->users[1].name, user_of(&o, a->users[1].name)->name);
    assert_string_equal(o.accounts[2].name, "B");
    assert_int_equal(o.accounts[2].mapping_count, 1);
    assert_int_equal(o.server_tag_count, 2);
    assert_string_equal(o.server_tags[0], "one");
    assert_string_equal(o.server_tags[1], "two");
    assert_int_equal(o.server_metadata_count, 2);
    assert_string_equal(o.server_metadata[0].key, "rack");
    assert_string_equal(o.server_metadata[0].value, "7a");
    pp_options_fini(&o);
}

static void test_load_survives_every_failed_allocation(void **state)
{
    int64_t live = pp_alloc_live();

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        pp_options o = {0};
        pp_buf notes;
        bool fired;
        pipit_err err;

        pp_fault_arm("alloc", nth);
        err = load(rich, &o, &notes);
        fired = pp_fault_disarm();
        pp_buf_fini(&notes);
        pp_options_fini(&o);
        assert_int_equal(pp_alloc_live(), live);
        if (!fired) {
            assert_int_equal(err, PIPIT_OK);
            assert_true(nth > 10);
            break;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
    }
}

static double now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Nothing in it grows faster than the file: twice the users take about twice the time. The bound is
 * wide; squared growth would pass it by far. */
static void test_load_many_users(void **state)
{
    enum { SMALL = 10000, FACTOR = 4 };
    double took[2];

    (void)state;
    for (int round = 0; round < 2; round++) {
        int users = round ? SMALL * FACTOR : SMALL;
        size_t size = (size_t)users * 160 + 100, len = 0;
        char *text = malloc(size);
        double start;
        pp_options o;

        len += (size_t)snprintf(text, size, "authorization { users: [\n");
        for (int i = 0; i < users; i++)
            len += (size_t)snprintf(text + len, size - len,
                                    "  {user: user%d, password: secret%d, permissions "
                                    "{ publish: ['a.%d.>', 'b'], subscribe: 'c.%d' }}\n",
                                    i, i, i, i);
        (void)snprintf(text + len, size - len, "] }\n");
        start = now_ms();
        o = must_load(text);
        took[round] = now_ms() - start;
        assert_int_equal(o.user_count, users);
        print_message("%d users: %.1f ms, %zu KiB\n", users, took[round],
                      o.arena.used_bytes / 1024);
        pp_options_fini(&o);
        free(text);
    }
    assert_true(took[1] < took[0] * FACTOR * 4 + 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_texts),
        cmocka_unit_test(test_load_numbers),
        cmocka_unit_test(test_load_refuses_with_a_place),
        cmocka_unit_test(test_load_takes_what_asks_for_nothing),
        cmocka_unit_test(test_load_says_everything),
        cmocka_unit_test(test_load_users),
        cmocka_unit_test(test_load_accounts),
        cmocka_unit_test(test_load_survives_every_failed_allocation),
        cmocka_unit_test(test_load_many_users),
    };

    return cmocka_run_group_tests_name("config_load", tests, NULL, NULL);
}
