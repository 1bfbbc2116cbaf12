#include "config/number.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Longer texts are cut: no two doubles lie so near that later digits could tell them apart, and
 * with as many before the point it is refused. */
enum { REAL_DIGITS_MAX = 800, SIGNIFICANT_MAX = 17 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool find_suffix(pp_str suffix, uint64_t *out_factor)
{
    static const char letters[] = "kmgtpe";
    uint64_t power;
    unsigned steps = 0;
    pp_str more;

    *out_factor = 1;
    if (suffix.len == 0)
        return true;
    while (letters[steps] && letters[steps] != (suffix.ptr[0] | 0x20))
        steps++;
    if (!letters[steps])
        return false;
    more = (pp_str){suffix.ptr + 1, suffix.len - 1};
    if (more.len == 0)
        power = 1000;
    else if (pp_str_eq_nocase(more, PP_STR("b")) || pp_str_eq_nocase(more, PP_STR("i")) ||
             pp_str_eq_nocase(more, PP_STR("ib")))
        power = 1024;
    else
        return false;
    for (unsigned i = 0; i <= steps; i++)
        *out_factor *= power;
    return true;
}

pipit_err pp_integer_parse(pp_str text, int64_t *out)
{
    bool negative = text.len > 0 && text.ptr[0] == '-';
    uint64_t limit = (uint64_t)INT64_MAX + negative;
    uint64_t value = 0, factor;
    size_t i = negative;

    if (i == text.len || !is_digit(text.ptr[i]))
        return PIPIT_EINVAL;
    for (; i < text.len && is_digit(text.ptr[i]); i++) {
        uint64_t digit = (uint64_t)(text.ptr[i] - '0');

        if (value > (limit - digit) / 10)
            return PIPIT_ETOOBIG;
        value = value * 10 + digit;
    }
    if (!find_suffix((pp_str){text.ptr + i, text.len - i}, &factor))
        return PIPIT_EINVAL;
    if (value > limit / factor)
        return PIPIT_ETOOBIG;
    value *= factor;
    *out = (int64_t)(negative ? 0 - value : value);
    return PIPIT_OK;
}

/* strtod by the rules of the "C" locale, whatever locale the embedding program has set. glibc
 * keeps this locale ready; making it allocates nothing. */
static double c_strtod(const char *text)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    double real = strtod_l(text, NULL, c);

    freelocale(c);
    return real;
}

pipit_err pp_real_parse(pp_str text, double *out)
{
    char copy[REAL_DIGITS_MAX + 1];
    const char *point = memchr(text.ptr, '.', text.len);
    size_t len = text.len;
    double real;

    if (!point)
        return PIPIT_EINVAL;
    if ((size_t)(point - text.ptr) >= REAL_DIGITS_MAX)
        return PIPIT_ETOOBIG;
    if (len > REAL_DIGITS_MAX)
        len = REAL_DIGITS_MAX;
    memcpy(copy, text.ptr, len);
    copy[len] = '\0';
    real = c_strtod(copy);
    explicit_bzero(copy, sizeof(copy));
    if (!isfinite(real))
        return PIPIT_ETOOBIG;
    *out = real;
    return PIPIT_OK;
}

/* A decimal number: 0.DIGITS times ten to the power of exponent. */
struct decimal {
    char digits[SIGNIFICANT_MAX + 1];
    size_t count;
    int exponent;
};

static double read_decimal(const struct decimal *d)
{
    char text[SIGNIFICANT_MAX + 16];

    (void)snprintf(text, sizeof(text), "0.%.*se%d", (int)d->count, d->digits, d->exponent);
    return c_strtod(text);
}

/* Round a finite number above 0 to some digits. */
static struct decimal round_to(double real, size_t count)
{
    struct decimal d = {.count = 0};
    char text[48];
    const char *exponent;

    (void)snprintf(text, sizeof(text), "%.*e", (int)count - 1, real);
    exponent = strchr(text, 'e');
    for (const char *at = text; at < exponent; at++) {
        if (is_digit(*at)) /* not the point, which a locale may write otherwise */
            d.digits[d.count++] = *at;
    }
    d.exponent = atoi(exponent + 1) + 1;
    return d;
}

/* The next greater number of as many digits. */
static struct decimal next_up(struct decimal d)
{
    size_t i = d.count;

    while (i > 0 && d.digits[i - 1] == '9')
        d.digits[--i] = '0';
    if (i > 0) {
        d.digits[i - 1]++;
    } else {
        d.digits[0] = '1';
        d.exponent++;
    }
    return d;
}

/* Above a power of two doubles are twice as far apart as below, so that the shortest number that
 * reads back may be the upper neighbour of the nearest one. */
static struct decimal shortest(double real)
{
    struct decimal d = {.count = 0};

    for (size_t count = 1; count <= SIGNIFICANT_MAX; count++) {
        struct decimal up;

        d = round_to(real, count);
        if (read_decimal(&d) == real)
            break;
        up = next_up(d);
        if (read_decimal(&up) == real) {
            d = up;
            break;
        }
    }
    while (d.count > 1 && d.digits[d.count - 1] == '0')
        d.count--;
    return d;
}

static size_t format_exponent(const struct decimal *d, char *out)
{
    int len = snprintf(out, PP_REAL_TEXT_MAX - 1, "%c%s%.*se%c%d", d->digits[0],
                       d->count > 1 ? "." : "", (int)d->count - 1, d->digits + 1,
                       d->exponent - 1 < 0 ? '-' : '+', abs(d->exponent - 1));

    return (size_t)len;
}

static size_t format_plain(const struct decimal *d, char *out)
{
    size_t len = 0;

    if (d->exponent <= 0) {
        out[len++] = '0';
        out[len++] = '.';
        for (int i = d->exponent; i < 0; i++)
            out[len++] = '0';
    }
    for (size_t i = 0; i < d->count; i++) {
        if (d->exponent > 0 && i == (size_t)d->exponent)
            out[len++] = '.';
        out[len++] = d->digits[i];
    }
    for (int i = (int)d->count; i < d->exponent; i++)
        out[len++] = '0';
    return len;
}

size_t pp_real_format(double real, char out[PP_REAL_TEXT_MAX])
{
    size_t len = 0;
    struct decimal d;

    if (signbit(real)) {
        out[len++] = '-';
        real = -real;
    }
    if (real == 0) {
        out[len++] = '0';
        return len;
    }
    d = shortest(real);
    if (real < 1e-6 || real >= 1e21)
        return len + format_exponent(&d, out + len);
    return len + format_plain(&d, out + len);
}

static int two_digits(const char *at)
{
    return 10 * (at[0] - '0') + at[1] - '0';
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar. Years are counted from March, so that
 * the leap day comes last; 400 of them have 146097 days. */
static int64_t days_since_epoch(int year, int month, int day)
{
    int64_t y = year - (month <= 2) + 400; /* never negative */
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return y * 365 + y / 4 - y / 100 + y / 400 + of_year - 719468 - 146097;
}

pipit_err pp_date_parse(pp_str text, int64_t *out_s)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    static const char form[] = "0000-00-00T00:00:00Z";
    int year, month, day, hour, minute, second, last;

    if (text.len != sizeof(form) - 1)
        return PIPIT_EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        if (form[i] == '0' ? !is_digit(text.ptr[i]) : text.ptr[i] != form[i])
            return PIPIT_EINVAL;
    }
    year = 100 * two_digits(text.ptr) + two_digits(text.ptr + 2);
    month = two_digits(text.ptr + 5);
    day = two_digits(text.ptr + 8);
    hour = two_digits(text.ptr + 11);
    minute = two_digits(text.ptr + 14);
    second = two_digits(text.ptr + 17);
    if (month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59)
        return PIPIT_EINVAL;
    last = month_days[month - 1] + (month == 2 && is_leap(year));
    if (day < 1 || day > last)
        return PIPIT_EINVAL;
    *out_s = days_since_epoch(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return PIPIT_OK;
}
