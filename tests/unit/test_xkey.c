#include "auth/xkey.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* Source: NATS authentication, section 3.4. */
static const char vector[] = "786b7631000102030405060708090a0b0c0d0e0f1011121314151617"
                             "851ce20a96d18622b2a71e906a978cfe0bb7d35c13";
static const char recipient_text[] = "XA2YA4WWGZMIBUNO5IZJVX4REE4DQUPNEGRI4O3V5FS5BUWNCZRFI2LE";

struct pair {
    uint8_t seed[PP_NKEY_RAW_BYTES], key[PP_NKEY_RAW_BYTES];
};

/* Seed bytes counted up from first. */
static struct pair pair_from(uint8_t first)
{
    struct pair pair;

    for (uint8_t i = 0; i < PP_NKEY_RAW_BYTES; i++)
        pair.seed[i] = (uint8_t)(first + i);
    pp_nkey_public(PP_NKEY_CURVE, pair.seed, pair.key);
    return pair;
}

static void test_xkey_makes_the_published_box(void **state)
{
    struct pair sender = pair_from(0), recipient = pair_from(32);
    uint8_t nonce[PP_XKEY_NONCE_BYTES];
    char hex[2 * 64 + 1], text[PP_NKEY_TEXT_BYTES];
    pp_buf box;

    (void)state;
    pp_nkey_format(PP_NKEY_CURVE, recipient.key, text);
    assert_string_equal(text, recipient_text);
    for (uint8_t i = 0; i < sizeof(nonce); i++)
        nonce[i] = i;
    pp_buf_init(&box, 1024);
    assert_int_equal(pp_xkey_seal_with(sender.seed, recipient.key, nonce, PP_STR("hello"), &box),
                     PIPIT_OK);
    assert_int_equal(box.len, (sizeof(vector) - 1) / 2);
    sodium_bin2hex(hex, sizeof(hex), (uint8_t *)box.ptr, box.len);
    assert_string_equal(hex, vector);
    pp_buf_fini(&box);
}

static void test_xkey_opens_only_what_was_sealed_for_it(void **state)
{
    struct pair sender = pair_from(0), recipient = pair_from(32), other = pair_from(64);
    pp_buf box, again, out;

    (void)state;
    pp_buf_init(&box, 1024);
    pp_buf_init(&again, 1024);
    pp_buf_init(&out, 1024);
    assert_int_equal(pp_xkey_seal(sender.seed, recipient.key, PP_STR("secret"), &box), PIPIT_OK);
    assert_int_equal(pp_xkey_seal(sender.seed, recipient.key, PP_STR("secret"), &again), PIPIT_OK);
    assert_memory_not_equal(box.ptr, again.ptr, box.len); /* nonces are fresh */
    assert_int_equal(pp_xkey_open(recipient.seed, sender.key, pp_buf_str(&box), &out), PIPIT_OK);
    assert_true(pp_str_eq(pp_buf_str(&out), PP_STR("secret")));
    assert_int_equal(pp_xkey_open(other.seed, sender.key, pp_buf_str(&box), &out), PIPIT_EINVAL);
    assert_int_equal(pp_xkey_open(recipient.seed, other.key, pp_buf_str(&box), &out), PIPIT_EINVAL);
    assert_int_equal(out.len, 6);
    for (size_t i = 0; i < box.len; i++) { /* cut or changed anywhere */
        char *cut = malloc(i ? i : 1);

        memcpy(cut, box.ptr, i);
        assert_int_equal(pp_xkey_open(recipient.seed, sender.key, (pp_str){cut, i}, &out),
                         PIPIT_EINVAL);
        free(cut);
        box.ptr[i] ^= 1;
        assert_int_equal(pp_xkey_open(recipient.seed, sender.key, pp_buf_str(&box), &out),
                         PIPIT_EINVAL);
        box.ptr[i] ^= 1;
    }
    pp_buf_fini(&box);
    pp_buf_fini(&again);
    pp_buf_fini(&out);
}

static void test_xkey_empty_message_and_limits(void **state)
{
    struct pair sender = pair_from(0), recipient = pair_from(32);
    static const uint8_t no_point[PP_NKEY_RAW_BYTES];
    pp_buf box, out;

    (void)state;
    pp_buf_init(&box, PP_XKEY_EXTRA_BYTES);
    pp_buf_init(&out, 64);
    assert_int_equal(pp_xkey_seal(sender.seed, recipient.key, PP_STR("x"), &box), PIPIT_ETOOBIG);
    assert_int_equal(pp_xkey_seal(sender.seed, no_point, PP_STR(""), &box), PIPIT_EINVAL);
    assert_int_equal(box.len, 0);
    assert_int_equal(pp_xkey_seal(sender.seed, recipient.key, PP_STR(""), &box), PIPIT_OK);
    assert_int_equal(pp_xkey_open(recipient.seed, sender.key, pp_buf_str(&box), &out), PIPIT_OK);
    assert_int_equal(out.len, 0);
    pp_buf_fini(&box);
    pp_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xkey_makes_the_published_box),
        cmocka_unit_test(test_xkey_opens_only_what_was_sealed_for_it),
        cmocka_unit_test(test_xkey_empty_message_and_limits),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
