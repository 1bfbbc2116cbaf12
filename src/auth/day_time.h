/* auth/day_time.h -- at which times of the day somebody may be there. */
#ifndef PP_AUTH_DAY_TIME_H
#define PP_AUTH_DAY_TIME_H

#include "auth/claims.h"
#include "auth/time_zone.h"

/* Read "HH:MM:SS" as seconds from midnight; out_s may be NULL. Errors: PIPIT_EINVAL. */
pipit_err pp_day_time_parse(pp_str text, int32_t *out_s);

/* Is now_s, since the Unix epoch, within one of the ranges? *out_until_s is when the last of those
 * that it is in ends; 0: there are no ranges, so never. A range that ends before it begins goes
 * over midnight. A range or zone that cannot be read has nobody in it. Source: NATS authentication,
 * section 5.3. */
bool pp_day_times_have(const pp_user_limits *limits, int64_t now_s, int64_t *out_until_s);

#endif
