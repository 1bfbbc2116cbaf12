#include "cli/escape.h"

#include "cli/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { PIECE_BYTES = 16 };

/* How many bytes the character at text takes; 0: what is there is no UTF-8. */
static size_t decode(const unsigned char *text, size_t bytes, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = text[0] < 0x80 ? 1 : text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    uint32_t c = len == 1 ? text[0] : text[0] & (0x7fU >> len);

    if ((len > 1 && text[0] < 0xc2) || text[0] > 0xf4 || len > bytes)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (text[i] & 0x3fU);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    *out = c;
    return len;
}

/* Marks without a shape that change how what is beside them is shown, or hide. */
static bool is_mark(uint32_t c)
{
    return (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
           c == 0x61c || c == 0xad || (c >= 0xe0000 && c <= 0xe0fff);
}

/* One character of the text: what to show for it, how many columns that fills. Returns how many
 * bytes it takes. */
static size_t next_piece(const unsigned char *text, size_t bytes, char out[PIECE_BYTES],
                         size_t *out_columns)
{
    uint32_t c = 0;
    size_t len = decode(text, bytes, &c);
    int width = len ? wcwidth((wchar_t)c) : -1;

    if (len && width >= 0 && c >= ' ' && !is_mark(c)) {
        memcpy(out, text, len);
        out[len] = '\0';
        *out_columns = (size_t)width;
        return len;
    }
    if (len && c == '\n')
        (void)strcpy(out, "\\n");
    else if (len && c == '\r')
        (void)strcpy(out, "\\r");
    else if (len && c == '\t')
        (void)strcpy(out, "\\t");
    else if (len > 1)
        (void)snprintf(out, PIECE_BYTES, "\\u{%x}", (unsigned)c);
    else
        (void)snprintf(out, PIECE_BYTES, "\\x%02x", text[0]);
    *out_columns = strlen(out);
    return len ? len : 1;
}

size_t cli_columns(const char *text)
{
    size_t bytes = strlen(text), columns = 0;

    while (bytes) {
        char piece[PIECE_BYTES];
        size_t width, used = next_piece((const unsigned char *)text, bytes, piece, &width);

        columns += width;
        text += used;
        bytes -= used;
    }
    return columns;
}

char *cli_escape(const void *text, size_t bytes, size_t columns_max)
{
    const unsigned char *at = text;
    char *out = cli_alloc(bytes * 8 + 8);  /* \u{..} is the longest: 10 bytes for 4, \x.. 4 for 1 */
    size_t len = 0, columns = 0, fits = 0; /* fits: what stays if "..." must follow */

    while (bytes) {
        char piece[PIECE_BYTES];
        size_t width, used = next_piece(at, bytes, piece, &width);

        if (columns_max && columns + width > columns_max) {
            (void)strcpy(out + fits, "...");
            return out;
        }
        (void)strcpy(out + len, piece);
        len += strlen(piece);
        columns += width;
        if (columns + 3 <= columns_max)
            fits = len;
        at += used;
        bytes -= used;
    }
    return out;
}

void cli_escape_write(FILE *out, const void *text, size_t bytes, bool lines)
{
    const unsigned char *at = text;

    while (bytes) {
        char piece[PIECE_BYTES];
        size_t columns, used;

        if (lines && (*at == '\n' || *at == '\t')) {
            (void)putc(*at, out);
            used = 1;
        } else {
            used = next_piece(at, bytes, piece, &columns);
            (void)fputs(piece, out);
        }
        at += used;
        bytes -= used;
    }
}

bool cli_is_text(const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    uint32_t c;

    while (count) {
        size_t used = decode(at, count, &c);

        if (!used)
            return false;
        at += used;
        count -= used;
    }
    return true;
}
