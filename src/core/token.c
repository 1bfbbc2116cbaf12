#include "core/token.h"

static const char digits[] = "0123456789ABCDEF";

static bool stands_for_itself(unsigned char c)
{
    return c > ' ' && c < 0x7f && c != '.' && c != '*' && c != '>' && c != '%';
}

size_t pp_token_escape(pp_str text, char *out)
{
    char *at = out;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (stands_for_itself(c)) {
            *at++ = (char)c;
        } else {
            *at++ = '%';
            *at++ = digits[c >> 4];
            *at++ = digits[c & 15];
        }
    }
    return (size_t)(at - out);
}

static int digit_of(char c)
{
    const char *found = c ? strchr(digits, c) : NULL;

    return found ? (int)(found - digits) : -1;
}

bool pp_token_unescape(pp_str token, char *out, size_t *out_len)
{
    size_t len = 0;

    for (size_t i = 0; i < token.len; i++) {
        unsigned char c = (unsigned char)token.ptr[i];

        if (c == '%') {
            int high, low;

            if (token.len - i < 3)
                return false;
            high = digit_of(token.ptr[i + 1]);
            low = digit_of(token.ptr[i + 2]);
            if (high < 0 || low < 0)
                return false;
            c = (unsigned char)(high << 4 | low);
            if (stands_for_itself(c))
                return false;
            i += 2;
        } else if (!stands_for_itself(c)) {
            return false;
        }
        out[len++] = (char)c;
    }
    *out_len = len;
    return token.len != 0;
}
