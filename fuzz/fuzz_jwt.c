/* Tokens and keys as they come from anybody: no signature fits, so this is about the envelope. */
#include "auth/address_range.h"
#include "auth/jwt.h"
#include "auth/nkey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pp_str text = {(const char *)data, size};
    char reason[PP_JWT_REASON_BYTES];
    uint8_t key[PP_NKEY_RAW_BYTES];
    pp_address_range range;
    pp_jwt jwt;

    (void)pp_jwt_decode(&jwt, text, reason);
    pp_jwt_fini(&jwt);
    if (size && !pp_nkey_decode(text, data[0], key)) {
        char again[PP_NKEY_TEXT_BYTES];

        pp_nkey_format(data[0], key, again);
        if (!pp_str_eq(pp_str_of(again), text))
            __builtin_trap(); /* two texts for one key */
    }
    if (!pp_address_range_parse(text, &range))
        (void)pp_address_range_has(&range, PP_STR("10.1.2.3"));
    return 0;
}
