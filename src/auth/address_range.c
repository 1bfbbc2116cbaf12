#include "auth/address_range.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

enum { V4_AT = 12, V4_BITS = 32, V6_BITS = 128, TEXT_MAX = 64 };

static void set_v4(uint8_t bytes[16], const void *v4)
{
    memset(bytes, 0, 10);
    bytes[10] = bytes[11] = 0xFF;
    memcpy(bytes + V4_AT, v4, 4);
}

pipit_err pp_address_range_parse(pp_str text, pp_address_range *out)
{
    const char *slash = memchr(text.ptr, '/', text.len);
    pp_address_range range = {0};
    char address[TEXT_MAX];
    struct in_addr v4;
    struct in6_addr v6;
    uint64_t bits;
    pp_str digits;

    if (!slash || (size_t)(slash - text.ptr) >= sizeof(address))
        return PIPIT_EINVAL;
    digits = (pp_str){slash + 1, text.len - (size_t)(slash - text.ptr) - 1};
    memcpy(address, text.ptr, (size_t)(slash - text.ptr));
    address[slash - text.ptr] = '\0';
    if (digits.len > 3 || !pp_str_parse_u64(digits, V6_BITS, &bits))
        return PIPIT_EINVAL;
    if (inet_pton(AF_INET, address, &v4) == 1) {
        if (bits > V4_BITS)
            return PIPIT_EINVAL;
        set_v4(range.bytes, &v4);
        bits += V6_BITS - V4_BITS;
    } else if (inet_pton(AF_INET6, address, &v6) == 1) {
        memcpy(range.bytes, &v6, sizeof(range.bytes));
    } else {
        return PIPIT_EINVAL;
    }
    range.bits = (unsigned)bits;
    if (out)
        *out = range;
    return PIPIT_OK;
}

bool pp_address_range_has(const pp_address_range *range, const struct sockaddr *address)
{
    unsigned whole = range->bits / 8, rest = range->bits % 8;
    uint8_t bytes[16], mask = (uint8_t)(0xFF00 >> rest);

    if (address->sa_family == AF_INET)
        set_v4(bytes, &((const struct sockaddr_in *)(const void *)address)->sin_addr);
    else if (address->sa_family == AF_INET6)
        memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    else
        return false;
    if (memcmp(bytes, range->bytes, whole) != 0)
        return false;
    return !rest || ((bytes[whole] ^ range->bytes[whole]) & mask) == 0;
}
