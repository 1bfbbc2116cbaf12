#include "cli/value.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    double worth;
};

static const struct unit counts[] = {{"", 1}, {"k", 1e3}, {"m", 1e6}, {"g", 1e9}, {NULL, 0}};
static const struct unit sizes[] = {
    {"", 1},           {"b", 1},           {"k", 1024},         {"kb", 1024},
    {"kib", 1024},     {"m", 1048576},     {"mb", 1048576},     {"mib", 1048576},
    {"g", 1073741824}, {"gb", 1073741824}, {"gib", 1073741824}, {NULL, 0},
};
static const struct unit times[] = {
    {"ns", 1},   {"us", 1e3},   {"\xc2\xb5s", 1e3}, {"ms", 1e6},     {"s", 1e9},
    {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9},     {"w", 604800e9}, {NULL, 0},
};

/* A number in plain digits: no sign, no exponent, no "inf". */
static bool take_number(const char **text, double *out)
{
    const char *from = *text;
    size_t digits = strspn(from, "0123456789"), all = digits;
    char *end;

    if (from[digits] == '.') {
        all += 1 + strspn(from + digits + 1, "0123456789");
        digits = all - 1;
    }
    if (!digits || all > 24)
        return false;
    *out = strtod(from, &end);
    *text = from + all;
    return end == *text;
}

static const struct unit *find_unit(const struct unit *units, const char *name, size_t len)
{
    for (; units->name; units++) {
        if (strlen(units->name) == len && strncasecmp(units->name, name, len) == 0)
            return units;
    }
    return NULL;
}

static bool whole(double value, int64_t *out)
{
    if (value < 0 || value > 9e18 || value != floor(value))
        return false;
    *out = (int64_t)value;
    return true;
}

static bool parse(const char *text, const struct unit *units, int64_t *out)
{
    const struct unit *unit;
    char *end;
    double value;

    /* Digits alone keep every bit of theirs. */
    if (*text && !text[strspn(text, "0123456789")]) {
        errno = 0;
        *out = strtoll(text, &end, 10);
        return !errno;
    }
    if (!take_number(&text, &value))
        return false;
    unit = find_unit(units, text, strlen(text));
    return unit && whole(value * unit->worth, out);
}

bool cli_count_parse(const char *text, int64_t *out)
{
    return parse(text, counts, out);
}

bool cli_size_parse(const char *text, int64_t *out)
{
    return parse(text, sizes, out);
}

bool cli_duration_parse(const char *text, int64_t *out)
{
    double sum = 0, value;

    if (strcmp(text, "0") == 0) {
        *out = 0;
        return true;
    }
    if (!*text)
        return false;
    while (*text) {
        const struct unit *unit;
        size_t len;

        if (!take_number(&text, &value))
            return false;
        len = strcspn(text, "0123456789.");
        unit = find_unit(times, text, len);
        if (!unit)
            return false;
        sum += value * unit->worth;
        text += len;
    }
    return whole(round(sum), out);
}

bool cli_real_parse(const char *text, double *out)
{
    const struct unit *unit;

    if (!take_number(&text, out))
        return false;
    unit = find_unit(counts, text, strlen(text));
    if (unit)
        *out *= unit->worth;
    return unit != NULL;
}

void cli_count_format(uint64_t value, char out[CLI_VALUE_BYTES])
{
    char digits[24];
    size_t len, at = 0;

    (void)snprintf(digits, sizeof(digits), "%" PRIu64, value);
    len = strlen(digits);
    for (size_t i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
}

void cli_size_format(double bytes, char out[CLI_VALUE_BYTES])
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t i = 0;

    while (bytes >= 1024 && i + 1 < sizeof(names) / sizeof(names[0])) {
        bytes /= 1024;
        i++;
    }
    (void)snprintf(out, CLI_VALUE_BYTES, i ? "%.1f %s" : "%.0f %s", bytes, names[i]);
}

void cli_duration_format(int64_t ns, char out[CLI_VALUE_BYTES])
{
    double value = (double)ns;

    if (ns < 1000)
        (void)snprintf(out, CLI_VALUE_BYTES, "%" PRId64 " ns", ns);
    else if (ns < 1000000)
        (void)snprintf(out, CLI_VALUE_BYTES, "%.1f us", value / 1e3);
    else if (ns < 1000000000)
        (void)snprintf(out, CLI_VALUE_BYTES, "%.2f ms", value / 1e6);
    else if (ns < 60 * INT64_C(1000000000))
        (void)snprintf(out, CLI_VALUE_BYTES, "%.2f s", value / 1e9);
    else
        (void)snprintf(out, CLI_VALUE_BYTES, "%" PRId64 "m%02" PRId64 "s", ns / 60000000000,
                       ns / 1000000000 % 60);
}
