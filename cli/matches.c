#include "cli/matches.h"

#include "cli/memory.h"

#include <stdlib.h>
#include <string.h>

enum { KEPT = 4096 };

struct asked {
    char *reply;
    size_t bytes;
    uint64_t number;
};

struct cli_matches {
    struct asked asked[KEPT]; /* a ring */
    size_t next;
};

cli_matches *cli_matches_new(void)
{
    return cli_alloc(sizeof(cli_matches));
}

void cli_matches_free(cli_matches *matches)
{
    for (size_t i = 0; matches && i < KEPT; i++)
        free(matches->asked[i].reply);
    free(matches);
}

void cli_matches_ask(cli_matches *matches, const char *reply, size_t reply_bytes, uint64_t number)
{
    struct asked *slot = &matches->asked[matches->next++ % KEPT];

    free(slot->reply);
    *slot = (struct asked){cli_copy(reply, reply_bytes), reply_bytes, number};
}

bool cli_matches_find(const cli_matches *matches, const char *subject, size_t subject_bytes,
                      uint64_t *out_number)
{
    /* The newest first: answers come soon. */
    for (size_t back = 1; back <= KEPT && back <= matches->next; back++) {
        const struct asked *asked = &matches->asked[(matches->next - back) % KEPT];

        if (asked->bytes == subject_bytes && memcmp(asked->reply, subject, subject_bytes) == 0) {
            *out_number = asked->number;
            return true;
        }
    }
    return false;
}
