#include "auth/address_range.h"
#include "auth/day_time.h"
#include "auth/token_login.h"
#include "auth/user_template.h"
#include "base/alloc.h"
#include "token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NONCE "abcdefghijklmno"

static char reason[PP_JWT_REASON_BYTES];
static test_key operator_key, account_key, user_key, signing_key;

/* One login: an account's claims, a user's, and what comes of it. {A} {U} {S} are keys, {O} the
 * operator's. */
struct row {
    const char *name;
    const char *account; /* members of the account's "nats" */
    const char *user;    /* members of the user's token, "nats" not among them */
    const char *nats;    /* members of the user's "nats" */
    char signer;         /* of the user: 'A' or 'S' */
    int64_t now_s;
    pp_token_fault fault;
    int64_t expires_s;
};

static const struct row rows[] = {
    {"plain", "", "", "", 'A', 1000, PP_TOKEN_FINE, 0},
    {"expires", "", "'exp':1001,", "", 'A', 1000, PP_TOKEN_FINE, 1001},
    {"expired this second", "", "'exp':1000,", "", 'A', 1000, PP_TOKEN_EXPIRED, 0},
    {"signing key", "'signing_keys':['{S}']", "", "'issuer_account':'{A}'", 'S', 1000,
     PP_TOKEN_FINE, 0},
    {"signing key of nobody", "", "", "'issuer_account':'{A}'", 'S', 1000, PP_TOKEN_ISSUER, 0},
    {"signing key, account not named", "'signing_keys':['{S}']", "", "", 'S', 1000, PP_TOKEN_ISSUER,
     0},
    {"revoked", "'revocations':{'{U}':500}", "", "", 'A', 1000, PP_TOKEN_REVOKED, 0},
    {"revoked before", "'revocations':{'{U}':499}", "", "", 'A', 1000, PP_TOKEN_FINE, 0},
    {"all revoked", "'revocations':{'*':500}", "", "", 'A', 1000, PP_TOKEN_REVOKED, 0},
    {"another revoked", "'revocations':{'{A}':600}", "", "", 'A', 1000, PP_TOKEN_FINE, 0},
    {"bearer", "", "", "'bearer_token':true", 'A', 1000, PP_TOKEN_FINE, 0},
    {"no bearers", "'limits':{'disallow_bearer':true}", "", "'bearer_token':true", 'A', 1000,
     PP_TOKEN_BEARER, 0},
    {"type", "", "", "'allowed_connection_types':['standard']", 'A', 1000, PP_TOKEN_FINE, 0},
    {"other type", "", "", "'allowed_connection_types':['MQTT']", 'A', 1000, PP_TOKEN_DENIED, 0},
    {"one type known", "", "", "'allowed_connection_types':['X','STANDARD']", 'A', 1000,
     PP_TOKEN_FINE, 0},
    {"no type known", "", "", "'allowed_connection_types':['X']", 'A', 1000, PP_TOKEN_DENIED, 0},
    {"from there", "", "", "'src':['192.168.0.0/16','10.0.0.0/8']", 'A', 1000, PP_TOKEN_FINE, 0},
    {"from elsewhere", "", "", "'src':['192.168.0.0/16']", 'A', 1000, PP_TOKEN_DENIED, 0},
    {"from there, as text", "", "", "'src':'192.168.0.0/16, 10.1.2.3/32'", 'A', 1000, PP_TOKEN_FINE,
     0},
    {"proxy", "", "", "'proxy_required':true", 'A', 1000, PP_TOKEN_PROXY_REQUIRED, 0},
    {"its time", "", "", "'times':[{'start':'00:00:00','end':'00:30:00'}],'times_location':'UTC'",
     'A', 1000, PP_TOKEN_FINE, 1800},
    {"not its time", "", "",
     "'times':[{'start':'01:00:00','end':'02:00:00'}],'times_location':'UTC'", 'A', 1000,
     PP_TOKEN_EXPIRED, 0},
    {"over midnight", "", "",
     "'times':[{'start':'23:00:00','end':'01:00:00'}],'times_location':'UTC'", 'A', 1000,
     PP_TOKEN_FINE, 3600},
    {"over midnight, before", "", "",
     "'times':[{'start':'00:10:00','end':'00:05:00'}],'times_location':'UTC'", 'A', 1000,
     PP_TOKEN_FINE, 86400 + 300},
    {"scope", "'signing_keys':[{'kind':'user_scope','key':'{S}','template':{'subs':5}}]", "",
     "'issuer_account':'{A}'", 'S', 1000, PP_TOKEN_FINE, 0},
    {"scope, and own limits",
     "'signing_keys':[{'kind':'user_scope','key':'{S}','template':{'subs':5}}]", "",
     "'issuer_account':'{A}','subs':-1", 'S', 1000, PP_TOKEN_ISSUER, 0},
    {"scope, and an empty list", "'signing_keys':[{'kind':'user_scope','key':'{S}','template':{}}]",
     "", "'issuer_account':'{A}','src':[]", 'S', 1000, PP_TOKEN_ISSUER, 0},
    {"scope that asks for a proxy",
     "'signing_keys':[{'kind':'user_scope','key':'{S}','template':{'proxy_required':true}}]", "",
     "'issuer_account':'{A}'", 'S', 1000, PP_TOKEN_PROXY_REQUIRED, 0},
    {"scope with an operation nobody knows",
     "'signing_keys':[{'kind':'user_scope','key':'{S}','template':{'pub':{'allow':['{{x()}}']}}}]",
     "", "'issuer_account':'{A}'", 'S', 1000, PP_TOKEN_ISSUER, 0},
};

/* Single quotes are double ones, and keys are filled in. */
static char *expand(const char *text)
{
    size_t len = 0;
    char *out = malloc(16 * strlen(text) + 64);

    assert_non_null(out);
    for (; *text; text++) {
        const char *key = NULL;

        if (text[0] == '{' && text[1] != '{' && text[1] && text[2] == '}') {
            key = text[1] == 'A'   ? account_key.text
                  : text[1] == 'U' ? user_key.text
                  : text[1] == 'S' ? signing_key.text
                  : text[1] == 'O' ? operator_key.text
                                   : NULL;
        }
        if (key) {
            memcpy(out + len, key, 56);
            len += 56;
            text += 2;
        } else {
            out[len++] = *text == '\'' ? '"' : *text;
        }
    }
    out[len] = '\0';
    return out;
}

static char *make(const test_key *issuer, const char *format, ...)
{
    char text[4096], *json, *token;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    json = expand(text);
    token = test_token_of(json, issuer);
    free(json);
    return token;
}

struct world {
    pp_jwt account_jwt;
    pp_account_claims account;
    pp_trust trust;
    pp_token token;
};

static pipit_err set_up(struct world *w, const struct row *row)
{
    char *account = make(&operator_key,
                         "{'sub':'{A}','name':'acc','nats':{'type':'account','version':2,"
                         "'tags':['region:eu','region:us']%s%s}}",
                         *row->account ? "," : "", row->account);
    char *user = make(row->signer == 'S' ? &signing_key : &account_key,
                      "{'sub':'{U}','iat':500,%s'name':'joe','nats':{'type':'user','version':2,"
                      "'tags':['team:a','team:b','bad:*','dot:x.y']%s%s}}",
                      row->user, *row->nats ? "," : "", row->nats);
    pipit_err err;

    *w = (struct world){0};
    assert_int_equal(pp_trust_add_key(&w->trust, pp_str_of(operator_key.text)), PIPIT_OK);
    assert_int_equal(pp_jwt_decode(&w->account_jwt, pp_str_of(account), reason), PIPIT_OK);
    assert_int_equal(pp_account_claims_read(&w->account, &w->account_jwt, reason), PIPIT_OK);
    err = pp_token_read(&w->token, pp_str_of(user), row->now_s, reason);
    free(account);
    free(user);
    return err;
}

static void tear_down(struct world *w)
{
    pp_token_fini(&w->token);
    pp_jwt_fini(&w->account_jwt);
    pp_trust_fini(&w->trust);
}

static pp_token_visit visit_of(const char *sig, int64_t now_s)
{
    return (pp_token_visit){
        .nonce = PP_STR(NONCE),
        .sig = pp_str_of(sig),
        .host = PP_STR("10.1.2.3"),
        .connection_type = PP_USER_STANDARD,
        .now_s = now_s,
    };
}

static void test_token_login_judges_in_every_case(void **state)
{
    int64_t live = pp_alloc_live();
    char sig[88];

    (void)state;
    test_sign(NONCE, &user_key, sig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        pp_token_visit visit = visit_of(sig, rows[i].now_s);
        pp_token_grant grant;
        pp_token_fault fault;
        const char *why;
        struct world w;

        assert_int_equal(set_up(&w, &rows[i]), PIPIT_OK);
        fault = pp_token_judge(&w.token, &w.account, &w.trust, &visit, &grant, &why);
        if (fault != rows[i].fault)
            print_error("%s: %s\n", rows[i].name, why);
        assert_int_equal(fault, rows[i].fault);
        if (!fault)
            assert_int_equal(grant.expires_s, rows[i].expires_s);
        tear_down(&w);
    }
    assert_int_equal(pp_alloc_live(), live);
}

/* Expired and not yet valid tokens are refused before anything is asked of anybody. */
static void test_token_login_reads_by_the_clock(void **state)
{
    static const struct {
        const char *times;
        int64_t now_s;
        pipit_err err;
    } moments[] = {
        {"'exp':1000,", 1000, PIPIT_OK},    {"'exp':1000,", 1001, PIPIT_EINVAL},
        {"'nbf':1000,", 999, PIPIT_EINVAL}, {"'nbf':1000,", 1000, PIPIT_OK},
        {"'exp':-5,", 1000, PIPIT_OK},      {"'exp':0,'nbf':0,", 1000, PIPIT_OK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
        struct row row = {"", "", moments[i].times, "", 'A', moments[i].now_s, PP_TOKEN_FINE, 0};
        struct world w;

        assert_int_equal(set_up(&w, &row), moments[i].err);
        tear_down(&w);
    }
}

static void test_token_login_wants_the_right_signature(void **state)
{
    static const struct row row = {"", "", "", "", 'A', 1000, PP_TOKEN_FINE, 0};
    char right[88], wrong[88], other[88];
    pp_token_grant grant;
    const char *why;
    struct world w;
    pp_token_visit visit;

    (void)state;
    test_sign(NONCE, &user_key, right);
    test_sign("abcdefghijklmnp", &user_key, other);
    test_sign(NONCE, &account_key, wrong);
    assert_int_equal(set_up(&w, &row), PIPIT_OK);
    for (size_t len = 0; len <= strlen(right); len++) {
        visit = visit_of(right, 1000);
        visit.sig.len = len;
        assert_int_equal(pp_token_judge(&w.token, &w.account, &w.trust, &visit, &grant, &why),
                         len == strlen(right) ? PP_TOKEN_FINE : PP_TOKEN_DENIED);
    }
    visit = visit_of(wrong, 1000);
    assert_int_equal(pp_token_judge(&w.token, &w.account, &w.trust, &visit, &grant, &why),
                     PP_TOKEN_DENIED);
    visit = visit_of(other, 1000);
    assert_int_equal(pp_token_judge(&w.token, &w.account, &w.trust, &visit, &grant, &why),
                     PP_TOKEN_DENIED);
    visit = visit_of(right, 1000);
    visit.nonce.len = 0;
    assert_int_equal(pp_token_judge(&w.token, &w.account, &w.trust, &visit, &grant, &why),
                     PP_TOKEN_DENIED);
    tear_down(&w);
}

static void test_token_login_trusts_operators_alone(void **state)
{
    static const struct row row = {"", "'signing_keys':['{S}']", "", "", 'A', 1000, PP_TOKEN_FINE,
                                   0};
    char sig[88];
    pp_token_grant grant;
    const char *why;
    pp_token_visit visit;
    test_key stranger;
    struct world w;

    (void)state;
    test_sign(NONCE, &user_key, sig);
    visit = visit_of(sig, 1000);
    assert_int_equal(set_up(&w, &row), PIPIT_OK);
    pp_trust_fini(&w.trust);
    test_key_make(&stranger, 'O', 77);
    assert_int_equal(pp_trust_add_key(&w.trust, pp_str_of(stranger.text)), PIPIT_OK);
    assert_int_equal(pp_trust_add_key(&w.trust, pp_str_of(account_key.text)), PIPIT_EINVAL);
    assert_int_equal(pp_token_judge(&w.token, &w.account, &w.trust, &visit, &grant, &why),
                     PP_TOKEN_ISSUER);
    assert_int_equal(pp_trust_add_key(&w.trust, pp_str_of(operator_key.text)), PIPIT_OK);
    assert_int_equal(pp_token_judge(&w.token, &w.account, &w.trust, &visit, &grant, &why),
                     PP_TOKEN_FINE);
    /* A strict operator's accounts sign users with signing keys only. */
    w.trust.keys[1].strict = true;
    assert_int_equal(pp_token_judge(&w.token, &w.account, &w.trust, &visit, &grant, &why),
                     PP_TOKEN_ISSUER);
    tear_down(&w);
}

/* --- templates ----------------------------------------------------------------------------- */

static void test_token_login_fills_in_scopes(void **state)
{
    static const struct {
        const char *allow, *deny; /* of the template's "pub" */
        const char *filled;       /* "allow,...|deny,..."; NULL: refused */
    } cases[] = {
        {"'a.b'", "'c'", "a.b|c"},
        {"'a.{{name()}}.>'", "", "a.joe.>|"},
        {"'a.{{NAME( )}}'", "", "a.joe|"},
        {"'x{{ name() }}y.{{account-name()}}'", "", "xjoey.acc|"},
        {"'{{subject()}}'", "'{{account-subject()}}'", "{U}|{A}"},
        {"'t.{{tag(team)}}.{{account-tag(region)}}'", "", "t.a.eu,t.a.us,t.b.eu,t.b.us|"},
        {"'{{tag(team)}}.{{tag(team)}}'", "", "a.a,b.b|"},
        {"'{{tag(dot)}}'", "", "x.y|"},
        {"'a','{{tag(none)}}'", "", "a|"},
        {"'{{tag(none)}}'", "", "|>"},
        {"'{{tag(none)}}'", "'z'", "|>"},
        {"'{{tag(bad)}}'", "", "|>"},
        {"'a'", "'{{tag(none)}}'", NULL},
        {"'a'", "'{{tag(bad)}}.x'", NULL},
        {"'{{what()}}'", "", NULL},
        {"'{{name(x)}}'", "", NULL},
        {"'{{}}','{{{name()}}','{name()}'", "", "{{}},{joe,{name()}|"},
    };
    char sig[88];

    (void)state;
    test_sign(NONCE, &user_key, sig);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_token_visit visit = visit_of(sig, 1000);
        char account[1024], filled[1024] = "";
        struct row row = {"", account, "", "'issuer_account':'{A}'", 'S', 1000, PP_TOKEN_FINE, 0};
        pp_token_fault fault;
        pp_token_grant grant;
        const char *why;
        struct world w;

        (void)snprintf(account, sizeof(account),
                       "'signing_keys':[{'kind':'user_scope','key':'{S}','template':"
                       "{'pub':{'allow':[%s],'deny':[%s]}}}]",
                       cases[i].allow, cases[i].deny);
        assert_int_equal(set_up(&w, &row), PIPIT_OK);
        fault = pp_token_judge(&w.token, &w.account, &w.trust, &visit, &grant, &why);
        if (!cases[i].filled) {
            assert_int_equal(fault, PP_TOKEN_ISSUER);
        } else {
            const pp_claim_rules *rules = &grant.limits.permissions.publish;
            char *wanted = expand(cases[i].filled);
            size_t len = 0;

            assert_int_equal(fault, PP_TOKEN_FINE);
            for (size_t n = 0; n < rules->allow.count; n++)
                len += (size_t)sprintf(filled + len, "%s%.*s", n ? "," : "",
                                       PP_STR_ARGS(rules->allow.items[n]));
            len += (size_t)sprintf(filled + len, "|");
            for (size_t n = 0; n < rules->deny.count; n++)
                len += (size_t)sprintf(filled + len, "%s%.*s", n ? "," : "",
                                       PP_STR_ARGS(rules->deny.items[n]));
            assert_string_equal(filled, wanted);
            free(wanted);
        }
        tear_down(&w);
    }
}

/* Tags multiply; there is an end to it. */
static void test_token_login_bounds_what_a_scope_becomes(void **state)
{
    char tags[4096] = "", user[8192];
    pp_claim_permissions permissions = {0};
    pp_str rule = PP_STR("{{tag(a)}}.{{tag(b)}}");
    pp_token token;
    char *text;
    size_t len = 0;

    (void)state;
    for (unsigned i = 0; i < 64; i++)
        len += (size_t)sprintf(tags + len, "%s'a:%u','b:%u'", i ? "," : "", i, i);
    (void)snprintf(user, sizeof(user),
                   "{'sub':'{U}','nats':{'type':'user','version':2,"
                   "'tags':[%s]}}",
                   tags);
    text = make(&account_key, "%s", user);
    assert_int_equal(pp_token_read(&token, pp_str_of(text), 0, reason), PIPIT_OK);
    permissions.publish.allow = (pp_claim_list){&rule, 1};
    assert_int_equal(pp_user_template_fill(&permissions, &token.jwt, PP_STR(""), &token.jwt),
                     PIPIT_OK);
    assert_int_equal(permissions.publish.allow.count, 4096);
    rule = PP_STR("{{tag(a)}}.{{tag(b)}}.{{ tag(a) }}");
    permissions.publish.allow = (pp_claim_list){&rule, 1};
    assert_int_equal(pp_user_template_fill(&permissions, &token.jwt, PP_STR(""), &token.jwt),
                     PIPIT_EINVAL);
    pp_token_fini(&token);
    free(text);
}

/* --- addresses and times ------------------------------------------------------------------- */

static void test_token_login_knows_addresses(void **state)
{
    static const struct {
        const char *range, *address;
        int has; /* -1: no range */
    } cases[] = {
        {"10.0.0.0/8", "10.255.1.2", 1},
        {"10.0.0.0/8", "11.0.0.0", 0},
        {"10.1.2.3/32", "10.1.2.3", 1},
        {"10.1.2.3/32", "10.1.2.2", 0},
        {"10.1.2.0/31", "10.1.2.1", 1},
        {"10.1.2.0/31", "10.1.2.2", 0},
        {"0.0.0.0/0", "1.2.3.4", 1},
        {"0.0.0.0/0", "::1", 0},
        {"10.0.0.0/8", "::ffff:10.1.1.1", 1},
        {"::/0", "1.2.3.4", 0},
        {"fe80::/10", "febf::1", 1},
        {"fe80::/10", "fec0::1", 0},
        {"::1/128", "::1", 1},
        {"10.0.0.0/8", "", 0},
        {"10.0.0.0/8", "unix", 0},
        {"10.0.0.0/33", "", -1},
        {"10.0.0.0", "", -1},
        {"/8", "", -1},
        {"10.0.0.0/", "", -1},
        {"10.0.0/8", "", -1},
        {"::/129", "", -1},
        {"10.0.0.0/8 ", "", -1},
        {"10.0.0.0/-1", "", -1},
        {"1111111111111111111111111111111111111111111111111"
         "11111111111111111111111/8",
         "", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_address_range range;
        pipit_err err = pp_address_range_parse(pp_str_of(cases[i].range), &range);

        assert_int_equal(err, cases[i].has < 0 ? PIPIT_EINVAL : PIPIT_OK);
        if (!err)
            assert_int_equal(pp_address_range_has(&range, pp_str_of(cases[i].address)),
                             cases[i].has);
    }
}

static void test_token_login_knows_rules_of_summer_time(void **state)
{
    static const struct {
        const char *rule;
        int64_t at_s;
        int32_t offset_s; /* 1: no rule */
    } cases[] = {
        {"UTC0", 0, 0},
        {"JST-9", 0, 32400},
        {"<+0330>-3:30", 0, 12600},
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1711846799, 3600}, /* 2024-03-31 00:59:59 UTC */
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1711846800, 7200},
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1729990799, 7200}, /* 2024-10-27 00:59:59 UTC */
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1729990800, 3600},
        {"EST5EDT,M3.2.0,M11.1.0", 1710053999, -18000}, /* 2024-03-10 06:59:59 UTC */
        {"EST5EDT,M3.2.0,M11.1.0", 1710054000, -14400},
        {"AEST-10AEDT,M10.1.0,M4.1.0/3", 1704067200, 39600}, /* 2024-01-01: summer */
        {"AEST-10AEDT,M10.1.0,M4.1.0/3", 1719792000, 36000}, /* 2024-07-01: winter */
        {"XXX0YYY,J60,J300", 1709164799, 0},                 /* 2024-02-28 23:59:59; J60: 1 March */
        {"XXX0YYY,J60,J300", 1709258400, 3600},              /* 2024-03-01 02:00:00 */
        {"", 0, 1},
        {"X0", 0, 1},
        {"UTC", 0, 1},
        {"CET-1CEST", 0, 1},
        {"CET-1CEST,M13.1.0,M10.5.0", 0, 1},
        {"CET-1CEST,M3.5.0,M10.5.0/3x", 0, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int32_t offset_s = 1;
        pipit_err err = pp_time_rule_read(pp_str_of(cases[i].rule), cases[i].at_s, &offset_s);

        assert_int_equal(err, cases[i].offset_s == 1 ? PIPIT_EINVAL : PIPIT_OK);
        assert_int_equal(offset_s, cases[i].offset_s);
    }
}

static void test_token_login_knows_time_zones(void **state)
{
    static const char *const none[] = {"../../../etc/passwd",
                                       "/etc/passwd",
                                       "Europe/../UTC",
                                       "No/Where",
                                       "Europe",
                                       "UTC\n",
                                       "zone.tab",
                                       "."};
    static uint8_t damaged[300];
    int32_t offset_s;

    (void)state;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_false(pp_time_zone_exists(pp_str_of(none[i])));
    assert_true(pp_time_zone_exists(PP_STR("UTC")));
    assert_true(pp_time_zone_exists(PP_STR("")));
    for (size_t len = 0; len < sizeof(damaged); len++) {
        memcpy(damaged, "TZif2", 5);
        memset(damaged + 5, (int)len, sizeof(damaged) - 5);
        (void)pp_time_zone_read(damaged, len, 0, &offset_s);
    }
    if (!pp_time_zone_exists(PP_STR("Europe/Berlin")))
        skip(); /* no time zones on this system */
    assert_int_equal(pp_time_zone_offset(PP_STR("Europe/Berlin"), 1711846800, &offset_s), 0);
    assert_int_equal(offset_s, 7200);
    assert_int_equal(pp_time_zone_offset(PP_STR("Europe/Berlin"), 1704067200, &offset_s), 0);
    assert_int_equal(offset_s, 3600);
    /* Beyond the table at its front, by the rule at its end. */
    assert_int_equal(pp_time_zone_offset(PP_STR("Europe/Berlin"), 3313526400, &offset_s), 0);
    assert_int_equal(offset_s, 3600);
}

static int make_keys(void **state)
{
    (void)state;
    test_key_make(&operator_key, 'O', 1);
    test_key_make(&account_key, 'A', 2);
    test_key_make(&user_key, 'U', 3);
    test_key_make(&signing_key, 'A', 4);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_login_judges_in_every_case),
        cmocka_unit_test(test_token_login_reads_by_the_clock),
        cmocka_unit_test(test_token_login_wants_the_right_signature),
        cmocka_unit_test(test_token_login_trusts_operators_alone),
        cmocka_unit_test(test_token_login_fills_in_scopes),
        cmocka_unit_test(test_token_login_bounds_what_a_scope_becomes),
        cmocka_unit_test(test_token_login_knows_addresses),
        cmocka_unit_test(test_token_login_knows_rules_of_summer_time),
        cmocka_unit_test(test_token_login_knows_time_zones),
    };

    return cmocka_run_group_tests(tests, make_keys, NULL);
}
