/* top on a terminal, by ncurses. Keys are those of nats-top where it has one for the same. */
#include "cli/escape.h"
#include "cli/memory.h"
#include "cli/top.h"
#include "cli/turn.h"

#include <curses.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEAD_ROWS = 7, GAP = 1, KEY_WAIT_MS = 100, COLUMNS_MAX = 32, ANSWER_BYTES = 32, CTRL_C = 3 };

struct screen {
    cli_inquiry *inquiry;
    cli_top_view view;
    cli_top_look *look;
    int64_t interval_ns, next_ns;
    size_t scroll; /* rows that are above */
    bool paused, help, lost;
    char note[80]; /* what was wrong with what was typed */
};

/* --- drawing: whatever does not fit ncurses leaves out, so its answers do not matter ---------- */

/* Text at a place, cut to columns; the mark that it was cut takes three. */
static void draw_text(int y, int x, const char *text, size_t columns)
{
    char *cut = cli_escape(text, strlen(text), columns);

    if (cli_columns(cut) <= columns)
        (void)mvaddstr(y, x, cut);
    free(cut);
}

static size_t width_left(int x)
{
    return x < COLS ? (size_t)(COLS - x) : 0;
}

static void draw_head(const struct screen *s)
{
    char **lines = cli_top_head(s->look, &s->view);

    for (int i = 0; lines[i]; i++)
        draw_text(i, 0, lines[i], width_left(0));
    cli_top_head_free(lines);
    (void)attron(A_BOLD);
    if (s->lost)
        draw_text(5, 0, "The server does not answer; trying again", width_left(0));
    else if (*s->note)
        draw_text(5, 0, s->note, width_left(0));
    else if (s->paused)
        draw_text(5, 0, "Paused: p goes on", width_left(0));
    (void)attroff(A_BOLD);
    draw_text(0, COLS > 40 ? COLS - 8 : 0, COLS > 40 ? "? = help" : "", width_left(0));
}

/* Cells of the rows that are seen, and how wide columns are for them. */
struct grid {
    const cli_top_column *columns;
    size_t column_count, row_count;
    char **cells;
    size_t widths[COLUMNS_MAX];
};

static struct grid make_grid(const struct screen *s, size_t rows)
{
    const json_t *list = cli_top_connections(s->look);
    size_t there = json_array_size(list);
    struct grid grid = {0};

    grid.columns = cli_top_columns(&s->view, &grid.column_count);
    if (there > s->scroll)
        grid.row_count = there - s->scroll < rows ? there - s->scroll : rows;
    grid.cells = cli_alloc((grid.row_count * grid.column_count + 1) * sizeof(*grid.cells));
    for (size_t k = 0; k < grid.column_count; k++)
        grid.widths[k] = strlen(grid.columns[k].head);
    for (size_t i = 0; i < grid.row_count; i++) {
        for (size_t k = 0; k < grid.column_count; k++) {
            char *cell = cli_top_cell(s->look, &s->view, json_array_get(list, s->scroll + i), k);
            size_t width = cli_columns(cell);

            grid.cells[i * grid.column_count + k] = cell;
            grid.widths[k] = width > grid.widths[k] ? width : grid.widths[k];
        }
    }
    return grid;
}

static void draw_row(const struct grid *grid, int y, char *const *cells)
{
    size_t x = 0;

    for (size_t k = 0; k < grid->column_count; k++) {
        const char *text = cells ? cells[k] : grid->columns[k].head;
        size_t width = cli_columns(text), left = width_left((int)x);
        size_t before = grid->columns[k].right ? grid->widths[k] - width : 0;

        draw_text(y, (int)(x + before), text, left > before ? left - before : 0);
        x += grid->widths[k] + GAP;
    }
}

static void draw_connections(struct screen *s)
{
    size_t rows = LINES > HEAD_ROWS ? (size_t)(LINES - HEAD_ROWS) : 0;
    struct grid grid = make_grid(s, rows);

    (void)attron(A_REVERSE);
    (void)mvhline(HEAD_ROWS - 1, 0, ' ', COLS);
    draw_row(&grid, HEAD_ROWS - 1, NULL);
    (void)attroff(A_REVERSE);
    for (size_t i = 0; i < grid.row_count; i++)
        draw_row(&grid, HEAD_ROWS + (int)i, grid.cells + i * grid.column_count);
    for (size_t i = 0; i < grid.row_count * grid.column_count; i++)
        free(grid.cells[i]);
    free(grid.cells);
}

static void draw_help(void)
{
    static const char *const lines[] = {
        "Keys",
        "",
        "  o          sort by ...: cid subs pending msgs_to msgs_from bytes_to bytes_from",
        "             last idle uptime rtt rate, for closed ones stop reason",
        "  < >        sort by the one before, the next",
        "  r          the other way round",
        "  n          how many connections to ask for",
        "  d          time between two looks",
        "  s          show what connections subscribe to",
        "  c          closed connections, and back",
        "  b          whole numbers, and back",
        "  p          pause, and go on",
        "  space      look now",
        "  up down    scroll; page up, page down, home, end too",
        "  q          end",
        "",
        "Any key goes back.",
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        draw_text((int)i, 0, lines[i], width_left(0));
}

static void draw(struct screen *s)
{
    (void)erase();
    if (s->help) {
        draw_help();
    } else {
        draw_head(s);
        draw_connections(s);
    }
    (void)refresh();
}

/* --- keys ------------------------------------------------------------------------------------- */

/* Ask for a line at the place of notes. False: nothing was typed. */
static bool ask(const char *question, char out[ANSWER_BYTES])
{
    (void)move(5, 0);
    (void)clrtoeol();
    draw_text(5, 0, question, width_left(0));
    (void)echo();
    (void)curs_set(1);
    timeout(-1);
    out[0] = '\0';
    (void)mvgetnstr(5, (int)strlen(question) + 1, out, ANSWER_BYTES - 1);
    timeout(KEY_WAIT_MS);
    (void)curs_set(0);
    (void)noecho();
    return out[0] != '\0';
}

static void note(struct screen *s, const char *text)
{
    (void)snprintf(s->note, sizeof(s->note), "%s", text);
}

static void set_sort(struct screen *s, const char *name)
{
    bool for_closed = name && (strcmp(name, "stop") == 0 || strcmp(name, "reason") == 0);

    if (!name)
        note(s, "There is no such order: ? shows them");
    else if (for_closed && !s->view.closed)
        note(s, "That is for closed connections: c shows them");
    else
        s->view.sort = name;
}

static void toggle_closed(struct screen *s)
{
    s->view.closed = !s->view.closed;
    s->view.sort = s->view.closed ? "stop" : "cid";
    s->scroll = 0;
}

static void ask_number(struct screen *s)
{
    char answer[ANSWER_BYTES], *end;
    long number;

    if (!ask("How many connections:", answer))
        return;
    number = strtol(answer, &end, 10);
    if (*end || number < 1 || number > 100000)
        note(s, "From 1 to 100000");
    else
        s->view.limit = number;
}

static void ask_interval(struct screen *s)
{
    char answer[ANSWER_BYTES], *end;
    double seconds;

    if (!ask("Seconds between two looks:", answer))
        return;
    seconds = strtod(answer, &end);
    if (*end || !(seconds >= 0.1 && seconds <= 3600))
        note(s, "From 0.1 to 3600 seconds");
    else
        s->interval_ns = (int64_t)(seconds * 1e9);
}

static void scroll_by(struct screen *s, long rows)
{
    long count = (long)json_array_size(cli_top_connections(s->look)), to = (long)s->scroll + rows;

    to = to >= count ? count - 1 : to;
    s->scroll = to > 0 ? (size_t)to : 0;
}

static bool scroll_key(struct screen *s, int key)
{
    long page = LINES > HEAD_ROWS ? LINES - HEAD_ROWS : 1;

    switch (key) {
    case KEY_DOWN:
        scroll_by(s, 1);
        return true;
    case KEY_UP:
        scroll_by(s, -1);
        return true;
    case KEY_NPAGE:
        scroll_by(s, page);
        return true;
    case KEY_PPAGE:
        scroll_by(s, -page);
        return true;
    case KEY_HOME:
        s->scroll = 0;
        return true;
    case KEY_END:
        scroll_by(s, (long)json_array_size(cli_top_connections(s->look)));
        return true;
    case KEY_RESIZE:
        return true;
    default:
        return false;
    }
}

/* Change how it is looked at. True: the key means such a change, and it takes a look to see it. */
static bool view_key(struct screen *s, int key)
{
    char answer[ANSWER_BYTES];

    switch (key) {
    case 'o':
        if (ask("Sort by:", answer))
            set_sort(s, cli_top_find_sort(answer));
        return true;
    case '>':
        set_sort(s, cli_top_step_sort(s->view.sort, 1));
        return true;
    case '<':
        set_sort(s, cli_top_step_sort(s->view.sort, -1));
        return true;
    case 'r':
        s->view.reverse = !s->view.reverse;
        return true;
    case 'n':
        ask_number(s);
        return true;
    case 'd':
        ask_interval(s);
        return true;
    case 's':
        s->view.subscriptions = !s->view.subscriptions;
        return true;
    case 'c':
        toggle_closed(s);
        return true;
    case 'b':
        s->view.raw = !s->view.raw;
        return true;
    case ' ':
        return true;
    default:
        return false;
    }
}

/* False: it is the end. */
static bool on_key(struct screen *s, int key)
{
    if (key == 'q' || key == CTRL_C)
        return false;
    if (s->help) {
        s->help = false;
        return true;
    }
    s->note[0] = '\0';
    if (key == '?' || key == 'h')
        s->help = true;
    else if (key == 'p')
        s->paused = !s->paused;
    else if (!scroll_key(s, key) && view_key(s, key))
        s->next_ns = 0;
    return true;
}

/* --- the loop --------------------------------------------------------------------------------- */

static void look_again(struct screen *s)
{
    s->lost = !cli_top_look_again(s->look, s->inquiry, &s->view);
    s->next_ns = cli_now_ns() + s->interval_ns;
    scroll_by(s, 0);
}

static void run(struct screen *s)
{
    bool going = true;

    while (going && !cli_turn_wait(0)) {
        int key;

        if (s->next_ns == 0 || (!s->paused && cli_now_ns() >= s->next_ns)) {
            look_again(s);
            draw(s);
        }
        key = getch();
        if (key != ERR) {
            going = on_key(s, key);
            if (s->next_ns != 0) /* else there is another look to draw in a moment */
                draw(s);
        }
    }
}

int cli_top_screen(cli_inquiry *inquiry, cli_top_view view, int64_t interval_ns)
{
    struct screen s = {.inquiry = inquiry, .view = view, .interval_ns = interval_ns};
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC), said = dup(STDERR_FILENO);

    s.look = cli_top_look_new();
    (void)setlocale(LC_CTYPE, ""); /* else letters beyond ASCII look odd */
    (void)initscr();               /* which ends the program if there is no such terminal */
    (void)raw();
    (void)noecho();
    (void)keypad(stdscr, TRUE);
    (void)curs_set(0);
    timeout(KEY_WAIT_MS);
    if (nowhere >= 0)
        (void)dup2(nowhere, STDERR_FILENO); /* lines of others would spoil the screen */
    run(&s);
    (void)endwin();
    if (said >= 0)
        (void)dup2(said, STDERR_FILENO);
    (void)close(nowhere); /* nothing to lose */
    (void)close(said);
    cli_top_look_free(s.look);
    return CLI_DONE;
}
