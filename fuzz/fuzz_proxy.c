/* fuzz_proxy -- the PROXY header: the verdict does not depend on how the bytes arrive. */
#include "base/assert.h"
#include "net/proxy.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_header(const struct pp_proxy_header *header, size_t used, size_t window_len)
{
    PP_ASSERT(used <= window_len && used <= PP_PROXY_WINDOW_MAX);
    PP_ASSERT(header->skip_bytes <= UINT16_MAX);
    PP_ASSERT(!(header->has_address && header->local));
    if (header->has_address)
        PP_ASSERT(header->src.ss_family == AF_INET || header->src.ss_family == AF_INET6);
    else
        PP_ASSERT(header->src.ss_family == AF_UNSPEC);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pp_proxy_header whole, header;
    size_t whole_used = 0, used = 0;
    pipit_err verdict = pp_proxy_read((pp_str){(const char *)data, size}, &whole, &whole_used);

    if (size >= PP_PROXY_WINDOW_MAX)
        PP_ASSERT(verdict != PIPIT_EAGAIN);
    if (!verdict)
        check_header(&whole, whole_used, size);
    for (size_t len = 0; len < size && len <= PP_PROXY_WINDOW_MAX; len++) {
        char *front = malloc(len ? len : 1); /* ends where the window does */
        pipit_err err;

        memcpy(front, data, len);
        err = pp_proxy_read((pp_str){front, len}, &header, &used);
        free(front);
        if (err == PIPIT_EAGAIN)
            continue;
        PP_ASSERT(err == verdict); /* decided; more bytes change nothing */
        if (!err)
            PP_ASSERT(used == whole_used && header.skip_bytes == whole.skip_bytes &&
                      header.local == whole.local && header.has_address == whole.has_address &&
                      memcmp(&header.src, &whole.src, sizeof(whole.src)) == 0);
    }
    return 0;
}
