#include "auth/day_time.h"

enum { DAY_S = 86400 };

static bool two_digits(const char *text, int max, int32_t *out)
{
    uint64_t value;

    if (!pp_str_parse_u64((pp_str){text, 2}, (uint64_t)max, &value))
        return false;
    *out = (int32_t)value;
    return true;
}

pipit_err pp_day_time_parse(pp_str text, int32_t *out_s)
{
    int32_t hours, minutes, seconds;

    if (text.len != 8 || text.ptr[2] != ':' || text.ptr[5] != ':' ||
        !two_digits(text.ptr, 23, &hours) || !two_digits(text.ptr + 3, 59, &minutes) ||
        !two_digits(text.ptr + 6, 59, &seconds))
        return PIPIT_EINVAL;
    if (out_s)
        *out_s = hours * 3600 + minutes * 60 + seconds;
    return PIPIT_OK;
}

/* The moment at which the zone's clocks show local_s; clocks that change in between are looked at
 * where that is. */
static bool to_moment(pp_str zone, int64_t local_s, int32_t offset_s, int64_t *out_s)
{
    int32_t then_s;

    if (pp_time_zone_offset(zone, local_s - offset_s, &then_s))
        return false;
    *out_s = local_s - then_s;
    return true;
}

bool pp_day_times_have(const pp_user_limits *limits, int64_t now_s, int64_t *out_until_s)
{
    pp_str zone = limits->time_zone;
    int64_t midnight_s, until_s = 0;
    int32_t offset_s;

    *out_until_s = 0;
    if (!limits->time_count)
        return true;
    if (pp_time_zone_offset(zone, now_s, &offset_s))
        return false;
    midnight_s = now_s + offset_s;
    midnight_s -= (midnight_s % DAY_S + DAY_S) % DAY_S; /* of today, as clocks there show it */
    for (size_t i = 0; i < limits->time_count; i++) {
        int64_t from_s, to_s;
        int32_t start_s, end_s;

        if (pp_day_time_parse(limits->times[i].start, &start_s) ||
            pp_day_time_parse(limits->times[i].end, &end_s) ||
            !to_moment(zone, midnight_s + start_s, offset_s, &from_s) ||
            !to_moment(zone, midnight_s + end_s, offset_s, &to_s))
            return false;
        if (start_s > end_s && now_s < to_s)
            from_s = now_s; /* it began yesterday */
        else if (start_s > end_s && !to_moment(zone, midnight_s + DAY_S + end_s, offset_s, &to_s))
            return false;
        if (from_s <= now_s && now_s < to_s && to_s > until_s)
            until_s = to_s;
    }
    *out_until_s = until_s;
    return until_s != 0;
}
