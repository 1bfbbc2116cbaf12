#include "base/random.h"

#include "base/assert.h"

#include <errno.h>
#include <sys/random.h>

void pp_random_bytes(void *out, size_t len)
{
    unsigned char *at = out;

    while (len) {
        ssize_t n = getrandom(at, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        PP_ASSERT(n > 0);
        at += n;
        len -= (size_t)n;
    }
}

uint64_t pp_random_seed(void)
{
    uint64_t seed;

    pp_random_bytes(&seed, sizeof(seed));
    return seed ? seed : 1;
}
