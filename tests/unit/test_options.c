#include "server/options.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "config/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A command line in memory of its own, as the kernel hands one over. */
struct line {
    char name[16];
    char text[1024];
    char *argv[40];
    int argc;
};

/* Take words apart at '|', so that a word may hold blanks or nothing. NULL: no word. */
static void line_init(struct line *line, const char *words)
{
    char *at = line->text;

    assert_true(!words || strlen(words) < sizeof(line->text));
    strcpy(line->text, words ? words : "");
    line->argc = 0;
    strcpy(line->name, "pipit-server");
    line->argv[line->argc++] = line->name;
    while (words && at) {
        assert_true(line->argc < 39);
        line->argv[line->argc++] = strsep(&at, "|");
    }
    line->argv[line->argc] = NULL;
}

static pipit_err parse(const char *words, struct pp_options *options, pp_buf *message)
{
    struct line line;

    line_init(&line, words);
    pp_buf_init(message, PP_OPTIONS_MESSAGE_MAX);
    return pp_options_parse(options, line.argc, line.argv, message);
}

static struct pp_options must_parse(const char *words)
{
    struct pp_options options;
    pp_buf message;

    if (parse(words, &options, &message) != PIPIT_OK)
        fail_msg("%s: %.*s", words, PP_STR_ARGS(pp_buf_str(&message)));
    assert_int_equal(options.action, PP_OPTIONS_RUN);
    assert_int_equal(message.len, 0);
    pp_buf_fini(&message);
    return options;
}

static void test_options_defaults(void **state)
{
    struct pp_options o = must_parse(NULL);

    (void)state;
    assert_string_equal(o.host, "0.0.0.0");
    assert_int_equal(o.port, 4222);
    assert_null(o.server_name);
    assert_null(o.client_advertise_host);
    assert_int_equal(o.client_advertise_port, 0);
    assert_null(o.unix_path);
    assert_int_equal(o.unix_mode, 0700);
    assert_int_equal(o.threads, 0);
    assert_false(o.proxy_protocol);
    assert_null(o.pid_file);
    assert_null(o.ports_file_dir);
    assert_null(o.log_file);
    assert_false(o.debug);
    assert_false(o.trace);
    assert_null(o.user);
    assert_null(o.pass);
    assert_null(o.auth_token);
    assert_int_equal(o.account_count, 1);
    assert_string_equal(o.accounts[0].name, "$G");
    assert_int_equal(o.user_count, 0);
    assert_true(o.logtime);
    assert_int_equal(o.http_port, 0);
    assert_int_equal(o.auth_timeout_ns, 2 * PP_NS_PER_S);
    assert_int_equal(o.max_connections, 65536);
    assert_int_equal(o.max_payload_bytes, 1048576);
    assert_int_equal(o.max_control_line_bytes, 4096);
    assert_int_equal(o.max_pending_bytes, 67108864);
    assert_int_equal(o.max_memory_bytes, 0);
    assert_int_equal(o.slow_consumer, PP_SLOW_CONSUMER_DISCONNECT);
    assert_int_equal(o.max_subscriptions, 0);
    assert_int_equal(o.max_subscription_tokens, 0);
    assert_int_equal(o.write_deadline_ns, 10 * PP_NS_PER_S);
    assert_int_equal(o.ping_interval_ns, 120 * PP_NS_PER_S);
    assert_int_equal(o.ping_max, 2);
    assert_int_equal(o.lame_duck_duration_ns, 120 * PP_NS_PER_S);
    assert_int_equal(o.lame_duck_grace_period_ns, 10 * PP_NS_PER_S);
    assert_false(o.no_header_support);
    assert_false(o.no_fast_producer_stall);
    pp_options_fini(&o);
}

#define AT(field) offsetof(struct pp_options, field)

/* Texts of one flag, and the field they must fill. */
static void test_options_texts(void **state)
{
    static const struct {
        const char *words;
        size_t offset;
        const char *value;
    } cases[] = {
        {"-a|127.0.0.1", AT(host), "127.0.0.1"},
        {"--addr|::", AT(host), "::"},
        {"-addr=::1", AT(host), "::1"},
        {"--net=h", AT(host), "h"},
        {"-a|", AT(host), "0.0.0.0"},
        {"-a|h|-a|", AT(host), "0.0.0.0"},
        {"-n|x", AT(server_name), "x"},
        {"--name=x=y", AT(server_name), "x=y"},
        {"--server_name|-x", AT(server_name), "-x"},
        {"-n|a|-n|b", AT(server_name), "b"},
        {"-n|a|-n=", AT(server_name), NULL},
        {"--unix|/tmp/s", AT(unix_path), "/tmp/s"},
        {"-P|f", AT(pid_file), "f"},
        {"--pid=f", AT(pid_file), "f"},
        {"--ports_file_dir|d", AT(ports_file_dir), "d"},
        {"-l|f", AT(log_file), "f"},
        {"-r|udp://h:1", AT(remote_syslog), "udp://h:1"},
        {"--http_host|h", AT(http_host), "h"},
        {"--http_base_path|/a", AT(http_base_path), "/a"},
        {"--http_base_path|", AT(http_base_path), "/"},
        {"--http_user|u|--http_password|p", AT(http_password), "p"},
        {"--log|f", AT(log_file), "f"},
        {"--user|u", AT(user), "u"},
        {"--user=u|--pass=p", AT(pass), "p"},
        {"--user|u|--pass|p|--pass|q", AT(pass), "q"},
        {"--auth|t", AT(auth_token), "t"},
        {"--client_advertise|h", AT(client_advertise_host), "h"},
        {"--client_advertise|h:1", AT(client_advertise_host), "h"},
        {"--client_advertise|[::1]", AT(client_advertise_host), "::1"},
        {"--client_advertise|[::1]:1", AT(client_advertise_host), "::1"},
        {"--client_advertise|", AT(client_advertise_host), NULL},
        {"-n|x|--", AT(server_name), "x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pp_options o = must_parse(cases[i].words);
        const char *value = *(char **)((char *)&o + cases[i].offset);

        if (!value != !cases[i].value || (value && strcmp(value, cases[i].value) != 0))
            fail_msg("%s gives %s", cases[i].words, value);
        pp_options_fini(&o);
    }
}

static void test_options_flags(void **state)
{
    static const struct {
        const char *words;
        size_t offset;
        bool value;
    } cases[] = {
        {"-D", AT(debug), true},
        {"--debug", AT(debug), true},
        {"-D=false", AT(debug), false},
        {"-D|-D=0", AT(debug), false},
        {"-D=T", AT(debug), true},
        {"-D", AT(trace), false},
        {"-V", AT(trace), true},
        {"-trace=TRUE", AT(trace), true},
        {"-VV", AT(trace), true},
        {"-VV", AT(debug), false},
        {"-DV", AT(trace), true},
        {"-DV", AT(debug), true},
        {"-DVV", AT(debug), true},
        {"-DV|-DV=False", AT(debug), false},
        {"--proxy_protocol", AT(proxy_protocol), true},
        {"--no_header_support", AT(no_header_support), true},
        {"--no_fast_producer_stall", AT(no_fast_producer_stall), true},
        {"-T", AT(logtime), true},
        {"-T=false", AT(logtime), false},
        {"--logtime=f|-D", AT(debug), true},
        {"--logtime_utc", AT(logtime_utc), true},
        {"-s", AT(syslog), true},
        {"--syslog=false", AT(syslog), false},
        {"-VV", AT(trace_verbose), true},
        {"-DVV", AT(trace_verbose), true},
        {"-DV", AT(trace_verbose), false},
        {"-a|h", AT(host_given), true},
        {"-a|", AT(host_given), false},
        {"--tls=false", AT(debug), false}, /* what asks for nothing does no harm */
        {"-js=false|-D", AT(debug), true},
        {"--routes=|--cluster||--profile|0|-ms|0|--connect_retries|0|-D", AT(debug), true},
        {"--help=false|-D", AT(debug), true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pp_options o = must_parse(cases[i].words);

        if (*(bool *)((char *)&o + cases[i].offset) != cases[i].value)
            fail_msg("%s", cases[i].words);
        pp_options_fini(&o);
    }
}

static void test_options_numbers(void **state)
{
    static const struct {
        const char *words;
        size_t offset;
        size_t bytes; /* of the field */
        int64_t value;
    } cases[] = {
        {"-p|4333", AT(port), 4, 4333},
        {"--port=-1", AT(port), 4, -1},
        {"-p|-1", AT(port), 4, -1},
        {"-p|65535", AT(port), 4, 65535},
        {"-p|0", AT(port), 4, 4222}, /* as in nats-server */
        {"-p|0x1092", AT(port), 4, 4242},
        {"-p|0b11", AT(port), 4, 3},
        {"-p|0o10", AT(port), 4, 8},
        {"-p|010", AT(port), 4, 8},
        {"-p|0x10_00", AT(port), 4, 4096},
        {"-m|0", AT(http_port), 4, 0},
        {"--http_port|-1", AT(http_port), 4, -1},
        {"--log_size_limit|0x10", AT(log_size_limit_bytes), 8, 16},
        {"--log_size_limit|1KB", AT(log_size_limit_bytes), 8, 1024},
        {"--log_max_num|3", AT(log_max_num), 4, 3},
        {"--log_format|json", AT(log_format), 4, PP_LOG_JSON},
        {"--max_traced_msg_len|10", AT(max_traced_msg_len), 4, 10},
        {"--max_closed_clients|5", AT(max_closed_clients), 4, 5},
        {"--max_memory|1GB", AT(max_memory_bytes), 8, 1 << 30},
        {"--max_memory|none", AT(max_memory_bytes), 8, -1},
        {"--slow_consumer|conflate", AT(slow_consumer), 4, PP_SLOW_CONSUMER_CONFLATE},
        {"--unix_mode|0660", AT(unix_mode), 4, 0660},
        {"--unix_mode|777", AT(unix_mode), 4, 0777},
        {"--unix_mode|0", AT(unix_mode), 4, 0},
        {"--threads|3", AT(threads), 4, 3},
        {"--threads|0", AT(threads), 4, 0},
        {"--threads|256", AT(threads), 4, 256},
        {"--client_advertise|h:7", AT(client_advertise_port), 2, 7},
        {"--client_advertise|[::1]:65535", AT(client_advertise_port), 2, 65535},
        {"--client_advertise|h:-1", AT(client_advertise_port), 2, 0},
        {"--client_advertise|h:7|--client_advertise|h", AT(client_advertise_port), 2, 0},
        {"--max_connections|1", AT(max_connections), 4, 1},
        {"--max_payload|1", AT(max_payload_bytes), 8, 1},
        {"--max_payload|2MB", AT(max_payload_bytes), 8, 2097152},
        {"--max_payload|2147483647|--max_pending|2G", AT(max_payload_bytes), 8, 2147483647},
        {"--max_payload|64MB", AT(max_payload_bytes), 8, 67108864}, /* just max_pending */
        {"--max_control_line|64K", AT(max_control_line_bytes), 8, 65536},
        {"--max_pending|1T", AT(max_pending_bytes), 8, 1LL << 40},
        {"--max_memory|16MB", AT(max_memory_bytes), 8, 16 << 20},
        {"--max_memory|1T", AT(max_memory_bytes), 8, 1LL << 40},
        {"--max_memory|0", AT(max_memory_bytes), 8, 0},
        {"--slow_consumer|disconnect", AT(slow_consumer), 4, PP_SLOW_CONSUMER_DISCONNECT},
        {"--slow_consumer|drop_new", AT(slow_consumer), 4, PP_SLOW_CONSUMER_DROP_NEW},
        {"--slow_consumer|drop_old", AT(slow_consumer), 4, PP_SLOW_CONSUMER_DROP_OLD},
        {"--slow_consumer|conflate", AT(slow_consumer), 4, PP_SLOW_CONSUMER_CONFLATE},
        {"--max_subscriptions|10", AT(max_subscriptions), 4, 10},
        {"--max_subscription_tokens|255", AT(max_subscription_tokens), 4, 255},
        {"--write_deadline|250us", AT(write_deadline_ns), 8, 250000},
        {"--ping_interval|1m30s", AT(ping_interval_ns), 8, 90 * PP_NS_PER_S},
        {"--ping_max|1", AT(ping_max), 4, 1},
        {"--auth_timeout|1.5s", AT(auth_timeout_ns), 8, 1500000000},
        {"--lame_duck_duration|11s", AT(lame_duck_duration_ns), 8, 11 * PP_NS_PER_S},
        {"--lame_duck_duration|2ms|--lame_duck_grace_period|1ms", AT(lame_duck_grace_period_ns), 8,
         1000000},
        {"--lame_duck_grace_period|0s", AT(lame_duck_grace_period_ns), 8, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pp_options o = must_parse(cases[i].words);
        const void *field = (char *)&o + cases[i].offset;
        int64_t value = cases[i].bytes == 8   ? *(const int64_t *)field
                        : cases[i].bytes == 4 ? *(const int32_t *)field
                                              : *(const uint16_t *)field;

        if (value != cases[i].value)
            fail_msg("%s gives %lld", cases[i].words, (long long)value);
        pp_options_fini(&o);
    }
}

static const struct {
    const char *words;
    const char *message; /* a part of it */
} refused[] = {
    {"--foo", "no flag --foo: see pipit-server --help"},
    {"-foo=secret", "no flag -foo:"},
    {"---port|1", "no flag ---port:"},
    {"-passsecret", "no flag -pass...: see"},
    {"--authsecret=1", "no flag --auth...: see"},
    {"--auth_timeouts|1", "no flag --auth_timeouts: see"},
    {"-", "a word that belongs to no flag"},
    {"-=1", "no flag -:"},
    {"-|-D", "a word that belongs to no flag"},
    {"start", "a word that belongs to no flag"},
    {"--user|u|secret", "a word that belongs to no flag"},
    {"-D|true", "a word that belongs to no flag"},
    {"--|-D", "a word that belongs to no flag"},
    {"", "a word that belongs to no flag"},
    {"-p", "-p needs a value: give -p PORT"},
    {"--max_payload", "--max_payload needs a value: give --max_payload SIZE"},
    {"-p|65536", "-p cannot be \"65536\": give a port"},
    {"-p|-2", "a port from 1 to 65535, or -1"},
    {"-p|", "a port"},
    {"-p|x", "a port"},
    {"-D=yes", "-D cannot be \"yes\": give true or false"},
    {"--help=x", "true or false"},
    {"--unix_mode|0x1", "an octal file mode"},
    {"--unix_mode|888", "an octal file mode"},
    {"--unix_mode|1000", "an octal file mode"},
    {"--unix_mode|77777777777777777777777", "an octal file mode"},
    {"--unix_mode|", "an octal file mode"},
    {"--threads|-1", "a number from 0 to 256"},
    {"--threads|257", "a number from 0 to 256"},
    {"--threads|two", "a number from 0 to 256"},
    {"--max_subscription_tokens|256", "a number from 0 to 255"},
    {"--max_payload|0", "a size from 1 to 2147483647 bytes"},
    {"--max_payload|2G", "a size from 1 to 2147483647 bytes"},
    {"--max_payload|-1", "a size"},
    {"--max_payload|65MB", "max_payload (68157440 bytes) is above max_pending (67108864 bytes)"},
    {"--max_memory|15MB", "max_memory (15728640 bytes) is too little"},
    {"--max_memory|64MB|--max_payload|17MB",
     "max_payload (17825792 bytes) is above a quarter of max_memory (67108864 bytes)"},
    {"--slow_consumer|drop", "disconnect drop_new drop_old conflate"},
    {"--max_pending|1000", "is above max_pending (1000 bytes)"},
    {"--ping_interval|2", "a time above zero"},
    {"--ping_interval|0s", "a time above zero"},
    {"--ping_interval|-1s", "a time above zero"},
    {"--ping_max|0", "a number from 1"},
    {"--write_deadline|", "a time above zero"},
    {"--lame_duck_grace_period|x", "a time, such as"},
    {"--lame_duck_duration|10s",
     "lame_duck_grace_period (10s) is not below lame_duck_duration (10s)"},
    {"--client_advertise|::1", "an IPv6 address in [brackets]"},
    {"--client_advertise|[::1", "HOST or HOST:PORT"},
    {"--client_advertise|[::1]x", "HOST or HOST:PORT"},
    {"--client_advertise|[]:1", "HOST or HOST:PORT"},
    {"--client_advertise|:4222", "HOST or HOST:PORT"},
    {"--client_advertise|h:", "HOST or HOST:PORT"},
    {"--client_advertise|h:65536", "HOST or HOST:PORT"},
    {"--client_advertise|h:x", "HOST or HOST:PORT"},
    {"--name|a b", "server_name cannot contain spaces"},
    {"--unix|/23456789012345678901234567890123456789012345678901234567890123456789012345678901234"
     "567890123456789012345678",
     "a path of 108 bytes, but sockets take 107"},
    {"--pass|p", "a password without a user protects nothing: give both"},
    {"-p|0x", "a port"},
    {"-p|08", "a port"},
    {"--threads|1_", "a number from 0 to 256"},
    {"-t", "must specify [-c, --config] option to check configuration file syntax"},
    {"-m|99999", "a port from 1 to 65535, or -1"},
    {"--log_format|xml", "--log_format cannot be \"xml\": give one of: text json"},
    {"--slow_consumer|drop", "one of: disconnect drop_new drop_old conflate"},
    {"--max_memory|lots", "or none"},
    {"--max_memory|-1", "a size"},
    {"--http_base_path|x", "a path that begins with /"},
    {"--http_password|p", "http_password without http_user protects nothing"},
    {"--http_user|u", "http_user has no http_password"},
    {"--http_user|u:v|--http_password|p", "http_user cannot hold a colon"},
    {"--help-config=html", "=markdown or nothing"},
    {"-c|/nonexistent/x.conf", "/nonexistent/x.conf"},
    /* nats-server has these */
    {"-js", "-js is not served: this version has no JetStream yet"},
    {"--jetstream", "JetStream"},
    {"-sd|d", "JetStream"},
    {"--store_dir=d", "JetStream"},
    {"-ms|8222", "TLS cert and key required for HTTPS"},
    {"--https_port|8222", "TLS cert and key required for HTTPS"},
    {"--tls", "TLS Server certificate must be present and valid"},
    {"--tlscert=x", "TLS Server private key must be present and valid"},
    {"--tlskey=x", "TLS Server certificate must be present and valid"},
    {"--tlsverify", "TLS Server certificate must be present and valid"},
    {"--tlscacert|x", "TLS Server certificate must be present and valid"},
    {"--tlscert|/no/such|--tlskey|/no/such", "'/no/such': No such file or directory"},
    {"--tls=maybe", "--tls"},
    {"--routes=nats://u:secret@h", "--routes is not served"},
    {"--cluster|nats://h", "clustering"},
    {"--cluster_name|x", "clustering"},
    {"--cluster_listen|x", "clustering"},
    {"--cluster_advertise|x", "clustering"},
    {"--no_advertise", "clustering"},
    {"--connect_retries|1", "clustering"},
    {"--profile|1", "profiling"},
};

static void test_options_refuse_in_one_line(void **state)
{
    int64_t live = pp_alloc_live();

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct pp_options o = {.port = 77};
        pp_buf message;

        if (parse(refused[i].words, &o, &message) != PIPIT_EINVAL)
            fail_msg("not refused: %s", refused[i].words);
        assert_int_equal(o.port, 77); /* untouched */
        assert_int_equal(pp_buf_add(&message, "", 1), PIPIT_OK);
        if (!strstr(message.ptr, refused[i].message))
            fail_msg("%s: %s", refused[i].words, message.ptr);
        assert_int_equal(strncmp(message.ptr, "pipit-server: ", 14), 0);
        assert_ptr_equal(strchr(message.ptr, '\n'), message.ptr + message.len - 2);
        assert_null(strstr(message.ptr, "secret"));
        pp_buf_fini(&message);
        assert_int_equal(pp_alloc_live(), live);
    }
}

static void test_options_cut_a_long_refusal(void **state)
{
    static char novel[4000];
    char *argv[] = {(char[]){"pipit-server"}, (char[]){"-p"}, novel, NULL};
    char name[3000] = "--";
    char *named[] = {(char[]){"pipit-server"}, name, NULL};
    struct pp_options o;
    pp_buf message;

    (void)state;
    memset(novel, 'n', sizeof(novel) - 1);
    memset(name + 2, 'n', sizeof(name) - 3);
    pp_buf_init(&message, PP_OPTIONS_MESSAGE_MAX);
    assert_int_equal(pp_options_parse(&o, 3, argv, &message), PIPIT_EINVAL);
    assert_int_equal(pp_options_parse(&o, 2, named, &message), PIPIT_EINVAL);
    assert_in_range(message.len, 1, 1100);
    assert_int_equal(message.ptr[message.len - 1], '\n');
    pp_buf_fini(&message);
}

static void test_options_version(void **state)
{
    static const char *const words[] = {"-v",         "--version",     "-version",
                                        "version",    "VERSION|x",     "-p|1|-v|--nonsense",
                                        "--|version", "--version=true"};

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct pp_options o;
        pp_buf message;

        assert_int_equal(parse(words[i], &o, &message), PIPIT_OK);
        assert_int_equal(o.action, PP_OPTIONS_VERSION);
        assert_int_equal(pp_buf_add(&message, "", 1), PIPIT_OK);
        assert_string_equal(message.ptr,
                            "pipit-server: v" PIPIT_VERSION " (follows nats-server 2.15.1)\n");
        pp_buf_fini(&message);
        pp_options_fini(&o);
    }
}

static void test_options_help(void **state)
{
    static const char *const words[] = {"-h", "--help", "help", "Help", "-D|-help"};

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct pp_options o;
        pp_buf message;
        size_t width = 0;

        assert_int_equal(parse(words[i], &o, &message), PIPIT_OK);
        assert_int_equal(o.action, PP_OPTIONS_HELP);
        assert_int_equal(pp_buf_add(&message, "", 1), PIPIT_OK);
        assert_non_null(strstr(message.ptr, "  -a, --addr, --net HOST "));
        assert_non_null(strstr(message.ptr, "  -DVV "));
        assert_non_null(strstr(message.ptr, "      --max_payload SIZE "));
        for (const char *at = message.ptr; *at; at++) {
            width = *at == '\n' ? 0 : width + 1;
            assert_in_range(width, 0, 80);
        }
        assert_int_equal(message.ptr[message.len - 2], '\n');
        pp_buf_fini(&message);
        pp_options_fini(&o);
    }
}

static void test_options_wipe_credentials_from_argv(void **state)
{
    struct line line;
    struct pp_options o;
    pp_buf message;

    (void)state;
    line_init(&line, "--user|joe|--pass|hush-1|--auth=hush-2|-pass=hush-3|-r|udp://u:hush-4@h");
    pp_buf_init(&message, PP_OPTIONS_MESSAGE_MAX);
    assert_int_equal(pp_options_parse(&o, line.argc, line.argv, &message), PIPIT_OK);
    assert_null(memmem(line.text, sizeof(line.text), "hush", 4));
    assert_string_equal(line.argv[2], "joe");
    assert_string_equal(line.argv[4], "");
    assert_string_equal(line.argv[5], "--auth=");
    assert_string_equal(o.pass, "hush-3");
    assert_string_equal(o.auth_token, "hush-2");
    assert_string_equal(o.remote_syslog, "udp://u:hush-4@h");
    pp_options_fini(&o);
    assert_null(o.pass);
    pp_buf_fini(&message);
}

static pipit_err sweep(const char *words);

/* A file of its own for each test, gone at its end. */
struct file {
    char path[64];
};

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void file_init(struct file *file, const char *text)
{
    int fd;

    strcpy(file->path, "/tmp/pipit-options-XXXXXX");
    fd = mkstemp(file->path);
    assert_true(fd >= 0);
    (void)close(fd);
    write_file(file->path, text);
}

/* The words with %s as the file's path; what is said must hold part. */
static struct pp_options parse_file(const struct file *file, const char *words, pipit_err expected,
                                    const char *part)
{
    char line[512];
    struct pp_options o = {0};
    pp_buf message;
    pipit_err err;

    (void)snprintf(line, sizeof(line), words, file->path);
    err = parse(line, &o, &message);
    assert_int_equal(pp_buf_add(&message, "", 1), PIPIT_OK);
    if (err != expected || !strstr(message.ptr, part))
        fail_msg("%s: %d %s", line, err, message.ptr);
    pp_buf_fini(&message);
    return o;
}

static void test_options_flags_win_over_the_file(void **state)
{
    struct pp_options o;
    struct file file;

    (void)state;
    file_init(&file, "port: 1, debug: true, trace: false, logtime: false, server_name: f\n"
                     "authorization { token: t }\nmax_payload: 1MB, ping_max: 7\n");
    o = parse_file(&file, "-c|%s|-D=false|-p|2|-V|--user|u", PIPIT_OK, "");
    assert_int_equal(o.port, 2);
    assert_false(o.debug);
    assert_true(o.trace);
    assert_false(o.logtime); /* true by default, but nobody typed -T */
    assert_string_equal(o.server_name, "f");
    assert_int_equal(o.ping_max, 7);
    assert_string_equal(o.user, "u");
    assert_null(o.auth_token); /* the flag names the other way to come in */
    assert_string_equal(o.config_file, file.path);
    assert_memory_equal(o.config_digest, "sha256:", 7);
    pp_options_fini(&o);
    o = parse_file(&file, "-T|-p|3|--config=%s", PIPIT_OK, "");
    assert_true(o.logtime);
    assert_true(o.debug);
    assert_string_equal(o.auth_token, "t");
    pp_options_fini(&o);
    (void)unlink(file.path);
}

static void test_options_test_a_file(void **state)
{
    struct pp_options o;
    struct file file;

    (void)state;
    file_init(&file, "port: 1\n");
    o = parse_file(&file, "-t|-c|%s", PIPIT_OK, "pipit-server: configuration file /tmp/pipit-opt");
    assert_int_equal(o.action, PP_OPTIONS_TEST);
    pp_options_fini(&o);
    (void)parse_file(&file, "-t|-c|%s|--help=x", PIPIT_EINVAL, "--help cannot be");
    write_file(file.path, "port: x\nfoo: 1\n");
    (void)parse_file(&file, "-t|-c|%s", PIPIT_EINVAL, ":1:1: \"port\" must be an integer");
    (void)parse_file(&file, "-t|-c|%s", PIPIT_EINVAL, ":2:1: unknown field \"foo\"");
    /* a warning is an error for -t only */
    write_file(file.path, "ping_interval: 5\n");
    (void)parse_file(&file, "-t|-c|%s", PIPIT_EINVAL, ":1:1: \"ping_interval\" should be");
    o = parse_file(&file, "-c|%s", PIPIT_OK, "pipit-server: /tmp/");
    assert_int_equal(o.ping_interval_ns, 5 * PP_NS_PER_S);
    pp_options_fini(&o);
    /* what only the broker can judge has its place, too */
    write_file(file.path, "mappings {\n  a: 'b.{{wildcard(1)}}'\n}\n");
    (void)parse_file(&file, "-c|%s", PIPIT_EINVAL, ":2:3: ");
    write_file(file.path, "authorization { users [{user: a}] }\n");
    (void)parse_file(&file, "-c|%s|--user|u", PIPIT_EINVAL, "cannot stand beside users");
    (void)unlink(file.path);
    (void)parse_file(&file, "-c|%s", PIPIT_EINVAL, file.path);
}

/* Leave beside the pid file what a server that runs with text would. */
static void pretend_to_run(const char *pid_path, pid_t pid, const struct pp_options *options)
{
    char text[32], path[128];
    pp_snapshot *snapshot;
    pp_buf buf;

    (void)snprintf(text, sizeof(text), "%d", (int)pid);
    write_file(pid_path, text);
    assert_int_equal(pp_snapshot_new(&snapshot, options, NULL), PIPIT_OK);
    pp_buf_init(&buf, 1 << 20);
    assert_int_equal(pp_snapshot_format(snapshot, &buf), PIPIT_OK);
    assert_int_equal(pp_buf_add(&buf, "", 1), PIPIT_OK);
    (void)snprintf(path, sizeof(path), "%s" PP_SNAPSHOT_SUFFIX, pid_path);
    write_file(path, buf.ptr);
    pp_buf_fini(&buf);
    pp_snapshot_free(snapshot);
}

static void test_options_compare_with_a_server_that_runs(void **state)
{
    struct pp_options o;
    struct file file, pid;
    char words[200], path[128];

    (void)state;
    file_init(&file, "port: 1, max_payload: 1k\n");
    file_init(&pid, "");
    (void)snprintf(words, sizeof(words), "-t|-c|%%s|-P|%s", pid.path);
    (void)snprintf(path, sizeof(path), "%s" PP_SNAPSHOT_SUFFIX, pid.path);
    o = parse_file(&file, words, PIPIT_OK, "is valid");
    pretend_to_run(pid.path, getpid(), &o);
    pp_options_fini(&o);
    o = parse_file(&file, words, PIPIT_OK, "reloading this means:\nnothing changes\n");
    pp_options_fini(&o);
    write_file(file.path, "port: 1, max_payload: 2k\n");
    o = parse_file(&file, words, PIPIT_OK, "max_payload  1000  2000  applied\n");
    pp_options_fini(&o);
    write_file(file.path, "port: 2, max_payload: 2k\n");
    o = parse_file(&file, words, PIPIT_OK, "port         1     2     needs restart");
    pp_options_fini(&o);
    write_file(path, "garbage\n");
    o = parse_file(&file, words, PIPIT_OK, "cannot be compared with");
    pp_options_fini(&o);
    (void)unlink(file.path);
    (void)unlink(pid.path);
    (void)unlink(path);
}

static void test_options_file_out_of_memory(void **state)
{
    struct file file;
    char words[128];

    (void)state;
    file_init(&file, "port: 1, server_name: n, mappings { a: b, c: [{dest: d, weight: 5}] }\n"
                     "authorization { users [{user: a, pass: b, permissions {pub: x}}] }\n");
    (void)snprintf(words, sizeof(words), "-c|%s|-D|-n|x|--client_advertise|h:1", file.path);
    assert_int_equal(sweep(words), PIPIT_OK);
    (void)snprintf(words, sizeof(words), "-t|-c|%s", file.path);
    assert_int_equal(sweep(words), PIPIT_OK);
    assert_int_equal(sweep("--help-config"), PIPIT_OK);
    (void)unlink(file.path);
}

static void test_options_need_no_argv(void **state)
{
    char *none[] = {NULL};
    struct pp_options o;
    pp_buf message;

    (void)state;
    pp_buf_init(&message, PP_OPTIONS_MESSAGE_MAX);
    assert_int_equal(pp_options_parse(&o, 0, none, &message), PIPIT_OK);
    assert_int_equal(o.action, PP_OPTIONS_RUN);
    pp_options_fini(&o);
    pp_buf_fini(&message);
}

/* Let each allocation fail in turn; answers with what happens when none does. */
static pipit_err sweep(const char *words)
{
    int64_t live = pp_alloc_live();

    for (uint64_t nth = 1;; nth++) {
        struct pp_options o = {.port = 77};
        pp_buf message;
        bool fired;
        pipit_err err;

        pp_fault_arm("*", nth);
        err = parse(words, &o, &message);
        fired = pp_fault_disarm();
        pp_buf_fini(&message);
        if (!fired) {
            if (!err)
                pp_options_fini(&o);
            assert_int_equal(pp_alloc_live(), live);
            assert_true(nth > 1);
            return err;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        assert_int_equal(o.port, 77);
        assert_int_equal(pp_alloc_live(), live);
    }
}

static void test_options_out_of_memory(void **state)
{
    (void)state;
    assert_int_equal(sweep("-a|h|-n|x|--user|u|--pass|p|--pass|q|--auth|t|--unix|s|-P|p|-l|l"
                           "|--client_advertise|h:1|-p|1"),
                     PIPIT_OK);
    assert_int_equal(sweep("--help"), PIPIT_OK);
    assert_int_equal(sweep("-v"), PIPIT_OK);
    assert_int_equal(sweep("-n|x|--foo"), PIPIT_EINVAL);
}

static void test_options_init_is_the_default(void **state)
{
    struct pp_options o;

    (void)state;
    assert_int_equal(pp_options_init(&o), PIPIT_OK);
    assert_int_equal(o.action, PP_OPTIONS_RUN);
    assert_string_equal(o.host, "0.0.0.0");
    assert_int_equal(o.port, 4222);
    pp_options_fini(&o);
    pp_options_fini(&o); /* empty now */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_defaults),
        cmocka_unit_test(test_options_texts),
        cmocka_unit_test(test_options_flags),
        cmocka_unit_test(test_options_numbers),
        cmocka_unit_test(test_options_refuse_in_one_line),
        cmocka_unit_test(test_options_cut_a_long_refusal),
        cmocka_unit_test(test_options_version),
        cmocka_unit_test(test_options_help),
        cmocka_unit_test(test_options_wipe_credentials_from_argv),
        cmocka_unit_test(test_options_flags_win_over_the_file),
        cmocka_unit_test(test_options_test_a_file),
        cmocka_unit_test(test_options_compare_with_a_server_that_runs),
        cmocka_unit_test(test_options_file_out_of_memory),
        cmocka_unit_test(test_options_need_no_argv),
        cmocka_unit_test(test_options_out_of_memory),
        cmocka_unit_test(test_options_init_is_the_default),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
