/* All patterns that have a subject in common with a given one.
 *
 * The trie forks where texts differ, so a walk comes to a node by one way only and its place among
 * the given tokens is that of the node: each node is visited at most once. */
#include "base/alloc.h"
#include "base/hash.h"
#include "core/subject.h"
#include "core/trie.h"

enum { WAYS_AT_START = 64 };

/* In the place of a token's index: the > of the given pattern has met a token, and meets all. */
#define MEETS_ALL UINT32_MAX

typedef struct meeting {
    const pp_trie *trie;
    pp_str *tokens;
    size_t token_count;
    struct pp_walk_way *ways; /* yet to be followed */
    size_t way_count, way_cap;
    uint32_t text_at; /* of the ways that are being left */
    uint32_t token_at;
    pipit_err err;
} meeting;

static bool is_rest(pp_str token)
{
    return token.len == 1 && token.ptr[0] == '>';
}

static bool is_star(pp_str token)
{
    return token.len == 1 && token.ptr[0] == '*';
}

static void leave_way(void *arg, pp_edge edge)
{
    meeting *m = arg;

    if (!edge || m->err)
        return;
    if (m->way_count == m->way_cap) {
        size_t cap = m->way_cap ? 2 * m->way_cap : WAYS_AT_START;
        struct pp_walk_way *ways = pp_realloc(m->ways, cap * sizeof(*ways));

        if (!ways) {
            m->err = PIPIT_ENOMEM;
            return;
        }
        m->ways = ways;
        m->way_cap = cap;
    }
    m->ways[m->way_count++] = (struct pp_walk_way){edge, m->text_at, m->token_at};
}

/* The ways on from node that the token at index may meet; there is one, or it meets all. */
static void leave_ways(meeting *m, const pp_node *node, uint32_t index)
{
    pp_str token = index == MEETS_ALL ? PP_STR(">") : m->tokens[index];
    const pp_edge *edge;
    pp_token_key key;

    m->text_at = node->below;
    m->token_at = index;
    leave_way(m, node->rest);
    leave_way(m, node->star);
    if (node->tokens.count == 0)
        return;
    if (is_star(token) || is_rest(token)) {
        pp_token_map_each(&node->tokens, leave_way, m);
        return;
    }
    key = (pp_token_key){.token = token,
                         .at = node->below,
                         .hash = pp_hash(token.ptr, token.len, m->trie->seed),
                         .seed = m->trie->seed};
    edge = pp_token_map_find(&node->tokens, &key);
    if (edge)
        leave_way(m, *edge);
}

/* The next token of a text. */
static pp_str token_at(const char *text, uint32_t end, uint32_t at)
{
    pp_str rest = {text + at, end - at};

    return pp_subject_next_token(&rest);
}

/* Does the text of a way meet the next tokens? *out_index is the one after them. */
static bool follow(const meeting *m, const struct pp_walk_way *way, uint32_t *out_index)
{
    const char *text = pp_edge_sample(way->edge)->text;
    uint32_t end = pp_edge_text_end(way->edge), at = way->text_at;
    uint32_t index = way->token_at;

    while (at < end && index != MEETS_ALL) {
        pp_str there = token_at(text, end, at), here;

        if (index == m->token_count)
            return false;
        here = m->tokens[index];
        if (is_rest(here)) {
            index = MEETS_ALL;
            break;
        }
        if (is_rest(there)) { /* the last of its text */
            index = (uint32_t)m->token_count;
            break;
        }
        if (!is_star(here) && !is_star(there) && !pp_str_eq(here, there))
            return false;
        at += (uint32_t)there.len + 1;
        index++;
    }
    *out_index = index;
    return true;
}

/* Follow one way. Gives the pattern that it ends with; NULL: none, or it goes on. */
static pp_pattern *follow_way(meeting *m, const struct pp_walk_way *way)
{
    const pp_node *node;
    uint32_t index;
    bool ends;

    if (!follow(m, way, &index))
        return NULL;
    ends = index >= m->token_count;
    if (!pp_edge_is_node(way->edge))
        return ends ? pp_edge_pattern(way->edge) : NULL;
    node = pp_edge_node(way->edge);
    if (index != m->token_count)
        leave_ways(m, node, index);
    return ends && node->end ? pp_edge_pattern(node->end) : NULL;
}

static pipit_err split(meeting *m, pp_str pattern)
{
    size_t count = pp_subject_token_count(pattern);

    m->tokens = pp_alloc((count ? count : 1) * sizeof(*m->tokens));
    if (!m->tokens)
        return PIPIT_ENOMEM;
    while (pattern.ptr)
        m->tokens[m->token_count++] = pp_subject_next_token(&pattern);
    return PIPIT_OK;
}

/* The tokens are counted in 32 bits, as those of a text are. */
pipit_err pp_trie_meet(const pp_trie *trie, pp_str pattern,
                       pipit_err (*visit)(void *arg, pp_pattern *met), void *arg, size_t *out_steps)
{
    meeting m = {.trie = trie};
    pp_pattern *met;

    *out_steps = 0;
    m.err = split(&m, pattern);
    if (!m.err)
        leave_ways(&m, &trie->root, 0);
    while (m.way_count && !m.err) {
        const struct pp_walk_way way = m.ways[--m.way_count];

        ++*out_steps;
        met = follow_way(&m, &way);
        if (met && !m.err)
            m.err = visit(arg, met);
    }
    pp_free(m.tokens);
    pp_free(m.ways);
    return m.err;
}
