/* cli/terminal.h -- what is known of who reads: a terminal or not, its width, its colours. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

typedef enum cli_style {
    CLI_PLAIN,
    CLI_BOLD,
    CLI_DIM,
    CLI_RED,
    CLI_GREEN,
    CLI_YELLOW,
    CLI_BLUE,
} cli_style;

/* Before anything is shown. */
void cli_terminal_init(void);

/* Columns: of the terminal, else COLUMNS of the environment, else 80. */
unsigned cli_terminal_columns(FILE *out);

/* What begins a style, CLI_PLAIN what ends it; "" where colours are not wanted: out is no terminal,
 * NO_COLOR is set, or TERM is dumb. */
const char *cli_style_text(FILE *out, cli_style style);

#endif
