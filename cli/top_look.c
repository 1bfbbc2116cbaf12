#include "cli/json.h"
#include "cli/memory.h"
#include "cli/top.h"
#include "cli/turn.h"

#include <stdlib.h>
#include <string.h>

/* Each page costs the server a walk over all, so they are large: an answer is up to 8 MB then. */
enum { ALL_MAX = 100000, PAGE = 16384 };

/* What a connection had counted at a look. */
struct counts {
    uint64_t cid;
    uint64_t numbers[CLI_TOP_NUMBERS];
};

struct counted {
    struct counts *items; /* by cid */
    size_t count;
    uint64_t server[CLI_TOP_NUMBERS];
    int64_t at_ns; /* 0: never */
};

struct cli_top_look {
    json_t *varz, *connections;
    uint64_t total;
    struct counted before, now;
};

static const char *const members[CLI_TOP_NUMBERS] = {"in_msgs", "out_msgs", "in_bytes",
                                                     "out_bytes"};

cli_top_look *cli_top_look_new(void)
{
    return cli_alloc(sizeof(cli_top_look));
}

void cli_top_look_free(cli_top_look *look)
{
    json_decref(look->varz);
    json_decref(look->connections);
    free(look->before.items);
    free(look->now.items);
    free(look);
}

/* --- counting --------------------------------------------------------------------------------- */

static int compare_cids(const void *left, const void *right)
{
    const struct counts *a = left, *b = right;

    return (a->cid > b->cid) - (a->cid < b->cid);
}

static void count(struct counted *out, const json_t *varz, const json_t *connections)
{
    json_t *connection;
    size_t i;

    out->at_ns = cli_now_ns();
    for (int k = 0; k < CLI_TOP_NUMBERS; k++)
        out->server[k] = cli_json_count_at(varz, members[k]);
    out->items = cli_alloc((json_array_size(connections) + 1) * sizeof(*out->items));
    out->count = 0;
    json_array_foreach(connections, i, connection)
    {
        struct counts *counts = &out->items[out->count++];

        counts->cid = cli_json_count_at(connection, "cid");
        for (int k = 0; k < CLI_TOP_NUMBERS; k++)
            counts->numbers[k] = cli_json_count_at(connection, members[k]);
    }
    qsort(out->items, out->count, sizeof(*out->items), compare_cids);
}

static const struct counts *find(const struct counted *counted, uint64_t cid)
{
    struct counts key = {.cid = cid};

    return counted->count ? bsearch(&key, counted->items, counted->count, sizeof(key), compare_cids)
                          : NULL;
}

static double per_second(const cli_top_look *look, uint64_t before, uint64_t now)
{
    double seconds = (double)(look->now.at_ns - look->before.at_ns) / 1e9;

    return now > before && seconds > 0 ? (double)(now - before) / seconds : 0;
}

double cli_top_server_rate(const cli_top_look *look, cli_top_number number)
{
    if (!look->before.at_ns)
        return -1;
    return per_second(look, look->before.server[number], look->now.server[number]);
}

double cli_top_rate(const cli_top_look *look, const json_t *connection, cli_top_number number)
{
    const struct counts *before = find(&look->before, cli_json_count_at(connection, "cid"));

    if (!before)
        return -1;
    return per_second(look, before->numbers[number],
                      cli_json_count_at(connection, members[number]));
}

/* --- asking ----------------------------------------------------------------------------------- */

/* The first answer's page. NULL: there is none. */
static json_t *ask(cli_inquiry *inquiry, const char *page, json_t *options)
{
    json_t *answers = cli_inquiry_try(inquiry, NULL, page, options);
    json_t *data = json_incref(json_object_get(json_array_get(answers, 0), "data"));

    json_decref(answers);
    if (json_is_object(data))
        return data;
    json_decref(data);
    return NULL;
}

static json_t *connz_options(const cli_top_view *view, uint64_t offset, uint64_t limit)
{
    json_t *options = cli_json_object();

    if (strcmp(view->sort, "rate") != 0)
        cli_json_set_text(options, "sort", view->sort);
    cli_json_set_count(options, "offset", offset);
    cli_json_set_count(options, "limit", limit);
    if (view->closed)
        cli_json_set_count(options, "state", 1);
    if (view->subscriptions)
        cli_json_set_flag(options, "subscriptions", 1);
    return options;
}

/* As many as are wanted, page by page. NULL: no answer. */
static json_t *ask_connections(cli_inquiry *inquiry, const cli_top_view *view, uint64_t wanted,
                               uint64_t *out_total)
{
    json_t *all = cli_json_array();
    uint64_t page = cli_inquiry_client(inquiry) || wanted < PAGE ? PAGE : wanted;

    *out_total = wanted;
    for (uint64_t offset = 0; offset < wanted && offset < *out_total; offset += page) {
        uint64_t limit = wanted - offset < page ? wanted - offset : page;
        json_t *connz = ask(inquiry, "CONNZ", connz_options(view, offset, limit)), *connection;
        size_t i;

        if (!connz) {
            json_decref(all);
            return NULL;
        }
        *out_total = cli_json_count_at(connz, "total");
        json_array_foreach(json_object_get(connz, "connections"), i, connection)
        {
            if (json_is_object(connection))
                cli_json_append(all, json_incref(connection));
        }
        json_decref(connz);
    }
    return all;
}

static void order_by_rate(const cli_top_look *look, json_t *connections)
{
    json_t *connection;
    size_t i;

    json_array_foreach(connections, i, connection)
    {
        double in = cli_top_rate(look, connection, CLI_TOP_IN_MSGS);
        double out = cli_top_rate(look, connection, CLI_TOP_OUT_MSGS);

        cli_json_set_real(connection, "rate", (in > 0 ? in : 0) + (out > 0 ? out : 0));
    }
    cli_json_sort(connections, "rate", true);
}

static void reverse(json_t *array)
{
    size_t count = json_array_size(array);

    for (size_t i = 0; i < count / 2; i++) {
        json_t *first = json_incref(json_array_get(array, i));

        (void)json_array_set(array, i, json_array_get(array, count - 1 - i)); /* places are there */
        (void)json_array_set_new(array, count - 1 - i, first);
    }
}

bool cli_top_look_again(cli_top_look *look, cli_inquiry *inquiry, const cli_top_view *view)
{
    bool by_rate = strcmp(view->sort, "rate") == 0;
    uint64_t total = 0;
    json_t *varz = ask(inquiry, "VARZ", NULL);
    json_t *connections =
        varz ? ask_connections(inquiry, view,
                               by_rate || view->reverse ? ALL_MAX : (uint64_t)view->limit, &total)
             : NULL;

    if (!connections) {
        json_decref(varz);
        return false;
    }
    free(look->before.items);
    look->before = look->now;
    count(&look->now, varz, connections);
    if (by_rate)
        order_by_rate(look, connections);
    if (view->reverse)
        reverse(connections);
    while (json_array_size(connections) > (size_t)view->limit)
        (void)json_array_remove(connections, json_array_size(connections) - 1); /* it is there */
    json_decref(look->varz);
    json_decref(look->connections);
    look->varz = varz;
    look->connections = connections;
    look->total = total;
    return true;
}

const json_t *cli_top_server(const cli_top_look *look)
{
    return look->varz;
}

const json_t *cli_top_connections(const cli_top_look *look)
{
    return look->connections;
}

uint64_t cli_top_total(const cli_top_look *look)
{
    return look->total;
}
