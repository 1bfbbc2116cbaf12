#include "core/trie.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "core/subject.h"

/* How a text goes on after a node's tokens. */
struct fork {
    enum { FORK_END, FORK_REST, FORK_STAR, FORK_TOKEN } kind;
    pp_token_key key; /* of FORK_TOKEN */
};

void pp_trie_init(pp_trie *trie, uint64_t hash_seed)
{
    *trie = (pp_trie){.seed = hash_seed};
}

static void find_fork(const pp_trie *trie, const pp_node *node, pp_str text, struct fork *fork)
{
    pp_str rest, token;

    if (text.len < node->below) {
        fork->kind = FORK_END;
        return;
    }
    rest = (pp_str){text.ptr + node->below, text.len - node->below};
    token = pp_subject_next_token(&rest);
    if (token.len == 1 && token.ptr[0] == '*') {
        fork->kind = FORK_STAR;
    } else if (token.len == 1 && token.ptr[0] == '>') {
        fork->kind = FORK_REST;
    } else {
        fork->kind = FORK_TOKEN;
        fork->key.token = token;
        fork->key.at = node->below;
        fork->key.hash = pp_hash(token.ptr, token.len, trie->seed);
        fork->key.seed = trie->seed;
    }
}

/* Where node keeps the edge that goes this way; NULL when nothing does. */
static pp_edge *find_edge(pp_node *node, const struct fork *fork)
{
    pp_edge *edge = NULL;

    switch (fork->kind) {
    case FORK_END:
        edge = &node->end;
        break;
    case FORK_REST:
        edge = &node->rest;
        break;
    case FORK_STAR:
        edge = &node->star;
        break;
    case FORK_TOKEN:
        return pp_token_map_find(&node->tokens, &fork->key);
    }
    return *edge ? edge : NULL;
}

/* Add an edge where there is none. */
static pipit_err add_edge(pp_node *node, const struct fork *fork, pp_edge edge)
{
    switch (fork->kind) {
    case FORK_END:
        node->end = pp_edge_tagged(edge, 0);
        break;
    case FORK_REST:
        node->rest = pp_edge_tagged(edge, 0);
        break;
    case FORK_STAR:
        node->star = pp_edge_tagged(edge, 0);
        break;
    case FORK_TOKEN:
        return pp_token_map_add(&node->tokens, &fork->key, edge);
    }
    return PIPIT_OK;
}

static void remove_edge(pp_node *node, const struct fork *fork, pp_edge *edge)
{
    if (fork->kind == FORK_TOKEN)
        pp_token_map_remove(&node->tokens, &fork->key, edge);
    else
        *edge = 0;
}

static size_t way_count(const pp_node *node)
{
    return (node->end != 0) + (node->rest != 0) + (node->star != 0) + (size_t)node->tokens.count;
}

static pp_edge any_edge(const pp_node *node)
{
    if (node->end)
        return node->end;
    if (node->rest)
        return node->rest;
    if (node->star)
        return node->star;
    return pp_token_map_any(&node->tokens);
}

static pp_pattern *new_pattern(pp_trie *trie, pp_str text, bool wildcard)
{
    pp_pattern *pattern = pp_alloc(offsetof(pp_pattern, text) + text.len);

    if (!pattern)
        return NULL;
    pattern->subs = NULL;
    pattern->len = (uint32_t)text.len & PP_PATTERN_LEN_MAX;
    pattern->wildcard = wildcard;
    memcpy(pattern->text, text.ptr, text.len);
    trie->pattern_count++;
    return pattern;
}

static void free_pattern(pp_trie *trie, pp_pattern *pattern)
{
    trie->pattern_count--;
    pp_free(pattern);
}

static void free_node(pp_trie *trie, pp_node *node)
{
    pp_token_map_fini(&node->tokens);
    trie->node_count--;
    pp_free(node);
}

/* How many bytes of subject, from at, are those of text up to end: whole tokens only, and the
 * first is known to be the same. */
static uint32_t shared_end(pp_str subject, uint32_t at, const char *text, uint32_t end)
{
    uint32_t limit = subject.len < end ? (uint32_t)subject.len : end;
    uint32_t i = at;

    while (i < limit && subject.ptr[i] == text[i])
        i++;
    if ((i == end || text[i] == '.') && (i == subject.len || subject.ptr[i] == '.'))
        return i;
    do {
        i--;
    } while (text[i] != '.');
    PP_ASSERT(i > at);
    return i;
}

/* Put a node on the way of *edge where its texts and the pattern's part, at byte parting. */
static pipit_err split(pp_trie *trie, pp_edge *edge, uint32_t parting, pp_pattern *pattern)
{
    pp_node *node = pp_calloc(1, sizeof(*node));
    struct fork old_way, new_way;
    pipit_err err;

    if (!node)
        return PIPIT_ENOMEM;
    trie->node_count++;
    node->sample = pattern;
    node->below = parting + 1;
    find_fork(trie, node, (pp_str){pp_edge_sample(*edge)->text, pp_edge_text_end(*edge)}, &old_way);
    find_fork(trie, node, pp_pattern_text(pattern), &new_way);
    err = add_edge(node, &old_way, *edge);
    if (!err)
        err = add_edge(node, &new_way, pp_edge_to_pattern(pattern));
    if (err) {
        free_node(trie, node);
        return err;
    }
    *edge = pp_edge_tagged(pp_edge_to_node(node), pp_edge_tag(*edge));
    return PIPIT_OK;
}

pipit_err pp_trie_insert(pp_trie *trie, pp_str subject, bool wildcard, pp_pattern **out_pattern)
{
    pp_node *node = &trie->root;
    pp_pattern *pattern;
    struct fork fork;
    uint32_t parting = 0;
    pp_edge *edge;
    pipit_err err;

    PP_ASSERT(subject.len > 0 && subject.len <= PP_PATTERN_LEN_MAX);
    for (;;) {
        find_fork(trie, node, subject, &fork);
        edge = find_edge(node, &fork);
        if (!edge)
            break;
        if (fork.kind == FORK_END || fork.kind == FORK_REST) {
            *out_pattern = pp_edge_pattern(*edge);
            return PIPIT_OK;
        }
        parting =
            shared_end(subject, node->below, pp_edge_sample(*edge)->text, pp_edge_text_end(*edge));
        if (parting < pp_edge_text_end(*edge))
            break;
        if (pp_edge_is_node(*edge)) {
            node = pp_edge_node(*edge);
            continue;
        }
        if (parting < subject.len)
            break;
        *out_pattern = pp_edge_pattern(*edge);
        return PIPIT_OK;
    }
    pattern = new_pattern(trie, subject, wildcard);
    if (!pattern)
        return PIPIT_ENOMEM;
    if (edge)
        err = split(trie, edge, parting, pattern);
    else
        err = add_edge(node, &fork, pp_edge_to_pattern(pattern));
    if (err) {
        free_pattern(trie, pattern);
        return err;
    }
    *out_pattern = pattern;
    return PIPIT_OK;
}

/* Let the nodes on the way to last that borrow the pattern's text borrow heir's. */
static void replace_sample(pp_trie *trie, const pp_pattern *pattern, const pp_node *last,
                           const pp_pattern *heir)
{
    pp_node *node = &trie->root;

    while (node != last) {
        struct fork fork;

        find_fork(trie, node, pp_pattern_text(pattern), &fork);
        node = pp_edge_node(*find_edge(node, &fork));
        if (node->sample == pattern)
            node->sample = heir;
    }
}

void pp_trie_remove(pp_trie *trie, pp_pattern *pattern)
{
    pp_node *node = &trie->root;
    pp_edge *node_edge = NULL; /* the edge to node */
    bool lends = false;        /* some node on the way has borrowed its text */
    struct fork fork;
    pp_edge *edge;

    for (;;) {
        find_fork(trie, node, pp_pattern_text(pattern), &fork);
        edge = find_edge(node, &fork);
        PP_ASSERT(edge);
        if (!pp_edge_is_node(*edge))
            break;
        node_edge = edge;
        node = pp_edge_node(*edge);
        lends |= node->sample == pattern;
    }
    PP_ASSERT(pp_edge_pattern(*edge) == pattern);
    remove_edge(node, &fork, edge);
    if (lends)
        replace_sample(trie, pattern, node, pp_edge_sample(any_edge(node)));
    if (node_edge && way_count(node) == 1) {
        /* What remains takes the node's place: its text holds the node's, so nothing is copied. */
        *node_edge = pp_edge_tagged(any_edge(node), pp_edge_tag(*node_edge));
        free_node(trie, node);
    }
    free_pattern(trie, pattern);
}

struct stop {
    const pp_node *node;
    size_t depth;
};

struct survey {
    struct stop *stops;
    size_t count, cap;
    size_t depth; /* of the stops that are being added */
    pipit_err err;
};

static void survey_add(struct survey *survey, const pp_node *node)
{
    if (survey->count == survey->cap && !survey->err) {
        size_t cap = survey->cap ? survey->cap * 2 : 64;
        struct stop *stops = pp_realloc(survey->stops, cap * sizeof(*stops));

        if (!stops) {
            survey->err = PIPIT_ENOMEM;
        } else {
            survey->stops = stops;
            survey->cap = cap;
        }
    }
    if (!survey->err)
        survey->stops[survey->count++] = (struct stop){node, survey->depth};
}

static void survey_visit(void *ctx, pp_edge edge)
{
    if (pp_edge_is_node(edge))
        survey_add(ctx, pp_edge_node(edge));
}

pipit_err pp_trie_measure(const pp_trie *trie, pp_trie_shape *out_shape)
{
    struct survey survey = {.depth = 1};
    pp_trie_shape shape = {0};

    survey_add(&survey, &trie->root);
    while (survey.count && !survey.err) {
        struct stop stop = survey.stops[--survey.count];

        if (stop.depth > shape.depth)
            shape.depth = stop.depth;
        if (way_count(stop.node) > shape.widest)
            shape.widest = way_count(stop.node);
        survey.depth = stop.depth + 1;
        survey_visit(&survey, stop.node->star);
        pp_token_map_each(&stop.node->tokens, survey_visit, &survey);
    }
    pp_free(survey.stops);
    if (!survey.err)
        *out_shape = shape;
    return survey.err;
}
