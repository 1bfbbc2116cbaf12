#include "cli/table.h"

#include "cli/escape.h"
#include "cli/memory.h"
#include "cli/terminal.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS_MAX = 32, GAP = 2, NARROWEST = 8 };

struct column {
    const char *head;
    cli_align align;
    size_t width; /* of the widest cell */
};

struct cli_table {
    const char *title;
    struct column columns[COLUMNS_MAX];
    size_t column_count;
    char **cells; /* escaped */
    size_t cell_count, cell_room;
};

cli_table *cli_table_new(const char *title)
{
    cli_table *table = cli_alloc(sizeof(*table));

    table->title = title;
    return table;
}

void cli_table_free(cli_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

void cli_table_column(cli_table *table, const char *head, cli_align align)
{
    if (table->column_count < COLUMNS_MAX)
        table->columns[table->column_count++] =
            (struct column){.head = head, .align = align, .width = cli_columns(head)};
}

void cli_table_cell_bytes(cli_table *table, const void *text, size_t bytes)
{
    struct column *column = &table->columns[table->cell_count % table->column_count];
    char *shown = cli_escape(text, bytes, 0);
    size_t width = cli_columns(shown);

    if (table->cell_count == table->cell_room) {
        table->cell_room = table->cell_room ? 2 * table->cell_room : 64;
        table->cells = cli_realloc(table->cells, table->cell_room * sizeof(*table->cells));
    }
    table->cells[table->cell_count++] = shown;
    if (width > column->width)
        column->width = width;
}

void cli_table_cell(cli_table *table, const char *text)
{
    cli_table_cell_bytes(table, text, text ? strlen(text) : 0);
}

void cli_table_cellf(cli_table *table, const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = cli_vformat(format, arguments);
    va_end(arguments);
    cli_table_cell(table, text);
    free(text);
}

size_t cli_table_rows(const cli_table *table)
{
    return table->column_count ? table->cell_count / table->column_count : 0;
}

/* Take from the widest text, again and again, until the row fits. */
static void fit(const cli_table *table, size_t widths[COLUMNS_MAX], size_t room)
{
    size_t sum = 0;

    for (size_t i = 0; i < table->column_count; i++) {
        widths[i] = table->columns[i].width;
        sum += widths[i] + (i ? GAP : 0);
    }
    while (sum > room) {
        size_t widest = COLUMNS_MAX;

        for (size_t i = 0; i < table->column_count; i++) {
            if (table->columns[i].align == CLI_LEFT && widths[i] > NARROWEST &&
                (widest == COLUMNS_MAX || widths[i] > widths[widest]))
                widest = i;
        }
        if (widest == COLUMNS_MAX)
            return; /* numbers are not cut: the terminal must wrap them */
        widths[widest]--;
        sum--;
    }
}

static void print_cell(const cli_table *table, const size_t widths[COLUMNS_MAX], size_t column,
                       const char *text, FILE *out)
{
    char *cut = cli_escape(text, strlen(text), widths[column]);
    size_t pad = widths[column] - cli_columns(cut);
    bool last = column + 1 == table->column_count;

    if (column)
        (void)fprintf(out, "%*s", GAP, "");
    if (table->columns[column].align == CLI_RIGHT)
        (void)fprintf(out, "%*s%s", (int)pad, "", cut);
    else
        (void)fprintf(out, "%s%*s", cut, last ? 0 : (int)pad, "");
    free(cut);
}

void cli_table_print(const cli_table *table, FILE *out)
{
    size_t widths[COLUMNS_MAX];
    size_t room = isatty(fileno(out)) ? cli_terminal_columns(out) : SIZE_MAX;

    fit(table, widths, room);
    if (table->title)
        (void)fprintf(out, "%s%s%s\n\n", cli_style_text(out, CLI_BOLD), table->title,
                      cli_style_text(out, CLI_PLAIN));
    (void)fputs(cli_style_text(out, CLI_BOLD), out);
    for (size_t i = 0; i < table->column_count; i++)
        print_cell(table, widths, i, table->columns[i].head, out);
    (void)fprintf(out, "%s\n", cli_style_text(out, CLI_PLAIN));
    for (size_t i = 0; i + table->column_count <= table->cell_count; i += table->column_count) {
        for (size_t k = 0; k < table->column_count; k++)
            print_cell(table, widths, k, table->cells[i + k], out);
        (void)fputc('\n', out);
    }
}
