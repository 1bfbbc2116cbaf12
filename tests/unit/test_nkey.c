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

static void test_nkey_new_is_well_formed_and_fresh(void **state)
{
    static const uint8_t kinds[] = {PP_NKEY_SERVER, PP_NKEY_USER, PP_NKEY_CURVE};
    static const char letters[] = "NUX";
    uint8_t bytes[35], seed[PP_NKEY_RAW_BYTES], key[PP_NKEY_RAW_BYTES];
    char first[PP_NKEY_TEXT_BYTES], second[PP_NKEY_TEXT_BYTES];
    unsigned crc;

    (void)state;
    for (size_t i = 0; i < sizeof(kinds); i++) {
        assert_int_equal(pp_nkey_new(kinds[i], seed, first), PIPIT_OK);
        assert_int_equal(pp_nkey_new(kinds[i], NULL, second), PIPIT_OK);
        assert_string_not_equal(first, second);
        assert_int_equal(strlen(first), 56);
        assert_int_equal(first[0], letters[i]);
        crc = decode(first, bytes);
        assert_int_equal(bytes[0], kinds[i]);
        assert_int_equal(bytes[33] | bytes[34] << 8, crc);
        pp_nkey_public(kinds[i], seed, key);
        assert_memory_equal(key, bytes + 1, sizeof(key));
    }
}

/* --- reading ------------------------------------------------------------------------------ */

static const struct {
    uint8_t kind;
    const char *seed, *public;
} pairs[] = {
    {PP_NKEY_USER, "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y",
     "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK"},
    {PP_NKEY_ACCOUNT, "SAAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4HYMHI",
     "AAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QPZV"},
    {PP_NKEY_OPERATOR, "SOAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H2AJA",
     "OAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QZVT"},
    {PP_NKEY_SERVER, "SNAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H2D5U",
     "NAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RSWB"},
    {PP_NKEY_CLUSTER, "SCAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4HYO7Q",
     "CAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3R53J"},
    {PP_NKEY_CURVE, "SXAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H74KM",
     "XCHUBRNNW2HSKYSK4WZBJ2TWPJXMSTMCTU6XWXQ22G5G6PRBHAUF76G7"},
    {PP_NKEY_USER, "SUAKYRHVIOREXV7EUZTBHUHL7NUMHPMAS7QMDU3GTIUWEI5LDNOXD43IZY",
     "UD466L6EBCM3YY5HEGHJANNTN4LSKTSUXTH7RILHCKEQMQHTBNLHJJXT"},
    {PP_NKEY_USER, "SUAOTBNEUHZDFJT3EUMELT7MQTP24JF3XVCXQNDSCU74G5IU6VAJBKH5LI",
     "UDE6WTGLTTPCRJRJCKBJRGVNZTLIVR7LEEELR4CYWWWBKJS7XYIKXDUU"},
    {PP_NKEY_OPERATOR, "SOAFYNORQLQFJYBYNUGC5D7SH2MXMUX5BFEWWGHN3EK4VGG5TPT5DZP7QU",
     "OCAT33MTVU2VUOIMGNGUNXJ66AH2RLSDAF3MUBCYAY5QMIL65NQM6XQG"},
};

static void test_nkey_seeds_and_their_public_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        uint8_t kind = 1, seed[PP_NKEY_RAW_BYTES], key[PP_NKEY_RAW_BYTES];
        char text[PP_NKEY_SEED_TEXT_BYTES], public[PP_NKEY_TEXT_BYTES];

        assert_int_equal(pp_nkey_seed_decode(pp_str_of(pairs[i].seed), &kind, seed), PIPIT_OK);
        assert_int_equal(kind, pairs[i].kind);
        pp_nkey_seed_format(kind, seed, text);
        assert_string_equal(text, pairs[i].seed);
        pp_nkey_public(kind, seed, key);
        pp_nkey_format(kind, key, public);
        assert_string_equal(public, pairs[i].public);
        assert_int_equal(pp_nkey_decode(pp_str_of(public), pairs[i].kind, key), PIPIT_OK);
        assert_int_equal(pp_nkey_decode(pp_str_of(public), pairs[i].kind ^ 8, key), PIPIT_EINVAL);
        assert_int_equal(pp_nkey_decode(pp_str_of(text), pairs[i].kind, NULL), PIPIT_EINVAL);
    }
}

static void test_nkey_private_form(void **state)
{
    static const char text[] = "PAAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6A5BA677HTQQXYO"
                               "XBXIY45F4BGLH4TLDBG5FBVPR3XEGMQJFKMNYJGWQ";
    uint8_t key[PP_NKEY_PRIVATE_BYTES];
    char again[PP_NKEY_PRIVATE_TEXT_BYTES];

    (void)state;
    assert_int_equal(pp_nkey_private_decode(pp_str_of(text), key), PIPIT_OK);
    for (uint8_t i = 0; i < PP_NKEY_RAW_BYTES; i++)
        assert_int_equal(key[i], i);
    assert_memory_equal(key + PP_NKEY_RAW_BYTES, public_key, sizeof(public_key));
    pp_nkey_private_format(key, again);
    assert_string_equal(again, text);
}

/* Whatever is not exactly the text of a key is none: every length, every other character in every
 * place. */
static void test_nkey_refuses_what_is_none(void **state)
{
    const char *good = pairs[0].public;
    uint8_t kind, key[PP_NKEY_PRIVATE_BYTES];
    char text[128];

    (void)state;
    for (size_t len = 0; len <= 120; len++) {
        memset(text, 'A', sizeof(text));
        memcpy(text, good, strlen(good));
        if (len == strlen(good))
            continue;
        assert_int_equal(pp_nkey_decode_any((pp_str){text, len}, &kind, key), PIPIT_EINVAL);
        assert_int_equal(pp_nkey_seed_decode((pp_str){text, len}, &kind, key), PIPIT_EINVAL);
        assert_int_equal(pp_nkey_private_decode((pp_str){text, len}, key), PIPIT_EINVAL);
    }
    for (size_t i = 0; i < strlen(good); i++) {
        for (int c = 0; c < 256; c++) {
            memcpy(text, good, strlen(good));
            text[i] = (char)c;
            assert_int_equal(pp_nkey_decode_any((pp_str){text, strlen(good)}, &kind, key) == 0,
                             (char)c == good[i]);
        }
    }
    for (size_t i = 0; i < strlen(pairs[0].seed); i++) {
        for (int c = 0; c < 256; c++) {
            memcpy(text, pairs[0].seed, strlen(pairs[0].seed));
            text[i] = (char)c;
            assert_int_equal(
                pp_nkey_seed_decode((pp_str){text, strlen(pairs[0].seed)}, &kind, key) == 0,
                (char)c == pairs[0].seed[i]);
        }
    }
}

/* --- signatures --------------------------------------------------------------------------- */

/* Source: NATS authentication, section 3.3. */
static void test_nkey_signature_vectors(void **state)
{
    static const struct {
        size_t pair;
        const char *signature;
    } vectors[] = {
        {0,
         "BFqgAdhpmdT7AcI_hxTszAUiqdm5bBqbwMALxRCGOBYMSx9jTHq7RISqFue3wTE53jdrCFSiYMMcaXDUnZp1Bg"},
        {6,
         "EtZ1butheoxys4wjk9deIy9D5YD0PLgg-D-tOMnzafX9wl0SlV91Ps_wq1uJbflDh58F0tpK7vYlDdbKRBmECQ"},
    };
    const pp_str nonce = PP_STR("abcdefghijklmno");

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint8_t kind, seed[PP_NKEY_RAW_BYTES], key[PP_NKEY_RAW_BYTES];
        uint8_t signature[PP_NKEY_SIGNATURE_BYTES], made[PP_NKEY_SIGNATURE_BYTES];
        const char *public = pairs[vectors[i].pair].public;

        assert_int_equal(pp_nkey_seed_decode(pp_str_of(pairs[vectors[i].pair].seed), &kind, seed),
                         PIPIT_OK);
        assert_int_equal(pp_nkey_decode(pp_str_of(public), PP_NKEY_USER, key), PIPIT_OK);
        assert_int_equal(pp_nkey_signature_decode(pp_str_of(vectors[i].signature), signature),
                         PIPIT_OK);
        assert_true(pp_nkey_verify(key, nonce, signature));
        assert_false(pp_nkey_verify(key, PP_STR("abcdefghijklmnO"), signature));
        pp_nkey_sign(seed, nonce, made);
        assert_memory_equal(made, signature, sizeof(made));
        made[63] ^= 0x80;
        assert_false(pp_nkey_verify(key, nonce, made));
    }
}

static void test_nkey_signature_texts(void **state)
{
    static const struct {
        const char *text;
        pipit_err err;
    } cases[] = {
        {"BFqgAdhpmdT7AcI_hxTszAUiqdm5bBqbwMALxRCGOBYMSx9jTHq7RISqFue3wTE53jdrCFSiYMMcaXDUnZp1Bg",
         PIPIT_OK},
        {"BFqgAdhpmdT7AcI/hxTszAUiqdm5bBqbwMALxRCGOBYMSx9jTHq7RISqFue3wTE53jdrCFSiYMMcaXDUnZp1Bg==",
         PIPIT_OK},
        {"BFqgAdhpmdT7AcI/hxTszAUiqdm5bBqbwMALxRCGOBYMSx9jTHq7RISqFue3wTE53jdrCFSiYMMcaXDUnZp1Bg",
         PIPIT_EINVAL},
        {"BFqgAdhpmdT7AcI_hxTszAUiqdm5bBqbwMALxRCGOBYMSx9jTHq7RISqFue3wTE53jdrCFSiYMMcaXDUnZp1B",
         PIPIT_EINVAL},
        {"BFqgAdhpmdT7AcI_hxTszAUiqdm5bBqbwMALxRCGOBYMSx9jTHq7RISqFue3wTE53jdrCFSiYMMcaXDUnZp1BgAA",
         PIPIT_EINVAL},
        {"", PIPIT_EINVAL},
        {"====", PIPIT_EINVAL},
    };
    uint8_t signature[PP_NKEY_SIGNATURE_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(pp_nkey_signature_decode(pp_str_of(cases[i].text), signature),
                         cases[i].err);
    assert_int_equal(pp_nkey_signature_decode((pp_str){NULL, 0}, signature), PIPIT_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nkey_formats_the_published_vectors),
        cmocka_unit_test(test_nkey_new_is_well_formed_and_fresh),
        cmocka_unit_test(test_nkey_seeds_and_their_public_keys),
        cmocka_unit_test(test_nkey_private_form),
        cmocka_unit_test(test_nkey_refuses_what_is_none),
        cmocka_unit_test(test_nkey_signature_vectors),
        cmocka_unit_test(test_nkey_signature_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
