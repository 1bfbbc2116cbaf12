/* A value that begins with a digit may turn out to be a number, a size, a date, an address or any
 * text: the reader goes on as a number as long as it can and falls back to text.
 *
 * Source: nats-server 2.15, observed. Where it surprises: a quote ends a bare text and is dropped;
 * the first byte that makes a number a text is part of it whatever it is. It also takes the ']'
 * right behind a number into a text, and thereby never finds the end of the array; here ']' ends
 * the number. */
#include "config/scalar.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static char peek_at(const pp_lexer *lexer, const char *at)
{
    return at < lexer->end ? *at : PP_LEXER_END;
}

/* Check the escape whose backslash is at *at, and pass it. */
static pipit_err pass_escape(pp_lexer *lexer, const char **at)
{
    const char *from = *at;

    switch (peek_at(lexer, from + 1)) {
    case 't':
    case 'n':
    case 'r':
    case '"':
    case '\\':
        *at = from + 2;
        return PIPIT_OK;
    case 'x':
        if (lexer->end - from < 4 || !is_hex(from[2]) || !is_hex(from[3]))
            return pp_lexer_fail(lexer, from, "Expected two hexadecimal digits after '\\x'");
        *at = from + 4;
        return PIPIT_OK;
    default:
        return pp_lexer_fail(lexer, from,
                             "Invalid escape character %s. Only the following escape characters "
                             "are allowed: \\xXX, \\t, \\n, \\r, \\\", \\\\.",
                             pp_lexer_show(lexer, from + 1).text);
    }
}

static bool is_bool(pp_str text)
{
    static const pp_str words[] = {PP_STR("true"), PP_STR("false"), PP_STR("yes"),
                                   PP_STR("no"),   PP_STR("on"),    PP_STR("off")};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (pp_str_eq_nocase(text, words[i]))
            return true;
    }
    return false;
}

static bool ends_bare_text(char c)
{
    return pp_lexer_is_newline(c) || pp_lexer_is_blank(c) || c == PP_LEXER_END || c == ';' ||
           c == ',' || c == ']' || c == '}' || c == '\'';
}

/* Read a text without quotes that began at the cursor and was found to go on up to rest. */
static pipit_err read_bare_text(pp_lexer *lexer, const char *rest, pp_scalar *out)
{
    const char *from = lexer->at;
    pp_scalar scalar = {.kind = PP_SCALAR_STRING, .plain = (size_t)(rest - from)};

    while (!ends_bare_text(peek_at(lexer, rest))) {
        if (*rest != '\\') {
            rest++;
            continue;
        }
        pipit_err err = pass_escape(lexer, &rest);

        if (err)
            return err;
        scalar.escaped = true;
    }
    scalar.text = (pp_str){from, (size_t)(rest - from)};
    lexer->at = rest;
    if (pp_lexer_peek(lexer) == '\'') {
        lexer->at++;
    } else if (!scalar.escaped && is_bool(scalar.text)) {
        scalar.kind = PP_SCALAR_BOOL;
    } else if (!scalar.escaped && scalar.text.len && *from == '$') {
        scalar.kind = PP_SCALAR_VARIABLE;
        scalar.text = (pp_str){from + 1, scalar.text.len - 1};
    }
    *out = scalar;
    return PIPIT_OK;
}

static pipit_err read_single_quoted(pp_lexer *lexer, pp_scalar *out)
{
    const char *from = lexer->at + 1;
    const char *close = memchr(from, '\'', (size_t)(lexer->end - from));

    if (!close)
        return pp_lexer_fail(lexer, lexer->at,
                             "Unexpected EOF: the string that begins here is not closed");
    *out = (pp_scalar){.kind = PP_SCALAR_STRING, .text = {from, (size_t)(close - from)}};
    lexer->at = close + 1;
    return PIPIT_OK;
}

static pipit_err read_double_quoted(pp_lexer *lexer, pp_scalar *out)
{
    const char *from = lexer->at + 1;
    const char *at = from;
    bool escaped = false;

    while (at < lexer->end && *at != '"') {
        if (*at != '\\') {
            at++;
            continue;
        }
        pipit_err err = pass_escape(lexer, &at);

        if (err)
            return err;
        escaped = true;
    }
    if (at == lexer->end)
        return pp_lexer_fail(lexer, lexer->at,
                             "Unexpected EOF: the string that begins here is not closed");
    *out = (pp_scalar){PP_SCALAR_STRING, escaped, {from, (size_t)(at - from)}, 0};
    lexer->at = at + 1;
    return PIPIT_OK;
}

/* A block ends at a ')' that begins a line and ends it. */
static pipit_err read_block(pp_lexer *lexer, pp_scalar *out)
{
    const char *from = lexer->at + 1;
    const char *at = from;

    while ((at = memchr(at, ')', (size_t)(lexer->end - at)))) {
        char next = peek_at(lexer, at + 1);

        if (at[-1] == '\n' && (next == '\n' || next == PP_LEXER_END)) {
            *out = (pp_scalar){.kind = PP_SCALAR_STRING, .text = {from, (size_t)(at - from)}};
            lexer->at = at + 1;
            return PIPIT_OK;
        }
        at++;
    }
    return pp_lexer_fail(lexer, lexer->at,
                         "Unexpected EOF processing block: no line that holds nothing but ')' "
                         "closes the block that begins here");
}

/* Read "YYYY-MM-DDTHH:MM:SSZ"; whether there is such a day is seen later. */
static pipit_err read_date(pp_lexer *lexer, pp_scalar *out)
{
    static const char form[] = "0000-00-00T00:00:00Z";
    const char *from = lexer->at;

    for (size_t i = 0; form[i]; i++) {
        const char *at = from + i;
        char c = peek_at(lexer, at);

        if (form[i] == '0' && !is_digit(c))
            return pp_lexer_fail(lexer, at,
                                 "Expected digit in ISO8601 datetime, but found %s instead.",
                                 pp_lexer_show(lexer, at).text);
        if (form[i] != '0' && c != form[i])
            return pp_lexer_fail(lexer, at,
                                 "Expected '%c' in ISO8601 datetime, but found %s instead.",
                                 form[i], pp_lexer_show(lexer, at).text);
    }
    *out = (pp_scalar){.kind = PP_SCALAR_DATE, .text = {from, sizeof(form) - 1}};
    lexer->at = from + sizeof(form) - 1;
    return PIPIT_OK;
}

/* Read a float whose point is at at; with a second point it was an address. */
static pipit_err read_float(pp_lexer *lexer, const char *at, pp_scalar *out)
{
    const char *from = lexer->at;
    pp_scalar_kind kind = PP_SCALAR_FLOAT;

    at++;
    if (!is_digit(peek_at(lexer, at)))
        return pp_lexer_fail(lexer, at,
                             "Floats must have a digit after the '.', but got %s instead.",
                             pp_lexer_show(lexer, at).text);
    while (is_digit(peek_at(lexer, at)))
        at++;
    if (peek_at(lexer, at) == '.') {
        kind = PP_SCALAR_STRING;
        while (is_digit(peek_at(lexer, at)) || peek_at(lexer, at) == '.' ||
               peek_at(lexer, at) == ':' || peek_at(lexer, at) == '-')
            at++;
    }
    *out = (pp_scalar){.kind = kind, .text = {from, (size_t)(at - from)}};
    lexer->at = at;
    return PIPIT_OK;
}

static bool ends_number(char c, bool in_array)
{
    return pp_lexer_is_newline(c) || pp_lexer_is_blank(c) || c == PP_LEXER_END || c == ';' ||
           c == ',' || c == '}' || (in_array && c == ']');
}

static pipit_err read_number(pp_lexer *lexer, bool in_array, pp_scalar *out)
{
    const char *from = lexer->at;
    bool negative = *from == '-';
    const char *at = from + negative;
    char c = peek_at(lexer, at);

    if (!is_digit(c))
        return c == '.' ? pp_lexer_fail(lexer, at, "Floats must start with a digit, not '.'.")
                        : pp_lexer_fail(lexer, at, "Expected a digit but got %s.",
                                        pp_lexer_show(lexer, at).text);
    while (is_digit(peek_at(lexer, at)))
        at++;
    c = peek_at(lexer, at);
    if (c == '.')
        return read_float(lexer, at, out);
    if (c == '-' && !negative)
        return at - from == 4
                   ? read_date(lexer, out)
                   : pp_lexer_fail(lexer, from, "All ISO8601 dates must be in full Zulu form.");
    if (c != PP_LEXER_END && strchr("kKmMgGtTpPeE", c)) {
        at++;
        while ((c = peek_at(lexer, at)) != PP_LEXER_END && strchr("bBiI", c))
            at++;
        if (!ends_number(c, in_array))
            return read_bare_text(lexer, at, out);
    } else if (!negative && !ends_number(c, in_array)) {
        return read_bare_text(lexer, at + 1, out);
    }
    *out = (pp_scalar){.kind = PP_SCALAR_INT, .text = {from, (size_t)(at - from)}};
    lexer->at = at;
    return PIPIT_OK;
}

pipit_err pp_scalar_read(pp_lexer *lexer, bool in_array, pp_scalar *out)
{
    char c = pp_lexer_peek(lexer);

    switch (c) {
    case '\'':
        return read_single_quoted(lexer, out);
    case '"':
        return read_double_quoted(lexer, out);
    case '(':
        return read_block(lexer, out);
    case '.':
        return pp_lexer_fail(lexer, lexer->at, "Floats must start with a digit");
    case '\n':
    case '\r':
        return pp_lexer_fail(lexer, lexer->at, "Expected value but found new line");
    default:
        if (c == '-' || is_digit(c))
            return read_number(lexer, in_array, out);
        return read_bare_text(lexer, lexer->at, out);
    }
}

static unsigned hex_value(char c)
{
    return (unsigned)(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
}

size_t pp_scalar_unescape(pp_str text, char *out)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '\\') {
            c = text.ptr[++i];
            if (c == 'x') {
                c = (char)(hex_value(text.ptr[i + 1]) << 4 | hex_value(text.ptr[i + 2]));
                i += 2;
            } else {
                c = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
            }
        }
        out[len++] = c;
    }
    return len;
}
