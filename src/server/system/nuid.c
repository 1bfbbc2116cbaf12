#include "server/system/nuid.h"

#include "base/random.h"

#include <string.h>

enum { PREFIX_BYTES = 12, COUNT_BYTES = PP_NUID_BYTES - PREFIX_BYTES, STEP_MIN = 33, STEPS = 300 };

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const uint64_t count_end = UINT64_C(839299365868340224); /* 62 to the power of 10 */

static void begin(pp_nuid *nuid)
{
    if (!nuid->random)
        nuid->random = pp_random_seed() | 1;
    for (unsigned i = 0; i < PREFIX_BYTES; i++)
        nuid->prefix[i] = digits[pp_random_below(&nuid->random, 62)];
    nuid->count = pp_random_next(&nuid->random) % count_end;
    nuid->step = STEP_MIN + pp_random_below(&nuid->random, STEPS);
}

void pp_nuid_next(pp_nuid *nuid, char out[PP_NUID_BYTES + 1])
{
    uint64_t left;

    nuid->count += nuid->step;
    if (!nuid->step || nuid->count >= count_end)
        begin(nuid);
    memcpy(out, nuid->prefix, PREFIX_BYTES);
    left = nuid->count;
    for (unsigned i = COUNT_BYTES; i-- > 0;) {
        out[PREFIX_BYTES + i] = digits[left % 62];
        left /= 62;
    }
    out[PP_NUID_BYTES] = '\0';
}
