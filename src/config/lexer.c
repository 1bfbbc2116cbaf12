#include "config/lexer.h"

#include <stdarg.h>
#include <stdio.h>

pipit_err pp_lexer_init(pp_lexer *lexer, const char *file, pp_str text, pp_config_failure *failure)
{
    const char *bytes = text.ptr ? text.ptr : "";
    const char *nul = memchr(bytes, '\0', text.len);

    *lexer = (pp_lexer){
        .at = bytes,
        .end = bytes + text.len,
        .text = bytes,
        .file = file,
        .failure = failure,
        .counted = bytes,
        .line_text = bytes,
        .line = 1,
    };
    return nul ? pp_lexer_fail(lexer, nul, "a NUL byte is no text") : PIPIT_OK;
}

void pp_lexer_skip_blanks(pp_lexer *lexer)
{
    while (pp_lexer_is_blank(pp_lexer_peek(lexer)))
        lexer->at++;
}

/* How many bytes of white space stand here, 0 if none: ASCII's, and in UTF-8 U+0085, U+00A0,
 * U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F and U+3000. */
static size_t space_bytes(const pp_lexer *lexer)
{
    const unsigned char *s = (const unsigned char *)lexer->at;
    size_t left = (size_t)(lexer->end - lexer->at);

    if (left == 0)
        return 0;
    if (s[0] == ' ' || (s[0] >= '\t' && s[0] <= '\r'))
        return 1;
    if (s[0] == 0xC2 && left >= 2)
        return s[1] == 0x85 || s[1] == 0xA0 ? 2 : 0;
    if (left < 3)
        return 0;
    if (s[0] == 0xE1)
        return s[1] == 0x9A && s[2] == 0x80 ? 3 : 0;
    if (s[0] == 0xE3)
        return s[1] == 0x80 && s[2] == 0x80 ? 3 : 0;
    if (s[0] != 0xE2)
        return 0;
    if (s[1] == 0x80)
        return (s[2] >= 0x80 && s[2] <= 0x8A) || s[2] == 0xA8 || s[2] == 0xA9 || s[2] == 0xAF ? 3
                                                                                              : 0;
    return s[1] == 0x81 && s[2] == 0x9F ? 3 : 0;
}

bool pp_lexer_at_space(const pp_lexer *lexer)
{
    return space_bytes(lexer) > 0;
}

void pp_lexer_skip_space(pp_lexer *lexer)
{
    size_t bytes;

    while ((bytes = space_bytes(lexer)) > 0)
        lexer->at += bytes;
}

bool pp_lexer_skip_comment(pp_lexer *lexer)
{
    bool slashes = lexer->end - lexer->at >= 2 && lexer->at[0] == '/' && lexer->at[1] == '/';

    if (pp_lexer_peek(lexer) != '#' && !slashes)
        return false;
    while (lexer->at < lexer->end && !pp_lexer_is_newline(*lexer->at))
        lexer->at++;
    return true;
}

pp_config_position pp_lexer_position(pp_lexer *lexer, const char *at)
{
    const char *newline;

    if (at < lexer->line_text) {
        lexer->counted = lexer->line_text = lexer->text;
        lexer->line = 1;
    }
    while (at > lexer->counted &&
           (newline = memchr(lexer->counted, '\n', (size_t)(at - lexer->counted)))) {
        lexer->counted = lexer->line_text = newline + 1;
        lexer->line++;
    }
    if (at > lexer->counted)
        lexer->counted = at;
    return (pp_config_position){
        .file = lexer->file,
        .line = lexer->line,
        .column = (uint32_t)(at - lexer->line_text) + 1,
    };
}

pipit_err pp_lexer_fail(pp_lexer *lexer, const char *at, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return pp_config_fail(lexer->failure, pp_lexer_position(lexer, at), "%s", text);
}

/* The bytes of the UTF-8 character that begins here, 0 if none that is whole does. */
static size_t character_bytes(const unsigned char *s, size_t left)
{
    size_t bytes = s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;

    if (bytes == 0 || bytes > left)
        return 0;
    for (size_t i = 1; i < bytes; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    }
    return bytes;
}

pp_lexer_shown pp_lexer_show(const pp_lexer *lexer, const char *at)
{
    pp_lexer_shown shown = {.text = "end of file"};
    unsigned char c;
    size_t bytes;

    if (at >= lexer->end)
        return shown;
    c = (unsigned char)*at;
    bytes = character_bytes((const unsigned char *)at, (size_t)(lexer->end - at));
    if (c == '\n')
        (void)snprintf(shown.text, sizeof(shown.text), "'\\n'");
    else if (c == '\r')
        (void)snprintf(shown.text, sizeof(shown.text), "'\\r'");
    else if (c >= ' ' && c < 0x7F)
        (void)snprintf(shown.text, sizeof(shown.text), "'%c'", c);
    else if (bytes)
        (void)snprintf(shown.text, sizeof(shown.text), "'%.*s'", (int)bytes, at);
    else
        (void)snprintf(shown.text, sizeof(shown.text), "'\\x%02X'", c);
    return shown;
}

static pipit_err read_quoted_key(pp_lexer *lexer, pp_lexer_key *out)
{
    const char *open = lexer->at;
    const char *from = open + 1;
    const char *close = memchr(from, *open, (size_t)(lexer->end - from));

    if (!close)
        return pp_lexer_fail(lexer, open, "Unexpected EOF: the key that begins here is not closed");
    *out = (pp_lexer_key){.text = {from, (size_t)(close - from)}, .quoted = true};
    lexer->at = close + 1;
    return PIPIT_OK;
}

pipit_err pp_lexer_read_key(pp_lexer *lexer, pp_lexer_key *out)
{
    const char *from = lexer->at;
    char c = pp_lexer_peek(lexer);

    if (c == '"' || c == '\'')
        return read_quoted_key(lexer, out);
    while (lexer->at < lexer->end && *lexer->at != '=' && *lexer->at != ':' &&
           !pp_lexer_at_space(lexer))
        lexer->at++;
    *out = (pp_lexer_key){.text = {from, (size_t)(lexer->at - from)}};
    return PIPIT_OK;
}
