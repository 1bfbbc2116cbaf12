#include "auth/callout_answer.h"
#include "auth/callout_request.h"
#include "auth/xkey.h"
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

enum { NOW = 1000 };

static test_key account_key, user_key, other_key;
static char server_id[PP_NKEY_TEXT_BYTES], server_xkey[PP_NKEY_TEXT_BYTES];
static uint8_t server_seed[PP_NKEY_RAW_BYTES], server_xkey_seed[PP_NKEY_RAW_BYTES];
static uint8_t service_seed[PP_NKEY_RAW_BYTES], service_xkey[PP_NKEY_RAW_BYTES];

static int make_keys(void **state)
{
    (void)state;
    test_key_make(&account_key, 'A', 1);
    test_key_make(&user_key, 'U', 2);
    test_key_make(&other_key, 'U', 3);
    pp_xkey_new(service_seed, service_xkey);
    return pp_nkey_new(PP_NKEY_SERVER, server_seed, server_id) ||
           pp_nkey_new(PP_NKEY_CURVE, server_xkey_seed, server_xkey);
}

/* --- requests ------------------------------------------------------------------------------ */

static const char *const tags[] = {"a:b"};

static pp_callout_server the_server(void)
{
    return (pp_callout_server){
        .id = server_id,
        .seed = server_seed,
        .name = "s<1>",
        .host = "127.0.0.1",
        .version = "2.15",
        .tags = tags,
        .tag_count = 1,
        .xkey = server_xkey,
        .xkey_seed = server_xkey_seed,
    };
}

static pipit_err write_request(bool sealed, pp_buf *out)
{
    const pp_callout_server server = the_server();
    const pp_login_shown shown = {
        .user = PP_STR("joe"),
        .pass = PP_STR("secret"),
        .sig = PP_STR("sig"),
        .nonce = PP_STR("abcdefghijklmno"),
        .host = PP_STR("10.0.0.1"),
        .connection_id = 7,
        .protocol = 1,
    };
    const pp_callout_request request = {
        .server = &server,
        .service_xkey = sealed ? service_xkey : NULL,
        .issuer = pp_str_of(account_key.text),
        .user_nkey = pp_str_of(user_key.text),
        .shown = &shown,
        .now_s = NOW,
        .expires_s = NOW + 2,
    };

    return pp_callout_request_write(&request, out);
}

static void test_callout_request_is_a_token_of_the_server(void **state)
{
    char reason[PP_JWT_REASON_BYTES] = "";
    pp_buf out;
    pp_jwt jwt;

    (void)state;
    pp_buf_init(&out, 1 << 20);
    assert_int_equal(write_request(false, &out), PIPIT_OK);
    assert_int_equal(pp_jwt_decode(&jwt, pp_buf_str(&out), reason), PIPIT_OK);
    assert_int_equal(jwt.type, PP_JWT_AUTHORIZATION_REQUEST);
    assert_true(pp_str_eq(jwt.issuer, pp_str_of(server_id)));
    assert_true(pp_str_eq(jwt.subject, pp_str_of(account_key.text)));
    assert_true(pp_str_eq(jwt.audience, PP_STR("nats-authorization-request")));
    assert_int_equal(jwt.issued_s, NOW);
    assert_int_equal(jwt.expires_s, NOW + 2);
    pp_jwt_fini(&jwt);
    pp_buf_fini(&out);
}

static void test_callout_request_in_a_box_is_the_same(void **state)
{
    uint8_t key[PP_NKEY_RAW_BYTES];
    pp_buf out, opened;

    (void)state;
    pp_buf_init(&out, 1 << 20);
    pp_buf_init(&opened, 1 << 20);
    assert_int_equal(write_request(true, &out), PIPIT_OK);
    assert_memory_equal(out.ptr, "xkv1", 4);
    assert_int_equal(pp_nkey_decode(pp_str_of(server_xkey), PP_NKEY_CURVE, key), PIPIT_OK);
    assert_int_equal(pp_xkey_open(service_seed, key, pp_buf_str(&out), &opened), PIPIT_OK);
    assert_memory_equal(opened.ptr, "eyJ", 3);
    pp_buf_fini(&out);
    pp_buf_fini(&opened);
}

static void test_callout_request_is_bounded(void **state)
{
    pp_buf out;

    (void)state;
    pp_buf_init(&out, 100);
    assert_int_equal(write_request(false, &out), PIPIT_ETOOBIG);
    pp_buf_fini(&out);
}

/* --- answers ------------------------------------------------------------------------------- */

static pp_callout_question the_question(bool sealed)
{
    return (pp_callout_question){
        .user_nkey = pp_str_of(user_key.text),
        .server_id = pp_str_of(server_id),
        .account = PP_STR("AUTH"),
        .server_xkey_seed = sealed ? server_xkey_seed : NULL,
        .service_xkey = sealed ? service_xkey : NULL,
        .now_s = NOW,
    };
}

/* An answer with a user in it; user: members of the user's token. */
static char *answer_text(const char *subject, const char *user)
{
    char json[4096];
    char *user_token, *answer;

    (void)snprintf(json, sizeof(json),
                   "{\"sub\":\"%s\",\"aud\":\"APP\",%s\"nats\":{\"type\":\"user\",\"version\":2}}",
                   user_key.text, user);
    user_token = test_token_of(json, &account_key);
    (void)snprintf(json, sizeof(json),
                   "{\"sub\":\"%s\",\"aud\":\"%s\",\"nats\":{\"jwt\":\"%s\","
                   "\"type\":\"authorization_response\",\"version\":2}}",
                   subject, server_id, user_token);
    answer = test_token_of(json, &account_key);
    free(user_token);
    return answer;
}

static pipit_err judge(const pp_callout_question *question, pp_str message, char *reason)
{
    const pp_token_visit visit = {
        .host = PP_STR("10.0.0.1"), .connection_type = PP_USER_STANDARD, .now_s = NOW};
    pp_callout_answer answer = {0};
    pp_token_grant grant = {0};
    pipit_err err = pp_callout_answer_open(&answer, question, message, reason);

    if (!err)
        err = pp_callout_answer_user(&answer, question, reason);
    if (!err) {
        grant.limits = answer.user.claims.limits;
        err = pp_callout_answer_terms(&answer, question, &visit, &grant, reason);
    }
    pp_callout_answer_fini(&answer);
    return err;
}

static void test_callout_answers_are_judged(void **state)
{
    const pp_callout_question question = the_question(false);
    const struct {
        const char *subject, *user, *reason;
    } rows[] = {
        {user_key.text, "", ""},
        {other_key.text, "", "Auth callout violation: auth callout response is not for expected"},
        {user_key.text, "\"exp\":900,", "Error validating user JWT: "},
        {user_key.text, "\"exp\":1001,", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *text = answer_text(rows[i].subject, rows[i].user);
        char reason[PP_CALLOUT_REASON_BYTES] = "";
        pipit_err err = judge(&question, pp_str_of(text), reason);

        assert_int_equal(err, *rows[i].reason ? PIPIT_EINVAL : PIPIT_OK);
        assert_memory_equal(reason, rows[i].reason, strlen(rows[i].reason));
        free(text);
    }
}

/* Every prefix, and every byte changed: refused with a reason, or the same as before. */
static void test_callout_answers_that_are_damaged(void **state)
{
    const pp_callout_question question = the_question(false);
    char *text = answer_text(user_key.text, "");
    size_t len = strlen(text);

    (void)state;
    for (size_t i = 0; i < len; i++) {
        char reason[PP_CALLOUT_REASON_BYTES] = "";

        assert_int_equal(judge(&question, (pp_str){text, i}, reason), PIPIT_EINVAL);
        assert_int_not_equal(*reason, '\0');
        text[i] ^= 1;
        *reason = '\0';
        if (judge(&question, (pp_str){text, len}, reason) != PIPIT_OK)
            assert_int_not_equal(*reason, '\0');
        else
            assert_int_equal(i, len - 1); /* bits of the last character that mean nothing */
        text[i] ^= 1;
    }
    free(text);
}

static void test_callout_answers_in_boxes(void **state)
{
    const pp_callout_question question = the_question(true);
    char *text = answer_text(user_key.text, "");
    char reason[PP_CALLOUT_REASON_BYTES] = "";
    uint8_t key[PP_NKEY_RAW_BYTES];
    pp_buf box;

    (void)state;
    pp_buf_init(&box, 1 << 20);
    assert_int_equal(pp_nkey_decode(pp_str_of(server_xkey), PP_NKEY_CURVE, key), PIPIT_OK);
    assert_int_equal(pp_xkey_seal(service_seed, key, pp_str_of(text), &box), PIPIT_OK);
    assert_int_equal(judge(&question, pp_buf_str(&box), reason), PIPIT_OK);
    assert_int_equal(judge(&question, pp_str_of(text), reason), PIPIT_OK);
    for (size_t i = 0; i < box.len; i += 7) {
        box.ptr[i] ^= 1;
        assert_int_equal(judge(&question, pp_buf_str(&box), reason), PIPIT_EINVAL);
        box.ptr[i] ^= 1;
    }
    pp_buf_fini(&box);
    free(text);
}

/* --- memory -------------------------------------------------------------------------------- */

static void test_callout_survives_every_failed_allocation(void **state)
{
    const pp_callout_question question = the_question(true);
    char *text = answer_text(user_key.text, "");
    uint8_t key[PP_NKEY_RAW_BYTES];
    pp_buf box;
    size_t live;

    (void)state;
    pp_buf_init(&box, 1 << 20);
    assert_int_equal(pp_nkey_decode(pp_str_of(server_xkey), PP_NKEY_CURVE, key), PIPIT_OK);
    assert_int_equal(pp_xkey_seal(service_seed, key, pp_str_of(text), &box), PIPIT_OK);
    live = pp_alloc_live();
    for (uint64_t nth = 1;; nth++) {
        char reason[PP_CALLOUT_REASON_BYTES] = "";
        pipit_err request_err, answer_err;
        pp_buf out;
        bool fired;

        pp_buf_init(&out, 1 << 20);
        pp_fault_arm("*", nth);
        request_err = write_request(true, &out);
        answer_err = judge(&question, pp_buf_str(&box), reason);
        fired = pp_fault_disarm();
        pp_buf_fini(&out);
        assert_int_equal(pp_alloc_live(), live);
        if (!fired) {
            assert_int_equal(request_err, PIPIT_OK);
            assert_int_equal(answer_err, PIPIT_OK);
            break;
        }
        assert_true(request_err == PIPIT_ENOMEM || answer_err == PIPIT_ENOMEM);
        assert_true(nth < 1000);
    }
    pp_buf_fini(&box);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_callout_request_is_a_token_of_the_server),
        cmocka_unit_test(test_callout_request_in_a_box_is_the_same),
        cmocka_unit_test(test_callout_request_is_bounded),
        cmocka_unit_test(test_callout_answers_are_judged),
        cmocka_unit_test(test_callout_answers_that_are_damaged),
        cmocka_unit_test(test_callout_answers_in_boxes),
        cmocka_unit_test(test_callout_survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, make_keys, NULL);
}
