#include "base/alloc.h"
#include "base/hash.h"
#include "core/subject.h"
#include "core/trie.h"

/* Store the first cap tokens; returns how many there are, 0 if one is empty. */
static size_t split(pp_str subject, struct pp_walk_token *tokens, size_t cap)
{
    size_t count = 0;

    while (subject.ptr) {
        pp_str token = pp_subject_next_token(&subject);

        if (token.len == 0 || token.len > UINT32_MAX)
            return 0;
        if (count < cap)
            tokens[count] = (struct pp_walk_token){.ptr = token.ptr, .len = (uint32_t)token.len};
        count++;
    }
    return count;
}

pipit_err pp_trie_walk_init(pp_trie_walk *walk, pp_str subject)
{
    size_t count = split(subject, walk->few_tokens, PP_TRIE_WALK_TOKENS);

    walk->tokens = walk->few_tokens;
    walk->ways = walk->few_ways;
    walk->way_count = 0;
    walk->steps = 0;
    walk->memory = NULL;
    walk->token_count = count;
    if (count <= PP_TRIE_WALK_TOKENS)
        return PIPIT_OK;
    walk->memory = pp_alloc(count * sizeof(*walk->tokens) + (2 * count + 1) * sizeof(*walk->ways));
    if (!walk->memory)
        return PIPIT_ENOMEM;
    walk->tokens = walk->memory;
    walk->ways = (struct pp_walk_way *)(walk->tokens + count);
    (void)split(subject, walk->tokens, count);
    return PIPIT_OK;
}

void pp_trie_walk_fini(pp_trie_walk *walk)
{
    pp_free(walk->memory);
    walk->memory = NULL;
}

static void leave_way(pp_trie_walk *walk, pp_edge edge, uint32_t text_at, size_t token_at)
{
    PP_DASSERT(walk->way_count < 2 * walk->token_count + 1);
    walk->ways[walk->way_count++] = (struct pp_walk_way){edge, text_at, (uint32_t)token_at};
}

/* The literal token at index, as it would stand below node. */
static pp_token_key key_of(pp_trie_walk *walk, const pp_trie *trie, size_t index,
                           const pp_node *node)
{
    struct pp_walk_token *token = &walk->tokens[index];

    if (!token->hashed) { /* kept: many nodes may ask, and a token may be long */
        token->hash = pp_hash(token->ptr, token->len, trie->seed);
        token->hashed = true;
    }
    return (pp_token_key){.token = {token->ptr, token->len},
                          .at = node->below,
                          .hash = token->hash,
                          .seed = trie->seed};
}

/* Leave all ways on from node for later; the one to follow first comes last. */
static void leave_ways(pp_trie_walk *walk, const pp_trie *trie, const pp_node *node, size_t index)
{
    const pp_edge *edge;
    pp_token_key key;

    if (node->rest)
        leave_way(walk, node->rest, node->below, index);
    if (node->star)
        leave_way(walk, node->star, node->below, index);
    if (node->tokens.count == 0)
        return;
    key = key_of(walk, trie, index, node);
    edge = pp_token_map_find(&node->tokens, &key);
    if (edge) /* and its first token has been compared */
        leave_way(walk, *edge, node->below + (uint32_t)key.token.len + 1, index + 1);
}

/* Does the text of a way cover the next tokens? If so *out_index is the one after them. */
static bool follow(const pp_trie_walk *walk, const struct pp_walk_way *way, size_t *out_index)
{
    const char *text = pp_edge_sample(way->edge)->text;
    uint32_t end = pp_edge_text_end(way->edge);
    uint32_t at = way->text_at;
    size_t index = way->token_at;

    while (at < end) {
        const struct pp_walk_token *token = &walk->tokens[index];

        if (index == walk->token_count)
            return false;
        if (text[at] == '*' && (at + 1 == end || text[at + 1] == '.')) {
            at += 2;
        } else if (text[at] == '>' && at + 1 == end) {
            *out_index = walk->token_count;
            return true;
        } else {
            if (end - at < token->len || memcmp(text + at, token->ptr, token->len) != 0 ||
                (end - at > token->len && text[at + token->len] != '.'))
                return false;
            at += token->len + 1;
        }
        index++;
    }
    *out_index = index;
    return true;
}

void pp_trie_walk_start(pp_trie_walk *walk, const pp_trie *trie)
{
    walk->way_count = 0;
    if (walk->token_count)
        leave_ways(walk, trie, &trie->root, 0);
}

pp_pattern *pp_trie_walk_next(pp_trie_walk *walk, const pp_trie *trie)
{
    while (walk->way_count) {
        const struct pp_walk_way way = walk->ways[--walk->way_count];
        const pp_node *node;
        size_t index;

        walk->steps++;
        if (!follow(walk, &way, &index))
            continue;
        if (!pp_edge_is_node(way.edge)) {
            if (index == walk->token_count)
                return pp_edge_pattern(way.edge);
            continue;
        }
        node = pp_edge_node(way.edge);
        if (index < walk->token_count)
            leave_ways(walk, trie, node, index);
        else if (node->end)
            return pp_edge_pattern(node->end);
    }
    return NULL;
}
