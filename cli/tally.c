#include "cli/tally.h"

#include "cli/json.h"
#include "cli/memory.h"
#include "cli/table.h"
#include "cli/value.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SUBJECTS_MAX = 100000, SLOTS = 262144 };

struct seen {
    char *subject;
    size_t subject_bytes;
    uint64_t messages, bytes;
};

struct cli_tally {
    struct seen *seen;
    size_t count, room;
    uint32_t *slots; /* of seen, plus 1 */
    struct seen others;
};

cli_tally *cli_tally_new(void)
{
    cli_tally *tally = cli_alloc(sizeof(*tally));

    tally->slots = cli_alloc(SLOTS * sizeof(*tally->slots));
    return tally;
}

void cli_tally_free(cli_tally *tally)
{
    if (!tally)
        return;
    for (size_t i = 0; i < tally->count; i++)
        free(tally->seen[i].subject);
    free(tally->seen);
    free(tally->slots);
    free(tally);
}

static uint32_t hash_of(const char *text, size_t bytes)
{
    uint32_t hash = 2166136261U; /* FNV-1a: who floods it only slows this window down */

    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619U;
    return hash;
}

static struct seen *find(cli_tally *t, const char *subject, size_t bytes)
{
    uint32_t at = hash_of(subject, bytes) % SLOTS;

    for (; t->slots[at]; at = (at + 1) % SLOTS) {
        struct seen *seen = &t->seen[t->slots[at] - 1];

        if (seen->subject_bytes == bytes && memcmp(seen->subject, subject, bytes) == 0)
            return seen;
    }
    if (t->count == SUBJECTS_MAX)
        return &t->others;
    if (t->count == t->room) {
        t->room = t->room ? 2 * t->room : 64;
        t->seen = cli_realloc(t->seen, t->room * sizeof(*t->seen));
    }
    t->seen[t->count] = (struct seen){cli_copy(subject, bytes), bytes, 0, 0};
    t->slots[at] = (uint32_t)++t->count;
    return &t->seen[t->count - 1];
}

void cli_tally_count(cli_tally *tally, const char *subject, size_t subject_bytes,
                     size_t message_bytes)
{
    struct seen *seen = find(tally, subject, subject_bytes);

    seen->messages++;
    seen->bytes += message_bytes;
}

static int by_messages(const void *a, const void *b)
{
    const struct seen *x = *(struct seen *const *)a, *y = *(struct seen *const *)b;

    if (x->messages != y->messages)
        return x->messages < y->messages ? 1 : -1;
    return strcmp(x->subject, y->subject);
}

/* Owner: the caller. */
static struct seen **sorted(const cli_tally *tally)
{
    struct seen **list = cli_alloc(tally->count * sizeof(*list));

    for (size_t i = 0; i < tally->count; i++)
        list[i] = &tally->seen[i];
    qsort(list, tally->count, sizeof(*list), by_messages);
    return list;
}

static void add_row(cli_table *table, const struct seen *seen)
{
    char messages[CLI_VALUE_BYTES], bytes[CLI_VALUE_BYTES];

    cli_count_format(seen->messages, messages);
    cli_size_format((double)seen->bytes, bytes);
    cli_table_cell_bytes(table, seen->subject ? seen->subject : "(others)",
                         seen->subject ? seen->subject_bytes : 8);
    cli_table_cell(table, messages);
    cli_table_cell(table, bytes);
}

void cli_tally_show(cli_tally *tally, size_t top, FILE *out)
{
    struct seen **list = sorted(tally);
    cli_table *table = cli_table_new(NULL);

    cli_table_column(table, "SUBJECT", CLI_LEFT);
    cli_table_column(table, "MESSAGES", CLI_RIGHT);
    cli_table_column(table, "BYTES", CLI_RIGHT);
    for (size_t i = 0; i < tally->count && i < top; i++)
        add_row(table, list[i]);
    if (tally->others.messages)
        add_row(table, &tally->others);
    cli_table_print(table, out);
    if (tally->count > top)
        (void)fprintf(out, "and %zu more subjects\n", tally->count - top);
    cli_table_free(table);
    free(list);
}

json_t *cli_tally_json(cli_tally *tally, size_t top)
{
    struct seen **list = sorted(tally);
    json_t *array = cli_json_array();

    for (size_t i = 0; i < tally->count && i < top; i++) {
        json_t *one = cli_json_object();

        cli_json_set(one, "subject", cli_json_text(list[i]->subject, list[i]->subject_bytes));
        cli_json_set_count(one, "messages", list[i]->messages);
        cli_json_set_count(one, "bytes", list[i]->bytes);
        cli_json_append(array, one);
    }
    free(list);
    return array;
}
