#include "proto/nats/connect.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fault.h"

#include <jansson.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const text_names[PP_CONNECT_TEXT_COUNT] = {
    [PP_CONNECT_AUTH_TOKEN] = "auth_token",
    [PP_CONNECT_USER] = "user",
    [PP_CONNECT_PASS] = "pass",
    [PP_CONNECT_NKEY] = "nkey",
    [PP_CONNECT_JWT] = "jwt",
    [PP_CONNECT_SIG] = "sig",
    [PP_CONNECT_PROXY_SIG] = "proxy_sig",
    [PP_CONNECT_NAME] = "name",
    [PP_CONNECT_LANG] = "lang",
    [PP_CONNECT_VERSION] = "version",
    [PP_CONNECT_ACCOUNT] = "account",
};

/* Write the state as text: the flags as "vpe" letters (capital: true), protocol, then the texts.
 * The initial state is "VPEthna 0". */
static void render(const struct pp_nats_connect *c, char out[1024])
{
    size_t n = (size_t)snprintf(
        out, 1024, "%c%c%c%c%c%c%c %d", c->verbose ? 'V' : 'v', c->pedantic ? 'P' : 'p',
        c->echo ? 'E' : 'e', c->tls_required ? 'T' : 't', c->headers ? 'H' : 'h',
        c->no_responders ? 'N' : 'n', c->new_account ? 'A' : 'a', c->protocol);

    for (unsigned which = 0; which < PP_CONNECT_TEXT_COUNT; which++) {
        pp_str text = pp_nats_connect_text(c, which);

        if (text.len)
            n += (size_t)snprintf(out + n, 1024 - n, " %s=%.*s", text_names[which],
                                  PP_STR_ARGS(text));
    }
}

static void assert_state(const struct pp_nats_connect *c, const char *expected)
{
    char actual[1024];

    render(c, actual);
    assert_string_equal(actual, expected);
}

static const struct accepted {
    const char *name;
    const char *json;
    const char *state;
} accepted[] = {
    {"nothing", "{}", "VPEthna 0"},
    {"blanks around", " \t{ } ", "VPEthna 0"},
    {"null", "null", "VPEthna 0"},
    {"nats.go 1.36",
     "{\"verbose\":false,\"pedantic\":false,\"user\":\"joe\",\"pass\":\"s3cr\\\"et\\u003c\\u0026"
     "\\u003e\xC3\xA9\",\"tls_required\":false,\"name\":\"cli \xC3\xA9\",\"lang\":\"go\","
     "\"version\":\"1.36.0\",\"protocol\":1,\"echo\":true,\"headers\":true,"
     "\"no_responders\":true}",
     "vpEtHNa 1 user=joe pass=s3cr\"et<&>\xC3\xA9 name=cli \xC3\xA9 lang=go version=1.36.0"},
    {"nats-py 2.16",
     "{\"echo\": true, \"headers\": true, \"lang\": \"python3\", \"name\": \"py-app\", "
     "\"no_responders\": true, \"pass\": \"s3cret\", \"pedantic\": false, \"protocol\": 1, "
     "\"user\": \"joe\", \"verbose\": false, \"version\": \"2.16.0\"}",
     "vpEtHNa 1 user=joe pass=s3cret name=py-app lang=python3 version=2.16.0"},
    {"nats.js 3.4",
     "{\"echo\":false,\"no_responders\":true,\"protocol\":1,\"verbose\":false,\"pedantic\":false,"
     "\"auth_token\":\"tok\",\"lang\":\"nats.js\",\"version\":\"3.4.0\",\"headers\":true}",
     "vpetHNa 1 auth_token=tok lang=nats.js version=3.4.0"},
    {"async-nats 0.51 sends nulls",
     "{\"verbose\":false,\"pedantic\":false,\"jwt\":null,\"nkey\":null,\"sig\":null,"
     "\"name\":\"rust-app\",\"echo\":true,\"lang\":\"rust\",\"version\":\"0.51.0\",\"protocol\":1,"
     "\"tls_required\":false,\"user\":\"joe\",\"pass\":\"s3cret\",\"auth_token\":null,"
     "\"headers\":true,\"no_responders\":true}",
     "vpEtHNa 1 user=joe pass=s3cret name=rust-app lang=rust version=0.51.0"},
    {"jnats 2.20",
     "{\"lang\":\"java\",\"version\":\"2.20.5\",\"name\":\"java-app\",\"protocol\":1,"
     "\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"echo\":true,\"headers\":true,"
     "\"no_responders\":true,\"user\":\"joe\",\"pass\":\"s3cret\"}",
     "vpEtHNa 1 user=joe pass=s3cret name=java-app lang=java version=2.20.5"},
    {"libnats 3.4 sends what the user typed",
     "{\"verbose\":false,\"pedantic\":false,\"auth_token\":\"tok\",\"tls_required\":false,"
     "\"name\":\"lat\xE9in\",\"lang\":\"C\",\"version\":\"3.4.1\",\"protocol\":1,\"echo\":true,"
     "\"headers\":true,\"no_responders\":true}",
     "vpEtHNa 1 auth_token=tok name=lat\xEF\xBF\xBDin lang=C version=3.4.1"},
    {"all flags", "{\"tls_required\":true,\"new_account\":true,\"headers\":true}", "VPETHnA 0"},
    {"all texts",
     "{\"auth_token\":\"1\",\"user\":\"2\",\"pass\":\"3\",\"nkey\":\"4\",\"jwt\":\"5\",\"sig\":\"6"
     "\",\"proxy_sig\":\"7\",\"name\":\"8\",\"lang\":\"9\",\"version\":\"10\",\"account\":\"11\"}",
     "VPEthna 0 auth_token=1 user=2 pass=3 nkey=4 jwt=5 sig=6 proxy_sig=7 name=8 lang=9 version=10 "
     "account=11"},
    {"keys in any case", "{\"VERBOSE\":false,\"Name\":\"n\",\"Protocol\":1}", "vPEthna 1 name=n"},
    {"two spellings, the later wins", "{\"name\":\"a\",\"NAME\":\"b\"}", "VPEthna 0 name=b"},
    {"two spellings, the exact one first", "{\"NAME\":\"b\",\"name\":\"a\"}", "VPEthna 0 name=a"},
    {"written twice, the last wins", "{\"verbose\":true,\"verbose\":false}", "vPEthna 0"},
    {"null leaves the value", "{\"verbose\":null,\"name\":null,\"protocol\":null}", "VPEthna 0"},
    {"unknown keys of any type",
     "{\"x\":1.5,\"y\":[1,{\"verbose\":false}],\"z\":{\"name\":\"n\"},\"import\":null}",
     "VPEthna 0"},
    {"escapes", "{\"name\":\"\\u00e9\\n\\ud83d\\ude00\\/\"}",
     "VPEthna 0 name=\xC3\xA9\n\xF0\x9F\x98\x80/"},
    {"bytes that are no UTF-8, one mark each", "{\"name\":\"\xED\xA0\x80\xC0\xF5z\xE2\x82\"}",
     "VPEthna 0 name=\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBD"
     "\xEF\xBF\xBD"},
    {"an empty text is no text", "{\"name\":\"\"}", "VPEthna 0"},
    {"another protocol is kept for the session to refuse", "{\"protocol\":7}", "VPEthna 7"},
    {"negative protocol", "{\"protocol\":-1}", "VPEthna -1"},
    {"a protocol that no int holds", "{\"protocol\":5000000000}", "VPEthna 2147483647"},
    {"nor below", "{\"protocol\":-5000000000}", "VPEthna -2147483648"},
};

static const struct refused {
    const char *name;
    const char *json;
} refused[] = {
    {"nothing at all", ""},
    {"blanks", "  "},
    {"an array", "[]"},
    {"a number", "5"},
    {"a string", "\"verbose\""},
    {"true", "true"},
    {"unclosed", "{\"name\":\"x\""},
    {"more after the object", "{} x"},
    {"comma before the end", "{\"verbose\":false,}"},
    {"single quotes", "{'verbose':false}"},
    {"no value", "{\"verbose\"}"},
    {"control character in a text", "{\"name\":\"a\tb\"}"},
    {"byte order mark", "\xEF\xBB\xBF{}"},
    {"no UTF-8 outside of text", "{\xFF}"},
    {"lone surrogate", "{\"name\":\"\\ud800\"}"},
    {"number for a text", "{\"name\":5}"},
    {"flag for a text", "{\"user\":true}"},
    {"object for a text", "{\"pass\":{}}"},
    {"text for a flag", "{\"verbose\":\"true\"}"},
    {"number for a flag", "{\"echo\":1}"},
    {"text for the protocol", "{\"protocol\":\"1\"}"},
    {"fraction for the protocol", "{\"protocol\":1.0}"},
    {"exponent for the protocol", "{\"protocol\":1e0}"},
    {"flag for the protocol", "{\"protocol\":true}"},
    {"wrong after right", "{\"name\":\"n\",\"verbose\":false,\"echo\":0}"},
    {"right after wrong", "{\"echo\":0,\"name\":\"n\",\"verbose\":false}"},
};

static void test_connect_accepts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        struct pp_nats_connect c;
        int64_t live = pp_alloc_live();

        pp_nats_connect_init(&c);
        if (pp_nats_connect_parse(pp_str_of(accepted[i].json), &c) != PIPIT_OK)
            fail_msg("refused: %s", accepted[i].name);
        assert_state(&c, accepted[i].state);
        pp_nats_connect_fini(&c);
        assert_int_equal(pp_alloc_live(), live);
    }
}

static void test_connect_refuses_and_changes_nothing(void **state)
{
    struct pp_nats_connect c;

    (void)state;
    pp_nats_connect_init(&c);
    assert_int_equal(
        pp_nats_connect_parse(PP_STR("{\"name\":\"first\",\"verbose\":false,\"user\":\"u\"}"), &c),
        PIPIT_OK);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (pp_nats_connect_parse(pp_str_of(refused[i].json), &c) != PIPIT_EPROTO)
            fail_msg("not refused: %s", refused[i].name);
        assert_state(&c, "vPEthna 0 user=u name=first");
        assert_true(c.has_credentials);
    }
    pp_nats_connect_fini(&c);
}

/* Each line cut at every byte: bad, without a look beyond its end. */
static void test_connect_refuses_every_front(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        size_t whole = strlen(accepted[i].json);

        while (whole && accepted[i].json[whole - 1] == ' ')
            whole--;
        for (size_t len = 0; len < whole; len++) {
            struct pp_nats_connect c;
            char *front = malloc(len + 1); /* so that a sanitizer sees a read past its end */

            memcpy(front, accepted[i].json, len);
            front = realloc(front, len ? len : 1);
            pp_nats_connect_init(&c);
            assert_int_equal(pp_nats_connect_parse((pp_str){front, len}, &c), PIPIT_EPROTO);
            assert_null(c.texts);
            free(front);
        }
    }
}

static void test_connect_later_ones_keep_what_they_do_not_name(void **state)
{
    struct pp_nats_connect c;

    (void)state;
    pp_nats_connect_init(&c);
    assert_int_equal(
        pp_nats_connect_parse(
            PP_STR("{\"verbose\":false,\"name\":\"a\",\"user\":\"u\",\"protocol\":1}"), &c),
        PIPIT_OK);
    assert_int_equal(pp_nats_connect_parse(PP_STR("{\"echo\":false,\"lang\":\"go\"}"), &c),
                     PIPIT_OK);
    assert_state(&c, "vPethna 1 user=u name=a lang=go");
    assert_int_equal(
        pp_nats_connect_parse(PP_STR("{\"user\":\"\",\"name\":\"longer than before\"}"), &c),
        PIPIT_OK);
    assert_state(&c, "vPethna 1 name=longer than before lang=go");
    assert_int_equal(pp_nats_connect_parse(PP_STR("null"), &c), PIPIT_OK);
    assert_state(&c, "vPethna 1 name=longer than before lang=go");
    pp_nats_connect_fini(&c);
}

static void test_connect_keeps_nul_in_text(void **state)
{
    struct pp_nats_connect c;
    pp_str pass;

    (void)state;
    pp_nats_connect_init(&c);
    assert_int_equal(pp_nats_connect_parse(PP_STR("{\"pass\":\"a\\u0000b\",\"name\":\"n\"}"), &c),
                     PIPIT_OK);
    pass = pp_nats_connect_text(&c, PP_CONNECT_PASS);
    assert_int_equal(pass.len, 3);
    assert_memory_equal(pass.ptr, "a\0b", 3);
    assert_true(pp_str_eq(pp_nats_connect_text(&c, PP_CONNECT_NAME), PP_STR("n")));
    /* A NUL byte of the line itself is no JSON. */
    assert_int_equal(pp_nats_connect_parse(PP_STR("{\"name\":\"x\"}\0"), &c), PIPIT_EPROTO);
    assert_int_equal(pp_nats_connect_parse(PP_STR("{\"name\":\"a\0b\"}"), &c), PIPIT_EPROTO);
    pp_nats_connect_fini(&c);
}

static void test_connect_tells_whether_credentials_came(void **state)
{
    static const struct {
        const char *json;
        bool came;
    } cases[] = {
        {"{}", false},
        {"{\"name\":\"n\",\"lang\":\"go\",\"version\":\"1\",\"account\":\"a\"}", false},
        {"{\"user\":null,\"pass\":null}", false},
        {"{\"user\":\"u\"}", true},
        {"{\"pass\":\"\"}", true}, /* sent is sent */
        {"{\"auth_token\":\"t\"}", true},
        {"{\"nkey\":\"U\"}", true},
        {"{\"jwt\":\"j\"}", true},
        {"{\"sig\":\"s\"}", true},
        {"{\"proxy_sig\":\"s\"}", true},
        {"{}", false}, /* earlier ones do not count */
    };
    struct pp_nats_connect c;

    (void)state;
    pp_nats_connect_init(&c);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(pp_nats_connect_parse(pp_str_of(cases[i].json), &c), PIPIT_OK);
        assert_int_equal(c.has_credentials, cases[i].came);
    }
    pp_nats_connect_fini(&c);
}

static const char secrets[] =
    "{\"auth_token\":\"hush-1\",\"user\":\"joe\",\"pass\":\"hush-2\",\"nkey\":\"UA\","
    "\"jwt\":\"hush-3\",\"sig\":\"hush-4\",\"proxy_sig\":\"hush-5\",\"name\":\"n\","
    "\"lang\":\"c\",\"version\":\"1\",\"account\":\"acc\"}";

static void test_connect_forgets_secrets(void **state)
{
    struct pp_nats_connect c;
    int64_t live = pp_alloc_live();

    (void)state;
    pp_nats_connect_init(&c);
    pp_nats_connect_forget_secrets(&c); /* nothing there */
    assert_int_equal(pp_nats_connect_parse(pp_str_of(secrets), &c), PIPIT_OK);
    pp_nats_connect_forget_secrets(&c);
    assert_state(&c, "VPEthna 0 user=joe nkey=UA name=n lang=c version=1 account=acc");
    pp_nats_connect_forget_secrets(&c);
    assert_state(&c, "VPEthna 0 user=joe nkey=UA name=n lang=c version=1 account=acc");
    assert_int_equal(pp_nats_connect_parse(PP_STR("{\"pass\":\"again\"}"), &c), PIPIT_OK);
    assert_state(&c, "VPEthna 0 user=joe pass=again nkey=UA name=n lang=c version=1 account=acc");
    pp_nats_connect_fini(&c);
    assert_int_equal(pp_alloc_live(), live);

    pp_nats_connect_init(&c);
    assert_int_equal(pp_nats_connect_parse(PP_STR("{\"auth_token\":\"hush\"}"), &c), PIPIT_OK);
    pp_nats_connect_forget_secrets(&c);
    assert_null(c.texts); /* nothing left, no memory */
    assert_int_equal(pp_alloc_live(), live);
    assert_state(&c, "VPEthna 0");
    pp_nats_connect_fini(&c);
}

/* When the block may not shrink, it stays where it was, and what it held can be looked at. */
static void test_connect_wipes_secrets(void **state)
{
    struct pp_nats_connect c;
    size_t block_bytes = 1;

    (void)state;
    pp_nats_connect_init(&c);
    assert_int_equal(pp_nats_connect_parse(pp_str_of(secrets), &c), PIPIT_OK);
    for (unsigned which = 0; which < PP_CONNECT_TEXT_COUNT; which++)
        block_bytes += 5 + pp_nats_connect_text(&c, which).len;
    assert_non_null(memmem(c.texts, block_bytes, "hush", 4));
    pp_fault_arm("alloc", 1);
    pp_nats_connect_forget_secrets(&c);
    assert_true(pp_fault_disarm());
    assert_null(memmem(c.texts, block_bytes, "hush", 4));
    assert_state(&c, "VPEthna 0 user=joe nkey=UA name=n lang=c version=1 account=acc");
    pp_nats_connect_fini(&c);
}

/* An idle connection keeps this much. */
static void test_connect_is_small(void **state)
{
    (void)state;
    assert_true(sizeof(struct pp_nats_connect) <= 24);
}

/* jansson_too: it names some of its own failed allocations, but not its first, as bad syntax. */
static void sweep(const char *json, const char *expected, bool jansson_too)
{
    for (uint64_t nth = 1;; nth++) {
        struct pp_nats_connect c;
        int64_t live;
        pipit_err err;

        pp_nats_connect_init(&c);
        assert_int_equal(pp_nats_connect_parse(PP_STR("{\"name\":\"old\"}"), &c), PIPIT_OK);
        live = pp_alloc_live();
        pp_fault_arm("*", nth);
        err = pp_nats_connect_parse(pp_str_of(json), &c);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            assert_state(&c, expected);
            pp_nats_connect_fini(&c);
            assert_true(nth > 1);
            return;
        }
        if (!jansson_too || nth <= 2 || err != PIPIT_EPROTO)
            assert_int_equal(err, PIPIT_ENOMEM);
        assert_state(&c, "VPEthna 0 name=old");
        assert_int_equal(pp_alloc_live(), live);
        pp_nats_connect_fini(&c);
    }
}

static void test_connect_out_of_memory(void **state)
{
    struct pp_nats_connect c;

    (void)state;
    sweep("{\"name\":\"new\",\"pass\":\"p\",\"verbose\":false}", "vPEthna 0 pass=p name=new",
          false);
    sweep("{\"name\":\"\xFF\"}", "VPEthna 0 name=\xEF\xBF\xBD", false);
    sweep("{\"pass\":\"p\"}", "VPEthna 0 pass=p name=old", false);

    /* Room for jansson is asked for even where nothing is kept. */
    pp_nats_connect_init(&c);
    pp_fault_arm("alloc", 1);
    assert_int_equal(pp_nats_connect_parse(PP_STR("{}"), &c), PIPIT_ENOMEM);
    assert_true(pp_fault_disarm());
}

/* jansson's own allocations fail in turn, too. Tokens stay below 16 bytes here: when the buffer of
 * a longer one may not grow, jansson 2.14 goes on with a byte missing. */
static void test_connect_json_out_of_memory(void **state)
{
    (void)state;
    json_set_alloc_funcs(pp_alloc, pp_free);
    sweep("{\"name\":\"new\",\"protocol\":1,\"user\":\"u\",\"verbose\":false,\"lang\":\"c\","
          "\"a\":[1,2.5],\"b\":{\"c\":null},\"d\":1,\"e\":2,\"f\":3,\"g\":4}",
          "vPEthna 1 user=u name=new lang=c", true);
    json_set_alloc_funcs(malloc, free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_accepts),
        cmocka_unit_test(test_connect_refuses_and_changes_nothing),
        cmocka_unit_test(test_connect_refuses_every_front),
        cmocka_unit_test(test_connect_later_ones_keep_what_they_do_not_name),
        cmocka_unit_test(test_connect_keeps_nul_in_text),
        cmocka_unit_test(test_connect_tells_whether_credentials_came),
        cmocka_unit_test(test_connect_forgets_secrets),
        cmocka_unit_test(test_connect_wipes_secrets),
        cmocka_unit_test(test_connect_is_small),
        cmocka_unit_test(test_connect_out_of_memory),
        cmocka_unit_test(test_connect_json_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
