#include "cli/t2_value.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NUMBER_TEXT_MAX = 64,
    HALF = 0xf9, /* first bytes of floats */
    SINGLE = 0xfa,
    DOUBLE = 0xfb,
    TEXT = 0x60,
    ONE_BYTE = 24, /* what follows the first byte of a text */
    FOUR_BYTES = 26,
};

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

bool cli_t2_is_number(const char *text)
{
    char *end;

    (void)strtof(text, &end);
    return *text && *text != ' ' && !*end && !strchr(text, 'x') && !strchr(text, 'X');
}

/* --- numbers ------------------------------------------------------------------------------ */

static double half_value(unsigned bits)
{
    int exponent = (int)(bits >> 10 & 31);
    double fraction = bits & 1023;
    double value = exponent == 0    ? ldexp(fraction, -24)
                   : exponent == 31 ? (fraction != 0 ? (double)NAN : (double)INFINITY)
                                    : ldexp(fraction + 1024, exponent - 25);

    return bits & 0x8000 ? -value : value;
}

/* The half of a number, if there is one. */
static bool to_half(float value, unsigned *out_bits)
{
    for (unsigned bits = 0; bits < 0x10000; bits++) { /* once for each message that is typed */
        double half = half_value(bits);

        if (half == (double)value && !signbit(half) == !signbit(value)) {
            *out_bits = bits;
            return true;
        }
    }
    *out_bits = 0x7e00;
    return isnan(value);
}

static void *encode_number(float value, size_t *out_bytes)
{
    unsigned char *out = malloc(5);
    uint32_t bits;
    unsigned half;

    if (!out)
        return NULL;
    if (to_half(value, &half)) {
        out[0] = HALF;
        out[1] = (unsigned char)(half >> 8);
        out[2] = (unsigned char)half;
        *out_bytes = 3;
        return out;
    }
    memcpy(&bits, &value, sizeof(bits));
    out[0] = SINGLE;
    for (int i = 0; i < 4; i++)
        out[1 + i] = (unsigned char)(bits >> (24 - 8 * i));
    *out_bytes = 5;
    return out;
}

static bool decode_number(const unsigned char *in, size_t bytes, float *out)
{
    uint64_t bits = 0;
    uint32_t word;
    double wide;

    if (!bytes)
        return false;
    for (size_t i = 1; i < bytes && i < 9; i++)
        bits = bits << 8 | in[i];
    word = (uint32_t)bits;
    if (in[0] == HALF && bytes >= 3) {
        *out = (float)half_value((unsigned)in[1] << 8 | in[2]);
    } else if (in[0] == SINGLE && bytes >= 5) {
        memcpy(out, &word, sizeof(word));
    } else if (in[0] == DOUBLE && bytes >= 9) {
        memcpy(&wide, &bits, sizeof(bits));
        *out = (float)wide;
    } else {
        return false;
    }
    return true;
}

/* The fewest digits that mean this number, without an exponent. */
static char *show_number(float value)
{
    char digits[32], *exponent_at, *shown;
    int exponent, count = 0;
    size_t len = 0;

    if (isnan(value))
        return strdup("NaN");
    if (isinf(value))
        return strdup(value < 0 ? "-inf" : "inf");
    for (int precision = 0; precision < 9; precision++) {
        (void)snprintf(digits, sizeof(digits), "%.*e", precision, (double)value);
        if (strtof(digits, NULL) == value)
            break;
    }
    exponent_at = strchr(digits, 'e');
    exponent = atoi(exponent_at + 1);
    shown = malloc(NUMBER_TEXT_MAX + 64);
    if (!shown)
        return NULL;
    if (signbit(value))
        shown[len++] = '-';
    for (const char *at = digits; at < exponent_at; at++) { /* digits alone */
        if (*at >= '0' && *at <= '9')
            digits[count++] = *at;
    }
    while (count > 1 && digits[count - 1] == '0')
        count--;
    if (exponent < 0) {
        shown[len++] = '0';
        shown[len++] = '.';
        for (int i = -1; i > exponent; i--)
            shown[len++] = '0';
        exponent = -1;
    }
    for (int i = 0; i < count || i <= exponent; i++) {
        if (i == exponent + 1 && exponent >= 0)
            shown[len++] = '.';
        shown[len++] = i < count ? digits[i] : '0';
    }
    shown[len] = '\0';
    return shown;
}

/* --- texts -------------------------------------------------------------------------------- */

static void *encode_text(const char *text, size_t *out_bytes)
{
    size_t len = strlen(text), at = 0;
    unsigned char *out = malloc(len + 5);

    if (!out)
        return NULL;
    if (len < ONE_BYTE) {
        out[at++] = (unsigned char)(TEXT | len);
    } else if (len < 256) {
        out[at++] = TEXT | ONE_BYTE;
        out[at++] = (unsigned char)len;
    } else {
        size_t width = len < 65536 ? 2 : 4; /* what is typed is no longer */

        out[at++] = (unsigned char)(TEXT | (width == 2 ? FOUR_BYTES - 1 : FOUR_BYTES));
        for (size_t i = width; i--;)
            out[at++] = (unsigned char)(len >> (8 * i));
    }
    memcpy(out + at, text, len);
    *out_bytes = at + len;
    return out;
}

static char *show_text(const unsigned char *in, size_t bytes)
{
    size_t len, width = 0;

    if (!bytes || (in[0] & 0xe0) != TEXT || (in[0] & 0x1f) > FOUR_BYTES)
        return NULL;
    len = in[0] & 0x1f;
    if (len >= ONE_BYTE) {
        width = (size_t)1 << (len - ONE_BYTE);
        if (bytes < 1 + width)
            return NULL;
        len = 0;
        for (size_t i = 0; i < width; i++)
            len = len << 8 | in[1 + i];
    }
    if (len > bytes - 1 - width)
        return NULL;
    return strndup((const char *)in + 1 + width, len);
}

static char *show_hex(const unsigned char *in, size_t bytes)
{
    char *out = malloc(2 * bytes + 3);

    if (!out)
        return NULL;
    memcpy(out, "0x", 3);
    for (size_t i = 0; i < bytes; i++)
        (void)snprintf(out + 2 + 2 * i, 3, "%02x", in[i]);
    return out;
}

/* --- either ------------------------------------------------------------------------------- */

void *cli_t2_value_encode(const char *topic, const char *value, size_t *out_bytes)
{
    return starts(topic, "f32/") ? encode_number(strtof(value, NULL), out_bytes)
                                 : encode_text(value, out_bytes);
}

char *cli_t2_value_show(const char *topic, const void *payload, size_t bytes)
{
    float number;

    if (starts(topic, "f32/"))
        return decode_number(payload, bytes, &number) ? show_number(number) : NULL;
    if (starts(topic, "string/"))
        return show_text(payload, bytes);
    return show_hex(payload, bytes);
}
