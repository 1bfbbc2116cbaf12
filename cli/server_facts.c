#include "cli/server.h"

#include "cli/json.h"
#include "cli/say.h"
#include "cli/value.h"

#include <ctype.h>
#include <string.h>

const char *cli_server_name(const json_t *answer, size_t *out_bytes)
{
    const char *name = cli_json_text_at(answer, "server.name", out_bytes);

    return *out_bytes ? name : cli_json_text_at(answer, "server.id", out_bytes);
}

void cli_server_cell_text(cli_table *table, const json_t *object, const char *path)
{
    size_t bytes;
    const char *text = cli_json_text_at(object, path, &bytes);

    cli_table_cell_bytes(table, text, bytes);
}

void cli_server_cell_count(cli_table *table, const json_t *object, const char *path)
{
    char text[CLI_VALUE_BYTES];

    cli_count_format(cli_json_count_at(object, path), text);
    cli_table_cell(table, text);
}

void cli_server_cell_size(cli_table *table, const json_t *object, const char *path)
{
    char text[CLI_VALUE_BYTES];

    cli_size_format(cli_json_real_at(object, path), text);
    cli_table_cell(table, text);
}

void cli_server_filter_add(const cli_server_filter *filter, json_t *with)
{
    json_t *tags;

    if (filter->host)
        cli_json_set_text(with, "host", filter->host);
    if (filter->cluster)
        cli_json_set_text(with, "cluster", filter->cluster);
    if (!filter->tags.count)
        return;
    tags = cli_json_array();
    for (size_t i = 0; i < filter->tags.count; i++)
        cli_json_append(tags, cli_json_text(filter->tags.items[i], strlen(filter->tags.items[i])));
    cli_json_set(with, "tags", tags);
}

int cli_server_missing(int64_t expected, int64_t came)
{
    if (came >= expected)
        return CLI_DONE;
    return cli_fail(CLI_NO_ANSWER, "%lld servers were expected, %lld have answered",
                    (long long)expected, (long long)came);
}

int64_t cli_uptime_read(const char *text)
{
    int64_t total = 0, number;

    while (isdigit((unsigned char)*text)) {
        for (number = 0; isdigit((unsigned char)*text) && number < 1000000000; text++)
            number = number * 10 + (*text - '0');
        switch (*text++) {
        case 'y':
            total += number * 365 * 86400;
            break;
        case 'd':
            total += number * 86400;
            break;
        case 'h':
            total += number * 3600;
            break;
        case 'm':
            total += number * 60;
            break;
        case 's':
            return total + number;
        default:
            return 0;
        }
    }
    return total;
}
