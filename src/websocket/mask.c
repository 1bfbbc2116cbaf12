#include "websocket/mask.h"

#include <string.h>

/* Two registers of every x86-64, one where there is AVX2. Unaligned loads and stores. */
typedef uint64_t wide __attribute__((vector_size(32), aligned(1), may_alias));

uint32_t pp_ws_key_after(uint32_t key, size_t len)
{
    uint8_t bytes[4], turned[4];

    memcpy(bytes, &key, 4);
    for (size_t i = 0; i < 4; i++)
        turned[i] = bytes[(i + len) & 3];
    memcpy(&key, turned, 4);
    return key;
}

/* What is stored in one step was loaded in it or before, for to is never behind from. */
uint32_t pp_ws_mask(char *to, const char *from, size_t len, uint32_t key)
{
    uint64_t twice = (uint64_t)key << 32 | key;
    size_t at = 0;

    for (; len - at >= sizeof(wide); at += sizeof(wide)) {
        wide step = *(const wide *)(from + at) ^ (wide) { twice, twice, twice, twice };

        *(wide *)(to + at) = step;
    }
    for (; len - at >= sizeof(twice); at += sizeof(twice)) {
        uint64_t step;

        memcpy(&step, from + at, sizeof(step));
        step ^= twice;
        memcpy(to + at, &step, sizeof(step));
    }
    for (size_t i = at; i < len; i++) {
        uint8_t bytes[4];

        memcpy(bytes, &key, 4);
        to[i] = (char)(from[i] ^ bytes[i & 3]);
    }
    return pp_ws_key_after(key, len);
}
