/* Optimal string alignment: Levenshtein's distance, with two neighbours swapped counting as one. */
#include "config/nearest.h"

#include <stdint.h>

/* No key is longer; what is typed longer than this resembles none. */
enum { WORD_MAX = 64 };

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned distance(pp_str a, pp_str b)
{
    uint8_t rows[3][WORD_MAX + 1]; /* of the table: the last but one, the last, this one */
    uint8_t *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b.len; j++)
        last[j] = (uint8_t)j;
    for (size_t i = 1; i <= a.len; i++) {
        uint8_t *oldest = before;

        row[0] = (uint8_t)i;
        for (size_t j = 1; j <= b.len; j++) {
            char from = lower(a.ptr[i - 1]), to = lower(b.ptr[j - 1]);
            unsigned cost =
                least(least(last[j] + 1u, row[j - 1] + 1u), last[j - 1] + (from == to ? 0u : 1u));

            if (i > 1 && j > 1 && from == lower(b.ptr[j - 2]) && lower(a.ptr[i - 2]) == to)
                cost = least(cost, before[j - 2] + 1u);
            row[j] = (uint8_t)cost;
        }
        before = last;
        last = row;
        row = oldest;
    }
    return last[b.len];
}

const char *pp_nearest(pp_str typed, const char *const *known, size_t count)
{
    size_t near = typed.len < 3 ? 1 : typed.len / 3;
    const char *best = NULL;

    if (typed.len == 0 || typed.len > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        pp_str word = pp_str_of(known[i]);
        unsigned far;

        if (word.len == 0 || word.len > WORD_MAX)
            continue;
        far = distance(typed, word);
        /* with as many slips as letters, any word is like any other */
        if (far > near || far >= word.len || far >= typed.len)
            continue;
        best = known[i];
        if (far == 0)
            break;
        near = far - 1; /* only a nearer one is better */
    }
    return best;
}
