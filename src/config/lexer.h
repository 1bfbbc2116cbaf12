/* config/lexer.h -- a cursor over the text of one configuration file: blanks, comments, keys and
 * scalars. Which of them may come next is the parser's business. Pure, and every step moves
 * forward, so that reading is linear in the text. */
#ifndef PP_CONFIG_LEXER_H
#define PP_CONFIG_LEXER_H

#include "base/err.h"
#include "base/str.h"
#include "config/failure.h"
#include "config/value.h"

#include <stdbool.h>
#include <stdint.h>

#define PP_LEXER_END '\0' /* seen behind the last byte; the text itself holds none */

typedef struct pp_lexer {
    const char *at, *end; /* what is not yet read */
    const char *text;
    const char *file; /* its name, borrowed */
    pp_config_failure *failure;
    /* Lines are counted when one is asked for, from the last answer on: questions come nearly in
     * the order of the text. */
    const char *counted;   /* up to here */
    const char *line_text; /* begin of the line that holds it */
    uint32_t line;         /* and its number */
} pp_lexer;

/* Errors: PIPIT_EINVAL, the text holds a NUL, with the failure stated. */
pipit_err pp_lexer_init(pp_lexer *lexer, const char *file, pp_str text, pp_config_failure *failure);

/* The next byte, PP_LEXER_END behind the last. */
static inline char pp_lexer_peek(const pp_lexer *lexer)
{
    return lexer->at < lexer->end ? *lexer->at : PP_LEXER_END;
}

static inline bool pp_lexer_is_newline(char c)
{
    return c == '\n' || c == '\r';
}

static inline bool pp_lexer_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Pass blanks: spaces and tabs. */
void pp_lexer_skip_blanks(pp_lexer *lexer);
/* Pass white space in the sense of Unicode, new lines included. */
void pp_lexer_skip_space(pp_lexer *lexer);
bool pp_lexer_at_space(const pp_lexer *lexer);
/* Pass a comment up to the end of its line; false where none begins. */
bool pp_lexer_skip_comment(pp_lexer *lexer);

/* A place at or near those asked for before. */
pp_config_position pp_lexer_position(pp_lexer *lexer, const char *at);

/* State a failure at a place of the text; answers PIPIT_EINVAL. */
pipit_err pp_lexer_fail(pp_lexer *lexer, const char *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Name the character at a place for a message: "'x'", "'\n'", "end of file". One character at the
 * most is ever shown of a file, which may be full of secrets. */
typedef struct pp_lexer_shown {
    char text[16];
} pp_lexer_shown;
pp_lexer_shown pp_lexer_show(const pp_lexer *lexer, const char *at);

/* Read a key, quoted or bare. The caller has seen that something is there and no separator.
 * Slices in the results point into the text. */
typedef struct pp_lexer_key {
    pp_str text;
    bool quoted;
} pp_lexer_key;
pipit_err pp_lexer_read_key(pp_lexer *lexer, pp_lexer_key *out);

#endif
