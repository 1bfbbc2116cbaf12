/* fuzz_nkey -- texts of keys, seeds and signatures: what is read is written again as it was. */
#include "auth/nkey.h"
#include "auth/xkey.h"
#include "base/assert.h"

#include <sodium.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return sodium_init() < 0 ? 1 : 0;
}

static void expect_same(pp_str text, const char *again)
{
    PP_ASSERT(pp_str_eq(text, pp_str_of(again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[PP_NKEY_RAW_BYTES] = {1}, key[PP_NKEY_RAW_BYTES] = {9};
    pp_str text = {(const char *)data, size};
    uint8_t kind, raw[PP_NKEY_PRIVATE_BYTES];
    char again[PP_NKEY_PRIVATE_TEXT_BYTES];
    pp_buf out;

    if (!pp_nkey_decode_any(text, &kind, raw)) {
        pp_nkey_format(kind, raw, again);
        expect_same(text, again);
    }
    if (!pp_nkey_seed_decode(text, &kind, raw)) {
        pp_nkey_seed_format(kind, raw, again);
        expect_same(text, again);
    }
    if (!pp_nkey_private_decode(text, raw)) {
        pp_nkey_private_format(raw, again);
        expect_same(text, again);
    }
    if (!pp_nkey_signature_decode(text, raw))
        (void)pp_nkey_verify(key, text, raw);
    pp_buf_init(&out, 1 << 20);
    (void)pp_xkey_open(seed, key, text, &out);
    pp_buf_fini(&out);
    return 0;
}
