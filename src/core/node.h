/* core/node.h -- a fork of the trie: patterns that share their first tokens part here.
 *
 * What can follow is told apart by kind: the end of the text, `>`, `*`, or a literal token. Each
 * way on is an edge, to a pattern when it is the only one on that way, else to another node.
 *
 * A node does not store the text that leads to it. It borrows it from any one pattern below,
 * its sample, and knows how long the shared part is. */
#ifndef PP_CORE_NODE_H
#define PP_CORE_NODE_H

#include "base/assert.h"
#include "core/pattern.h"
#include "core/token_map.h"

#include <stdbool.h>

typedef struct pp_node {
    const pp_pattern *sample; /* some pattern below; NULL at the root */
    uint32_t below;           /* where the next token stands in all texts below; 0 at the root */
    pp_edge end;              /* the pattern whose text ends here */
    pp_edge rest;             /* the pattern whose next and last token is > */
    pp_edge star;
    pp_token_map tokens;
} pp_node;

/* Tags live where user addresses have no bits; PP_ASSERTs below hold the system to that. */
static_assert(sizeof(void *) == 8, "edges are tagged 64-bit pointers");

enum { PP_EDGE_TAG_SHIFT = 48 };
#define PP_EDGE_ADDRESS ((UINT64_C(1) << PP_EDGE_TAG_SHIFT) - 2)

static inline pp_edge pp_edge_to_pattern(const pp_pattern *pattern)
{
    PP_ASSERT(((uintptr_t)pattern & ~PP_EDGE_ADDRESS) == 0);
    return (uintptr_t)pattern;
}

static inline pp_edge pp_edge_to_node(const pp_node *node)
{
    PP_ASSERT(((uintptr_t)node & ~PP_EDGE_ADDRESS) == 0);
    return (uintptr_t)node | 1;
}

static inline uint16_t pp_edge_tag(pp_edge edge)
{
    return (uint16_t)(edge >> PP_EDGE_TAG_SHIFT);
}

static inline pp_edge pp_edge_tagged(pp_edge edge, uint16_t tag)
{
    return (edge & (PP_EDGE_ADDRESS | 1)) | (pp_edge)tag << PP_EDGE_TAG_SHIFT;
}

static inline bool pp_edge_is_node(pp_edge edge)
{
    return edge & 1;
}

static inline void *pp_edge_address(pp_edge edge)
{
    return (void *)(uintptr_t)(edge & PP_EDGE_ADDRESS);
}

static inline pp_node *pp_edge_node(pp_edge edge)
{
    return pp_edge_address(edge);
}

static inline pp_pattern *pp_edge_pattern(pp_edge edge)
{
    return pp_edge_address(edge);
}

/* A pattern that has all the text on the way along edge. */
static inline const pp_pattern *pp_edge_sample(pp_edge edge)
{
    return pp_edge_is_node(edge) ? pp_edge_node(edge)->sample : pp_edge_pattern(edge);
}

/* Where the text that the edge itself stands for ends in the sample's. */
static inline uint32_t pp_edge_text_end(pp_edge edge)
{
    return pp_edge_is_node(edge) ? pp_edge_node(edge)->below - 1 : pp_edge_pattern(edge)->len;
}

#endif
