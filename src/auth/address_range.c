#include "auth/address_range.h"

#include <arpa/inet.h>
#include <string.h>

enum { V4_AT = 12, V4_BITS = 32, V6_BITS = 128, TEXT_MAX = 64 };

/* Read an address; IPv4 becomes IPv4-mapped. */
static bool parse(pp_str text, uint8_t bytes[16], bool *out_v4)
{
    char address[TEXT_MAX];

    if (text.len >= sizeof(address) || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(address, text.ptr, text.len);
    address[text.len] = '\0';
    *out_v4 = inet_pton(AF_INET, address, bytes + V4_AT) == 1;
    if (!*out_v4)
        return inet_pton(AF_INET6, address, bytes) == 1;
    memset(bytes, 0, 10);
    bytes[10] = bytes[11] = 0xFF;
    return true;
}

pipit_err pp_address_range_parse(pp_str text, pp_address_range *out)
{
    const char *slash = memchr(text.ptr, '/', text.len);
    pp_address_range range = {0};
    uint64_t bits;
    pp_str digits;
    bool v4;

    if (!slash || !parse((pp_str){text.ptr, (size_t)(slash - text.ptr)}, range.bytes, &v4))
        return PIPIT_EINVAL;
    digits = (pp_str){slash + 1, text.len - (size_t)(slash - text.ptr) - 1};
    if (digits.len > 3 || !pp_str_parse_u64(digits, v4 ? V4_BITS : V6_BITS, &bits))
        return PIPIT_EINVAL;
    range.bits = (unsigned)bits + (v4 ? V6_BITS - V4_BITS : 0);
    if (out)
        *out = range;
    return PIPIT_OK;
}

bool pp_address_range_has(const pp_address_range *range, pp_str address)
{
    static const uint8_t mapped[V4_AT] = {[10] = 0xFF, [11] = 0xFF};
    unsigned whole = range->bits / 8, rest = range->bits % 8;
    uint8_t bytes[16], mask = (uint8_t)(0xFF00 >> rest);
    bool v4;

    if (!parse(address, bytes, &v4) || memcmp(bytes, range->bytes, whole) != 0)
        return false;
    /* All of IPv6 is none of IPv4. */
    if (!memcmp(bytes, mapped, sizeof(mapped)) && range->bits < 8 * sizeof(mapped))
        return false;
    return !rest || ((bytes[whole] ^ range->bytes[whole]) & mask) == 0;
}
