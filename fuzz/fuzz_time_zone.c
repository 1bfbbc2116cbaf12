/* Files of time zones, and the rules in them. */
#include "auth/time_zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int32_t offset_s;

    (void)pp_time_zone_read(data, size, 1711846800, &offset_s);
    (void)pp_time_rule_read((pp_str){(const char *)data, size}, 1711846800, &offset_s);
    return 0;
}
