#include "config/duration.h"

#include <inttypes.h>
#include <stdio.h>

static const struct unit {
    const char *name;
    uint64_t ns;
} units[] = {
    {"ns", 1},       {"us", 1000},       {"\xC2\xB5s", 1000}, {"\xCE\xBCs", 1000},
    {"ms", 1000000}, {"s", 1000000000u}, {"m", 60000000000u}, {"h", 3600000000000u},
};

static bool is_digit(pp_str text)
{
    return text.len && text.ptr[0] >= '0' && text.ptr[0] <= '9';
}

static char take(pp_str *text)
{
    text->len--;
    return *text->ptr++;
}

/* "12.5" as 12 and as 5 of a scale of 10; digits behind the 15th make no difference. */
static bool take_number(pp_str *text, uint64_t *out_whole, uint64_t *out_part, uint64_t *out_scale)
{
    uint64_t whole = 0, part = 0, scale = 1;
    bool any = false;

    for (; is_digit(*text); any = true) {
        if (whole > (uint64_t)INT64_MAX / 10)
            return false;
        whole = whole * 10 + (uint64_t)(take(text) - '0');
    }
    if (text->len && text->ptr[0] == '.') {
        (void)take(text);
        for (; is_digit(*text); any = true) {
            uint64_t digit = (uint64_t)(take(text) - '0');

            if (scale < 1000000000000000u) {
                part = part * 10 + digit;
                scale *= 10;
            }
        }
    }
    *out_whole = whole;
    *out_part = part;
    *out_scale = scale;
    return any;
}

/* A unit is all that comes before the next number. */
static const struct unit *take_unit(pp_str *text)
{
    size_t len = 0;

    while (len < text->len && text->ptr[len] != '.' &&
           (text->ptr[len] < '0' || text->ptr[len] > '9'))
        len++;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (pp_str_eq(pp_str_of(units[i].name), (pp_str){text->ptr, len})) {
            text->ptr += len;
            text->len -= len;
            return &units[i];
        }
    }
    return NULL;
}

bool pp_duration_parse(pp_str text, int64_t *out_ns)
{
    uint64_t total = 0;
    bool minus = text.len && text.ptr[0] == '-';

    if (minus || (text.len && text.ptr[0] == '+'))
        (void)take(&text);
    if (pp_str_eq(text, PP_STR("0"))) {
        *out_ns = 0;
        return true;
    }
    if (!text.len)
        return false;
    while (text.len) {
        uint64_t whole, part, scale, ns;
        const struct unit *unit;

        if (!take_number(&text, &whole, &part, &scale))
            return false;
        unit = take_unit(&text);
        if (!unit || whole > (uint64_t)INT64_MAX / unit->ns)
            return false;
        ns = whole * unit->ns + (uint64_t)((double)part * ((double)unit->ns / (double)scale));
        if (ns > (uint64_t)INT64_MAX - total)
            return false;
        total += ns;
    }
    *out_ns = minus ? -(int64_t)total : (int64_t)total;
    return true;
}

/* "1.5" of a unit: the fraction without its last zeros. room: bytes of out, enough for any. */
static void format_unit(char *out, size_t room, const char *sign, uint64_t ns, uint64_t unit_ns,
                        const char *name)
{
    uint64_t part = ns % unit_ns, scale = unit_ns / 10;
    size_t len = (size_t)snprintf(out, room, "%s%" PRIu64, sign, ns / unit_ns);

    if (part)
        out[len++] = '.';
    for (; part; scale /= 10) {
        out[len++] = (char)('0' + part / scale);
        part %= scale;
    }
    (void)snprintf(out + len, room - len, "%s", name);
}

const char *pp_duration_format(char out[PP_DURATION_TEXT_BYTES], int64_t ns)
{
    const uint64_t second = 1000000000, minute = 60 * second, hour = 60 * minute;
    const char *sign = ns < 0 ? "-" : "";
    uint64_t left = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    size_t len = 0;

    if (left && left < second) {
        uint64_t unit = left < 1000 ? 1 : left < 1000000 ? 1000 : 1000000;

        format_unit(out, PP_DURATION_TEXT_BYTES, sign, left, unit,
                    unit == 1      ? "ns"
                    : unit == 1000 ? "\xC2\xB5s"
                                   : "ms");
        return out;
    }
    if (left >= hour)
        len = (size_t)snprintf(out, PP_DURATION_TEXT_BYTES, "%s%" PRIu64 "h", sign, left / hour);
    if (left >= minute)
        len += (size_t)snprintf(out + len, PP_DURATION_TEXT_BYTES - len, "%s%" PRIu64 "m",
                                len ? "" : sign, left % hour / minute);
    format_unit(out + len, PP_DURATION_TEXT_BYTES - len, len ? "" : sign, left % minute, second,
                "s"); /* the longest is -2562047h47m16.854775808s */
    return out;
}
