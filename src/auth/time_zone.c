#include "auth/time_zone.h"

#include "base/alloc.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    NAME_MAX_BYTES = 64,
    FILE_MAX = 256 * 1024,
    HEADER_BYTES = 44,
    TYPE_BYTES = 6,
    COUNT_MAX = 64 * 1024,
};

#define ZONE_FOLDER "/usr/share/zoneinfo/"

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t get_i64(const uint8_t *p)
{
    return (int64_t)((uint64_t)get_u32(p) << 32 | get_u32(p + 4));
}

/* One of the two blocks of a file. */
struct block {
    size_t times, types, type_count, leaps, leap_bytes, chars, std_flags, ut_flags;
};

static bool read_block(const uint8_t *file, size_t len, size_t at, size_t time_bytes,
                       struct block *out, size_t *out_end)
{
    const uint8_t *h = file + at;
    size_t end;

    if (len < at + HEADER_BYTES || memcmp(h, "TZif", 4) != 0)
        return false;
    *out = (struct block){
        .ut_flags = get_u32(h + 20),
        .std_flags = get_u32(h + 24),
        .leaps = get_u32(h + 28),
        .times = get_u32(h + 32),
        .type_count = get_u32(h + 36),
        .chars = get_u32(h + 40),
    };
    if (out->ut_flags > COUNT_MAX || out->std_flags > COUNT_MAX || out->leaps > COUNT_MAX ||
        out->times > COUNT_MAX || out->type_count > COUNT_MAX || out->chars > COUNT_MAX ||
        !out->type_count)
        return false;
    end = at + HEADER_BYTES + out->times * (time_bytes + 1) + out->type_count * TYPE_BYTES +
          out->chars + out->leaps * (time_bytes + 4) + out->std_flags + out->ut_flags;
    *out_end = end;
    return end <= len;
}

pipit_err pp_time_zone_read(const uint8_t *file, size_t len, int64_t at_s, int32_t *out_offset_s)
{
    struct block block;
    size_t start, end, type = 0, last = 0;
    const uint8_t *times, *indexes, *types;
    pp_str rule;

    /* The first block is for programs that know 32 bits only. */
    if (!read_block(file, len, 0, 4, &block, &start) || file[4] < '2' ||
        !read_block(file, len, start, 8, &block, &end))
        return PIPIT_EINVAL;
    times = file + start + HEADER_BYTES;
    indexes = times + 8 * block.times;
    types = indexes + block.times;
    while (last < block.times && get_i64(times + 8 * last) <= at_s)
        last++;
    if (last == block.times && len > end + 2 && file[end] == '\n') {
        rule = (pp_str){(const char *)file + end + 1, len - end - 2};
        return pp_time_rule_read(rule, at_s, out_offset_s);
    }
    if (last)
        type = indexes[last - 1];
    if (type >= block.type_count)
        return PIPIT_EINVAL;
    *out_offset_s = (int32_t)get_u32(types + TYPE_BYTES * type);
    return PIPIT_OK;
}

/* --- rules --------------------------------------------------------------------------------- */

/* When clocks change within a year, at local time. */
struct change {
    enum { JULIAN, DAY, WEEKDAY } kind;
    int day, week, month;
    int time_s;
};

static bool skip_name(pp_str *rest)
{
    size_t len = 0;

    if (rest->len && *rest->ptr == '<') {
        while (len < rest->len && rest->ptr[len] != '>')
            len++;
        len++;
    } else {
        while (len < rest->len &&
               ((rest->ptr[len] | 0x20) >= 'a' && (rest->ptr[len] | 0x20) <= 'z'))
            len++;
    }
    if (len < 3 || len > rest->len)
        return false;
    *rest = (pp_str){rest->ptr + len, rest->len - len};
    return true;
}

static bool take(pp_str *rest, char c)
{
    if (!rest->len || *rest->ptr != c)
        return false;
    *rest = (pp_str){rest->ptr + 1, rest->len - 1};
    return true;
}

static bool take_number(pp_str *rest, int max, int *out)
{
    size_t len = 0;
    uint64_t value;

    while (len < rest->len && rest->ptr[len] >= '0' && rest->ptr[len] <= '9')
        len++;
    if (!pp_str_parse_u64((pp_str){rest->ptr, len}, (uint64_t)max, &value))
        return false;
    *out = (int)value;
    *rest = (pp_str){rest->ptr + len, rest->len - len};
    return true;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(pp_str *rest, int *out_s)
{
    bool negative = take(rest, '-');
    int hours, minutes = 0, seconds = 0;

    if (!negative)
        (void)take(rest, '+');
    if (!take_number(rest, 167, &hours) || (take(rest, ':') && !take_number(rest, 59, &minutes)) ||
        (take(rest, ':') && !take_number(rest, 59, &seconds)))
        return false;
    *out_s = (negative ? -1 : 1) * (hours * 3600 + minutes * 60 + seconds);
    return true;
}

static bool take_change(pp_str *rest, struct change *out)
{
    *out = (struct change){.kind = DAY, .time_s = 7200};
    if (take(rest, 'M')) {
        out->kind = WEEKDAY;
        if (!take_number(rest, 12, &out->month) || !out->month || !take(rest, '.') ||
            !take_number(rest, 5, &out->week) || !out->week || !take(rest, '.') ||
            !take_number(rest, 6, &out->day))
            return false;
    } else {
        if (take(rest, 'J'))
            out->kind = JULIAN;
        if (!take_number(rest, 365, &out->day))
            return false;
    }
    return !take(rest, '/') || take_time(rest, &out->time_s);
}

/* Days from 1970-01-01 to that date. */
static int64_t day_of(int64_t year, int month, int day)
{
    struct tm tm = {.tm_year = (int)(year - 1900), .tm_mon = month - 1, .tm_mday = day};

    return (int64_t)timegm(&tm) / 86400;
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Seconds since the epoch at which it happens in year, as the clock shows them. */
static int64_t change_at(const struct change *change, int64_t year)
{
    int64_t day;

    if (change->kind == WEEKDAY) {
        int64_t first = day_of(year, change->month, 1);
        int64_t next =
            change->month == 12 ? day_of(year + 1, 1, 1) : day_of(year, change->month + 1, 1);

        day = first + (change->day - (first + 4) % 7 + 7) % 7 + 7 * (change->week - 1);
        while (day >= next)
            day -= 7;
    } else if (change->kind == JULIAN) { /* 1 to 365, as if there were no leap days */
        day = day_of(year, 1, 1) + change->day - 1 + (is_leap(year) && change->day > 59);
    } else {
        day = day_of(year, 1, 1) + change->day;
    }
    return day * 86400 + change->time_s;
}

pipit_err pp_time_rule_read(pp_str rule, int64_t at_s, int32_t *out_offset_s)
{
    struct change start, end;
    int standard, summer, year;
    int64_t from, until, local;
    struct tm tm;
    time_t moment;
    bool is_summer;

    if (!skip_name(&rule) || !take_time(&rule, &standard))
        return PIPIT_EINVAL;
    standard = -standard; /* the sign is that of a correction */
    if (!rule.len) {
        *out_offset_s = standard;
        return PIPIT_OK;
    }
    summer = standard + 3600;
    if (!skip_name(&rule))
        return PIPIT_EINVAL;
    if (rule.len && *rule.ptr != ',') {
        if (!take_time(&rule, &summer))
            return PIPIT_EINVAL;
        summer = -summer;
    }
    if (!take(&rule, ',') || !take_change(&rule, &start) || !take(&rule, ',') ||
        !take_change(&rule, &end) || rule.len)
        return PIPIT_EINVAL;
    local = at_s + standard;
    moment = (time_t)local;
    if (!gmtime_r(&moment, &tm))
        return PIPIT_EINVAL;
    year = tm.tm_year + 1900;
    from = change_at(&start, year) - standard;
    until = change_at(&end, year) - summer;
    is_summer = from < until ? at_s >= from && at_s < until : at_s >= from || at_s < until;
    *out_offset_s = is_summer ? summer : standard;
    return PIPIT_OK;
}

/* --- files --------------------------------------------------------------------------------- */

/* No dots, so that a name never leads out of the folder. */
static bool is_name(pp_str name)
{
    if (!name.len || name.len > NAME_MAX_BYTES || *name.ptr == '/')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') && c != '_' &&
            c != '-' && c != '+' && c != '/')
            return false;
    }
    return true;
}

static pipit_err read_file(int fd, int64_t at_s, int32_t *out_offset_s)
{
    uint8_t *file = pp_alloc(FILE_MAX);
    size_t len = 0;
    pipit_err err;

    if (!file)
        return PIPIT_ENOMEM;
    while (len < FILE_MAX) {
        ssize_t n = read(fd, file + len, FILE_MAX - len);

        if (n <= 0)
            break;
        len += (size_t)n;
    }
    err = pp_time_zone_read(file, len, at_s, out_offset_s);
    pp_free(file);
    return err;
}

pipit_err pp_time_zone_offset(pp_str name, int64_t at_s, int32_t *out_offset_s)
{
    char path[sizeof(ZONE_FOLDER) + NAME_MAX_BYTES];
    time_t moment = (time_t)at_s;
    struct tm tm;
    pipit_err err;
    int fd;

    if (!name.len || pp_str_eq(name, PP_STR("Local"))) {
        if (!localtime_r(&moment, &tm))
            return PIPIT_EINVAL;
        *out_offset_s = (int32_t)tm.tm_gmtoff;
        return PIPIT_OK;
    }
    if (pp_str_eq(name, PP_STR("UTC"))) {
        *out_offset_s = 0;
        return PIPIT_OK;
    }
    if (!is_name(name))
        return PIPIT_EINVAL;
    (void)snprintf(path, sizeof(path), ZONE_FOLDER "%.*s", PP_STR_ARGS(name));
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return PIPIT_EINVAL;
    err = read_file(fd, at_s, out_offset_s);
    (void)close(fd); /* read only, nothing to lose */
    return err;
}

bool pp_time_zone_exists(pp_str name)
{
    int32_t offset_s;

    return pp_time_zone_offset(name, 0, &offset_s) == PIPIT_OK;
}
