/* cli/top.h -- `pipit top`: connections at work.
 *
 * A look asks the server for its numbers and for as many connections as are shown, in an order that
 * the server makes; rates come from the look before. Only where it is to be ordered by rates all
 * connections are asked for. */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include "cli/inquiry.h"

extern const cli_command cli_top_command;

/* What there is to look at, and how. */
typedef struct cli_top_view {
    const char *sort;
    bool reverse, raw, subscriptions, closed;
    int64_t limit; /* rows */
} cli_top_view;

/* What comes first, by the names of the server, and "rate". NULL: no such thing. */
const char *cli_top_find_sort(const char *name);
/* The next one, or with step -1 the one before. */
const char *cli_top_step_sort(const char *name, int step);

#define CLI_TOP_SORTS                                                                              \
    "cid|start|subs|pending|msgs_to|msgs_from|bytes_to|bytes_from|last|idle|uptime|rtt|rate|stop|" \
    "reason"

/* --- looks (top_look.c) ---------------------------------------------------------------------- */

typedef struct cli_top_look cli_top_look;

cli_top_look *cli_top_look_new(void);
void cli_top_look_free(cli_top_look *look);

/* Take another. False: the server has not answered, and everything is as it was. */
bool cli_top_look_again(cli_top_look *look, cli_inquiry *inquiry, const cli_top_view *view);

/* Borrowed until the next. */
const json_t *cli_top_server(const cli_top_look *look);      /* /varz */
const json_t *cli_top_connections(const cli_top_look *look); /* an array, in order */
uint64_t cli_top_total(const cli_top_look *look);            /* of connections there are */

/* Per second, since the look before; negative: not known yet. in: to the server. */
typedef enum cli_top_number {
    CLI_TOP_IN_MSGS,
    CLI_TOP_OUT_MSGS,
    CLI_TOP_IN_BYTES,
    CLI_TOP_OUT_BYTES,
    CLI_TOP_NUMBERS,
} cli_top_number;
double cli_top_server_rate(const cli_top_look *look, cli_top_number number);
double cli_top_rate(const cli_top_look *look, const json_t *connection, cli_top_number number);

/* --- showing (top_cells.c) ------------------------------------------------------------------- */

typedef struct cli_top_column {
    const char *head;
    bool right;
    unsigned width_max; /* 0: none */
} cli_top_column;

/* Columns of a view. */
const cli_top_column *cli_top_columns(const cli_top_view *view, size_t *out_count);
/* Safe text for a row of one. Owner: the caller, for free(). */
char *cli_top_cell(const cli_top_look *look, const cli_top_view *view, const json_t *connection,
                   size_t column);
/* What stands above: lines, the last one NULL. Owner: the caller, for cli_top_head_free. */
char **cli_top_head(const cli_top_look *look, const cli_top_view *view);
void cli_top_head_free(char **lines);

/* --- the screen (top_screen.c) --------------------------------------------------------------- */

/* Show looks until who looks has seen enough. Returns the exit status. */
int cli_top_screen(cli_inquiry *inquiry, cli_top_view view, int64_t interval_ns);

#endif
