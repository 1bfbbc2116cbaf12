/* cli/table.h -- rows and columns that fit the terminal. What is in a cell is escaped. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stddef.h>
#include <stdio.h>

typedef struct cli_table cli_table;

typedef enum cli_align { CLI_LEFT, CLI_RIGHT } cli_align;

/* title NULL: none. Owner: the caller, for cli_table_free. */
cli_table *cli_table_new(const char *title);
void cli_table_free(cli_table *table);

/* All columns first, then cells row by row. */
void cli_table_column(cli_table *table, const char *head, cli_align align);
void cli_table_cell(cli_table *table, const char *text); /* NULL: empty */
void cli_table_cell_bytes(cli_table *table, const void *text, size_t bytes);
void cli_table_cellf(cli_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

size_t cli_table_rows(const cli_table *table);

/* Where columns do not fit, the widest left-aligned ones are cut, with "..." to show it; if out is
 * no terminal, nothing is cut. */
void cli_table_print(const cli_table *table, FILE *out);

#endif
