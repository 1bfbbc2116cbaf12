#include "auth/certificate.h"
#include "auth/distinguished_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define CN "2.5.4.3"
#define C "2.5.4.6"
#define O "2.5.4.10"
#define OU "2.5.4.11"
#define DC "0.9.2342.19200300.100.1.25"
#define UID "0.9.2342.19200300.100.1.1"
#define EMAIL "1.2.840.113549.1.9.1"

enum { USERS_MAX = 8, PARTS_MAX = 8 };

/* A subject as "OID=value" parts; "+OID=value" belongs to the name before. */
static size_t subject_of(const char *const parts[], pp_certificate_attribute out[PARTS_MAX])
{
    size_t count = 0, rdn = 0;

    for (; parts[count]; count++) {
        const char *part = parts[count];
        bool joined = *part == '+';
        const char *value = strchr(part += joined, '=');

        rdn += count && !joined;
        out[count] =
            (pp_certificate_attribute){{part, (size_t)(value - part)}, pp_str_of(value + 1), rdn};
    }
    return count;
}

static pp_users *users_of(pp_user_key *key, pp_views *views, pp_account *account,
                          const char *const names[])
{
    pp_user_entry entries[USERS_MAX];
    pp_users_setup setup = {
        .key = key, .views = views, .users = entries, .anybody.account = account};
    pp_users *users;

    for (; names[setup.user_count]; setup.user_count++)
        entries[setup.user_count] =
            (pp_user_entry){.name = names[setup.user_count], .account = account};
    if (setup.user_count > 1)
        entries[1].connection_types = PP_USER_WEBSOCKET; /* the second of them comes by it only */
    assert_int_equal(pp_user_key_new(key), PIPIT_OK);
    assert_int_equal(pp_users_new(&users, &setup), PIPIT_OK);
    return users;
}

static void expect(const pp_certificate *certificate, const char *const names[], const char *found)
{
    pp_user_key key;
    pp_views views;
    pp_account *account;
    pp_users *users;
    const pp_user *user;

    pp_views_init(&views);
    assert_int_equal(pp_account_new(&account, "A", 1), PIPIT_OK);
    users = users_of(&key, &views, account, names);
    user = pp_certificate_find_user(certificate, users, PP_USER_STANDARD);
    if (!found && user)
        fail_msg("%s was found", user->name);
    if (found && (!user || strcmp(user->name, found) != 0))
        fail_msg("%s instead of %s", user ? user->name : "nobody", found);
    pp_users_free(users);
    pp_views_fini(&views);
    pp_account_free(account);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect_subject(const char *const parts[], const char *const names[], const char *found)
{
    pp_certificate_attribute subject[PARTS_MAX];
    const pp_certificate certificate = {.subject = subject,
                                        .subject_count = subject_of(parts, subject)};

    expect(&certificate, names, found);
}

/* Source: NATS authentication, section 7: "first hit wins". */
static void test_certificate_order(void **state)
{
    pp_certificate_attribute subject[PARTS_MAX];
    const pp_str emails[] = {PP_STR("a@x"), PP_STR("b@x")}, dns[] = {PP_STR("x.y")};
    const pp_str uris[] = {PP_STR("spiffe://x/y")};
    pp_certificate certificate = {
        emails, 2, dns, 1, uris, 1, subject, subject_of(NAMES(O "=acme", CN "=foo"), subject)};
    const char *const all[] = {"CN=foo,O=acme", "web", "spiffe://x/y", "x.y", "b@x", NULL};

    (void)state;
    expect(&certificate, all, "b@x");
    certificate.email_count = 1;
    expect(&certificate, all, "x.y");
    certificate.dns_name_count = 0;
    expect(&certificate, all, "spiffe://x/y");
    certificate.uri_count = 0;
    expect(&certificate, all, "CN=foo,O=acme");
    certificate.subject_count = 0;
    expect(&certificate, all, NULL);
    certificate = (pp_certificate){.emails = emails, .email_count = 2};
    expect(&certificate, NAMES("z", "a@x"), NULL); /* not by this kind of connection */
    expect(&certificate, NAMES("a@", "z", "A@X", "@x"), NULL);
}

/* Source: the same, "seen on 2.9.10 and 2.15.1". */
static void test_certificate_subjects(void **state)
{
    const char *const *user = NAMES("CN=foo,OU=dev,O=acme");

    (void)state;
    expect_subject(NAMES(O "=acme", OU "=dev", CN "=foo"), user, user[0]);
    expect_subject(NAMES(CN "=foo", OU "=dev", O "=acme"), user, user[0]);     /* any order */
    expect_subject(NAMES(O "=acme", OU "=dev", "+" CN "=foo"), user, user[0]); /* as text */
    expect_subject(NAMES(CN "=bar", O "=acme", OU "=dev", CN "=foo"), user, user[0]);
    expect_subject(NAMES(UID "=u", O "=acme", OU "=dev", CN "=foo"), user, user[0]);
    expect_subject(NAMES(EMAIL "=e", O "=acme", OU "=dev", CN "=foo"), user, user[0]);
    expect_subject(NAMES(DC "=d", O "=acme", OU "=dev", CN "=foo"), user, user[0]);
    expect_subject(NAMES(O "=acme", O "=evil", OU "=dev", CN "=foo"), user, NULL);
    expect_subject(NAMES(O "=acme", OU "=dev", CN "=foo", CN "=bar"), user, NULL);
    expect_subject(NAMES(O "=acme", OU "=dev"), user, NULL);
    expect_subject(NAMES(O "=acme", OU "=dev", CN "=FOO"), user, NULL);
}

static void test_certificate_names_with_components(void **state)
{
    (void)state;
    expect_subject(NAMES(DC "=com", DC "=acme", CN "=foo"), NAMES("CN=foo,DC=acme,DC=com"),
                   "CN=foo,DC=acme,DC=com");
    expect_subject(NAMES(UID "=u", DC "=com", DC "=acme", CN "=foo"),
                   NAMES("CN=foo,DC=com,DC=acme"), "CN=foo,DC=com,DC=acme"); /* as text */
    expect_subject(NAMES(OU "=a", OU "=b", CN "=foo"), NAMES("CN=foo,OU=a+OU=b"),
                   "CN=foo,OU=a+OU=b");
    expect_subject(NAMES(O "=a\\, b", CN "=f+g"), NAMES("CN=f\\+g,O=a\\\\\\, b"),
                   "CN=f\\+g,O=a\\\\\\, b");
    /* The same name twice is not the same as two. */
    expect_subject(NAMES(OU "=a", OU "=a", O "=b"), NAMES("OU=a,O=b,O=b"), NULL);
    expect_subject(NAMES(C "=DE", CN "=foo"), NAMES("cn=foo, c=DE"), "cn=foo, c=DE");
}

static void test_certificate_subject_text(void **state)
{
    static const char *const parts[] = {C "=DE",   "2.5.4.8=Bayern", "2.5.4.7=Ort",
                                        O "=acme", OU "=a",          OU "=#b ",
                                        CN "=foo", "2.5.4.5=77",     NULL};
    pp_certificate_attribute subject[PARTS_MAX];
    const pp_certificate certificate = {.subject = subject,
                                        .subject_count = subject_of(parts, subject)};
    pp_buf text;

    (void)state;
    pp_buf_init(&text, 1024);
    assert_int_equal(pp_certificate_subject(&certificate, &text), PIPIT_OK);
    assert_true(pp_str_eq(pp_buf_str(&text),
                          PP_STR("SERIALNUMBER=77,CN=foo,OU=a+OU=\\#b\\ ,O=acme,L=Ort,ST=Bayern,"
                                 "C=DE")));
    pp_buf_fini(&text);
}

/* --- names as text ------------------------------------------------------------------------ */

static void test_certificate_name_texts(void **state)
{
    static const struct {
        const char *text;
        int rdns;          /* -1: it is none */
        const char *value; /* of the first */
    } cases[] = {
        {"CN=a", 1, "a"},
        {"CN=a,O=b", 2, "a"},
        {"CN=a+OU=c,O=b", 2, "a"},
        {" CN = a , O=b", 2, "a"},
        {"CN=a\\,b", 1, "a,b"},
        {"CN=a\\2cb", 1, "a,b"},
        {"CN=a\\ ", 1, "a "},
        {"CN=a=b", 1, "a=b"},
        {"CN=", 1, ""},
        {"CN=\\c3\\a4", 1, "\xc3\xa4"},
        {"", -1, NULL},
        {"a", -1, NULL},
        {"CN=a,", -1, NULL},
        {"=a", -1, NULL},
        {",CN=a", -1, NULL},
        {"CN=a\\", -1, NULL},
        {"CN=a\\2", -1, NULL},
        {"CN=a\\zz", -1, NULL},
        {"CN=#0403616263", -1, NULL},
        {"CN=a,,O=b", -1, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_str text = pp_str_of(cases[i].text);
        char *scratch = malloc(text.len + 1);
        pp_dn dn;

        if (pp_dn_parse(text, scratch, &dn) != (cases[i].rdns >= 0))
            fail_msg("%s", cases[i].text);
        if (cases[i].rdns >= 0) {
            assert_int_equal(dn.rdn_count, cases[i].rdns);
            assert_true(pp_str_eq(dn.attributes[0].value, pp_str_of(cases[i].value)));
            assert_true(pp_dn_equal(&dn, &dn) && pp_dn_same_names(&dn, &dn));
        }
        free(scratch);
    }
}

static void test_certificate_name_of_too_many_parts(void **state)
{
    char text[PP_DN_ATTRIBUTES_MAX * 4 + 8], scratch[sizeof(text)];
    size_t len = 0;
    pp_dn dn;

    (void)state;
    for (int i = 0; i < PP_DN_ATTRIBUTES_MAX; i++, len += 4)
        memcpy(text + len, "O=a,", 4);
    assert_true(pp_dn_parse((pp_str){text, len - 1}, scratch, &dn));
    memcpy(text + len, "O=a", 3);
    assert_false(pp_dn_parse((pp_str){text, len + 3}, scratch, &dn));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificate_order),
        cmocka_unit_test(test_certificate_subjects),
        cmocka_unit_test(test_certificate_names_with_components),
        cmocka_unit_test(test_certificate_subject_text),
        cmocka_unit_test(test_certificate_name_texts),
        cmocka_unit_test(test_certificate_name_of_too_many_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
