#include "pipit/keys.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_key_of_each_kind(void **state)
{
    (void)state;
    for (const char *kind = "OAUNCX"; *kind; kind++) {
        char text[PIPIT_KEY_BYTES], seed[PIPIT_KEY_BYTES], again[PIPIT_KEY_BYTES];
        char framed[PIPIT_KEY_BYTES + 8];
        bool is_seed;

        assert_int_equal(pipit_key_new(*kind, text, seed), PIPIT_OK);
        assert_int_equal(text[0], *kind);
        assert_int_equal(seed[0], 'S');
        assert_int_equal(seed[1], *kind);
        (void)snprintf(framed, sizeof(framed), " \n%s\r\n", seed);
        assert_int_equal(pipit_key_public(framed, again, &is_seed), PIPIT_OK);
        assert_true(is_seed);
        assert_string_equal(again, text);
        assert_int_equal(pipit_key_public(text, again, &is_seed), PIPIT_OK);
        assert_false(is_seed);
        assert_string_equal(again, text);
        seed[20] ^= 1;
        assert_int_equal(pipit_key_public(seed, again, NULL), PIPIT_EINVAL);
    }
}

static void test_key_of_no_kind(void **state)
{
    char text[PIPIT_KEY_BYTES], seed[PIPIT_KEY_BYTES];

    (void)state;
    assert_int_equal(pipit_key_new('B', text, seed), PIPIT_EINVAL);
    assert_int_equal(pipit_key_new('\0', text, seed), PIPIT_EINVAL);
    assert_int_equal(pipit_key_public("", text, NULL), PIPIT_EINVAL);
    assert_int_equal(pipit_key_public(" \n", text, NULL), PIPIT_EINVAL);
}

static void test_password_hash(void **state)
{
    char hash[PIPIT_PASSWORD_HASH_BYTES], other[PIPIT_PASSWORD_HASH_BYTES];
    char longest[PIPIT_PASSWORD_MAX + 2];

    (void)state;
    assert_int_equal(pipit_password_hash("secret", 4, hash), PIPIT_OK);
    assert_int_equal(pipit_password_hash("secret", 4, other), PIPIT_OK);
    assert_string_not_equal(hash, other);
    assert_int_equal(strncmp(hash, "$2a$04$", 7), 0);
    assert_int_equal(pipit_password_check(hash, "secret"), PIPIT_OK);
    assert_int_equal(pipit_password_check(hash, "Secret"), PIPIT_EAUTH);
    assert_int_equal(pipit_password_check("$2a$04$abc", "secret"), PIPIT_EINVAL);
    assert_int_equal(pipit_password_check("secret", "secret"), PIPIT_EINVAL);
    assert_int_equal(pipit_password_hash("x", 3, hash), PIPIT_EINVAL);
    assert_int_equal(pipit_password_hash("x", 32, hash), PIPIT_EINVAL);
    memset(longest, 'x', sizeof(longest));
    longest[PIPIT_PASSWORD_MAX + 1] = '\0';
    assert_int_equal(pipit_password_hash(longest, 4, hash), PIPIT_ETOOBIG);
    longest[PIPIT_PASSWORD_MAX] = '\0';
    assert_int_equal(pipit_password_hash(longest, 4, hash), PIPIT_OK);
    assert_int_equal(pipit_password_check(hash, longest), PIPIT_OK);
}

/* --- tokens -------------------------------------------------------------------------------- */

static test_key account, user;

static char *user_token(const char *more)
{
    char json[512];

    test_key_make(&account, 'A', 1);
    test_key_make(&user, 'U', 2);
    (void)snprintf(json, sizeof(json),
                   "{\"sub\":\"%s\",\"name\":\"ann\",\"iat\":100%s,"
                   "\"nats\":{\"type\":\"user\",\"version\":2,\"pub\":{\"allow\":[\"a.>\"]}}}",
                   user.text, more);
    return test_token_of(json, &account);
}

static void test_token_is_read(void **state)
{
    char *text = user_token(",\"exp\":200"), wrong[64] = "untouched";
    pipit_token *token;

    (void)state;
    assert_int_equal(pipit_token_decode(text, strlen(text), 150, &token, wrong, sizeof(wrong)),
                     PIPIT_OK);
    assert_string_equal(wrong, "untouched");
    assert_string_equal(token->type, "user");
    assert_string_equal(token->name, "ann");
    assert_string_equal(token->subject, user.text);
    assert_string_equal(token->issuer, account.text);
    assert_string_equal(token->account, account.text);
    assert_non_null(strstr(token->claims, "\"a.>\""));
    assert_int_equal(token->issued_s, 100);
    assert_int_equal(token->expires_s, 200);
    assert_int_equal(token->errors + token->time_checks, 0);
    pipit_token_free(token);
    assert_int_equal(pipit_token_decode(text, strlen(text), 201, &token, wrong, sizeof(wrong)),
                     PIPIT_OK);
    assert_int_equal(token->time_checks, 1);
    assert_string_equal(token->issues, "claim is expired");
    pipit_token_free(token);
    free(text);
}

static void test_token_is_refused(void **state)
{
    char *text = user_token(""), wrong[64];
    pipit_token *token = NULL;

    (void)state;
    text[strlen(text) - 9] ^= 1;
    assert_int_equal(pipit_token_decode(text, strlen(text), 1, &token, wrong, sizeof(wrong)),
                     PIPIT_EINVAL);
    assert_string_equal(wrong, "claim failed signature verification");
    assert_int_equal(pipit_token_decode("", 0, 1, &token, wrong, sizeof(wrong)), PIPIT_EINVAL);
    assert_string_equal(wrong, "expected 3 chunks");
    assert_int_equal(pipit_token_decode("a.b.c", 5, 1, &token, wrong, 4), PIPIT_EINVAL);
    assert_int_equal(strlen(wrong), 3);
    assert_null(token);
    free(text);
}

static void test_credentials(void **state)
{
    char *text = user_token(""), file[2048], seed[PIPIT_KEY_BYTES], own[PIPIT_KEY_BYTES];
    char found[PIPIT_KEY_BYTES], wrong[64];
    pipit_token *token;
    size_t len;

    (void)state;
    assert_int_equal(pipit_key_new('U', own, seed), PIPIT_OK);
    (void)snprintf(file, sizeof(file),
                   "-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n"
                   "-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n",
                   text, seed);
    len = strlen(file);
    assert_int_equal(pipit_credentials_decode(file, len, 1, &token, found, wrong, sizeof(wrong)),
                     PIPIT_OK);
    assert_string_equal(found, own);
    assert_string_equal(token->subject, user.text);
    pipit_token_free(token);
    *strstr(file, seed) = 'X';
    assert_int_equal(pipit_credentials_decode(file, len, 1, &token, found, wrong, sizeof(wrong)),
                     PIPIT_EINVAL);
    assert_string_equal(wrong, "the seed in it is none");
    *strstr(file, "-----BEGIN USER") = '\0';
    len = strlen(file);
    assert_int_equal(pipit_credentials_decode(file, len, 1, &token, found, wrong, sizeof(wrong)),
                     PIPIT_OK);
    assert_string_equal(found, "");
    pipit_token_free(token);
    assert_int_equal(pipit_credentials_decode("x", 1, 1, &token, found, wrong, sizeof(wrong)),
                     PIPIT_EINVAL);
    free(text);
}

static void test_token_memory(void **state)
{
    char *text = user_token(",\"exp\":200"), wrong[64];
    pipit_token *token = NULL;
    int64_t live = pp_alloc_live();
    pipit_err err;

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        pp_fault_arm("*", nth);
        err = pipit_token_decode(text, strlen(text), 150, &token, wrong, sizeof(wrong));
        if (!pp_fault_disarm())
            break;
        if (err == PIPIT_OK) /* a list of issues may be cut */
            pipit_token_free(token);
        assert_int_equal(pp_alloc_live(), live);
    }
    assert_int_equal(err, PIPIT_OK);
    pipit_token_free(token);
    assert_int_equal(pp_alloc_live(), live);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_of_each_kind), cmocka_unit_test(test_key_of_no_kind),
        cmocka_unit_test(test_password_hash),    cmocka_unit_test(test_token_is_read),
        cmocka_unit_test(test_token_is_refused), cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_token_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
