#include "auth/claims.h"
#include "auth/nkey.h"
#include "base/alloc.h"
#include "base/fault.h"
#include "token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Source: NATS authentication, section 4.4. */
static const char vector[] =
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ."
    "eyJqdGkiOiJGM1ZXSVJER0M0UktXVVQ1VUFEN1JKREg2NU5QU0NIUUFGSkdZWVZBMjcyWVJTSlNLMzVBIiwiaWF0Ijox"
    "NzAwMDAwMDAwLCJpc3MiOiJBQ0ZJUlk2NU9RRTdERlA1S0xOUzJQRjJMVlpNVVpZSlg0T1pJRVEzNk4ySVFBTlVCNVhW"
    "WVlPVSIsIm5hbWUiOiJkZW1vIiwic3ViIjoiVUFCMkNCNTc2UEhCQlBRNU9ET1JSWjJMWUNNV1BaR1dHQ04yS0RLN0RY"
    "T0lNWkFTS1VZM1JMS0siLCJuYXRzIjp7InB1YiI6e30sInN1YiI6e30sInN1YnMiOi0xLCJkYXRhIjotMSwicGF5bG9h"
    "ZCI6LTEsInR5cGUiOiJ1c2VyIiwidmVyc2lvbiI6Mn19."
    "8uFdLh1mgqC3khbaEC-SMPK4jc5ahFfaEKYn0pVCgd67PykMJemLJ6T1svXi35NHVju8uBigOi50k_OWEx5qDg";

static char reason[PP_JWT_REASON_BYTES];

static pipit_err decode(const char *token)
{
    pp_jwt jwt;
    pipit_err err = pp_jwt_decode(&jwt, pp_str_of(token), reason);

    pp_jwt_fini(&jwt);
    return err;
}

static void test_jwt_reads_the_published_vector(void **state)
{
    pp_user_claims user;
    pp_jwt jwt;

    (void)state;
    assert_int_equal(pp_jwt_decode(&jwt, pp_str_of(vector), reason), PIPIT_OK);
    assert_int_equal(jwt.type, PP_JWT_USER);
    assert_int_equal(jwt.version, 2);
    assert_int_equal(jwt.issued_s, 1700000000);
    assert_true(pp_str_eq(jwt.name, PP_STR("demo")));
    assert_int_equal(pp_user_claims_read(&user, &jwt, reason), PIPIT_OK);
    assert_int_equal(user.limits.subs, -1);
    assert_int_equal(user.limits.payload, -1);
    assert_true(pp_str_eq(pp_user_claims_account(&user),
                          PP_STR("ACFIRY65OQE7DFP5KLNS2PF2LVZMUZYJX4OZIEQ36N2IQANUB5XVYYOU")));
    pp_jwt_fini(&jwt);
}

/* No bit of a token can be changed, and nothing be cut off or added. */
static void test_jwt_is_what_was_signed(void **state)
{
    char changed[sizeof(vector) + 1];

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(vector); i++) {
        memcpy(changed, vector, sizeof(vector));
        changed[i] = (char)(changed[i] ^ 1);
        assert_int_equal(decode(changed), PIPIT_EINVAL);
        memcpy(changed, vector, sizeof(vector));
        changed[i] = '\0';
        assert_int_equal(decode(changed), PIPIT_EINVAL);
    }
    (void)snprintf(changed, sizeof(changed), "%sA", vector);
    assert_int_equal(decode(changed), PIPIT_EINVAL);
    assert_int_equal(decode("a.b.c.d"), PIPIT_EINVAL);
    assert_int_equal(decode(".."), PIPIT_EINVAL);
    assert_int_equal(decode(""), PIPIT_EINVAL);
}

static void test_jwt_has_a_limit(void **state)
{
    size_t len = PP_JWT_BYTES_MAX + 1;
    char *long_one = malloc(len + 1);

    (void)state;
    assert_non_null(long_one);
    memset(long_one, '.', len);
    long_one[len] = '\0';
    assert_int_equal(decode(long_one), PIPIT_EINVAL);
    assert_non_null(strstr(reason, "token too large"));
    free(long_one);
}

/* --- who may issue what -------------------------------------------------------------------- */

static void test_jwt_issuers_are_of_the_right_kind(void **state)
{
    static const struct {
        const char *type;
        const char *issuers;
    } rows[] = {
        {"operator", "O"},
        {"account", "OA"},
        {"user", "A"},
        {"activation", "AO"},
        {"authorization_request", "N"},
        {"authorization_response", "A"},
        {"whatever", "OAUNC"},
        {"", "OAUNC"},
    };
    static const char kinds[] = "OAUNC";

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (const char *kind = kinds; *kind; kind++) {
            char json[160], *token;
            test_key key;

            test_key_make(&key, *kind, 7);
            (void)snprintf(json, sizeof(json), "{\"nats\":{\"type\":\"%s\",\"version\":2}}",
                           rows[i].type);
            token = test_token_of(json, &key);
            assert_int_equal(decode(token),
                             strchr(rows[i].issuers, *kind) ? PIPIT_OK : PIPIT_EINVAL);
            free(token);
        }
    }
}

static void test_jwt_version_1_signs_the_payload_alone(void **state)
{
    json_t *payload = json_pack("{s:s, s:s, s:{}}", "type", "user", "sub", "U", "nats");
    test_key key;
    char *token;

    (void)state;
    test_key_make(&key, 'A', 3);
    token = test_token(payload, &key, 1);
    assert_int_equal(decode(token), PIPIT_OK);
    free(token);
    /* As the newer ones do, which for these is wrong. */
    token = test_token(payload, &key, 2);
    assert_int_equal(decode(token), PIPIT_EINVAL);
    free(token);
    json_decref(payload);
    payload = json_pack("{s:{s:s, s:i}}", "nats", "type", "user", "version", 2);
    token = test_token(payload, &key, 1);
    assert_int_equal(decode(token), PIPIT_EINVAL);
    free(token);
    (void)json_object_set_new(json_object_get(payload, "nats"), "version", json_integer(3));
    token = test_token(payload, &key, 2);
    assert_int_equal(decode(token), PIPIT_EINVAL);
    assert_non_null(strstr(reason, "newer version"));
    free(token);
    json_decref(payload);
}

/* --- every claim missing, and of every wrong type ------------------------------------------ */

#define A "ACFIRY65OQE7DFP5KLNS2PF2LVZMUZYJX4OZIEQ36N2IQANUB5XVYYOU"
#define U "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK"
#define O "OAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QZVT"
#define LIMITS                                                                                     \
    "'pub':{'allow':['a'],'deny':['b']},'sub':{'allow':['a q'],'deny':['b']},"                     \
    "'resp':{'max':1,'ttl':5},'subs':1,'data':1,'payload':1,'src':['10.0.0.0/8'],"                 \
    "'times':[{'start':'01:00:00','end':'02:00:00'}],'times_location':'UTC',"                      \
    "'bearer_token':true,'proxy_required':true,'allowed_connection_types':['MQTT']"
#define COMMON "'aud':'x','exp':5,'jti':'x','iat':4,'name':'n','nbf':3,'sub':'" A "',"

static const struct {
    char issuer;
    const char *json;
} whole[] = {
    {'O', "{" COMMON "'nats':{'type':'operator','version':2,'tags':['a'],'signing_keys':['" O
          "'],'account_server_url':'nats://x','operator_service_urls':['nats://x'],"
          "'system_account':'" A "','assert_server_version':'2.1.0',"
          "'strict_signing_key_usage':true}}"},
    {'O', "{" COMMON "'nats':{'type':'account','version':2,'tags':['a'],"
          "'limits':{'subs':1,'data':1,'payload':1,'imports':2,'exports':2,'conn':1,'leaf':1,"
          "'wildcards':true,'disallow_bearer':true,'mem_storage':1,'disk_storage':1,'streams':1,"
          "'consumer':1,'max_ack_pending':1,'mem_max_stream_bytes':1,'disk_max_stream_bytes':1,"
          "'max_bytes_required':true,'tiered_limits':{'R1':{'mem_storage':1}}},"
          "'signing_keys':['" A "',{'kind':'user_scope','key':'" A "','role':'r','description':'d',"
          "'template':{" LIMITS
          "}}],'revocations':{'*':1},'default_permissions':{'pub':{'allow':['a']}},"
          "'exports':[{'name':'n','subject':'s.*','type':'service','token_req':true,"
          "'revocations':{'" A "':1},'response_type':'Stream','response_threshold':1,"
          "'service_latency':{'sampling':5,'results':'r'},'account_token_position':2,"
          "'advertise':true,'allow_trace':true}],"
          "'imports':[{'name':'n','subject':'t','account':'" A "','token':'x','to':'y',"
          "'local_subject':'z','type':'service','share':true,'allow_trace':true}],"
          "'mappings':{'a':[{'subject':'b','weight':50,'cluster':'c'}]},"
          "'authorization':{'auth_users':['" U "'],'allowed_accounts':['*'],'xkey':'X'},"
          "'trace':{'dest':'d','sampling':5},'cluster_traffic':'owner','description':'d',"
          "'info_url':'u'}}"},
    {'A', "{" COMMON "'nats':{'type':'user','version':2,'tags':['a'],'issuer_account':'" A
          "'," LIMITS "}}"},
    {'A', "{" COMMON "'nats':{'type':'activation','version':2,'tags':['a'],'subject':'s',"
          "'kind':'stream','issuer_account':'" A "'}}"},
    {'A', "{" COMMON "'nats':{'type':'authorization_response','version':2,'tags':['a'],"
          "'jwt':'j','error':'e','issuer_account':'" A "'}}"},
    {'O', "{" COMMON "'nats':{'accounts':['" A "']}}"},
};

static json_t *load(const char *text)
{
    char *json = strdup(text);
    json_error_t error;
    json_t *root;

    for (char *c = json; c && *c; c++) {
        if (*c == '\'')
            *c = '"';
    }
    root = json_loads(json, 0, &error);
    if (!root)
        print_error("%s at %d\n", error.text, error.position);
    assert_non_null(root);
    free(json);
    return root;
}

/* Read all that a token may be, and validate it. */
static pipit_err read_all(const char *token, unsigned *out_errors)
{
    pp_claim_issues issues;
    pp_operator_claims oc;
    pp_account_claims ac;
    pp_user_claims uc;
    pp_activation_claims vc;
    pp_authorization_claims rc;
    pp_deletion_claims dc;
    pp_jwt jwt;
    pipit_err err = pp_jwt_decode(&jwt, pp_str_of(token), reason);

    pp_claim_issues_init(&issues);
    if (!err) {
        switch (jwt.type) {
        case PP_JWT_OPERATOR:
            err = pp_operator_claims_read(&oc, &jwt, reason);
            if (!err)
                pp_operator_claims_check(&oc, 4, &issues);
            break;
        case PP_JWT_ACCOUNT:
            err = pp_account_claims_read(&ac, &jwt, reason);
            if (!err)
                pp_account_claims_check(&ac, 4, &issues);
            break;
        case PP_JWT_USER:
            err = pp_user_claims_read(&uc, &jwt, reason);
            if (!err)
                pp_user_claims_check(&uc, 4, &issues);
            break;
        case PP_JWT_ACTIVATION:
            err = pp_activation_claims_read(&vc, &jwt, reason);
            if (!err)
                pp_activation_claims_check(&vc, &issues);
            break;
        case PP_JWT_AUTHORIZATION_RESPONSE:
            err = pp_authorization_claims_read(&rc, &jwt, reason);
            if (!err)
                pp_authorization_claims_check(&rc, 4, &issues);
            break;
        default:
            err = pp_deletion_claims_read(&dc, &jwt, reason);
            break;
        }
    }
    *out_errors = issues.errors;
    pp_claim_issues_fini(&issues);
    pp_jwt_fini(&jwt);
    return err;
}

static unsigned tried;

/* What a claim must be: of the type that it has, and for whole numbers no fraction. */
static bool is_wrong(const json_t *was, const json_t *now, const char *key)
{
    if (json_is_null(now))
        return false;
    if (strcmp(key, "src") == 0 && json_is_string(now))
        return false; /* as older tools wrote it */
    if (json_is_boolean(was) && json_is_boolean(now))
        return false;
    return json_typeof(was) != json_typeof(now);
}

static void try_values(json_t *root, json_t *object, const char *key, const test_key *issuer)
{
    json_t *was = json_incref(json_object_get(object, key));
    const json_t *values[] = {
        json_null(),       json_true(),      json_integer(-1),       json_real(1.5),
        json_string("x"),  json_array(),     json_object(),          json_pack("[i]", 1),
        json_pack("[[]]"), json_pack("[n]"), json_pack("{s:n}", "x")};
    bool ignored = strcmp(key, "role") == 0 || strcmp(key, "iss") == 0 ||
                   /* in "authorization": said of a key that is not looked at */
                   strcmp(key, "description") == 0;
    unsigned errors;
    char *token;

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        (void)json_object_set(object, key, (json_t *)values[i]);
        token = test_token(root, issuer, 2);
        if (is_wrong(was, values[i], key) && !ignored) {
            if (read_all(token, &errors) != PIPIT_EINVAL)
                print_error("%s: %s\n", key, json_dumps(values[i], JSON_ENCODE_ANY));
            assert_int_equal(read_all(token, &errors), PIPIT_EINVAL);
        } else {
            (void)read_all(token, &errors);
        }
        free(token);
        json_decref((json_t *)values[i]);
        tried++;
    }
    (void)json_object_del(object, key);
    token = test_token(root, issuer, 2);
    (void)read_all(token, &errors);
    free(token);
    (void)json_object_set_new(object, key, was);
}

static void try_all(json_t *root, json_t *at, const test_key *issuer)
{
    size_t count = 0;
    char keys[64][64];
    json_t *value;
    const char *key;

    if (json_is_array(at)) {
        for (size_t i = 0; i < json_array_size(at); i++)
            try_all(root, json_array_get(at, i), issuer);
        return;
    }
    if (!json_is_object(at))
        return;
    json_object_foreach(at, key, value)(void) snprintf(keys[count++], sizeof(keys[0]), "%s", key);
    for (size_t i = 0; i < count; i++) {
        try_values(root, at, keys[i], issuer);
        try_all(root, json_object_get(at, keys[i]), issuer);
    }
}

static void test_jwt_claims_missing_or_of_the_wrong_type(void **state)
{
    int64_t live = pp_alloc_live();

    (void)state;
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        json_t *root = load(whole[i].json);
        unsigned errors;
        test_key key;
        char *token;

        test_key_make(&key, whole[i].issuer, 9);
        token = test_token(root, &key, 2);
        assert_int_equal(read_all(token, &errors), PIPIT_OK);
        free(token);
        try_all(root, root, &key);
        json_decref(root);
    }
    assert_true(tried > 1000);
    assert_int_equal(pp_alloc_live(), live);
}

static void test_jwt_keys_are_read_in_any_case_and_only_once(void **state)
{
    unsigned errors;
    test_key key;
    char *token;

    (void)state;
    test_key_make(&key, 'A', 9);
    token = test_token_of("{\"EXP\":1,\"nats\":{\"type\":\"user\",\"version\":2}}", &key);
    {
        pp_jwt jwt;

        assert_int_equal(pp_jwt_decode(&jwt, pp_str_of(token), reason), PIPIT_OK);
        assert_int_equal(jwt.expires_s, 1);
        pp_jwt_fini(&jwt);
    }
    free(token);
    token = test_token_of("{\"EXP\":1,\"exp\":5,\"nats\":{\"type\":\"user\",\"version\":2}}", &key);
    assert_int_equal(read_all(token, &errors), PIPIT_EINVAL);
    free(token);
}

/* --- no memory ----------------------------------------------------------------------------- */

static void test_jwt_survives_every_failed_allocation(void **state)
{
    json_t *root = load(whole[1].json);
    test_key key;
    char *token;

    (void)state;
    test_key_make(&key, 'O', 9);
    token = test_token(root, &key, 2);
    json_decref(root);
    for (uint64_t nth = 1;; nth++) {
        int64_t live = pp_alloc_live();
        unsigned errors;
        pipit_err err;

        pp_fault_arm("alloc", nth);
        err = read_all(token, &errors);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            break;
        }
        /* The texts of issues may be cut short, but not the issues. */
        assert_true(err == PIPIT_ENOMEM || errors);
        assert_int_equal(pp_alloc_live(), live);
    }
    free(token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jwt_reads_the_published_vector),
        cmocka_unit_test(test_jwt_is_what_was_signed),
        cmocka_unit_test(test_jwt_has_a_limit),
        cmocka_unit_test(test_jwt_issuers_are_of_the_right_kind),
        cmocka_unit_test(test_jwt_version_1_signs_the_payload_alone),
        cmocka_unit_test(test_jwt_claims_missing_or_of_the_wrong_type),
        cmocka_unit_test(test_jwt_keys_are_read_in_any_case_and_only_once),
        cmocka_unit_test(test_jwt_survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
