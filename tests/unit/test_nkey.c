#include "auth/nkey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Source: NATS authentication, section 3.2. */
static const uint8_t public_key[PP_NKEY_RAW_BYTES] = {
    0x03, 0xa1, 0x07, 0xbf, 0xf3, 0xce, 0x10, 0xbe, 0x1d, 0x70, 0xdd, 0x18, 0xe7, 0x4b, 0xc0, 0x99,
    0x67, 0xe4, 0xd6, 0x30, 0x9b, 0xa5, 0x0d, 0x5f, 0x1d, 0xdc, 0x86, 0x64, 0x12, 0x55, 0x31, 0xb8,
};

static void test_nkey_formats_the_published_vectors(void **state)
{
    static const struct {
        uint8_t kind;
        const char *text;
    } vectors[] = {
        {PP_NKEY_SERVER, "NAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RSWB"},
        {0xA0, "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK"},
        {0x00, "AAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QPZV"},
        {0x70, "OAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QZVT"},
        {0x10, "CAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3R53J"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char text[PP_NKEY_TEXT_BYTES];

        memset(text, '!', sizeof(text));
        pp_nkey_format(vectors[i].kind, public_key, text);
        assert_string_equal(text, vectors[i].text);
    }
}

/* Undo the text without the code under test; answers the CRC over all 35 bytes as it was sent. */
static unsigned decode(const char *text, uint8_t out[35])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    unsigned crc = 0;

    memset(out, 0, 35);
    for (size_t bit = 0; bit < 35 * 8; bit++) {
        const char *digit = strchr(alphabet, text[bit / 5]);

        assert_non_null(digit);
        if ((digit - alphabet) >> (4 - bit % 5) & 1)
            out[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    }
    for (size_t bit = 0; bit < 33 * 8; bit++) {
        unsigned top = crc >> 15 ^ (out[bit / 8] >> (7 - bit % 8) & 1u);

        crc = (crc << 1 & 0xFFFF) ^ (top ? 0x1021 : 0);
    }
    return crc;
}

static void test_nkey_new_server_is_well_formed_and_fresh(void **state)
{
    char first[PP_NKEY_TEXT_BYTES], second[PP_NKEY_TEXT_BYTES];
    uint8_t bytes[35];
    unsigned crc;

    (void)state;
    assert_int_equal(pp_nkey_new_server(first), PIPIT_OK);
    assert_int_equal(pp_nkey_new_server(second), PIPIT_OK);
    assert_string_not_equal(first, second);
    assert_int_equal(strlen(first), 56);
    assert_int_equal(first[0], 'N');
    crc = decode(first, bytes);
    assert_int_equal(bytes[0], PP_NKEY_SERVER);
    assert_int_equal(bytes[33] | bytes[34] << 8, crc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nkey_formats_the_published_vectors),
        cmocka_unit_test(test_nkey_new_server_is_well_formed_and_fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
