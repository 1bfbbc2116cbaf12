#include "base/str.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool pp_str_eq_nocase(pp_str a, pp_str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    }
    return true;
}

bool pp_str_parse_u64(pp_str digits, uint64_t max, uint64_t *out_value)
{
    uint64_t value = 0;

    if (digits.len == 0)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        unsigned digit = (unsigned)(unsigned char)digits.ptr[i] - '0';

        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > max)
        return false;
    *out_value = value;
    return true;
}

/* Split "12.5ms..." into number, fraction in billionths and what follows. */
static bool take_decimal(pp_str *text, uint64_t *out_whole, uint64_t *out_billionths)
{
    uint64_t whole = 0, billionths = 0, place = 100000000;
    size_t i = 0;

    while (i < text->len && text->ptr[i] >= '0' && text->ptr[i] <= '9') {
        if (whole > 1000000000)
            return false;
        whole = whole * 10 + (uint64_t)(text->ptr[i++] - '0');
    }
    if (i == 0)
        return false;
    if (i < text->len && text->ptr[i] == '.') {
        for (i++; i < text->len && text->ptr[i] >= '0' && text->ptr[i] <= '9'; i++) {
            billionths += place * (uint64_t)(text->ptr[i] - '0');
            place /= 10;
        }
    }
    *out_whole = whole;
    *out_billionths = billionths;
    text->ptr += i;
    text->len -= i;
    return true;
}

bool pp_str_parse_duration(pp_str text, int64_t *out_ns)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = {
        {"ns", 1},          {"us", 1000},        {"ms", 1000000},
        {"s", 1000000000u}, {"m", 60000000000u}, {"h", 3600000000000u},
    };
    uint64_t total = 0;

    if (text.len == 0)
        return false;
    while (text.len) {
        uint64_t whole, billionths, ns = 0;

        if (!take_decimal(&text, &whole, &billionths))
            return false;
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]) && !ns; i++) {
            size_t len = strlen(units[i].unit);
            bool last = text.len == len || (text.len > len && text.ptr[len] <= '9');

            if (last && memcmp(text.ptr, units[i].unit, len) == 0) {
                ns = units[i].ns;
                text.ptr += len;
                text.len -= len;
            }
        }
        if (ns == 0 || whole > (uint64_t)INT64_MAX / 2 / ns)
            return false;
        total += whole * ns + (uint64_t)((double)billionths * (double)ns / 1e9);
        if (total > (uint64_t)INT64_MAX / 2)
            return false;
    }
    *out_ns = (int64_t)total;
    return true;
}

bool pp_str_parse_size(pp_str text, uint64_t max, uint64_t *out_bytes)
{
    static const char letters[] = "KMGT";
    unsigned shift = 0;
    uint64_t value;

    if (text.len && lower(text.ptr[text.len - 1]) == 'b')
        text.len -= text.len > 2 && text.ptr[text.len - 2] == 'i' &&
                            strchr("KMGTkmgt", text.ptr[text.len - 3])
                        ? 2
                        : 1;
    for (unsigned i = 0; text.len && letters[i]; i++) {
        if (lower(text.ptr[text.len - 1]) == lower(letters[i])) {
            shift = 10 * (i + 1);
            text.len--;
            break;
        }
    }
    if (!pp_str_parse_u64(text, UINT64_MAX >> shift, &value) || value << shift > max)
        return false;
    *out_bytes = value << shift;
    return true;
}

size_t pp_u64_format(char *out, uint64_t value)
{
    char digits[20];
    size_t n = 0;

    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    return n;
}

/* The 10xxxxxx bytes that follow: are there n of them? */
static bool has_tail(pp_str text, size_t n)
{
    if (text.len <= n)
        return false;
    for (size_t i = 1; i <= n; i++) {
        if (((unsigned char)text.ptr[i] & 0xC0) != 0x80)
            return false;
    }
    return true;
}

size_t pp_str_utf8_len(pp_str text)
{
    unsigned char first = text.len ? (unsigned char)text.ptr[0] : 0xFF;
    unsigned char second = text.len > 1 ? (unsigned char)text.ptr[1] : 0;

    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        return has_tail(text, 1) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F))
            return 0;
        return has_tail(text, 2) ? 3 : 0;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        if ((first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F))
            return 0;
        return has_tail(text, 3) ? 4 : 0;
    }
    return 0;
}
