/* What top shows, as text: the same on a screen and in batches. */
#include "cli/escape.h"
#include "cli/memory.h"
#include "cli/top.h"
#include "cli/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_LINES = 6, NAME_WIDTH = 28, SUBJECTS_WIDTH = 200 };

typedef enum column_id {
    COLUMN_CID,
    COLUMN_ADDRESS,
    COLUMN_NAME,
    COLUMN_SUBS,
    COLUMN_PENDING,
    COLUMN_MSGS_TO,
    COLUMN_MSGS_FROM,
    COLUMN_BYTES_TO,
    COLUMN_BYTES_FROM,
    COLUMN_TO_RATE,
    COLUMN_FROM_RATE,
    COLUMN_LANG,
    COLUMN_UPTIME,
    COLUMN_IDLE,
    COLUMN_RTT,
    COLUMN_LAST, /* why it was closed, or what it subscribes to */
} column_id;

#define COLUMNS_BUT_LAST                                                                           \
    {"CID", true, 0}, {"ADDRESS", false, 0}, {"NAME", false, NAME_WIDTH}, {"SUBS", true, 0},       \
        {"PENDING", true, 0}, {"MSGS_TO", true, 0}, {"MSGS_FROM", true, 0}, {"BYTES_TO", true, 0}, \
        {"BYTES_FROM", true, 0}, {"TO/S", true, 0}, {"FROM/S", true, 0}, {"LANG", false, 12},      \
        {"UPTIME", true, 0}, {"IDLE", true, 0},                                                    \
    {                                                                                              \
        "RTT", true, 0                                                                             \
    }

static const cli_top_column open_columns[] = {COLUMNS_BUT_LAST,
                                              {"SUBSCRIPTIONS", false, SUBJECTS_WIDTH}};
static const cli_top_column closed_columns[] = {COLUMNS_BUT_LAST, {"CLOSED FOR", false, 0}};

const cli_top_column *cli_top_columns(const cli_top_view *view, size_t *out_count)
{
    *out_count = COLUMN_LAST + (view->closed || view->subscriptions);
    return view->closed ? closed_columns : open_columns;
}

/* --- cells ------------------------------------------------------------------------------------ */

static char *copy(const char *text)
{
    return cli_copy(text, strlen(text));
}

static char *show_text(const json_t *connection, const char *member, unsigned width)
{
    size_t bytes;
    const char *text = cli_json_text_at(connection, member, &bytes);

    return cli_escape(text, bytes, width);
}

/* 12.3K, for columns that are to stay narrow. */
static char *show_number(double value, bool raw)
{
    static const char units[] = " KMGTPE";
    size_t unit = 0;

    if (value < 0)
        return copy("-");
    if (raw)
        return cli_format("%.0f", value);
    while (value >= 9999.5 && unit < sizeof(units) - 2) {
        value /= 1000;
        unit++;
    }
    return unit ? cli_format("%.1f%c", value, units[unit]) : cli_format("%.0f", value);
}

static char *show_bytes(double value, bool raw)
{
    char text[CLI_VALUE_BYTES];

    if (raw)
        return show_number(value, raw);
    cli_size_format(value, text);
    return copy(text);
}

static char *show_address(const json_t *connection)
{
    char *ip = show_text(connection, "ip", 0);
    char *text =
        cli_format("%s:%llu", ip, (unsigned long long)cli_json_count_at(connection, "port"));

    free(ip);
    return text;
}

static char *show_subjects(const json_t *connection)
{
    char *joined = cli_json_join(cli_json_at(connection, "subscriptions_list"), " ");
    char *safe = cli_escape(joined, strlen(joined), SUBJECTS_WIDTH);

    free(joined);
    return safe;
}

char *cli_top_cell(const cli_top_look *look, const cli_top_view *view, const json_t *connection,
                   size_t column)
{
    switch ((column_id)column) {
    case COLUMN_CID:
        return cli_format("%llu", (unsigned long long)cli_json_count_at(connection, "cid"));
    case COLUMN_ADDRESS:
        return show_address(connection);
    case COLUMN_NAME:
        return show_text(connection, "name", NAME_WIDTH);
    case COLUMN_SUBS:
        return show_number(cli_json_real_at(connection, "subscriptions"), view->raw);
    case COLUMN_PENDING:
        return show_bytes(cli_json_real_at(connection, "pending_bytes"), view->raw);
    case COLUMN_MSGS_TO:
        return show_number(cli_json_real_at(connection, "out_msgs"), view->raw);
    case COLUMN_MSGS_FROM:
        return show_number(cli_json_real_at(connection, "in_msgs"), view->raw);
    case COLUMN_BYTES_TO:
        return show_bytes(cli_json_real_at(connection, "out_bytes"), view->raw);
    case COLUMN_BYTES_FROM:
        return show_bytes(cli_json_real_at(connection, "in_bytes"), view->raw);
    case COLUMN_TO_RATE:
        return show_number(cli_top_rate(look, connection, CLI_TOP_OUT_MSGS), view->raw);
    case COLUMN_FROM_RATE:
        return show_number(cli_top_rate(look, connection, CLI_TOP_IN_MSGS), view->raw);
    case COLUMN_LANG:
        return show_text(connection, "lang", 12);
    case COLUMN_UPTIME:
        return show_text(connection, "uptime", 16);
    case COLUMN_IDLE:
        return show_text(connection, "idle", 16);
    case COLUMN_RTT:
        return show_text(connection, "rtt", 16);
    case COLUMN_LAST:
        break;
    }
    return view->closed ? show_text(connection, "reason", 0) : show_subjects(connection);
}

/* --- above ------------------------------------------------------------------------------------ */

static char *traffic(const cli_top_look *look, const cli_top_view *view, const char *name,
                     cli_top_number msgs, cli_top_number bytes, const char *msgs_member,
                     const char *bytes_member)
{
    const json_t *varz = cli_top_server(look);
    char *msgs_rate = show_number(cli_top_server_rate(look, msgs), view->raw);
    double rate = cli_top_server_rate(look, bytes);
    char *bytes_rate = rate < 0 ? copy("-") : show_bytes(rate, view->raw);
    char *msgs_sum = show_number(cli_json_real_at(varz, msgs_member), view->raw);
    char *bytes_sum = show_bytes(cli_json_real_at(varz, bytes_member), view->raw);
    char *line = cli_format("%-4s %s msgs/s, %s/s; in all %s msgs, %s", name, msgs_rate, bytes_rate,
                            msgs_sum, bytes_sum);

    free(msgs_rate);
    free(bytes_rate);
    free(msgs_sum);
    free(bytes_sum);
    return line;
}

char **cli_top_head(const cli_top_look *look, const cli_top_view *view)
{
    const json_t *varz = cli_top_server(look);
    char **lines = cli_alloc(HEAD_LINES * sizeof(*lines));
    char *name = show_text(varz, "server_name", 60), *version = show_text(varz, "version", 20);
    char *uptime = show_text(varz, "uptime", 20);
    char *mem = show_bytes(cli_json_real_at(varz, "mem"), false);

    lines[0] = cli_format("%s, %s, up %s", name, version, uptime);
    lines[1] = cli_format("CPU %.1f %%, memory %s, slow consumers %llu, subscriptions %llu",
                          cli_json_real_at(varz, "cpu"), mem,
                          (unsigned long long)cli_json_count_at(varz, "slow_consumers"),
                          (unsigned long long)cli_json_count_at(varz, "subscriptions"));
    lines[2] = traffic(look, view, "In:", CLI_TOP_IN_MSGS, CLI_TOP_IN_BYTES, "in_msgs", "in_bytes");
    lines[3] =
        traffic(look, view, "Out:", CLI_TOP_OUT_MSGS, CLI_TOP_OUT_BYTES, "out_msgs", "out_bytes");
    lines[4] =
        cli_format("%zu of %llu %sconnections, by %s%s", json_array_size(cli_top_connections(look)),
                   (unsigned long long)cli_top_total(look), view->closed ? "closed " : "",
                   view->sort, view->reverse ? ", reversed" : "");
    free(name);
    free(version);
    free(uptime);
    free(mem);
    return lines;
}

void cli_top_head_free(char **lines)
{
    for (size_t i = 0; lines[i]; i++)
        free(lines[i]);
    free(lines);
}
